// Conditions that let a scan leave out whole files and row groups.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/type.h"
#include "iceberg/table.h"

namespace weir::scan {

enum class Op : uint8_t {
  kEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kIsNull,
  kIsNotNull
};

// What every wanted row fulfils. A scan may return rows that do not: predicates only
// leave out what certainly holds none that does. NULL fulfils no comparison; NaN is
// greater than every number.
struct Predicate {
  int field_id = 0;  // of a top-level column that is not nested
  Op op = Op::kEqual;
  std::vector<iceberg::Literal> values;  // of the column's type, never null or NaN; one,
                                         // or for kIn any number, or none
};

// What is known of some rows of a column.
struct ColumnFacts {
  std::optional<std::string> lower, upper;  // single-value binary; NaN apart
  std::optional<int64_t> values, nulls, nans;
};

// Whether rows with these facts may fulfil the predicate.
bool MayMatch(const Predicate& predicate, const data::Type& type,
              const ColumnFacts& facts);

// Whether rows of a partition with these values may.
bool MayMatch(const Predicate& predicate, const data::Schema& schema,
              const iceberg::PartitionSpec& spec,
              const std::vector<iceberg::Literal>& partition);

// <0, 0, >0 in the order of the type. Neither is null.
int Compare(const data::Type& type, const iceberg::Literal& a, const iceberg::Literal& b);

}  // namespace weir::scan
