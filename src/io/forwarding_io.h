// For tests: an Io that hands every call to another one. What is to be different is
// overridden.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/io.h"

namespace weir::io {

class ForwardingIo : public Io {
 public:
  explicit ForwardingIo(Io& io) : io_(io) {}

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    return io_.Open(path, mode);
  }
  Status Rename(const std::string& from, const std::string& to) override {
    return io_.Rename(from, to);
  }
  Status Link(const std::string& from, const std::string& to) override {
    return io_.Link(from, to);
  }
  Status Remove(const std::string& path) override { return io_.Remove(path); }
  Status CreateDirs(const std::string& path) override { return io_.CreateDirs(path); }
  Status SyncDir(const std::string& path) override { return io_.SyncDir(path); }
  Result<std::vector<std::string>> List(const std::string& dir) override {
    return io_.List(dir);
  }
  Result<FileInfo> Stat(const std::string& path) override { return io_.Stat(path); }

 private:
  Io& io_;
};

}  // namespace weir::io
