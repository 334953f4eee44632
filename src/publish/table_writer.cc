#include "publish/table_writer.h"

#include <arrow/api.h>

#include <set>

#include "publish/cluster_internal.h"
#include "publish/writer_internal.h"

namespace weir::publish {

Result<std::unique_ptr<TableWriter>> TableWriter::Open(io::Io& io,
                                                       TableWriterOptions options) {
  const std::string name = options.name;
  auto writer = options.keyed ? OpenKeyedWriter(io, std::move(options))
                              : OpenAppendWriter(io, std::move(options));
  if (!writer.ok()) return std::move(writer).error().Within("open " + name);
  return writer;
}

FileSetOptions FilesOptions(const TableWriterOptions& options,
                            const iceberg::Metadata& metadata, std::string_view prefix) {
  FileSetOptions out;
  out.location = metadata.location;
  out.name_prefix = prefix;
  out.spec_id = metadata.default_spec_id;
  if (const auto order = OrderOf(metadata)) out.sort_order_id = order->id;
  out.file_bytes_target = options.file_bytes_target;
  out.open_bytes_max = options.open_bytes_max;
  out.parquet.zstd_level = options.zstd_level;
  return out;
}

CopyOrder OrderedCopy(const TableWriterOptions& options,
                      const iceberg::Metadata& metadata) {
  return {OrderOf(metadata), 2 * options.small_file_bytes, options.sort_rows_max};
}

int64_t SizeForMerge(const TableWriterOptions& options, const iceberg::Metadata& metadata,
                     int64_t bytes, int64_t rows) {
  if (!OrderOf(metadata)) return bytes;
  const double share = 2.0 * static_cast<double>(rows) /
                       static_cast<double>(std::max<int64_t>(1, options.sort_rows_max));
  return std::max(
      bytes, static_cast<int64_t>(share * static_cast<double>(options.small_file_bytes)));
}

Result<data::Batch> Repeated(const data::Batch& batch) {
  std::vector<int32_t> rows;
  for (int32_t row = 0; row < batch.num_rows(); ++row) {
    for (int32_t n = 0; n < batch.weight(row); ++n) rows.push_back(row);
  }
  return data::Take({batch.rows, {}}, rows);
}

Status AddByPartition(Partitioner& partitioner, FileSet& files, const data::Batch& batch,
                      std::vector<Placement>* placements) {
  int32_t only = 0;
  const std::vector<int32_t> numbers = WEIR_TRY(partitioner.Assign(*batch.rows, &only));
  if (numbers.empty()) return files.Add(batch.rows, partitioner.tuple(only), placements);
  std::vector<std::vector<int32_t>> rows_of;
  for (int32_t row = 0; row < batch.num_rows(); ++row) {
    const auto number = static_cast<size_t>(numbers[static_cast<size_t>(row)]);
    if (number >= rows_of.size()) rows_of.resize(number + 1);
    rows_of[number].push_back(row);
  }
  if (placements != nullptr) placements->resize(static_cast<size_t>(batch.num_rows()));
  std::vector<Placement> placed;
  for (size_t number = 0; number < rows_of.size(); ++number) {
    if (rows_of[number].empty()) continue;
    const data::Batch part = WEIR_TRY(data::Take({batch.rows, {}}, rows_of[number]));
    placed.clear();
    WEIR_TRY(files.Add(part.rows, partitioner.tuple(static_cast<int32_t>(number)),
                       placements == nullptr ? nullptr : &placed));
    for (size_t i = 0; i < placed.size(); ++i)
      (*placements)[static_cast<size_t>(rows_of[number][i])] = placed[i];
  }
  return {};
}

void RemoveFiles(io::Io& io, std::span<const iceberg::DataFile> files) {
  std::set<std::string> paths;  // vectors share one
  for (const iceberg::DataFile& file : files) paths.insert(file.path);
  for (const std::string& uri : paths) {
    // What cannot be removed is an orphan, which only costs space.
    if (const Result<std::string> path = iceberg::PathOf(uri); path.ok())
      (void)io.Remove(*path).ok();
  }
}

}  // namespace weir::publish
