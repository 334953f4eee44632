// A file that is written front to back and is there only when it is whole.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "io/io.h"

namespace weir::generate {

// Appends to a file under a temporary name, which readers of the folder leave alone,
// until Finish.
class OutputFile {
 public:
  // kConflict when the file is there already. Its folder is made when missing.
  static Result<OutputFile> Open(io::Io& io, const std::string& path);
  // What is to be written; FlushIfFull takes it away when it has grown large.
  std::string& buffer() { return buffer_; }
  Status FlushIfFull();
  Status WriteLine(std::string_view line) {
    buffer_.append(line).push_back('\n');
    return FlushIfFull();
  }
  Result<int64_t> Finish();  // the bytes written

 private:
  OutputFile(io::Io& io, std::string path, std::unique_ptr<io::File> file);
  Status Flush();

  io::Io* io_;
  std::string path_;
  std::unique_ptr<io::File> file_;
  std::string buffer_;
  int64_t bytes_ = 0;
};

}  // namespace weir::generate
