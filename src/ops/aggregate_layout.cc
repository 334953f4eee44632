#include "ops/aggregate_layout.h"

#include <algorithm>

namespace weir::ops {
namespace {

using data::Kind;

constexpr char kGroupFormat = 1;
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
      "count(*)", "count", "sum",  "min",      "max",     "avg",      "arg_min",
      "arg_max",  "first", "last", "bool_and", "bool_or", "any_value"};
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
                 .result = call.result};
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
    default:
      WEIR_TRY(DescribeWinner(call, input, retracts, &out, &order));
  }

  out.offset = layout->slot_bytes;
  if (out.form == SlotForm::kRange) out.offset = (out.offset + 7) / 8 * 8;  // a pointer
  layout->slot_bytes = out.offset + SlotBytes(out);
  AddOnce(layout->used_columns, out.argument);
  AddOnce(layout->used_columns, out.filter);
  if (out.form == SlotForm::kWinner || out.form == SlotForm::kRange) {
    out.order = IndexOf(layout->orders, order);
    for (const int column : order.columns) AddOnce(layout->used_columns, column);
  }
  if (out.form == SlotForm::kFloatSum) layout->refs.push_back({out.offset + 24, -1});
  if (out.form == SlotForm::kWinner) {
    layout->refs.push_back({out.minor_offset(), out.order});
    if (out.width == 0) layout->refs.push_back({out.value_offset(), -1});
  }
  if (out.form == SlotForm::kRange)
    layout->ranges.push_back(static_cast<int>(layout->calls.size()));
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

void EncodeGroup(const AggregateLayout& layout, Group* group, std::string* out) {
  out->push_back(kGroupFormat);
  out->append(reinterpret_cast<const char*>(&group->rows), sizeof group->rows);
  const size_t slots_at = out->size(), heap_at = slots_at + layout.slot_bytes;
  out->append(group->slots(), layout.slot_bytes);
  out->resize(heap_at + LiveBytes(layout, group));
  GroupHeap compact{out->data() + heap_at, 0,
                    static_cast<uint32_t>(out->size() - heap_at)};
  MoveItems(layout, group->heap, out->data() + slots_at, compact);
  for (const int range : layout.ranges)
    std::memset(out->data() + slots_at + layout.calls[static_cast<size_t>(range)].offset,
                0, 8);
}

Status DecodeGroup(const AggregateLayout& layout, std::string_view bytes,
                   GroupTable& table, Group* group) {
  const size_t slots_at = 1 + sizeof group->rows;
  if (bytes.size() < slots_at + layout.slot_bytes || bytes[0] != kGroupFormat)
    return Corrupt("a stored group is malformed");
  group->rows = ReadAs<int64_t>(bytes.data() + 1);
  std::memcpy(group->slots(), bytes.data() + slots_at, layout.slot_bytes);
  const std::string_view items = bytes.substr(slots_at + layout.slot_bytes);
  if (items.empty()) return {};
  table.FreeHeap(table.RenewHeap(group, items.size()));
  std::memcpy(group->heap.bytes, items.data(), items.size());
  group->heap.size = static_cast<uint32_t>(items.size());
  return {};
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
