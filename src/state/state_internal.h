// Names of the files under state/.
#pragma once

#include "state/state.h"

namespace weir::state {

inline constexpr std::string_view kDeltaPrefix = "delta-";
std::string DeltaPath(const std::string& state_dir, Epoch epoch);

}  // namespace weir::state
