-- The CRM's customers as they are. A missing value does not replace a known one, whatever comes late.
CREATE STREAMING TABLE silver.customers
  KEY (customer_id)
  COMMENT 'What the CRM knows of its customers.';
CREATE FLOW customers AS AUTO CDC INTO silver.customers FROM silver.crm_changes
  KEYS (customer_id)
  SEQUENCE BY updated_at
  APPLY AS DELETE WHEN op = 'delete'
  IGNORE NULL UPDATES
  COLUMNS (customer_id, name, email, phone, city, updated_at)
  STORED AS SCD TYPE 1;
