// The rows of one or two inputs in order, per key: what operators keep that look at a
// row's neighbours. An entry is a row's order key, the row and the size of the order key;
// it stands once, with the number of times the row is there. In the store it is one
// record (docs/formats/state.md).
//
// Of a key that was let go only what is asked for comes back: the surroundings of rows
// that change, and what a cursor comes to. Between two entries in memory there may be a
// gap, where the store may have others. No gap is beside an entry that changed since the
// last commit, so what the store has in a gap is true.
//
// When memory is short, small keys are packed until they are asked for again: that takes
// half of it. Only when it is short all the same keys are let go.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/byte_pool.h"
#include "ops/cells.h"
#include "ops/group_table.h"
#include "ops/order_keys.h"
#include "ops/sorted_counts.h"
#include "state/state.h"

namespace weir::ops {

// order key, row (AppendCanonicalRow), uint32 bytes of the order key
void AppendSortedRow(const OrderKeys& order, std::span<const InputColumn> columns,
                     size_t row, std::string* out);
std::string_view RowOfEntry(std::string_view entry);
std::string_view OrderOfEntry(std::string_view entry);

class SortedRows {
 public:
  static constexpr size_t kRangesMax = 2;

  struct Change {
    std::string entry;
    int64_t before;  // its weight when the step began
  };
  struct Touched {
    Group* group;
    // Entries that the step touched, per range, in order.
    std::array<std::vector<Change>, kRangesMax> changes;
  };

  // How entries are named in the store: with the number of their range, or, where there
  // is but one, without.
  enum class Naming : uint8_t { kByRange, kBare };
  static Result<std::unique_ptr<SortedRows>> Make(size_t ranges, state::Store* store,
                                                  std::string space,
                                                  Naming naming = Naming::kByRange);
  ~SortedRows();
  SortedRows(const SortedRows&) = delete;
  SortedRows& operator=(const SortedRows&) = delete;

  // Brings these entries of a range, each of the key at its place, and what is beside
  // them into memory, as far as they are stored.
  Status Load(std::span<const Hash128> keys, size_t range,
              std::span<const std::string> entries);
  Group* FindOrInsert(Hash128 key);
  // Of an entry that is loaded.
  void Add(Group* group, size_t range, std::string_view entry, int64_t weight);

  // A place in the order of a range, which holds until the next Add. It reads from the
  // store what it comes to; when that fails it is at the end, and BeginStep tells.
  class Cursor {
   public:
    bool AtEnd() const { return end_; }
    std::string_view entry() const { return entry_; }
    int64_t weight() const { return weight_; }  // how often it is there
    void Next();
    // False: there is nothing before it, and it stays.
    bool Back();

   private:
    friend class SortedRows;
    void Find();
    void Show();

    SortedRows* rows_;
    Group* group_;
    size_t range_;
    SortedCounts::Cursor at_;
    uint32_t loads_;  // of the key, when at_ was found
    size_t ahead_;    // so many entries are read at once
    std::string_view entry_;
    int64_t weight_ = 0;
    bool end_ = false;
  };
  // The first entry that is not before `place`.
  Cursor From(Group* group, size_t range, std::string_view place);
  // The last entry before `place`; nullopt: there is none.
  std::optional<std::string_view> Before(Group* group, size_t range,
                                         std::string_view place);
  // Of an entry that is loaded.
  int64_t WeightOf(Group* group, size_t range, std::string_view entry) const {
    const SortedCounts::Entry* found = Range(group, range).Find(entry);
    return found == nullptr ? 0 : found->weight;
  }

  // The same between EndOfStep and BeginStep for an entry that the operator makes of a
  // touched key's rows, in a range of its own. It need not be loaded.
  Status AddDerived(Group* group, size_t range, std::string_view entry, int64_t weight);

  // What the step touched, in order of the first touch. kInternal: a row was taken back
  // that is not there.
  Result<std::span<Touched>> EndOfStep();
  // Begins the next step. An error is that of a cursor which could not read.
  Status BeginStep();

  Status Checkpoint(state::Delta& delta);
  // What was not touched since the last checkpoint may go, until no more than `bytes_max`
  // are in memory.
  void Committed(int64_t bytes_max);

  int64_t bytes() const { return table_.bytes() + range_bytes_ + pool_.bytes(); }
  int64_t keys() const { return table_.count(); }

 private:
  struct Slots {
    SortedCounts* ranges[kRangesMax];  // none while they are packed
    char* packed;                      // of BytePool::Keep: the ranges
    uint64_t touched;  // place in touched_, in the step that the group says
    uint32_t loads;    // how often something was read into it
    std::array<bool, kRangesMax> partial;  // there may be gaps
    std::array<bool, kRangesMax> end_gap;  // one behind the last entry
  };
  struct DirtyEntry {
    Group* group;
    size_t range;
    std::string entry;
  };

  SortedRows(size_t ranges, state::Store* store, std::string space, Naming naming,
             bool cold);
  static Slots& SlotsOf(Group* group) {
    return *reinterpret_cast<Slots*>(group->slots());
  }
  SortedCounts& Range(Group* group, size_t range) const;
  std::string NameOf(size_t range) const {
    return std::string(naming_ == Naming::kByRange ? 1 : 0, static_cast<char>(range));
  }
  bool HasGap(Group* group, size_t range, const SortedCounts::Cursor& at) const {
    return at.AtEnd() ? SlotsOf(group).end_gap[range] : at->gap;
  }
  struct StoredEntry {
    size_t range;
    std::string_view entry;
    int64_t weight;
  };
  // From what follows the group's prefix in a key, and its value; nullopt: malformed.
  std::optional<StoredEntry> ParseEntry(std::string_view name,
                                        std::string_view weight) const;
  // Of an entry that is not in memory; the pointer holds until the next one.
  SortedCounts::Entry* AddStored(Group* group, size_t range, std::string_view entry,
                                 int64_t weight);
  // If the place (nullopt: the end) is in a gap, reads so many of the stored entries
  // before it and from it on, no more than the gap has.
  Status Fill(Group* group, size_t range, std::optional<std::string> place, size_t before,
              size_t from);
  Result<Group*> Restore(Hash128 key);
  // The same for a range of which nothing is in memory: all of it, if it is small.
  Status FillFirst(Group* group, size_t range);
  Status Surround(Group* group, size_t range, const std::string& entry);
  void NoteRead(Status status) {
    if (read_.ok()) read_ = std::move(status);
  }
  bool IsEmpty(Group* group) const;
  Group* Find(Hash128 key);  // unpacked; nullptr: it is not in memory
  void MakeRanges(Group* group);
  void FreeRanges(Group* group);
  void FreePacked(Group* group);
  bool IsSmall(Group* group) const;
  void Pack(Group* group);
  void Unpack(Group* group);
  void RemoveGroup(Group* group);

  const size_t ranges_;
  state::Store* const store_;
  const std::string space_;
  const Naming naming_;
  bool cold_;  // the store may hold keys that are not in memory

  GroupTable table_;
  BytePool pool_;            // of what is packed
  int64_t range_bytes_ = 0;  // of what is not
  uint32_t step_ = 1;
  std::vector<Touched> touched_;
  std::vector<DirtyEntry> dirty_entries_;
  std::vector<Group*> dirty_, gone_;
  std::vector<Group*> recent_;  // written by the last checkpoint; some may be others now
  uint32_t hand_ = 0;           // where the last packing or eviction stopped
  std::string scratch_;
  Status read_;  // the first error of a cursor
};

}  // namespace weir::ops
