#include "ops/sorted_counts.h"

#include <algorithm>
#include <iterator>

namespace weir::ops {
namespace {

auto LowerBound(auto& entries, std::string_view key) {
  return std::lower_bound(entries.begin(), entries.end(), key,
                          [](const SortedCounts::Entry& entry, std::string_view k) {
                            return std::string_view(entry.key) < k;
                          });
}

// A string whose bytes stay in place when it is moved: it has more than a string keeps
// inside itself.
std::string Kept(std::string_view key) {
  std::string out;
  out.reserve(std::max(key.size(), sizeof(std::string)));
  out.assign(key);
  return out;
}

}  // namespace

// The last chunk that begins at or before `key`; the first one if all begin after it.
size_t SortedCounts::ChunkOf(std::string_view key) const {
  const auto after = std::upper_bound(
      chunks_.begin(), chunks_.end(), key, [](std::string_view k, const Chunk& chunk) {
        return k < std::string_view(chunk.entries.front().key);
      });
  return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
}

SortedCounts::Entry* SortedCounts::Find(std::string_view key) {
  if (chunks_.empty()) return nullptr;
  auto& entries = chunks_[ChunkOf(key)].entries;
  const auto it = LowerBound(entries, key);
  return it != entries.end() && it->key == key ? &*it : nullptr;
}

SortedCounts::Cursor SortedCounts::From(std::string_view key) const {
  Cursor out;
  out.counts_ = this;
  if (chunks_.empty()) return out;
  out.chunk_ = ChunkOf(key);
  const auto& entries = chunks_[out.chunk_].entries;
  out.at_ = static_cast<size_t>(LowerBound(entries, key) - entries.begin());
  if (out.at_ == entries.size()) {
    ++out.chunk_;
    out.at_ = 0;
  }
  return out;
}

const SortedCounts::Entry* SortedCounts::Before(std::string_view key) const {
  Cursor cursor = From(key);
  return cursor.Back() ? &*cursor : nullptr;
}

const SortedCounts::Entry& SortedCounts::AtWeight(int64_t at) const {
  auto chunk = chunks_.begin();
  while (at >= chunk->weight) at -= (chunk++)->weight;
  auto entry = chunk->entries.begin();
  while (at >= entry->weight) at -= (entry++)->weight;
  return *entry;
}

SortedCounts::Entry* SortedCounts::Add(std::string_view key, int64_t weight) {
  if (weight == 0) return Find(key);
  weight_ += weight;
  if (chunks_.empty()) {
    chunks_.push_back({{Entry{Kept(key), weight}}, weight});
    count_ = 1;
    bytes_ += kEntryBytes + static_cast<int64_t>(key.size());
    return &chunks_[0].entries[0];
  }
  const size_t index = ChunkOf(key);
  Chunk& chunk = chunks_[index];
  auto& entries = chunk.entries;
  chunk.weight += weight;
  auto it = LowerBound(entries, key);
  if (it != entries.end() && it->key == key) {
    it->weight += weight;
    if (it->weight != 0) return &*it;
    Erase(index, static_cast<size_t>(it - entries.begin()));
    return nullptr;
  }
  it = entries.insert(it, Entry{Kept(key), weight});
  ++count_;
  bytes_ += kEntryBytes + static_cast<int64_t>(key.size());
  if (entries.size() <= kChunkMax) return &*it;

  auto at = static_cast<size_t>(it - entries.begin());
  const size_t half = entries.size() / 2;
  Chunk upper;
  upper.entries.assign(
      std::make_move_iterator(entries.begin() + static_cast<ptrdiff_t>(half)),
      std::make_move_iterator(entries.end()));
  for (const Entry& entry : upper.entries) upper.weight += entry.weight;
  chunk.weight -= upper.weight;
  entries.resize(half);
  chunks_.insert(chunks_.begin() + static_cast<ptrdiff_t>(index) + 1, std::move(upper));
  return at < half ? &chunks_[index].entries[at] : &chunks_[index + 1].entries[at - half];
}

// The entry's weight is taken off already.
void SortedCounts::Erase(size_t index, size_t at) {
  auto& entries = chunks_[index].entries;
  --count_;
  bytes_ -= kEntryBytes + static_cast<int64_t>(entries[at].key.size());
  entries.erase(entries.begin() + static_cast<ptrdiff_t>(at));
  if (entries.empty()) chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(index));
}

void SortedCounts::RemoveLast() {
  weight_ -= Last().weight;
  chunks_.back().weight -= Last().weight;
  Erase(chunks_.size() - 1, chunks_.back().entries.size() - 1);
}

}  // namespace weir::ops
