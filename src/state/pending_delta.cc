#include "state/pending_delta.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"
#include "base/hash.h"

namespace weir::state {
namespace {

uint64_t PrefixHash(uint32_t space, std::string_view prefix) {
  return HashBytes64(prefix, space);
}

}  // namespace

Result<std::shared_ptr<const PendingDelta>> PendingDelta::Make(
    std::shared_ptr<const Delta> delta) {
  std::shared_ptr<PendingDelta> out(new PendingDelta(std::move(delta)));
  WEIR_TRY(out->Index());
  return std::shared_ptr<const PendingDelta>(std::move(out));
}

Status PendingDelta::Index() {
  entries_.reserve(static_cast<size_t>(delta_->count()));
  const char* named = nullptr;  // the space of the record before
  uint32_t space = 0;
  WEIR_TRY(delta_->ForEach([&](const Delta::Record& record) -> Status {
    WEIR_CHECK(std::max(record.key.size(), record.value.size()) < kErased);
    if (record.space.data() != named) {
      named = record.space.data();
      space = SpaceOf(record.space).value_or(static_cast<uint32_t>(spaces_.size()));
      if (space == spaces_.size()) spaces_.push_back({record.space});
    }
    if (record.op == Delta::Op::kClear) {
      spaces_[space].cleared = true;
      spaces_[space].first = static_cast<uint32_t>(entries_.size());
      return {};
    }
    const bool erased = record.op == Delta::Op::kErase;
    entries_.push_back(
        {record.key.data(), record.value.data(), static_cast<uint32_t>(record.key.size()),
         erased ? kErased : static_cast<uint32_t>(record.value.size()), space});
    return {};
  }));
  WEIR_CHECK(entries_.size() < kErased);
  places_.resize(std::bit_ceil(entries_.size() * 3 / 2 + 1));
  std::array<uint64_t, 32> hashes;
  for (size_t from = 0; from < entries_.size(); from += hashes.size()) {
    const size_t to = std::min(entries_.size(), from + hashes.size());
    for (size_t i = from; i < to; ++i) {
      hashes[i - from] = HashBytes64(entries_[i].Key());
      __builtin_prefetch(&places_[hashes[i - from] & (places_.size() - 1)]);
    }
    for (size_t i = from; i < to; ++i) {
      const Entry& entry = entries_[i];
      if (i < spaces_[entry.space].first) continue;
      const uint64_t hash = hashes[i - from];
      places_[PlaceOf(hash, entry.space, entry.Key())] = {
          static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(i + 1)};
      if (entry.key_bytes > kPrefixBytes) {
        prefixes_.push_back({PrefixHash(entry.space, entry.Key().substr(0, kPrefixBytes)),
                             static_cast<uint32_t>(i)});
      }
    }
  }
  std::sort(prefixes_.begin(), prefixes_.end(),
            [](const Prefix& a, const Prefix& b) { return a.hash < b.hash; });
  return {};
}

std::optional<uint32_t> PendingDelta::SpaceOf(std::string_view space) const {
  const auto found = std::find_if(spaces_.begin(), spaces_.end(),
                                  [&](const Space& one) { return one.name == space; });
  if (found == spaces_.end()) return std::nullopt;
  return static_cast<uint32_t>(found - spaces_.begin());
}

bool PendingDelta::Clears(std::string_view space) const {
  const auto number = SpaceOf(space);
  return number && spaces_[*number].cleared;
}

PendingDelta::Found PendingDelta::FoundIn(const Entry& entry) {
  if (entry.value_bytes == kErased) return {true, {}};
  return {false, {entry.value, entry.value_bytes}};
}

std::vector<PendingDelta::Row> PendingDelta::FindAll(std::string_view space,
                                                     std::string_view prefix) const {
  std::vector<Row> rows;
  const auto number = SpaceOf(space);
  if (!number) return rows;
  const auto add = [&](const Entry& entry) {
    // Of several records of a key the last one holds, which is the one its place names.
    if (entry.space == *number && entry.Key().starts_with(prefix))
      rows.push_back({entry.Key(), *Find(space, entry.Key())});
  };
  if (prefix.size() < kPrefixBytes) {
    for (size_t i = spaces_[*number].first; i < entries_.size(); ++i) add(entries_[i]);
  } else {
    const uint64_t hash = PrefixHash(*number, prefix.substr(0, kPrefixBytes));
    const auto by_hash = [](const Prefix& a, uint64_t b) { return a.hash < b; };
    for (auto at = std::lower_bound(prefixes_.begin(), prefixes_.end(), hash, by_hash);
         at != prefixes_.end() && at->hash == hash; ++at)
      add(entries_[at->entry]);
    if (const auto whole = Find(space, prefix);
        whole && prefix.size() == kPrefixBytes)  // a key that is no longer than that
      rows.push_back({prefix, *whole});
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.key < b.key; });
  rows.erase(std::unique(rows.begin(), rows.end(),
                         [](const Row& a, const Row& b) { return a.key == b.key; }),
             rows.end());
  return rows;
}

size_t PendingDelta::PlaceOf(uint64_t hash, uint32_t space, std::string_view key) const {
  const size_t mask = places_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & mask;
  for (; places_[at].entry != 0; at = (at + 1) & mask) {
    if (places_[at].tag != tag) continue;
    const Entry& entry = entries_[places_[at].entry - 1];
    if (entry.space == space && entry.Key() == key) break;
  }
  return at;
}

std::optional<PendingDelta::Found> PendingDelta::Find(std::string_view space,
                                                      std::string_view key) const {
  const auto number = SpaceOf(space);
  if (!number) return std::nullopt;
  const Place& place = places_[PlaceOf(HashBytes64(key), *number, key)];
  if (place.entry == 0)
    return spaces_[*number].cleared ? std::optional(Found{true, {}}) : std::nullopt;
  return FoundIn(entries_[place.entry - 1]);
}

}  // namespace weir::state
