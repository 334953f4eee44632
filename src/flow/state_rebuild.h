// What the state store held, made anew from the tables: when it was lost, damaged, of
// another format or of another directory (commit::Recovered::state_lost).
//
// Key indexes come from the keyed tables, identities from bronze and $late, operators'
// states from the models' inputs at the versions at which the models stand. No table
// changes. What is done is committed piece by piece, so that a crash on the way costs
// only the piece at work.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "commit/committer.h"
#include "contract/contract.h"
#include "duck/duck.h"
#include "flow/frontier.h"
#include "flow/model_runner.h"
#include "flow/table_set.h"
#include "ingest/source.h"
#include "plan/plan.h"

namespace weir::flow {

// Used by the flow's thread, before anything else is committed.
class StateRebuild {
 public:
  // `frontier`: the live lane's, which the commits of the rebuild repeat.
  StateRebuild(io::Io& io, Clock& clock, commit::Committer& committer,
               const Frontier& frontier, std::string data_dir);

  // The key index of a table that is about to be opened; nothing when it has none.
  Status Index(const TableSpec& spec);

  // The states of the model's operators. `tables`: where its inputs are. False: they
  // cannot be the ones behind the model's rows (an input's version is gone, or the rows
  // that its query gives now are others): the model has to begin anew.
  struct ModelContext {
    const TableSet* tables;
    ShardPool* pool;
    duck::InstanceOptions duck;
    int64_t memory_max;
    Micros watermark;  // at which its lane stands
  };
  Result<bool> Model(const plan::ModelPlan& plan, const commit::ModelState& state,
                     const ModelContext& context);

  // The identities of all partitions of a source, whose tables are open.
  Status Identities(const contract::Contract& contract, const TableSet& tables,
                    ingest::SharedJournal& journal, int64_t table_bytes);

  // All is done: from now on the state counts as whole.
  Status Finish();

 private:
  // Whether this piece was done before a crash.
  Result<bool> IsDone(const std::string& piece);
  Status Clear(const std::vector<std::string>& spaces);
  Status Commit(state::Delta& delta);
  Status CommitIfLarge(state::Delta& delta);

  io::Io& io_;
  Clock& clock_;
  commit::Committer& committer_;
  const Frontier& frontier_;
  const std::string data_dir_;
  const Micros began_;
  int64_t tables_ = 0, models_ = 0, rows_ = 0, identities_ = 0, inexact_ = 0;
};

}  // namespace weir::flow
