// Keeps a data directory ours while a flow works.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "commit/committer.h"

namespace weir::flow {

// A thread of its own prolongs the lease: a step, a refresh or the catching up of a model
// may take longer than it. The committer must outlive it.
class LeaseKeeper {
 public:
  LeaseKeeper(commit::Committer& committer, Micros lease);
  ~LeaseKeeper();

  // kConflict: another owner took over; nothing of ours counts any more. Safe for
  // concurrent use.
  Status Check();

 private:
  void Keep();

  commit::Committer& committer_;
  const Micros lease_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  bool stops_ = false;         // guarded by mutex_
  std::optional<Error> lost_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace weir::flow
