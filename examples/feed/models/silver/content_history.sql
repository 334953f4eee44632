-- What was known of a content at the end of each minute in which something happened to it: the past that training sets look into.
CREATE MATERIALIZED VIEW silver.content_history
  KEY (content_id, known_at)
  PARTITIONED BY (day(known_at))
  COMMENT 'Running totals of a content, by event time.'
AS SELECT content_id,
          window_end                                 AS known_at,
          CAST(sum(impressions) OVER so_far AS BIGINT) AS impressions,
          CAST(sum(clicks) OVER so_far AS BIGINT)      AS clicks,
          CAST(sum(likes) OVER so_far AS BIGINT)       AS likes
     FROM silver.content_minutes
   WINDOW so_far AS (PARTITION BY content_id ORDER BY window_end ROWS UNBOUNDED PRECEDING);
