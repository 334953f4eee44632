#include <charconv>
#include <limits>

#include "base/event.h"
#include "state/state_internal.h"

namespace weir::state {
namespace {

constexpr std::string_view kOwnerPrefix = "owner-";
constexpr std::string_view kMakingPrefix = "making-";
constexpr std::string_view kTables = ".sst";
constexpr int kTriesMax = 20;
constexpr size_t kCopyBytes = 1 << 20;

std::optional<int64_t> NumberAfter(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  int64_t number = 0;
  const auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

std::string OwnerDir(const std::string& state_dir, std::string_view prefix,
                     int64_t owner) {
  return io::Join(state_dir, fmt::format("{}{}", prefix, owner));
}

// Whether something in the state folder is of before owners were counted.
bool IsState(std::string_view name) {
  return name == kRocksDir || name == kRunsDir || name == kDamagedFile ||
         ParseDeltaName(name).has_value();
}

// Where the newest owner before `owner` kept its state; the state folder itself when that
// was before owners were counted. Empty: there is none.
struct Source {
  std::string dir;
  int64_t owner = 0;
};
Result<Source> FindSource(io::Io& io, const std::string& state_dir, int64_t owner) {
  Source source;
  for (const std::string& name : WEIR_TRY(io.List(state_dir))) {
    const int64_t number = NumberAfter(kOwnerPrefix, name).value_or(0);
    if (number > source.owner && number < owner)
      source = {io::Join(state_dir, name), number};
    if (source.owner == 0 && IsState(name)) source.dir = state_dir;
  }
  return source;
}

Status Copy(io::Io& io, const std::string& from, const std::string& to) {
  const auto in = WEIR_TRY(io.Open(from, io::OpenMode::kRead));
  const auto out = WEIR_TRY(io.Open(to, io::OpenMode::kCreateNew));
  std::string bytes(kCopyBytes, '\0');
  for (uint64_t at = 0;;) {
    const size_t read = WEIR_TRY(in->ReadAt(at, bytes.size(), bytes.data()));
    if (read == 0) break;
    WEIR_TRY(out->Append(std::string_view(bytes).substr(0, read)));
    at += read;
  }
  return out->Sync();
}

// A second name for a file that never changes; a copy where the file system has no such
// thing. One that went away meanwhile was not needed any more, or IsUnchanged tells.
Status LinkOrCopy(io::Io& io, const std::string& from, const std::string& to) {
  Status linked = io.Link(from, to);
  if (!linked.ok() && linked.error().code == Code::kInvalid) linked = Copy(io, from, to);
  if (!linked.ok() && linked.error().code == Code::kNotFound) return {};
  return linked;
}

// What says which tables a RocksDB consists of. A table file goes only after the manifest
// that is current has said that it is not needed.
struct Manifest {
  std::string current, name, bytes;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};
Result<Manifest> ReadManifest(io::Io& io, const std::string& rocks) {
  Manifest manifest;
  auto current = io.ReadAll(io::Join(rocks, "CURRENT"));
  if (!current.ok()) {
    // A store that was never completed holds nothing.
    if (current.error().code == Code::kNotFound) return manifest;
    return std::move(current).error();
  }
  manifest.current = *std::move(current);
  manifest.name = manifest.current.substr(0, manifest.current.find('\n'));
  manifest.bytes = WEIR_TRY(io.ReadAll(io::Join(rocks, manifest.name)));
  return manifest;
}

// Copies the state as it is at one moment, although its owner may be at work.
// kUnavailable: it changed on the way.
Status CopyState(io::Io& io, const std::string& from, Epoch committed,
                 const std::string& to) {
  const std::string from_rocks = io::Join(from, kRocksDir),
                    to_rocks = io::Join(to, kRocksDir);
  WEIR_TRY(RemoveTree(io, to));
  WEIR_TRY(io.CreateDirs(to_rocks));
  const Manifest manifest = WEIR_TRY(ReadManifest(io, from_rocks));
  for (const std::string& name : WEIR_TRY(io.List(from))) {
    const auto epoch = ParseDeltaName(name);
    if ((epoch && *epoch <= committed) || name == kDamagedFile)
      WEIR_TRY(LinkOrCopy(io, io::Join(from, name), io::Join(to, name)));
  }
  if (io.Exists(io::Join(from, kRunsDir))) {
    const std::string runs = io::Join(from, kRunsDir), to_runs = io::Join(to, kRunsDir);
    WEIR_TRY(io.CreateDirs(to_runs));
    for (const std::string& name : WEIR_TRY(io.List(runs)))
      WEIR_TRY(LinkOrCopy(io, io::Join(runs, name), io::Join(to_runs, name)));
    WEIR_TRY(io.SyncDir(to_runs));
  }
  if (!manifest.name.empty()) {
    for (const std::string& name : WEIR_TRY(io.List(from_rocks))) {
      if (name.ends_with(kTables))
        WEIR_TRY(LinkOrCopy(io, io::Join(from_rocks, name), io::Join(to_rocks, name)));
    }
    WEIR_TRY(io.WriteNew(io::Join(to_rocks, manifest.name), manifest.bytes));
    WEIR_TRY(io.WriteNew(io::Join(to_rocks, "CURRENT"), manifest.current));
  }
  if (WEIR_TRY(ReadManifest(io, from_rocks)) != manifest)
    return Unavailable("state store: " + from + " changed while it was copied");
  WEIR_TRY(io.SyncDir(to_rocks));
  return io.SyncDir(to);
}

Status TakeOver(io::Io& io, const std::string& state_dir, Epoch committed,
                const StoreOptions& options, const std::string& own) {
  const Source source = WEIR_TRY(FindSource(io, state_dir, options.owner));
  if (source.dir.empty()) {
    WEIR_TRY(io.CreateDirs(own));
    return {};
  }
  const bool alone = options.may_live == nullptr || !options.may_live(source.owner);
  if (alone && source.owner != 0) {
    WEIR_TRY(io.Rename(source.dir, own));
    return io.SyncDir(state_dir);
  }
  const std::string making = OwnerDir(state_dir, kMakingPrefix, options.owner);
  WEIR_TRY(CopyState(io, source.dir, committed, making));
  WEIR_TRY(io.Rename(making, own));
  return io.SyncDir(state_dir);
}

}  // namespace

Result<std::string> PrepareOwnerDir(io::Io& io, const std::string& state_dir,
                                    Epoch committed, const StoreOptions& options) {
  WEIR_TRY(io.CreateDirs(state_dir));
  if (options.owner == 0) return state_dir;
  const std::string own = OwnerDir(state_dir, kOwnerPrefix, options.owner);
  Status taken;
  for (int i = 0; i < kTriesMax && !io.Exists(own); ++i) {
    taken = TakeOver(io, state_dir, committed, options, own);
    if (taken.ok()) break;
    // A replaced owner that is still alive changed or moved it under our eyes.
    const Code code = taken.error().code;
    if (code != Code::kNotFound && code != Code::kUnavailable) break;
  }
  if (!io.Exists(own)) WEIR_TRY(std::move(taken));
  return own;
}

Result<std::string> EmptyOwnerDir(io::Io& io, const std::string& state_dir,
                                  const StoreOptions& options) {
  const std::string dir =
      options.owner == 0 ? state_dir : OwnerDir(state_dir, kOwnerPrefix, options.owner);
  WEIR_TRY(RemoveTree(io, dir));
  WEIR_TRY(io.CreateDirs(dir));
  return dir;
}

Status CopyNewestState(io::Io& io, const std::string& state_dir, Epoch committed,
                       const std::string& to) {
  const Source source =
      WEIR_TRY(FindSource(io, state_dir, std::numeric_limits<int64_t>::max()));
  if (source.dir.empty()) return NotFound("state store: nothing is kept in " + state_dir);
  return CopyState(io, source.dir, committed, to);
}

void RemoveEarlierOwners(io::Io& io, const std::string& state_dir,
                         const StoreOptions& options) {
  const auto names = io.List(state_dir);
  if (options.owner == 0 || !names.ok()) return;
  for (const std::string& name : *names) {
    auto owner = NumberAfter(kOwnerPrefix, name);
    if (!owner) owner = NumberAfter(kMakingPrefix, name);
    if (!owner && IsState(name)) owner = 0;
    if (!owner || *owner >= options.owner) continue;
    if (options.may_live != nullptr && options.may_live(*owner)) continue;
    const std::string path = io::Join(state_dir, name);
    const auto info = io.Stat(path);
    const Status removed =
        info.ok() && info->is_dir ? RemoveTree(io, path) : io.Remove(path);
    if (!removed.ok() && removed.error().code != Code::kNotFound)
      Event("state_left", Severity::kWarning)
          .With("path", path)
          .With("error", removed.error().message);
  }
}

Status RemoveTree(io::Io& io, const std::string& dir) {
  auto names = io.List(dir);
  if (!names.ok())
    return names.error().code == Code::kNotFound ? Status()
                                                 : Status(std::move(names).error());
  for (const std::string& name : *names) {
    const std::string path = io::Join(dir, name);
    if (WEIR_TRY(io.Stat(path)).is_dir) {
      WEIR_TRY(RemoveTree(io, path));
    } else {
      WEIR_TRY(io.Remove(path));
    }
  }
  return io.Remove(dir);
}

}  // namespace weir::state
