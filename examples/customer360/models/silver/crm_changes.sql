CREATE VIEW silver.crm_changes AS
SELECT customer_id, op, updated_at, name, nullif(lower(trim(email)), '') AS email, nullif(right(regexp_replace(phone, '[^0-9]', '', 'g'), 10), '') AS phone, city
  FROM bronze.crm_changes;
