// How long the owner of a data directory may act as one.
#pragma once

#include <algorithm>
#include <atomic>

#include "base/time.h"

namespace weir::commit {

// The deadline of a lease on both clocks. Written by the committer, looked at by any
// thread without a lock or a system call; may outlive the committer, which leaves it run
// out.
class LeaseTerm {
 public:
  explicit LeaseTerm(Clock& clock) : clock_(clock) {}
  bool holds() const {
    return clock_.Now() < until_.load() && clock_.Monotonic() < until_since_boot_.load();
  }
  // What is left of it; negative: it ran out so long ago.
  Micros left() const {
    return std::min(until_.load() - clock_.Now(),
                    until_since_boot_.load() - clock_.Monotonic());
  }
  void Set(Micros until, Micros until_since_boot) {
    until_ = until;
    until_since_boot_ = until_since_boot;
  }

 private:
  Clock& clock_;
  std::atomic<Micros> until_{0}, until_since_boot_{0};
};

}  // namespace weir::commit
