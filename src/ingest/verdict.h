// The verdict rule: what becomes of each record of one source partition.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/time.h"
#include "log/log.h"
#include "state/identities.h"

namespace weir::ingest {

struct VerdictRule {
  bool has_event_time = false;
  bool has_identity = false;
  Micros lateness = 0;
  Micros identity_memory = 0;              // H
  std::optional<Micros> future_allowance;  // nullopt: off
};

// What the rule looks at, a column per property; all spans have one entry per record, in
// log order.
struct Evidence {
  std::span<const uint8_t> rejected;  // 1: the contract refused it
  std::span<const Hash128> identity;  // empty when the source has none
  std::span<const uint64_t> content;
  std::span<const Micros> event_time;  // kNoTime where there is none
};

// A partition's watermark: W_p = newest accepted event time − lateness, or the floor it
// was woken with. Copies go their own way: what is read again from the log is followed
// with one that starts where the reading does.
class PartitionWatermark {
 public:
  PartitionWatermark(const VerdictRule& rule, Micros value)
      : has_event_time_(rule.has_event_time),
        lateness_(rule.lateness),
        future_allowance_(rule.future_allowance),
        value_(value) {}

  // An accepted record; moves nothing when its stamp lies too far in the future. True:
  // the partition has its first watermark by it.
  bool Accept(Micros event_time, Micros arrival);
  // max(W_p, floor). True: as above.
  bool Wake(Micros floor);
  Micros value() const { return value_; }

 private:
  bool Raise(Micros mark);

  bool has_event_time_;
  Micros lateness_;
  std::optional<Micros> future_allowance_;
  Micros value_;
};

// Judges the records of one partition in log order: rejected, else duplicate, else late,
// else accepted. Owns the partition's watermark W_p and its memory of identities. Used by
// the one thread that owns the partition.
//
// Invariant: a verdict depends on nothing but the records before it in the partition and
// on control records (wake).
class PartitionJudge {
 public:
  PartitionJudge(VerdictRule rule, state::Identities identities, Micros watermark);
  // `began` is the partition's first watermark, when it came behind what `identities`
  // holds.
  void Began(Micros began);

  // Judges rows[i] for every i in turn and writes out[rows[i]]. `arrival` is the stamp of
  // the whole batch. Errors: of the disk behind the memory of identities; nothing was
  // judged.
  Status Judge(const Evidence& evidence, std::span<const int32_t> rows, Micros arrival,
               std::span<log::Verdict> out);

  // Takes over verdicts given earlier (read from the log), so that memory and watermark
  // continue from them.
  Status Remember(std::span<const log::Record> records, Micros arrival);
  // The same for records that lie behind what this judge judges already: `past` is the
  // watermark where they begin, and follows them.
  Status RememberPast(std::span<const log::Record> records, Micros arrival,
                      PartitionWatermark& past);
  // Remembers what was found in the log, unless it is known.
  Status RememberFound(std::span<const state::Identities::Entry> found);

  // A partition that was idle continues: W_p = max(W_p, floor).
  void Wake(Micros floor);

  Micros watermark() const { return watermark_.value(); }
  // The first watermark, if it came while this judge was there; else kNoTime.
  Micros began() const { return began_; }
  state::Identities& identities() { return identities_; }

 private:
  void RememberOne(const state::Identities::Entry& entry);

  const VerdictRule rule_;
  state::Identities identities_;
  PartitionWatermark watermark_;
  Micros began_ = kNoTime;
};

}  // namespace weir::ingest
