#include "ops/sorted_counts.h"

#include <algorithm>
#include <cstring>

namespace weir::ops {
namespace {

// Before the bytes of a packed string: their number and these.
constexpr uint32_t kGap = 1, kHasWeight = 2;  // which is not 1, and follows
constexpr int kFlagBits = 2;

template <class T>
T Take(std::string_view& from) {
  T out;
  std::memcpy(&out, from.data(), sizeof out);
  from.remove_prefix(sizeof out);
  return out;
}

}  // namespace

SortedCounts::~SortedCounts() {
  for (const Chunk& chunk : chunks_) {
    for (const Entry& entry : chunk.entries) delete[] entry.bytes_;
  }
}

uint64_t SortedCounts::HeadOf(std::string_view key) {
  uint64_t head = 0;
  if (!key.empty()) std::memcpy(&head, key.data(), std::min(key.size(), sizeof head));
  return __builtin_bswap64(head);
}

SortedCounts::Entry SortedCounts::Make(const Sought& sought, int64_t weight) {
  char* bytes = new char[sought.key.size()];
  std::copy(sought.key.begin(), sought.key.end(), bytes);
  Entry out;
  out.weight = weight;
  out.bytes_ = bytes;
  out.head_ = sought.head;
  out.size_ = static_cast<uint32_t>(sought.key.size());
  return out;
}

// The last chunk that begins at or before the string; the first one if all begin after.
size_t SortedCounts::ChunkOf(const Sought& sought) const {
  // Often it is the last one: strings that come in order.
  size_t from = 0, to = chunks_.size();
  for (size_t at = to - 1; to - from > 1; at = from + (to - from) / 2) {
    const Entry& first = chunks_[at].entries.front();
    const bool after =
        first.head_ != sought.head ? first.head_ > sought.head : first.key() > sought.key;
    (after ? to : from) = at;
  }
  return from;
}

size_t SortedCounts::PlaceIn(const std::vector<Entry>& entries, const Sought& sought) {
  if (StandsBefore(entries.back(), sought)) return entries.size();
  return static_cast<size_t>(
      std::lower_bound(entries.begin(), entries.end(), sought, StandsBefore) -
      entries.begin());
}

SortedCounts::Entry* SortedCounts::Find(std::string_view key) {
  if (chunks_.empty()) return nullptr;
  const Sought sought{key, HeadOf(key)};
  auto& entries = chunks_[ChunkOf(sought)].entries;
  const size_t at = PlaceIn(entries, sought);
  return at < entries.size() && entries[at].key() == key ? &entries[at] : nullptr;
}

SortedCounts::Cursor SortedCounts::From(std::string_view key) const {
  Cursor out;
  out.counts_ = this;
  if (chunks_.empty()) return out;
  const Sought sought{key, HeadOf(key)};
  out.chunk_ = ChunkOf(sought);
  const auto& entries = chunks_[out.chunk_].entries;
  out.at_ = PlaceIn(entries, sought);
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
  const Sought sought{key, HeadOf(key)};
  weight_ += weight;
  if (chunks_.empty()) chunks_.emplace_back();
  const size_t index = ChunkOf(sought);
  Chunk& chunk = chunks_[index];
  auto& entries = chunk.entries;
  chunk.weight += weight;
  const size_t at = entries.empty() ? 0 : PlaceIn(entries, sought);
  if (at < entries.size() && entries[at].key() == key) {
    entries[at].weight += weight;
    if (entries[at].weight != 0) return &entries[at];
    Erase(index, at);
    return nullptr;
  }
  entries.insert(entries.begin() + static_cast<ptrdiff_t>(at), Make(sought, weight));
  ++count_;
  bytes_ += kEntryBytes + static_cast<int64_t>(key.size());
  if (entries.size() <= kChunkMax) return &entries[at];

  const size_t half = entries.size() / 2;
  Chunk upper;
  upper.entries.assign(entries.begin() + static_cast<ptrdiff_t>(half), entries.end());
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
  bytes_ -= kEntryBytes + static_cast<int64_t>(entries[at].size_);
  delete[] entries[at].bytes_;
  entries.erase(entries.begin() + static_cast<ptrdiff_t>(at));
  if (entries.empty()) chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(index));
}

void SortedCounts::RemoveLast() {
  weight_ -= Last().weight;
  chunks_.back().weight -= Last().weight;
  Erase(chunks_.size() - 1, chunks_.back().entries.size() - 1);
}

void SortedCounts::Pack(std::string* out) const {
  const auto append = [out](const auto& value) {
    out->append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  append(static_cast<uint32_t>(count_));
  ForEach([&](const Entry& entry) {
    const bool has_weight = entry.weight != 1;
    append(entry.size_ << kFlagBits | (entry.gap ? kGap : 0) |
           (has_weight ? kHasWeight : 0));
    if (has_weight) append(entry.weight);
    out->append(entry.key());
    return true;
  });
}

std::string_view SortedCounts::Unpack(std::string_view packed) {
  for (auto left = Take<uint32_t>(packed); left > 0; --left) {
    const auto head = Take<uint32_t>(packed);
    const int64_t weight = (head & kHasWeight) != 0 ? Take<int64_t>(packed) : 1;
    const std::string_view key = packed.substr(0, head >> kFlagBits);
    packed.remove_prefix(key.size());
    Add(key, weight)->gap = (head & kGap) != 0;
  }
  return packed;
}

}  // namespace weir::ops
