#include "flow/model_runner.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include "data/arrow.h"
#include "io/sim_io.h"
#include "plan/plan.h"
#include "sql/model.h"

namespace weir::flow {
namespace {

data::Schema Numbers() {
  data::Schema schema;
  schema.fields.push_back({"k", data::Simple(data::Kind::kInt64)});
  return schema;
}

data::Batch Range(int64_t from, int64_t to) {
  arrow::Int64Builder numbers;
  for (int64_t i = from; i < to; ++i) EXPECT_TRUE(numbers.Append(i).ok());
  return {arrow::RecordBatch::Make(data::ToArrow(Numbers()), to - from,
                                   {numbers.Finish().ValueOrDie()}),
          {}};
}

// An even share would be half of the memory, which the first of these two stages does not
// fit, and the second one needs next to nothing.
TEST(ModelRunnerTest, StagesShareTheMemoryByNeed) {
  constexpr int64_t kKeys = 20'000, kMemory = 3 << 20;
  std::vector<sql::SqlProblem> faults;
  auto model = sql::ParseModel(
      "m.sql",
      "CREATE MATERIALIZED VIEW g.m AS SELECT c, count(*) AS n FROM (SELECT k, count(*) "
      "AS c FROM b.t GROUP BY k) GROUP BY c",
      &faults);
  ASSERT_TRUE(model.has_value());
  std::vector<sql::Model> models;
  models.push_back(*std::move(model));
  std::vector<plan::PlanProblem> problems;
  const auto plan = plan::MakePlan({{"b.t", Numbers(), {"k"}, {}, false}},
                                   std::move(models), &problems);
  ASSERT_TRUE(plan.has_value());

  io::SimIo io;
  ASSERT_TRUE(io.CreateDirs("/s").ok());
  const auto store = *state::Store::Open(io, "/s", Epoch{0}, {.deterministic = true});
  ShardPool pool(1);
  SystemClock clock;
  const auto runner = *ModelRunner::New(plan->models[0], {{"b.t", Numbers()}}, pool,
                                        *store, {}, kMemory, clock);
  Changes changes{{"b.t", {Range(0, kKeys)}}}, out;
  ASSERT_TRUE(runner->Process(changes, &out).ok());
  state::Delta delta;
  ASSERT_TRUE(runner->Checkpoint(delta).ok());
  ASSERT_TRUE(store->Apply(delta, Epoch{1}).ok());
  runner->Committed();
  const ModelWork work = runner->work();
  int64_t most = 0, keys = 0;
  for (const StageWork& stage : work.stages) {
    most = std::max(most, stage.memory_bytes);
    keys = std::max(keys, stage.memory_keys);
  }
  EXPECT_GT(most, kMemory / 2);
  EXPECT_LE(most, kMemory);
  EXPECT_EQ(keys, kKeys);
}

}  // namespace
}  // namespace weir::flow
