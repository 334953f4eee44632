-- The features of every content at the watermark, one row each, also of those that nobody looked at: an hour without events is 0.
CREATE MATERIALIZED VIEW gold.content_features
  KEY (content_id)
  COMMENT 'What ranking looks up about a content.'
AS
WITH hour AS (
  -- The 60 whole minutes before the watermark.
  SELECT content_id, CAST(sum(likes) AS BIGINT) AS likes, CAST(sum(shares) AS BIGINT) AS shares, CAST(sum(comments) AS BIGINT) AS comments
    FROM silver.content_minutes
   WHERE window_end > watermark() - INTERVAL '1 hour' AND window_end <= watermark()
   GROUP BY content_id
), day AS (
  SELECT content_id, CAST(sum(impressions) AS BIGINT) AS impressions, CAST(sum(clicks) AS BIGINT) AS clicks
    FROM silver.content_minutes
   WHERE window_end > watermark() - INTERVAL '24 hours' AND window_end <= watermark()
   GROUP BY content_id
)
SELECT p.content_id, p.creator_id, p.created_at,
       coalesce(h.likes, 0)                AS likes_1h,
       coalesce(h.shares, 0)               AS shares_1h,
       coalesce(h.comments, 0)             AS comments_1h,
       coalesce(d.impressions, 0)          AS impressions_24h,
       coalesce(d.clicks, 0)               AS clicks_24h,
       -- NULL without impressions: nothing is known, which is not the same as "nobody clicks".
       d.clicks / nullif(d.impressions, 0) AS ctr_24h,
       -- To be read at a time by decayed(…, INTERVAL 12 HOUR), which is 0 where this is NULL.
       w.likes_to_decay
  FROM bronze.posts AS p
  LEFT JOIN hour AS h ON p.content_id = h.content_id
  LEFT JOIN day AS d ON p.content_id = d.content_id
  LEFT JOIN silver.content_decay AS w ON p.content_id = w.content_id;
