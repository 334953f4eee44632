// Iceberg tables: metadata, snapshots, and how a change of files becomes a new metadata
// file. No Arrow here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"
#include "data/type.h"
#include "io/io.h"

namespace weir::iceberg {

// The value of a column or partition field in Iceberg's single-value domain. monostate is
// null. int32 for int and date, int64 for long, time and timestamps; decimals as minimal
// big-endian two's complement bytes in `std::string`, as are strings, binary and uuid.
using Literal =
    std::variant<std::monostate, bool, int32_t, int64_t, float, double, std::string>;

enum class TransformKind : uint8_t {
  kIdentity,
  kBucket,
  kTruncate,
  kYear,
  kMonth,
  kDay,
  kHour,
  kVoid
};
struct Transform {
  TransformKind kind = TransformKind::kIdentity;
  int parameter = 0;  // bucket count or width
  friend bool operator==(const Transform&, const Transform&) = default;
};
std::string TransformName(const Transform&);              // "bucket[16]"
Result<Transform> ParseTransform(std::string_view name);  // "day", "bucket[16]"
data::Type ResultType(const Transform&, const data::Type& source);
Literal Apply(const Transform&, const data::Type& source,
              const Literal& value);  // spec App. B; null -> null

struct PartitionField {
  int source_id = 0;
  int field_id = 0;
  std::string name;
  Transform transform;
};
struct PartitionSpec {
  int id = 0;
  std::vector<PartitionField> fields;
};
struct SortField {
  int source_id = 0;
  Transform transform;
  bool descending = false;
  bool nulls_last = true;
  friend bool operator==(const SortField&, const SortField&) = default;
};
struct SortOrder {
  int id = 0;
  std::vector<SortField> fields;
};

// One row of a manifest: a data file, or the deletion vector of one data file.
struct DataFile {
  bool is_deletion_vector = false;
  std::string path;  // "file:///…", one spelling everywhere
  int spec_id = 0;
  std::vector<Literal> partition;  // one per field of the spec
  int64_t record_count = 0;        // of a vector: deleted rows
  int64_t file_bytes = 0;
  std::map<int, int64_t> column_bytes, value_counts, null_counts, nan_counts;
  std::map<int, std::string> lower, upper;  // single-value binary (spec App. D), strings
                                            // cut to 16 code points as the spec says
  std::vector<int64_t> split_offsets;
  std::optional<int> sort_order_id;
  std::optional<int64_t> first_row_id;  // v3; filled when read
  // of a deletion vector
  std::string referenced_data_file;
  int64_t content_offset = 0, content_bytes = 0;
  // filled when read from a manifest
  int64_t data_sequence_number = 0, file_sequence_number = 0;
  SnapshotId added_by;
};

std::string BinaryValue(const data::Type& type, const Literal& value);  // App. D
Result<Literal> FromBinaryValue(
    const data::Type& type, std::string_view bytes);  // accepts promoted (shorter) values

struct Snapshot {
  SnapshotId id;
  std::optional<SnapshotId> parent;
  int64_t sequence_number = 0;
  Micros timestamp = 0;
  std::string manifest_list;
  std::map<std::string, std::string>
      summary;  // "operation" and counters, and weir.lane, weir.epoch, weir.frontier
  int schema_id = 0;
  std::optional<int64_t> first_row_id, added_rows;
};

// The contents of one metadata file. A value; unknown JSON members written by others
// survive.
struct Metadata {
  int format_version = 2;
  std::string uuid, location;
  int64_t last_sequence_number = 0;
  Micros last_updated = 0;
  int last_column_id = 0;
  std::map<int, data::Schema> schemas;
  std::map<int, std::vector<int>> identifier_field_ids;  // by schema id
  int current_schema_id = 0;
  std::map<int, PartitionSpec> specs;
  int default_spec_id = 0, last_partition_id = 999;
  std::map<int, SortOrder> sort_orders;
  int default_sort_order_id = 0;
  std::map<std::string, std::string> properties;
  std::optional<SnapshotId> current_snapshot;
  std::vector<Snapshot> snapshots;
  struct LogEntry {
    Micros time;
    SnapshotId snapshot;
  };
  std::vector<LogEntry> snapshot_log;
  struct MetadataLogEntry {
    Micros time;
    std::string file;
  };
  std::vector<MetadataLogEntry> metadata_log;
  int64_t next_row_id = 0;
  std::string refs_json, unknown_json;  // kept as they were

  const data::Schema& schema() const { return schemas.at(current_schema_id); }
  const PartitionSpec& spec() const { return specs.at(default_spec_id); }
  const Snapshot* Find(SnapshotId id) const;
  const Snapshot* current() const;
  // The snapshot that was current at `time` (AS OF TIMESTAMP); nullptr when the table did
  // not exist then.
  const Snapshot* AsOf(Micros time) const;
};
Result<Metadata> ParseMetadata(std::string_view json);
// That of the file at this URI, which a fault of what stands in it names.
Result<Metadata> ReadMetadata(io::Io& io, std::string_view uri);
std::string MetadataToJson(const Metadata&);

struct NewTable {
  std::string location;  // "file:///abs/warehouse/silver/trips", no trailing '/'
  int format_version = 2;
  data::Schema schema;                    // ids are assigned where 0
  std::vector<PartitionField> partition;  // field_id and name may be empty/0: assigned
  std::vector<SortField> sort;
  std::vector<std::string> identifier;  // names of key columns (v3 keyed tables); written
                                        // only if all are required and none is floating
  std::map<std::string, std::string> properties;
};
// Partition sources and identifiers must exist in the schema.
Metadata MakeMetadata(const NewTable&, Micros now);

// Changes the current schema: adds columns (new ids), widens types where the spec allows.
// kInvalid otherwise.
Result<Metadata> WithSchema(const Metadata&, const data::Schema& wanted);

// The table's default sort order becomes this one (none: unsorted): one that it had, or a
// new one.
Metadata WithSortOrder(const Metadata&, const std::vector<SortField>& fields);

// Files alive in a snapshot: data files in manifest order (of our own tables: append
// order), each with its deletion vector if it has one. kInvalid: a foreign writer left
// position or equality delete files, which must not be ignored. kCorrupt: what is found
// is not what the summary of a snapshot of ours counts.
struct LiveFile {
  DataFile data;
  std::optional<DataFile> vector;
};
Result<std::vector<LiveFile>> LiveFiles(io::Io& io, const Metadata&, const Snapshot&);

// What one commit does to one table. Paths name files that are already written and
// synced.
struct FileChange {
  std::string operation = "append";  // append | overwrite | delete | replace
  std::vector<DataFile> added;       // data files
  std::vector<std::string> removed;  // paths of data files; their vectors go with them
  std::vector<DataFile> vectors;  // each replaces the vector its data file has, which it
                                  // must contain; the file must be alive or in `added`
                                  // (not checked: that would mean reading every manifest)
  std::map<std::string, std::string> summary;  // extra keys
};

struct MaintenanceOptions {
  int manifests_min_to_merge = 16;  // merge small manifests when a commit finds that many
  int64_t manifest_bytes_target = 8 << 20;
  int snapshots_max = 100;  // expire what is beyond the newest so many …
  Micros snapshot_age_min = 3'600'000'000;  // … and older than this
  int metadata_files_max =
      20;  // metadata-log entries; older metadata files are deleted after the commit
  std::vector<SnapshotId> keep;  // snapshots that a reader or a lane behind still needs
};

// A change written to disk (manifests, manifest list, metadata file: all synced, their
// folder too) but not yet committed.
struct Staged {
  std::string table;              // "silver.trips"
  std::string base_location;      // metadata file it builds on; empty: the table is new
  std::string metadata_location;  // the new one
  Metadata metadata;
  std::vector<std::string>
      obsolete;  // files nobody needs once this is committed (expired data, manifests,
                 // old metadata), to be deleted after the commit, when no reader lease
                 // covers them. URIs, as all paths here: see PathOf
};
// `base` is the table's committed metadata (or MakeMetadata's, with base_location empty),
// with a changed schema or properties if wanted. kInvalid: an empty change on an existing
// table, or one that contradicts itself; kConflict: a removed file is not alive. After an
// error no new file is left behind.
Result<Staged> Stage(io::Io& io, std::string_view table, const Metadata& base,
                     std::string_view base_location, const FileChange& change, Micros now,
                     const MaintenanceOptions& options);
// Stages a metadata-only change (new schema, properties, first creation without rows).
Result<Staged> StageMetadata(io::Io& io, std::string_view table, const Metadata& changed,
                             std::string_view base_location, Micros now);

// "file:///a/b", "file:/a/b" and "/a/b" -> "/a/b"; kInvalid for other schemes.
Result<std::string> PathOf(std::string_view uri);
std::string UriOf(std::string_view absolute_path);
std::string NewUuid();
// Of version 4, as other programs make them: see HasOurName.
std::string NewUnownedUuid();
SnapshotId NewSnapshotId();  // positive, random

}  // namespace weir::iceberg
