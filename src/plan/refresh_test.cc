// What is refreshed whole, and why.
#include <gtest/gtest.h>

#include "plan/plan.h"
#include "plan/testing_internal.h"

namespace weir::plan {
namespace {

struct RefreshCase {
  const char *name, *body, *why;
};
class FullRefreshTest : public testing::TestWithParam<RefreshCase> {};
TEST_P(FullRefreshTest, SaysWhyInWords) {
  const ModelPlan plan = PlanBody(GetParam().body);
  EXPECT_EQ(plan.kind, BlockKind::kFullRefresh);
  EXPECT_EQ(plan.why_not_better, GetParam().why);
  EXPECT_EQ(plan.pre_sql, "");
  EXPECT_FALSE(plan.append_only);
}
INSTANTIATE_TEST_SUITE_P(
    , FullRefreshTest,
    testing::Values(
        RefreshCase{"Join",
                    "SELECT c.k FROM silver.changing c JOIN bronze.ride_events e ON c.k "
                    "= e.trip_id",
                    "it joins tables"},
        RefreshCase{"Union",
                    "SELECT k FROM silver.changing UNION SELECT k FROM silver.changing",
                    "it combines queries with UNION, INTERSECT, EXCEPT or recursion"},
        RefreshCase{"Window",
                    "SELECT k, lag(n) OVER (ORDER BY ts) AS p FROM silver.changing",
                    "it uses the window function lag()"},
        RefreshCase{"Limit", "SELECT k FROM silver.changing LIMIT 3",
                    "it has LIMIT over the whole table"},
        RefreshCase{"CountDistinct", "SELECT count(DISTINCT k) AS c FROM silver.changing",
                    "count(DISTINCT …) is not kept incrementally yet"},
        RefreshCase{"Median", "SELECT median(n) AS m FROM silver.changing",
                    "the aggregate median() is not kept incrementally yet"},
        RefreshCase{"List", "SELECT k, list(n) AS m FROM silver.changing GROUP BY k",
                    "the aggregate list() is not kept incrementally yet"},
        RefreshCase{"Rollup",
                    "SELECT k, count(*) AS c FROM silver.changing GROUP BY ROLLUP (k)",
                    "it has GROUPING SETS, ROLLUP or CUBE"},
        RefreshCase{"TwoLevels",
                    "SELECT max(c) AS m FROM (SELECT count(*) AS c FROM silver.changing "
                    "GROUP BY k)",
                    "it aggregates in a subquery"},
        RefreshCase{"ScalarSubquery",
                    "SELECT k FROM silver.changing WHERE n > (SELECT avg(n) FROM "
                    "silver.changing)",
                    "it has a subquery in an expression"},
        RefreshCase{"Rank",
                    "SELECT k FROM silver.changing QUALIFY rank() OVER (PARTITION BY k "
                    "ORDER BY n) = 1",
                    "its QUALIFY is not row_number() OVER (…) <= n"},
        RefreshCase{"NestedMax", "SELECT max(s) AS m FROM silver.changing",
                    "it compares values of type struct<a: int, b: string>"},
        RefreshCase{"AverageTime", "SELECT avg(ts) AS m FROM silver.changing",
                    "it adds up values of type timestamptz"},
        RefreshCase{"Values", "SELECT * FROM (VALUES (1)) t(a)",
                    "it does not read a table"},
        RefreshCase{"Columns", "SELECT COLUMNS('k|n') FROM silver.changing",
                    "it uses COLUMNS(…), REPLACE or RENAME"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weir::plan
