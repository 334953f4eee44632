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

// 10^exponent, at most 10^38.
UInt128 PowerOfTen(int exponent);

// value / 10^scale / terms. Rounded once as long as the divisor fits 64 bits, which it
// does but for absurd scales.
double Quotient(std::span<const uint64_t> value, int scale, int64_t terms);

// The group's key as text: "ann | 7".
std::string GroupText(const AggregateLayout& layout, Group* group);

}  // namespace weir::ops
