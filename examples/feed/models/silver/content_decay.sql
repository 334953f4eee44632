-- Likes that lose half of their weight every 12 hours. Stored is the sum of 2^(t / 12 h), t counted from 2025-06-01: a number that changes
-- only when a like comes. Its value at any time T is that sum times 2^(-(T - 2025-06-01) / 12 h), so an item without likes decays unread.
-- Likes whose time has not come yet (a clock that is ahead) wait for it.
CREATE MATERIALIZED VIEW silver.content_decay
  KEY (content_id)
  COMMENT 'Decayed likes by content, to be read at a time.'
AS SELECT content_id,
          sum(pow(2.0, date_diff('millisecond', TIMESTAMPTZ '2025-06-01 00:00:00+00', happened_at) / 43200000.0)) AS likes_at_2025_06_01,
          max(happened_at) AS last_liked_at
     FROM bronze.interactions
    WHERE kind = 'like' AND happened_at <= watermark()
    GROUP BY content_id;
