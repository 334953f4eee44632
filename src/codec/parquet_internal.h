// What the Parquet writer and reader share: streams over io, and statistics out of
// footers.
#pragma once

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/metadata.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "codec/parquet.h"

namespace weir::codec {

// Appends to an io::File through a buffer. The first error is kept: Arrow turns it into
// text, the caller wants its code.
class FileSink final : public arrow::io::OutputStream {
 public:
  explicit FileSink(std::unique_ptr<io::File> file) : file_(std::move(file)) {}

  arrow::Status Write(const void* data, int64_t size) override;
  using arrow::io::OutputStream::Write;
  arrow::Status Flush() override;
  arrow::Status Close() override;
  arrow::Result<int64_t> Tell() const override { return position_; }
  bool closed() const override { return closed_; }

  int64_t position() const { return position_; }
  // After Arrow closed the file: puts the seal in front of the footer.
  void SealFooter();
  Status SyncAndClose();
  const std::optional<Error>& error() const { return error_; }

 private:
  std::unique_ptr<io::File> file_;
  std::string buffer_;  // the bytes before position_
  int64_t position_ = 0;
  std::array<int64_t, 3> last_{};  // where the last writes began, oldest first
  bool closed_ = false;
  std::optional<Error> error_;
};

// Pages have checksums, the footer has none. In front of it stand 12 bytes that no offset
// points to: this tag and the CRC-32C (little-endian) of footer, length and magic.
inline constexpr std::string_view kFooterTag = "WeirFoot";

// kCorrupt: there is a seal and it is not that of the footer. A file without one (another
// program's) passes.
Status CheckFooter(io::File& file, uint64_t size);

// Reads an io::File. The first error is kept: what Arrow itself makes of broken bytes may
// look like one.
class FileSource final : public arrow::io::RandomAccessFile {
 public:
  FileSource(std::unique_ptr<io::File> file, int64_t size)
      : file_(std::move(file)), size_(size) {}

  arrow::Result<int64_t> GetSize() override { return size_; }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t size, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position,
                                                       int64_t size) override;
  arrow::Result<int64_t> Read(int64_t size, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t size) override;
  arrow::Status Seek(int64_t position) override;
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Close() override;
  bool closed() const override { return file_ == nullptr; }
  const std::optional<Error>& error() const { return error_; }

 private:
  std::unique_ptr<io::File> file_;
  const int64_t size_;
  int64_t position_ = 0;
  std::optional<Error> error_;
};

// Statistics of these row groups of a file; NaN counts are not in footers and stay empty.
ParquetStats StatsOf(const parquet::FileMetaData& metadata, int first_row_group,
                     int row_group_count);

}  // namespace weir::codec
