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

// Judges the records of one partition in log order: rejected, else duplicate, else late,
// else accepted. Owns the partition's watermark W_p and its memory of identities. Used by
// the one thread that owns the partition.
//
// Invariant: a verdict depends on nothing but the records before it in the partition and
// on control records (wake).
class PartitionJudge {
 public:
  PartitionJudge(VerdictRule rule, state::Identities identities, Micros watermark);

  // Judges rows[i] for every i in turn and writes out[rows[i]]. `arrival` is the stamp of
  // the whole batch. Errors: of the disk behind the memory of identities; nothing was
  // judged.
  Status Judge(const Evidence& evidence, std::span<const int32_t> rows, Micros arrival,
               std::span<log::Verdict> out);

  // Takes over verdicts given earlier (read from the log), so that memory and watermark
  // continue from them.
  Status Remember(std::span<const log::Record> records, Micros arrival);

  // A partition that was idle continues: W_p = max(W_p, floor).
  void Wake(Micros floor);

  Micros watermark() const { return watermark_; }
  state::Identities& identities() { return identities_; }

 private:
  // Accepts one record: moves W_p unless the stamp lies too far in the future.
  void MoveWatermark(Micros event_time, Micros arrival);

  const VerdictRule rule_;
  state::Identities identities_;
  Micros watermark_;
};

}  // namespace weir::ingest
