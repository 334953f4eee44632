-- Who is in which experiment. Nobody may be in two variants: whom the experiment service gave two is in "gold.experiment_subjects$rejected",
-- and an event tells of it; silver.valid_assignments keeps the first.
CREATE MATERIALIZED VIEW gold.experiment_subjects
  KEY (experiment, subject)
  CONSTRAINT one_variant EXPECT (variants = 1) ON VIOLATION QUARANTINE
  COMMENT 'Subjects of experiments, each in one variant.'
AS SELECT experiment, subject,
          count(DISTINCT variant)                     AS variants,
          min(assigned_at)                            AS first_assigned_at,
          max(assigned_at)                            AS last_assigned_at
     FROM bronze.assignments
    GROUP BY experiment, subject;
