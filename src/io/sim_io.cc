#include "io/sim_io.h"

#include <random>

namespace weir::io {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kEndOfAll = std::numeric_limits<uint64_t>::max();

using Random = std::mt19937_64;
bool Coin(Random& random) { return random() & 1; }

// One unsynced change of a file's bytes.
struct ByteChange {
  std::optional<uint64_t> truncate_to;  // else a write
  uint64_t offset = 0;
  std::string bytes;
};

void Overwrite(std::string& content, uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  bytes.copy(content.data() + offset, bytes.size());
}

void Apply(std::string& content, const ByteChange& change) {
  if (change.truncate_to) {
    content.resize(*change.truncate_to);
  } else {
    Overwrite(content, change.offset, change.bytes);
  }
}

// Any of the write's sectors reach the disk; the file may have grown although its bytes
// did not arrive.
void ApplyTorn(std::string& content, const ByteChange& change, Random& random) {
  if (change.truncate_to) {
    if (Coin(random)) Apply(content, change);
    return;
  }
  const uint64_t end = change.offset + change.bytes.size();
  if (Coin(random) && content.size() < end) content.resize(end);
  const bool whole = Coin(random), keep_whole = Coin(random);
  for (uint64_t at = change.offset; at < end;) {
    const uint64_t next = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
    if (whole ? keep_whole : Coin(random)) {
      Overwrite(content, at,
                std::string_view(change.bytes).substr(at - change.offset, next - at));
    }
    at = next;
  }
}

struct Node;
using NodePtr = std::shared_ptr<Node>;
using Children = std::map<std::string, NodePtr>;

struct RangeLock {
  const File* owner;
  bool exclusive;
  uint64_t begin, end;
};

// A file or a folder. `content` and `children` are what a running program sees.
struct Node {
  bool is_dir = false;
  uint64_t modified = 0;
  std::string content, durable;
  std::vector<ByteChange> unsynced;
  std::vector<RangeLock> locks;
  Children children, durable_children;
};

// One name gained or lost by a folder.
struct Entry {
  NodePtr dir;  // null: nothing left to do
  std::string name;
  NodePtr node;
};

// One atomic change of names; a create has only a link, a remove only an unlink, a rename
// both.
struct NameChange {
  Entry link, unlink;
  bool unlink_synced =
      false;  // its folder was synced, but the link has to become durable first
};

void ApplyLink(Entry& link) {
  if (link.dir == nullptr) return;
  link.dir->durable_children[link.name] = link.node;
  link.dir = nullptr;
}

// The name may belong to another file by now.
void ApplyUnlink(Entry& unlink) {
  if (unlink.dir == nullptr) return;
  Children& names = unlink.dir->durable_children;
  const auto found = names.find(unlink.name);
  if (found != names.end() && found->second == unlink.node) names.erase(found);
  unlink.dir = nullptr;
}

std::vector<std::string> PartsOf(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.emplace_back(part);
  }
  return parts;
}

Error Failed(Code code, std::string_view doing, std::string_view path,
             std::string_view why) {
  return {code, fmt::format("{} {}: {}", doing, path, why)};
}
Error Missing(std::string_view doing, std::string_view path) {
  return Failed(Code::kNotFound, doing, path, "no such file or folder");
}

// Copies what a cut leaves of a disk: the durable tree, and chosen unsynced changes.
class Survival {
 public:
  Survival(uint64_t seed, AfterCut mode) : mode_(mode), random_(seed) {}

  NodePtr Copy(const NodePtr& root, const std::vector<NameChange>& changes) {
    // A file system with a journal keeps names in order, others do not: both happen here.
    const bool ordered = Coin(random_);
    const size_t kept_in_order = random_() % (changes.size() + 1);
    const NodePtr copy = CopyNode(root);
    for (size_t i = 0; i < changes.size(); ++i) {
      NameChange change{CopyEntry(changes[i].link), CopyEntry(changes[i].unlink)};
      if (!Keeps(ordered ? i < kept_in_order : Coin(random_))) continue;
      ApplyLink(change.link);
      ApplyUnlink(change.unlink);
    }
    for (auto& [old, node] : copies_) node->children = node->durable_children;
    return copy;
  }

 private:
  bool Keeps(bool drawn) const {
    return mode_ == AfterCut::kRandom ? drawn : mode_ == AfterCut::kKeepAll;
  }

  Entry CopyEntry(const Entry& entry) {
    if (entry.dir == nullptr) return {};
    return {CopyNode(entry.dir), entry.name, CopyNode(entry.node)};
  }

  NodePtr CopyNode(const NodePtr& node) {
    NodePtr& copy = copies_[node.get()];
    if (copy != nullptr) return copy;
    const NodePtr made = copy = std::make_shared<Node>();
    made->is_dir = node->is_dir;
    made->modified = node->modified;
    made->durable = node->durable;
    for (const ByteChange& change : node->unsynced) {
      if (mode_ == AfterCut::kKeepAll) Apply(made->durable, change);
      if (mode_ == AfterCut::kRandom) ApplyTorn(made->durable, change, random_);
    }
    made->content = made->durable;
    for (const auto& [name, child] : node->durable_children)
      made->durable_children[name] = CopyNode(child);
    return made;
  }

  const AfterCut mode_;
  Random random_;
  std::unordered_map<const Node*, NodePtr> copies_;
};

}  // namespace

struct SimIo::Disk {
  mutable std::mutex mutex;
  NodePtr root = std::make_shared<Node>(Node{.is_dir = true});
  std::vector<NameChange> name_changes;  // not durable yet, in order
  SimFaults faults;
  Random random{1};
  bool power_is_off = false;
  uint64_t generation = 0;  // of power: files from before a cut are of no use after it
  uint64_t operations = 0;
  std::string last_operation;

  void SetFaults(SimFaults planned) {
    faults = planned;
    random.seed(planned.seed);
    if (faults.cut_power_after == 0u) power_is_off = true;
  }

  Status CheckPower(std::string_view doing, std::string_view path) const {
    if (power_is_off) return Failed(Code::kUnavailable, doing, path, "power is off");
    return {};
  }

  // To be called when a mutating operation has taken effect.
  void Count(std::string_view doing, std::string_view path) {
    ++operations;
    last_operation = fmt::format("{} {}", doing, path);
    if (faults.cut_power_after && --*faults.cut_power_after == 0) power_is_off = true;
  }

  bool NextSyncFails() {
    if (!faults.fail_sync_after) return false;
    if ((*faults.fail_sync_after)-- > 0) return false;
    faults.fail_sync_after.reset();
    return true;
  }

  NodePtr Find(const std::vector<std::string>& parts, size_t count) const {
    NodePtr node = root;
    for (size_t i = 0; i < count; ++i) {
      const auto child = node->children.find(parts[i]);
      if (child == node->children.end()) return nullptr;
      node = child->second;
    }
    return node;
  }
  NodePtr Find(std::string_view path) const {
    const auto parts = PartsOf(path);
    return Find(parts, parts.size());
  }
  // The folder that holds, or would hold, the last part.
  Result<NodePtr> ParentOf(const std::vector<std::string>& parts, std::string_view doing,
                           std::string_view path) const {
    if (parts.empty())
      return Failed(Code::kInvalid, doing, path, "it is the root folder");
    NodePtr dir = Find(parts, parts.size() - 1);
    if (dir == nullptr) return Missing(doing, path);
    if (!dir->is_dir) return Failed(Code::kInvalid, doing, path, "not a folder");
    return dir;
  }

  void Link(const NodePtr& dir, const std::string& name, const NodePtr& node) {
    dir->children[name] = node;
    name_changes.push_back({.link = {dir, name, node}});
  }

  void SyncNames(const NodePtr& dir) {
    for (size_t i = 0; i < name_changes.size(); ++i) {
      NameChange& change = name_changes[i];
      if (change.link.dir == dir) {
        // An earlier loss of the same name is history.
        for (size_t j = 0; j < i; ++j) {
          Entry& earlier = name_changes[j].unlink;
          if (earlier.dir == dir && earlier.name == change.link.name)
            earlier.dir = nullptr;
        }
        ApplyLink(change.link);
      }
      if (change.unlink.dir == dir) change.unlink_synced = true;
      if (change.link.dir == nullptr && change.unlink_synced) ApplyUnlink(change.unlink);
    }
    std::erase_if(name_changes, [](const NameChange& c) {
      return c.link.dir == nullptr && c.unlink.dir == nullptr;
    });
  }

  static uint64_t BytesIn(const Node& node) {
    uint64_t bytes = node.content.size();
    for (const auto& [name, child] : node.children) bytes += BytesIn(*child);
    return bytes;
  }

  // How many of `size` bytes written at `offset` the disk has room for.
  uint64_t RoomFor(const Node& node, uint64_t offset, uint64_t size) const {
    if (!faults.disk_bytes_max || offset + size <= node.content.size()) return size;
    const uint64_t used = BytesIn(*root);
    const uint64_t free = *faults.disk_bytes_max - std::min(used, *faults.disk_bytes_max);
    const uint64_t end_max = node.content.size() + free;
    return end_max <= offset ? 0 : std::min(size, end_max - offset);
  }
};

class SimIo::SimFile final : public File {
 public:
  SimFile(std::shared_ptr<Disk> disk, NodePtr node, std::string path, OpenMode mode)
      : disk_(std::move(disk)),
        node_(std::move(node)),
        path_(std::move(path)),
        read_only_(mode == OpenMode::kRead),
        generation_(disk_->generation) {}
  ~SimFile() override {
    std::lock_guard lock(disk_->mutex);
    Unlock(0, kEndOfAll);
  }

  Result<size_t> ReadAt(uint64_t offset, size_t size, char* out) override {
    std::lock_guard lock(disk_->mutex);
    WEIR_TRY(CheckUsable("read"));
    if (offset >= node_->content.size()) return size_t{0};
    return node_->content.copy(out, size, offset);
  }

  Status WriteAt(uint64_t offset, std::string_view bytes) override {
    std::lock_guard lock(disk_->mutex);
    return Write(offset, bytes);
  }

  Status Append(std::string_view bytes) override {
    std::lock_guard lock(disk_->mutex);
    const uint64_t end = node_->content.size();
    const Status written = Write(end, bytes);
    if (!written.ok() && node_->content.size() > end) WEIR_TRY(Cut(end));
    return written;
  }

  Status Truncate(uint64_t size) override {
    std::lock_guard lock(disk_->mutex);
    return Cut(size);
  }

  Result<uint64_t> Size() override {
    std::lock_guard lock(disk_->mutex);
    WEIR_TRY(CheckUsable("stat"));
    return static_cast<uint64_t>(node_->content.size());
  }

  Status Sync() override {
    std::lock_guard lock(disk_->mutex);
    WEIR_TRY(CheckUsable("sync"));
    const bool fails = disk_->NextSyncFails();
    for (const ByteChange& change : node_->unsynced) {
      if (fails) {
        ApplyTorn(node_->durable, change, disk_->random);
      } else {
        Apply(node_->durable, change);
      }
    }
    node_->unsynced.clear();
    disk_->Count("sync", path_);
    if (!fails) return {};
    dead_ = true;
    return Failed(Code::kUnavailable, "sync", path_, "input/output error");
  }

  Status LockRange(LockKind kind, uint64_t offset, uint64_t size) override {
    std::lock_guard lock(disk_->mutex);
    WEIR_TRY(kind == LockKind::kExclusive ? CheckWritable("lock") : CheckUsable("lock"));
    const uint64_t end = size == 0 ? kEndOfAll : offset + size;
    if (kind != LockKind::kNone &&
        OthersHold(offset, end, kind == LockKind::kExclusive)) {
      return Failed(Code::kConflict, "lock", path_, "somebody else holds it");
    }
    Unlock(offset, end);
    if (kind != LockKind::kNone) {
      node_->locks.push_back({this, kind == LockKind::kExclusive, offset, end});
    }
    return {};
  }

  Result<bool> IsLockedByOther(uint64_t offset, uint64_t size) override {
    std::lock_guard lock(disk_->mutex);
    WEIR_TRY(CheckUsable("look for locks of"));
    return OthersHold(offset, size == 0 ? kEndOfAll : offset + size, /*exclusive=*/true);
  }

 private:
  Status CheckUsable(std::string_view doing) const {
    WEIR_TRY(disk_->CheckPower(doing, path_));
    if (generation_ != disk_->generation)
      return Failed(Code::kUnavailable, doing, path_, "opened before the power cut");
    if (dead_)
      return Failed(Code::kUnavailable, doing, path_,
                    "an earlier sync failed, so its contents are unknown");
    return {};
  }

  Status CheckWritable(std::string_view doing) const {
    WEIR_TRY(CheckUsable(doing));
    if (read_only_)
      return Failed(Code::kInvalid, doing, path_, "opened for reading only");
    return {};
  }

  Status Write(uint64_t offset, std::string_view bytes) {
    WEIR_TRY(CheckWritable("write"));
    if (bytes.empty()) return {};
    const uint64_t fits = disk_->RoomFor(*node_, offset, bytes.size());
    if (fits > 0)
      Change("write", {.offset = offset, .bytes = std::string(bytes.substr(0, fits))});
    if (fits < bytes.size())
      return Failed(Code::kUnavailable, "write", path_, "no space left");
    return {};
  }

  Status Cut(uint64_t size) {
    WEIR_TRY(CheckWritable("truncate"));
    Change("truncate", {.truncate_to = size});
    return {};
  }

  void Change(std::string_view doing, ByteChange change) {
    Apply(node_->content, change);
    node_->unsynced.push_back(std::move(change));
    node_->modified = disk_->operations + 1;
    disk_->Count(doing, path_);
  }

  bool OthersHold(uint64_t begin, uint64_t end, bool exclusive) const {
    return std::any_of(node_->locks.begin(), node_->locks.end(),
                       [&](const RangeLock& lock) {
                         return lock.owner != this && (lock.exclusive || exclusive) &&
                                lock.begin < end && begin < lock.end;
                       });
  }

  // Gives up our locks within the range; one that reaches beyond it keeps the rest.
  void Unlock(uint64_t begin, uint64_t end) {
    std::vector<RangeLock> left;
    for (const RangeLock& lock : node_->locks) {
      if (lock.owner != this || lock.end <= begin || end <= lock.begin) {
        left.push_back(lock);
        continue;
      }
      if (lock.begin < begin) left.push_back({this, lock.exclusive, lock.begin, begin});
      if (end < lock.end) left.push_back({this, lock.exclusive, end, lock.end});
    }
    node_->locks = std::move(left);
  }

  const std::shared_ptr<Disk> disk_;
  const NodePtr node_;
  const std::string path_;
  const bool read_only_;
  const uint64_t generation_;
  bool dead_ = false;
};

SimIo::SimIo(SimFaults faults) : disk_(std::make_shared<Disk>()) {
  disk_->SetFaults(faults);
}
SimIo::~SimIo() = default;

void SimIo::SetFaults(SimFaults faults) {
  std::lock_guard lock(disk_->mutex);
  disk_->SetFaults(faults);
}

uint64_t SimIo::operations() const {
  std::lock_guard lock(disk_->mutex);
  return disk_->operations;
}

std::string SimIo::last_operation() const {
  std::lock_guard lock(disk_->mutex);
  return disk_->last_operation;
}

bool SimIo::power_is_off() const {
  std::lock_guard lock(disk_->mutex);
  return disk_->power_is_off;
}

void SimIo::CutPower() {
  std::lock_guard lock(disk_->mutex);
  disk_->power_is_off = true;
}

void SimIo::PowerOn(uint64_t seed, AfterCut mode) {
  std::lock_guard lock(disk_->mutex);
  disk_->root = Survival(seed, mode).Copy(disk_->root, disk_->name_changes);
  disk_->name_changes.clear();
  disk_->faults = {};
  disk_->power_is_off = false;
  ++disk_->generation;
}

std::unique_ptr<SimIo> SimIo::Survivor(uint64_t seed, AfterCut mode) const {
  auto survivor = std::make_unique<SimIo>();
  std::lock_guard lock(disk_->mutex);
  survivor->disk_->root = Survival(seed, mode).Copy(disk_->root, disk_->name_changes);
  survivor->disk_->operations = disk_->operations;
  return survivor;
}

Status SimIo::FlipBit(const std::string& path, uint64_t byte, int bit) {
  std::lock_guard lock(disk_->mutex);
  const NodePtr node = disk_->Find(path);
  if (node == nullptr) return Missing("flip a bit of", path);
  if (byte >= node->content.size())
    return Failed(Code::kInvalid, "flip a bit of", path, "beyond the end");
  node->content[byte] ^= static_cast<char>(1 << bit);
  if (byte < node->durable.size()) node->durable[byte] = node->content[byte];
  return {};
}

Result<std::unique_ptr<File>> SimIo::Open(const std::string& path, OpenMode mode) {
  std::lock_guard lock(disk_->mutex);
  WEIR_TRY(disk_->CheckPower("open", path));
  NodePtr node = disk_->Find(path);
  if (node != nullptr && mode == OpenMode::kCreateNew)
    return Failed(Code::kConflict, "open", path, "file exists");
  if (node != nullptr && node->is_dir)
    return Failed(Code::kInvalid, "open", path, "it is a folder, not a file");
  if (node == nullptr) {
    const auto parts = PartsOf(path);
    const NodePtr dir = WEIR_TRY(disk_->ParentOf(parts, "open", path));
    if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite)
      return Missing("open", path);
    node = std::make_shared<Node>(Node{.modified = disk_->operations + 1});
    disk_->Link(dir, parts.back(), node);
    disk_->Count("create", path);
  }
  return std::unique_ptr<File>(std::make_unique<SimFile>(disk_, node, path, mode));
}

Status SimIo::Rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(disk_->mutex);
  WEIR_TRY(disk_->CheckPower("rename", from));
  const auto from_parts = PartsOf(from), to_parts = PartsOf(to);
  const NodePtr from_dir = WEIR_TRY(disk_->ParentOf(from_parts, "rename", from));
  const NodePtr to_dir = WEIR_TRY(disk_->ParentOf(to_parts, "rename", to));
  const NodePtr node = disk_->Find(from);
  const NodePtr replaced = disk_->Find(to);
  if (node == nullptr) return Missing("rename", from);
  if (node == replaced) return {};
  if (replaced != nullptr && replaced->is_dir != node->is_dir) {
    return Failed(Code::kInvalid, "rename", to,
                  "a file and a folder cannot replace each other");
  }
  if (replaced != nullptr && !replaced->children.empty())
    return Failed(Code::kConflict, "rename", to, "not empty");
  if (to_parts.size() > from_parts.size() &&
      std::equal(from_parts.begin(), from_parts.end(), to_parts.begin())) {
    return Failed(Code::kInvalid, "rename", from, "a folder cannot move into itself");
  }
  from_dir->children.erase(from_parts.back());
  to_dir->children[to_parts.back()] = node;
  disk_->name_changes.push_back({.link = {to_dir, to_parts.back(), node},
                                 .unlink = {from_dir, from_parts.back(), node}});
  disk_->Count("rename", from + " to " + to);
  return {};
}

Status SimIo::Link(const std::string& from, const std::string& to) {
  std::lock_guard lock(disk_->mutex);
  WEIR_TRY(disk_->CheckPower("link", from));
  const auto to_parts = PartsOf(to);
  const NodePtr to_dir = WEIR_TRY(disk_->ParentOf(to_parts, "link", to));
  const NodePtr node = disk_->Find(from);
  if (node == nullptr) return Missing("link", from);
  if (node->is_dir) return Failed(Code::kInvalid, "link", from, "it is a folder");
  if (to_dir->children.contains(to_parts.back()))
    return Failed(Code::kConflict, "link", to, "file exists");
  disk_->Link(to_dir, to_parts.back(), node);
  disk_->Count("link", from + " as " + to);
  return {};
}

Status SimIo::Remove(const std::string& path) {
  std::lock_guard lock(disk_->mutex);
  WEIR_TRY(disk_->CheckPower("remove", path));
  const auto parts = PartsOf(path);
  const NodePtr dir = WEIR_TRY(disk_->ParentOf(parts, "remove", path));
  const auto found = dir->children.find(parts.back());
  if (found == dir->children.end()) return Missing("remove", path);
  if (!found->second->children.empty())
    return Failed(Code::kConflict, "remove", path, "not empty");
  disk_->name_changes.push_back({.unlink = {dir, parts.back(), found->second}});
  dir->children.erase(found);
  disk_->Count("remove", path);
  return {};
}

Status SimIo::CreateDirs(const std::string& path) {
  {
    std::lock_guard lock(disk_->mutex);
    WEIR_TRY(disk_->CheckPower("create folder", path));
    const NodePtr node = disk_->Find(path);
    if (node != nullptr && !node->is_dir) {
      return Failed(Code::kInvalid, "create folder", path,
                    "a file of that name is there");
    }
    if (node == disk_->root) return {};
  }
  const auto parts = PartsOf(path);
  std::string parent = "/";
  for (size_t i = 0; i + 1 < parts.size(); ++i) parent = Join(parent, parts[i]);
  if (!Exists(path)) {
    WEIR_TRY(CreateDirs(parent));
    std::lock_guard lock(disk_->mutex);
    WEIR_TRY(disk_->CheckPower("create folder", path));
    const NodePtr dir = WEIR_TRY(disk_->ParentOf(parts, "create folder", path));
    if (!dir->children.contains(parts.back())) {
      disk_->Link(dir, parts.back(), std::make_shared<Node>(Node{.is_dir = true}));
      disk_->Count("mkdir", path);
    }
  }
  return SyncDir(parent);
}

Status SimIo::SyncDir(const std::string& path) {
  std::lock_guard lock(disk_->mutex);
  WEIR_TRY(disk_->CheckPower("sync folder", path));
  const NodePtr dir = disk_->Find(path);
  if (dir == nullptr) return Missing("sync folder", path);
  if (!dir->is_dir) return Failed(Code::kInvalid, "sync folder", path, "not a folder");
  const bool fails = disk_->NextSyncFails();
  if (!fails) disk_->SyncNames(dir);
  disk_->Count("syncdir", path);
  if (fails) return Failed(Code::kUnavailable, "sync folder", path, "input/output error");
  return {};
}

Result<std::vector<std::string>> SimIo::List(const std::string& dir) {
  std::lock_guard lock(disk_->mutex);
  WEIR_TRY(disk_->CheckPower("list", dir));
  const NodePtr node = disk_->Find(dir);
  if (node == nullptr) return Missing("list", dir);
  if (!node->is_dir) return Failed(Code::kInvalid, "list", dir, "not a folder");
  std::vector<std::string> names;
  for (const auto& [name, child] : node->children) names.push_back(name);
  return names;
}

Result<FileInfo> SimIo::Stat(const std::string& path) {
  std::lock_guard lock(disk_->mutex);
  WEIR_TRY(disk_->CheckPower("stat", path));
  const NodePtr node = disk_->Find(path);
  if (node == nullptr) return Missing("stat", path);
  return FileInfo{.is_dir = node->is_dir,
                  .is_regular = !node->is_dir,
                  .size = node->content.size(),
                  .modified = static_cast<Micros>(node->modified)};
}

}  // namespace weir::io
