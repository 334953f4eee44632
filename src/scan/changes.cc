#include "scan/changes.h"

#include <arrow/api.h>

#include <unordered_map>

#include "codec/parquet.h"
#include "iceberg/deletion_vector.h"
#include "scan/scan.h"

namespace weir::scan {
namespace {

// Two live files at one path: the same vector?
bool SameVector(const iceberg::LiveFile& a, const iceberg::LiveFile& b) {
  if (!a.vector || !b.vector) return !a.vector && !b.vector;
  return a.vector->path == b.vector->path &&
         a.vector->content_offset == b.vector->content_offset;
}

class Differ {
 public:
  Differ(io::Io& io, const iceberg::Metadata& metadata, const data::Schema& schema)
      : io_(io), metadata_(metadata), schema_(schema) {}

  Status AddFiles(std::vector<iceberg::LiveFile> files, int32_t weight) {
    const std::unique_ptr<TableScan> scan =
        ScanFiles(io_, metadata_, std::move(files), schema_, {});
    while (auto rows = WEIR_TRY(scan->Next())) Add(std::move(rows), weight);
    return {};
  }

  // Rows of one file that are deleted in one of two snapshots only.
  Status AddVectorChange(const iceberg::LiveFile& before,
                         const iceberg::LiveFile& after) {
    const iceberg::Positions old_deleted = WEIR_TRY(PositionsOf(before)),
                             new_deleted = WEIR_TRY(PositionsOf(after));
    auto reader = WEIR_TRY(
        codec::OpenParquet(io_, WEIR_TRY(iceberg::PathOf(after.data.path)), schema_, {}));
    int64_t first = 0;
    while (auto rows = WEIR_TRY(reader->Next(&first))) {
      const auto count = static_cast<size_t>(rows->num_rows());
      const auto old_mask = std::make_unique<bool[]>(count),
                 new_mask = std::make_unique<bool[]>(count);
      old_deleted.FillMask(first, rows->num_rows(), old_mask.get());
      new_deleted.FillMask(first, rows->num_rows(), new_mask.get());
      std::vector<int32_t> gone, back;
      for (size_t i = 0; i < count; ++i) {
        if (old_mask[i] != new_mask[i])
          (new_mask[i] ? gone : back).push_back(static_cast<int32_t>(i));
      }
      if (!gone.empty()) Add(WEIR_TRY(data::Take({rows, {}}, gone)).rows, -1);
      if (!back.empty()) Add(WEIR_TRY(data::Take({rows, {}}, back)).rows, 1);
    }
    return {};
  }

  Status Finish(const std::function<Status(data::Batch)>& visit) {
    if (batches_.empty()) return {};
    data::Batch all = WEIR_TRY(data::Consolidate(WEIR_TRY(data::Concat(batches_))));
    return all.num_rows() == 0 ? Status() : visit(std::move(all));
  }

 private:
  Result<iceberg::Positions> PositionsOf(const iceberg::LiveFile& file) {
    return file.vector ? iceberg::ReadVector(io_, *file.vector)
                       : Result<iceberg::Positions>(iceberg::Positions());
  }

  void Add(std::shared_ptr<arrow::RecordBatch> rows, int32_t weight) {
    std::vector<int32_t> weights(static_cast<size_t>(rows->num_rows()), weight);
    batches_.push_back({std::move(rows), std::move(weights)});
  }

  io::Io& io_;
  const iceberg::Metadata& metadata_;
  const data::Schema& schema_;
  std::vector<data::Batch> batches_;
};

}  // namespace

Status VisitChanges(io::Io& io, const iceberg::Metadata& metadata,
                    const iceberg::Snapshot* from, const iceberg::Snapshot& to,
                    const data::Schema& schema,
                    const std::function<Status(data::Batch)>& visit) {
  std::unordered_map<std::string, iceberg::LiveFile> before;
  if (from != nullptr) {
    for (iceberg::LiveFile& file : WEIR_TRY(iceberg::LiveFiles(io, metadata, *from))) {
      const std::string path = file.data.path;
      before.emplace(path, std::move(file));
    }
  }
  std::vector<iceberg::LiveFile> added, removed;
  std::vector<std::pair<iceberg::LiveFile, iceberg::LiveFile>> changed;
  for (iceberg::LiveFile& file : WEIR_TRY(iceberg::LiveFiles(io, metadata, to))) {
    const auto at = before.find(file.data.path);
    if (at == before.end()) {
      added.push_back(std::move(file));
      continue;
    }
    if (!SameVector(at->second, file))
      changed.emplace_back(std::move(at->second), std::move(file));
    before.erase(at);
  }
  for (auto& [path, file] : before) removed.push_back(std::move(file));

  if (removed.empty() && changed.empty()) {
    const std::unique_ptr<TableScan> scan =
        ScanFiles(io, metadata, std::move(added), schema, {});
    while (auto rows = WEIR_TRY(scan->Next())) WEIR_TRY(visit({std::move(rows), {}}));
    return {};
  }
  Differ differ(io, metadata, schema);
  WEIR_TRY(differ.AddFiles(std::move(removed), -1));
  for (const auto& [old_file, new_file] : changed)
    WEIR_TRY(differ.AddVectorChange(old_file, new_file));
  WEIR_TRY(differ.AddFiles(std::move(added), 1));
  return differ.Finish(visit);
}

}  // namespace weir::scan
