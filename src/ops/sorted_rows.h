// The rows of one or two inputs in order, per key: what operators keep that look at a
// row's neighbours. An entry is a row's order key, the row and the size of the order key;
// it stands once, with the number of times the row is there. In the store it is one
// record (docs/formats/state.md). A key is in memory as a whole, or not at all.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  // What an operator remembers of a key while it is in memory.
  class Memo {
   public:
    virtual ~Memo() = default;
    virtual int64_t bytes() const = 0;
  };
  struct Touched {
    Group* group;
    // Entries that the step touched, per range, in order.
    std::array<std::vector<Change>, kRangesMax> changes;
  };

  static Result<std::unique_ptr<SortedRows>> Make(size_t ranges, state::Store* store,
                                                  std::string space);
  ~SortedRows();
  SortedRows(const SortedRows&) = delete;
  SortedRows& operator=(const SortedRows&) = delete;

  // Brings these keys into memory as far as they are stored.
  Status Load(std::span<const Hash128> keys);
  Group* FindOrInsert(Hash128 key);
  // Of a key that is loaded.
  void Add(Group* group, size_t range, std::string_view entry, int64_t weight);

  SortedCounts& Range(Group* group, size_t range) const;
  int64_t WeightOf(Group* group, size_t range, std::string_view entry) const {
    const SortedCounts::Entry* found = Range(group, range).Find(entry);
    return found == nullptr ? 0 : found->weight;
  }

  std::unique_ptr<Memo> TakeMemo(Group* group);  // nullptr: there is none
  void SetMemo(Group* group, std::unique_ptr<Memo> memo);

  // What the step touched, in order of the first touch. kInternal: a row was taken back
  // that is not there.
  Result<std::span<Touched>> EndOfStep();
  void BeginStep();

  Status Checkpoint(state::Delta& delta);
  // What was not touched since the last checkpoint may go, until no more than `bytes_max`
  // are in memory.
  void Committed(int64_t bytes_max);

  int64_t bytes() const { return table_.bytes() + range_bytes_; }
  int64_t keys() const { return table_.count(); }

 private:
  struct Slots {
    SortedCounts* ranges[kRangesMax];
    uint64_t touched;  // place in touched_, in the step that the group says
    Memo* memo;        // owned
  };
  struct DirtyEntry {
    Group* group;
    size_t range;
    std::string entry;
  };

  SortedRows(size_t ranges, state::Store* store, std::string space, bool cold);
  static Slots& SlotsOf(Group* group) {
    return *reinterpret_cast<Slots*>(group->slots());
  }
  bool IsEmpty(Group* group) const;
  void RemoveGroup(Group* group);

  const size_t ranges_;
  state::Store* const store_;
  const std::string space_;
  bool cold_;  // the store may hold keys that are not in memory

  GroupTable table_;
  int64_t range_bytes_ = 0;
  uint32_t step_ = 1;
  std::vector<Touched> touched_;
  std::vector<DirtyEntry> dirty_entries_;
  std::vector<Group*> dirty_, gone_;
  std::vector<Group*> recent_;  // written by the last checkpoint; some may be others now
  uint32_t hand_ = 0;           // where the last eviction stopped
};

}  // namespace weir::ops
