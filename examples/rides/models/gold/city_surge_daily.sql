-- Whether a surcharge changes what riders do: fares and completion with and without one, per city and (UTC) day of request.
CREATE MATERIALIZED VIEW gold.city_surge_daily
  KEY (city, day)
  COMMENT 'Fares and completion of trips with and without surge, per city and day.'
AS SELECT
  coalesce(z.city, '(unknown)')                                            AS city,
  CAST(requested_at AS DATE)                                               AS day,
  -- Trips requested this day.
  count(*)                                                                 AS trips,
  -- The share of them that was offered with a surcharge.
  count(*) FILTER (WHERE surge_amount > 0) / count(*)                      AS surge_share,
  -- Mean fare in dollars of the paid trips offered with, and of those offered without a surcharge.
  avg(fare_amount) FILTER (WHERE surge_amount > 0)                         AS average_fare_with_surge,
  avg(fare_amount) FILTER (WHERE surge_amount <= 0)                         AS average_fare_without_surge,
  -- The share that reached its destination, of the trips offered with, and of those offered without a surcharge.
  count(completed_at) FILTER (WHERE surge_amount > 0)
    / nullif(count(*) FILTER (WHERE surge_amount > 0), 0)                  AS completion_rate_with_surge,
  count(completed_at) FILTER (WHERE surge_amount <= 0)
    / nullif(count(*) FILTER (WHERE surge_amount <= 0), 0)                  AS completion_rate_without_surge
FROM silver.trips
LEFT JOIN bronze.zones AS z ON z.zone_id = pickup_location_id
WHERE requested_at IS NOT NULL
GROUP BY ALL;
