#include <charconv>
#include <set>

#include "iceberg/expire_internal.h"
#include "iceberg/manifest_internal.h"
#include "iceberg/manifest_plan_internal.h"
#include "iceberg/metadata_folder_internal.h"

namespace weir::iceberg {
namespace {

constexpr Micros kMilli = 1000;

Result<Staged> WriteMetadata(MetadataFolder& folder, std::string_view table,
                             Metadata metadata, std::string_view base_location,
                             std::vector<std::string> obsolete) {
  std::string location = WEIR_TRY(
      folder.Write(MetadataFileName(base_location, NewUuid()), MetadataToJson(metadata)));
  WEIR_TRY(folder.Keep());
  return Staged{std::string(table), std::string(base_location), std::move(location),
                std::move(metadata), std::move(obsolete)};
}

Status CheckChange(const Metadata& base, const FileChange& change) {
  static const std::set<std::string_view> kOperations = {"append", "overwrite", "delete",
                                                         "replace"};
  if (!kOperations.contains(change.operation))
    return Invalid("unknown operation: " + change.operation);
  if (change.operation == "append" && !change.removed.empty())
    return Invalid("an append removes no files");
  if (!change.vectors.empty() && base.format_version < 3)
    return Invalid("deletion vectors need format version 3");
  std::set<std::string_view> paths;
  for (const DataFile& file : change.added) {
    if (file.is_deletion_vector)
      return Invalid("a deletion vector among the data files: " + file.path);
    if (!paths.insert(file.path).second)
      return Invalid("a file is added twice: " + file.path);
    if (!base.specs.contains(file.spec_id))
      return Invalid(
          fmt::format("partition spec {} is unknown: {}", file.spec_id, file.path));
  }
  for (const DataFile& vector : change.vectors) {
    const bool complete = vector.is_deletion_vector && vector.record_count > 0 &&
                          vector.content_bytes > 0 &&
                          !vector.referenced_data_file.empty();
    if (!complete) return Invalid("not a deletion vector: " + vector.path);
    if (!base.specs.contains(vector.spec_id))
      return Invalid(
          fmt::format("partition spec {} is unknown: {}", vector.spec_id, vector.path));
  }
  return {};
}

Snapshot NewSnapshot(const Metadata& base, Micros now) {
  Snapshot snapshot;
  do {
    snapshot.id = NewSnapshotId();
  } while (base.Find(snapshot.id) != nullptr);
  snapshot.parent = base.current_snapshot;
  snapshot.sequence_number = base.last_sequence_number + 1;
  // The clock may step back; the order of the log must not.
  snapshot.timestamp = std::max(now / kMilli * kMilli, base.last_updated);
  snapshot.schema_id = base.current_schema_id;
  if (base.format_version >= 3) snapshot.first_row_id = base.next_row_id;
  return snapshot;
}

class Summary {
 public:
  Summary(const FileChange& change, const Snapshot* parent)
      : parent_(parent), out_(change.summary) {
    out_["operation"] = change.operation;
    out_["engine-name"] = "weir";
  }

  void Count(const char* key, int64_t value) {
    if (value != 0) out_[key] = std::to_string(value);
  }
  // Carries a total forward; once a foreign writer left it out it stays unknown.
  void Total(const char* key, int64_t change) {
    int64_t total = 0;
    if (parent_ != nullptr) {
      const auto found = parent_->summary.find(key);
      if (found == parent_->summary.end()) return;
      const std::string& text = found->second;
      if (std::from_chars(text.data(), text.data() + text.size(), total).ec !=
          std::errc())
        return;
    }
    out_[key] = std::to_string(total + change);
  }
  std::map<std::string, std::string> Finish() && { return std::move(out_); }

 private:
  const Snapshot* parent_;
  std::map<std::string, std::string> out_;
};

std::map<std::string, std::string> MakeSummary(const FileChange& change,
                                               const Snapshot* parent,
                                               const ChangeCounts& counts,
                                               const ManifestPlan::Finished& manifests) {
  Summary out(change, parent);
  out.Count("added-data-files", counts.added_files);
  out.Count("added-records", counts.added_rows);
  out.Count("added-files-size", counts.added_bytes);
  out.Count("deleted-data-files", counts.removed_files);
  out.Count("deleted-records", counts.removed_rows);
  out.Count("removed-files-size", counts.removed_bytes);
  out.Count("added-delete-files", counts.added_vectors);
  out.Count("added-dvs", counts.added_vectors);
  out.Count("added-position-deletes", counts.added_deletes);
  out.Count("removed-delete-files", counts.removed_vectors);
  out.Count("removed-dvs", counts.removed_vectors);
  out.Count("removed-position-deletes", counts.removed_deletes);
  out.Count("changed-partition-count", static_cast<int64_t>(counts.partitions.size()));
  out.Total("total-data-files", counts.added_files - counts.removed_files);
  out.Total("total-records", counts.added_rows - counts.removed_rows);
  out.Total("total-files-size", counts.added_bytes - counts.removed_bytes);
  out.Total("total-delete-files", counts.added_vectors - counts.removed_vectors);
  out.Total("total-position-deletes", counts.added_deletes - counts.removed_deletes);
  out.Total("total-equality-deletes", 0);
  std::map<std::string, std::string> summary = std::move(out).Finish();
  summary["manifests-created"] = std::to_string(manifests.created);
  summary["manifests-kept"] = std::to_string(manifests.kept);
  summary["manifests-replaced"] = std::to_string(manifests.replaced);
  return summary;
}

void MakeCurrent(Snapshot snapshot, Metadata* metadata) {
  metadata->last_sequence_number = snapshot.sequence_number;
  metadata->last_updated = snapshot.timestamp;
  metadata->current_snapshot = snapshot.id;
  metadata->snapshot_log.push_back({snapshot.timestamp, snapshot.id});
  metadata->snapshots.push_back(std::move(snapshot));
}

}  // namespace

Result<Staged> Stage(io::Io& io, std::string_view table, const Metadata& base,
                     std::string_view base_location, const FileChange& change, Micros now,
                     const MaintenanceOptions& options) {
  if (change.added.empty() && change.removed.empty() && change.vectors.empty()) {
    if (base_location.empty()) return StageMetadata(io, table, base, base_location, now);
    return Invalid("nothing to commit to " + std::string(table));
  }
  WEIR_TRY(CheckChange(base, change));
  Metadata metadata = base;
  Snapshot snapshot = NewSnapshot(base, now);

  ManifestPlan plan(io, base, snapshot, options.manifest_bytes_target);
  if (base.current() != nullptr) WEIR_TRY(plan.Load(*base.current()));
  WEIR_TRY(plan.Remove(change.removed));
  WEIR_TRY(plan.ReplaceVectors(change.vectors));
  plan.Add(change.added);
  plan.Merge(options.manifests_min_to_merge);
  ManifestPlan::Finished manifests = WEIR_TRY(plan.Finish(&metadata.next_row_id));
  snapshot.summary = MakeSummary(change, base.current(), plan.counts(), manifests);
  if (snapshot.first_row_id)
    snapshot.added_rows = metadata.next_row_id - base.next_row_id;

  MetadataFolder folder = WEIR_TRY(MetadataFolder::Open(io, base));
  const std::string uuid = NewUuid();
  int written = 0;
  for (size_t i = 0; i < manifests.manifests.size(); ++i) {
    if (!manifests.manifests[i].path.empty()) continue;
    manifests.manifests[i].path = WEIR_TRY(
        folder.Write(fmt::format("{}-m{}.avro", uuid, written++), manifests.contents[i]));
  }
  snapshot.manifest_list =
      WEIR_TRY(folder.Write(fmt::format("snap-{}-1-{}.avro", snapshot.id.value, uuid),
                            ManifestListBytes(base, snapshot, manifests.manifests)));

  MakeCurrent(std::move(snapshot), &metadata);
  std::vector<std::string> obsolete =
      WEIR_TRY(ExpireSnapshots(io, &metadata, now, options));
  for (std::string& file :
       AppendMetadataLog(&metadata, base, base_location, options.metadata_files_max)) {
    obsolete.push_back(std::move(file));
  }
  return WriteMetadata(folder, table, std::move(metadata), base_location,
                       std::move(obsolete));
}

Result<Staged> StageMetadata(io::Io& io, std::string_view table, const Metadata& changed,
                             std::string_view base_location, Micros now) {
  Metadata metadata = changed;
  metadata.last_updated = std::max(now / kMilli * kMilli, changed.last_updated);
  std::vector<std::string> obsolete = AppendMetadataLog(
      &metadata, changed, base_location, MaintenanceOptions{}.metadata_files_max);
  MetadataFolder folder = WEIR_TRY(MetadataFolder::Open(io, metadata));
  return WriteMetadata(folder, table, std::move(metadata), base_location,
                       std::move(obsolete));
}

}  // namespace weir::iceberg
