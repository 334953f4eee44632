#include "scan/predicate.h"

#include <algorithm>

namespace weir::scan {
namespace {

using iceberg::Literal;
using iceberg::TransformKind;

// Big-endian two's complement of any length.
int CompareDecimals(const std::string& a, const std::string& b) {
  const auto negative = [](const std::string& s) {
    return !s.empty() && static_cast<unsigned char>(s[0]) & 0x80;
  };
  if (negative(a) != negative(b)) return negative(a) ? -1 : 1;
  const size_t length = std::max(a.size(), b.size());
  const auto widened = [&](const std::string& s) {
    return std::string(length - s.size(), negative(s) ? '\xff' : '\0') + s;
  };
  return widened(a).compare(widened(b));
}

bool IsFloating(const data::Type& type) {
  return type.kind == data::Kind::kFloat || type.kind == data::Kind::kDouble;
}

bool MayCompare(Op op, const data::Type& type, const Literal& value,
                const ColumnFacts& facts, const std::optional<Literal>& lower,
                const std::optional<Literal>& upper) {
  const bool above = lower && Compare(type, *lower, value) > 0;  // all rows are greater
  const bool below = upper && Compare(type, *upper, value) < 0;  // all rows are smaller
  const bool nan_possible = IsFloating(type) && facts.nans.value_or(1) > 0;
  switch (op) {
    case Op::kEqual:
    case Op::kIn:
      return !above && !below;
    case Op::kLess:
      return !lower || Compare(type, *lower, value) < 0;
    case Op::kLessEqual:
      return !above;
    case Op::kGreater:
      return nan_possible || !upper || Compare(type, *upper, value) > 0;
    case Op::kGreaterEqual:
      return nan_possible || !below;
    default:
      return true;
  }
}

bool IsMonotone(TransformKind kind) {
  return kind != TransformKind::kBucket && kind != TransformKind::kVoid;
}

// A comparison with a column as one with its transformed value, which may hold for more
// rows.
bool MayMatchTransformed(const Predicate& predicate, const data::Type& source,
                         const iceberg::Transform& transform, const Literal& value) {
  const data::Type type = iceberg::ResultType(transform, source);
  const bool monotone = IsMonotone(transform.kind);
  return std::any_of(
      predicate.values.begin(), predicate.values.end(), [&](const Literal& wanted) {
        const Literal transformed = iceberg::Apply(transform, source, wanted);
        if (std::holds_alternative<std::monostate>(transformed)) return true;
        switch (predicate.op) {
          case Op::kEqual:
          case Op::kIn:
            return Compare(type, value, transformed) == 0;
          case Op::kLess:
          case Op::kLessEqual:
            return !monotone || Compare(type, value, transformed) <= 0;
          case Op::kGreater:
          case Op::kGreaterEqual:
            return !monotone || Compare(type, value, transformed) >= 0;
          default:
            return true;
        }
      });
}

}  // namespace

int Compare(const data::Type& type, const Literal& a, const Literal& b) {
  if (type.kind == data::Kind::kDecimal)
    return CompareDecimals(std::get<std::string>(a), std::get<std::string>(b));
  if (a.index() != b.index()) return 0;  // no order is known: nothing can be left out
  return a < b ? -1 : b < a ? 1 : 0;
}

bool MayMatch(const Predicate& predicate, const data::Type& type,
              const ColumnFacts& facts) {
  const bool all_null = facts.values && facts.nulls && *facts.nulls == *facts.values;
  if (predicate.op == Op::kIsNull) return !facts.nulls || *facts.nulls > 0;
  if (all_null) return false;
  if (predicate.op == Op::kIsNotNull) return true;
  const auto decoded =
      [&](const std::optional<std::string>& bound) -> std::optional<Literal> {
    if (!bound) return std::nullopt;
    const Result<Literal> literal = iceberg::FromBinaryValue(type, *bound);
    if (!literal.ok()) return std::nullopt;
    return *literal;
  };
  const std::optional<Literal> lower = decoded(facts.lower), upper = decoded(facts.upper);
  return std::any_of(predicate.values.begin(), predicate.values.end(),
                     [&](const Literal& value) {
                       return MayCompare(predicate.op, type, value, facts, lower, upper);
                     });
}

bool MayMatch(const Predicate& predicate, const data::Schema& schema,
              const iceberg::PartitionSpec& spec, const std::vector<Literal>& partition) {
  for (size_t i = 0; i < spec.fields.size() && i < partition.size(); ++i) {
    const iceberg::PartitionField& field = spec.fields[i];
    if (field.source_id != predicate.field_id ||
        field.transform.kind == TransformKind::kVoid)
      continue;
    const auto source =
        std::find_if(schema.fields.begin(), schema.fields.end(),
                     [&](const data::Field& f) { return f.id == field.source_id; });
    if (source == schema.fields.end()) continue;
    const bool is_null = std::holds_alternative<std::monostate>(partition[i]);
    if (predicate.op == Op::kIsNull) {
      if (!is_null) return false;
      continue;
    }
    if (is_null) return false;  // a transform is null for null, and for nothing else
    if (predicate.op == Op::kIsNotNull ||
        (IsFloating(source->type) && predicate.op >= Op::kGreater &&
         predicate.op <= Op::kGreaterEqual))
      continue;
    if (!MayMatchTransformed(predicate, source->type, field.transform, partition[i]))
      return false;
  }
  return true;
}

}  // namespace weir::scan
