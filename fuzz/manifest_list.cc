// Manifest lists: rows of one go through a rewrite unchanged.
#include "fuzz/fuzz.h"
#include "iceberg/manifest_internal.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

std::string Text(const iceberg::ManifestFile& m) {
  std::string out =
      m.path + " " + std::to_string(m.bytes) + " " + std::to_string(m.spec_id) + " " +
      std::to_string(m.is_deletes) + " " + std::to_string(m.sequence_number) + " " +
      std::to_string(m.min_sequence_number) + " " + std::to_string(m.added_by.value) +
      " " + std::to_string(m.live_files()) + " " + std::to_string(m.added_rows) + " ";
  for (const iceberg::FieldSummary& summary : m.partitions) {
    out += std::to_string(summary.contains_null) + summary.lower.value_or("-") + " " +
           summary.upper.value_or("-");
  }
  return out;
}

}  // namespace

WEIR_FUZZER(manifest_list)(std::string_view bytes) {
  static const iceberg::Metadata* const metadata =
      new iceberg::Metadata(Must(iceberg::ParseMetadata(
          RepositoryFile("src/iceberg/testdata/spark_v2/metadata.json"))));
  io::SimIo io;
  Must(io.WriteNew("/l.avro", bytes));
  const auto list = iceberg::ReadManifestList(io, "file:///l.avro");
  if (!list.ok()) return CheckError(list.error());
  Must(io.WriteNew("/k.avro",
                   iceberg::ManifestListBytes(*metadata, *metadata->current(), *list)));
  const auto again = Must(iceberg::ReadManifestList(io, "file:///k.avro"));
  WEIR_CHECK(again.size() == list->size());
  for (size_t i = 0; i < again.size(); ++i)
    WEIR_CHECK(Text(again[i]) == Text((*list)[i]));
  // The reader of the table goes on to the manifests, which are missing here.
  iceberg::Snapshot snapshot = *metadata->current();
  snapshot.manifest_list = "file:///l.avro";
  const auto live = iceberg::LiveFiles(io, *metadata, snapshot);
  if (!live.ok()) CheckError(live.error());
}

}  // namespace weir::fuzz
