#include "ops/stored_groups.h"

#include <algorithm>

namespace weir::ops {
namespace {

constexpr std::string_view kRangePrefix = "x";
constexpr size_t kKeysAtOnce = 4096;

std::string KeyOf(std::string_view prefix, Hash128 hash) {
  std::string key(prefix);
  key.append(reinterpret_cast<const char*>(&hash), sizeof hash);
  return key;
}

}  // namespace

std::string GroupKeyOf(Hash128 hash) { return KeyOf(kGroupPrefix, hash); }
std::string RangePrefixOf(Hash128 hash) { return KeyOf(kRangePrefix, hash); }

Result<bool> HasRows(state::Store& store, std::string_view space) {
  bool any = false;
  WEIR_TRY(store.Scan(space, "", [&](std::string_view, std::string_view) {
    any = true;
    return false;
  }));
  return any;
}

Status FindMissing(state::Store& store, std::string_view space, StoredKeys& stored,
                   const GroupTable& table, std::span<const Hash128> hashes,
                   const std::function<Status(Hash128, std::string_view)>& found) {
  std::vector<Hash128> missing;
  for (const Hash128& hash : hashes) {
    if (table.Find(hash) == nullptr && stored.MayHave(hash)) missing.push_back(hash);
  }
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  size_t in_vain = 0;
  for (size_t from = 0; from < missing.size(); from += kKeysAtOnce) {
    const auto block =
        std::span(missing).subspan(from, std::min(kKeysAtOnce, missing.size() - from));
    std::vector<std::string> keys;
    for (const Hash128& hash : block) keys.push_back(GroupKeyOf(hash));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    const auto values = WEIR_TRY(store.GetMany(space, views));
    for (size_t i = 0; i < block.size(); ++i) {
      in_vain += values[i].has_value() ? 0 : 1;
      if (values[i].has_value()) WEIR_TRY(found(block[i], *values[i]));
    }
  }
  return stored.LookedInVain(in_vain);
}

Status ScanRange(state::Store& store, std::string_view space, Hash128 hash,
                 const std::function<Status(std::string_view, int64_t)>& visit) {
  const std::string prefix = RangePrefixOf(hash);
  Status visited;
  WEIR_TRY(store.Scan(space, prefix, [&](std::string_view key, std::string_view weight) {
    visited = weight.size() == sizeof(int64_t)
                  ? visit(key.substr(prefix.size()), ReadAs<int64_t>(weight.data()))
                  : Status(Corrupt("a stored range entry is malformed"));
    return visited.ok();
  }));
  return visited;
}

Result<data::Batch> WithoutZeros(data::Batch changes) {
  std::vector<int32_t> rows;
  for (size_t row = 0; row < changes.weights.size(); ++row) {
    if (changes.weights[row] != 0) rows.push_back(static_cast<int32_t>(row));
  }
  if (rows.size() == changes.weights.size()) return changes;
  return data::Take(changes, rows);
}

}  // namespace weir::ops
