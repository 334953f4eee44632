// Connected components of records that share values, kept up to date under inserts and
// deletes: what RESOLVE makes of rows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/type.h"
#include "ops/operator.h"

namespace weir::ops {

// Columns of the input. Rows with equal record columns are one record (NULLs are equal
// there). Two records are linked when they share a value of the same value column; NULL
// is no value.
struct ComponentsSpec {
  std::vector<int> record;  // not empty; no floating or nested types
  std::vector<int> values;  // not empty
  int sequence = -1;        // the first record of a component is that of the least
                            // (sequence, record), NULLs last; -1: of the least record
  int64_t most = -1;  // a value that more records than this carry links none; -1: any
  // History: a row is there from `from` on and until before `to`; a row whose `from` is
  // NULL is never there, one whose `to` is NULL for ever. Both of one type, no floating
  // one. -1: rows have no times.
  int from = -1, to = -1;
};

// Puts out, at Flush, one row per record: its record columns, then those of the first
// record of its component. With history, one row per record and longest span of time in
// which the first record of its component is the same, and since when and until when
// (NULL: for ever) behind them; the sequence is `from` if there is none. What comes out
// depends on the rows that are there alone, never on the order in which they came.
//
// Kept are the rows by record, and the records by value, with history in order of time;
// without, also what was put out. A step that adds records and links costs these and the
// records whose first one becomes another. A component that loses links, or its first
// record, is walked once, as it was and as it is: its rows are in memory together until
// the step is over. A value that links none is not walked. With history a change costs
// the rows of the records that were ever linked with it (OutcomesInTime); of a value that
// more than `most` carry for ever only what carried it before is read.
//
// kInternal at Flush: a row was taken back that is not there.
Result<std::unique_ptr<Operator>> NewComponents(ComponentsSpec spec,
                                                const data::Schema& input,
                                                const data::Schema& output,
                                                state::Store* store, std::string space,
                                                int64_t memory_bytes_max);

}  // namespace weir::ops
