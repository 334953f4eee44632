// Components of records over time.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/component_region.h"

namespace weir::ops {

// What comes out over the rows of a region that are there before (0) or now (1), in
// order. `most`: a value that more records than this carry at a time links none then.
//
// Goes through the moments at which rows begin or end once. One that only adds links
// costs the smaller components that they join and the records whose first one becomes
// another; one that takes links away the components that had them.
std::vector<Outcome> OutcomesInTime(const Region& region, int time, int64_t most);

}  // namespace weir::ops
