-- People who used the web site or the app, per (UTC) day. A device that turned out to be somebody's is not counted twice.
CREATE MATERIALIZED VIEW gold.active_daily
  KEY (day)
  COMMENT 'Active people per day.'
AS SELECT
  e.day,
  count(*)                                                                 AS events,
  count(DISTINCT i.unified_id)                                             AS people
FROM (
  SELECT 'web' AS source, device_id AS source_id, CAST(occurred_at AS DATE) AS day FROM bronze.web_events
  UNION ALL
  SELECT 'app', coalesce(device_id, phone_key(phone)), CAST(occurred_at AS DATE) FROM bronze.mobile_events
) AS e
JOIN silver.identities AS i ON i.source = e.source AND i.source_id = e.source_id
GROUP BY e.day;
