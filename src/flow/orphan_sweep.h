// Files that no table knows of, left by an owner that was killed.
#pragma once

#include <atomic>
#include <optional>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "commit/committer.h"

namespace weir::flow {

// Looks for them beside a flow's work. What fails costs space only: it is an event, and
// the next start looks again. The committer must outlive it.
class OrphanSweep {
 public:
  // Notes which files are there, when a sweep is due or `wanted`: all that was written so
  // far must be committed, and nothing more be begun before it returns.
  OrphanSweep(commit::Committer& committer, Clock& clock, bool wanted);
  ~OrphanSweep();  // stops it

  void Start();
  // Until it is through; false: there was nothing to do.
  bool Wait();

 private:
  Clock& clock_;
  std::optional<commit::Sweep> sweep_;
  std::atomic<bool> stops_{false};
  std::thread thread_;
};

}  // namespace weir::flow
