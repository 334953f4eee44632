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
  position_ += size;
  if (buffer_.size() + bytes.size() <= kBufferBytes) {
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
  if (!got.ok()) return ToArrowStatus(got.error());
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
