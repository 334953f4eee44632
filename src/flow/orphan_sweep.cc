#include "flow/orphan_sweep.h"

#include "base/event.h"

namespace weir::flow {
namespace {

void NoteFailure(const Error& error) {
  Event("sweep_failed", Severity::kWarning).With("error", error.message);
}

}  // namespace

OrphanSweep::OrphanSweep(commit::Committer& committer, Clock& clock, bool wanted)
    : clock_(clock) {
  auto due = committer.SweepIsDue();
  if (due.ok() && !*due && !wanted) return;
  auto sweep = committer.BeginSweep();
  if (sweep.ok()) {
    sweep_ = *std::move(sweep);
  } else {
    NoteFailure(sweep.error());
  }
}

OrphanSweep::~OrphanSweep() {
  stops_ = true;
  if (thread_.joinable()) thread_.join();
}

void OrphanSweep::Start() {
  if (!sweep_) return;
  thread_ = std::thread([this] {
    const auto report = sweep_->Finish(clock_, [this] { return stops_.load(); });
    if (!report.ok() && report.error().code != Code::kCancelled)
      NoteFailure(report.error());
  });
}

bool OrphanSweep::Wait() {
  if (!thread_.joinable()) return false;
  thread_.join();
  return true;
}

}  // namespace weir::flow
