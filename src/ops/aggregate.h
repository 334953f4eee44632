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
  kList,          // NULLs are elements
  kStringAgg,     // of strings
  kQuantileCont,  // of numbers (decimals of up to 18 digits), dates, times, timestamps
  kQuantileDisc,
  kMode,
  kVarPop,  // of floating numbers, as are the next three
  kVarSamp,
  kStddevPop,
  kStddevSamp,
  kLogSum,  // of floating numbers: log2 of the sum of 2^x
};

// Which part of the values stands before a quantile, 0 to 1.
struct Fraction {
  double value = 0.5;
  // Set when it was written as a decimal: integral / scaling, which DuckDB's
  // quantile_disc then counts with exactly.
  int64_t integral = 0, scaling = 0;
};

// One aggregate call over columns of the operator's input batch.
struct AggregateCall {
  AggregateKind kind;
  int argument = -1;       // column position; -1 for count(*)
  std::vector<int> order;  // arg_min/arg_max/first/last/list/string_agg: order columns,
                           // most significant first (the user's, then tie columns)
  std::vector<bool> descending;  // per order column, for those with ORDER BY … DESC;
                                 // empty: all ascending
  int filter = -1;               // boolean column; -1: none. NULL counts as false
  data::Type result;             // type of the output column
  // count, sum, avg, list and string_agg of the different values; the order of the last
  // two is by the argument then.
  bool distinct = false;
  std::string separator;  // of string_agg
  Fraction fraction;      // of the quantiles
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
// list, string_agg, quantiles, mode and distinct calls keep every value, one record in
// the store for each different one; a quantile and a mode cost the same however many
// there are. list and string_agg of no (non-NULL) rows are NULL, and the order must tell
// different values apart where their place matters. A quantile with `descending` = {true}
// (and no order) counts from the greatest value; quantile_cont interpolates with DuckDB's
// arithmetic: integers as doubles, dates as timestamps without zone, decimals cut off
// towards zero. median(x) is quantile_cont(x, 0.5) of the types that it takes, otherwise
// quantile_disc(x, 0.5). The most frequent value, where several are, is the least of
// them, and NaNs are each one of its own: DuckDB's mode(x ORDER BY x). Variances are
// exact and rounded once (DuckDB rounds at each row); NaN or infinity among more than one
// value is an error naming the group, as in DuckDB, and so is a result beyond double.
// A log sum adds the powers exactly, each rounded once by itself, whatever their sizes.
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
