#include "generate/output_file.h"

#include <fmt/format.h>

namespace weir::generate {
namespace {

constexpr size_t kBufferBytes = 4 << 20;

}  // namespace

Result<OutputFile> OutputFile::Open(io::Io& io, const std::string& path) {
  if (io.Exists(path))
    return Conflict(
        fmt::format("{} is there already: remove it or choose another --out", path));
  WEIR_TRY(io.CreateDirs(std::string(io::DirName(path))));
  auto file = WEIR_TRY(io.Open(path + ".part", io::OpenMode::kCreate));
  WEIR_TRY(file->Truncate(0));
  return OutputFile(io, path, std::move(file));
}

OutputFile::OutputFile(io::Io& io, std::string path, std::unique_ptr<io::File> file)
    : io_(&io), path_(std::move(path)), file_(std::move(file)) {}

Status OutputFile::FlushIfFull() {
  if (buffer_.size() >= kBufferBytes) return Flush();
  return {};
}

Result<int64_t> OutputFile::Finish() {
  WEIR_TRY(Flush());
  file_.reset();
  WEIR_TRY(io_->Rename(path_ + ".part", path_));
  return bytes_;
}

Status OutputFile::Flush() {
  bytes_ += static_cast<int64_t>(buffer_.size());
  WEIR_TRY(file_->Append(buffer_));
  buffer_.clear();
  return {};
}

}  // namespace weir::generate
