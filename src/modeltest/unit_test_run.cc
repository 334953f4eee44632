#include <arrow/api.h>
#include <fmt/format.h>

#include <functional>
#include <set>

#include "data/arrow.h"
#include "modeltest/engine.h"
#include "modeltest/unit_test.h"

namespace weir::modeltest {
namespace {

// The plan of the model and of what it needs, down to the tables for which rows are given
// and to the sources.
Result<plan::Plan> PlanOf(const UnitTest& test, const plan::Plan& whole) {
  std::set<std::string> given;
  for (const UnitTestStep& step : test.steps) {
    for (const GivenRows& rows : step.given) given.insert(rows.table);
  }
  std::vector<plan::InputTable> sources = whole.sources;
  for (const std::string& table : given) {
    const plan::ModelPlan* model = whole.Find(table);
    if (model != nullptr)
      sources.push_back({table, model->output, model->key, {}, model->append_only});
  }
  std::vector<sql::Model> models;
  for (const plan::ModelPlan& model : whole.models) {
    if (!given.contains(model.model.name) && model.part_of.empty())
      models.push_back(model.model);
  }
  std::vector<plan::PlanProblem> problems;
  auto plan = plan::MakePlan(std::move(sources), std::move(models), &problems);
  if (!plan)
    return Invalid(problems.empty() ? "it cannot be planned"
                                    : fmt::format("{}:{}: {}", problems[0].file,
                                                  problems[0].problem.place.line,
                                                  problems[0].problem.message));
  // Models are in topological order: from the tested one backwards, what is needed.
  std::set<std::string> needed = {test.model};
  std::vector<plan::ModelPlan> kept;
  for (auto model = plan->models.rbegin(); model != plan->models.rend(); ++model) {
    if (!needed.contains(model->model.name) && !needed.contains(model->part_of)) continue;
    if (!model->part_of.empty()) needed.insert(model->part_of);
    needed.insert(model->inputs.begin(), model->inputs.end());
    kept.insert(kept.begin(), std::move(*model));
  }
  plan->models = std::move(kept);
  return *std::move(plan);
}

data::Batch Row(const data::Batch& batch, int64_t row) {
  return {batch.rows->Slice(row, 1), {}};
}

class Run {
 public:
  Run(const UnitTest& test, const plan::Plan& plan)
      : test_(test), plan_(plan), model_(*plan.Find(test.model)) {}

  UnitTestResult All() {
    if (Failed("all rows at once", Operators(/*row_by_row=*/false))) return result_;
    if (Failed("row by row", Operators(/*row_by_row=*/true))) return result_;
    Failed("DuckDB", Judge());
    return result_;
  }

 private:
  bool Failed(const char* how, const Status& status) {
    if (!status.ok()) result_.error = fmt::format("{}: {}", how, status.error().message);
    if (differs_) result_.how = how;
    return !result_.passed();
  }

  // Whether the rows of the model are those expected; tells how not.
  Result<bool> Equals(size_t step, const data::Batch& rows) {
    const UnitTestStep& expected = test_.steps[step];
    std::vector<int> columns;
    for (const std::string& name : expected.columns)
      columns.push_back(model_.output.IndexOf(name));
    const std::vector<double> tolerances(columns.size(), test_.tolerance);
    Unequal unequal = WEIR_TRY(Compare(expected.schema, expected.expected,
                                       data::SelectColumns(rows, columns), tolerances));
    if (unequal.none()) return true;
    differs_ = true;
    result_.step = step;
    result_.schema = expected.schema;
    result_.missing = std::move(unequal.only_a);
    result_.unexpected = std::move(unequal.only_b);
    return false;
  }

  Status Operators(bool row_by_row) {
    const auto engine = WEIR_TRY(Engine::Open(plan_, {}));
    for (size_t i = 0; i < test_.steps.size(); ++i) {
      const UnitTestStep& step = test_.steps[i];
      Changes changes;
      for (const GivenRows& given : step.given) {
        if (!row_by_row) changes[given.table].push_back(given.rows);
        for (int64_t row = 0; row_by_row && row < given.rows.num_rows(); ++row)
          WEIR_TRY(engine->Step({{given.table, {Row(given.rows, row)}}}));
      }
      if (!row_by_row) WEIR_TRY(engine->Step(changes));
      if (step.watermark != kNoTime) WEIR_TRY(engine->SetWatermark(step.watermark));
      WEIR_TRY(engine->Step({}));
      if (!WEIR_TRY(Equals(i, engine->tables().at(test_.model).rows()))) return {};
    }
    return {};
  }

  Status Judge() {
    const auto oracle = WEIR_TRY(Oracle::Open(plan_, /*seed=*/1));
    std::map<std::string, Content> sources;
    for (const plan::InputTable& source : plan_.sources)
      sources.emplace(data::LowerName(source.name), Content(source.schema));
    for (size_t i = 0; i < test_.steps.size(); ++i) {
      const UnitTestStep& step = test_.steps[i];
      for (const GivenRows& given : step.given)
        WEIR_TRY(sources.at(given.table).Add({given.rows}));
      if (step.watermark != kNoTime) WEIR_TRY(oracle->SetWatermark(step.watermark));
      const auto answers = WEIR_TRY(oracle->Answers(sources));
      if (!WEIR_TRY(Equals(i, answers.at(test_.model)))) return {};
    }
    return {};
  }

  const UnitTest& test_;
  const plan::Plan& plan_;
  const plan::ModelPlan& model_;
  UnitTestResult result_;
  bool differs_ = false;
};

}  // namespace

UnitTestResult RunUnitTest(const UnitTest& test, const plan::Plan& plan) {
  auto own = PlanOf(test, plan);
  if (!own.ok()) return {.error = own.error().message};
  return Run(test, *own).All();
}

}  // namespace weir::modeltest
