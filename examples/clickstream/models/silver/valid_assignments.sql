-- The assignments that count: the first variant a subject gets in an experiment is the one it keeps. A second one is a fault of the
-- experiment service (gold."experiment_subjects$rejected") and changes nothing.
CREATE MATERIALIZED VIEW silver.valid_assignments
  KEY (experiment, subject, assigned_at)
  COMMENT 'One variant per subject and experiment.'
AS SELECT experiment, subject, assigned_at, variant
     FROM bronze.assignments
  QUALIFY row_number() OVER (PARTITION BY experiment, subject ORDER BY assigned_at, assignment_id) = 1;
