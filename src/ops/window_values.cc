#include "ops/window_values.h"

#include <cmath>
#include <cstring>

#include "ops/aggregate_results.h"
#include "ops/batch_columns.h"
#include "ops/cells.h"

namespace weir::ops {
namespace {

using data::Kind;

bool IsInteger(const data::Type& type) {
  return type.kind == Kind::kInt32 || type.kind == Kind::kInt64 ||
         type.kind == Kind::kDecimal;
}
bool IsFloat(const data::Type& type) {
  return type.kind == Kind::kFloat || type.kind == Kind::kDouble;
}

Int128 IntegerOf(const data::Type& type, std::string_view cell) {
  switch (type.kind) {
    case Kind::kInt32:
      return ReadAs<int32_t>(cell.data());
    case Kind::kInt64:
      return ReadAs<int64_t>(cell.data());
    default:
      return ReadAs<Int128>(cell.data());
  }
}

double DoubleOf(const data::Type& type, std::string_view cell) {
  return type.kind == Kind::kFloat ? ReadAs<float>(cell.data())
                                   : ReadAs<double>(cell.data());
}

template <class T>
int CompareAs(const char* a, const char* b) {
  const T x = ReadAs<T>(a), y = ReadAs<T>(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

// NaN is the greatest number, and equal to itself.
int CompareDoubles(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return static_cast<int>(std::isnan(a)) - static_cast<int>(std::isnan(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

void AppendNull(std::string* out) { out->push_back(1); }

template <class T>
void AppendValue(T value, std::string* out) {
  out->push_back(0);
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

Status AppendInteger(Int128 value, const data::Type& type, std::string* out) {
  if (type.kind == Kind::kDecimal) {
    const auto magnitude =
        value < 0 ? -static_cast<UInt128>(value) : static_cast<UInt128>(value);
    if (magnitude < PowerOfTen(type.precision)) {
      AppendValue(value, out);
      return {};
    }
  } else if (value == static_cast<int64_t>(value)) {
    AppendValue(static_cast<int64_t>(value), out);
    return {};
  }
  return Invalid("a running sum does not fit " + data::TypeName(type));
}

Status AddToSum(const data::Type& argument, std::string_view cell, int64_t times,
                RunningValue* running) {
  if (!IsFloat(argument)) {
    Int128 term;
    if (__builtin_mul_overflow(IntegerOf(argument, cell), static_cast<Int128>(times),
                               &term) ||
        __builtin_add_overflow(running->sum, term, &running->sum))
      return Invalid("a running sum does not fit 128 bits");
    return {};
  }
  const double value = DoubleOf(argument, cell);
  if (running->narrow.TryAdd(value, times)) return {};
  auto wide = running->wide == nullptr ? std::make_shared<WideSum>()
                                       : std::make_shared<WideSum>(*running->wide);
  wide->Add(value, times);
  running->wide = std::move(wide);
  return {};
}

}  // namespace

int CompareCells(const data::Type& type, std::string_view a, std::string_view b) {
  switch (type.kind) {
    case Kind::kBool:
      return CompareAs<uint8_t>(a.data(), b.data());
    case Kind::kInt32:
    case Kind::kDate:
      return CompareAs<int32_t>(a.data(), b.data());
    case Kind::kFloat:
    case Kind::kDouble:
      return CompareDoubles(DoubleOf(type, a), DoubleOf(type, b));
    case Kind::kDecimal:
      return CompareAs<Int128>(a.data(), b.data());
    case Kind::kUuid:
    case Kind::kString:
    case Kind::kBinary:
      return a.compare(b);
    default:
      return CompareAs<int64_t>(a.data(), b.data());
  }
}

Status ParseRow(std::string_view row, const data::Schema& schema,
                std::vector<CellView>* out) {
  out->clear();
  for (const data::Field& field : schema.fields) {
    if (row.empty()) return Corrupt("a stored row ends early");
    const bool null = row[0] != 0;
    row.remove_prefix(1);
    auto size = static_cast<size_t>(null ? 0 : CellWidth(field.type));
    if (!null && size == 0) {
      if (row.size() < sizeof(uint32_t)) return Corrupt("a stored row ends early");
      size = ReadAs<uint32_t>(row.data());
      row.remove_prefix(sizeof(uint32_t));
    }
    if (row.size() < size) return Corrupt("a stored row ends early");
    out->push_back({null, row.substr(0, size)});
    row.remove_prefix(size);
  }
  return {};
}

void AppendCell(CellView value, const data::Type& type, std::string* out) {
  out->push_back(value.null ? 1 : 0);
  if (value.null) return;
  if (CellWidth(type) == 0) {
    const auto size = static_cast<uint32_t>(value.cell.size());
    out->append(reinterpret_cast<const char*>(&size), sizeof size);
  }
  out->append(value.cell);
}

void AppendRunning(const RunningValue& value, std::string* out) {
  out->push_back(static_cast<char>((value.present ? 1 : 0) | (value.null ? 2 : 0) |
                                   (value.wide != nullptr ? 4 : 0)));
  AppendAs(value.count, out);
  AppendAs(value.sum, out);
  AppendAs(value.narrow.value, out);
  if (value.wide != nullptr) AppendAs(*value.wide, out);
  AppendAs(static_cast<uint32_t>(value.cell.size()), out);
  out->append(value.cell);
}

Status ParseRunning(std::string_view* bytes, RunningValue* out) {
  bool malformed = false;
  const auto take = [&](auto* value) {
    malformed |= bytes->size() < sizeof *value;
    if (malformed) return;
    std::memcpy(value, bytes->data(), sizeof *value);
    bytes->remove_prefix(sizeof *value);
  };
  uint8_t flags = 0;
  take(&flags);
  out->present = (flags & 1) != 0;
  out->null = (flags & 2) != 0;
  take(&out->count);
  take(&out->sum);
  take(&out->narrow.value);
  out->wide = nullptr;
  if ((flags & 4) != 0) {
    auto wide = std::make_shared<WideSum>();
    take(wide.get());
    out->wide = std::move(wide);
  }
  uint32_t size = 0;
  take(&size);
  if (malformed || bytes->size() < size)
    return Corrupt("a stored mark of a window is malformed");
  out->cell = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return {};
}

bool operator==(const RunningValue& a, const RunningValue& b) {
  const auto same_wide = [&] {
    if (a.wide == b.wide) return true;
    return a.wide != nullptr && b.wide != nullptr &&
           std::memcmp(a.wide.get(), b.wide.get(), sizeof(WideSum)) == 0;
  };
  return a.count == b.count && a.sum == b.sum && a.narrow.value == b.narrow.value &&
         a.present == b.present && a.null == b.null && a.cell == b.cell && same_wide();
}

bool IsRunning(WindowKind kind) { return kind >= WindowKind::kFirstValue; }

bool Moves(const WindowCall& call) { return IsRunning(call.kind) && call.preceding >= 0; }

Status AddRow(const WindowCall& call, const data::Type& argument, CellView value,
              int64_t times, RunningValue* running) {
  const auto keep = [&] {
    running->present = true;
    running->null = value.null;
    running->cell = value.cell;
  };
  switch (call.kind) {
    case WindowKind::kFirstValue:
      if (!running->present && !(call.ignore_nulls && value.null)) keep();
      return {};
    case WindowKind::kLastValue:
      if (!(call.ignore_nulls && value.null)) keep();
      return {};
    case WindowKind::kCountStar:
      running->count += times;
      return {};
    default:
      break;
  }
  if (value.null) return {};
  switch (call.kind) {
    case WindowKind::kSum:
    case WindowKind::kAvg:
      running->count += times;
      return AddToSum(argument, value.cell, times, running);
    case WindowKind::kMin:
      if (!running->present || CompareCells(argument, value.cell, running->cell) < 0)
        keep();
      return {};
    case WindowKind::kMax:
      if (!running->present || CompareCells(argument, value.cell, running->cell) > 0)
        keep();
      return {};
    default:
      running->count += times;
      return {};
  }
}

Status AppendResult(const WindowCall& call, const data::Type& argument,
                    const RunningValue& running, std::string* out) {
  switch (call.kind) {
    case WindowKind::kCountStar:
    case WindowKind::kCount:
      AppendValue(running.count, out);
      return {};
    case WindowKind::kSum:
    case WindowKind::kAvg:
      break;
    default:
      AppendCell({running.null, running.cell}, call.result, out);
      return {};
  }
  if (running.count == 0) {
    AppendNull(out);
    return {};
  }
  const auto divisor =
      static_cast<uint64_t>(call.kind == WindowKind::kAvg ? running.count : int64_t{1});
  if (IsFloat(argument)) {
    AppendValue(RoundedSum(running.narrow, running.wide.get(), divisor), out);
    return {};
  }
  if (call.kind == WindowKind::kSum) return AppendInteger(running.sum, call.result, out);
  const uint64_t limbs[2] = {static_cast<uint64_t>(running.sum),
                             static_cast<uint64_t>(running.sum >> 64)};
  const int scale = argument.kind == Kind::kDecimal ? argument.scale : 0;
  AppendValue(Quotient(limbs, scale, running.count), out);
  return {};
}

Status CheckCall(const WindowCall& call, const data::Schema& input) {
  const auto wrong = [&](std::string_view why) {
    return Invalid(fmt::format("a window function: {}", why));
  };
  const auto exists = [&](int column) {
    return column >= 0 && static_cast<size_t>(column) < input.fields.size();
  };
  const bool counts =
      call.kind == WindowKind::kRowNumber || call.kind == WindowKind::kRank ||
      call.kind == WindowKind::kDenseRank || call.kind == WindowKind::kCountStar;
  if (!counts && !exists(call.argument)) return wrong("its argument does not exist");
  if (counts || call.kind == WindowKind::kCount)
    return call.result.kind == Kind::kInt64 ? Status()
                                            : Status(wrong("a number of rows is a long"));
  const data::Type& argument = input.fields[static_cast<size_t>(call.argument)].type;
  if (call.kind == WindowKind::kSum || call.kind == WindowKind::kAvg) {
    if (!IsInteger(argument) && !IsFloat(argument)) return wrong("only numbers add up");
    const bool rounded = IsFloat(argument) || call.kind == WindowKind::kAvg;
    const int scale = argument.kind == Kind::kDecimal ? argument.scale : 0;
    const bool fits = rounded ? call.result.kind == Kind::kDouble
                      : call.result.kind == Kind::kDecimal
                          ? call.result.scale == scale
                          : call.result.kind == Kind::kInt64 && scale == 0;
    return fits ? Status() : Status(wrong("the result cannot hold the sum"));
  }
  if (call.result != argument) return wrong("the result has the argument's type");
  const bool extreme = call.kind == WindowKind::kMin || call.kind == WindowKind::kMax;
  if (extreme && argument.is_nested()) return wrong("nested values have no extremes");
  if (Moves(call) && call.ignore_nulls)
    return wrong("a frame that moves along takes NULLs for values");
  const bool moves = call.kind == WindowKind::kLag || call.kind == WindowKind::kLead;
  if (moves && call.offset < 0) return wrong("an offset is not below 0");
  if (moves && call.default_column >= 0 &&
      (!exists(call.default_column) ||
       input.fields[static_cast<size_t>(call.default_column)].type != argument))
    return wrong("the default has the argument's type");
  return {};
}

}  // namespace weir::ops
