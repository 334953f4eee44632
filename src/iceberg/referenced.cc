#include "iceberg/referenced.h"

#include <nlohmann/json.hpp>

#include "iceberg/manifest_internal.h"

namespace weir::iceberg {
namespace {

using Json = nlohmann::json;

void AddStatistics(const Metadata& metadata, std::unordered_set<std::string>* out) {
  if (metadata.unknown_json.empty()) return;
  const Json unknown = Json::parse(metadata.unknown_json, nullptr, false);
  if (!unknown.is_object() || !unknown.contains("table")) return;
  for (const char* key : {"statistics", "partition-statistics"}) {
    const Json& table = unknown["table"];
    if (!table.contains(key) || !table[key].is_array()) continue;
    for (const Json& item : table[key]) {
      const auto path = item.is_object() ? item.find("statistics-path") : item.end();
      if (path != item.end() && path->is_string()) out->insert(path->get<std::string>());
    }
  }
}

}  // namespace

Status AddReferencedFiles(io::Io& io, const std::string& location,
                          const std::function<bool()>& stop,
                          std::unordered_set<std::string>* out) {
  const Metadata metadata = WEIR_TRY(ReadMetadata(io, location));
  out->insert(location);
  for (const Metadata::MetadataLogEntry& entry : metadata.metadata_log)
    out->insert(entry.file);
  AddStatistics(metadata, out);
  for (const Snapshot& snapshot : metadata.snapshots) {
    out->insert(snapshot.manifest_list);
    for (const ManifestFile& manifest :
         WEIR_TRY(ReadManifestList(io, snapshot.manifest_list))) {
      // Snapshots share most of their manifests. A manifest says all that it ever said.
      if (!out->insert(manifest.path).second) continue;
      if (stop && stop()) return Cancelled();
      for (const ManifestEntry& entry : WEIR_TRY(ReadManifest(io, metadata, manifest))) {
        // What a kept snapshot removed may be alive in one before it, which has a
        // manifest of its own to say so.
        if (entry.is_live()) out->insert(entry.file.path);
      }
    }
  }
  return {};
}

}  // namespace weir::iceberg
