-- The identifiers of records and from when until when each carried them: a customer those of its versions, others what they said once.
-- first_seen is the age of the record: who names an identity does not change with a new phone number.
CREATE VIEW silver.claims AS
SELECT source, source_id, email, phone, device_id, first_seen, first_seen AS valid_from, CAST(NULL AS TIMESTAMPTZ) AS valid_to
  FROM silver.records WHERE source <> 'crm'
UNION ALL
SELECT 'crm', h.customer_id, h.email, h.phone, NULL, f.first_seen, h.__START_AT, h.__END_AT
  FROM silver.customer_history AS h
  JOIN (SELECT customer_id, min(updated_at) AS first_seen FROM bronze.crm_changes GROUP BY customer_id) AS f
    ON f.customer_id = h.customer_id;
