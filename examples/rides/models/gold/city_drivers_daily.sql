-- How busy drivers are in each city each (UTC) day. A trip belongs to the day it started on and to the city it was picked up in.
CREATE MATERIALIZED VIEW gold.city_drivers_daily
  KEY (city, day)
  COMMENT 'Drivers, trips and utilisation per city and day.'
AS SELECT
  city,
  day,
  -- Drivers with a trip from this city on this day.
  count(*)                                                                 AS drivers,
  sum(trips)                                                               AS trips,
  -- Minutes with a rider on board, over the completed trips.
  coalesce(sum(busy), 0) / 60000                                           AS busy_minutes,
  -- Of the time that drivers were at work, the share with a rider on board. A driver is at work from the first assignment to the
  -- last payment of the day's trips from this city.
  coalesce(sum(busy), 0) / nullif(sum(working), 0)                         AS utilisation
FROM (
  SELECT coalesce(z.city, '(unknown)')                                     AS city,
         CAST(t.started_at AS DATE)                                        AS day,
         t.driver_id,
         count(*)                                                          AS trips,
         sum(date_diff('millisecond', t.started_at, t.completed_at))       AS busy,
         date_diff('millisecond', min(t.assigned_at), max(t.paid_at))      AS working
    FROM silver.trips AS t
    LEFT JOIN bronze.zones AS z ON z.zone_id = t.pickup_location_id
   WHERE t.started_at IS NOT NULL AND t.driver_id IS NOT NULL
   GROUP BY ALL
)
GROUP BY city, day;
