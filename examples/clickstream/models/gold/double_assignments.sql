-- Subjects that were given two variants of one experiment: nobody may be.
CREATE MATERIALIZED VIEW gold.double_assignments
  KEY (experiment, subject)
  COMMENT 'Subjects in two variants: faults of the experiment service.'
AS SELECT experiment, subject,
          count(DISTINCT variant)                     AS variants,
          min(assigned_at)                            AS first_assigned_at,
          max(assigned_at)                            AS last_assigned_at
     FROM bronze.assignments
    GROUP BY experiment, subject
   HAVING count(DISTINCT variant) > 1;
