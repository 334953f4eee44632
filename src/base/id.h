// Ids are types: mixing an offset with a snapshot does not compile.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace weir {

template <class Tag>
struct Id {
  int64_t value{};
  friend auto operator<=>(const Id&, const Id&) = default;
};

using LogOffset = Id<struct LogOffsetTag>;    // position of one record in one source
                                              // partition, dense from 0
using SnapshotId = Id<struct SnapshotIdTag>;  // one version of one table
using Epoch = Id<struct EpochTag>;            // one commit of one lane, counted from 1

constexpr LogOffset Next(LogOffset offset) { return {offset.value + 1}; }
constexpr Epoch Next(Epoch epoch) { return {epoch.value + 1}; }

}  // namespace weir
