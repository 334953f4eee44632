// The rows of an epoch's delta in the order of their keys, as a store takes them best.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/state.h"

namespace weir::state {

// Puts and erasures of a delta, by space and key; of several of one key the last one
// holds. Points into the delta, which must outlive it, and takes 40 bytes a record
// beside. Used by one thread.
class SortedDelta {
 public:
  struct Row {
    std::string_view space, key, value;
    bool erased = false;
  };

  // `record` is no clearing.
  void Add(const Delta::Record& record);
  void Clear() { spaces_.clear(); }

  // Visits all rows in order, once.
  Status ForEach(const std::function<Status(const Row&)>& visit);

 private:
  static constexpr uint32_t kErased = ~uint32_t{0};
  struct Entry {
    const char *key, *value;
    uint32_t key_bytes, value_bytes;  // kErased: an erasure
    std::string_view Key() const { return {key, key_bytes}; }
  };

  std::map<std::string_view, std::vector<Entry>> spaces_;
};

}  // namespace weir::state
