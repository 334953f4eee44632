-- Each sale with all clicks of its buyer in the 30 days before it: the one expensive join, made once. What counts as last or first
-- click is decided on it by light models. Both edges of a window belong to it: a click exactly 30 days before the sale is in.
CREATE MATERIALIZED VIEW silver.conversion_clicks
  KEY (conversion_id, click_id)
  COMMENT 'Sales with the clicks of their buyers in the 30 days before.'
AS SELECT
  v.conversion_id,
  c.click_id,
  c.campaign_id,
  c.clicked_at,
  c.clicked_at >= v.converted_at - INTERVAL 7 DAY                          AS within_7_days
FROM bronze.conversions AS v
JOIN bronze.clicks AS c
  ON c.user_id = v.user_id AND c.clicked_at <= v.converted_at AND c.clicked_at >= v.converted_at - INTERVAL 30 DAY;
