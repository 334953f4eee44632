#include <arrow/api.h>

#include "data/arrow.h"
#include "data/batch.h"
#include "publish/file_set_internal.h"

namespace weir::publish {
namespace {

constexpr int64_t kRowsAtOnce =
    32 << 10;  // a batch is cut into such pieces, so that files roll near their target
constexpr int64_t kWaitingRows = 16 << 10;  // encoded when so many rows wait …
constexpr int64_t kWaitingBytes = 8 << 20;  // … or so many bytes

}  // namespace

Result<FileSet::OpenFile*> FileSet::FileFor(const Tuple& partition) {
  const auto [it, fresh] = open_.try_emplace(partition);
  OpenFile& file = it->second;
  if (!fresh) return &file;
  const std::string dir = io::Join(WEIR_TRY(iceberg::PathOf(options_.location)), "data");
  if (files_.empty()) WEIR_TRY(io_.CreateDirs(dir));
  file.number = static_cast<int32_t>(files_.size());
  const std::string path =
      io::Join(dir, fmt::format("{}-{:05}-{}.parquet", options_.name_prefix, file.number,
                                iceberg::NewUuid()));
  iceberg::DataFile entry;
  entry.path = iceberg::UriOf(path);
  entry.spec_id = options_.spec_id;
  entry.partition = partition;
  entry.sort_order_id = options_.sort_order_id;
  files_.push_back(std::move(entry));
  file.writer = WEIR_TRY(codec::NewParquetWriter(io_, path, schema_, options_.parquet));
  return &file;
}

Status FileSet::Add(const std::shared_ptr<arrow::RecordBatch>& rows,
                    const Tuple& partition, std::vector<Placement>* placements) {
  for (int64_t at = 0; at < rows->num_rows(); at += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, rows->num_rows() - at);
    OpenFile& file = *WEIR_TRY(FileFor(partition));
    if (placements != nullptr) {
      for (int64_t i = 0; i < count; ++i)
        placements->push_back({file.number, file.rows + i});
    }
    file.rows += count;
    file.waiting.push_back(count == rows->num_rows() ? rows : rows->Slice(at, count));
    file.waiting_rows += count;
    file.waiting_bytes += data::ByteSize({file.waiting.back(), {}});
    if (file.waiting_rows < kWaitingRows && file.waiting_bytes < kWaitingBytes) continue;
    WEIR_TRY(Flush(file));
    if (file.writer->bytes_written() >= options_.file_bytes_target) {
      WEIR_TRY(Finish(file, partition));
      open_.erase(partition);
    } else if (open_bytes() > options_.open_bytes_max) {
      WEIR_TRY(CloseLargest());
    }
  }
  return {};
}

Status FileSet::Flush(OpenFile& file) {
  if (file.waiting.empty()) return {};
  std::shared_ptr<arrow::RecordBatch> rows = file.waiting[0];
  if (file.waiting.size() > 1)
    rows = WEIR_ARROW(arrow::ConcatenateRecordBatches(file.waiting));
  file.waiting.clear();
  file.waiting_rows = file.waiting_bytes = 0;
  return file.writer->Write(*rows);
}

Status FileSet::Finish(OpenFile& file, const Tuple& partition) {
  WEIR_TRY(Flush(file));
  codec::ParquetStats stats = WEIR_TRY(file.writer->Close());
  WEIR_CHECK(stats.rows == file.rows);
  iceberg::DataFile& entry = files_[static_cast<size_t>(file.number)];
  entry.record_count = stats.rows;
  entry.file_bytes = stats.file_bytes;
  entry.column_bytes = std::move(stats.column_bytes);
  entry.value_counts = std::move(stats.value_counts);
  entry.null_counts = std::move(stats.null_counts);
  entry.nan_counts = std::move(stats.nan_counts);
  entry.lower = std::move(stats.lower);
  entry.upper = std::move(stats.upper);
  entry.split_offsets = std::move(stats.split_offsets);
  return {};
}

Status FileSet::CloseLargest() {
  const auto size = [](const OpenFile& file) {
    return file.writer->bytes_written() + file.waiting_bytes;
  };
  auto largest = open_.begin();
  for (auto it = open_.begin(); it != open_.end(); ++it) {
    if (size(it->second) > size(largest->second)) largest = it;
  }
  WEIR_TRY(Finish(largest->second, largest->first));
  open_.erase(largest);
  return {};
}

Status FileSet::EndFiles() {
  for (auto& [partition, file] : open_) WEIR_TRY(Finish(file, partition));
  open_.clear();
  return {};
}

Result<std::vector<iceberg::DataFile>> FileSet::Close() {
  WEIR_TRY(EndFiles());
  if (!files_.empty()) {
    WEIR_TRY(io_.SyncDir(io::Join(WEIR_TRY(iceberg::PathOf(options_.location)), "data")));
  }
  return std::move(files_);
}

void FileSet::Discard() {
  open_.clear();
  for (const iceberg::DataFile& file : files_) {
    const Result<std::string> path = iceberg::PathOf(file.path);
    if (path.ok()) (void)io_.Remove(*path).ok();
  }
  files_.clear();
}

int64_t FileSet::open_bytes() const {
  int64_t bytes = 0;
  for (const auto& [partition, file] : open_) {
    // A file that could not be made has no writer.
    if (file.writer != nullptr) bytes += file.writer->bytes_written();
    bytes += file.waiting_bytes;
  }
  return bytes;
}

}  // namespace weir::publish
