// For tests: a folder of the real file system, gone with its object.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

namespace weir::io {

class TempFolder {
 public:
  // Its own for each object and process. Throws std::filesystem::filesystem_error when
  // none can be made.
  TempFolder() {
    static std::atomic<int> next{0};
    const auto parent = std::filesystem::temp_directory_path();
    do {
      path_ =
          parent / ("weir-" + std::to_string(getpid()) + "-" + std::to_string(next++));
    } while (!std::filesystem::create_directory(path_));
  }
  ~TempFolder() {
    std::error_code ignored;  // it is the system's temporary folder
    if (!kept_) std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  // It stays, for whoever looks into a failure.
  void Keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

}  // namespace weir::io
