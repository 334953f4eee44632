-- What another factor in the rule "more than five times the average" would do: fraud of that pattern caught, false alarms raised.
-- Missing a fraud weighs 25 times as much as a false alarm.
CREATE MATERIALIZED VIEW gold.threshold_sweep
  KEY (threshold)
  COMMENT 'The amount rule at other thresholds.'
AS
WITH judged AS (
  SELECT s.transaction_id, s.times_average, l.pattern, (l.transaction_id IS NOT NULL) AS is_fraud
    FROM gold.scored_transactions AS s LEFT JOIN bronze.fraud_labels AS l ON s.transaction_id = l.transaction_id
   WHERE s.times_average > 2 OR l.pattern = 'amount_over_average'
)
SELECT t.threshold,
       count(*) FILTER (WHERE pattern = 'amount_over_average' AND times_average > t.threshold)                       AS caught,
       count(*) FILTER (WHERE pattern = 'amount_over_average' AND NOT coalesce(times_average > t.threshold, false))   AS missed,
       count(*) FILTER (WHERE NOT is_fraud AND times_average > t.threshold)                                          AS false_alarms,
       25 * count(*) FILTER (WHERE pattern = 'amount_over_average' AND NOT coalesce(times_average > t.threshold, false))
         + count(*) FILTER (WHERE NOT is_fraud AND times_average > t.threshold)                                      AS cost
  FROM judged CROSS JOIN (VALUES (3), (4), (5), (6), (8), (10)) AS t(threshold)
 GROUP BY t.threshold;
