#include "state/sorted_delta.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace weir::state {
namespace {

constexpr size_t kPrefetchAhead = 16, kCacheLine = 64;

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
  struct Place {
    uint64_t first_bytes;  // of the key: most comparisons end here
    uint32_t index;
  };
  std::vector<Place> order;
  for (const auto& [space, entries] : spaces_) {
    WEIR_CHECK(entries.size() <= std::numeric_limits<uint32_t>::max());
    order.resize(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      uint64_t first_bytes = 0;
      std::memcpy(&first_bytes, entries[i].key,
                  std::min<size_t>(sizeof first_bytes, entries[i].key_bytes));
      order[i] = {__builtin_bswap64(first_bytes), static_cast<uint32_t>(i)};
    }
    std::sort(order.begin(), order.end(), [&](const Place& a, const Place& b) {
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
      Row row{space, entry.Key(), {}, entry.value_bytes == kErased};
      if (!row.erased) row.value = {entry.value, entry.value_bytes};
      WEIR_TRY(visit(row));
    }
  }
  return {};
}

}  // namespace weir::state
