// For tests: another Io whose caller is stopped before one of its calls, while somebody
// else works on the same files, and then goes on: what SIGSTOP and SIGCONT do to a
// process.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/io.h"

namespace weir::io {

class HookedIo final : public Io {
 public:
  // Before call number `at` (counted from 0, reads too) `hook` runs, once.
  HookedIo(Io& io, uint64_t at, std::function<void()> hook)
      : io_(io), at_(at), hook_(std::move(hook)) {}

  uint64_t calls() const { return calls_; }
  std::string stopped_before() const { return stopped_before_; }

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    Call("open", path);
    return std::unique_ptr<File>(
        std::make_unique<HookedFile>(*this, path, WEIR_TRY(io_.Open(path, mode))));
  }
  Status Rename(const std::string& from, const std::string& to) override {
    Call("rename", from);
    return io_.Rename(from, to);
  }
  Status Link(const std::string& from, const std::string& to) override {
    Call("link", from);
    return io_.Link(from, to);
  }
  Status Remove(const std::string& path) override {
    Call("remove", path);
    return io_.Remove(path);
  }
  Status CreateDirs(const std::string& path) override {
    Call("mkdir", path);
    return io_.CreateDirs(path);
  }
  Status SyncDir(const std::string& path) override {
    Call("syncdir", path);
    return io_.SyncDir(path);
  }
  Result<std::vector<std::string>> List(const std::string& dir) override {
    Call("list", dir);
    return io_.List(dir);
  }
  Result<FileInfo> Stat(const std::string& path) override {
    Call("stat", path);
    return io_.Stat(path);
  }

 private:
  class HookedFile final : public File {
   public:
    HookedFile(HookedIo& owner, std::string path, std::unique_ptr<File> file)
        : owner_(owner), path_(std::move(path)), file_(std::move(file)) {}
    Result<size_t> ReadAt(uint64_t offset, size_t size, char* out) override {
      owner_.Call("read", path_);
      return file_->ReadAt(offset, size, out);
    }
    Status WriteAt(uint64_t offset, std::string_view bytes) override {
      owner_.Call("write", path_);
      return file_->WriteAt(offset, bytes);
    }
    Status Append(std::string_view bytes) override {
      owner_.Call("append", path_);
      return file_->Append(bytes);
    }
    Status Truncate(uint64_t size) override {
      owner_.Call("truncate", path_);
      return file_->Truncate(size);
    }
    Result<uint64_t> Size() override { return file_->Size(); }
    Status Sync() override {
      owner_.Call("sync", path_);
      return file_->Sync();
    }
    Status LockRange(LockKind kind, uint64_t offset, uint64_t size) override {
      owner_.Call("lock", path_);
      return file_->LockRange(kind, offset, size);
    }
    Result<bool> IsLockedByOther(uint64_t offset, uint64_t size) override {
      return file_->IsLockedByOther(offset, size);
    }

   private:
    HookedIo& owner_;
    const std::string path_;
    const std::unique_ptr<File> file_;
  };

  void Call(const char* what, const std::string& path) {
    if (calls_.fetch_add(1) != at_) return;
    stopped_before_ = std::string(what) + " " + path;
    hook_();
  }

  Io& io_;
  const uint64_t at_;
  const std::function<void()> hook_;
  std::atomic<uint64_t> calls_{0};
  std::string stopped_before_;
};

}  // namespace weir::io
