#include "state/rocks_file_system_internal.h"

#include <rocksdb/system_clock.h>

#include <condition_variable>

namespace weir::state {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus ToRocks(const Error& error) {
  switch (error.code) {
    case Code::kNotFound:
      return IOStatus::PathNotFound(error.message);
    case Code::kInvalid:
      return IOStatus::InvalidArgument(error.message);
    case Code::kCorrupt:
      return IOStatus::Corruption(error.message);
    default:
      return IOStatus::IOError(error.message);
  }
}

IOStatus ToRocks(const Status& status) {
  return status.ok() ? IOStatus::OK() : ToRocks(status.error());
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<io::File> file) : file_(std::move(file)) {}

  IOStatus Read(size_t size, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    auto read = file_->ReadAt(position_, size, scratch);
    if (!read.ok()) return ToRocks(read.error());
    position_ += *read;
    *result = {scratch, *read};
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t size) override {
    position_ += size;
    return IOStatus::OK();
  }

 private:
  const std::unique_ptr<io::File> file_;
  uint64_t position_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessFile(std::unique_ptr<io::File> file) : file_(std::move(file)) {}

  IOStatus Read(uint64_t offset, size_t size, const IOOptions&, Slice* result,
                char* scratch, IODebugContext*) const override {
    auto read = file_->ReadAt(offset, size, scratch);
    if (!read.ok()) return ToRocks(read.error());
    *result = {scratch, *read};
    return IOStatus::OK();
  }

 private:
  const std::unique_ptr<io::File> file_;
};

// RocksDB buffers above this, so an append here is one operation of io.
class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(std::unique_ptr<io::File> file, uint64_t size)
      : file_(std::move(file)), size_(size) {}

  using FSWritableFile::Append;
  IOStatus Append(const Slice& bytes, const IOOptions&, IODebugContext*) override {
    size_ += bytes.size();
    return ToRocks(file_->Append({bytes.data(), bytes.size()}));
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    if (size == size_) return IOStatus::OK();
    size_ = size;
    return ToRocks(file_->Truncate(size));
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    file_.reset();
    return IOStatus::OK();
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    return ToRocks(file_->Sync());
  }
  bool IsSyncThreadSafe() const override { return false; }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  std::unique_ptr<io::File> file_;
  uint64_t size_;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(io::Io& io, std::string path) : io_(io), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return ToRocks(io_.SyncDir(path_));
  }

 private:
  io::Io& io_;
  const std::string path_;
};

// Files carry no wall time, and a background job that failed does not sleep before it
// gives up.
class StillClock final : public rocksdb::SystemClockWrapper {
 public:
  using SystemClockWrapper::SystemClockWrapper;
  const char* Name() const override { return "weir.StillClock"; }
  void SleepForMicroseconds(int) override {}
  rocksdb::Status GetCurrentTime(int64_t* seconds) override {
    *seconds = 0;
    return rocksdb::Status::OK();
  }
};

class NoLock final : public rocksdb::FileLock {};

class RocksFileSystem final : public rocksdb::FileSystem {
 public:
  explicit RocksFileSystem(io::Io& io) : io_(io) {}

  const char* Name() const override { return "weir.RocksFileSystem"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override {
    auto file = io_.Open(path, io::OpenMode::kRead);
    if (!file.ok()) return ToRocks(file.error());
    *result = std::make_unique<SequentialFile>(*std::move(file));
    return IOStatus::OK();
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override {
    auto file = io_.Open(path, io::OpenMode::kRead);
    if (!file.ok()) return ToRocks(file.error());
    *result = std::make_unique<RandomAccessFile>(*std::move(file));
    return IOStatus::OK();
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override {
    return OpenWritable(path, true, result);
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions&,
                              std::unique_ptr<rocksdb::FSWritableFile>* result,
                              IODebugContext*) override {
    return OpenWritable(path, false, result);
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext*) override {
    *result = std::make_unique<Directory>(io_, path);
    return IOStatus::OK();
  }
  IOStatus FileExists(const std::string& path, const IOOptions&,
                      IODebugContext*) override {
    auto info = io_.Stat(path);
    if (info.ok()) return IOStatus::OK();
    return info.error().code == Code::kNotFound ? IOStatus::NotFound(path)
                                                : ToRocks(info.error());
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&,
                       std::vector<std::string>* result, IODebugContext*) override {
    auto names = io_.List(path);
    if (!names.ok()) return ToRocks(names.error());
    *result = *std::move(names);
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&,
                      IODebugContext*) override {
    return ToRocks(io_.Remove(path));
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&,
                     IODebugContext*) override {
    return ToRocks(io_.CreateDirs(path));
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&,
                              IODebugContext*) override {
    return ToRocks(io_.CreateDirs(path));
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&,
                     IODebugContext*) override {
    return ToRocks(io_.Remove(path));
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, uint64_t* size,
                       IODebugContext*) override {
    auto info = io_.Stat(path);
    if (!info.ok()) return ToRocks(info.error());
    *size = info->size;
    return IOStatus::OK();
  }
  IOStatus GetFileModificationTime(const std::string& path, const IOOptions&,
                                   uint64_t* seconds, IODebugContext*) override {
    auto info = io_.Stat(path);
    if (!info.ok()) return ToRocks(info.error());
    *seconds = static_cast<uint64_t>(info->modified / 1'000'000);
    return IOStatus::OK();
  }
  // A rename here publishes (CURRENT names a manifest): the names it speaks of must be
  // durable first, which RocksDB leaves to chance for the first manifest of a new store.
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    if (Status synced = io_.SyncDir(std::string(io::DirName(from))); !synced.ok())
      return ToRocks(synced);
    return ToRocks(io_.Rename(from, to));
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions&,
                    IODebugContext*) override {
    const Status linked = io_.Link(from, to);
    // RocksDB copies where there are no links.
    if (!linked.ok() && linked.error().code == Code::kInvalid)
      return IOStatus::NotSupported(to);
    return ToRocks(linked);
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_dir,
                       IODebugContext*) override {
    auto info = io_.Stat(path);
    if (!info.ok()) return ToRocks(info.error());
    *is_dir = info->is_dir;
    return IOStatus::OK();
  }
  IOStatus LockFile(const std::string&, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    *lock = new NoLock;
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&,
                      IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) override {
    return IOStatus::NotSupported();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* result,
                           IODebugContext*) override {
    *result = path;
    return IOStatus::OK();
  }

 private:
  IOStatus OpenWritable(const std::string& path, bool empty,
                        std::unique_ptr<rocksdb::FSWritableFile>* result) {
    auto file = io_.Open(path, io::OpenMode::kCreate);
    if (!file.ok()) return ToRocks(file.error());
    auto size = (*file)->Size();
    if (!size.ok()) return ToRocks(size.error());
    if (empty && *size > 0) {
      if (Status cut = (*file)->Truncate(0); !cut.ok()) return ToRocks(cut.error());
      size = 0;
    }
    *result = std::make_unique<WritableFile>(*std::move(file), *size);
    return IOStatus::OK();
  }

  io::Io& io_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> NewRocksFileSystem(io::Io& io) {
  return std::make_shared<RocksFileSystem>(io);
}

struct SerialEnv::Queue {
  struct Job {
    void (*function)(void*);
    void* argument;
    void* tag;
    void (*unschedule)(void*);
  };

  void Run() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return closed || !jobs.empty(); });
      if (jobs.empty()) return;
      const Job job = jobs.front();
      jobs.pop_front();
      running = true;
      lock.unlock();
      job.function(job.argument);
      lock.lock();
      running = false;
      changed.notify_all();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job> jobs;
  bool running = false, closed = false;
  std::thread thread;
};

SerialEnv::SerialEnv(const std::shared_ptr<rocksdb::FileSystem>& fs)
    : EnvWrapper(rocksdb::NewCompositeEnv(fs)), queue_(std::make_unique<Queue>()) {
  system_clock_ = std::make_shared<StillClock>(system_clock_);
  queue_->thread = std::thread([queue = queue_.get()] { queue->Run(); });
}

SerialEnv::~SerialEnv() {
  {
    std::lock_guard lock(queue_->mutex);
    queue_->closed = true;
    queue_->changed.notify_all();
  }
  queue_->thread.join();
}

void SerialEnv::Schedule(void (*function)(void*), void* argument, Priority, void* tag,
                         void (*unschedule)(void*)) {
  std::lock_guard lock(queue_->mutex);
  queue_->jobs.push_back({function, argument, tag, unschedule});
  queue_->changed.notify_all();
}

int SerialEnv::UnSchedule(void* tag, Priority) {
  std::deque<Queue::Job> removed;
  {
    std::lock_guard lock(queue_->mutex);
    std::deque<Queue::Job> kept;
    for (const auto& job : queue_->jobs) (job.tag == tag ? removed : kept).push_back(job);
    queue_->jobs = std::move(kept);
    queue_->changed.notify_all();
  }
  for (const auto& job : removed) {
    if (job.unschedule != nullptr) job.unschedule(job.argument);
  }
  return static_cast<int>(removed.size());
}

unsigned int SerialEnv::GetThreadPoolQueueLen(Priority) const {
  std::lock_guard lock(queue_->mutex);
  return static_cast<unsigned>(queue_->jobs.size());
}

// The same for every run: the identity only names a store to people, and a run must not
// depend on chance.
std::string SerialEnv::GenerateUniqueId() {
  return "00000000-0000-4000-8000-000000000000";
}

void SerialEnv::WaitUntilIdle() {
  std::unique_lock lock(queue_->mutex);
  queue_->changed.wait(lock, [&] { return queue_->jobs.empty() && !queue_->running; });
}

}  // namespace weir::state
