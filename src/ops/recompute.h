// SQL that never mixes keys, run over the rows of the keys that a step touched.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/type.h"
#include "ops/operator.h"

namespace weir::ops {

// What the rows of whole keys make: `ports[p]` are all rows of some keys on port p, each
// as often as it is there, all of weight +1 and in no order; a port without rows has no
// batches or empty ones. The answer has weights +1, may not depend on the order of the
// rows, nor a key's part of it on the other keys. An error fails the step.
using RecomputeFunction = std::function<Result<std::vector<data::Batch>>(
    std::span<const std::vector<data::Batch>> ports)>;

struct RecomputeSpec {
  // Per port: the columns that make the key, of the same types on all ports. NULL is a
  // key like any other. All empty: one key for everything.
  std::vector<std::vector<int>> keys;
};

// At Flush, runs `function` over the rows that the touched keys had before the step and
// over those they have now, whole keys at a time and about 64 Ki rows a call, and puts
// out the difference, consolidated. A key without rows has no result and the function is
// not called for it, except that the one key for everything has a result over no rows,
// too: the first Flush of an empty operator puts it out.
//
// `space` names the state in `store`; rows are restored by key when a step touches them.
// kInternal at Flush: a row was taken back that is not there.
Result<std::unique_ptr<Operator>> NewRecompute(RecomputeSpec spec,
                                               std::vector<data::Schema> ports,
                                               const data::Schema& output,
                                               RecomputeFunction function,
                                               state::Store* store, std::string space,
                                               int64_t memory_bytes_max);

}  // namespace weir::ops
