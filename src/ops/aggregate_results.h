// Output columns out of groups.
#pragma once

#include <span>
#include <string>

#include "ops/aggregate_layout.h"

namespace weir::ops {

void AppendKeys(const KeyLayout& key, std::span<Group* const> groups, CellColumn* out);

// kInvalid: a result that does not fit its type; the message names the group.
Status AppendResults(const AggregateLayout& layout, const CallLayout& call,
                     std::span<Group* const> groups, CellColumn* out);

// The group's key as text: "ann | 7".
std::string GroupText(const AggregateLayout& layout, Group* group);

}  // namespace weir::ops
