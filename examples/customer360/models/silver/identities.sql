-- Who is who: records that share an e-mail address, a phone number or a device are one person, and so are records that lead to each
-- other over several steps. An identity is named by its oldest record, so when two merge the older id stays. A value that more than 12
-- records carry links nobody: it is a call centre's phone or the like (gold.shared_identifiers lists them).
CREATE MATERIALIZED VIEW silver.identities
  COMMENT 'The unified id of every record.'
AS SELECT source, source_id, unified_id
  FROM RESOLVE(TABLE silver.records, RECORD (source, source_id), BY (email, phone, device_id), SEQUENCE BY first_seen, MAX 12);
