-- One row per transaction with what is known of its user at that moment, by event time: transactions that arrive late change the
-- features of those after them, and of no others. "Earlier" is by (made_at, transaction_id).
CREATE MATERIALIZED VIEW silver.transaction_features
  KEY (transaction_id)
  PARTITIONED BY (day(made_at))
  COMMENT 'A transaction and the features that the rules look at.'
AS SELECT
  transaction_id, user_id, merchant_id, amount, device_id, latitude, longitude, made_at,
  -- The user's other transactions of the 30 days up to this moment: how many, and their sum in dollars. Rules compare the sum, which
  -- is exact; the average is for people.
  count(*) OVER month - 1                                                  AS transactions_30d,
  CAST(sum(amount) OVER month - amount AS DECIMAL(18,2))                   AS amount_30d,
  (sum(amount) OVER month - amount) / nullif(count(*) OVER month - 1, 0)   AS average_30d,
  -- The user's other transactions of the hour up to this moment.
  count(*) OVER hour - 1                                                   AS transactions_1h,
  -- The transaction before this one; NULL for a user without history.
  lag(made_at) OVER history                                                AS previous_at,
  lag(latitude) OVER history                                               AS previous_latitude,
  lag(longitude) OVER history                                              AS previous_longitude
FROM bronze.transactions
WINDOW history AS (PARTITION BY user_id ORDER BY made_at, transaction_id),
       month AS (PARTITION BY user_id ORDER BY made_at RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW),
       hour AS (PARTITION BY user_id ORDER BY made_at RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW);
