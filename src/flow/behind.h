// Lanes that do not follow every epoch: they read the change of their inputs between two
// versions, or refresh whole.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "commit/committer.h"
#include "duck/duck.h"
#include "flow/frontier.h"
#include "flow/model_runner.h"
#include "flow/table_set.h"
#include "plan/plan.h"
#include "project/project.h"

namespace weir::flow {

duck::InstanceOptions DuckOptions(const project::Settings& settings,
                                  const std::string& data_dir);

// Used by the flow's thread. A round takes the lane's models from the versions of their
// inputs that they equal their query over to the committed ones, in one commit.
class Behind {
 public:
  Behind(io::Io& io, Clock& clock, commit::Committer& committer, TableSet& tables,
         const plan::Plan& plan, ShardPool& pool, const project::Settings& settings,
         std::string data_dir);

  // Brings models of the live lane, whose runners the caller goes on to use, to the
  // present versions. Does nothing when all are there.
  Status CatchUp(const std::string& lane, const std::vector<ModelRunner*>& runners,
                 const Frontier& frontier,
                 std::map<std::string, commit::ModelState>* models);

  // One round of a lane behind. A model that fails is halted (in `halted`), and so is
  // what reads it.
  Status Follow(const std::string& lane, const std::vector<const plan::ModelPlan*>& plans,
                const Frontier& frontier,
                std::map<std::string, commit::ModelState>* models,
                std::map<std::string, std::string>* halted);

 private:
  struct Round;

  Status RunIncremental(ModelRunner& runner, Round& round);
  Status RunIncremental(ModelRunner& runner, const std::string& input, Round& round);
  Status Feed(ModelRunner& to, const Changes& changes, Round& round);
  Status RunRefresh(const plan::ModelPlan& plan, Micros watermark);
  Status CommitRound(Round& round);
  bool IsBehind(const plan::ModelPlan& plan,
                const std::map<std::string, commit::ModelState>& models) const;

  io::Io& io_;
  Clock& clock_;
  commit::Committer& committer_;
  TableSet& tables_;
  const plan::Plan& plan_;
  ShardPool& pool_;
  const project::Settings& settings_;
  const std::string data_dir_;
  std::map<std::string, std::unique_ptr<ModelRunner>>
      runners_;  // of incremental models in lanes behind
};

}  // namespace weir::flow
