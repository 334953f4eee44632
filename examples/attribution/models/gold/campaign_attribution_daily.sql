-- What each campaign got each (UTC) day. Impressions and clicks belong to the day they happened on, a sale to the day of the sale;
-- sales that no click leads to stand under '(no click)'.
CREATE MATERIALIZED VIEW gold.campaign_attribution_daily
  KEY (campaign_id, day)
  COMMENT 'Impressions, clicks and attributed sales per campaign and day.'
AS SELECT
  campaign_id,
  day,
  count(*) FILTER (WHERE what = 'impression')                              AS impressions,
  count(*) FILTER (WHERE what = 'click')                                   AS clicks,
  -- Sales and dollars whose last click within 7 days was this campaign's.
  count(*) FILTER (WHERE what = 'last')                                    AS last_click_conversions,
  coalesce(sum(amount) FILTER (WHERE what = 'last'), 0)                    AS last_click_revenue,
  -- Sales and dollars whose first click within 30 days was this campaign's.
  count(*) FILTER (WHERE what = 'first')                                   AS first_click_conversions,
  coalesce(sum(amount) FILTER (WHERE what = 'first'), 0)                   AS first_click_revenue
FROM (
  SELECT campaign_id, CAST(seen_at AS DATE) AS day, 'impression' AS what, CAST(NULL AS DECIMAL(12, 2)) AS amount FROM bronze.impressions
  UNION ALL
  SELECT campaign_id, CAST(clicked_at AS DATE), 'click', NULL FROM bronze.clicks
  UNION ALL
  SELECT coalesce(last_click_campaign, '(no click)'), CAST(converted_at AS DATE), 'last', amount FROM gold.attributed_conversions_user_level
  UNION ALL
  SELECT coalesce(first_click_campaign, '(no click)'), CAST(converted_at AS DATE), 'first', amount FROM gold.attributed_conversions_user_level
)
GROUP BY campaign_id, day;
