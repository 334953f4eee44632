// GROUP BY with decomposable aggregates, kept up to date under inserts and, where the
// input retracts, deletes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/type.h"
#include "ops/operator.h"

namespace weir::ops {

enum class AggregateKind : uint8_t {
  kCountStar,
  kCount,
  kSum,
  kMin,
  kMax,
  kAvg,
  kArgMin,
  kArgMax,
  kFirst,
  kLast,
  kBoolAnd,
  kBoolOr,
  kAnyValue,
};

// One aggregate call over columns of the operator's input batch.
struct AggregateCall {
  AggregateKind kind;
  int argument = -1;       // column position; -1 for count(*)
  std::vector<int> order;  // arg_min/arg_max/first/last: order columns, most significant
                           // first (the user's, then tie columns)
  std::vector<bool> descending;  // per order column, for first/last with ORDER BY … DESC;
                                 // empty: all ascending
  int filter = -1;    // boolean column; -1: none. NULL counts as false
  data::Type result;  // type of the output column
};

struct AggregateSpec {
  std::vector<int> keys;  // input columns that make the group; empty: one global group (a
                          // row even over no input)
  std::vector<AggregateCall> calls;
  data::Schema output;  // key columns, then one column per call
  bool input_retracts =
      false;  // false: append-only input, so extremes keep only the winner
};

// The semantics of each call are DuckDB's: count ignores NULL; sum, min, max, avg of no
// rows is NULL; arg_min/arg_max skip rows whose argument or first order column is NULL;
// first/last (with an order) take NULL arguments as values; NaN is the greatest number.
// sum and avg of floating columns are exact (independent of order, batching and
// retraction; correctly rounded once at the end: avg is the exact sum divided by the
// count, then rounded). DuckDB adds in the order of arrival and rounds at each step, so
// its answer may differ in the last bits, and where large terms cancel, in more. sum of
// integers is 128-bit; a result that does not fit the output type is an error naming the
// group. Rows that are equal in their whole order are decided by the value, so that
// arrival does not matter; any_value without an order is the least value. Keys and
// extremes show one zero and one NaN.
//
// `space` names the state in `store` (restored lazily: groups not in memory are fetched
// with GetMany before a step touches them). Emits per step and touched group at most one
// -1 row (the old result) and one +1 row (the new one), nothing when equal; a group with
// no rows left vanishes.
Result<std::unique_ptr<Operator>> NewAggregate(AggregateSpec spec,
                                               const data::Schema& input,
                                               state::Store* store, std::string space,
                                               int64_t memory_bytes_max);

// SELECT DISTINCT: rows with the number of times they are there; emits +1 on the first,
// -1 on the last.
Result<std::unique_ptr<Operator>> NewDistinct(const data::Schema& input,
                                              state::Store* store, std::string space,
                                              int64_t memory_bytes_max);

// First-wins / top-N per key: `SELECT … QUALIFY row_number() OVER (PARTITION BY keys
// ORDER BY order) <= n`.
struct TopSpec {
  std::vector<int> keys, order;
  std::vector<bool> descending;
  int64_t n = 1;
  bool input_retracts = false;
};
Result<std::unique_ptr<Operator>> NewTop(TopSpec spec, const data::Schema& input,
                                         state::Store* store, std::string space,
                                         int64_t memory_bytes_max);

}  // namespace weir::ops
