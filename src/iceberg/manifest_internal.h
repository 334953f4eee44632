// Manifests and manifest lists: Avro files that name the data files and deletion vectors
// of a snapshot (spec "Manifests").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iceberg/table.h"

namespace weir::iceberg {

enum class EntryStatus : uint8_t { kExisting = 0, kAdded = 1, kDeleted = 2 };
enum class FileContent : uint8_t {
  kData = 0,
  kPositionDeletes = 1,
  kEqualityDeletes = 2
};

// What a manifest says about one file. Sequence numbers, the adding snapshot and
// first_row_id are resolved: nothing is left to inherit. Members that Weir does not use
// are kept, so that rewriting a manifest loses nothing.
struct ManifestEntry {
  EntryStatus status = EntryStatus::kAdded;
  SnapshotId snapshot;  // that added the file, or, with kDeleted, removed it
  DataFile file;
  FileContent content = FileContent::kData;
  std::string format = "PARQUET";
  std::vector<int> equality_ids;
  std::optional<std::string> key_metadata;

  bool is_live() const { return status != EntryStatus::kDeleted; }
};

struct FieldSummary {
  bool contains_null = false;
  std::optional<bool> contains_nan;
  std::optional<std::string> lower, upper;  // single-value binary
};

// One row of a manifest list.
struct ManifestFile {
  std::string path;
  int64_t bytes = 0;
  int spec_id = 0;
  bool is_deletes = false;
  int64_t sequence_number = 0, min_sequence_number = 0;
  SnapshotId added_by;
  int added_files = 0, existing_files = 0, deleted_files = 0;
  int64_t added_rows = 0, existing_rows = 0, deleted_rows = 0;
  std::vector<FieldSummary> partitions;
  std::optional<std::string> key_metadata;
  std::optional<int64_t> first_row_id;

  int live_files() const { return added_files + existing_files; }
};

Result<std::vector<ManifestFile>> ReadManifestList(io::Io& io, std::string_view uri);
Result<std::vector<ManifestEntry>> ReadManifest(io::Io& io, const Metadata& metadata,
                                                const ManifestFile& manifest);

// The bytes of a manifest list of `snapshot`.
std::string ManifestListBytes(const Metadata& metadata, const Snapshot& snapshot,
                              const std::vector<ManifestFile>& manifests);

// The bytes of a manifest with `entries`, all of one spec and kind. Entries that
// `snapshot` adds get their sequence number by inheritance. Returns the bytes, and fills
// counts, sequence numbers, summaries and size of `manifest`.
Result<std::string> ManifestBytes(const Metadata& metadata, const Snapshot& snapshot,
                                  const std::vector<ManifestEntry>& entries,
                                  ManifestFile* manifest);

// The bytes of a manifest that says what `manifest` did of `entries`, which were read
// from it and may have got other paths: status and sequence numbers stay.
Result<std::string> RewrittenManifestBytes(const Metadata& metadata, int schema_id,
                                           const ManifestFile& manifest,
                                           const std::vector<ManifestEntry>& entries);

}  // namespace weir::iceberg
