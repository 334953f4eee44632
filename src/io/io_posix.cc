#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "io/io.h"

namespace weir::io {
namespace {

Code CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return Code::kConflict;
    case EACCES:
    case EPERM:
    case EROFS:
    case EISDIR:
    case ENOTDIR:
    case EINVAL:
    case EBADF:
    case EXDEV:
    case EMLINK:
    case EOPNOTSUPP:
    case EFBIG:
    case ELOOP:
    case ENXIO:
    case ENAMETOOLONG:
      return Code::kInvalid;
    default:
      return Code::kUnavailable;  // ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EBUSY, EIO …
  }
}

// "rename /a: No space left on device", from errno.
Error ErrnoError(std::string_view doing, std::string_view path) {
  const int error = errno;
  char buffer[128];
  return {CodeOf(error), fmt::format("{} {}: {}", doing, path,
                                     strerror_r(error, buffer, sizeof(buffer)))};
}

template <class Call>
auto Retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// One line per change that reached the kernel, fields separated by tabs.
class Trace {
 public:
  explicit Trace(const std::string& path) {
    if (path.empty()) return;
    fd_ = Retried([&] {
      return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    });
    WEIR_CHECK(fd_ >= 0);
  }
  ~Trace() {
    if (fd_ >= 0) close(fd_);
  }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  template <class... Fields>
  void Line(std::string_view verb, const Fields&... fields) {
    if (fd_ < 0) return;
    std::string line(verb);
    ((line += fmt::format("\t{}", fields)), ...);
    line += '\n';
    // O_APPEND: lines of several threads do not mix. A trace that loses a line fails its
    // test.
    (void)!write(fd_, line.data(), line.size());
  }

 private:
  int fd_ = -1;
};

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path, std::shared_ptr<Trace> trace)
      : fd_(fd), path_(std::move(path)), trace_(std::move(trace)) {}
  ~PosixFile() override { close(fd_); }

  Result<size_t> ReadAt(uint64_t offset, size_t size, char* out) override {
    WEIR_TRY(CheckAlive());
    size_t done = 0;
    while (done < size) {
      const ssize_t n =
          Retried([&] { return pread(fd_, out + done, size - done, offset + done); });
      if (n < 0) return ErrnoError("read", path_);
      if (n == 0) break;
      done += n;
    }
    return done;
  }

  Status WriteAt(uint64_t offset, std::string_view bytes) override {
    WEIR_TRY(CheckAlive());
    while (!bytes.empty()) {
      const ssize_t n =
          Retried([&] { return pwrite(fd_, bytes.data(), bytes.size(), offset); });
      if (n < 0) return ErrnoError("write", path_);
      trace_->Line("write", path_, n);
      bytes.remove_prefix(n);
      offset += n;
    }
    return {};
  }

  Status Append(std::string_view bytes) override {
    const uint64_t end = WEIR_TRY(Size());
    const Status written = WriteAt(end, bytes);
    if (written.ok()) return {};
    // A part may stand there now (disk full); without cutting it off, the next attempt
    // would come after it.
    const Status cut = Truncate(end);
    if (!cut.ok()) dead_ = true;
    return written;
  }

  Status Truncate(uint64_t size) override {
    WEIR_TRY(CheckAlive());
    if (Retried([&] { return ftruncate(fd_, size); }) < 0)
      return ErrnoError("truncate", path_);
    trace_->Line("truncate", path_, size);
    return {};
  }

  Result<uint64_t> Size() override {
    WEIR_TRY(CheckAlive());
    struct stat st;
    if (fstat(fd_, &st) < 0) return ErrnoError("stat", path_);
    return static_cast<uint64_t>(st.st_size);
  }

  Status Sync() override {
    WEIR_TRY(CheckAlive());
    // Not retried, EINTR neither: the kernel may have dropped the dirty pages and would
    // call the second attempt a success.
    if (fdatasync(fd_) < 0) {
      dead_ = true;
      Error error = ErrnoError("sync", path_);
      error.code = Code::kUnavailable;
      return error;
    }
    trace_->Line("sync", path_);
    return {};
  }

  Status LockRange(LockKind kind, uint64_t offset, uint64_t size) override {
    WEIR_TRY(CheckAlive());
    struct flock lock = Range(offset, size);
    lock.l_type = kind == LockKind::kShared      ? F_RDLCK
                  : kind == LockKind::kExclusive ? F_WRLCK
                                                 : F_UNLCK;
    if (Retried([&] { return fcntl(fd_, F_OFD_SETLK, &lock); }) == 0) return {};
    if (errno == EAGAIN || errno == EACCES)
      return Conflict(fmt::format("lock {}: somebody else holds it", path_));
    return ErrnoError("lock", path_);
  }

  Result<bool> IsLockedByOther(uint64_t offset, uint64_t size) override {
    WEIR_TRY(CheckAlive());
    struct flock lock = Range(offset, size);
    lock.l_type = F_WRLCK;
    if (Retried([&] { return fcntl(fd_, F_OFD_GETLK, &lock); }) < 0)
      return ErrnoError("look for locks of", path_);
    return lock.l_type != F_UNLCK;
  }

 private:
  static struct flock Range(uint64_t offset, uint64_t size) {
    struct flock lock = {};
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(offset);
    lock.l_len = static_cast<off_t>(size);
    return lock;
  }

  Status CheckAlive() const {
    if (dead_)
      return Unavailable(
          fmt::format("{}: an earlier sync failed, so its contents are unknown", path_));
    return {};
  }

  const int fd_;
  const std::string path_;
  const std::shared_ptr<Trace> trace_;
  std::atomic<bool> dead_{false};
};

class PosixIo final : public Io {
 public:
  explicit PosixIo(const std::string& trace_path)
      : trace_(std::make_shared<Trace>(trace_path)) {}

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    // O_NONBLOCK: opening a FIFO must not wait for somebody at its other end.
    int flags = O_CLOEXEC | O_NONBLOCK | (mode == OpenMode::kRead ? O_RDONLY : O_RDWR);
    if (mode == OpenMode::kCreate) flags |= O_CREAT;
    if (mode == OpenMode::kCreateNew) flags |= O_CREAT | O_EXCL;
    const int fd = Retried([&] { return open(path.c_str(), flags, 0644); });
    if (fd < 0) return ErrnoError("open", path);
    auto file = std::make_unique<PosixFile>(fd, path, trace_);
    struct stat st;
    if (fstat(fd, &st) < 0) return ErrnoError("stat", path);
    if (S_ISDIR(st.st_mode))
      return Invalid(fmt::format("open {}: it is a folder, not a file", path));
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) {
      return Invalid(fmt::format("open {}: it is a pipe or a socket, not a file", path));
    }
    return std::unique_ptr<File>(std::move(file));
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) < 0)
      return ErrnoError("rename", fmt::format("{} to {}", from, to));
    trace_->Line("rename", from, to);
    return {};
  }

  Status Link(const std::string& from, const std::string& to) override {
    if (link(from.c_str(), to.c_str()) < 0)
      return ErrnoError("link", fmt::format("{} as {}", from, to));
    trace_->Line("link", from, to);
    return {};
  }

  Status Remove(const std::string& path) override {
    int result = unlink(path.c_str());
    if (result < 0 && errno == EISDIR) result = rmdir(path.c_str());
    if (result < 0) return ErrnoError("remove", path);
    trace_->Line("remove", path);
    return {};
  }

  // The deepest folder that is already there may have been made a moment ago, by another
  // thread or by a process that died before it synced the parent: its name is synced too.
  // Those above it are durable, since every level is synced before the next is made.
  Status CreateDirs(const std::string& path) override {
    struct stat st;
    if (stat(path.c_str(), &st) == 0) {
      if (!S_ISDIR(st.st_mode))
        return Invalid(
            fmt::format("create folder {}: a file of that name is there", path));
      return SyncParentIfOurs(path);
    }
    if (errno != ENOENT) return ErrnoError("create folder", path);
    const std::string parent(DirName(path));
    WEIR_TRY(CreateDirs(parent));
    if (mkdir(path.c_str(), 0755) == 0) {
      trace_->Line("mkdir", path);
    } else if (errno != EEXIST) {  // another thread's, then
      return ErrnoError("create folder", path);
    }
    return SyncDir(parent);
  }

  Status SyncDir(const std::string& path) override {
    const int fd =
        Retried([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return ErrnoError("sync folder", path);
    const int result = fsync(fd);
    const Error error = result < 0 ? ErrnoError("sync folder", path) : Error{};
    close(fd);
    if (result < 0) return Unavailable(error.message);
    trace_->Line("syncdir", path);
    return {};
  }

  Result<std::vector<std::string>> List(const std::string& dir) override {
    DIR* stream = opendir(dir.c_str());
    if (stream == nullptr) return ErrnoError("list", dir);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const bool failed = errno != 0;
    const Error error = failed ? ErrnoError("list", dir) : Error{};
    closedir(stream);
    if (failed) return error;
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<FileInfo> Stat(const std::string& path) override {
    struct stat st;
    if (stat(path.c_str(), &st) < 0) return ErrnoError("stat", path);
    return FileInfo{
        .is_dir = S_ISDIR(st.st_mode),
        .is_regular = S_ISREG(st.st_mode),
        .size = static_cast<uint64_t>(st.st_size),
        .modified = st.st_mtim.tv_sec * 1'000'000LL + st.st_mtim.tv_nsec / 1000};
  }

 private:
  // A parent that we may not read (/home) holds a folder that somebody else made for us.
  Status SyncParentIfOurs(const std::string& path) {
    const Status synced = SyncDir(std::string(DirName(path)));
    if (!synced.ok() && synced.error().code == Code::kInvalid) return {};
    return synced;
  }

  const std::shared_ptr<Trace> trace_;
};

}  // namespace

std::unique_ptr<Io> NewPosixIo(const std::string& trace_path) {
  return std::make_unique<PosixIo>(trace_path);
}

}  // namespace weir::io
