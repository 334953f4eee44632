CREATE VIEW silver.crm_changes AS
SELECT customer_id, op, updated_at, name, email_key(email) AS email, phone_key(phone) AS phone, city
  FROM bronze.crm_changes;
