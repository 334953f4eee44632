-- Each event with the session it belongs to. A session is what one player does without a pause of more than 30 minutes; at most 36 hours
-- of it are one session: a TV that is never turned off begins a new one then.
CREATE MATERIALIZED VIEW silver.session_events
  KEY (event_id)
  PARTITIONED BY (day(client_ts))
  COMMENT 'Player events with their session.'
AS
WITH event AS (  -- what the session needs: its state keeps no more
  SELECT event_id, device_id, user_id, content_id, kind, client_ts, seconds, region, device_type FROM bronze.player_events
)
SELECT event_id, device_id, user_id, content_id, kind, client_ts, seconds, region, device_type,
       window_start AS session_start
  FROM SESSION(TABLE event PARTITION BY device_id, DESCRIPTOR(client_ts), INTERVAL '30 minutes', MAX INTERVAL '36 hours');
