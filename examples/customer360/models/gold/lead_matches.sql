-- Prospects that may be the same person, by how alike they are. Only those of one block are compared: the same postcode or the same date
-- of birth. From 0.8 on they are joined, from 0.7 on somebody must look.
CREATE MATERIALIZED VIEW gold.lead_matches
  KEY (lead_a, lead_b)
  COMMENT 'Pairs of prospects that are alike.'
AS
WITH pairs AS (
  SELECT a.lead_id AS lead_a, b.lead_id AS lead_b FROM bronze.leads AS a JOIN bronze.leads AS b ON a.postcode = b.postcode AND a.lead_id < b.lead_id
  UNION
  SELECT a.lead_id, b.lead_id FROM bronze.leads AS a JOIN bronze.leads AS b ON a.birth_date = b.birth_date AND a.lead_id < b.lead_id
), scored AS (
  SELECT p.lead_a, p.lead_b, a.person = b.person AS is_same,
         -- Names may be swapped. What is missing says nothing: 0.5.
         0.3 * greatest(coalesce(jaro_winkler_similarity(a.given_name, b.given_name), 0.5) + coalesce(jaro_winkler_similarity(a.surname, b.surname), 0.5),
                        coalesce(jaro_winkler_similarity(a.given_name, b.surname), 0.5) + coalesce(jaro_winkler_similarity(a.surname, b.given_name), 0.5))
         + 0.2 * coalesce(jaro_winkler_similarity(a.street, b.street), 0.5)
         + 0.2 * coalesce(CAST(CAST(a.birth_date = b.birth_date AS INTEGER) AS DOUBLE), 0.5) AS score
    FROM pairs AS p
    JOIN bronze.leads AS a ON a.lead_id = p.lead_a
    JOIN bronze.leads AS b ON b.lead_id = p.lead_b
)
SELECT lead_a, lead_b, score, CASE WHEN score >= 0.8 THEN 'join' ELSE 'review' END AS decision, is_same
  FROM scored WHERE score >= 0.7;
