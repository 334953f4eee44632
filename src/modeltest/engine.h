// A plan at work without sources and tables: model runners over a state store in memory,
// and DuckDB as the judge.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "flow/model_runner.h"
#include "flow/shard_pool.h"
#include "io/sim_io.h"
#include "modeltest/content.h"
#include "plan/plan.h"
#include "state/state.h"

namespace weir::modeltest {

using flow::Changes;  // by table

struct EngineOptions {
  int shards = 1;
  int64_t memory_max = 64 << 20;  // of each model
  uint64_t seed = 1;              // of the order in which DuckDB gets rows
};

// DuckDB runs the completed SQL of every model over all rows of the inputs. Rows come to
// it in random order: the answer must not depend on it.
class Oracle {
 public:
  static Result<std::unique_ptr<Oracle>> Open(const plan::Plan& plan, uint64_t seed);
  // What every kept model holds when the sources hold `sources`. An Error is DuckDB's.
  Result<std::map<std::string, data::Batch>> Answers(
      const std::map<std::string, Content>& sources);
  // What watermark() is from now on; kNoTime: NULL. Another one than before costs a new
  // session.
  Status SetWatermark(Micros time);
  // One model over its direct inputs.
  Result<data::Batch> Answer(const plan::ModelPlan& model,
                             const std::map<std::string, Content>& tables);

 private:
  explicit Oracle(const plan::Plan& plan, uint64_t seed) : plan_(plan), random_(seed) {}
  Result<data::Batch> Run(const plan::ModelPlan& model);

  const plan::Plan plan_;
  std::mt19937_64 random_;
  Micros watermark_ = kNoTime;
  std::unique_ptr<duck::Session> session_;
  std::map<std::string, std::unique_ptr<duck::Prepared>> statements_;  // by model
};

// All kept models of a plan. A model that is refreshed as a whole is computed by DuckDB
// and gives out the difference, so that what reads it is kept as in a running platform.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Open(const plan::Plan& plan,
                                              EngineOptions options);
  ~Engine();

  // What watermark() is from the next step on. It never falls, but back to that of the
  // last commit by a crash.
  Status SetWatermark(Micros time);
  // One step: takes the sources' changes, and returns those of the models.
  Result<Changes> Step(const Changes& sources);
  // The state of now is put aside …
  Status Checkpoint();
  // … and made durable.
  Status Commit();
  // Everything since the last checkpoint that was committed is forgotten, and all is
  // built anew from the store.
  Status Crash();

  // What every table holds after the last step, as the sum of its changes.
  const std::map<std::string, Content>& tables() const { return tables_; }
  int64_t state_bytes() const;

 private:
  Engine(const plan::Plan& plan, EngineOptions options);
  Status Start();
  Status Build();

  const plan::Plan plan_;
  const EngineOptions options_;
  SystemClock clock_;
  io::SimIo io_;
  flow::ShardPool pool_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<Oracle> refresh_;
  std::map<std::string, std::unique_ptr<flow::ModelRunner>> runners_;
  std::map<std::string, Content> tables_, committed_;
  struct Pending {
    state::Delta delta;
    std::map<std::string, Content> tables;
    Micros watermark = kNoTime;
  };
  std::optional<Pending> pending_;
  bool fresh_ = true, committed_fresh_ = true, pending_fresh_ = true;  // no step yet
  Micros watermark_ = kNoTime, committed_watermark_ = kNoTime;
  bool time_passed_ = false;  // since the last step
};

// The schema of a source or model.
const data::Schema* SchemaOf(const plan::Plan& plan, const std::string& table);
// Whether a model is kept as a table.
bool IsKept(const plan::ModelPlan& model);

}  // namespace weir::modeltest
