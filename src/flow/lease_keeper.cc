#include "flow/lease_keeper.h"

#include <algorithm>
#include <chrono>

#include "base/event.h"

namespace weir::flow {

LeaseKeeper::LeaseKeeper(commit::Committer& committer, Micros lease)
    : committer_(committer), lease_(lease), thread_([this] { Keep(); }) {}

LeaseKeeper::~LeaseKeeper() {
  {
    std::lock_guard lock(mutex_);
    stops_ = true;
    wakes_.notify_one();
  }
  thread_.join();
}

Status LeaseKeeper::Check() {
  std::lock_guard lock(mutex_);
  if (lost_) return *lost_;
  return {};
}

void LeaseKeeper::Keep() {
  const std::chrono::microseconds pause(std::clamp<Micros>(lease_ / 10, 10'000, 500'000));
  std::unique_lock lock(mutex_);
  while (!stops_) {
    lock.unlock();
    Status renewed = committer_.Renew();
    lock.lock();
    if (!renewed.ok() && renewed.error().code == Code::kConflict) {
      lost_ = std::move(renewed).error();
      return;
    }
    // A reader or a backup may hold the catalog for a moment; there is time until the
    // lease has run out.
    if (!renewed.ok())
      Event("lease_not_prolonged", Severity::kWarning)
          .With("error", renewed.error().message);
    wakes_.wait_for(lock, pause, [&] { return stops_; });
  }
}

}  // namespace weir::flow
