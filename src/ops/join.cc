#include "ops/join.h"

namespace weir::ops {

Result<std::unique_ptr<Operator>> NewJoin(JoinSpec, const data::Schema&,
                                          const data::Schema&, state::Store*, std::string,
                                          int64_t) {
  return Internal("a join cannot be kept up to date yet");
}

}  // namespace weir::ops
