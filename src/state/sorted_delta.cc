#include "state/sorted_delta.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"

namespace weir::state {
namespace {

constexpr size_t kPrefetchAhead = 16, kCacheLine = 64;

struct Place {
  uint64_t first_bytes;  // of the key: most comparisons end here
  uint32_t index;
};

// Sorts by `less`, which goes by the first bytes first. Most keys are hashes, so that
// what falls into one of about as many buckets as there are places is little.
template <class Less>
void SortByBuckets(std::vector<Place>& places, std::vector<Place>& scratch,
                   const Less& less) {
  uint64_t least = ~uint64_t{0}, greatest = 0;
  for (const Place& place : places) {
    least = std::min(least, place.first_bytes);
    greatest = std::max(greatest, place.first_bytes);
  }
  const int bits = static_cast<int>(std::bit_width(places.size()));
  const int shift =
      std::max(static_cast<int>(std::bit_width(greatest - least)) - bits, 0);
  const auto bucket_of = [&](const Place& place) {
    return static_cast<size_t>((place.first_bytes - least) >> shift);
  };
  std::vector<uint32_t> ends(size_t{1} << bits);
  for (const Place& place : places) ++ends[bucket_of(place)];
  uint32_t sum = 0;
  for (uint32_t& end : ends) end = std::exchange(sum, sum + end);
  scratch.resize(places.size());
  for (const Place& place : places) scratch[ends[bucket_of(place)]++] = place;
  places.swap(scratch);
  auto begin = places.begin();
  for (const uint32_t end : ends) {
    const auto next = places.begin() + end;
    if (next - begin > 1) std::sort(begin, next, less);
    begin = next;
  }
}

}  // namespace

void SortedDelta::Add(const Delta::Record& record) {
  WEIR_CHECK(record.op != Delta::Op::kClear);
  WEIR_CHECK(std::max(record.key.size(), record.value.size()) < kErased);
  const bool erased = record.op == Delta::Op::kErase;
  spaces_[record.space].push_back(
      {record.key.data(), record.value.data(), static_cast<uint32_t>(record.key.size()),
       erased ? kErased : static_cast<uint32_t>(record.value.size())});
}

Status SortedDelta::ForEach(const std::function<Status(const Row&)>& visit) {
  std::vector<Place> order, scratch;
  for (const auto& in_space : spaces_) {
    const auto& entries = in_space.second;
    WEIR_CHECK(entries.size() <= std::numeric_limits<uint32_t>::max());
    order.resize(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      uint64_t first_bytes = 0;
      std::memcpy(&first_bytes, entries[i].key,
                  std::min<size_t>(sizeof first_bytes, entries[i].key_bytes));
      order[i] = {__builtin_bswap64(first_bytes), static_cast<uint32_t>(i)};
    }
    SortByBuckets(order, scratch, [&](const Place& a, const Place& b) {
      if (a.first_bytes != b.first_bytes) return a.first_bytes < b.first_bytes;
      const int keys = entries[a.index].Key().compare(entries[b.index].Key());
      return keys != 0 ? keys < 0 : a.index < b.index;
    });
    // Entries and records stand in the order they came in, which is none for us.
    const auto prefetch = [&](size_t i) {
      if (i + 2 * kPrefetchAhead < order.size())
        __builtin_prefetch(&entries[order[i + 2 * kPrefetchAhead].index]);
      if (i + kPrefetchAhead >= order.size()) return;
      const Entry& entry = entries[order[i + kPrefetchAhead].index];
      __builtin_prefetch(entry.key);
      __builtin_prefetch(entry.value + kCacheLine);
    };
    for (size_t i = 0; i < order.size(); ++i) {
      prefetch(i);
      const Entry& entry = entries[order[i].index];
      if (i + 1 < order.size() && order[i + 1].first_bytes == order[i].first_bytes &&
          entries[order[i + 1].index].Key() == entry.Key())
        continue;
      Row row{in_space.first, entry.Key(), {}, entry.value_bytes == kErased};
      if (!row.erased) row.value = {entry.value, entry.value_bytes};
      WEIR_TRY(visit(row));
    }
  }
  return {};
}

}  // namespace weir::state
