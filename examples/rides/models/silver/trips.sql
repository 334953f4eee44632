-- One row per trip, stitched from its events.
-- A stamp is the earliest event of its kind; every other field is the newest value known, by the time it happened (event_timestamp),
-- whatever order the events arrived in. A trip that was requested and never completed is a trip, too.
CREATE MATERIALIZED VIEW silver.trips
  KEY (trip_id)
  PARTITIONED BY (month(requested_at))
  COMMENT 'One row per trip, from its request to its payment.'
AS SELECT
  trip_id,
  arg_max(rider_id, event_timestamp)                                       AS rider_id,
  arg_max(driver_id, event_timestamp)                                      AS driver_id,
  arg_max(pickup_location_id, event_timestamp)                             AS pickup_location_id,
  arg_max(dropoff_location_id, event_timestamp)                            AS dropoff_location_id,
  min(event_timestamp) FILTER (WHERE event_name = 'trip_requested')        AS requested_at,
  min(event_timestamp) FILTER (WHERE event_name = 'driver_assigned')       AS assigned_at,
  min(event_timestamp) FILTER (WHERE event_name = 'driver_arrived')        AS arrived_at,
  min(event_timestamp) FILTER (WHERE event_name = 'trip_started')          AS started_at,
  min(event_timestamp) FILTER (WHERE event_name = 'trip_completed')        AS completed_at,
  min(event_timestamp) FILTER (WHERE event_name = 'payment_processed')     AS paid_at,
  arg_max(trip_distance, event_timestamp)                                  AS trip_distance,
  arg_max(fare_amount, event_timestamp)                                    AS fare_amount,
  arg_max(tip_amount, event_timestamp)                                     AS tip_amount,
  arg_max(total_amount, event_timestamp)                                   AS total_amount,
  arg_max(payment_type, event_timestamp)                                   AS payment_type,
  arg_max(surge_amount, event_timestamp)                                   AS surge_amount
FROM bronze.ride_events
GROUP BY trip_id;
