-- What each variant did, by day of the event.
CREATE MATERIALIZED VIEW gold.experiment_daily
  KEY (experiment, day, variant)
  COMMENT 'Variants of experiments compared, by day.'
AS SELECT experiment, CAST(client_ts AS DATE) AS day, variant,
          count(DISTINCT subject)                                            AS subjects,
          count(*) FILTER (WHERE kind = 'play')                              AS plays,
          count(*) FILTER (WHERE kind = 'complete')                          AS completions,
          CAST(coalesce(sum(seconds) FILTER (WHERE kind = 'heartbeat'), 0) AS BIGINT) AS watch_seconds
     FROM silver.exposures
    GROUP BY experiment, day, variant;
