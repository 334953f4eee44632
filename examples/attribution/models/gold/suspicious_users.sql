-- Users who click like machines: 20 clicks a (UTC) day or more.
CREATE MATERIALIZED VIEW gold.suspicious_users
  KEY (user_id, day)
  COMMENT 'Users with 20 clicks or more on a day.'
AS SELECT
  user_id,
  CAST(clicked_at AS DATE)                                                 AS day,
  count(*)                                                                 AS clicks
FROM bronze.clicks
GROUP BY user_id, CAST(clicked_at AS DATE)
HAVING count(*) >= 20;
