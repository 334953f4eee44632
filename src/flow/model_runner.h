// One model at work: its plan's SQL pieces and operator, on every shard.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/batch.h"
#include "duck/duck.h"
#include "flow/shard_pool.h"
#include "ops/operator.h"
#include "plan/plan.h"
#include "state/state.h"

namespace weir::flow {

// What a model did so far in this process.
struct ModelWork {
  int64_t rows_in = 0, rows_out = 0;
  Micros time = 0;
};

// Keeps one model whose block is incremental (not a full refresh). Used by the flow's
// thread; the shards' parts of a call run on the pool.
class ModelRunner {
 public:
  static Result<std::unique_ptr<ModelRunner>> New(const plan::ModelPlan& plan,
                                                  const data::Schema& input,
                                                  ShardPool& pool, state::Store& store,
                                                  const duck::InstanceOptions& duck,
                                                  int64_t memory_max, Clock& clock);

  // Takes the changes of the input of one step; adds the changes of the output.
  Status Process(const std::vector<data::Batch>& changes, std::vector<data::Batch>* out);
  Status Checkpoint(state::Delta& delta);
  // The delta of the last checkpoint is committed: what is over the memory budget goes.
  void Committed();

  const plan::ModelPlan& plan() const { return plan_; }
  const ModelWork& work() const { return work_; }
  int64_t state_bytes() const;
  int64_t state_keys() const;
  // Where the operator's state is kept.
  static std::string StateSpace(const plan::ModelPlan& plan);

 private:
  struct Shard {
    std::unique_ptr<duck::Session> session;
    std::unique_ptr<duck::Prepared> pre, post;
    std::unique_ptr<ops::Operator> op;
    std::vector<data::Batch> in, exchanged, out;
  };

  ModelRunner(const plan::ModelPlan& plan, ShardPool& pool, Clock& clock)
      : plan_(plan), pool_(pool), clock_(clock) {}
  Status OpenShard(Shard& shard, const data::Schema& input, state::Store& store,
                   const duck::InstanceOptions& duck, int64_t memory_max);
  bool NeedsPostSql() const;
  Result<std::vector<data::Batch>> Pre(Shard& shard, const data::Batch& batch);
  Status Exchange();
  Status Operate(Shard& shard);

  const plan::ModelPlan plan_;
  ShardPool& pool_;
  Clock& clock_;
  std::shared_ptr<arrow::Schema> output_;
  std::vector<Shard> shards_;
  ModelWork work_;
};

// `batch` with its weights as a last column `_weight`, and back. The schema of a relation
// that carries them.
Result<std::shared_ptr<arrow::RecordBatch>> WithWeightColumn(const data::Batch& batch);
Result<data::Batch> FromWeightColumn(const std::shared_ptr<arrow::RecordBatch>& rows);
data::Schema WithWeight(data::Schema schema);

}  // namespace weir::flow
