-- One row per transaction and rule it breaks.
CREATE MATERIALIZED VIEW gold.alerts
  KEY (transaction_id, rule)
  PARTITIONED BY (day(made_at))
  COMMENT 'What the fraud team looks at.'
AS
SELECT transaction_id, 'amount_over_average' AS rule, user_id, merchant_id, amount, made_at FROM gold.scored_transactions WHERE amount_over_average
UNION ALL
SELECT transaction_id, 'impossible_travel' AS rule, user_id, merchant_id, amount, made_at FROM gold.scored_transactions WHERE impossible_travel
UNION ALL
SELECT transaction_id, 'new_device' AS rule, user_id, merchant_id, amount, made_at FROM gold.scored_transactions WHERE new_device
UNION ALL
SELECT transaction_id, 'velocity' AS rule, user_id, merchant_id, amount, made_at FROM gold.scored_transactions WHERE velocity;
