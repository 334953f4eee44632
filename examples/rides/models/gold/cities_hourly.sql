-- What happened in each city in each hour. A trip belongs to the city of the zone it was picked up in, by the newest zones known, and
-- to the (UTC) hour it was requested in. When a zone moves to another city, its trips of all times move with it.
CREATE MATERIALIZED VIEW gold.cities_hourly
  KEY (city, hour)
  -- Gold keeps its last good rows while an hour of a city has no plausible revenue; it goes on when the payment is corrected.
  CONSTRAINT plausible_revenue EXPECT (revenue BETWEEN -100000 AND 1000000) ON VIOLATION FAIL UPDATE
  COMMENT 'Trips, money and waiting per city and hour of request.'
AS SELECT
  coalesce(z.city, '(unknown)')                                            AS city,
  date_trunc('hour', t.requested_at)                                       AS hour,
  -- Trips requested in this hour.
  count(*)                                                                 AS trips_requested,
  -- Of those, how many reached their destination, and of how many nothing was heard for 2 hours.
  count(*) FILTER (WHERE s.state = 'completed')                            AS trips_completed,
  count(*) FILTER (WHERE s.state = 'dropped')                              AS trips_dropped,
  -- Dollars paid for those trips, tips and surcharges included (reversed payments count negative).
  coalesce(sum(t.total_amount), 0)                                         AS revenue,
  -- Mean seconds from request to pickup, over the trips that started.
  avg(date_diff('millisecond', t.requested_at, t.started_at)) / 1000       AS average_wait_seconds
FROM silver.trips AS t
JOIN silver.trip_states AS s ON s.trip_id = t.trip_id
LEFT JOIN bronze.zones AS z ON z.zone_id = t.pickup_location_id
WHERE t.requested_at IS NOT NULL
GROUP BY ALL;
