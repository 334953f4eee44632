#include "ops/sorted_counts.h"

#include <algorithm>
#include <iterator>

namespace weir::ops {
namespace {

auto LowerBound(auto& chunk, std::string_view key) {
  return std::lower_bound(chunk.begin(), chunk.end(), key,
                          [](const SortedCounts::Entry& entry, std::string_view k) {
                            return std::string_view(entry.key) < k;
                          });
}

}  // namespace

// The last chunk that begins at or before `key`; the first one if all begin after it.
size_t SortedCounts::ChunkOf(std::string_view key) const {
  const auto after = std::upper_bound(chunks_.begin(), chunks_.end(), key,
                                      [](std::string_view k, const Chunk& chunk) {
                                        return k < std::string_view(chunk.front().key);
                                      });
  return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
}

SortedCounts::Entry* SortedCounts::Find(std::string_view key) {
  if (chunks_.empty()) return nullptr;
  Chunk& chunk = chunks_[ChunkOf(key)];
  const auto it = LowerBound(chunk, key);
  return it != chunk.end() && it->key == key ? &*it : nullptr;
}

SortedCounts::Entry* SortedCounts::Add(std::string_view key, int64_t weight) {
  if (weight == 0) return Find(key);
  weight_ += weight;
  if (chunks_.empty()) {
    chunks_.push_back({Entry{std::string(key), weight}});
    count_ = 1;
    bytes_ += kEntryBytes + static_cast<int64_t>(key.size());
    return &chunks_[0][0];
  }
  const size_t index = ChunkOf(key);
  Chunk& chunk = chunks_[index];
  auto it = LowerBound(chunk, key);
  if (it != chunk.end() && it->key == key) {
    it->weight += weight;
    if (it->weight != 0) return &*it;
    Erase(index, static_cast<size_t>(it - chunk.begin()));
    return nullptr;
  }
  it = chunk.insert(it, Entry{std::string(key), weight});
  ++count_;
  bytes_ += kEntryBytes + static_cast<int64_t>(key.size());
  if (chunk.size() <= kChunkMax) return &*it;

  auto at = static_cast<size_t>(it - chunk.begin());
  const size_t half = chunk.size() / 2;
  Chunk upper(std::make_move_iterator(chunk.begin() + static_cast<ptrdiff_t>(half)),
              std::make_move_iterator(chunk.end()));
  chunk.resize(half);
  chunks_.insert(chunks_.begin() + static_cast<ptrdiff_t>(index) + 1, std::move(upper));
  return at < half ? &chunks_[index][at] : &chunks_[index + 1][at - half];
}

void SortedCounts::Erase(size_t index, size_t at) {
  Chunk& chunk = chunks_[index];
  --count_;
  bytes_ -= kEntryBytes + static_cast<int64_t>(chunk[at].key.size());
  chunk.erase(chunk.begin() + static_cast<ptrdiff_t>(at));
  if (chunk.empty()) chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(index));
}

void SortedCounts::RemoveLast() {
  weight_ -= Last().weight;
  Erase(chunks_.size() - 1, chunks_.back().size() - 1);
}

}  // namespace weir::ops
