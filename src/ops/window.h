// Window functions over the rows of a key in order, whose frame begins with the first
// row: row_number, rank, lag, lead, running aggregates.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/type.h"
#include "ops/operator.h"

namespace weir::ops {

enum class WindowKind : uint8_t {
  kRowNumber,
  kRank,
  kDenseRank,
  kLag,
  kLead,
  // Of the rows of the frame, which ends with the current one.
  kFirstValue,
  kLastValue,
  kCountStar,
  kCount,
  kSum,  // of numbers; decimals and integers exactly, floating sums rounded once
  kAvg,
  kMin,
  kMax,
};

struct WindowCall {
  WindowKind kind;
  int argument = -1;  // column position; -1 for those without
  data::Type result;
  int64_t offset = 1;         // of lag and lead, at least 0
  int default_column = -1;    // of lag and lead: its value in the current row where there
                              // is no such row; -1: NULL
  bool ignore_nulls = false;  // of first_value and last_value
  // ROWS … PRECEDING; otherwise RANGE, where the peers of the current row belong to the
  // frame.
  bool rows_frame = false;
  // How far the frame reaches back; -1: to the first row. Of a ROWS frame rows; of a
  // RANGE frame units of the first order column (microseconds of a timestamp, days of a
  // date, units of the last digit of a decimal), which is then the only one that makes
  // peers. Not with ignore_nulls.
  int64_t preceding = -1;
};

struct WindowSpec {
  std::vector<int> keys;         // PARTITION BY; may be empty
  std::vector<int> order;        // the user's, then tie columns; not empty. NULLs last
  std::vector<bool> descending;  // per order column; empty: all ascending
  int peers = 1;  // so many of the order columns are the user's: rows equal in them are
                  // peers
  std::vector<WindowCall> calls;
};

// Puts out, at Flush, the rows with one column per call behind them; a row that is there
// n times has n places in the order. Rows that are equal in their whole order are told
// apart by their bytes.
//
// A change is followed from its place on (from `offset` rows before it, for lead), until
// all results are what they were; where it begins, running values are known from marks
// every 64 rows or so, which are kept with the rows. So lag and lead cost their offset, a
// running sum, a count or a row_number the rows behind the change, an extreme those up to
// which it wins. Of a key that was let go the rows that are looked at are read back.
//
// kInternal at Flush: a row was taken back that is not there. kInvalid: a sum that does
// not fit its type.
Result<std::unique_ptr<Operator>> NewWindow(WindowSpec spec, const data::Schema& input,
                                            const data::Schema& output,
                                            state::Store* store, std::string space,
                                            int64_t memory_bytes_max);

}  // namespace weir::ops
