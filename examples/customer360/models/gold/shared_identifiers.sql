-- Identifiers that several profiles carry. Only those that too many records carry may be here (silver.identities links by all others):
-- an alarm for whoever keeps the channels.
CREATE MATERIALIZED VIEW gold.shared_identifiers
  KEY (kind, value)
  COMMENT 'Values that link nobody, because too many records carry them.'
AS SELECT
  kind,
  value,
  count(DISTINCT source || ' ' || source_id)                                  AS records,
  count(DISTINCT unified_id)                                               AS profiles
FROM (
  SELECT 'email' AS kind, r.email AS value, r.source, r.source_id, i.unified_id
    FROM silver.records AS r JOIN silver.identities AS i ON i.source = r.source AND i.source_id = r.source_id
  UNION ALL
  SELECT 'phone', r.phone, r.source, r.source_id, i.unified_id
    FROM silver.records AS r JOIN silver.identities AS i ON i.source = r.source AND i.source_id = r.source_id
  UNION ALL
  SELECT 'device_id', r.device_id, r.source, r.source_id, i.unified_id
    FROM silver.records AS r JOIN silver.identities AS i ON i.source = r.source AND i.source_id = r.source_id
)
WHERE value IS NOT NULL
GROUP BY kind, value
HAVING count(DISTINCT unified_id) > 1;
