-- Every event and experiment in which its viewer had a variant at that moment: the one of the user who was logged in, else of the device.
-- An assignment that arrives late amends the events since it took effect.
CREATE MATERIALIZED VIEW silver.exposures
  KEY (event_id, experiment)
  PARTITIONED BY (day(client_ts))
  COMMENT 'Events by variant of each experiment, valid at their time.'
AS
WITH event AS (
  SELECT e.event_id, e.user_id, e.device_id, e.kind, e.client_ts, e.seconds, x.experiment
    FROM bronze.player_events AS e CROSS JOIN (SELECT DISTINCT experiment FROM bronze.assignments) AS x
)
SELECT e.event_id, e.experiment,
       CASE WHEN u.variant IS NOT NULL THEN e.user_id ELSE e.device_id END AS subject,
       coalesce(u.variant, d.variant)                                      AS variant,
       u.variant IS NOT NULL                                               AS is_by_user,
       e.kind, e.client_ts, e.seconds
  FROM event AS e
  ASOF LEFT JOIN silver.valid_assignments AS u ON e.user_id = u.subject AND e.experiment = u.experiment AND e.client_ts >= u.assigned_at
  ASOF LEFT JOIN silver.valid_assignments AS d ON e.device_id = d.subject AND e.experiment = d.experiment AND e.client_ts >= d.assigned_at
 WHERE coalesce(u.variant, d.variant) IS NOT NULL;
