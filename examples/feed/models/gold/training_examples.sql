-- One row per impression: what was known of the content at that moment, and whether the user opened it within half an hour.
-- Only minutes that were over when the content was shown count, so nothing that happened later leaks into the features.
CREATE MATERIALIZED VIEW gold.training_examples
  KEY (event_id)
  PARTITIONED BY (day(happened_at))
  COMMENT 'Impressions with features as of their time, and the label.'
AS SELECT i.event_id, i.user_id, i.content_id, i.happened_at,
          coalesce(n.impressions, 0)                           AS impressions_before,
          coalesce(n.likes, 0)                                 AS likes_before,
          coalesce(n.likes, 0) - coalesce(h.likes, 0)          AS likes_1h_before,
          n.clicks / nullif(n.impressions, 0)                  AS ctr_before,
          (SELECT count(*) FROM bronze.interactions AS c
            WHERE c.kind = 'click' AND c.user_id = i.user_id AND c.content_id = i.content_id
              AND c.happened_at >= i.happened_at AND c.happened_at <= i.happened_at + INTERVAL '30 minutes') > 0 AS clicked
     FROM bronze.interactions AS i
     ASOF LEFT JOIN silver.content_history AS n ON i.content_id = n.content_id AND i.happened_at >= n.known_at
     ASOF LEFT JOIN silver.content_history AS h ON i.content_id = h.content_id AND i.happened_at - INTERVAL '1 hour' >= h.known_at
    WHERE i.kind = 'impression';
