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
  EXPECT_TRUE(plan.stages.empty());
  EXPECT_FALSE(plan.append_only);
}
INSTANTIATE_TEST_SUITE_P(
    , FullRefreshTest,
    testing::Values(
        RefreshCase{"GlobalWindow",
                    "SELECT k, ntile(4) OVER (ORDER BY ts) AS p FROM silver.changing",
                    "the window function ntile() looks at all rows"},
        RefreshCase{"GlobalProduct", "SELECT product(n) AS m FROM silver.changing",
                    "product() needs all rows of its group"},
        RefreshCase{"GlobalMaxOfStructs", "SELECT max(s) AS m FROM silver.changing",
                    "it compares values of type struct<a: int, b: string>"},
        RefreshCase{"GlobalAverageTime", "SELECT avg(ts) AS m FROM silver.changing",
                    "it adds up values of type timestamptz"},
        RefreshCase{"ScalarRow",
                    "SELECT k FROM silver.changing WHERE n = (SELECT n FROM "
                    "silver.changing WHERE id = 1)",
                    "its subquery may give several rows for one outside; LIMIT 1 or an "
                    "aggregate makes them one"},
        RefreshCase{"Recursive",
                    "WITH RECURSIVE r AS (SELECT id FROM silver.changing UNION SELECT id "
                    "- 1 FROM r WHERE id > 0) SELECT * FROM r",
                    "it has a recursive query"},
        RefreshCase{"Values", "SELECT * FROM (VALUES (1)) t(a)",
                    "it does not read a table"},
        RefreshCase{"Columns", "SELECT COLUMNS('k|n') FROM silver.changing",
                    "it uses COLUMNS(…) or RENAME"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weir::plan
