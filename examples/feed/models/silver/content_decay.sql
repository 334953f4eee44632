-- Likes that lose half of their weight every 12 hours. What is stored changes only when a like comes; what it is worth at any time T is
-- decayed(likes, T, INTERVAL 12 HOUR), so an item without likes decays unread. Likes whose time has not come yet (a clock that is ahead)
-- wait for it.
CREATE MATERIALIZED VIEW silver.content_decay
  KEY (content_id)
  COMMENT 'Decayed likes by content, to be read at a time.'
AS SELECT content_id,
          decay_sum(1, happened_at, INTERVAL 12 HOUR) AS likes_to_decay,
          max(happened_at) AS last_liked_at
     FROM bronze.interactions
    WHERE kind = 'like' AND happened_at <= watermark()
    GROUP BY content_id;
