#include "ops/aggregate_results.h"

#include <arrow/api.h>

#include <limits>

#include "data/arrow.h"

namespace weir::ops {
namespace {

using data::Kind;

UInt128 PowerOfTen(int exponent) {
  UInt128 out = 1;
  for (int i = 0; i < exponent; ++i) out *= 10;
  return out;
}

void AppendDouble(double value, const data::Type& type, CellColumn* out) {
  if (type.kind == Kind::kFloat)
    out->AppendFixed(static_cast<float>(value));
  else
    out->AppendFixed(value);
}

// value / 10^scale / terms. Rounded once as long as the divisor fits 64 bits, which it
// does but for absurd scales.
double Quotient(std::span<const uint64_t> value, int scale, int64_t terms) {
  const UInt128 divisor = PowerOfTen(scale) * static_cast<UInt128>(terms);
  if (scale <= 18 && divisor <= std::numeric_limits<uint64_t>::max())
    return RoundedQuotient(value, 0, static_cast<uint64_t>(divisor));
  return RoundedQuotient(value, 0, static_cast<uint64_t>(terms)) /
         static_cast<double>(PowerOfTen(scale));
}

// False: it does not fit.
bool AppendInteger(Int128 value, int scale, const data::Type& type, CellColumn* out) {
  switch (type.kind) {
    case Kind::kInt32:
      if (value != static_cast<int32_t>(value)) return false;
      out->AppendFixed(static_cast<int32_t>(value));
      return true;
    case Kind::kInt64:
      if (value != static_cast<int64_t>(value)) return false;
      out->AppendFixed(static_cast<int64_t>(value));
      return true;
    case Kind::kDecimal: {
      const auto magnitude =
          value < 0 ? -static_cast<UInt128>(value) : static_cast<UInt128>(value);
      if (magnitude >= PowerOfTen(type.precision)) return false;
      out->AppendFixed(value);
      return true;
    }
    default: {
      const uint64_t limbs[2] = {static_cast<uint64_t>(value),
                                 static_cast<uint64_t>(value >> 64)};
      AppendDouble(Quotient(limbs, scale, 1), type, out);
      return true;
    }
  }
}

// The two halves of a wide sum as one number of 192 bits.
struct WideInteger {
  explicit WideInteger(const char* slot) {
    const Int128 high = ReadAs<Int128>(slot), low = ReadAs<Int128>(slot + 16);
    limbs[0] = static_cast<uint64_t>(low);
    const Int128 rest = high + (low >> 64);
    limbs[1] = static_cast<uint64_t>(rest);
    limbs[2] = static_cast<uint64_t>(rest >> 64);
    fits = rest == static_cast<int64_t>(rest);
    value = rest << 64 | limbs[0];
  }
  uint64_t limbs[3];
  bool fits;
  Int128 value;  // if it fits
};

// False: the sum does not fit its type.
bool AppendIntegerSum(const CallLayout& call, const char* slot, CellColumn* out) {
  const int scale =
      call.argument_type.kind == Kind::kDecimal ? call.argument_type.scale : 0;
  const bool wide = call.form == SlotForm::kWideIntegerSum;
  const auto terms = ReadAs<int64_t>(slot + (wide ? 32 : 16));
  if (terms <= 0) {
    out->AppendNull();
    return true;
  }
  if (wide) {
    const WideInteger sum(slot);
    if (call.kind == AggregateKind::kAvg) {
      AppendDouble(Quotient(sum.limbs, scale, terms), call.result, out);
      return true;
    }
    return sum.fits && AppendInteger(sum.value, scale, call.result, out);
  }
  const auto sum = ReadAs<Int128>(slot);
  if (call.kind != AggregateKind::kAvg)
    return AppendInteger(sum, scale, call.result, out);
  const uint64_t limbs[2] = {static_cast<uint64_t>(sum),
                             static_cast<uint64_t>(sum >> 64)};
  AppendDouble(Quotient(limbs, scale, terms), call.result, out);
  return true;
}

void AppendFloatSum(const CallLayout& call, Group* group, CellColumn* out) {
  const char* slot = group->slots() + call.offset;
  const auto terms = ReadAs<int64_t>(slot + 16);
  if (terms <= 0) return out->AppendNull();
  const uint64_t divisor =
      call.kind == AggregateKind::kAvg ? static_cast<uint64_t>(terms) : 1;
  const NarrowSum narrow{ReadAs<Int128>(slot)};
  const auto ref = ReadAs<uint32_t>(slot + 24);
  if (ref == 0)
    return AppendDouble(RoundedSum(narrow, nullptr, divisor), call.result, out);
  const auto wide = ReadAs<WideSum>(GroupTable::Item(group->heap, ref).data());
  AppendDouble(RoundedSum(narrow, &wide, divisor), call.result, out);
}

void AppendBools(const CallLayout& call, const char* slot, CellColumn* out) {
  const auto trues = ReadAs<int64_t>(slot), falses = ReadAs<int64_t>(slot + 8);
  if (trues <= 0 && falses <= 0) return out->AppendNull();
  out->AppendFixed(static_cast<uint8_t>(
      call.kind == AggregateKind::kBoolAnd ? falses <= 0 : trues > 0));
}

template <class T>
void AppendFixedWinners(const CallLayout& call, std::span<Group* const> groups,
                        CellColumn* out) {
  for (Group* group : groups) {
    const char* slots = group->slots();
    if (ReadAs<uint32_t>(slots + call.minor_offset()) == 0 ||
        (call.null_values && slots[call.null_offset()] != 0))
      out->AppendNull();
    else
      out->AppendFixed(ReadAs<T>(slots + call.value_offset()));
  }
}

void AppendVariableWinners(const CallLayout& call, std::span<Group* const> groups,
                           CellColumn* out) {
  for (Group* group : groups) {
    const auto ref = ReadAs<uint32_t>(group->slots() + call.value_offset());
    if (ref == 0)
      out->AppendNull();
    else
      out->Append(GroupTable::Item(group->heap, ref));
  }
}

void AppendRangeEnds(const CallLayout& call, std::span<Group* const> groups,
                     CellColumn* out) {
  for (Group* group : groups) {
    const SortedCounts* range = RangeOf(group, call);
    if (range == nullptr || range->empty()) {
      out->AppendNull();
      continue;
    }
    const auto [null, cell] =
        RangeEntryValue(call.smallest ? range->First().key : range->Last().key);
    if (null)
      out->AppendNull();
    else
      out->Append(cell);
  }
}

Error DoesNotFit(const AggregateLayout& layout, const CallLayout& call, Group* group) {
  return Invalid(fmt::format("a sum does not fit {} in group {}",
                             data::TypeName(call.result), GroupText(layout, group)));
}

}  // namespace

void AppendKeys(const KeyLayout& key, std::span<Group* const> groups, CellColumn* out) {
  for (Group* group : groups) {
    const char* at = group->slots() + key.offset;
    if (at[0] != 0)
      out->AppendNull();
    else if (key.width > 0)
      out->Append({at + 1, static_cast<size_t>(key.width)});
    else
      out->Append(GroupTable::Item(group->heap, ReadAs<uint32_t>(at + 1)));
  }
}

Status AppendResults(const AggregateLayout& layout, const CallLayout& call,
                     std::span<Group* const> groups, CellColumn* out) {
  switch (call.form) {
    case SlotForm::kCount:
      for (Group* group : groups) {
        if (!AppendInteger(ReadAs<int64_t>(group->slots() + call.offset), 0, call.result,
                           out))
          return DoesNotFit(layout, call, group);
      }
      break;
    case SlotForm::kIntegerSum:
    case SlotForm::kWideIntegerSum:
      for (Group* group : groups) {
        if (!AppendIntegerSum(call, group->slots() + call.offset, out))
          return DoesNotFit(layout, call, group);
      }
      break;
    case SlotForm::kFloatSum:
      for (Group* group : groups) AppendFloatSum(call, group, out);
      break;
    case SlotForm::kBools:
      for (Group* group : groups) AppendBools(call, group->slots() + call.offset, out);
      break;
    case SlotForm::kOrdinal:
      for (Group* group : groups) {
        const char* slot = group->slots() + call.offset;
        if (slot[8] == 0)
          out->AppendNull();
        else
          AppendOrdinal(ReadAs<int64_t>(slot), call.result, out);
      }
      break;
    case SlotForm::kWinner:
      switch (call.width) {
        case 0:
          AppendVariableWinners(call, groups, out);
          break;
        case 1:
          AppendFixedWinners<uint8_t>(call, groups, out);
          break;
        case 4:
          AppendFixedWinners<uint32_t>(call, groups, out);
          break;
        case 8:
          AppendFixedWinners<uint64_t>(call, groups, out);
          break;
        default:
          AppendFixedWinners<UInt128>(call, groups, out);
      }
      break;
    case SlotForm::kRange:
      AppendRangeEnds(call, groups, out);
      break;
  }
  return {};
}

std::string GroupText(const AggregateLayout& layout, Group* group) {
  std::vector<CellColumn> columns;
  data::Schema schema;
  for (const KeyLayout& key : layout.keys) {
    columns.emplace_back(key.type);
    AppendKeys(key, std::span(&group, 1), &columns.back());
    schema.fields.push_back({fmt::format("k{}", schema.fields.size()), key.type});
  }
  if (columns.empty()) return "of all rows";
  auto rows = FinishRows(data::ToArrow(schema), columns);
  return rows.ok() ? data::RowText(**rows, 0) : rows.error().message;
}

}  // namespace weir::ops
