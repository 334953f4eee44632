-- Where each trip stands. A trip without a completion is dropped when nothing was heard of it for 2 hours of event time: when the
-- watermark, behind which no event is accepted any more, has passed its last event by 2 hours. A later completion makes it completed.
CREATE MATERIALIZED VIEW silver.trip_states
  KEY (trip_id)
  COMMENT 'completed, open or dropped: one row per trip.'
AS
WITH heard AS (
  SELECT trip_id, max(event_timestamp) AS last_event_at, bool_or(event_name = 'trip_completed') AS completed
    FROM bronze.ride_events GROUP BY trip_id
)
SELECT trip_id, 'completed' AS state, last_event_at FROM heard WHERE completed
UNION ALL
SELECT trip_id, 'open', last_event_at FROM heard WHERE NOT completed AND last_event_at > watermark() - INTERVAL 2 HOUR
UNION ALL
SELECT trip_id, 'dropped', last_event_at FROM heard WHERE NOT completed AND last_event_at <= watermark() - INTERVAL 2 HOUR;
