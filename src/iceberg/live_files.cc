#include <fmt/format.h>

#include <charconv>
#include <string_view>
#include <unordered_map>

#include "iceberg/manifest_internal.h"

namespace weir::iceberg {
namespace {

// Deletion vectors by the data file they belong to.
using Vectors = std::unordered_map<std::string, DataFile>;

Status CollectVectors(io::Io& io, const Metadata& metadata, const ManifestFile& manifest,
                      Vectors* out) {
  for (ManifestEntry& entry : WEIR_TRY(ReadManifest(io, metadata, manifest))) {
    if (!entry.is_live()) continue;
    if (!entry.file.is_deletion_vector) {
      return Invalid(
          "the table has delete files that are not deletion vectors, which Weir does not "
          "read: " +
          entry.file.path);
    }
    std::string data_file = entry.file.referenced_data_file;
    if (!out->emplace(data_file, std::move(entry.file)).second) {
      return Corrupt("two deletion vectors for one data file: " + data_file);
    }
  }
  return {};
}

// What was found against what our own summary of the snapshot counts: manifests and lists
// have no checksums, and a flipped bit in a compressed one may leave out an entry.
Status CheckTotal(const Snapshot& snapshot, const char* total, size_t found) {
  const auto engine = snapshot.summary.find("engine-name");
  const auto stated = snapshot.summary.find(total);
  if (engine == snapshot.summary.end() || engine->second != "weir" ||
      stated == snapshot.summary.end())
    return {};
  const std::string_view text = stated->second;
  size_t want = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), want);
  if (parsed.ec == std::errc() && want == found) return {};
  return Corrupt(fmt::format("{}: its manifests hold {} files where {} is {}",
                             snapshot.manifest_list, found, total, text));
}

}  // namespace

Result<std::vector<LiveFile>> LiveFiles(io::Io& io, const Metadata& metadata,
                                        const Snapshot& snapshot) {
  const std::vector<ManifestFile> manifests =
      WEIR_TRY(ReadManifestList(io, snapshot.manifest_list));
  Vectors vectors;
  for (const ManifestFile& manifest : manifests) {
    if (manifest.is_deletes && manifest.live_files() > 0)
      WEIR_TRY(CollectVectors(io, metadata, manifest, &vectors));
  }
  WEIR_TRY(CheckTotal(snapshot, "total-delete-files", vectors.size()));
  std::vector<LiveFile> out;
  for (const ManifestFile& manifest : manifests) {
    if (manifest.is_deletes || manifest.live_files() == 0) continue;
    for (ManifestEntry& entry : WEIR_TRY(ReadManifest(io, metadata, manifest))) {
      if (!entry.is_live()) continue;
      LiveFile live{std::move(entry.file), std::nullopt};
      const auto vector = vectors.find(live.data.path);
      // A vector older than its file would belong to an earlier file of the same name.
      if (vector != vectors.end() &&
          vector->second.data_sequence_number >= live.data.data_sequence_number) {
        live.vector = std::move(vector->second);
      }
      out.push_back(std::move(live));
    }
  }
  WEIR_TRY(CheckTotal(snapshot, "total-data-files", out.size()));
  return out;
}

}  // namespace weir::iceberg
