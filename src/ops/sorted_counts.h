// A multiset of byte strings in byte order: each with the sum of its weights. A weight
// that falls to zero takes its string away. The bytes of a string stay where they are
// until it goes.
//
// Entries stand in chunks, each with the first bytes of its string as a number: most
// comparisons look no further, which would be a cache miss each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {

class SortedCounts {
 public:
  class Entry {
   public:
    std::string_view key() const { return {bytes_, size_}; }

    int64_t weight = 0;

   private:
    friend class SortedCounts;
    const char* bytes_ = nullptr;  // the set's
    uint64_t head_ = 0;            // HeadOf them
    uint32_t size_ = 0;

   public:
    // The owner's marks; a string that went away and came back is unmarked.
    bool dirty = false;
    bool gap = false;  // strings may be missing between the one before and this
  };

  SortedCounts() = default;
  ~SortedCounts();
  SortedCounts(const SortedCounts&) = delete;
  SortedCounts& operator=(const SortedCounts&) = delete;

  // Adds `weight`; returns the entry, or nullptr when it went away. The pointer holds
  // until the next Add.
  Entry* Add(std::string_view key, int64_t weight);
  Entry* Find(std::string_view key);
  void RemoveLast();

  // Appends all entries, beside each other: that takes half the memory. Dirty marks are
  // left out.
  void Pack(std::string* out) const;
  // The same entries again, into an empty set, from what begins with them; returns what
  // is behind.
  std::string_view Unpack(std::string_view packed);

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
  static constexpr int64_t kEntryBytes = 56;

  // Strings in the order of their heads are in byte order, but for those of equal ones.
  static uint64_t HeadOf(std::string_view key);
  // A string to look for.
  struct Sought {
    std::string_view key;
    uint64_t head;
  };
  static bool StandsBefore(const Entry& entry, const Sought& sought) {
    return entry.head_ != sought.head ? entry.head_ < sought.head
                                      : entry.key() < sought.key;
  }
  static size_t PlaceIn(const std::vector<Entry>& entries, const Sought& sought);
  static Entry Make(const Sought& sought, int64_t weight);

  size_t ChunkOf(const Sought& sought) const;
  void Erase(size_t chunk, size_t at);

  std::vector<Chunk> chunks_;  // none is empty; each ends before the next begins
  int64_t count_ = 0, weight_ = 0, bytes_ = 0;
};

}  // namespace weir::ops
