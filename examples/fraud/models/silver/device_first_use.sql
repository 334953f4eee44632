-- The first transaction of each user with each device.
CREATE MATERIALIZED VIEW silver.device_first_use
  KEY (user_id, device_id)
  COMMENT 'Which devices a user is known by, and since when.'
AS SELECT user_id, device_id, made_at AS first_used_at, transaction_id AS first_transaction_id
FROM bronze.transactions
QUALIFY row_number() OVER (PARTITION BY user_id, device_id ORDER BY made_at, transaction_id) = 1;
