-- Identifiers that several profiles carry. Only those that too many records carry may be here (silver.identities links by all others):
-- an alarm for whoever keeps the channels.
CREATE MATERIALIZED VIEW gold.shared_identifiers
  KEY (kind, value)
  COMMENT 'Values that link nobody, because too many records carry them.'
AS SELECT
  v.kind                                                                   AS kind,
  v.value                                                                  AS value,
  count(DISTINCT source || ' ' || source_id)                               AS records,
  count(DISTINCT unified_id)                                               AS profiles
FROM (
  SELECT r.source, r.source_id, i.unified_id,
         unnest([{'kind': 'email', 'value': r.email}, {'kind': 'phone', 'value': r.phone}, {'kind': 'device_id', 'value': r.device_id}]) AS v
    FROM silver.records AS r
    JOIN silver.identities AS i ON i.source = r.source AND i.source_id = r.source_id
)
WHERE v.value IS NOT NULL
GROUP BY v.kind, v.value
HAVING count(DISTINCT unified_id) > 1;
