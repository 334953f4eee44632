#include "io/sqlite_vfs.h"

#include <sqlite3.h>

#include <new>

#include "base/guarded.h"

namespace weir::io {
namespace {

// The byte ranges that SQLite's own VFS locks (its file format's "lock-byte page").
constexpr uint64_t kPendingByte = 0x40000000;
constexpr uint64_t kReservedByte = kPendingByte + 1;
constexpr uint64_t kSharedFirst = kPendingByte + 2;
constexpr uint64_t kSharedSize = 510;

constexpr int kPathBytesMax = 4096;
constexpr int kSectorBytes = 4096;
constexpr int kJournals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;

thread_local std::string last_error;

// `failure` is the SQLite code for this kind of call.
int Report(const Error& error, int failure) {
  last_error = error.message;
  return failure;
}
int ToSqlite(const Status& status, int failure) {
  return status.ok() ? SQLITE_OK : Report(status.error(), failure);
}

// Sorting and statement journals: gone at close, never shared, never durable.
class MemoryFile final : public File {
 public:
  Result<size_t> ReadAt(uint64_t offset, size_t size, char* out) override {
    if (offset >= bytes_.size()) return size_t{0};
    return bytes_.copy(out, size, offset);
  }
  Status WriteAt(uint64_t offset, std::string_view bytes) override {
    if (bytes_.size() < offset + bytes.size()) bytes_.resize(offset + bytes.size());
    bytes.copy(bytes_.data() + offset, bytes.size());
    return {};
  }
  Status Append(std::string_view bytes) override { return WriteAt(bytes_.size(), bytes); }
  Status Truncate(uint64_t size) override {
    bytes_.resize(size);
    return {};
  }
  Result<uint64_t> Size() override { return static_cast<uint64_t>(bytes_.size()); }
  Status Sync() override { return {}; }
  Status LockRange(LockKind, uint64_t, uint64_t) override { return {}; }
  Result<bool> IsLockedByOther(uint64_t, uint64_t) override { return false; }

 private:
  std::string bytes_;
};

// What SQLite hands back at every call; lives in memory that SQLite allocates.
struct VfsFile {
  sqlite3_file base;  // first, as SQLite sees only this
  Io* io;
  std::unique_ptr<File> file;
  std::string folder_to_sync;  // not empty: our name in this folder is not durable yet
  int level = SQLITE_LOCK_NONE;
};

VfsFile& Self(sqlite3_file* file) { return *reinterpret_cast<VfsFile*>(file); }

int Close(sqlite3_file* file) {
  Self(file).~VfsFile();
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
  const auto read = Self(file).file->ReadAt(offset, size, static_cast<char*>(out));
  if (!read.ok()) return Report(read.error(), SQLITE_IOERR_READ);
  if (*read == static_cast<size_t>(size)) return SQLITE_OK;
  std::memset(static_cast<char*>(out) + *read, 0, size - *read);
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  const Status written = Self(file).file->WriteAt(
      offset, {static_cast<const char*>(bytes), static_cast<size_t>(size)});
  if (written.ok()) return SQLITE_OK;
  return Report(written.error(), written.error().code == Code::kUnavailable
                                     ? SQLITE_FULL
                                     : SQLITE_IOERR_WRITE);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return ToSqlite(Self(file).file->Truncate(size), SQLITE_IOERR_TRUNCATE);
}

int Sync(sqlite3_file* file, int /*flags*/) {
  VfsFile& self = Self(file);
  const Status synced = self.file->Sync();
  if (!synced.ok()) return Report(synced.error(), SQLITE_IOERR_FSYNC);
  if (self.folder_to_sync.empty()) return SQLITE_OK;
  const Status folder = self.io->SyncDir(self.folder_to_sync);
  if (!folder.ok()) return Report(folder.error(), SQLITE_IOERR_DIR_FSYNC);
  self.folder_to_sync.clear();
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  const auto bytes = Self(file).file->Size();
  if (!bytes.ok()) return Report(bytes.error(), SQLITE_IOERR_FSTAT);
  *size = static_cast<sqlite3_int64>(*bytes);
  return SQLITE_OK;
}

int TakeRange(VfsFile& self, File::LockKind kind, uint64_t offset, uint64_t size) {
  const Status locked = self.file->LockRange(kind, offset, size);
  if (locked.ok()) return SQLITE_OK;
  if (locked.error().code == Code::kConflict) return SQLITE_BUSY;
  return Report(locked.error(), SQLITE_IOERR_LOCK);
}

// The pending byte is read-locked on the way, so that a writer who holds it lets no new
// reader in.
int LockShared(VfsFile& self) {
  if (const int rc = TakeRange(self, File::LockKind::kShared, kPendingByte, 1);
      rc != SQLITE_OK)
    return rc;
  const int rc = TakeRange(self, File::LockKind::kShared, kSharedFirst, kSharedSize);
  const Status freed = self.file->LockRange(File::LockKind::kNone, kPendingByte, 1);
  if (rc != SQLITE_OK) return rc;
  if (!freed.ok()) return Report(freed.error(), SQLITE_IOERR_UNLOCK);
  self.level = SQLITE_LOCK_SHARED;
  return SQLITE_OK;
}

int Lock(sqlite3_file* file, int level) {
  VfsFile& self = Self(file);
  if (self.level >= level) return SQLITE_OK;
  if (level == SQLITE_LOCK_SHARED) return LockShared(self);
  if (level == SQLITE_LOCK_RESERVED) {
    const int rc = TakeRange(self, File::LockKind::kExclusive, kReservedByte, 1);
    if (rc == SQLITE_OK) self.level = level;
    return rc;
  }
  if (self.level < SQLITE_LOCK_PENDING) {
    const int rc = TakeRange(self, File::LockKind::kExclusive, kPendingByte, 1);
    if (rc != SQLITE_OK) return rc;
    self.level = SQLITE_LOCK_PENDING;
  }
  if (level == SQLITE_LOCK_PENDING) return SQLITE_OK;
  // When readers are left the pending byte stays ours, and SQLite tries again.
  const int rc = TakeRange(self, File::LockKind::kExclusive, kSharedFirst, kSharedSize);
  if (rc == SQLITE_OK) self.level = level;
  return rc;
}

int Unlock(sqlite3_file* file, int level) {
  VfsFile& self = Self(file);
  if (self.level <= level) return SQLITE_OK;
  Status done;
  if (level == SQLITE_LOCK_SHARED) {
    // Shared first, so that there is no moment without any lock.
    done = self.file->LockRange(File::LockKind::kShared, kSharedFirst, kSharedSize);
    if (done.ok()) done = self.file->LockRange(File::LockKind::kNone, kPendingByte, 2);
  } else {
    done = self.file->LockRange(File::LockKind::kNone, kPendingByte, 2 + kSharedSize);
  }
  if (!done.ok()) return Report(done.error(), SQLITE_IOERR_UNLOCK);
  self.level = level;
  return SQLITE_OK;
}

int CheckReservedLock(sqlite3_file* file, int* is_reserved) {
  VfsFile& self = Self(file);
  if (self.level >= SQLITE_LOCK_RESERVED) {
    *is_reserved = 1;
    return SQLITE_OK;
  }
  const auto locked = self.file->IsLockedByOther(kReservedByte, 1);
  if (!locked.ok()) return Report(locked.error(), SQLITE_IOERR_CHECKRESERVEDLOCK);
  *is_reserved = *locked ? 1 : 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return kSectorBytes; }
// Nothing is promised about writes that a power cut interrupts.
int DeviceCharacteristics(sqlite3_file*) { return 0; }

constexpr sqlite3_io_methods kMethods = {.iVersion = 1,
                                         .xClose = Close,
                                         .xRead = Read,
                                         .xWrite = Write,
                                         .xTruncate = Truncate,
                                         .xSync = Sync,
                                         .xFileSize = FileSize,
                                         .xLock = Lock,
                                         .xUnlock = Unlock,
                                         .xCheckReservedLock = CheckReservedLock,
                                         .xFileControl = FileControl,
                                         .xSectorSize = SectorSize,
                                         .xDeviceCharacteristics = DeviceCharacteristics};

struct Vfs {
  sqlite3_vfs base;  // first
  Io* io;
  sqlite3_vfs* standard;  // time, randomness, sleep
  std::string name;
  int users = 1;
};

Io& IoOf(sqlite3_vfs* vfs) { return *reinterpret_cast<Vfs*>(vfs)->io; }
sqlite3_vfs* StandardOf(sqlite3_vfs* vfs) {
  return reinterpret_cast<Vfs*>(vfs)->standard;
}

OpenMode ModeOf(int flags) {
  if (flags & SQLITE_OPEN_CREATE) {
    return flags & SQLITE_OPEN_EXCLUSIVE ? OpenMode::kCreateNew : OpenMode::kCreate;
  }
  return flags & SQLITE_OPEN_READWRITE ? OpenMode::kReadWrite : OpenMode::kRead;
}

int OpenFile(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags,
             int* out_flags) {
  out->pMethods = nullptr;  // so that SQLite does not close what failed to open
  Io& io = IoOf(vfs);
  VfsFile opened{.base = {&kMethods}, .io = &io};
  if (path == nullptr || flags & SQLITE_OPEN_DELETEONCLOSE) {
    opened.file = std::make_unique<MemoryFile>();
  } else {
    const bool gets_name = flags & SQLITE_OPEN_CREATE &&
                           flags & (kJournals | SQLITE_OPEN_MAIN_DB) && !io.Exists(path);
    auto file = io.Open(path, ModeOf(flags));
    if (!file.ok() && file.error().code == Code::kInvalid &&
        flags & SQLITE_OPEN_READWRITE && io.Exists(path)) {
      flags =
          (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
      file = io.Open(path, OpenMode::kRead);
    }
    if (!file.ok()) return Report(file.error(), SQLITE_CANTOPEN);
    opened.file = *std::move(file);
    if (gets_name) opened.folder_to_sync = DirName(path);
  }
  new (out) VfsFile(std::move(opened));
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

// The removal of the journal is the moment of commit, so it is made durable whatever
// SQLite asks for.
int Delete(sqlite3_vfs* vfs, const char* path, int /*sync_dir*/) {
  const Status removed = IoOf(vfs).Remove(path);
  if (!removed.ok()) {
    if (removed.error().code == Code::kNotFound) return SQLITE_IOERR_DELETE_NOENT;
    return Report(removed.error(), SQLITE_IOERR_DELETE);
  }
  return ToSqlite(IoOf(vfs).SyncDir(std::string(DirName(path))), SQLITE_IOERR_DIR_FSYNC);
}

// An empty file counts as missing: SQLite asks for journals, and an empty one has nothing
// to roll back.
int Access(sqlite3_vfs* vfs, const char* path, int flags, int* result) {
  const auto info = IoOf(vfs).Stat(path);
  if (!info.ok() && info.error().code != Code::kNotFound)
    return Report(info.error(), SQLITE_IOERR_ACCESS);
  *result =
      info.ok() && (flags != SQLITE_ACCESS_EXISTS || !info->is_regular || info->size > 0);
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* path, int size, char* out) {
  if (std::strlen(path) >= static_cast<size_t>(size)) return SQLITE_CANTOPEN;
  std::strcpy(out, path);
  return SQLITE_OK;
}

int Randomness(sqlite3_vfs* vfs, int size, char* out) {
  return StandardOf(vfs)->xRandomness(StandardOf(vfs), size, out);
}
int Sleep(sqlite3_vfs* vfs, int micros) {
  return StandardOf(vfs)->xSleep(StandardOf(vfs), micros);
}
int CurrentTime(sqlite3_vfs* vfs, double* days) {
  return StandardOf(vfs)->xCurrentTime(StandardOf(vfs), days);
}
int CurrentTimeInt64(sqlite3_vfs* vfs, sqlite3_int64* millis) {
  return StandardOf(vfs)->xCurrentTimeInt64(StandardOf(vfs), millis);
}
int GetLastError(sqlite3_vfs*, int, char*) { return 0; }

std::unique_ptr<Vfs> NewVfs(Io& io, std::string name) {
  sqlite3_initialize();
  auto vfs = std::make_unique<Vfs>();
  vfs->io = &io;
  vfs->standard = sqlite3_vfs_find(nullptr);
  WEIR_CHECK(vfs->standard != nullptr);
  vfs->name = std::move(name);
  vfs->base = {.iVersion = 2,
               .szOsFile = sizeof(VfsFile),
               .mxPathname = kPathBytesMax,
               .zName = vfs->name.c_str(),
               .xOpen = OpenFile,
               .xDelete = Delete,
               .xAccess = Access,
               .xFullPathname = FullPathname,
               .xDlOpen = vfs->standard->xDlOpen,
               .xDlError = vfs->standard->xDlError,
               .xDlSym = vfs->standard->xDlSym,
               .xDlClose = vfs->standard->xDlClose,
               .xRandomness = Randomness,
               .xSleep = Sleep,
               .xCurrentTime = CurrentTime,
               .xGetLastError = GetLastError,
               .xCurrentTimeInt64 = CurrentTimeInt64};
  WEIR_CHECK(sqlite3_vfs_register(&vfs->base, /*makeDflt=*/0) == SQLITE_OK);
  return vfs;
}

struct Registry {
  std::unordered_map<Io*, std::unique_ptr<Vfs>> vfs_of;
  uint64_t made = 0;
};
Guarded<Registry>& TheRegistry() {
  static Guarded<Registry> registry;
  return registry;
}

}  // namespace

std::string RegisterSqliteVfs(Io& io) {
  return TheRegistry().With([&](Registry& registry) {
    std::unique_ptr<Vfs>& vfs = registry.vfs_of[&io];
    if (vfs != nullptr) {
      ++vfs->users;
    } else {
      vfs = NewVfs(io, fmt::format("weir-{}", ++registry.made));
    }
    return vfs->name;
  });
}

void UnregisterSqliteVfs(Io& io) {
  TheRegistry().With([&](Registry& registry) {
    const auto found = registry.vfs_of.find(&io);
    if (found == registry.vfs_of.end() || --found->second->users > 0) return;
    sqlite3_vfs_unregister(&found->second->base);
    registry.vfs_of.erase(found);
  });
}

std::string TakeSqliteIoError() { return std::exchange(last_error, {}); }

}  // namespace weir::io
