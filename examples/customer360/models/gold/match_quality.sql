-- How good matching is, by the labels: one row.
CREATE MATERIALIZED VIEW gold.match_quality
  COMMENT 'Precision, recall and F1 of joined prospects.'
AS SELECT
  -- Pairs of records of one person, found or not.
  t.same_pairs,
  m.joined,
  m.joined_right,
  m.review,
  m.review_right,
  m.joined_right / nullif(m.joined, 0)                                     AS precision,
  m.joined_right / nullif(t.same_pairs, 0)                                 AS recall,
  2 * m.joined_right / nullif(m.joined + t.same_pairs, 0)                  AS f1
FROM (SELECT CAST(coalesce(sum(n * (n - 1) // 2), 0) AS BIGINT) AS same_pairs FROM (SELECT count(*) AS n FROM bronze.leads GROUP BY person)) AS t
CROSS JOIN (
  SELECT count(*) FILTER (WHERE decision = 'join')                         AS joined,
         count(*) FILTER (WHERE decision = 'join' AND is_same)             AS joined_right,
         count(*) FILTER (WHERE decision = 'review')                       AS review,
         count(*) FILTER (WHERE decision = 'review' AND is_same)           AS review_right
    FROM gold.lead_matches
) AS m;
