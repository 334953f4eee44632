-- One row per person. A visitor of whom nothing is known but a device has a profile, too; it merges into another one at the first login.
CREATE MATERIALIZED VIEW gold.profiles
  KEY (unified_id)
  COMMENT 'What all channels know of a person.'
AS SELECT
  i.unified_id,
  count(DISTINCT r.source || ' ' || r.source_id)                              AS records,
  -- Customers of the CRM; two and more are duplicates in the CRM.
  count(*) FILTER (WHERE r.source = 'crm')                                 AS accounts,
  -- The newest known.
  arg_max(r.email, r.last_seen)                                            AS email,
  arg_max(r.phone, r.last_seen)                                            AS phone,
  bool_or(r.email IS NOT NULL OR r.phone IS NOT NULL)                      AS is_known,
  min(r.first_seen)                                                        AS first_seen,
  max(r.last_seen)                                                         AS last_seen,
  -- Of web site, app and call centre.
  sum(r.events)                                                            AS events,
  -- Dollars spent on the web site.
  sum(r.amount)                                                            AS amount
FROM silver.records AS r
JOIN silver.identities AS i ON i.source = r.source AND i.source_id = r.source_id
GROUP BY i.unified_id;
