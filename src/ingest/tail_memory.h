// What the log holds beyond the last commit, findable by identity before any of it was
// decoded or brought into the identity memory: so that a partition can judge new records
// at once after a restart and catch up behind.
//
// Only the frames' indexes are read (their checksums are verified; the payloads' are when
// the records are handed over). It costs about 11 bytes of memory a record and 30 to 50
// ns.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "base/hash.h"
#include "base/id.h"
#include "base/result.h"
#include "base/time.h"
#include "ingest/verdict.h"
#include "log/log.h"
#include "state/identities.h"

namespace weir::ingest {

// 2^n words that are zero at first; whole pages, huge ones where the system has them:
// tables are made by the hundred megabytes, and page faults would cost more than filling.
class SlotTable {
 public:
  SlotTable() {}
  explicit SlotTable(size_t size);
  uint64_t& operator[](size_t at) { return words_.get()[at]; }
  uint64_t operator[](size_t at) const { return words_.get()[at]; }
  size_t size() const { return words_.get_deleter().size; }

 private:
  struct Unmap {
    size_t size;
    void operator()(uint64_t* words) const;
  };
  std::unique_ptr<uint64_t, Unmap> words_{nullptr, Unmap{0}};
};

// Used by one thread, the partition's.
class TailMemory {
 public:
  // Walks what `log` holds from `from` on; `watermark` is W_p there. kCorrupt: an index
  // does not pass its checksum. `log` must live longer.
  static Result<TailMemory> Read(log::Log& log, LogOffset from, const VerdictRule& rule,
                                 Micros watermark, size_t chunk_records = 3 << 19);

  // W_p behind the last record.
  Micros watermark() const { return watermark_.value(); }
  // The partition's first watermark, if it came within; else kNoTime.
  Micros began() const { return began_; }
  // It came behind the last record, and what was judged before counts as judged at it.
  void Began(Micros began) { began_ = began; }

  // The newest accepted or late record with this identity.
  Result<std::optional<state::Identities::Entry>> Find(Hash128 id);

  // What stands below `offset` is known elsewhere and may be forgotten.
  void Forget(LogOffset offset);
  bool empty() const { return chunks_.empty(); }
  uint64_t bytes() const;

 private:
  // A run of frames with a table of their identities.
  struct Chunk {
    struct FrameStart {
      int64_t first;
      Micros watermark;  // before it
    };
    // Ordinal of the record + 1 (low half; 0: free) and a tag of its identity; open
    // addressing, linear probing. Later records stand behind earlier ones of one
    // identity.
    SlotTable slots;
    std::vector<FrameStart> frames;
    int64_t end = 0;
    int64_t first() const { return frames.front().first; }
  };
  struct Noted {
    uint64_t hash;
    uint32_t ordinal;
  };
  struct Built {
    Chunk chunk;
    std::vector<Noted> noted;  // to be used again
  };
  static Built Build(Chunk chunk, std::vector<Noted> noted);
  // What one frame says of its records.
  struct Frame {
    int64_t first = -1;
    std::vector<state::Identities::Entry> entries;  // id {0, 0}: nothing to remember
  };

  TailMemory(log::Log& log, const VerdictRule& rule, Micros watermark,
             size_t chunk_records)
      : log_(&log),
        rule_(rule),
        chunk_records_(chunk_records),
        watermark_(rule, watermark) {}
  void Note(const log::RecordBatchView& batch);
  void CloseChunk();
  std::vector<Noted> TakeBuilt();
  Status LoadFrame(const Chunk::FrameStart& start);

  log::Log* log_;
  VerdictRule rule_;
  size_t chunk_records_;  // a table of so many records is what a cache can hold
  PartitionWatermark watermark_;
  Micros began_ = kNoTime;
  std::vector<Chunk> chunks_;  // ascending
  // Of the chunk that is being read.
  std::vector<Noted> noted_;
  Chunk open_;
  std::future<Built> built_;  // the one before
  Frame loaded_;
};

}  // namespace weir::ingest
