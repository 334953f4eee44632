// Which records a source partition has seen: the memory behind the verdict "duplicate".
// Used by the one thread that owns the partition.
//
// An identity is forgotten exactly when the watermark has advanced by the horizon since
// its record was judged (the watermark taken after that verdict) and has passed the
// record's own event time. The watermark given to Lookup never falls.
//
// The newest identities are in a table in memory (identity_table.h). When it is full, all
// of it goes into a run on disk (identity_run.h), written beside further work, and only
// the run's filter stays. No call takes long: callers of the HTTP door wait behind it.
// Byte tables: docs/formats/state.md.
#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"
#include "state/identity_run.h"
#include "state/state.h"

namespace weir::state {

class Identities {
 public:
  using Entry = IdentityEntry;

  // All in memory, without bound: for tests.
  explicit Identities(Micros horizon);
  Identities(Identities&&) = default;
  Identities& operator=(Identities&&) = default;

  // What the last checkpoint that reached the store remembered; from now on at most about
  // twice `table_bytes` are in memory, and the filters. Files of runs that no checkpoint
  // names are removed. The store outlives it, and is told when what it holds is damaged.
  static Result<Identities> Load(Store& store, std::string_view space, Micros horizon,
                                 int64_t table_bytes);

  // Before the Lookups of a batch: fetches what the disk knows of these identities.
  // Errors: of the disk, or kCorrupt; nothing was changed.
  Status Recall(std::span<const Hash128> ids);
  // Before Inserts that no Recall went before: makes room for `entries` more.
  Status MakeRoom(size_t entries);

  // nullptr: never seen, or forgotten. Of an identity that the newest Recall was given,
  // or that was inserted since. The pointer holds until the next Insert, Recall or
  // Checkpoint.
  const Entry* Lookup(Hash128 id, Micros watermark);
  // Starts to bring the places of `ids` near, for Lookups that follow soon.
  void Prefetch(std::span<const Hash128> ids) const;

  // Remembers a record that Lookup does not find. `judged_watermark` may be kNoTime.
  void Insert(Hash128 id, uint64_t content, Micros judged_watermark, Micros event_time);

  // Whether an identity that was judged then is forgotten at `watermark`.
  bool Forgotten(Micros judged, Micros event_time, Micros watermark) const;

  // The partition has its first watermark: everything judged so far counts as judged at
  // `watermark`.
  void WatermarkBegan(Micros watermark);

  // What an epoch changed, ready to become part of its delta. Any thread may encode it.
  class Changes {
   public:
    void AddTo(Delta& delta, std::string_view space) const;

   private:
    friend class Identities;
    std::optional<Micros> began_;
    std::vector<std::pair<std::string, std::string>> put_;
    std::vector<std::string> erased_;
    std::vector<std::pair<uint64_t, std::vector<Entry>>> generations_;
  };

  // What was inserted since the last call, and what is forgotten as a whole; costs next
  // to nothing. Errors: a run could not be written; nothing is lost, but the epoch cannot
  // be closed.
  Result<Changes> Checkpoint(std::string_view space);
  // The same, encoded.
  Status Checkpoint(Delta& delta, std::string_view space);

  // In memory; forgotten ones count until their place is needed.
  int64_t size() const { return static_cast<int64_t>(table_.size()); }
  int64_t bytes() const;
  size_t runs() const { return runs_.size(); }

 private:
  // One value in the store: a generation's entries, or the name of a run.
  struct Generation {
    uint64_t number = 0;
    int64_t count = 0;
    Micros judged_max = kNoTime, event_time_max = kNoTime;
    bool unjudged = false;  // has entries without watermark
  };
  // Entries that no checkpoint has named yet.
  struct Fresh {
    Generation about;
    std::vector<Entry> entries;
  };
  struct Run {
    Generation about;
    IdentityRun run;
    std::vector<Generation> covered;  // until a checkpoint names it: what it stands for
  };
  // A table on its way to disk.
  struct Sealing {
    std::shared_ptr<const IdentityTable> table;
    Generation about;
    std::vector<Generation> covered;
    std::vector<Fresh> fresh;  // of its entries
    std::future<Result<IdentityRun>> written;
  };
  // A run that is forgotten; its file goes once the store has forgotten it, too.
  struct Dropped {
    uint64_t number;
    bool in_store;  // the store was seen to name it
  };

  static Result<Identities> LoadFrom(Store& store, std::string_view space, Micros horizon,
                                     int64_t table_bytes);
  bool Gone(const Entry& entry) const;
  void Put(const Entry& entry);
  static void Note(const Entry& entry, Generation& generation);
  void Name(std::vector<Fresh>& fresh, Changes& changes, std::vector<Generation>& named);
  Status LoadGeneration(std::string_view key, std::string_view value);
  Status LoadRun(std::string_view key, std::string_view value);
  Status RemoveOrphans() const;
  std::string RunPath(uint64_t number) const;
  void Sweep(size_t slots);
  Status Seal();
  Status InstallIfWritten();
  Status Install();
  Status RemoveDropped(std::string_view space);

  Micros horizon_;
  Micros watermark_ = kNoTime;  // the newest seen
  Micros began_ = kNoTime;
  bool began_changed_ = false;
  IdentityTable table_;
  Generation about_;          // of all that was put into the table; its count is not kept
  int64_t erased_ = 0;        // entries of generations erased since the last sweep began
  bool sweeping_ = false;     // a sweep is not round yet
  std::vector<Fresh> fresh_;  // since the last checkpoint, or seal
  std::deque<Generation> generations_;
  uint64_t next_generation_ = 0;

  // The disk's side; all empty without a store.
  Store* store_ = nullptr;
  std::string run_prefix_;  // path of a run without its number
  size_t slots_max_ = SIZE_MAX;
  std::unique_ptr<Sealing> sealing_;
  std::deque<Run> runs_;    // oldest first
  size_t unannounced_ = 0;  // the newest runs no checkpoint has named yet
  std::vector<Dropped> dropped_;
  std::unordered_map<Hash128, Entry, Hash128Hasher> recalled_;
};

}  // namespace weir::state
