-- Each sale with the click it is attributed to, by two models side by side: the last click of 7 days and the first of 30.
-- Of clicks in one millisecond the one with the greater click_id is the later. A sale without a click is kept, with nulls.
CREATE MATERIALIZED VIEW gold.attributed_conversions_user_level
  KEY (conversion_id)
  COMMENT 'One row per sale, with its last click of 7 days and its first click of 30 days.'
AS SELECT
  v.conversion_id,
  v.user_id,
  v.converted_at,
  v.amount,
  a.last_click_id,
  a.last_click_campaign,
  a.first_click_id,
  a.first_click_campaign,
  -- Clicks of the buyer in the 30 days before the sale.
  coalesce(a.clicks, 0)                                                    AS clicks_in_30_days
FROM bronze.conversions AS v
LEFT JOIN (
  SELECT conversion_id,
         arg_max(click_id, clicked_at) FILTER (WHERE within_7_days)        AS last_click_id,
         arg_max(campaign_id, clicked_at) FILTER (WHERE within_7_days)     AS last_click_campaign,
         arg_min(click_id, clicked_at)                                     AS first_click_id,
         arg_min(campaign_id, clicked_at)                                  AS first_click_campaign,
         count(*)                                                          AS clicks
    FROM silver.conversion_clicks GROUP BY conversion_id
) AS a ON a.conversion_id = v.conversion_id;
