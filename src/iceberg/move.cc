#include "iceberg/move.h"

#include <map>
#include <nlohmann/json.hpp>

#include "iceberg/deletion_vector.h"
#include "iceberg/manifest_internal.h"
#include "iceberg/metadata_folder_internal.h"

namespace weir::iceberg {
namespace {

using Json = nlohmann::json;

constexpr Micros kMilli = 1000;

// Rewrites one table. Files are shared by snapshots, and each is rewritten once.
class TableMove {
 public:
  TableMove(io::Io& io, const Move& move, MetadataFolder folder, Metadata metadata)
      : io_(io),
        move_(move),
        folder_(std::move(folder)),
        metadata_(std::move(metadata)) {}
  ~TableMove() {
    // Not needed when the move does not come to be; harmless when they cannot be removed.
    for (const std::string& path : written_vectors_)
      static_cast<void>(io_.Remove(path).ok());
  }

  Result<Staged> Run(std::string_view table, std::string_view location, Micros now) {
    for (Snapshot& snapshot : metadata_.snapshots)
      snapshot.manifest_list = WEIR_TRY(MoveList(snapshot));
    obsolete_.push_back(move_(location));
    for (const auto& entry : metadata_.metadata_log)
      obsolete_.push_back(move_(entry.file));
    metadata_.metadata_log.clear();
    metadata_.last_updated = std::max(now / kMilli * kMilli, metadata_.last_updated);
    std::string written = WEIR_TRY(
        folder_.Write(MetadataFileName(location, NewUuid()), MetadataToJson(metadata_)));
    WEIR_TRY(folder_.Keep());
    written_vectors_.clear();
    return Staged{std::string(table), std::string(location), std::move(written),
                  std::move(metadata_), std::move(obsolete_)};
  }

 private:
  Result<std::string> MoveList(const Snapshot& snapshot) {
    const std::string at = move_(snapshot.manifest_list);
    std::vector<ManifestFile> manifests = WEIR_TRY(ReadManifestList(io_, at));
    for (ManifestFile& manifest : manifests)
      WEIR_TRY(MoveManifest(snapshot.schema_id, &manifest));
    obsolete_.push_back(at);
    return folder_.Write(fmt::format("snap-{}-1-{}.avro", snapshot.id.value, NewUuid()),
                         ManifestListBytes(metadata_, snapshot, manifests));
  }

  Status MoveManifest(int schema_id, ManifestFile* manifest) {
    manifest->path = move_(manifest->path);
    const auto known = manifests_.find(manifest->path);
    if (known != manifests_.end()) {
      manifest->path = known->second.path;
      manifest->bytes = known->second.bytes;
      return {};
    }
    std::vector<ManifestEntry> entries =
        WEIR_TRY(ReadManifest(io_, metadata_, *manifest));
    for (ManifestEntry& entry : entries) WEIR_TRY(MoveEntry(&entry));
    const std::string bytes =
        WEIR_TRY(RewrittenManifestBytes(metadata_, schema_id, *manifest, entries));
    WrittenFile written{WEIR_TRY(folder_.Write(NewUuid() + "-m0.avro", bytes)),
                        static_cast<int64_t>(bytes.size())};
    obsolete_.push_back(manifest->path);
    manifests_[manifest->path] = written;
    manifest->path = std::move(written.path);
    manifest->bytes = written.bytes;
    return {};
  }

  Status MoveEntry(ManifestEntry* entry) {
    DataFile& file = entry->file;
    file.path = move_(file.path);
    if (!file.referenced_data_file.empty())
      file.referenced_data_file = move_(file.referenced_data_file);
    // What a dead entry names may be gone, and nobody reads it.
    if (!entry->is_live() || entry->content != FileContent::kPositionDeletes) return {};
    if (!file.is_deletion_vector) {
      return Invalid(
          "the table has delete files that are not deletion vectors, whose paths Weir "
          "cannot rewrite: " +
          file.path);
    }
    const WrittenFile& moved = *WEIR_TRY(MoveVectors(file.path));
    file.path = moved.path;
    file.file_bytes = moved.bytes;
    return {};
  }

  struct WrittenFile {
    std::string path;  // URI
    int64_t bytes = 0;
  };

  // Several vectors may stand in one file.
  Result<const WrittenFile*> MoveVectors(const std::string& at) {
    const auto known = vectors_.find(at);
    if (known != vectors_.end()) return &known->second;
    const std::string to =
        fmt::format("{}/deleted-{}.puffin", io::DirName(at), NewUuid());
    written_vectors_.push_back(WEIR_TRY(PathOf(to)));
    const int64_t bytes = WEIR_TRY(
        CopyVectors(io_, at, to, [this](const std::string& uri) { return move_(uri); }));
    obsolete_.push_back(at);
    return &vectors_.emplace(at, WrittenFile{to, bytes}).first->second;
  }

  io::Io& io_;
  const Move& move_;
  MetadataFolder folder_;
  Metadata metadata_;
  std::map<std::string, WrittenFile> manifests_, vectors_;  // by where they were read
  std::vector<std::string> written_vectors_;                // paths
  std::vector<std::string> obsolete_;
};

// Paths in what Weir does not use: statistics, and properties of the table.
Status MoveOthers(const Move& move, Metadata* metadata) {
  for (auto& [name, value] : metadata->properties) value = move(value);
  if (metadata->unknown_json.empty()) return {};
  Json unknown = Json::parse(metadata->unknown_json, nullptr, false);
  if (!unknown.is_object()) return Corrupt("metadata: unknown members are not JSON");
  if (!unknown.contains("table")) return {};
  for (const char* list : {"statistics", "partition-statistics"}) {
    Json& table = unknown["table"];
    if (!table.contains(list) || !table[list].is_array()) continue;
    for (Json& item : table[list]) {
      const auto path = item.find("statistics-path");
      if (path != item.end() && path->is_string()) *path = move(path->get<std::string>());
    }
  }
  metadata->unknown_json = unknown.dump();
  return {};
}

}  // namespace

std::string Move::operator()(std::string_view uri) const {
  const Result<std::string> path = PathOf(uri);
  if (!path.ok()) return std::string(uri);
  const std::string_view rest = std::string_view(*path).substr(
      path->starts_with(from_) ? from_.size() : path->size());
  if (!rest.starts_with('/') && *path != from_) return std::string(uri);
  return UriOf(to_ + std::string(rest));
}

Result<Staged> StageMove(io::Io& io, std::string_view table, std::string_view location,
                         const Move& move, Micros now) {
  const std::string text = WEIR_TRY(io.ReadAll(WEIR_TRY(PathOf(move(location)))));
  Metadata metadata = WEIR_TRY(ParseMetadata(text));
  metadata.location = move(metadata.location);
  WEIR_TRY(MoveOthers(move, &metadata));
  MetadataFolder folder = WEIR_TRY(MetadataFolder::Open(io, metadata));
  return TableMove(io, move, std::move(folder), std::move(metadata))
      .Run(table, location, now);
}

}  // namespace weir::iceberg
