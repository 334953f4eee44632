#include <fmt/format.h>

#include <cstring>

#include "base/hash.h"
#include "codec/parquet_internal.h"

namespace weir::codec {
namespace {

constexpr size_t kBufferBytes = 512 << 10;

arrow::Status ToArrowStatus(const Error& error) {
  return arrow::Status::IOError(error.message);
}

}  // namespace

arrow::Status FileSink::Write(const void* data, int64_t size) {
  if (error_) return ToArrowStatus(*error_);
  const std::string_view bytes(static_cast<const char*>(data), static_cast<size_t>(size));
  last_ = {last_[1], last_[2], position_};
  position_ += size;
  constexpr size_t kTail = 4;  // the length of the footer, and the magic behind it
  if (bytes.size() <= kTail || buffer_.size() + bytes.size() <= kBufferBytes) {
    buffer_ += bytes;
    return arrow::Status::OK();
  }
  ARROW_RETURN_NOT_OK(Flush());
  if (bytes.size() < kBufferBytes) {
    buffer_ = bytes;
    return arrow::Status::OK();
  }
  if (Status written = file_->Append(bytes); !written.ok()) error_ = written.error();
  return error_ ? ToArrowStatus(*error_) : arrow::Status::OK();
}

arrow::Status FileSink::Flush() {
  if (error_) return ToArrowStatus(*error_);
  if (buffer_.empty()) return arrow::Status::OK();
  if (Status written = file_->Append(buffer_); !written.ok()) error_ = written.error();
  buffer_.clear();
  return error_ ? ToArrowStatus(*error_) : arrow::Status::OK();
}

void FileSink::SealFooter() {
  // Arrow writes the footer, its length (4 bytes) and "PAR1" one by one. A footer of more
  // than half a megabyte is on disk already and stays without a seal.
  const auto size = static_cast<size_t>(position_ - last_[0]);
  if (error_ || position_ - last_[2] != 4 || last_[2] - last_[1] != 4 ||
      size > buffer_.size() || !buffer_.ends_with("PAR1"))
    return;
  const size_t begin = buffer_.size() - size;
  const uint32_t checksum = Crc32c(std::string_view(buffer_).substr(begin));
  std::string seal(kFooterTag);
  seal.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  buffer_.insert(begin, seal);
  position_ += static_cast<int64_t>(seal.size());
}

Status CheckFooter(io::File& file, uint64_t size) {
  constexpr uint64_t kEnd = 8;  // length and magic
  const uint64_t seal_bytes = kFooterTag.size() + sizeof(uint32_t);
  std::string end(kEnd, '\0');
  if (size < kEnd || WEIR_TRY(file.ReadAt(size - kEnd, kEnd, end.data())) < kEnd)
    return {};  // too short for Parquet, which Arrow says better
  uint32_t footer_bytes;
  std::memcpy(&footer_bytes, end.data(), sizeof footer_bytes);
  const uint64_t tail_bytes = footer_bytes + kEnd + seal_bytes;
  if (tail_bytes > size) return {};
  std::string tail(tail_bytes, '\0');
  if (WEIR_TRY(file.ReadAt(size - tail_bytes, tail_bytes, tail.data())) < tail_bytes ||
      !tail.starts_with(kFooterTag))
    return {};
  uint32_t checksum;
  std::memcpy(&checksum, tail.data() + kFooterTag.size(), sizeof checksum);
  if (checksum == Crc32c(std::string_view(tail).substr(seal_bytes))) return {};
  return Corrupt(
      fmt::format("bad checksum of the footer at byte {}", size - footer_bytes - kEnd));
}

arrow::Status FileSink::Close() {
  closed_ = true;
  return Flush();
}

Status FileSink::SyncAndClose() {
  if (const arrow::Status flushed = Close(); !flushed.ok()) return *error_;
  WEIR_TRY(file_->Sync());
  file_.reset();
  return {};
}

arrow::Result<int64_t> FileSource::ReadAt(int64_t position, int64_t size, void* out) {
  if (file_ == nullptr) return arrow::Status::Invalid("read after close");
  Result<size_t> got = file_->ReadAt(static_cast<uint64_t>(position),
                                     static_cast<size_t>(size), static_cast<char*>(out));
  if (!got.ok()) {
    if (!error_) error_ = got.error();
    return ToArrowStatus(got.error());
  }
  return static_cast<int64_t>(*got);
}

arrow::Result<std::shared_ptr<arrow::Buffer>> FileSource::ReadAt(int64_t position,
                                                                 int64_t size) {
  ARROW_ASSIGN_OR_RAISE(std::unique_ptr<arrow::ResizableBuffer> buffer,
                        arrow::AllocateResizableBuffer(size));
  ARROW_ASSIGN_OR_RAISE(const int64_t got,
                        ReadAt(position, size, buffer->mutable_data()));
  if (got < size) ARROW_RETURN_NOT_OK(buffer->Resize(got));
  return std::shared_ptr<arrow::Buffer>(std::move(buffer));
}

arrow::Result<int64_t> FileSource::Read(int64_t size, void* out) {
  ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(position_, size, out));
  position_ += got;
  return got;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> FileSource::Read(int64_t size) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> buffer, ReadAt(position_, size));
  position_ += buffer->size();
  return buffer;
}

arrow::Status FileSource::Seek(int64_t position) {
  if (position < 0 || position > size_)
    return arrow::Status::Invalid("seek beyond the end");
  position_ = position;
  return arrow::Status::OK();
}

arrow::Status FileSource::Close() {
  file_.reset();
  return arrow::Status::OK();
}

}  // namespace weir::codec
