// A multiset of byte strings in byte order: each with the sum of its weights. A weight
// that falls to zero takes its string away. The bytes of a string stay where they are
// until it goes.
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
    // The owner's marks; a string that went away and came back is unmarked.
    bool dirty = false;
    bool gap = false;  // strings may be missing between the one before and this
  };

  // Adds `weight`; returns the entry, or nullptr when it went away. The pointer holds
  // until the next Add.
  Entry* Add(std::string_view key, int64_t weight);
  Entry* Find(std::string_view key);
  void RemoveLast();

  // Not empty.
  const Entry& First() const { return chunks_.front().entries.front(); }
  const Entry& Last() const { return chunks_.back().entries.back(); }

  bool empty() const { return count_ == 0; }
  int64_t size() const { return count_; }  // strings
  int64_t total_weight() const { return weight_; }
  int64_t bytes() const { return bytes_; }  // roughly

  // The entry that place `at` falls to when every string stands in order as often as it
  // is there. 0 <= at < total_weight(), and no weight is negative.
  const Entry& AtWeight(int64_t at) const;

  // A place in the order, until the next change.
  class Cursor {
   public:
    bool AtEnd() const { return chunk_ == counts_->chunks_.size(); }
    const Entry& operator*() const { return counts_->chunks_[chunk_].entries[at_]; }
    const Entry* operator->() const { return &**this; }
    bool AtBegin() const { return chunk_ == 0 && at_ == 0; }
    void Next() {
      if (++at_ < counts_->chunks_[chunk_].entries.size()) return;
      ++chunk_;
      at_ = 0;
    }
    // False: there is nothing before it, and it stays.
    bool Back() {
      if (AtBegin()) return false;
      if (at_ == 0) at_ = counts_->chunks_[--chunk_].entries.size();
      --at_;
      return true;
    }

   private:
    friend class SortedCounts;
    const SortedCounts* counts_;
    size_t chunk_ = 0, at_ = 0;
  };
  // The first string that is not before `key`.
  Cursor From(std::string_view key) const;
  Cursor End() const {
    Cursor out;
    out.counts_ = this;
    out.chunk_ = chunks_.size();
    return out;
  }
  // The last string before `key`; nullptr: there is none.
  const Entry* Before(std::string_view key) const;

  // In order, until `visit` returns false.
  template <class Visit>
  void ForEach(Visit&& visit) const {
    for (const Chunk& chunk : chunks_) {
      for (const Entry& entry : chunk.entries) {
        if (!visit(entry)) return;
      }
    }
  }

 private:
  struct Chunk {
    std::vector<Entry> entries;
    int64_t weight = 0;  // of all of them
  };
  static constexpr size_t kChunkMax = 128;
  static constexpr int64_t kEntryBytes = 64;

  size_t ChunkOf(std::string_view key) const;
  void Erase(size_t chunk, size_t at);

  std::vector<Chunk> chunks_;  // none is empty; each ends before the next begins
  int64_t count_ = 0, weight_ = 0, bytes_ = 0;
};

}  // namespace weir::ops
