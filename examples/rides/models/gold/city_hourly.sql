-- What happened in each part of the city in each hour. A trip belongs to the zone it was picked up in and to the (UTC) hour it was
-- requested in; a trip whose request is not known yet belongs to no hour and is not counted.
CREATE MATERIALIZED VIEW gold.city_hourly
  KEY (pickup_location_id, hour)
  COMMENT 'Trips, money and waiting per pickup zone and hour of request.'
AS SELECT
  pickup_location_id,
  date_trunc('hour', requested_at)                                         AS hour,
  -- Trips requested in this hour.
  count(*)                                                                 AS trips_requested,
  -- Of those, how many reached their destination.
  count(completed_at)                                                      AS trips_completed,
  -- Of those, how many have not (yet): cancelled ones and ones under way.
  count(*) - count(completed_at)                                           AS trips_open,
  -- Dollars paid for those trips, tips and surcharges included (reversed payments count negative).
  sum(total_amount)                                                        AS revenue,
  -- Mean fare in dollars over the paid trips, without tips and surcharges.
  avg(fare_amount)                                                         AS average_fare,
  -- Mean seconds from request to pickup, over the trips that started.
  avg(date_diff('millisecond', requested_at, started_at)) / 1000           AS average_wait_seconds,
  -- Mean surcharge in dollars announced with the request.
  avg(surge_amount)                                                        AS surge
FROM silver.trips
WHERE requested_at IS NOT NULL
GROUP BY pickup_location_id, date_trunc('hour', requested_at);
