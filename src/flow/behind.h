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

  // Brings models, whose runners the caller goes on to use, to the present versions, in
  // one commit. Does nothing when all are there. A model that fails is halted (in
  // `halted`: model -> why) and so is what reads it: their runners stand where they
  // stood. One that was halted and does not fail is no longer.
  Status CatchUp(const std::string& lane, const std::vector<ModelRunner*>& runners,
                 const Frontier& frontier,
                 std::map<std::string, commit::ModelState>* models,
                 std::map<std::string, std::string>* halted);

  // The model and what reads it stand still from now on.
  void Halt(const std::string& name, const std::string& why,
            std::map<std::string, commit::ModelState>* models,
            std::map<std::string, std::string>* halted) const;

  // One round of a lane behind, with those of its models that are halted too, unless
  // what they read is.
  Status Follow(const std::string& lane, const std::vector<const plan::ModelPlan*>& plans,
                const Frontier& frontier,
                std::map<std::string, commit::ModelState>* models,
                std::map<std::string, std::string>* halted);

 private:
  struct Round;

  Status RunIncremental(ModelRunner& runner, Round& round);
  Status RunIncremental(ModelRunner& runner, const std::string& input, Round& round);
  Status Feed(ModelRunner& to, const Changes& changes, Round& round);
  Status RunRefresh(const plan::ModelPlan& plan, Micros watermark, Round& round);
  Status RunRound(Round& round, const Frontier& frontier);
  Status Refresh(const plan::ModelPlan& plan, Round& round, const Frontier& frontier);
  Status CommitRound(Round& round);
  Status CommitHalts(const std::string& lane, const Frontier& frontier,
                     const std::map<std::string, commit::ModelState>& models);
  void Release(const std::string& name, std::map<std::string, commit::ModelState>* models,
               std::map<std::string, std::string>* halted) const;
  bool IsBlocked(const plan::ModelPlan& plan,
                 const std::vector<const plan::ModelPlan*>& lane,
                 const std::map<std::string, std::string>& halted) const;
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
      runners_;                              // of incremental models in lanes behind
  std::map<std::string, std::string> told_;  // halted models, as last committed
};

}  // namespace weir::flow
