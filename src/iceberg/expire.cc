#include "iceberg/expire_internal.h"

#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>

#include "iceberg/manifest_internal.h"
#include "iceberg/refs.h"

namespace weir::iceberg {
namespace {

using Json = nlohmann::json;
using Paths = std::unordered_set<std::string>;

// Snapshots that a ref names; for a branch, with all its ancestors.
std::set<SnapshotId> Referenced(const Metadata& metadata) {
  std::set<SnapshotId> out;
  for (const Ref& ref : RefsOf(metadata)) {
    std::optional<SnapshotId> id = ref.snapshot;
    while (id && out.insert(*id).second && !ref.is_tag) {
      const Snapshot* snapshot = metadata.Find(*id);
      id = snapshot == nullptr ? std::nullopt : snapshot->parent;
    }
  }
  return out;
}

std::set<SnapshotId> ToExpire(const Metadata& metadata, Micros now,
                              const MaintenanceOptions& options) {
  const auto count = static_cast<int64_t>(metadata.snapshots.size());
  const std::set<SnapshotId> referenced =
      count > options.snapshots_max ? Referenced(metadata) : std::set<SnapshotId>();
  std::set<SnapshotId> out;
  for (int64_t i = 0; i < count - options.snapshots_max; ++i) {
    const Snapshot& snapshot = metadata.snapshots[static_cast<size_t>(i)];
    const bool wanted = snapshot.id == metadata.current_snapshot ||
                        referenced.contains(snapshot.id) ||
                        std::find(options.keep.begin(), options.keep.end(),
                                  snapshot.id) != options.keep.end();
    if (!wanted && snapshot.timestamp < now - options.snapshot_age_min)
      out.insert(snapshot.id);
  }
  return out;
}

// History is a line when every snapshot that still has its parent follows it directly:
// then a file that is in two snapshots is in all between them, and neighbours tell who
// needs it.
bool IsLine(const Metadata& metadata) {
  const std::vector<Snapshot>& snapshots = metadata.snapshots;
  for (size_t i = 1; i < snapshots.size(); ++i) {
    const auto& parent = snapshots[i].parent;
    if (parent && *parent != snapshots[i - 1].id && metadata.Find(*parent) != nullptr)
      return false;
  }
  return true;
}

// Finds what only an expired snapshot reaches, by comparing it with those that stay.
class Reachability {
 public:
  Reachability(io::Io& io, const Metadata& metadata) : io_(io), metadata_(metadata) {}

  // Files of `expired` that none of `others` reaches.
  Result<std::vector<std::string>> OnlyIn(const Snapshot& expired,
                                          const std::vector<const Snapshot*>& others) {
    std::map<std::string, const ManifestFile*> mine, theirs;
    for (const ManifestFile& manifest : *WEIR_TRY(List(expired)))
      mine[manifest.path] = &manifest;
    for (const Snapshot* other : others) {
      for (const ManifestFile& manifest : *WEIR_TRY(List(*other)))
        theirs[manifest.path] = &manifest;
    }

    std::vector<std::string> out = {expired.manifest_list};
    Paths candidates;
    for (const auto& [path, manifest] : mine) {
      if (theirs.contains(path)) continue;
      out.push_back(path);
      WEIR_TRY(
          ForLive(*manifest, [&](const std::string& file) { candidates.insert(file); }));
    }
    for (const auto& [path, manifest] : theirs) {
      // A shared manifest may hold one of our files too, when several vectors lie in one
      // Puffin file.
      if (candidates.empty()) break;
      if (mine.contains(path) && !manifest->is_deletes) continue;
      WEIR_TRY(
          ForLive(*manifest, [&](const std::string& file) { candidates.erase(file); }));
    }
    out.insert(out.end(), candidates.begin(), candidates.end());
    return out;
  }

 private:
  Result<const std::vector<ManifestFile>*> List(const Snapshot& snapshot) {
    const auto found = lists_.find(snapshot.id);
    if (found != lists_.end()) return &found->second;
    return &lists_
                .emplace(snapshot.id,
                         WEIR_TRY(ReadManifestList(io_, snapshot.manifest_list)))
                .first->second;
  }

  template <class F>
  Status ForLive(const ManifestFile& manifest, F each) {
    if (manifest.live_files() == 0) return {};
    for (const ManifestEntry& entry : WEIR_TRY(ReadManifest(io_, metadata_, manifest))) {
      if (entry.is_live()) each(entry.file.path);
    }
    return {};
  }

  io::Io& io_;
  const Metadata& metadata_;
  std::map<SnapshotId, std::vector<ManifestFile>> lists_;
};

// Drops statistics files that describe an expired snapshot.
void ExpireStatistics(Metadata* metadata, const std::set<SnapshotId>& expired,
                      std::vector<std::string>* obsolete) {
  if (metadata->unknown_json.empty()) return;
  Json unknown = Json::parse(metadata->unknown_json, nullptr, false);
  if (!unknown.is_object() || !unknown.contains("table")) return;
  for (const char* key : {"statistics", "partition-statistics"}) {
    Json& table = unknown["table"];
    if (!table.contains(key) || !table[key].is_array()) continue;
    Json kept = Json::array();
    for (const Json& item : table[key]) {
      const auto id = item.is_object() ? item.find("snapshot-id") : item.end();
      if (id != item.end() && id->is_number_integer() &&
          expired.contains(SnapshotId{id->get<int64_t>()})) {
        const auto path = item.find("statistics-path");
        if (path != item.end() && path->is_string())
          obsolete->push_back(path->get<std::string>());
      } else {
        kept.push_back(item);
      }
    }
    table[key] = std::move(kept);
  }
  metadata->unknown_json = unknown.dump();
}

// The snapshot log may not speak of a time before one that cannot be shown any more.
void TrimSnapshotLog(Metadata* metadata) {
  auto& log = metadata->snapshot_log;
  size_t keep_from = 0;
  for (size_t i = 0; i < log.size(); ++i) {
    if (metadata->Find(log[i].snapshot) == nullptr) keep_from = i + 1;
  }
  log.erase(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(keep_from));
}

}  // namespace

Result<std::vector<std::string>> ExpireSnapshots(io::Io& io, Metadata* metadata,
                                                 Micros now,
                                                 const MaintenanceOptions& options) {
  std::stable_sort(metadata->snapshots.begin(), metadata->snapshots.end(),
                   [](const Snapshot& a, const Snapshot& b) {
                     return a.sequence_number < b.sequence_number;
                   });
  ExpireRefs(metadata, now);
  const std::set<SnapshotId> expired = ToExpire(*metadata, now, options);
  std::vector<std::string> obsolete;
  if (expired.empty()) return obsolete;

  const std::vector<Snapshot>& all = metadata->snapshots;
  const bool line = IsLine(*metadata);
  Reachability reachability(io, *metadata);
  const Snapshot* previous = nullptr;  // the nearest older snapshot that stays
  for (size_t i = 0; i < all.size(); ++i) {
    if (!expired.contains(all[i].id)) {
      previous = &all[i];
      continue;
    }
    std::vector<const Snapshot*> others;
    if (line) {
      if (previous != nullptr) others.push_back(previous);
      if (i + 1 < all.size()) others.push_back(&all[i + 1]);
    } else {
      for (size_t j = 0; j < all.size(); ++j) {
        if (j > i || !expired.contains(all[j].id)) others.push_back(&all[j]);
      }
    }
    Result<std::vector<std::string>> files = reachability.OnlyIn(all[i], others);
    // Somebody else removed files of this snapshot already: what it alone needed cannot
    // be told, so nothing is deleted.
    if (!files.ok() && files.error().code == Code::kNotFound) continue;
    for (std::string& file : WEIR_TRY(std::move(files)))
      obsolete.push_back(std::move(file));
  }

  std::erase_if(metadata->snapshots,
                [&](const Snapshot& snapshot) { return expired.contains(snapshot.id); });
  TrimSnapshotLog(metadata);
  ExpireStatistics(metadata, expired, &obsolete);
  std::erase(obsolete, "");
  return obsolete;
}

std::vector<std::string> AppendMetadataLog(Metadata* metadata, const Metadata& base,
                                           std::string_view base_location,
                                           int files_max) {
  std::vector<std::string> out;
  if (base_location.empty()) return out;
  auto& log = metadata->metadata_log;
  log.push_back({base.last_updated, std::string(base_location)});
  const auto property =
      metadata->properties.find("write.metadata.delete-after-commit.enabled");
  const bool deletes =
      property != metadata->properties.end() && property->second == "true";
  while (log.size() > static_cast<size_t>(std::max(files_max, 1))) {
    if (deletes) out.push_back(log.front().file);
    log.erase(log.begin());
  }
  return out;
}

}  // namespace weir::iceberg
