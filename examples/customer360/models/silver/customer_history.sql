-- Every version of a customer, from __START_AT until __END_AT (null: still valid). A late change lands between its neighbours.
CREATE STREAMING TABLE silver.customer_history
  COMMENT 'The versions of the CRM''s customers.';
CREATE FLOW customer_history AS AUTO CDC INTO silver.customer_history FROM silver.crm_changes
  KEYS (customer_id)
  SEQUENCE BY updated_at
  APPLY AS DELETE WHEN op = 'delete'
  IGNORE NULL UPDATES
  COLUMNS (customer_id, name, email, phone, city)
  STORED AS SCD TYPE 2;
