// For tests: another Io, with a list of the operations that change its files.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "io/io.h"

namespace weir::state {

class RecordingIo final : public io::Io {
 public:
  explicit RecordingIo(io::Io& io) : io_(io) {}

  // "append state/rocks/000009.sst 1024", in order.
  std::vector<std::string> operations;

  Result<std::unique_ptr<io::File>> Open(const std::string& path,
                                         io::OpenMode mode) override {
    if (mode != io::OpenMode::kRead) Record("open " + path);
    return std::unique_ptr<io::File>(
        new RecordingFile(*this, path, WEIR_TRY(io_.Open(path, mode))));
  }
  Status Rename(const std::string& from, const std::string& to) override {
    Record("rename " + from + " " + to);
    return io_.Rename(from, to);
  }
  Status Link(const std::string& from, const std::string& to) override {
    Record("link " + from + " " + to);
    return io_.Link(from, to);
  }
  Status Remove(const std::string& path) override {
    Record("remove " + path);
    return io_.Remove(path);
  }
  Status CreateDirs(const std::string& path) override {
    Record("create " + path);
    return io_.CreateDirs(path);
  }
  Status SyncDir(const std::string& path) override {
    Record("syncdir " + path);
    return io_.SyncDir(path);
  }
  Result<std::vector<std::string>> List(const std::string& dir) override {
    return io_.List(dir);
  }
  Result<io::FileInfo> Stat(const std::string& path) override { return io_.Stat(path); }

 private:
  class RecordingFile final : public io::File {
   public:
    RecordingFile(RecordingIo& owner, std::string name, std::unique_ptr<io::File> file)
        : owner_(owner), name_(std::move(name)), file_(std::move(file)) {}
    Result<size_t> ReadAt(uint64_t offset, size_t size, char* out) override {
      return file_->ReadAt(offset, size, out);
    }
    Status WriteAt(uint64_t offset, std::string_view bytes) override {
      owner_.Record("write " + name_ + " " + std::to_string(bytes.size()));
      return file_->WriteAt(offset, bytes);
    }
    Status Append(std::string_view bytes) override {
      owner_.Record("append " + name_ + " " + std::to_string(bytes.size()));
      return file_->Append(bytes);
    }
    Status Truncate(uint64_t size) override {
      owner_.Record("truncate " + name_);
      return file_->Truncate(size);
    }
    Result<uint64_t> Size() override { return file_->Size(); }
    Status Sync() override {
      owner_.Record("sync " + name_);
      return file_->Sync();
    }
    Status LockRange(LockKind kind, uint64_t offset, uint64_t size) override {
      return file_->LockRange(kind, offset, size);
    }
    Result<bool> IsLockedByOther(uint64_t offset, uint64_t size) override {
      return file_->IsLockedByOther(offset, size);
    }

   private:
    RecordingIo& owner_;
    const std::string name_;
    const std::unique_ptr<io::File> file_;
  };

  // RocksDB writes from its own thread too.
  void Record(std::string operation) {
    std::lock_guard lock(mutex_);
    operations.push_back(std::move(operation));
  }

  io::Io& io_;
  std::mutex mutex_;
};

}  // namespace weir::state
