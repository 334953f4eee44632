-- What is known of each user now: the row that a decision looks up.
CREATE MATERIALIZED VIEW gold.user_profile
  KEY (user_id)
  COMMENT 'Known devices, last place, last transaction of a user.'
AS SELECT user_id,
          count(*)                                        AS transactions,
          count(DISTINCT device_id)                       AS devices,
          list(DISTINCT device_id ORDER BY device_id)     AS known_devices,
          max(made_at)                                    AS last_made_at,
          arg_max(latitude, made_at)                     AS last_latitude,
          arg_max(longitude, made_at)                    AS last_longitude,
          max(amount)                                     AS highest_amount
     FROM bronze.transactions
    GROUP BY user_id;
