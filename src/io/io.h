// Every durable byte goes through this interface: the real file system, or SimIo, which
// keeps files in memory and cuts the power where a test wants it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir::io {

enum class OpenMode : uint8_t {
  kRead,       // must exist; kNotFound else
  kReadWrite,  // must exist
  kCreate,     // read and write; made empty when missing
  kCreateNew,  // read and write; kConflict when it exists. File names are never used
               // twice.
};

// One open file. Used by one thread at a time, except ReadAt, which any number may call.
// After a failed Sync() the contents are unknown: the file is dead and every later call
// fails.
class File {
 public:
  virtual ~File() = default;

  // Reads up to `size` bytes at `offset` into `out`; fewer only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, size_t size, char* out) = 0;
  virtual Status WriteAt(uint64_t offset, std::string_view bytes) = 0;
  // Writes at the end.
  virtual Status Append(std::string_view bytes) = 0;
  virtual Status Truncate(uint64_t size) = 0;
  virtual Result<uint64_t> Size() = 0;
  // Returns once the contents survive a power cut. A new file's *name* survives only
  // after Io::SyncDir of its folder.
  virtual Status Sync() = 0;

  // Advisory byte-range locks for files that other programs open too (catalog.db).
  // kConflict: somebody else holds it.
  enum class LockKind : uint8_t { kShared, kExclusive, kNone };
  virtual Status LockRange(LockKind kind, uint64_t offset, uint64_t size) = 0;
  // Whether another holder has any lock that conflicts with an exclusive lock on the
  // range.
  virtual Result<bool> IsLockedByOther(uint64_t offset, uint64_t size) = 0;
};

struct FileInfo {
  bool is_dir = false;
  bool is_regular = false;  // false for a FIFO, a socket, a device
  uint64_t size = 0;
  Micros modified = 0;
};

// Paths are absolute or relative to the working directory. Safe for concurrent use.
// Errors: kNotFound, kConflict (exists already), kInvalid (a directory where a file is
// expected, permissions), kUnavailable (disk full, no descriptors left: nothing was lost,
// try again when there is room).
class Io {
 public:
  virtual ~Io() = default;

  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // Replaces `to` atomically. Durable only after SyncDir of the folder(s).
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Gives a file a second name; durable after SyncDir of its folder. kConflict: `to` is
  // taken; kInvalid: this file system cannot.
  virtual Status Link(const std::string& from, const std::string& to) = 0;
  // A file, or an empty folder; kNotFound if missing.
  virtual Status Remove(const std::string& path) = 0;
  // With parents, each made durable; fine if it exists.
  virtual Status CreateDirs(const std::string& path) = 0;
  // Makes created, renamed and removed names durable.
  virtual Status SyncDir(const std::string& path) = 0;
  // Names, sorted; kNotFound.
  virtual Result<std::vector<std::string>> List(const std::string& dir) = 0;
  virtual Result<FileInfo> Stat(const std::string& path) = 0;  // kNotFound

  // Whole-file conveniences over the above.
  Result<std::string> ReadAll(const std::string& path);
  // Writes a new file of this name, synced; the folder is not. kConflict if it exists.
  Status WriteNew(const std::string& path, std::string_view bytes);
  // Replaces `path` by way of PATH.tmp, durably, folder included. One caller per path at
  // a time.
  Status ReplaceAtomically(const std::string& path, std::string_view bytes);
  bool Exists(const std::string& path);
};

// The machine's file system. `trace_path`, if not empty, gets one line per change, fields
// separated by tabs ("write PATH BYTES", truncate, sync, syncdir, mkdir, rename, link,
// remove), for the test that compares it with a system call trace.
std::unique_ptr<Io> NewPosixIo(const std::string& trace_path = "");

// "a/b" + "c" -> "a/b/c"
std::string Join(std::string_view dir, std::string_view name);
std::string_view BaseName(std::string_view path);  // "a/b/c" -> "c"
std::string_view DirName(std::string_view path);   // "a/b/c" -> "a/b", "c" -> "."

}  // namespace weir::io
