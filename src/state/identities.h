// Which records a source partition has seen: the memory behind the verdict "duplicate".
// Used by the one thread that owns the partition.
//
// An identity is forgotten exactly when the watermark has advanced by the horizon since
// its record was judged (the watermark taken after that verdict) and has passed the
// record's own event time. The watermark given to Lookup never falls. Byte table:
// docs/formats/state.md.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"
#include "state/state.h"

namespace weir::state {

class Identities {
 public:
  struct Entry {
    Hash128 id;
    uint64_t content = 0;            // hash of the record's canonical content
    Micros judged_at_watermark = 0;  // kNoTime: judged before there was a watermark
    Micros event_time = 0;
  };

  explicit Identities(Micros horizon);

  // What the last checkpoint that reached the store remembered.
  static Result<Identities> Load(Store& store, std::string_view space, Micros horizon);

  // nullptr: never seen, or forgotten. The pointer holds until the next Insert or
  // Checkpoint.
  const Entry* Lookup(Hash128 id, Micros watermark);
  // The same for many ids at one watermark; a miss in the cache of one does not hold up
  // the others.
  void LookupMany(std::span<const Hash128> ids, Micros watermark,
                  std::span<const Entry*> out);
  // Starts to bring the places of `ids` near, for Lookups that follow soon.
  void Prefetch(std::span<const Hash128> ids) const;

  // Remembers a record that Lookup does not find. `judged_watermark` may be kNoTime.
  void Insert(Hash128 id, uint64_t content, Micros judged_watermark, Micros event_time);

  // The partition has its first watermark: everything judged so far counts as judged at
  // `watermark`.
  void WatermarkBegan(Micros watermark);

  // Adds what was inserted since the last call as new generations, and erases generations
  // of which everything is forgotten.
  void Checkpoint(Delta& delta, std::string_view space);

  int64_t size() const {
    return count_;
  }  // forgotten ones count until their place is needed
  int64_t bytes() const;

 private:
  // One value in the store.
  struct Generation {
    uint64_t number = 0;
    int64_t count = 0;
    Micros judged_max = kNoTime, event_time_max = kNoTime;
    bool unjudged = false;  // has entries without watermark
  };

  bool Forgotten(Micros judged, Micros event_time, Micros watermark) const;
  size_t FindSlot(Hash128 id) const;
  void Put(const Entry& entry);
  void Rebuild();
  static void Note(const Entry& entry, Generation& generation);
  Status LoadGeneration(std::string_view key, std::string_view value);

  Micros horizon_;
  Micros watermark_ = kNoTime;  // the newest seen
  Micros began_ = kNoTime;
  bool began_changed_ = false;
  std::vector<Entry> slots_;  // open addressing, linear probing; id {0, 0} is a free slot
  int64_t count_ = 0,
          erased_ = 0;  // erased_: entries of generations erased since the last rebuild
  std::vector<Entry> fresh_;  // since the last checkpoint
  std::deque<Generation> generations_;
  uint64_t next_generation_ = 0;
};

}  // namespace weir::state
