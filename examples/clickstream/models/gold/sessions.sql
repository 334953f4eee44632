-- One row per session. A late event that fills a pause joins two sessions into one and takes the old rows back.
CREATE MATERIALIZED VIEW gold.sessions
  KEY (device_id, session_start)
  PARTITIONED BY (day(session_start))
  COMMENT 'Who watched what, how long, and how well it ran.'
AS SELECT device_id, session_start,
          max(client_ts)                                                     AS last_event_at,
          arg_max(user_id, client_ts)                                        AS user_id,
          arg_max(region, client_ts)                                         AS region,
          arg_max(device_type, client_ts)                                    AS device_type,
          count(*)                                                           AS events,
          list(DISTINCT content_id ORDER BY content_id) FILTER (WHERE kind = 'play') AS contents,
          CAST(coalesce(sum(seconds) FILTER (WHERE kind = 'heartbeat'), 0) AS BIGINT) AS watch_seconds,
          count(*) FILTER (WHERE kind = 'play')                              AS plays,
          count(*) FILTER (WHERE kind = 'complete')                          AS completions,
          count(*) FILTER (WHERE kind = 'complete') / nullif(count(*) FILTER (WHERE kind = 'play'), 0) AS completion,
          count(*) FILTER (WHERE kind = 'seek')                              AS seeks,
          count(*) FILTER (WHERE kind = 'buffering')                         AS bufferings,
          CAST(coalesce(sum(seconds) FILTER (WHERE kind = 'buffering'), 0) AS BIGINT) AS buffering_seconds
     FROM silver.session_events
    GROUP BY device_id, session_start;
