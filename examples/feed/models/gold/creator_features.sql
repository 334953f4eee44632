-- How a creator's new posts start: likes in the first ten minutes of each. A creator whose posts nobody liked has 0.
CREATE MATERIALIZED VIEW gold.creator_features
  KEY (creator_id)
  COMMENT 'Posts of a creator and how they start.'
AS SELECT p.creator_id,
          count(DISTINCT p.content_id)                         AS posts,
          count(e.event_id)                                    AS likes_in_first_10_minutes,
          count(e.event_id) / count(DISTINCT p.content_id)     AS early_likes_per_post,
          max(p.created_at)                                    AS last_posted_at
     FROM bronze.posts AS p
     LEFT JOIN bronze.interactions AS e
       ON e.content_id = p.content_id AND e.kind = 'like'
      AND e.happened_at >= p.created_at AND e.happened_at < p.created_at + INTERVAL '10 minutes'
    GROUP BY p.creator_id;
