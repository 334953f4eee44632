#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "duck/spill_folder_internal.h"

namespace weir::duck {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "duck-";

// A descriptor that holds the lock on a folder; -1: somebody else has it, or it is gone.
int Lock(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  struct stat info {};
  // It may have been removed between the two calls: then the lock is on nothing.
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &info) == 0 && info.st_nlink > 0)
    return fd;
  ::close(fd);
  return -1;
}

void RemoveWithoutOwner(const std::string& parent) {
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end;
       at.increment(error)) {
    const std::string path = at->path().string();
    if (!at->path().filename().string().starts_with(kPrefix)) continue;
    const int lock = Lock(path);
    if (lock < 0) continue;
    std::error_code ignored;
    fs::remove_all(path, ignored);
    ::close(lock);
  }
}

}  // namespace

SpillFolder::SpillFolder(const std::string& parent) {
  if (parent.empty()) return;
  std::error_code error;
  fs::create_directories(parent, error);
  RemoveWithoutOwner(parent);
  std::random_device random;
  // Somebody who looks for folders without owner may take one away right after it was
  // made: then another is.
  for (int i = 0; i < 100 && lock_ < 0; ++i) {
    path_ = fmt::format("{}/{}{:08x}{:08x}", parent, kPrefix, random(), random());
    if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) return;
    lock_ = Lock(path_);
  }
}

SpillFolder::~SpillFolder() {
  if (lock_ < 0) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  ::close(lock_);
}

}  // namespace weir::duck
