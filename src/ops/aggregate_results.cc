#include "ops/aggregate_results.h"

#include <arrow/api.h>

#include <cmath>
#include <limits>

#include "data/arrow.h"

namespace weir::ops {

UInt128 PowerOfTen(int exponent) {
  UInt128 out = 1;
  for (int i = 0; i < exponent; ++i) out *= 10;
  return out;
}

double Quotient(std::span<const uint64_t> value, int scale, int64_t terms) {
  const UInt128 divisor = PowerOfTen(scale) * static_cast<UInt128>(terms);
  if (scale <= 18 && divisor <= std::numeric_limits<uint64_t>::max())
    return RoundedQuotient(value, 0, static_cast<uint64_t>(divisor));
  return RoundedQuotient(value, 0, static_cast<uint64_t>(terms)) /
         static_cast<double>(PowerOfTen(scale));
}

namespace {

using data::Kind;

void AppendDouble(double value, const data::Type& type, CellColumn* out) {
  if (type.kind == Kind::kFloat)
    out->AppendFixed(static_cast<float>(value));
  else
    out->AppendFixed(value);
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

void AppendLogSum(const CallLayout& call, Group* group, CellColumn* out) {
  const char* slot = group->slots() + call.offset;
  const auto ref = ReadAs<uint32_t>(slot + 8);
  if (ReadAs<int64_t>(slot) <= 0 || ref == 0) return out->AppendNull();
  AppendDouble(PowerSums(GroupTable::Item(group->heap, ref)).Log2(), call.result, out);
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
        RangeEntryValue(call.smallest ? range->First().key() : range->Last().key());
    if (null)
      out->AppendNull();
    else
      out->Append(cell);
  }
}

// ------------------------------------------------------------------------- all values

// The place in order of a discrete quantile of n values.
int64_t DiscretePlace(const Fraction& fraction, int64_t n) {
  const auto after =
      fraction.scaling > 0
          ? static_cast<int64_t>((static_cast<Int128>(n) * fraction.scaling -
                                  static_cast<Int128>(n) * fraction.integral) /
                                 fraction.scaling)
          : static_cast<int64_t>(std::floor(static_cast<double>(n) -
                                            static_cast<double>(n) * fraction.value));
  return std::max<int64_t>(1, n - after) - 1;
}

double Between(double low, double part, double high) {
  return low * (1.0 - part) + high * part;
}

constexpr int64_t kDayMicros = 86'400'000'000;

int64_t InstantOf(const data::Type& type, std::string_view cell) {
  return type.kind == Kind::kDate ? ReadAs<int32_t>(cell.data()) * kDayMicros
                                  : ReadAs<int64_t>(cell.data());
}

// The value `part` of the way from one cell to the next, as DuckDB counts it.
void AppendBetween(const CallLayout& call, std::string_view low, double part,
                   std::string_view high, CellColumn* out) {
  const bool exact = part == 0;
  const char *l = low.data(), *h = high.data();
  const auto append_double = [&](auto a, auto b) {
    const auto x = static_cast<double>(a);
    AppendDouble(exact ? x : Between(x, part, static_cast<double>(b)), call.result, out);
  };
  switch (call.argument_type.kind) {
    case Kind::kInt32:
      return append_double(ReadAs<int32_t>(l), ReadAs<int32_t>(h));
    case Kind::kInt64:
      return append_double(ReadAs<int64_t>(l), ReadAs<int64_t>(h));
    case Kind::kDouble:
      return append_double(ReadAs<double>(l), ReadAs<double>(h));
    case Kind::kFloat: {
      const auto a = ReadAs<float>(l);
      const double distance = ReadAs<float>(h) - a;
      return out->AppendFixed(exact ? a : a + static_cast<float>(distance * part));
    }
    case Kind::kDecimal: {
      const auto a = static_cast<int64_t>(ReadAs<Int128>(l));
      const auto distance =
          static_cast<double>(static_cast<int64_t>(ReadAs<Int128>(h)) - a);
      return out->AppendFixed(
          static_cast<Int128>(a + static_cast<int64_t>(distance * part)));
    }
    default: {
      const int64_t a = InstantOf(call.argument_type, low);
      const int64_t b = InstantOf(call.argument_type, high);
      return out->AppendFixed(
          exact ? a
                : static_cast<int64_t>(std::llround(
                      Between(static_cast<double>(a), part, static_cast<double>(b)))));
    }
  }
}

void AppendQuantile(const CallLayout& call, const SortedCounts& range, CellColumn* out) {
  const auto cell_at = [&](int64_t place) {
    return RangeEntryValue(range.AtWeight(place).key()).cell;
  };
  const int64_t n = range.total_weight();
  if (call.kind == AggregateKind::kQuantileDisc)
    return out->Append(cell_at(DiscretePlace(call.fraction, n)));
  const double place = static_cast<double>(n - 1) * call.fraction.value;
  const double low = std::floor(place);
  AppendBetween(call, cell_at(static_cast<int64_t>(low)), place - low,
                cell_at(static_cast<int64_t>(std::ceil(place))), out);
}

// As EncodeNested has it.
void AppendList(const CallLayout& call, const SortedCounts& range, CellColumn* out) {
  std::string cell(1, '\0');
  const auto put_size = [&](int64_t size) {
    const auto bytes = static_cast<uint32_t>(size);
    cell.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  };
  put_size(call.distinct ? range.size() : range.total_weight());
  range.ForEach([&](const SortedCounts::Entry& entry) {
    const RangeValue value = RangeEntryValue(entry.key());
    for (int64_t i = call.distinct ? 1 : entry.weight; i > 0; --i) {
      if (value.null) {
        cell.push_back(1);
        continue;
      }
      // A nested value's cell says for itself that it is no NULL.
      if (!call.argument_type.is_nested()) cell.push_back(0);
      if (!call.argument_type.is_nested() && call.width == 0)
        put_size(static_cast<int64_t>(value.cell.size()));
      cell.append(value.cell);
    }
    return true;
  });
  out->Append(cell);
}

void AppendText(const CallLayout& call, const SortedCounts& range, CellColumn* out) {
  std::string text;
  bool first = true;
  range.ForEach([&](const SortedCounts::Entry& entry) {
    const RangeValue value = RangeEntryValue(entry.key());
    for (int64_t i = call.distinct ? 1 : entry.weight; i > 0; --i) {
      if (!first) text.append(call.separator);
      text.append(value.cell);
      first = false;
    }
    return true;
  });
  out->Append(text);
}

void AppendValues(const CallLayout& call, std::span<Group* const> groups,
                  CellColumn* out) {
  for (Group* group : groups) {
    const SortedCounts* range = RangeOf(group, call);
    if (range == nullptr || range->empty()) {
      out->AppendNull();
      continue;
    }
    switch (call.kind) {
      case AggregateKind::kList:
        AppendList(call, *range, out);
        break;
      case AggregateKind::kStringAgg:
        AppendText(call, *range, out);
        break;
      case AggregateKind::kMode:
        out->Append(
            RangeEntryValue(
                FrequenciesOf(group, call)->First().key().substr(sizeof(uint64_t)))
                .cell);
        break;
      default:
        AppendQuantile(call, *range, out);
    }
  }
}

// False: it is out of range.
bool AppendVariance(const CallLayout& call, Group* group, CellColumn* out) {
  const char* slot = group->slots() + call.offset;
  const auto terms = ReadAs<int64_t>(slot + 16);
  const bool sample =
      call.kind == AggregateKind::kVarSamp || call.kind == AggregateKind::kStddevSamp;
  if (terms < (sample ? 2 : 1)) {
    out->AppendNull();
    return true;
  }
  if (terms == 1) {
    AppendDouble(0, call.result, out);
    return true;
  }
  const auto item = [&](uint32_t at, auto* value) {
    const auto ref = ReadAs<uint32_t>(slot + at);
    if (ref != 0)
      *value = ReadAs<std::remove_pointer_t<decltype(value)>>(
          GroupTable::Item(group->heap, ref).data());
    return ref != 0;
  };
  WideSum wide;
  WideSquares wide_squares;
  const bool is_wide = item(24, &wide), squares_are_wide = item(60, &wide_squares);
  if (wide.nan > 0 || wide.positive_infinity > 0 || wide.negative_infinity > 0)
    return false;
  double out_value = RoundedVariance(
      {ReadAs<Int128>(slot)}, is_wide ? &wide : nullptr, ReadAs<NarrowSquares>(slot + 28),
      squares_are_wide ? &wide_squares : nullptr, terms, sample);
  if (!std::isfinite(out_value)) return false;
  if (call.kind == AggregateKind::kStddevPop || call.kind == AggregateKind::kStddevSamp)
    out_value = std::sqrt(out_value);
  AppendDouble(out_value, call.result, out);
  return true;
}

Error DoesNotFit(const AggregateLayout& layout, const CallLayout& call, Group* group) {
  return Invalid(fmt::format("a sum does not fit {} in group {}",
                             data::TypeName(call.result), GroupText(layout, group)));
}

Error IsOutOfRange(const AggregateLayout& layout, Group* group) {
  return Invalid("a variance is out of range in group " + GroupText(layout, group));
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
      if (call.kind < AggregateKind::kList)
        AppendRangeEnds(call, groups, out);
      else
        AppendValues(call, groups, out);
      break;
    case SlotForm::kMode:
      AppendValues(call, groups, out);
      break;
    case SlotForm::kVariance:
      for (Group* group : groups) {
        if (!AppendVariance(call, group, out)) return IsOutOfRange(layout, group);
      }
      break;
    case SlotForm::kLogSum:
      for (Group* group : groups) AppendLogSum(call, group, out);
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
