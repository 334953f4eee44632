// The models of the live lane: they take every change of every step, and what they make
// of it is committed with each epoch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "commit/committer.h"
#include "flow/behind.h"
#include "flow/frontier.h"
#include "flow/model_runner.h"
#include "flow/table_set.h"
#include "plan/plan.h"

namespace weir::flow {

inline constexpr const char* kLiveLane = "live";

// Used by the flow's thread. A model that fails is halted, with all that read it: they
// keep their last committed rows while the rest goes on, and are tried again between two
// epochs.
class LiveModels {
 public:
  // All must outlive it. `states` and `halted` (model -> why) are the flow's, of the
  // models of all lanes.
  LiveModels(Clock& clock, const plan::Plan& plan, TableSet& tables, Behind& behind,
             Micros epoch_interval, std::map<std::string, commit::ModelState>& states,
             std::map<std::string, std::string>& halted)
      : clock_(clock),
        plan_(plan),
        tables_(tables),
        behind_(behind),
        epoch_interval_(epoch_interval),
        states_(states),
        halted_(halted) {}

  // In the order of the plan: inputs before what reads them.
  void Add(std::unique_ptr<ModelRunner> runner) { runners_.push_back(std::move(runner)); }
  // Brings all of them to the tables' present versions, before the first step.
  Status CatchUp(const Frontier& frontier);

  // One step: `changes` of tables, to which those of the models are added.
  Status Step(Changes& changes);
  // Rows that come and go with the watermark, up to `watermark`.
  Status PassTime(Micros watermark);
  // What those that are not halted hold in memory.
  int64_t state_bytes() const;

  // The end of an epoch, in this order. Models whose rows violate a constraint that fails
  // the update are halted.
  void Judge();
  Status Checkpoint();
  // The tables that are to be closed; what those of halted models took is given up.
  std::vector<std::string> TablesToClose();
  // A table of a model could not be closed.
  void HaltTable(const std::string& table, const std::string& why);
  // States, work, and the versions of its inputs that each model equals its query over
  // once this commit, which has its tables, is in.
  void Record(commit::EpochCommit& commit, state::Delta& delta);
  void Committed();

  // Halted models follow to the tables' present versions, and are live again where
  // nothing is wrong any more. Between two epochs. Unless `now`, a try that failed is as
  // seldom as the rounds of a slow lane.
  Status Release(bool now, const Frontier& frontier);

 private:
  bool IsHalted(const ModelRunner& runner) const {
    return halted_.contains(runner.plan().model.name);
  }
  Status Run(ModelRunner& runner, Changes& changes);
  void Halt(const std::string& name, const std::string& why);

  Clock& clock_;
  const plan::Plan& plan_;
  TableSet& tables_;
  Behind& behind_;
  const Micros epoch_interval_;
  std::map<std::string, commit::ModelState>& states_;
  std::map<std::string, std::string>& halted_;
  std::vector<std::unique_ptr<ModelRunner>> runners_;
  std::map<std::string, state::Delta> checkpoints_;  // by model, of the epoch that ends
  Micros tried_ = 0, try_took_ = 0;                  // the last Release
};

}  // namespace weir::flow
