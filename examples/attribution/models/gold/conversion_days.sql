-- Whether all hourly files of a (UTC) day are in. A missing hour makes its day incomplete; its late file completes it. Who pays by the day
-- asks here before.
CREATE MATERIALIZED VIEW gold.conversion_days
  KEY (day)
  COMMENT 'Hourly files of sales that came, by day.'
AS SELECT
  CAST(interval_start AS DATE)                                             AS day,
  count(DISTINCT interval_start)                                           AS hours,
  -- In the files, repeated ones included.
  CAST(sum(rows) AS BIGINT)                                                AS records,
  count(DISTINCT interval_start) = 24                                      AS is_complete
FROM bronze."conversions$arrivals"
WHERE state = 'read'
GROUP BY CAST(interval_start AS DATE);
