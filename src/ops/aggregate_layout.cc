#include "ops/aggregate_layout.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir::ops {
namespace {

using data::Kind;

constexpr char kGroupFormat = 1, kGroupWithRangesFormat = 2;
// Of a range of a stored group.
constexpr char kNoEntry = 0, kOneEntry = 1, kApart = 2;
constexpr int kInt64Digits = 18;

bool IsInteger(const data::Type& type) {
  return type.kind == Kind::kBool || type.kind == Kind::kInt32 ||
         type.kind == Kind::kInt64 || type.kind == Kind::kDecimal;
}
bool IsFloat(const data::Type& type) {
  return type.kind == Kind::kFloat || type.kind == Kind::kDouble;
}

// Whether an exact integer (of `scale` decimal digits behind the point) can be given as
// that type.
bool HoldsInteger(const data::Type& result, int scale) {
  if (result.kind == Kind::kDecimal) return result.scale == scale;
  if (result.kind == Kind::kInt32 || result.kind == Kind::kInt64) return scale == 0;
  return IsFloat(result);
}

Error Wrong(const CallLayout& call, std::string_view why) {
  static constexpr std::string_view kNames[] = {
      "count(*)",  "count",    "sum",        "min",           "max",           "avg",
      "arg_min",   "arg_max",  "first",      "last",          "bool_and",      "bool_or",
      "any_value", "list",     "string_agg", "quantile_cont", "quantile_disc", "mode",
      "var_pop",   "var_samp", "stddev_pop", "stddev_samp"};
  return Invalid(
      fmt::format("{} of {} as {}: {}", kNames[static_cast<size_t>(call.kind)],
                  call.argument < 0 ? "rows" : data::TypeName(call.argument_type),
                  data::TypeName(call.result), why));
}

// What the call does with order and NULLs, before its slot is chosen.
Status DescribeWinner(const AggregateCall& call, const data::Schema& input, bool retracts,
                      CallLayout* out, OrderSpec* order) {
  const bool ordered_any = call.kind == AggregateKind::kAnyValue && !call.order.empty();
  *order = {call.order, call.descending, false, retracts};
  switch (call.kind) {
    case AggregateKind::kMin:
    case AggregateKind::kMax:
    case AggregateKind::kAnyValue:
      out->smallest = call.kind != AggregateKind::kMax;
      out->argument_present = true;
      if (!ordered_any)
        *order = {{call.argument},
                  {},
                  false,
                  retracts};  // any_value takes the least, so that it is always the same
      break;
    case AggregateKind::kArgMin:
    case AggregateKind::kArgMax:
      out->smallest = call.kind == AggregateKind::kArgMin;
      out->argument_present = out->order_present = true;
      break;
    default:
      out->smallest = call.kind == AggregateKind::kFirst;
      out->null_values = true;
  }
  order->first_nulls = out->null_values || ordered_any;
  if (order->columns.empty()) return Wrong(*out, "it needs an order");
  for (const int column : order->columns) {
    if (column < 0 || static_cast<size_t>(column) >= input.fields.size())
      return Wrong(*out, "no such order column");
  }
  if (out->result != out->argument_type)
    return Wrong(*out, "the result has the argument's type");
  const bool by_value = order->columns.size() == 1 &&
                        order->columns[0] == call.argument && !order->first_nulls &&
                        !order->Descending(0);
  out->form = retracts                                    ? SlotForm::kRange
              : by_value && IsOrdinal(out->argument_type) ? SlotForm::kOrdinal
                                                          : SlotForm::kWinner;
  // arg_max(x, x): the argument is the order.
  if (out->form == SlotForm::kOrdinal) out->order_present = false;
  return {};
}

Status DescribeSum(CallLayout* out) {
  const data::Type& type = out->argument_type;
  out->argument_present = true;
  if (IsFloat(type)) {
    out->form = SlotForm::kFloatSum;
    return IsFloat(out->result) ? Status() : Wrong(*out, "the result is a double");
  }
  if (!IsInteger(type)) return Wrong(*out, "only numbers add up");
  out->form = type.kind == Kind::kDecimal && type.precision > kInt64Digits
                  ? SlotForm::kWideIntegerSum
                  : SlotForm::kIntegerSum;
  if (out->kind == AggregateKind::kAvg)
    return IsFloat(out->result) ? Status() : Wrong(*out, "the result is a double");
  return HoldsInteger(out->result, type.scale) ? Status()
                                               : Wrong(*out, "the result cannot hold it");
}

// The type that quantile_cont makes of an argument type.
bool InterpolatesTo(const data::Type& argument, const data::Type& result) {
  switch (argument.kind) {
    case Kind::kInt32:
    case Kind::kInt64:
      return result.kind == Kind::kDouble;
    case Kind::kDate:
      return result.kind == Kind::kTimestamp;
    case Kind::kDecimal:
      return argument.precision <= kInt64Digits && result == argument;
    case Kind::kFloat:
    case Kind::kDouble:
    case Kind::kTime:
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      return result == argument;
    default:
      return false;
  }
}

// list, string_agg, quantiles and mode: all values in order.
Status DescribeValues(const AggregateCall& call, const data::Schema& input,
                      CallLayout* out, OrderSpec* order) {
  const bool ordered =
      call.kind == AggregateKind::kList || call.kind == AggregateKind::kStringAgg;
  out->form = call.kind == AggregateKind::kMode ? SlotForm::kMode : SlotForm::kRange;
  out->null_values = call.kind == AggregateKind::kList;
  out->argument_present = !out->null_values;
  *order = {call.order, call.descending, true, true};
  if (!ordered || call.distinct) {
    if (!call.order.empty() && call.order != std::vector{call.argument})
      return Wrong(*out, "it is in the order of its values");
    order->columns = {call.argument};
    order->first_nulls = out->null_values;
  }
  if (order->columns.empty()) return Wrong(*out, "it needs an order");
  for (const int column : order->columns) {
    if (column < 0 || static_cast<size_t>(column) >= input.fields.size())
      return Wrong(*out, "no such order column");
  }
  switch (call.kind) {
    case AggregateKind::kList:
      if (call.result != data::ListOf(out->argument_type) &&
          (call.result.kind != Kind::kList || call.result.fields.size() != 1 ||
           call.result.fields[0].type != out->argument_type))
        return Wrong(*out, "the result is a list of the argument");
      break;
    case AggregateKind::kStringAgg:
      if (out->argument_type.kind != Kind::kString || call.result.kind != Kind::kString)
        return Wrong(*out, "only texts are put together");
      break;
    case AggregateKind::kQuantileCont:
      if (!InterpolatesTo(out->argument_type, call.result))
        return Wrong(*out, "such values cannot be interpolated");
      [[fallthrough]];
    case AggregateKind::kQuantileDisc:
      if (!(call.fraction.value >= 0 && call.fraction.value <= 1))
        return Wrong(*out, "the fraction is not between 0 and 1");
      if (call.kind == AggregateKind::kQuantileCont) break;
      [[fallthrough]];
    default:
      if (call.result != out->argument_type)
        return Wrong(*out, "the result has the argument's type");
  }
  return {};
}

uint32_t SlotBytes(const CallLayout& call) {
  switch (call.form) {
    case SlotForm::kCount:
      return 8;
    case SlotForm::kIntegerSum:
      return 24;
    case SlotForm::kWideIntegerSum:
      return 40;
    case SlotForm::kFloatSum:
      return 28;
    case SlotForm::kBools:
      return 16;
    case SlotForm::kOrdinal:
      return 9;
    case SlotForm::kWinner:
      return call.null_offset() - call.offset + (call.null_values ? 1 : 0);
    case SlotForm::kRange:
      return 8;
    case SlotForm::kMode:
      return 16;
    case SlotForm::kVariance:
      return 64;
    case SlotForm::kLogSum:
      return 12;
  }
  return 0;
}

void AddOnce(std::vector<int>& columns, int column) {
  if (column >= 0 && std::find(columns.begin(), columns.end(), column) == columns.end())
    columns.push_back(column);
}

int IndexOf(std::vector<OrderSpec>& orders, const OrderSpec& order) {
  const auto it = std::find(orders.begin(), orders.end(), order);
  if (it != orders.end()) return static_cast<int>(it - orders.begin());
  orders.push_back(order);
  return static_cast<int>(orders.size()) - 1;
}

Status AddCall(const AggregateCall& call, const data::Schema& input, bool retracts,
               AggregateLayout* layout) {
  CallLayout out{.kind = call.kind,
                 .form = SlotForm::kCount,
                 .argument = call.argument,
                 .filter = call.filter,
                 .result = call.result,
                 .distinct = call.distinct,
                 .separator = call.separator,
                 .fraction = call.fraction};
  const auto column_exists = [&](int column) {
    return column >= 0 && static_cast<size_t>(column) < input.fields.size();
  };
  if (call.kind != AggregateKind::kCountStar) {
    if (!column_exists(call.argument)) return Wrong(out, "no such argument column");
    out.argument_type = input.fields[static_cast<size_t>(call.argument)].type;
    out.width = CellWidth(out.argument_type);
  } else {
    out.argument = -1;
  }
  if (call.filter >= 0 &&
      (!column_exists(call.filter) ||
       input.fields[static_cast<size_t>(call.filter)].type.kind != Kind::kBool)) {
    return Wrong(out, "the filter is no boolean column");
  }

  OrderSpec order;
  switch (call.kind) {
    case AggregateKind::kCountStar:
    case AggregateKind::kCount:
      out.argument_present = out.argument >= 0;
      if (!HoldsInteger(out.result, 0)) return Wrong(out, "the result cannot hold it");
      break;
    case AggregateKind::kSum:
    case AggregateKind::kAvg:
      WEIR_TRY(DescribeSum(&out));
      break;
    case AggregateKind::kBoolAnd:
    case AggregateKind::kBoolOr:
      if (out.argument_type.kind != Kind::kBool || out.result.kind != Kind::kBool)
        return Wrong(out, "only booleans have it");
      out.form = SlotForm::kBools;
      out.argument_present = true;
      break;
    case AggregateKind::kList:
    case AggregateKind::kStringAgg:
    case AggregateKind::kQuantileCont:
    case AggregateKind::kQuantileDisc:
    case AggregateKind::kMode:
      WEIR_TRY(DescribeValues(call, input, &out, &order));
      break;
    case AggregateKind::kVarPop:
    case AggregateKind::kVarSamp:
    case AggregateKind::kStddevPop:
    case AggregateKind::kStddevSamp:
      if (!IsFloat(out.argument_type) || !IsFloat(out.result))
        return Wrong(out, "only floating numbers have it");
      out.form = SlotForm::kVariance;
      out.argument_present = true;
      break;
    case AggregateKind::kLogSum:
      if (!IsFloat(out.argument_type) || !IsFloat(out.result))
        return Wrong(out, "only floating numbers have it");
      out.form = SlotForm::kLogSum;
      out.argument_present = true;
      break;
    default:
      WEIR_TRY(DescribeWinner(call, input, retracts, &out, &order));
  }

  const bool values = out.form == SlotForm::kRange || out.form == SlotForm::kMode;
  if (call.distinct) {
    static constexpr AggregateKind kMayBe[] = {AggregateKind::kCount, AggregateKind::kSum,
                                               AggregateKind::kAvg, AggregateKind::kList,
                                               AggregateKind::kStringAgg};
    if (std::find(std::begin(kMayBe), std::end(kMayBe), call.kind) == std::end(kMayBe))
      return Wrong(out, "it is not for different values only");
  }
  if (call.distinct && !values) {
    order = {{call.argument}, {}, false, true};
  }
  out.has_range = values || call.distinct;
  out.offset = layout->slot_bytes;
  if (out.has_range) {  // a pointer
    out.range_offset = (out.offset + 7) / 8 * 8;
    out.offset = values ? out.range_offset : out.range_offset + 8;
  }
  layout->slot_bytes = out.offset + SlotBytes(out);
  AddOnce(layout->used_columns, out.argument);
  AddOnce(layout->used_columns, out.filter);
  if (out.form == SlotForm::kWinner || out.has_range) {
    out.order = IndexOf(layout->orders, order);
    for (const int column : order.columns) AddOnce(layout->used_columns, column);
  }
  if (out.form == SlotForm::kLogSum) layout->refs.push_back({out.offset + 8, -1});
  if (out.form == SlotForm::kFloatSum) layout->refs.push_back({out.offset + 24, -1});
  if (out.form == SlotForm::kWinner) {
    layout->refs.push_back({out.minor_offset(), out.order});
    if (out.width == 0) layout->refs.push_back({out.value_offset(), -1});
  }
  if (out.form == SlotForm::kVariance) {
    layout->refs.push_back({out.offset + 24, -1});
    layout->refs.push_back({out.offset + 60, -1});
  }
  if (out.has_range) {
    out.range_number = static_cast<int>(layout->ranges.size());
    layout->ranges.push_back(static_cast<int>(layout->calls.size()));
  }
  layout->calls.push_back(std::move(out));
  return {};
}

// A walk over the items that the slots of a group name, each once.
class LiveItems {
 public:
  LiveItems(const AggregateLayout& layout, const char* slots)
      : layout_(layout), slots_(slots) {}

  // visit(slot offset, ref) returns the item's new ref, or 0 when it stays; again(slot
  // offset, new ref) is told of further names.
  template <class Visit, class Again>
  void ForEach(Visit&& visit, Again&& again) {
    seen_.clear();
    for (const auto& [offset, order] : layout_.refs) {
      const uint32_t ref = ReadAs<uint32_t>(slots_ + offset);
      if (ref == 0 || (order >= 0 && ref >= kEmptyMinor)) continue;
      if (order >= 0) {
        const auto known =
            std::find_if(seen_.begin(), seen_.end(),
                         [&](const auto& pair) { return pair.first == ref; });
        if (known != seen_.end()) {
          again(offset, known->second);
          continue;
        }
      }
      const uint32_t moved = visit(offset, ref);
      if (order >= 0) seen_.emplace_back(ref, moved);
    }
  }

 private:
  const AggregateLayout& layout_;
  const char* slots_;
  static thread_local std::vector<std::pair<uint32_t, uint32_t>> seen_;
};
thread_local std::vector<std::pair<uint32_t, uint32_t>> LiveItems::seen_;

size_t LiveBytes(const AggregateLayout& layout, Group* group) {
  size_t bytes = 0;
  LiveItems(layout, group->slots())
      .ForEach(
          [&](uint32_t, uint32_t ref) {
            const std::string_view item = GroupTable::Item(group->heap, ref);
            bytes += static_cast<size_t>(item.data() + item.size() -
                                         (group->heap.bytes + ref - 1));
            return ref;
          },
          [](uint32_t, uint32_t) {});
  return bytes;
}

// Moves the items that `slots` name from one heap to another that has room for them.
void MoveItems(const AggregateLayout& layout, const GroupHeap& from, char* slots,
               GroupHeap& to) {
  LiveItems(layout, slots)
      .ForEach(
          [&](uint32_t offset, uint32_t ref) {
            const uint32_t moved = GroupTable::AddItem(to, GroupTable::Item(from, ref));
            WriteAs(slots + offset, moved);
            return moved;
          },
          [&](uint32_t offset, uint32_t moved) { WriteAs(slots + offset, moved); });
}

}  // namespace

Result<AggregateLayout> AggregateLayout::Make(const AggregateSpec& spec,
                                              const data::Schema& input) {
  if (spec.output.fields.size() != spec.keys.size() + spec.calls.size()) {
    return Invalid("an aggregate's output is its keys and its calls");
  }
  AggregateLayout out;
  for (const int column : spec.keys) {
    if (column < 0 || static_cast<size_t>(column) >= input.fields.size())
      return Invalid("an aggregate's key column does not exist");
    KeyLayout key{column, out.slot_bytes, 0,
                  input.fields[static_cast<size_t>(column)].type};
    key.width = CellWidth(key.type);
    out.slot_bytes += 1 + static_cast<uint32_t>(key.width > 0 ? key.width : 4);
    if (key.width == 0) out.refs.push_back({key.offset + 1, -1});
    AddOnce(out.used_columns, column);
    out.keys.push_back(std::move(key));
  }
  for (const AggregateCall& call : spec.calls)
    WEIR_TRY(AddCall(call, input, spec.input_retracts, &out));
  return out;
}

uint32_t AddHeapItem(GroupTable& table, Group* group, const AggregateLayout& layout,
                     std::string_view item) {
  if (!GroupTable::HasRoom(group->heap, item.size())) {
    constexpr size_t kCapacityMin = 48, kSizePrefixMax = 5;
    const size_t needed = LiveBytes(layout, group) + item.size() + kSizePrefixMax;
    const size_t capacity = std::max(kCapacityMin, (needed + needed / 4 + 15) / 16 * 16);
    const GroupHeap old = table.RenewHeap(group, capacity);
    MoveItems(layout, old, group->slots(), group->heap);
    const uint32_t ref = GroupTable::AddItem(
        group->heap, item);  // before the old heap goes: the item may stand in it
    table.FreeHeap(old);
    return ref;
  }
  return GroupTable::AddItem(group->heap, item);
}

namespace {

// Group::flags has a bit for each range from here on; ranges beyond always stand apart.
constexpr int kFirstApartBit = 8, kRangesMax = 24;

const SortedCounts* RangeAt(const AggregateLayout& layout, Group* group, size_t number) {
  return RangeOf(group, layout.calls[static_cast<size_t>(layout.ranges[number])]);
}

}  // namespace

bool StandsApart(const Group* group, int range_number) {
  return range_number >= kRangesMax ||
         (group->flags >> (kFirstApartBit + range_number) & 1) != 0;
}

void SetStandsApart(Group* group, int range_number, bool apart) {
  if (range_number >= kRangesMax) return;
  const uint32_t bit = uint32_t{1} << (kFirstApartBit + range_number);
  group->flags = apart ? group->flags | bit : group->flags & ~bit;
}

bool BelongsApart(const AggregateLayout& layout, Group* group, int range_number) {
  if (range_number >= kRangesMax) return true;
  const SortedCounts* range = RangeAt(layout, group, static_cast<size_t>(range_number));
  return range != nullptr && range->size() > 1;
}

void EncodeGroup(const AggregateLayout& layout, Group* group, std::string* out) {
  out->push_back(layout.ranges.empty() ? kGroupFormat : kGroupWithRangesFormat);
  out->append(reinterpret_cast<const char*>(&group->rows), sizeof group->rows);
  for (size_t i = 0; i < layout.ranges.size(); ++i) {
    const SortedCounts* range = RangeAt(layout, group, i);
    const bool apart = StandsApart(group, static_cast<int>(i));
    const bool one = !apart && range != nullptr && !range->empty();
    out->push_back(apart ? kApart : one ? kOneEntry : kNoEntry);
    if (!one) continue;
    const SortedCounts::Entry& entry = range->First();
    const auto size = static_cast<uint32_t>(entry.key().size());
    out->append(reinterpret_cast<const char*>(&entry.weight), sizeof entry.weight);
    out->append(reinterpret_cast<const char*>(&size), sizeof size);
    out->append(entry.key());
  }
  const size_t slots_at = out->size(), heap_at = slots_at + layout.slot_bytes;
  out->append(group->slots(), layout.slot_bytes);
  out->resize(heap_at + LiveBytes(layout, group));
  GroupHeap compact{out->data() + heap_at, 0,
                    static_cast<uint32_t>(out->size() - heap_at)};
  MoveItems(layout, group->heap, out->data() + slots_at, compact);
  for (const int range : layout.ranges) {
    const CallLayout& call = layout.calls[static_cast<size_t>(range)];
    std::memset(out->data() + slots_at + call.range_offset, 0,
                call.form == SlotForm::kMode ? 16 : 8);
  }
}

Result<int64_t> DecodeGroup(const AggregateLayout& layout, std::string_view bytes,
                            GroupTable& table, Group* group) {
  const auto malformed = [] { return Corrupt("a stored group is malformed"); };
  constexpr size_t kHead = 1 + sizeof group->rows;
  if (bytes.size() < kHead ||
      (bytes[0] != kGroupFormat && bytes[0] != kGroupWithRangesFormat))
    return malformed();
  const bool with_ranges = bytes[0] == kGroupWithRangesFormat;
  group->rows = ReadAs<int64_t>(bytes.data() + 1);
  bytes.remove_prefix(kHead);

  struct Single {
    const CallLayout* call;
    int64_t weight;
    std::string_view entry;
  };
  std::vector<Single> singles;
  for (size_t i = 0; i < layout.ranges.size(); ++i) {
    char how = kApart;
    if (with_ranges) {
      if (bytes.empty()) return malformed();
      how = bytes[0];
      bytes.remove_prefix(1);
    }
    SetStandsApart(group, static_cast<int>(i), how == kApart);
    if (how == kApart || how == kNoEntry) continue;
    constexpr size_t kEntryHead = sizeof(int64_t) + sizeof(uint32_t);
    if (how != kOneEntry || bytes.size() < kEntryHead) return malformed();
    const auto size = ReadAs<uint32_t>(bytes.data() + sizeof(int64_t));
    if (bytes.size() - kEntryHead < size) return malformed();
    singles.push_back({&layout.calls[static_cast<size_t>(layout.ranges[i])],
                       ReadAs<int64_t>(bytes.data()), bytes.substr(kEntryHead, size)});
    bytes.remove_prefix(kEntryHead + size);
  }
  if (bytes.size() < layout.slot_bytes) return malformed();
  std::memcpy(group->slots(), bytes.data(), layout.slot_bytes);
  int64_t range_bytes = 0;
  for (const Single& single : singles) {
    int64_t added;
    AddToRange(group, *single.call, single.entry, single.weight, &added);
    range_bytes += added;
  }
  const std::string_view items = bytes.substr(layout.slot_bytes);
  if (items.empty()) return range_bytes;
  table.FreeHeap(table.RenewHeap(group, items.size()));
  std::memcpy(group->heap.bytes, items.data(), items.size());
  group->heap.size = static_cast<uint32_t>(items.size());
  return range_bytes;
}

namespace {

bool IsNanCell(const data::Type& type, std::string_view cell) {
  if (type.kind == Kind::kDouble) return std::isnan(ReadAs<double>(cell.data()));
  return type.kind == Kind::kFloat && std::isnan(ReadAs<float>(cell.data()));
}

void AddToFrequencies(Group* group, const CallLayout& call, std::string_view entry,
                      int64_t count, int64_t weight) {
  std::string key;
  for (int shift = 56; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(~static_cast<uint64_t>(count) >> shift));
  FrequenciesOf(group, call)->Add(key.append(entry), weight);
}

}  // namespace

SortedCounts::Entry* AddToRange(Group* group, const CallLayout& call,
                                std::string_view entry, int64_t weight, int64_t* bytes) {
  SortedCounts*& range = RangeOf(group, call);
  if (range == nullptr) range = new SortedCounts;
  const int64_t before = range->bytes();
  SortedCounts::Entry* added = range->Add(entry, weight);
  *bytes = range->bytes() - before;
  if (call.form != SlotForm::kMode) return added;
  SortedCounts*& frequencies = FrequenciesOf(group, call);
  if (frequencies == nullptr) frequencies = new SortedCounts;
  const int64_t frequencies_before = frequencies->bytes();
  const int64_t after = added == nullptr ? 0 : added->weight, earlier = after - weight;
  // DuckDB's mode takes every NaN for a value of its own.
  const int64_t most = IsNanCell(call.argument_type, RangeEntryValue(entry).cell)
                           ? 1
                           : std::numeric_limits<int64_t>::max();
  if (earlier > 0) AddToFrequencies(group, call, entry, std::min(earlier, most), -1);
  if (after > 0) AddToFrequencies(group, call, entry, std::min(after, most), 1);
  *bytes += frequencies->bytes() - frequencies_before;
  return added;
}

int64_t DropRange(Group* group, const CallLayout& call) {
  int64_t bytes = 0;
  const auto drop = [&](SortedCounts*& range) {
    if (range != nullptr) bytes += range->bytes();
    delete range;
    range = nullptr;
  };
  drop(RangeOf(group, call));
  if (call.form == SlotForm::kMode) drop(FrequenciesOf(group, call));
  return bytes;
}

void AppendRangeEntry(std::string_view order_key, bool null, std::string_view cell,
                      std::string* out) {
  out->append(order_key);
  out->push_back(null ? 1 : 0);
  if (!null) out->append(cell);
  const auto size = static_cast<uint32_t>(order_key.size());
  out->append(reinterpret_cast<const char*>(&size), sizeof size);
}

RangeValue RangeEntryValue(std::string_view entry) {
  const auto order_bytes =
      ReadAs<uint32_t>(entry.data() + entry.size() - sizeof(uint32_t));
  entry.remove_suffix(sizeof(uint32_t));
  return {entry[order_bytes] != 0, entry.substr(order_bytes + 1)};
}

}  // namespace weir::ops
