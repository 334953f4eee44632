// Where operators keep their groups in the store (docs/formats/state.md).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "ops/group_table.h"
#include "ops/stored_keys.h"
#include "state/state.h"

namespace weir::ops {

inline constexpr std::string_view kGroupPrefix = "g";
std::string GroupKeyOf(Hash128 hash);  // 'g' hash -> the group
std::string RangePrefixOf(
    Hash128 hash);  // 'x' hash, … -> the weight of one entry of one of its ranges

// Whether the space has any row.
Result<bool> HasRows(state::Store& store, std::string_view space);

// Looks up the groups that are not in `table` and may be stored; `found` is told of those
// that are.
Status FindMissing(
    state::Store& store, std::string_view space, StoredKeys& stored,
    const GroupTable& table, std::span<const Hash128> hashes,
    const std::function<Status(Hash128 hash, std::string_view value)>& found);

// Visits the range entries stored for a group: what follows RangePrefixOf in the key, and
// the weight.
Status ScanRange(
    state::Store& store, std::string_view space, Hash128 hash,
    const std::function<Status(std::string_view entry, int64_t weight)>& visit);

// The rows whose weight is not zero.
Result<data::Batch> WithoutZeros(data::Batch changes);

}  // namespace weir::ops
