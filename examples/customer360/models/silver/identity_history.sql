-- Which unified id a record had when: a merge ends the younger one's id at the moment of the link, a split begins a new one. What arrives late
-- changes the history from its own time on, so this is what would have been known had nothing been late.
CREATE MATERIALIZED VIEW silver.identity_history
  KEY (source, source_id, valid_from)
  COMMENT 'The unified ids of every record, with validity.'
AS SELECT source, source_id, unified_id, valid_from, valid_to
  FROM RESOLVE_HISTORY(TABLE silver.claims, RECORD (source, source_id), BY (email, phone, device_id), SEQUENCE BY first_seen,
                       VALID (valid_from, valid_to), MAX 12);
