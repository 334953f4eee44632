// The identity memory of a source partition, made anew from its tables: when the state
// was lost.
//
// bronze and $late hold every record that was accepted or late, with its offset and its
// arrival, so the watermark behind each verdict is found again by going over them in
// order, with the floors that the partition was woken with. Floors stand in the journal
// or in the log. Where a part of the log was not kept (weir.raw: drop), they may be
// unknown: then every record counts as judged as late as it can have been, so that an
// identity is forgotten later than by the rule, never earlier.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "contract/contract.h"
#include "iceberg/table.h"
#include "ingest/judged.h"
#include "ingest/verdict.h"
#include "io/io.h"
#include "log/journal.h"
#include "state/identities.h"

namespace weir::ingest {

// What a partition was woken with, and the offset of the first record it counts for.
struct WakingFloor {
  LogOffset at;
  Micros floor;
};
struct WakingFloors {
  std::vector<WakingFloor> floors;  // by offset
  bool complete = true;             // no others can have been
};

// Of a partition of files.
Result<WakingFloors> JournalledFloors(log::Journal& journal, const std::string& source,
                                      int partition);
// Of a partition of the log: from `archive_dir` (empty: nothing is archived) and `dir`.
Result<WakingFloors> LoggedFloors(io::Io& io, const std::string& dir,
                                  const std::string& archive_dir);

struct IdentityRebuild {
  const contract::Contract* contract = nullptr;
  // The tables as the position below left them.
  const iceberg::Metadata* bronze = nullptr;
  const iceberg::Metadata* late = nullptr;
  PartitionPosition position;
  bool live = false;  // see RuleOf
  WakingFloors floors;
};
struct RebuiltIdentities {
  int64_t records = 0;  // looked at
  int64_t remembered = 0;
  bool exact = true;  // else the rule at the top of this file
};

// Puts the identities that are not forgotten at the position's watermark into `into`,
// which is empty. Reads a window of offsets at a time, twice at most; calls `checkpoint`
// after each one that brought something.
Result<RebuiltIdentities> RebuildIdentities(io::Io& io, const IdentityRebuild& what,
                                            state::Identities& into,
                                            const std::function<Status()>& checkpoint);

}  // namespace weir::ingest
