// Table metadata: what is read is written to JSON that reads as the same, and serves as
// the metadata of a table that is read, changed and moved.
#include "fuzz/fuzz.h"
#include "iceberg/move.h"
#include "iceberg/table.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

constexpr Micros kNow = 1'700'000'000'000'000;

// The table with the golden manifest lists where it says that they are.
void PlaceFiles(io::Io& io, const iceberg::Metadata& metadata) {
  static const std::string list =
      RepositoryFile("src/iceberg/testdata/spark_v2/manifest-list.1.append.avro");
  int placed = 0;
  for (const iceberg::Snapshot& snapshot : metadata.snapshots) {
    const auto path = iceberg::PathOf(snapshot.manifest_list);
    if (!path.ok() || ++placed > 3) continue;
    static_cast<void>(io.CreateDirs(std::string(io::DirName(*path))).ok());
    static_cast<void>(io.WriteNew(*path, list).ok());
  }
}

void CheckUse(const iceberg::Metadata& metadata, const std::string& text) {
  for (const Micros time : {Micros{0}, kNow, metadata.last_updated})
    static_cast<void>(metadata.AsOf(time));
  const auto same = iceberg::WithSchema(metadata, metadata.schema());
  if (!same.ok()) CheckError(same.error());
  io::SimIo io;
  PlaceFiles(io, metadata);
  if (metadata.current() != nullptr) {
    const auto live = iceberg::LiveFiles(io, metadata, *metadata.current());
    if (!live.ok()) CheckError(live.error());
  }
  Must(io.WriteNew("/m.json", text));
  const auto changed =
      iceberg::StageMetadata(io, "db.t", metadata, "file:///m.json", kNow);
  if (!changed.ok()) CheckError(changed.error());
  const auto moved =
      iceberg::StageMove(io, "db.t", "file:///m.json", {"/wh", "/elsewhere"}, kNow);
  if (!moved.ok()) CheckError(moved.error());
}

}  // namespace

WEIR_FUZZER(metadata)(std::string_view bytes) {
  const auto metadata = iceberg::ParseMetadata(bytes);
  if (!metadata.ok()) return CheckError(metadata.error());
  const std::string text = iceberg::MetadataToJson(*metadata);
  const auto again = iceberg::ParseMetadata(text);
  WEIR_CHECK(again.ok());
  WEIR_CHECK(iceberg::MetadataToJson(*again) == text);
  WEIR_CHECK(again->snapshots.size() == metadata->snapshots.size());
  WEIR_CHECK(again->schema() == metadata->schema());
  CheckUse(*metadata, text);
}

}  // namespace weir::fuzz
