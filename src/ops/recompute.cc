#include "ops/recompute.h"

namespace weir::ops {

Result<std::unique_ptr<Operator>> NewRecompute(RecomputeSpec, std::vector<data::Schema>,
                                               const data::Schema&, RecomputeFunction,
                                               state::Store*, std::string, int64_t) {
  return Internal("rows of a key cannot be recomputed yet");
}

}  // namespace weir::ops
