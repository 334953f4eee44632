// Between multiplicities (int64) and the weights of a batch (int32).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// Appends `weight` to `weights` in as many parts as 32 bits need, calling `row` for each.
template <class Row>
Status AppendWeights(__int128 weight, std::vector<int32_t>* weights, Row&& row) {
  constexpr __int128 kMost = std::numeric_limits<int32_t>::max();
  while (weight != 0) {
    const auto part = static_cast<int32_t>(std::clamp(weight, -kMost, kMost));
    weights->push_back(part);
    WEIR_TRY(row());
    weight -= part;
  }
  return {};
}

}  // namespace weir::ops
