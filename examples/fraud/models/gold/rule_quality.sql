-- How good each rule is, measured on the labels: what it caught of its own pattern, and how often it cried wolf.
CREATE MATERIALIZED VIEW gold.rule_quality
  KEY (rule)
  COMMENT 'Recall and false positives per rule.'
AS
WITH alerts AS (
  SELECT a.rule, count(*) AS alerts, count(l.transaction_id) AS alerts_on_fraud, count(*) FILTER (WHERE l.pattern = a.rule) AS caught
    FROM gold.alerts AS a LEFT JOIN bronze.fraud_labels AS l ON a.transaction_id = l.transaction_id
   GROUP BY a.rule
), planted AS (
  SELECT l.pattern AS rule, count(*) AS fraud, sum(t.amount) AS fraud_amount
    FROM bronze.fraud_labels AS l JOIN bronze.transactions AS t ON l.transaction_id = t.transaction_id
   GROUP BY l.pattern
)
SELECT coalesce(p.rule, a.rule)                         AS rule,
       coalesce(p.fraud, 0)                             AS fraud,
       coalesce(a.caught, 0)                            AS caught,
       coalesce(a.caught, 0) / p.fraud                  AS recall,
       coalesce(a.alerts, 0)                            AS alerts,
       coalesce(a.alerts - a.alerts_on_fraud, 0)        AS false_alarms,
       a.alerts_on_fraud / a.alerts                     AS precision,
       p.fraud_amount                                   AS fraud_amount
  FROM planted AS p FULL JOIN alerts AS a ON p.rule = a.rule;
