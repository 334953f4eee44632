#include "ops/sorted_rows.h"

#include <algorithm>

#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

constexpr std::string_view kStoredMark = "1";

}  // namespace

void AppendSortedRow(const OrderKeys& order, std::span<const InputColumn> columns,
                     size_t row, std::string* out) {
  order.AppendTo(row, out);
  const auto order_bytes = static_cast<uint32_t>(out->size());
  AppendCanonicalRow(columns, row, out);
  out->append(reinterpret_cast<const char*>(&order_bytes), sizeof order_bytes);
}

std::string_view OrderOfEntry(std::string_view entry) {
  return entry.substr(0,
                      ReadAs<uint32_t>(entry.data() + entry.size() - sizeof(uint32_t)));
}

std::string_view RowOfEntry(std::string_view entry) {
  const size_t order_bytes = OrderOfEntry(entry).size();
  return entry.substr(order_bytes, entry.size() - order_bytes - sizeof(uint32_t));
}

Result<std::unique_ptr<SortedRows>> SortedRows::Make(size_t ranges, state::Store* store,
                                                     std::string space) {
  const bool cold = store != nullptr && WEIR_TRY(HasRows(*store, space));
  return std::unique_ptr<SortedRows>(
      new SortedRows(ranges, store, std::move(space), cold));
}

SortedRows::SortedRows(size_t ranges, state::Store* store, std::string space, bool cold)
    : ranges_(ranges),
      store_(store),
      space_(std::move(space)),
      cold_(cold),
      table_(sizeof(Slots)) {}

SortedRows::~SortedRows() {
  for (uint32_t i = 0; i < table_.index_end(); ++i) {
    if (Group* group = table_.At(i)) {
      for (size_t range = 0; range < ranges_; ++range) delete &Range(group, range);
      delete SlotsOf(group).memo;
    }
  }
}

SortedCounts& SortedRows::Range(Group* group, size_t range) const {
  return *SlotsOf(group).ranges[range];
}

Group* SortedRows::FindOrInsert(Hash128 key) {
  Group* group = table_.Find(key);
  if (group != nullptr) return group;
  group = table_.Insert(key);
  for (size_t range = 0; range < ranges_; ++range)
    SlotsOf(group).ranges[range] = new SortedCounts;
  return group;
}

Status SortedRows::Load(std::span<const Hash128> keys) {
  if (!cold_) return {};
  return FindMissing(
      *store_, space_, table_, keys, [&](Hash128 key, std::string_view) -> Status {
        Group* group = FindOrInsert(key);
        const auto add = [&](std::string_view entry, int64_t weight) -> Status {
          const size_t range = entry.empty() ? ranges_ : static_cast<uint8_t>(entry[0]);
          if (range >= ranges_ || entry.size() <= sizeof(uint32_t))
            return Corrupt("a stored row in order is malformed");
          Range(group, range).Add(entry.substr(1), weight);
          return {};
        };
        WEIR_TRY(ScanRange(*store_, space_, key, add));
        for (size_t range = 0; range < ranges_; ++range)
          range_bytes_ += Range(group, range).bytes();
        return {};
      });
}

void SortedRows::Add(Group* group, size_t range, std::string_view entry, int64_t weight) {
  if (group->touched_step != step_) {
    group->touched_step = step_;
    SlotsOf(group).touched = touched_.size();
    touched_.push_back({group, {}});
    if (!group->Is(Group::kDirty)) dirty_.push_back(group);
    group->flags |= Group::kDirty;
  }
  SortedCounts& rows = Range(group, range);
  const int64_t bytes = rows.bytes();
  const SortedCounts::Entry* added = rows.Add(entry, weight);
  range_bytes_ += rows.bytes() - bytes;
  const int64_t now = added == nullptr ? 0 : added->weight;
  touched_[SlotsOf(group).touched].changes[range].push_back(
      {std::string(entry), now - weight});
}

Result<std::span<SortedRows::Touched>> SortedRows::EndOfStep() {
  for (Touched& touched : touched_) {
    for (size_t range = 0; range < ranges_; ++range) {
      auto& changes = touched.changes[range];
      std::stable_sort(
          changes.begin(), changes.end(),
          [](const Change& a, const Change& b) { return a.entry < b.entry; });
      // The first of equal ones knows the weight before the step.
      changes.erase(std::unique(changes.begin(), changes.end(),
                                [](const Change& a, const Change& b) {
                                  return a.entry == b.entry;
                                }),
                    changes.end());
      for (const Change& change : changes) {
        SortedCounts::Entry* entry = Range(touched.group, range).Find(change.entry);
        if (entry != nullptr && entry->weight < 0)
          return Internal("a row was taken back that is not there");
        if (entry != nullptr && entry->dirty) continue;
        if (entry != nullptr) entry->dirty = true;
        dirty_entries_.push_back({touched.group, range, change.entry});
      }
    }
  }
  return std::span(touched_);
}

void SortedRows::BeginStep() {
  touched_.clear();
  ++step_;
}

bool SortedRows::IsEmpty(Group* group) const {
  for (size_t range = 0; range < ranges_; ++range) {
    if (!Range(group, range).empty()) return false;
  }
  return true;
}

Status SortedRows::Checkpoint(state::Delta& delta) {
  if (!touched_.empty()) return Internal("a checkpoint in the middle of a step");
  for (const DirtyEntry& dirty : dirty_entries_) {
    std::string key = RangePrefixOf(dirty.group->hash);
    key.push_back(static_cast<char>(dirty.range));
    key.append(dirty.entry);
    SortedCounts::Entry* kept = Range(dirty.group, dirty.range).Find(dirty.entry);
    if (kept == nullptr) {
      delta.Erase(space_, key);
      continue;
    }
    kept->dirty = false;
    delta.Put(space_, key,
              {reinterpret_cast<const char*>(&kept->weight), sizeof kept->weight});
  }
  dirty_entries_.clear();
  for (Group* group : recent_) group->flags &= ~Group::kRecent;
  for (Group* group : dirty_) {
    const bool stored = group->Is(Group::kEmitted);
    const std::string key = GroupKeyOf(group->hash);
    if (IsEmpty(group)) {
      if (stored) delta.Erase(space_, key);
      group->flags = 0;
      gone_.push_back(group);
    } else {
      if (!stored) delta.Put(space_, key, kStoredMark);
      group->flags = Group::kEmitted | Group::kRecent;
    }
  }
  recent_ = std::exchange(dirty_, {});
  return {};
}

std::unique_ptr<SortedRows::Memo> SortedRows::TakeMemo(Group* group) {
  std::unique_ptr<Memo> memo(std::exchange(SlotsOf(group).memo, nullptr));
  if (memo != nullptr) range_bytes_ -= memo->bytes();
  return memo;
}

void SortedRows::SetMemo(Group* group, std::unique_ptr<Memo> memo) {
  TakeMemo(group).reset();
  if (memo != nullptr) range_bytes_ += memo->bytes();
  SlotsOf(group).memo = memo.release();
}

void SortedRows::RemoveGroup(Group* group) {
  TakeMemo(group).reset();
  for (size_t range = 0; range < ranges_; ++range) {
    range_bytes_ -= Range(group, range).bytes();
    delete &Range(group, range);
  }
  table_.Remove(group);
}

void SortedRows::Committed(int64_t bytes_max) {
  std::sort(gone_.begin(), gone_.end());
  gone_.erase(std::unique(gone_.begin(), gone_.end()), gone_.end());
  for (Group* group : gone_) {
    if (!group->Is(Group::kDirty) && IsEmpty(group)) RemoveGroup(group);
  }
  gone_.clear();
  if (store_ == nullptr || bytes() <= bytes_max) return;
  const int64_t enough = bytes_max - bytes_max / 5;
  // Keys of the newest checkpoint last: what stays need not be read while their delta is
  // on its way into the store.
  for (const uint32_t kept : {Group::kDirty | Group::kRecent, +Group::kDirty}) {
    for (uint32_t seen = 0; seen < table_.index_end() && bytes() > enough; ++seen) {
      hand_ = hand_ + 1 < table_.index_end() ? hand_ + 1 : 0;
      Group* group = table_.At(hand_);
      if (group != nullptr && (group->flags & kept) == 0) RemoveGroup(group);
    }
  }
  cold_ = true;
}

}  // namespace weir::ops
