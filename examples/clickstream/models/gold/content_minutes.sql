-- What a title does, by minute, region and kind of device. A title that everybody watches is a row a minute like all others.
CREATE MATERIALIZED VIEW gold.content_minutes
  KEY (minute, content_id, region, device_type)
  PARTITIONED BY (day(minute))
  COMMENT 'Watch time and click-through by minute.'
AS SELECT window_start AS minute, content_id, region, device_type,
          CAST(coalesce(sum(seconds) FILTER (WHERE kind = 'heartbeat'), 0) AS BIGINT) AS watch_seconds,
          count(*) FILTER (WHERE kind = 'play')       AS plays,
          count(*) FILTER (WHERE kind = 'impression') AS impressions,
          count(*) FILTER (WHERE kind = 'click')      AS clicks,
          count(*) FILTER (WHERE kind = 'click') / nullif(count(*) FILTER (WHERE kind = 'impression'), 0) AS ctr
     FROM TUMBLE(TABLE bronze.player_events, DESCRIPTOR(client_ts), INTERVAL '1 minute')
    GROUP BY window_start, content_id, region, device_type;
