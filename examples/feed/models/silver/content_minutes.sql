-- Panes: what happened to each content in each minute. Everything that slides is a sum of these, so a viral item costs a row a minute,
-- however many people see it.
CREATE MATERIALIZED VIEW silver.content_minutes
  KEY (content_id, window_start)
  PARTITIONED BY (day(window_start))
  COMMENT 'Interactions by content and minute.'
AS SELECT content_id, window_start, window_end,
          count(*) FILTER (WHERE kind = 'impression') AS impressions,
          count(*) FILTER (WHERE kind = 'click')      AS clicks,
          count(*) FILTER (WHERE kind = 'like')       AS likes,
          count(*) FILTER (WHERE kind = 'share')      AS shares,
          count(*) FILTER (WHERE kind = 'comment')    AS comments
     FROM TUMBLE(TABLE bronze.interactions, DESCRIPTOR(happened_at), INTERVAL '1 minute')
    GROUP BY content_id, window_start, window_end;
