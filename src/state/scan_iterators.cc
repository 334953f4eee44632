#include "state/scan_iterators_internal.h"

namespace weir::state {

ScanIterators::Taken ScanIterators::Take() {
  Taken taken;
  {
    std::lock_guard lock(mutex_);
    taken.version = version_;
    if (!idle_.empty()) {
      taken.iterator = std::move(idle_.back());
      idle_.pop_back();
      return taken;
    }
  }
  rocksdb::ReadOptions read;
  read.prefix_same_as_start = true;
  taken.iterator.reset(db_->NewIterator(read));
  return taken;
}

void ScanIterators::GiveBack(Taken taken) {
  if (!taken.iterator->status().ok()) return;
  std::lock_guard lock(mutex_);
  if (taken.version == version_) idle_.push_back(std::move(taken.iterator));
}

void ScanIterators::Renew() {
  std::vector<std::unique_ptr<rocksdb::Iterator>> old;
  std::lock_guard lock(mutex_);
  ++version_;
  old.swap(idle_);
}

}  // namespace weir::state
