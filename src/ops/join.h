// Joins on equal keys, kept up to date under inserts and deletes on both sides.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/type.h"
#include "ops/operator.h"

namespace weir::ops {

enum class JoinKind : uint8_t { kInner, kLeft, kRight, kFull, kSemi, kAnti };

struct JoinSpec {
  JoinKind kind = JoinKind::kInner;
  // Columns of port 0 and of port 1, as many and of the same types. Empty: every pair
  // matches.
  std::vector<int> left_keys, right_keys;
  // Per key: NULL equals NULL (IS NOT DISTINCT FROM). Otherwise, and for keys beyond the
  // end, a NULL matches nothing.
  std::vector<bool> null_safe;
  // False: that port only ever inserts; a negative weight on it is an error.
  bool left_retracts = true, right_retracts = true;
};

// Port 0 is the left side, port 1 the right one. Puts out the columns of the left port,
// then, but for semi and anti joins, those of the right port, as nullable as the kind
// makes them. Weights multiply; of a row that stands for itself (semi, anti, a side that
// found no partner) the weight is its own. All NaNs are one key and both zeros are.
//
// Every pair of rows comes out when its second row arrives. Rows that depend on whether a
// key has a partner at all come out at Flush, once a step. A step's output may hold rows
// that cancel; a change and its undoing on a key whose other side has no rows cost
// nothing.
//
// `space` names the state in `store`; rows are restored by key when a step touches them.
// kInternal at Flush: a row was taken back that is not there.
Result<std::unique_ptr<Operator>> NewJoin(JoinSpec spec, const data::Schema& left,
                                          const data::Schema& right, state::Store* store,
                                          std::string space, int64_t memory_bytes_max);

}  // namespace weir::ops
