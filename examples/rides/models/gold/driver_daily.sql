-- What each driver did each (UTC) day. A trip belongs to the day it started on; trips that never started are nobody's work.
CREATE MATERIALIZED VIEW gold.driver_daily
  KEY (driver_id, day)
  COMMENT 'Work and revenue per driver and day.'
AS SELECT
  driver_id,
  CAST(started_at AS DATE)                                                 AS day,
  -- Trips started this day.
  count(*)                                                                 AS trips,
  -- Minutes with a rider on board: started to completed, over the completed trips.
  sum(date_diff('millisecond', started_at, completed_at)) / 60000          AS busy_minutes,
  -- Busy time as a share of the working time, which goes from the first assignment to the last payment of the day's trips.
  sum(date_diff('millisecond', started_at, completed_at))
    / nullif(date_diff('millisecond', min(assigned_at), max(paid_at)), 0)  AS utilisation,
  -- Dollars paid for the day's trips, tips and surcharges included.
  sum(total_amount)                                                        AS revenue
FROM silver.trips
WHERE started_at IS NOT NULL AND driver_id IS NOT NULL
GROUP BY driver_id, CAST(started_at AS DATE);
