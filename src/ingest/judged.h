// What sources hand to the flow: judged batches, markers that cut epochs, and news about
// partitions.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"
#include "contract/contract.h"
#include "data/batch.h"
#include "state/state.h"

namespace weir::ingest {

inline constexpr size_t kReasons = 10;  // of contract::Reason

// One line of the ledger. `received` is counted by the framer, the rest by the verdicts.
struct Counts {
  int64_t received = 0, accepted = 0, rejected = 0, duplicate = 0, conflicting = 0,
          late = 0, blocked = 0;
  std::array<int64_t, kReasons> rejected_by_reason{};

  void Add(const Counts& other);
  // received = accepted + rejected + duplicate + late + blocked, and the reasons add up
  // to rejected.
  bool balanced() const;
};

// What came out of a file so far.
struct FileProgress {
  int64_t rows = 0, accepted = 0, rejected = 0, duplicate = 0, late = 0;
  Micros first_event = kNoTime, last_event = kNoTime;  // of the accepted records
};

// How far a source partition has been taken in; part of every frontier.
struct PartitionPosition {
  int partition = 0;
  LogOffset next{};            // offset of the next record
  Micros watermark = kNoTime;  // W_p
  int64_t file =
      -1;  // of files: ordinal of the file being read, in journal order (-1: none yet)
  uint64_t file_byte = 0;  // decompressed bytes of it taken
  FileProgress progress;   // of that file
  bool idle = true;        // nothing known to be unread
  std::string content;     // of reference data: JSON of the files whose content is in
};

struct JudgedBatch {
  PartitionPosition after;  // once this batch is in
  LogOffset first{};
  data::Batch accepted, rejected, late,
      conflicting;  // rows of bronze, $rejected, $late, $duplicate; `rows` null when none
  data::Batch arrivals;  // rows of $arrivals; likewise
  Counts counts;
  int64_t bytes = 0;  // of the records as received
};

// "Everything this source handed over before belongs to epoch `number`, nothing after it
// does."
struct Marker {
  int64_t number = 0;
  state::Delta delta;                        // the identity memory's changes of the epoch
  std::vector<PartitionPosition> positions;  // of all its partitions
};

// News that moves no rows: a partition became active or idle, or was woken.
struct PartitionNews {
  PartitionPosition position;
};

// A file that was not taken in, or not whole. Of a file that was journalled what was
// framed before the fault is in the ledger; the rest is in no table and no count, now and
// in later runs, so the fault itself is kept beside the counts. Any other file is looked
// at again by the next run.
struct FileFault {
  std::string path;
  std::string error;        // names the path
  std::string fix;          // what to do
  int64_t bytes_taken = 0;  // decompressed, before the fault
  bool journalled = false;
};

// Nothing more will come in this run (run --once). Markers are answered still.
struct EndOfInput {};

struct SourceEvent {
  size_t source = 0;  // index of the source
  std::variant<JudgedBatch, Marker, PartitionNews, FileFault, EndOfInput, Error> what;
};

// The tables of one source and their schemas (docs/formats/system_tables.md). Field ids
// are not assigned.
struct SourceTables {
  std::string bronze, rejected, late,
      duplicate;  // "bronze.ride_events", "bronze.ride_events$rejected" …
  data::Schema bronze_schema, rejected_schema, late_schema;  // $duplicate is like $late
  std::string arrivals;  // "bronze.ride_events$arrivals"; empty: no server has files
  data::Schema arrivals_schema;
  bool keyed = false;  // of reference data: rows of bronze come and go, and there is
                       // neither $late nor $duplicate
};
SourceTables TablesOf(const contract::Contract& contract);

}  // namespace weir::ingest
