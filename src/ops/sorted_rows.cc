#include "ops/sorted_rows.h"

#include <algorithm>

#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

constexpr std::string_view kStoredMark = "1";
constexpr size_t kWholeRows = 24;  // so many are read of a range before a place is sought
constexpr size_t kAroundRows = 16, kAheadRowsMax = 512;
constexpr int64_t kPackedRowsMax = 64;  // of a key, so that unpacking costs little

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
                                                     std::string space, Naming naming) {
  WEIR_CHECK(ranges <= (naming == Naming::kBare ? 1 : kRangesMax));
  const bool cold = store != nullptr && WEIR_TRY(HasRows(*store, space));
  return std::unique_ptr<SortedRows>(
      new SortedRows(ranges, store, std::move(space), naming, cold));
}

SortedRows::SortedRows(size_t ranges, state::Store* store, std::string space,
                       Naming naming, bool cold)
    : ranges_(ranges),
      store_(store),
      space_(std::move(space)),
      naming_(naming),
      cold_(cold),
      table_(sizeof(Slots)) {}

SortedRows::~SortedRows() {
  for (uint32_t i = 0; i < table_.index_end(); ++i) {
    if (Group* group = table_.At(i)) {
      FreeRanges(group);
      FreePacked(group);
    }
  }
}

SortedCounts& SortedRows::Range(Group* group, size_t range) const {
  return *SlotsOf(group).ranges[range];
}

Group* SortedRows::Find(Hash128 key) {
  Group* group = table_.Find(key);
  if (group != nullptr && SlotsOf(group).packed != nullptr) Unpack(group);
  return group;
}

Group* SortedRows::FindOrInsert(Hash128 key) {
  Group* group = Find(key);
  if (group != nullptr) return group;
  group = table_.Insert(key);
  MakeRanges(group);
  return group;
}

Status SortedRows::Load(std::span<const Hash128> keys, size_t range,
                        std::span<const std::string> entries) {
  if (!cold_) return {};
  for (size_t i = 0; i < keys.size(); ++i) {
    Group* group = Find(keys[i]);
    if (group == nullptr) group = WEIR_TRY(Restore(keys[i]));
    if (!SlotsOf(group).partial[range]) continue;
    WEIR_TRY(FillFirst(group, range));
    WEIR_TRY(Surround(group, range, entries[i]));
  }
  return {};
}

// A key that is not in memory. Whether the store knows it is seen from its entries: of a
// key that is not stored the filters say so. One scan reads all that a small key has.
Result<Group*> SortedRows::Restore(Hash128 key) {
  Group* group = FindOrInsert(key);
  Slots& slots = SlotsOf(group);
  const std::string prefix = RangePrefixOf(key);
  size_t range = 0, count = 0;  // where the scan is, and so many entries of that range
  bool malformed = false, all = true;
  WEIR_TRY(store_->Scan(space_, prefix, [&](std::string_view name, auto weight) {
    const auto entry = ParseEntry(name.substr(prefix.size()), weight);
    malformed = !entry || entry->range < range;
    if (malformed) return false;
    if (entry->range > range) count = 0;
    range = entry->range;
    all = ++count <= kWholeRows;
    if (all) AddStored(group, range, entry->entry, entry->weight);
    return all;
  }));
  if (malformed) return Corrupt("a stored row in order is malformed");
  // What is behind the place where it ended is not known.
  for (size_t i = all ? ranges_ : range; i < ranges_; ++i)
    slots.partial[i] = slots.end_gap[i] = true;
  if (count > 0) group->flags = Group::kEmitted;
  ++slots.loads;
  return group;
}

// ---------------------------------------------------------------------------------- gaps

std::optional<SortedRows::StoredEntry> SortedRows::ParseEntry(
    std::string_view name, std::string_view weight) const {
  const size_t name_bytes = naming_ == Naming::kByRange;
  if (name.size() < name_bytes + sizeof(uint32_t) || weight.size() != sizeof(int64_t))
    return std::nullopt;
  const size_t range = name_bytes > 0 ? static_cast<uint8_t>(name[0]) : 0;
  if (range >= ranges_) return std::nullopt;
  return StoredEntry{range, name.substr(name_bytes), ReadAs<int64_t>(weight.data())};
}

SortedCounts::Entry* SortedRows::AddStored(Group* group, size_t range,
                                           std::string_view entry, int64_t weight) {
  SortedCounts& rows = Range(group, range);
  const int64_t bytes = rows.bytes();
  SortedCounts::Entry* added = rows.Add(entry, weight);
  range_bytes_ += rows.bytes() - bytes;
  return added;
}

Status SortedRows::FillFirst(Group* group, size_t range) {
  if (!SlotsOf(group).partial[range] || !Range(group, range).empty()) return {};
  return Fill(group, range, "", 0, kWholeRows);
}

// Both sides of an entry, whether it is there or not.
Status SortedRows::Surround(Group* group, size_t range, const std::string& entry) {
  const SortedCounts::Cursor at = Range(group, range).From(entry);
  if (at.AtEnd() || at->key() != entry)
    return Fill(group, range, entry, kAroundRows, kAroundRows);
  WEIR_TRY(Fill(group, range, entry, kAroundRows, 0));
  return Fill(group, range, entry + '\0', 0, kAroundRows);
}

// The gap is from `previous` to `next`, two entries in memory or the ends of the range:
//     previous … before place from … next
Status SortedRows::Fill(Group* group, size_t range, std::optional<std::string> place,
                        size_t before, size_t from) {
  SortedCounts& rows = Range(group, range);
  Slots& slots = SlotsOf(group);
  SortedCounts::Cursor at = place ? rows.From(*place) : rows.End();
  if (!HasGap(group, range, at)) return {};
  const bool was_empty = rows.empty();
  std::optional<std::string> next, previous;
  if (!at.AtEnd()) next.emplace(at->key());
  if (at.Back()) previous.emplace(at->key());

  struct Stored {
    std::string entry;
    int64_t weight;
  };
  // Takes in what the store has, until that is enough or in memory. False: it was enough.
  const auto read = [&](bool back, size_t count,
                        std::vector<Stored>* out) -> Result<bool> {
    const std::string group_prefix = RangePrefixOf(group->hash);
    std::string bound = NameOf(range);
    WEIR_CHECK(place || !bound.empty());
    if (place) {
      bound += *place;
    } else {
      ++bound[0];
    }
    bool malformed = false, all = true;
    const auto visit = [&](std::string_view name, std::string_view weight) {
      const auto stored = ParseEntry(name.substr(group_prefix.size()), weight);
      malformed = !stored;
      if (malformed || stored->range != range) return false;
      const std::string_view key = stored->entry;
      const auto& known = back ? previous : next;
      if (known && (back ? key <= *known : key >= *known)) return false;
      all = out->size() < count;
      if (all) out->push_back({std::string(key), stored->weight});
      return all;
    };
    WEIR_TRY(back ? store_->ScanBack(space_, group_prefix, bound, visit)
                  : store_->ScanFrom(space_, group_prefix, bound, visit));
    if (malformed) return Corrupt("a stored row in order is malformed");
    return all;
  };
  std::vector<Stored> back, ahead;
  const bool to_previous = before > 0 && WEIR_TRY(read(true, before, &back));
  const bool to_next = from > 0 && WEIR_TRY(read(false, from, &ahead));

  // Whether all is known now between the place and what is before it, and behind it.
  const bool before_known =
      before > 0 ||
      (place && (place->empty() || (previous && *place == *previous + '\0')));
  const bool behind_known = from > 0 ? !ahead.empty() || to_next : place == next;
  for (size_t i = 0; i < back.size(); ++i) {
    AddStored(group, range, back[i].entry, back[i].weight)->gap =
        i + 1 == back.size() && !to_previous;
  }
  for (size_t i = 0; i < ahead.size(); ++i) {
    AddStored(group, range, ahead[i].entry, ahead[i].weight)->gap =
        i == 0 && !before_known;
  }
  const bool gap = ahead.empty() ? !before_known || !behind_known : !to_next;
  (next ? rows.Find(*next)->gap : slots.end_gap[range]) = gap;
  ++slots.loads;
  if (was_empty && to_next && before_known && (before == 0 || to_previous))
    slots.partial[range] = false;
  return {};
}

SortedRows::Cursor SortedRows::From(Group* group, size_t range, std::string_view place) {
  Cursor out;
  out.rows_ = this;
  out.group_ = group;
  out.range_ = range;
  out.ahead_ = kAroundRows;
  if (SlotsOf(group).partial[range]) {
    NoteRead(FillFirst(group, range));
    NoteRead(Fill(group, range, std::string(place), 0, kAroundRows));
  }
  out.at_ = Range(group, range).From(place);
  out.loads_ = SlotsOf(group).loads;
  out.Show();
  return out;
}

std::optional<std::string_view> SortedRows::Before(Group* group, size_t range,
                                                   std::string_view place) {
  if (SlotsOf(group).partial[range]) {
    NoteRead(FillFirst(group, range));
    NoteRead(Fill(group, range, std::string(place), kAroundRows, 0));
  }
  const SortedCounts::Entry* found = Range(group, range).Before(place);
  if (found == nullptr || !read_.ok()) return std::nullopt;
  return found->key();
}

// What was read meanwhile moved the entries, whose bytes stay where they are.
void SortedRows::Cursor::Find() {
  const uint32_t loads = SlotsOf(group_).loads;
  if (loads == loads_) return;
  const SortedCounts& rows = rows_->Range(group_, range_);
  at_ = end_ ? rows.End() : rows.From(entry_);
  loads_ = loads;
}

void SortedRows::Cursor::Show() {
  end_ = at_.AtEnd() || !rows_->read_.ok();
  if (end_) return;
  entry_ = at_->key();
  weight_ = at_->weight;
}

void SortedRows::Cursor::Next() {
  if (end_) return;
  Find();
  at_.Next();
  if (rows_->HasGap(group_, range_, at_)) {
    const std::string behind = std::string(entry_) + '\0';
    rows_->NoteRead(rows_->Fill(group_, range_, behind, 0, ahead_));
    ahead_ = std::min(ahead_ * 2, kAheadRowsMax);
    at_ = rows_->Range(group_, range_).From(behind);
    loads_ = SlotsOf(group_).loads;
  }
  Show();
}

bool SortedRows::Cursor::Back() {
  Find();
  if (rows_->HasGap(group_, range_, at_)) {
    std::optional<std::string> place;
    if (!end_) place = entry_;
    rows_->NoteRead(rows_->Fill(group_, range_, place, ahead_, 0));
    ahead_ = std::min(ahead_ * 2, kAheadRowsMax);
    Find();
  }
  if (!rows_->read_.ok() || !at_.Back()) return false;
  Show();
  return true;
}

// ------------------------------------------------------------------------------- changes

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

Status SortedRows::AddDerived(Group* group, size_t range, std::string_view entry,
                              int64_t weight) {
  if (SlotsOf(group).partial[range]) WEIR_TRY(Surround(group, range, std::string(entry)));
  SortedCounts& entries = Range(group, range);
  const int64_t bytes = entries.bytes();
  SortedCounts::Entry* added = entries.Add(entry, weight);
  range_bytes_ += entries.bytes() - bytes;
  if (added != nullptr && added->dirty) return {};
  if (added != nullptr) added->dirty = true;
  dirty_entries_.push_back({group, range, std::string(entry)});
  return {};
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

Status SortedRows::BeginStep() {
  touched_.clear();
  ++step_;
  return std::exchange(read_, {});
}

bool SortedRows::IsEmpty(Group* group) const {
  for (size_t range = 0; range < ranges_; ++range) {
    if (!Range(group, range).empty() || SlotsOf(group).end_gap[range]) return false;
  }
  return true;
}

Status SortedRows::Checkpoint(state::Delta& delta) {
  if (!touched_.empty()) return Internal("a checkpoint in the middle of a step");
  for (const DirtyEntry& dirty : dirty_entries_) {
    const std::string key =
        RangePrefixOf(dirty.group->hash) + NameOf(dirty.range) + dirty.entry;
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

// -------------------------------------------------------------------------------- memory

void SortedRows::MakeRanges(Group* group) {
  for (size_t range = 0; range < ranges_; ++range)
    SlotsOf(group).ranges[range] = new SortedCounts;
}

void SortedRows::FreeRanges(Group* group) {
  Slots& slots = SlotsOf(group);
  if (slots.packed != nullptr) return;
  for (size_t range = 0; range < ranges_; ++range) {
    range_bytes_ -= Range(group, range).bytes();
    delete std::exchange(slots.ranges[range], nullptr);
  }
}

void SortedRows::FreePacked(Group* group) {
  char* packed = std::exchange(SlotsOf(group).packed, nullptr);
  if (packed != nullptr) pool_.Drop(packed);
}

bool SortedRows::IsSmall(Group* group) const {
  int64_t rows = 0;
  for (size_t range = 0; range < ranges_; ++range) rows += Range(group, range).size();
  return rows > 0 && rows <= kPackedRowsMax;
}

void SortedRows::Pack(Group* group) {
  scratch_.clear();
  for (size_t range = 0; range < ranges_; ++range) Range(group, range).Pack(&scratch_);
  FreeRanges(group);
  SlotsOf(group).packed = pool_.Keep(scratch_);
}

void SortedRows::Unpack(Group* group) {
  std::string_view left = BytePool::Kept(SlotsOf(group).packed);
  MakeRanges(group);
  for (size_t range = 0; range < ranges_; ++range) {
    SortedCounts& rows = Range(group, range);
    left = rows.Unpack(left);
    range_bytes_ += rows.bytes();
  }
  FreePacked(group);
}

void SortedRows::RemoveGroup(Group* group) {
  FreeRanges(group);
  FreePacked(group);
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
  const auto sweep = [&](uint32_t kept, auto&& make_room) {
    for (uint32_t seen = 0; seen < table_.index_end() && bytes() > enough; ++seen) {
      hand_ = hand_ + 1 < table_.index_end() ? hand_ + 1 : 0;
      Group* group = table_.At(hand_);
      if (group != nullptr && (group->flags & kept) == 0) make_room(group);
    }
  };
  // Keys of the newest checkpoint last: what stays need not be read while their delta is
  // on its way into the store.
  const uint32_t kept_first[] = {Group::kDirty | Group::kRecent, Group::kDirty};
  for (const uint32_t kept : kept_first) {
    sweep(kept, [&](Group* group) {
      if (SlotsOf(group).packed == nullptr && IsSmall(group)) Pack(group);
    });
  }
  if (bytes() <= bytes_max - bytes_max / 10) return;
  for (const uint32_t kept : kept_first)
    sweep(kept, [&](Group* group) { RemoveGroup(group); });
  cold_ = true;
}

}  // namespace weir::ops
