#include "flow/live_models.h"

#include <algorithm>

namespace weir::flow {

Status LiveModels::CatchUp(const Frontier& frontier) {
  std::vector<ModelRunner*> all;
  for (const auto& runner : runners_) all.push_back(runner.get());
  return behind_.CatchUp(kLiveLane, all, frontier, &states_, &halted_);
}

Status LiveModels::Step(Changes& changes) {
  for (const auto& runner : runners_) {
    if (runner->Reads(changes)) WEIR_TRY(Run(*runner, changes));
  }
  return {};
}

Status LiveModels::PassTime(Micros watermark) {
  Changes changes;
  for (const auto& runner : runners_) {
    if (runner->follows_time()) runner->SetWatermark(watermark);
    if (runner->follows_time() || runner->Reads(changes)) WEIR_TRY(Run(*runner, changes));
  }
  return {};
}

Status LiveModels::Run(ModelRunner& runner, Changes& changes) {
  if (IsHalted(runner)) return {};
  Changes out;
  Status status = runner.Process(changes, &out);
  if (!status.ok()) {
    // The data or the model is at fault: this model and what reads it stand still, the
    // rest goes on. Anything else stops the flow.
    if (status.error().code != Code::kInvalid) return status;
    Halt(runner.plan().model.name, status.error().message);
    return {};
  }
  for (auto& [table, batches] : out) {
    for (data::Batch& batch : batches) {
      tables_.Append(table, batch);
      changes[table].push_back(std::move(batch));
    }
  }
  return {};
}

int64_t LiveModels::state_bytes() const {
  int64_t bytes = 0;
  for (const auto& runner : runners_) {
    if (!IsHalted(*runner)) bytes += runner->state_bytes();
  }
  return bytes;
}

void LiveModels::Judge() {
  for (const auto& runner : runners_) {
    if (IsHalted(*runner)) continue;
    const Status judged = runner->Judge();
    if (!judged.ok()) Halt(runner->plan().model.name, judged.error().message);
  }
}

Status LiveModels::Checkpoint() {
  checkpoints_.clear();
  for (const auto& runner : runners_) {
    if (!IsHalted(*runner))
      WEIR_TRY(runner->Checkpoint(checkpoints_[runner->plan().model.name]));
  }
  return {};
}

std::vector<std::string> LiveModels::TablesToClose() {
  std::vector<std::string> out;
  for (const auto& runner : runners_) {
    for (const plan::ModelPlan* part : plan_.PartsOf(runner->plan())) {
      if (halted_.contains(part->model.name)) {
        tables_.Abandon(part->model.name);
      } else {
        out.push_back(part->model.name);
      }
    }
  }
  return out;
}

void LiveModels::HaltTable(const std::string& table, const std::string& why) {
  const std::string& whole = plan_.Find(table)->part_of;
  Halt(whole.empty() ? table : whole, why);
}

void LiveModels::Record(commit::EpochCommit& commit, state::Delta& delta) {
  std::map<std::string, int64_t> versions;
  for (const iceberg::Staged& staged : commit.tables) {
    if (staged.metadata.current_snapshot)
      versions[staged.table] = staged.metadata.current_snapshot->value;
  }
  for (const auto& runner : runners_) {
    const std::string& name = runner->plan().model.name;
    // One may have been halted by its table.
    if (!IsHalted(*runner)) delta.Append(std::move(checkpoints_[name]));
    for (const plan::ModelPlan* part : plan_.PartsOf(runner->plan())) {
      commit::ModelState& model = states_.at(part->model.name);
      if (model.halted.empty()) {
        for (auto& [table, snapshot] : model.inputs) {
          const auto changed = versions.find(table);
          if (changed != versions.end()) snapshot = changed->second;
        }
      }
      commit.models.push_back(model);
    }
    commit.work[name] = runner->WorkJson();
  }
  checkpoints_.clear();
}

void LiveModels::Committed() {
  for (const auto& runner : runners_) {
    if (!IsHalted(*runner)) runner->Committed();
  }
}

void LiveModels::Halt(const std::string& name, const std::string& why) {
  behind_.Halt(name, why, &states_, &halted_);
  tried_ = clock_.Monotonic();
}

Status LiveModels::Release(bool now, const Frontier& frontier) {
  const Micros began = clock_.Monotonic();
  if (!now && began - tried_ < std::max(epoch_interval_, 10 * try_took_)) return {};
  std::vector<ModelRunner*> halted;
  for (const auto& runner : runners_) {
    if (IsHalted(*runner)) halted.push_back(runner.get());
  }
  if (halted.empty()) return {};
  for (ModelRunner* runner : halted) WEIR_TRY(runner->Reopen());
  WEIR_TRY(behind_.CatchUp(kLiveLane, halted, frontier, &states_, &halted_));
  tried_ = clock_.Monotonic();
  try_took_ = tried_ - began;
  return {};
}

}  // namespace weir::flow
