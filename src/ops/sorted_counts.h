// A multiset of byte strings in byte order: each with the sum of its weights. A weight
// that falls to zero takes its string away.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {

class SortedCounts {
 public:
  struct Entry {
    std::string key;
    int64_t weight = 0;
    bool dirty =
        false;  // the owner's mark; a string that went away and came back is unmarked
  };

  // Adds `weight`; returns the entry, or nullptr when it went away. The pointer holds
  // until the next Add.
  Entry* Add(std::string_view key, int64_t weight);
  Entry* Find(std::string_view key);
  void RemoveLast();

  // Not empty.
  const Entry& First() const { return chunks_.front().front(); }
  const Entry& Last() const { return chunks_.back().back(); }

  bool empty() const { return count_ == 0; }
  int64_t size() const { return count_; }  // strings
  int64_t total_weight() const { return weight_; }
  int64_t bytes() const { return bytes_; }  // roughly

  // In order, until `visit` returns false.
  template <class Visit>
  void ForEach(Visit&& visit) const {
    for (const auto& chunk : chunks_) {
      for (const Entry& entry : chunk) {
        if (!visit(entry)) return;
      }
    }
  }

 private:
  using Chunk = std::vector<Entry>;
  static constexpr size_t kChunkMax = 128;
  static constexpr int64_t kEntryBytes = 64;

  size_t ChunkOf(std::string_view key) const;
  void Erase(size_t chunk, size_t at);

  std::vector<Chunk> chunks_;  // none is empty; each ends before the next begins
  int64_t count_ = 0, weight_ = 0, bytes_ = 0;
};

}  // namespace weir::ops
