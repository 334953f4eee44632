// Rows that are there only while a moving time is in their interval: what `WHERE ts >
// watermark() - INTERVAL 24 HOUR` keeps.
#pragma once

#include <memory>
#include <string>

#include "data/type.h"
#include "ops/operator.h"

namespace weir::ops {

// Columns of type timestamp or timestamptz; -1: no such bound. A NULL in one of them is
// no bound for that row either, so a row that a comparison with NULL takes out must not
// come here.
struct TemporalSpec {
  int from = -1;  // a row is there from this time on
  int to = -1;    // until before this time
};

// Puts out the rows (unchanged) for which from <= time < to: a row that is inside as it
// comes, others when Advance reaches them, with the opposite weight when Advance leaves
// them behind. Before the first Advance there is no time and no row. The time never
// falls: an Advance to an earlier one does nothing.
//
// Kept are rows whose interval has an end or a begin in the future, by the time at which
// they change next; what is over is forgotten, and what is taken back then is ignored, as
// it is out already. An Advance costs what changes by it, not what is kept.
//
// kInternal at Flush: a row that waits for its time was taken back and is not there.
Result<std::unique_ptr<Operator>> NewTemporal(TemporalSpec spec,
                                              const data::Schema& input,
                                              state::Store* store, std::string space,
                                              int64_t memory_bytes_max);

// The begin of the 17 seconds in which the earliest of the rows that such an operator
// keeps in `space` changes next; kNoTime: it keeps none.
Result<Micros> OldestTime(state::Store& store, const std::string& space);

}  // namespace weir::ops
