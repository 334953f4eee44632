// ASOF join: every left row with the one right row of its key that is next to it in time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/type.h"
#include "ops/operator.h"

namespace weir::ops {

// Which right rows a left row may have, of which the nearest one is taken.
enum class AsofMatch : uint8_t {
  kAtOrBefore,  // left.time >= right.time
  kBefore,      // left.time >  right.time
  kAtOrAfter,   // left.time <= right.time
  kAfter,       // left.time <  right.time
};

struct AsofSpec {
  AsofMatch match = AsofMatch::kAtOrBefore;
  bool outer = false;  // LEFT: rows without a match come out too, with NULLs
  // Columns of port 0 and of port 1, as many and of the same types; may be empty.
  std::vector<int> left_keys, right_keys;
  // Of the same type, which has up to 8 bytes: integers, floats, decimals of up to 18
  // digits, dates, times, timestamps.
  int left_time = -1, right_time = -1;
  // Columns of port 1 that tell apart right rows of equal time: the last of them in this
  // order (NULLs last) is taken, for either direction of the match. Rows that are equal
  // in it too are told apart by their bytes.
  std::vector<int> right_ties;
};

// Port 0 is the left side, port 1 the right one. Puts out, at Flush, the columns of the
// left port, then those of the right one; a left row as often as it is there, however
// often the right one is. A NULL key or time matches nothing.
//
// A right row that comes or goes changes the left rows up to the next right row, and only
// these are looked at; a left row costs a search. A key is in memory with all its rows,
// or not at all.
//
// kInternal at Flush: a row was taken back that is not there.
Result<std::unique_ptr<Operator>> NewAsofJoin(AsofSpec spec, const data::Schema& left,
                                              const data::Schema& right,
                                              state::Store* store, std::string space,
                                              int64_t memory_bytes_max);

}  // namespace weir::ops
