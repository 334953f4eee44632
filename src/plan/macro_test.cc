// Macros: where their faults point to, and what a change of one means for models.
#include "plan/testing_internal.h"
#include "sql/macros.h"

namespace weir::plan {
namespace {

std::optional<Plan> PlanOf(const std::string& functions, const std::string& model,
                           std::string* problems_text) {
  std::vector<PlanProblem> problems;
  auto models =
      sql::ParseModels({{"functions/f.sql", functions},
                        {"models/m.sql", "CREATE MATERIALIZED VIEW t.m AS\n" + model}},
                       &problems);
  std::optional<Plan> plan;
  if (problems.empty())
    plan = MakePlan({RideEvents(), Changing()}, std::move(models), &problems);
  *problems_text = Text(problems);
  return plan;
}

ModelPlan PlanWith(const std::string& functions, const std::string& model) {
  std::string problems;
  const auto plan = PlanOf(functions, model, &problems);
  EXPECT_EQ(problems, "");
  return plan ? plan->models.back() : ModelPlan();
}

TEST(MacroTest, TheCompletedQueryIsPlainSql) {
  const ModelPlan plan = PlanWith(
      "CREATE MACRO norm(x) AS lower(trim(x)); CREATE OR REPLACE MACRO "
      "norm_or(x, y) AS coalesce(norm(x), y);",
      "SELECT id, norm_or(k || 'a', '-') AS k FROM silver.changing");
  EXPECT_EQ(plan.completed_sql,
            "SELECT id, COALESCE(lower(main.\"trim\"((k || 'a'))), '-') AS k FROM "
            "silver.changing");
}

TEST(MacroTest, AChangedMacroChangesTheModelsThatUseIt) {
  const std::string uses = "SELECT id, twice(n) AS n FROM silver.changing",
                    other = "SELECT id, n AS n FROM silver.changing";
  const std::string a = "CREATE MACRO twice(x) AS x * 2",
                    b = "CREATE MACRO twice(x) AS x + x";
  EXPECT_NE(PlanWith(a, uses).fingerprint, PlanWith(b, uses).fingerprint);
  EXPECT_EQ(PlanWith(a, other).fingerprint, PlanWith(b, other).fingerprint);
}

TEST(MacroTest, ConstraintsAreExpandedToo) {
  std::vector<PlanProblem> problems;
  auto models = sql::ParseModels(
      {{"functions/f.sql", "CREATE MACRO sane(x) AS x BETWEEN 0 AND 1000"},
       {"models/m.sql",
        "CREATE MATERIALIZED VIEW t.m CONSTRAINT c EXPECT (sane(n)) AS SELECT id, n FROM "
        "silver.changing"}},
      &problems);
  const auto plan = MakePlan({Changing()}, std::move(models), &problems);
  ASSERT_EQ(Text(problems), "");
  EXPECT_EQ(plan->models[0].model.constraints[0].condition.find("sane"),
            std::string::npos);
}

struct FaultCase {
  const char *name, *functions, *model, *problems;
};
class MacroFaultTest : public testing::TestWithParam<FaultCase> {};
TEST_P(MacroFaultTest, PointsToTheMacroOrToTheCall) {
  std::string problems;
  EXPECT_FALSE(PlanOf(GetParam().functions, GetParam().model, &problems).has_value());
  EXPECT_EQ(problems, GetParam().problems);
}
constexpr const char* kModel = "SELECT id, m(n) AS x FROM silver.changing";
INSTANTIATE_TEST_SUITE_P(
    , MacroFaultTest,
    testing::Values(
        FaultCase{"Arguments", "CREATE MACRO m(a, b) AS a + b", kModel,
                  "models/m.sql:2:12: the macro m takes 2 arguments, 1 is given [write "
                  "m(a, b)]\n"},
        FaultCase{"Column", "CREATE MACRO m(a) AS\n  a + id", kModel,
                  "functions/f.sql:2:7: id is not a parameter of the macro m [give it as "
                  "an argument]\n"},
        FaultCase{"Clock", "CREATE MACRO m(a) AS\n  a + epoch(now())", kModel,
                  "functions/f.sql:2:13: now() gives another value at another time, so "
                  "the table could not stay equal to its query [compare with a time "
                  "column of the rows, or say NONDETERMINISTIC before AS]\n"},
        FaultCase{"ColumnOfArgument", "CREATE MACRO m(a) AS a + 1",
                  "SELECT id, m(nn) AS x FROM silver.changing",
                  "models/m.sql:2:14: Referenced column \"nn\" not found in FROM clause! "
                  "[did you mean n?]\n"},
        FaultCase{"Circle", "CREATE MACRO m(a) AS o(a); CREATE MACRO o(a) AS m(a)",
                  kModel,
                  "functions/f.sql:1:14: macros call each other in a circle: m → o → m "
                  "[a macro is put in the place of its call, so it must come to an "
                  "end]\n"},
        FaultCase{"BuiltIn", "CREATE MACRO lower(a) AS upper(a)",
                  "SELECT id FROM silver.changing",
                  "functions/f.sql:1:26: the macro lower has the name of a function of "
                  "SQL [call it my_lower, or what it is for]\n"},
        FaultCase{"Twice", "CREATE MACRO m(a) AS a;\nCREATE MACRO m(b) AS b", kModel,
                  "functions/f.sql:2:14: functions/f.sql defines the macro m too [rename "
                  "one]\n"},
        FaultCase{"Over", "CREATE MACRO m(a) AS sum(a)",
                  "SELECT m(n) OVER (PARTITION BY k) AS x FROM silver.changing",
                  "models/m.sql:2:13: m is a macro, which has no OVER [put OVER into the "
                  "macro]\n"},
        FaultCase{"Syntax", "CREATE MACRO m(a) AS a +", "SELECT id FROM silver.changing",
                  "functions/f.sql:1:25: macro m: syntax error at end of input\n"},
        FaultCase{"Subquery",
                  "CREATE MACRO m(a) AS (SELECT max(n) FROM silver.changing WHERE k = a)",
                  kModel,
                  "functions/f.sql:1:68: the parameter a stands in a subquery, where it "
                  "could mean a column [make it a macro AS TABLE, and join with that]\n"},
        FaultCase{"Type", "CREATE MACRO m(a INTEGER) AS a", kModel,
                  "functions/f.sql:1:18: expected ',' or ')', found 'INTEGER' [a "
                  "parameter is a name, without a type or a default value]\n"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weir::plan
