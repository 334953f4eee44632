// Manifests: entries of one go through a rewrite unchanged.
#include "fuzz/fuzz.h"
#include "iceberg/manifest_internal.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

// Version 2 has no deletion vectors, and no members for them.
std::string Text(const iceberg::ManifestEntry& entry, int version) {
  const iceberg::DataFile& file = entry.file;
  std::string out = std::to_string(static_cast<int>(entry.status)) + " " +
                    std::to_string(entry.snapshot.value) + " " + file.path + " " +
                    std::to_string(static_cast<int>(entry.content)) + " " +
                    std::to_string(file.record_count) + " " +
                    std::to_string(file.file_bytes) + " " +
                    std::to_string(file.partition.size()) + " ";
  for (const auto& [id, bytes] : file.lower) out += std::to_string(id) + bytes;
  for (const auto& [id, bytes] : file.upper) out += std::to_string(id) + bytes;
  for (const auto& [id, n] : file.value_counts)
    out += std::to_string(id) + ":" + std::to_string(n);
  if (version == 3)
    out += std::to_string(file.content_offset) + " " + file.referenced_data_file;
  return out;
}

}  // namespace

WEIR_FUZZER(manifest)(std::string_view bytes) {
  static const iceberg::Metadata* const tables[] = {
      new iceberg::Metadata(Must(iceberg::ParseMetadata(
          RepositoryFile("src/iceberg/testdata/spark_v2/metadata.json")))),
      new iceberg::Metadata(Must(iceberg::ParseMetadata(
          RepositoryFile("src/iceberg/testdata/spark_v3/metadata.json"))))};
  for (const iceberg::Metadata* const metadata : tables) {
    io::SimIo io;
    Must(io.WriteNew("/m.avro", bytes));
    iceberg::ManifestFile manifest;
    manifest.path = "file:///m.avro";
    manifest.spec_id = metadata->default_spec_id;
    manifest.added_by = {11};
    manifest.sequence_number = 3;
    if (metadata->format_version == 3) manifest.first_row_id = 1000;
    const auto entries = iceberg::ReadManifest(io, *metadata, manifest);
    if (!entries.ok()) {
      CheckError(entries.error());
      continue;
    }
    for (const auto& entry : *entries)
      manifest.is_deletes |= entry.content != iceberg::FileContent::kData;
    const auto rewritten = iceberg::RewrittenManifestBytes(
        *metadata, metadata->current_schema_id, manifest, *entries);
    if (!rewritten.ok()) {
      CheckError(rewritten.error());
      continue;
    }
    Must(io.WriteNew("/n.avro", *rewritten));
    manifest.path = "file:///n.avro";
    const auto again = Must(iceberg::ReadManifest(io, *metadata, manifest));
    WEIR_CHECK(again.size() == entries->size());
    for (size_t i = 0; i < again.size(); ++i)
      WEIR_CHECK(Text(again[i], metadata->format_version) ==
                 Text((*entries)[i], metadata->format_version));
  }
}

}  // namespace weir::fuzz
