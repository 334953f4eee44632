// What a group of an aggregate keeps: which slot each key column and each call has, and
// how values that vary in size hang on it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ops/aggregate.h"
#include "ops/exact_sum.h"
#include "ops/group_table.h"
#include "ops/order_keys.h"
#include "ops/sorted_counts.h"

namespace weir::ops {

// How a call keeps what it knows of a group, and the bytes of its slot (unaligned, in
// this order).
enum class SlotForm : uint8_t {
  kCount,           // int64
  kIntegerSum,      // int128 sum, int64 terms
  kWideIntegerSum,  // int128 sum of the high halves, int128 sum of the low halves, int64
                    // terms: decimals of more than 18 digits
  kFloatSum,        // NarrowSum, int64 terms, ref of a WideSum
  kBools,           // int64 true, int64 false
  kOrdinal,         // int64 ordinal, uint8 present: the extreme of append-only rows
  kWinner,    // int64 major, ref of the minor, value (a cell, or the ref of one), uint8
              // null if the call has null_values
  kRange,     // SortedCounts*: all values in order, for rows that may be retracted
  kMode,      // SortedCounts* of all values, SortedCounts* of the same by their frequency
  kVariance,  // NarrowSum, int64 terms, ref of a WideSum, NarrowSquares, ref of a
              // WideSquares
  kLogSum,    // int64 terms, ref of PowerSums
};

struct CallLayout {
  AggregateKind kind;
  SlotForm form;
  int argument, filter;
  bool argument_present = false;  // rows where the argument is NULL do not count
  bool order_present = false;     // nor rows where the first order column is
  bool null_values = false;       // NULL is a value that can win
  bool smallest = false;          // the first in order wins, not the last
  int order = -1;                 // of kWinner and kRange: into AggregateLayout::orders
  uint32_t offset = 0;            // of the slot
  int width = 0;                  // of a value cell; 0: it varies
  data::Type argument_type, result;
  // Of kRange, kMode and distinct calls: where the SortedCounts* is. That of a distinct
  // call stands before the slot, which counts every value once.
  bool has_range = false;
  uint32_t range_offset = 0;
  int range_number = -1;  // into AggregateLayout::ranges
  bool distinct = false;
  std::string separator;
  Fraction fraction;

  uint32_t minor_offset() const { return offset + 8; }
  uint32_t value_offset() const { return offset + 12; }
  uint32_t null_offset() const {
    return value_offset() + static_cast<uint32_t>(width > 0 ? width : 4);
  }
};

// uint8 null, then the cell or the ref of one.
struct KeyLayout {
  int column;
  uint32_t offset = 0;
  int width = 0;
  data::Type type;
};

// A ref in a winner's slot that names a row of the chunk being worked on instead of an
// item.
inline constexpr uint32_t kPendingRow = uint32_t{1} << 31;
// A ref in a winner's slot that stands for a minor without bytes.
inline constexpr uint32_t kEmptyMinor = kPendingRow - 1;

struct AggregateLayout {
  // kInvalid: a call that has no meaning, or whose result type is not one it can have.
  static Result<AggregateLayout> Make(const AggregateSpec& spec,
                                      const data::Schema& input);

  std::vector<KeyLayout> keys;
  std::vector<CallLayout> calls;
  std::vector<OrderSpec> orders;  // distinct ones; calls of one order share their minors
  std::vector<int> used_columns;  // of the input
  std::vector<int> ranges;        // calls with a range
  uint32_t slot_bytes = 0;

  // Where slots hold refs into the heap. Refs of one order may name the same item.
  struct RefSlot {
    uint32_t offset;
    int order;
  };  // order -1: not shared
  std::vector<RefSlot> refs;
};

// Adds `item` to the group's heap, which may move its items (all refs in the slots
// follow).
uint32_t AddHeapItem(GroupTable& table, Group* group, const AggregateLayout& layout,
                     std::string_view item);

// A range of at most one entry is stored with its group: a group of few rows is one
// record then, not one and some of its ranges. The entries of others stand in records of
// their own. Which it is for the group as it is stored, and as it is now.
bool StandsApart(const Group* group, int range_number);
void SetStandsApart(Group* group, int range_number, bool apart);
bool BelongsApart(const AggregateLayout& layout, Group* group, int range_number);

// The group without its header, as docs/formats/state.md has it, with the ranges that do
// not stand apart; and back, with the bytes that these take.
void EncodeGroup(const AggregateLayout& layout, Group* group, std::string* out);
Result<int64_t> DecodeGroup(const AggregateLayout& layout, std::string_view bytes,
                            GroupTable& table, Group* group);

inline SortedCounts*& RangeOf(Group* group, const CallLayout& call) {
  return *reinterpret_cast<SortedCounts**>(group->slots() + call.range_offset);
}
// Of kMode: the range's entries, each behind its inverted count (uint64 big-endian), so
// that the first is the most frequent.
inline SortedCounts*& FrequenciesOf(Group* group, const CallLayout& call) {
  return *reinterpret_cast<SortedCounts**>(group->slots() + call.offset + 8);
}
// Adds `weight` to an entry of the call's range, which is made if there is none; returns
// the entry as SortedCounts::Add does, and the growth in bytes.
SortedCounts::Entry* AddToRange(Group* group, const CallLayout& call,
                                std::string_view entry, int64_t weight, int64_t* bytes);
// Frees the call's range; returns its bytes.
int64_t DropRange(Group* group, const CallLayout& call);

// A range's entry: order key, uint8 null, the value's cell, uint32 bytes of the order
// key.
void AppendRangeEntry(std::string_view order_key, bool null, std::string_view cell,
                      std::string* out);
struct RangeValue {
  bool null;
  std::string_view cell;
};
RangeValue RangeEntryValue(std::string_view entry);

}  // namespace weir::ops
