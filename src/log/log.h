// The durable log of one source partition: what was acknowledged, in the order of
// acknowledgement. Byte tables: docs/formats/log.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/id.h"
#include "base/result.h"
#include "base/time.h"
#include "io/io.h"

namespace weir::log {

// What the partition's owner decided about a record; stored with it, never judged again
// (DESIGN rule 4).
enum class Verdict : uint8_t {
  kAccepted = 0,
  kRejected = 1,
  kDuplicate = 2,
  kConflict = 3 /* a duplicate of other content */,
  kLate = 4,
  kBlocked = 5
};

struct Record {
  std::string_view bytes;  // as received
  Verdict verdict = Verdict::kAccepted;
  Hash128 identity;      // zero when rejected or without identity
  uint64_t content = 0;  // hash of the canonical content
  Micros event_time = kNoTime;
};

// A batch of records appended together; all have the same arrival stamp.
struct RecordBatchView {
  LogOffset first;
  Micros received_at = 0;
  std::vector<Record> records;  // bytes point into `storage`
  std::shared_ptr<std::string> storage;
};

// A decision that a replay must repeat: going idle, waking with a floor, a new contract
// version.
struct ControlRecord {
  LogOffset at;      // in force before this offset
  std::string kind;  // "idle", "wake", "contract"
  std::string json;  // its fields
};

struct LogOptions {
  uint64_t segment_bytes_max = 64
                               << 20;  // a segment is closed by the sync that reaches it
  int zstd_level = 1;
  // The newest segment is filled with zeros so far ahead, in steps, that most syncs need
  // not change the file's size: half as many writes to the disk. 0: never.
  uint64_t ahead_bytes = 0;
  // Owner epoch of this process, which opens the log once: what it appends goes into
  // segments of its own, and those of earlier owners are never written again, since one
  // of them may still be alive. What such a one appends after this Open is no part of the
  // log. 0: there is one process only; it continues the newest segment.
  int64_t owner = 0;
};

// Appends are made durable by Sync(): an offset is acknowledged only after the Sync that
// follows its Append returned ok. After a failed sync every further call fails (fsync may
// fail once and succeed later with the data lost, so a failed sync is final). Used by one
// thread; readers (Read) may be many and see only synced records.
class Log {
 public:
  virtual ~Log() = default;
  // A torn tail (an append that was never acknowledged) is cut. A bad checksum before the
  // tail is kCorrupt, named with file and offset; records behind it stay readable, the
  // bad batch is never served.
  static Result<std::unique_ptr<Log>> Open(io::Io& io, const std::string& dir,
                                           LogOptions options);

  // Returns the offset of the first record.
  virtual Result<LogOffset> Append(Micros received_at,
                                   std::span<const Record> records) = 0;
  virtual Status AppendControl(std::string_view kind, std::string_view json) = 0;
  virtual Status Sync() = 0;

  virtual LogOffset begin() const = 0;  // oldest offset still here
  virtual LogOffset end() const = 0;    // next offset to be given

  // Calls `batch`/`control` for everything synced from `from` on, in order, until they
  // return false or the end. `from` may lie inside a batch; the batch is cut. kNotFound:
  // `from` was released. kCorrupt: something from `from` on fails its checksum; all
  // before it was visited. With `payload` false the records' bytes are empty and nothing
  // is decompressed.
  struct Visitor {
    std::function<Result<bool>(const RecordBatchView&)> batch;
    std::function<Result<bool>(const ControlRecord&)> control;  // may be empty
    bool payload = true;
  };
  virtual Status Read(LogOffset from, const Visitor& visitor) = 0;

  // Everything below `offset` is committed. Whole sealed segments below it are moved to
  // `archive_dir` (kept as raw), or removed when that is empty. May keep more than asked.
  virtual Status Release(LogOffset offset, const std::string& archive_dir) = 0;
  virtual uint64_t bytes() const = 0;
  // About as many of them hold `from` and what follows. Safe for concurrent use.
  virtual uint64_t bytes_from(LogOffset from) const = 0;
};

}  // namespace weir::log
