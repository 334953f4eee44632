-- Each transaction with its distance to the one before, whether its device is new, and which rules it breaks.
-- A user without history breaks none: there is no average, no place and no device to compare with.
CREATE MATERIALIZED VIEW gold.scored_transactions
  KEY (transaction_id)
  PARTITIONED BY (day(made_at))
  COMMENT 'A transaction, its features and the verdict of each rule.'
AS
WITH placed AS (
  SELECT f.*,
         -- Great-circle distance in miles (haversine, mean earth radius).
         CASE WHEN f.latitude + f.longitude + f.previous_latitude + f.previous_longitude IS NOT NULL THEN
           2 * 3958.7613 * asin(least(1.0, sqrt(
             pow(sin(radians(f.latitude - f.previous_latitude) / 2), 2)
             + cos(radians(f.previous_latitude)) * cos(radians(f.latitude)) * pow(sin(radians(f.longitude - f.previous_longitude) / 2), 2))))
         END AS miles_from_previous,
         date_diff('millisecond', f.previous_at, f.made_at) / 1000.0 AS seconds_since_previous,
         f.previous_at IS NOT NULL AND d.first_transaction_id IS NOT NULL AS is_new_device
    FROM silver.transaction_features AS f
    LEFT JOIN silver.device_first_use AS d
      ON f.user_id = d.user_id AND f.device_id = d.device_id AND f.transaction_id = d.first_transaction_id
)
SELECT transaction_id, user_id, merchant_id, amount, device_id, made_at,
       transactions_30d, average_30d, transactions_1h, miles_from_previous, seconds_since_previous,
       -- More than five times the average of the 30 days; exactly five times is not.
       transactions_30d > 0 AND amount * transactions_30d > 5 * amount_30d                         AS amount_over_average,
       -- More than 500 miles from the last transaction, within five minutes of it.
       coalesce(miles_from_previous > 500 AND seconds_since_previous <= 300, false)                 AS impossible_travel,
       -- A device that the user was never seen with.
       is_new_device                                                                               AS new_device,
       -- The tenth transaction within an hour, and those after it.
       transactions_1h >= 9                                                                        AS velocity,
       -- By how much the amount exceeds the average, for the sweep of thresholds.
       CASE WHEN amount_30d > 0 THEN CAST(amount * transactions_30d AS DOUBLE) / CAST(amount_30d AS DOUBLE) END AS times_average
  FROM placed;
