// One model at work: its plan's SQL pieces and operator, on every shard.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/batch.h"
#include "duck/duck.h"
#include "flow/shard_pool.h"
#include "flow/violations.h"
#include "ops/operator.h"
#include "plan/plan.h"
#include "state/state.h"

namespace weir::flow {

// What a stage of a model did so far in this process, and what it holds in memory.
struct StageWork {
  int64_t rows_in = 0, rows_out = 0;  // changed rows
  Micros time = 0;                    // of all shards together with waiting for them
  int64_t memory_keys = 0, memory_bytes = 0;
};
struct ModelWork {
  int64_t steps = 0, rows_in = 0, rows_out = 0;
  Micros time = 0;
  std::vector<StageWork> stages;
};

// The changes of tables, by name.
using Changes = std::map<std::string, std::vector<data::Batch>>;

// Keeps one model that has stages (not a full refresh). Used by the flow's thread; the
// shards' parts of a call run on the pool.
class ModelRunner {
 public:
  // `inputs`: the schemas of all tables the plan reads.
  static Result<std::unique_ptr<ModelRunner>> New(
      const plan::ModelPlan& plan, const std::map<std::string, data::Schema>& inputs,
      ShardPool& pool, state::Store& store, const duck::InstanceOptions& duck,
      int64_t memory_max, Clock& clock);

  // Forgets what it took in since the last commit.
  Status Reopen();

  // Whether one of the model's inputs is among them.
  bool Reads(const Changes& changes) const;
  // Takes the changes of the inputs of one step, all of them at once, so that the output
  // never shows one without the other; adds the changes of the model's table and of its
  // `$rejected`. Other tables' changes are passed over.
  Status Process(const Changes& changes, Changes* out);
  // Whether rows of the model come and go as the watermark passes: Process then has
  // output also without changes.
  bool follows_time() const;
  // What watermark() is from the next Process on. It never falls.
  void SetWatermark(Micros time) { watermark_ = time; }
  // kInvalid: rows violate a constraint ON VIOLATION FAIL UPDATE, so what came out since
  // the last commit must not be committed.
  Status Judge() const;
  Status Checkpoint(state::Delta& delta);
  // The delta of the last checkpoint is committed: what is over the memory budget goes.
  void Committed();
  // The rows that violate each of the model's constraints, in their order.
  const Violations& violations() const { return violations_; }

  const plan::ModelPlan& plan() const { return plan_; }
  ModelWork work() const;
  // The same as `weir explain --analyze` reads it (docs/formats/system_tables.md).
  std::string WorkJson() const;
  int64_t state_bytes() const;
  // Where the operators' states are kept: names that begin so.
  static std::string StateSpace(std::string_view model, std::string_view fingerprint);
  static std::string StageSpace(const plan::ModelPlan& plan, size_t stage);

 private:
  struct PortAtWork {
    std::unique_ptr<duck::Prepared> fast;  // null: there is none
    std::unique_ptr<duck::Prepared> sql;   // null: a projection, or not needed so far
    bool failed = false;                   // fast, for rows of this step
    std::vector<data::Batch> rows, exchanged;
  };
  struct StageAtWork {
    std::vector<PortAtWork> ports;
    std::unique_ptr<duck::Prepared> recompute;
    std::unique_ptr<ops::Operator> op;  // null: rows go through
    std::vector<data::Batch> out;
  };
  struct Shard {
    std::unique_ptr<duck::Session> session;  // null: no SQL is needed
    std::vector<StageAtWork> stages;
    // Stages whose rows SQL reads. Once each: a statement keeps to the relation that was
    // declared when it was prepared.
    std::set<int> declared;
  };

  ModelRunner(const plan::ModelPlan& plan, std::map<std::string, data::Schema> inputs,
              ShardPool& pool, state::Store& store, duck::InstanceOptions duck,
              int64_t memory_max, Clock& clock)
      : plan_(plan),
        inputs_(std::move(inputs)),
        pool_(pool),
        store_(store),
        duck_(std::move(duck)),
        memory_max_(memory_max),
        clock_(clock),
        since_(clock.Now()),
        violations_(plan.model.constraints) {}
  Status OpenShard(Shard& shard);
  Status OpenStage(Shard& shard, size_t stage, int64_t memory_max);
  void ShareMemory(Shard& shard);
  Result<std::vector<data::Batch>> Recompute(
      Shard& shard, size_t stage, std::span<const std::vector<data::Batch>> ports);
  Status RunStage(size_t stage, const Changes& changes);
  Status Pre(Shard& shard, size_t stage, size_t port, std::vector<data::Batch> rows);
  Status Exchange(size_t stage);
  Status Operate(Shard& shard, size_t stage);

  const plan::ModelPlan plan_;
  const std::map<std::string, data::Schema> inputs_;
  ShardPool& pool_;
  state::Store& store_;
  const duck::InstanceOptions duck_;
  const int64_t memory_max_;
  Clock& clock_;
  const Micros since_;
  std::vector<std::shared_ptr<arrow::Schema>> outputs_;  // of the stages
  std::shared_ptr<arrow::Schema> output_;
  Violations violations_;
  std::vector<Shard> shards_;
  Micros watermark_ = kNoTime;
  ModelWork work_;
};

}  // namespace weir::flow
