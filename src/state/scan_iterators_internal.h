// Iterators of a store that are used again: making one costs as much as the seek of a
// scan that reads a few rows.
#pragma once

#include <rocksdb/db.h>

#include <memory>
#include <mutex>
#include <vector>

namespace weir::state {

// Iterators that stay among the keys with the group (GroupPrefix) of the one they are
// set to. Safe for concurrent use; each iterator belongs to whoever took it.
class ScanIterators {
 public:
  // The database is open from the first Take to the last Renew.
  void SetDb(rocksdb::DB* db) { db_ = db; }

  struct Taken {
    std::unique_ptr<rocksdb::Iterator> iterator;
    uint64_t version = 0;  // of what it shows
  };
  // Shows all that was written before the last Renew, and maybe more.
  Taken Take();
  void GiveBack(Taken taken);
  // After something was written: what was made before is not given out any more, and lets
  // go of the files that it reads.
  void Renew();

 private:
  rocksdb::DB* db_ = nullptr;
  std::mutex mutex_;
  uint64_t version_ = 0;  // guarded by mutex_, as is the next
  std::vector<std::unique_ptr<rocksdb::Iterator>> idle_;
};

}  // namespace weir::state
