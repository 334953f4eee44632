// Committed keyed state: what operators, the identity memory and the key indexes need to
// continue after an epoch. A cache of history, never the truth: it can be rebuilt from
// the tables. One RocksDB, fed only by epoch deltas, in a folder that belongs to one
// owner. Byte tables: docs/formats/state.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/memory.h"
#include "base/result.h"
#include "io/io.h"

namespace weir::state {

// Redo records of one epoch: absolute values, so that a half-applied delta can be applied
// again. Collected in memory, written once.
class Delta {
 public:
  // `space` names a keyed collection ("op/silver.trips/<fingerprint>",
  // "index/silver.trips", "ids/ride_events/0").
  void Put(std::string_view space, std::string_view key, std::string_view value);
  void Erase(std::string_view space, std::string_view key);
  // Drops all keys of a space (before any Put of this delta).
  void Clear(std::string_view space);
  // Adds another delta's records behind ours; costs no copy of them.
  void Append(Delta&& other);
  bool empty() const { return count_ == 0; }
  int64_t count() const { return count_; }  // records
  size_t bytes() const { return bytes_; }

  // <dir>/delta-<epoch> = header, records, crc32c. Synced, its folder too. Returns the
  // checksum for the epoch row. Every epoch writes its delta, also an empty one: recovery
  // takes a missing file for damage. What an earlier failed attempt left is replaced.
  Result<uint32_t> Write(io::Io& io, const std::string& dir, Epoch epoch) const;

  // Reads back what Write made, and what it returned; kNotFound, or kCorrupt when it is
  // not the delta of that epoch.
  static Result<Delta> Read(io::Io& io, const std::string& dir, Epoch epoch,
                            uint32_t* checksum = nullptr);

  enum class Op : uint8_t { kSpace = 1, kPut = 2, kErase = 3, kClear = 4 };
  struct Record {
    Op op;
    std::string_view space, key, value;
  };  // kPut, kErase, kClear
  // The records in order. kCorrupt when the bytes are no records.
  Status ForEach(const std::function<Status(const Record&)>& visit) const;

 private:
  std::string& Begin(Op op, std::string_view space, size_t text_bytes);
  static Status ForEachIn(std::string_view chunk, std::string_view& space, int64_t& count,
                          const std::function<Status(const Record&)>& visit);

  // The records, see docs/formats/state.md; none stands in two chunks.
  std::vector<std::string> chunks_;
  size_t bytes_ = 0;   // of all chunks
  std::string space_;  // of the newest record
  int64_t count_ = 0;
};

struct StoreOptions {
  int64_t block_cache_bytes = 64 << 20;
  int64_t write_buffer_bytes = 64 << 20;
  int64_t table_bytes_min = 8 << 20;  // a delta of so many becomes a table of its own
  bool deterministic =
      false;  // for SimIo: no background work, flush only by the waiting caller
  // Owner epoch of this process. What the owner before left moves into a folder of ours;
  // when that process may still be alive it keeps its folder, and ours gets the immutable
  // files by a second name and copies of the few others. 0: there is one process only,
  // and the state folder itself is the store's.
  int64_t owner = 0;
  // Whether the process of an earlier owner epoch may still be alive. Empty: none is.
  std::function<bool(int64_t owner)> may_live;
  // Names the data directory: a store that was made for another one is kCorrupt. Empty:
  // not looked at.
  std::string directory;
  // A store that names no directory yet is ours, and is given the name.
  bool adopt = false;
  // The checksum that the epoch row of a delta has; a delta with another one is kCorrupt.
  // nullopt: the row is not there any more. Empty: not looked at.
  std::function<std::optional<uint32_t>(Epoch)> checksum_of;
};

// In this space stands what is still to be rebuilt from the tables, while that is so.
inline constexpr std::string_view kRebuildSpace = "rebuild";
inline constexpr std::string_view kLostKey = "lost";  // why the state was lost

// Used by the commit thread for Apply; reads may be called by any thread.
class Store {
 public:
  virtual ~Store() = default;
  // Opens, then redoes deltas with applied < n <= `committed` and deletes all others
  // (also leftovers above `committed`). kCorrupt when the store is damaged (also when
  // that was seen while it was at work, see NoteDamage), of another format or of another
  // directory, or when a needed delta is missing or fails its checksum: the caller
  // rebuilds the state from the tables.
  static Result<std::unique_ptr<Store>> Open(io::Io& io, const std::string& state_dir,
                                             Epoch committed, StoreOptions options);

  // Throws away whatever is in `state_dir` and opens a store that has applied `committed`
  // and holds nothing but `why` under kLostKey: the way out of kCorrupt, before the state
  // is rebuilt from the tables. The caller clears kRebuildSpace when that is done.
  static Result<std::unique_ptr<Store>> Reset(io::Io& io, const std::string& state_dir,
                                              Epoch committed, StoreOptions options,
                                              std::string_view why);

  // Opens a copy, made in the folder `copy`, of what the newest owner has, which may be
  // at work meanwhile: to look at it. `committed` asks for the last committed epoch,
  // again when the state moved on in between. kUnavailable: it did so each time, try
  // later; kNotFound: there is no state. The caller removes `copy` when the store is
  // closed.
  static Result<std::unique_ptr<Store>> OpenCopy(
      io::Io& io, const std::string& state_dir, const std::string& copy,
      const std::function<Result<Epoch>()>& committed, StoreOptions options);

  // Applies a delta that is durable and whose epoch row is committed. It becomes part of
  // the store's files at the next flush, which happens by itself (write buffer full, 16
  // deltas waiting); the delta files are removed only after that flush. Epochs are
  // applied without gaps: `epoch` is applied() + 1.
  virtual Status Apply(const Delta& delta, Epoch epoch) = 0;
  // The same beside further work of the caller: returns at once. Reads see it from then
  // on: GetMany and scans look into the delta first, for which they wait until it is
  // indexed, also beside the caller. All other calls wait until it is applied, and give
  // its error; the delta file is still there, so nothing is lost and the next open
  // applies it.
  virtual Status ApplyBehind(Delta&& delta, Epoch epoch) = 0;
  virtual Status Flush() = 0;
  virtual Epoch applied() const = 0;

  virtual Result<std::vector<std::optional<std::string>>> GetMany(
      std::string_view space, std::span<const std::string_view> keys) = 0;
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;
  // Keys of the space that begin with `prefix`, in byte order, until `visit` returns
  // false. In spaces of operators ("op/…") a prefix of 17 bytes or more looks only into
  // files that have such keys.
  Status Scan(std::string_view space, std::string_view prefix, const Visit& visit) {
    return ScanFrom(space, prefix, {}, visit);
  }
  // Of those the ones that are not before `prefix` + `from`.
  virtual Status ScanFrom(std::string_view space, std::string_view prefix,
                          std::string_view from, const Visit& visit) = 0;
  // Of those the ones before `prefix` + `before`, the last one first.
  virtual Status ScanBack(std::string_view space, std::string_view prefix,
                          std::string_view before, const Visit& visit) = 0;
  // Entries and bytes of each space, counted by reading all of them.
  struct SpaceInfo {
    std::string space;
    int64_t keys, bytes;
  };
  virtual Result<std::vector<SpaceInfo>> Spaces() = 0;

  // What is in the store, or beside it in dir(), turned out to be damaged: the next Open
  // is kCorrupt, so that the state is rebuilt. The store itself notes what fails its
  // checksums. Safe for concurrent use.
  virtual void NoteDamage(std::string_view why) = 0;
  // Whether damage was noted since it was opened.
  virtual bool damaged() const = 0;

  // Where state lives that has files of its own beside the store.
  virtual io::Io& io() = 0;
  virtual const std::string& dir() const = 0;  // this owner's: deltas, rocks/, ids/
  virtual bool deterministic() const = 0;      // no threads of one's own
};

// Removes a folder and all in it; fine when it is missing.
Status RemoveTree(io::Io& io, const std::string& dir);

}  // namespace weir::state
