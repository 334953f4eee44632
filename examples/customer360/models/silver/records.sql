-- What each record of each channel says of who it is: one row per record and set of values.
-- A browser is a record of the web site, a handset one of the app (when the app does not tell it, the phone number is), a call one of
-- the call centre, and a customer, by what the CRM knows of it now, one of the CRM.
CREATE MATERIALIZED VIEW silver.records
  COMMENT 'Records of all channels with their identifiers.'
AS
SELECT 'web' AS source, device_id AS source_id, email_key(email) AS email, CAST(NULL AS VARCHAR) AS phone, device_id,
       min(occurred_at) AS first_seen, max(occurred_at) AS last_seen, count(*) AS events, coalesce(sum(amount), 0) AS amount
  FROM bronze.web_events GROUP BY device_id, email_key(email)
UNION ALL
SELECT 'app', coalesce(device_id, phone_key(phone)), email_key(email), phone_key(phone), device_id,
       min(occurred_at), max(occurred_at), count(*), 0
  FROM bronze.mobile_events GROUP BY device_id, phone_key(phone), email_key(email)
UNION ALL
SELECT 'call', call_id, email_key(email), phone_key(phone), NULL, called_at, called_at, 1, 0
  FROM bronze.calls
UNION ALL
SELECT 'crm', c.customer_id, c.email, c.phone, NULL, f.first_seen, c.updated_at, 0, 0
  FROM silver.customers AS c
  JOIN (SELECT customer_id, min(updated_at) AS first_seen FROM bronze.crm_changes GROUP BY customer_id) AS f
    ON f.customer_id = c.customer_id;
