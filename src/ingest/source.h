// A source at work: a thread that reads, judges and hands over.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bounded_queue.h"
#include "base/guarded.h"
#include "base/result.h"
#include "base/time.h"
#include "contract/contract.h"
#include "ingest/event_sink.h"
#include "ingest/judged.h"
#include "io/io.h"
#include "log/journal.h"
#include "state/state.h"

namespace weir::ingest {

using EventQueue = BoundedQueue<SourceEvent>;
using SharedJournal = Guarded<std::unique_ptr<log::Journal>>;

// What every source is given. All of it outlives the source.
struct SourceContext {
  size_t index = 0;  // of the source, put into its events
  const contract::Contract* contract = nullptr;
  io::Io* io = nullptr;
  Clock* clock = nullptr;
  SharedJournal* journal = nullptr;
  EventQueue* queue = nullptr;
  state::Store* store = nullptr;      // for the identity memory of the last commit
  int64_t identity_bytes = 64 << 20;  // of identities in memory, per partition (see
                                      // state::Identities::Load)
  const std::atomic<Micros>* global_watermark =
      nullptr;  // the floor of waking partitions
  std::vector<PartitionPosition>
      committed;            // where to continue; empty: from the beginning
  int64_t last_marker = 0;  // of the last commit
  int64_t steps_per_marker =
      0;  // sends a marker by itself after so many batches; 0: only when asked
  int64_t step_rows = 0, step_bytes = 0, record_bytes_max = 0;
};

// Owns one thread. Batches of one partition are handed over in log order; between two
// markers exactly what belongs to that epoch.
class Source {
 public:
  virtual ~Source() = default;  // as Stop(), and joins
  // Finds what is there to be read. Called for all sources before the first one starts:
  // what begins together must find no watermark of another, which would make its records
  // late.
  virtual Status Discover() { return {}; }
  virtual Status Start() = 0;
  // Asks for all markers up to `number`; answered soon, also when there is no input.
  virtual void RequestMarker(int64_t number) = 0;
  // Takes no more input; what was taken is handed over, and markers are still answered.
  virtual void StopTaking() = 0;
  // Ends the thread.
  virtual void Stop() = 0;
  // Everything below these positions is committed.
  virtual void Committed(const std::map<int, PartitionPosition>& positions) = 0;
  virtual const SourceTables& tables() const = 0;
};

struct FileSourceOptions {
  std::string location;                  // see FilePattern
  std::optional<codec::CsvDialect> csv;  // else NDJSON, or …
  bool parquet = false;
  int first_partition = 0;  // added to the partition numbers
  bool once = true;         // one scan, then EndOfInput; else scans every second
  Micros quiet = 0;         // see FileCatalog::Scan
};
Result<std::unique_ptr<Source>> NewFileSource(SourceContext context,
                                              FileSourceOptions options);

// Reference data: the newest content of the files is the table. When it changes, what is
// different goes to the flow as one batch of insertions and deletions; every record that
// was read for it is in the counts. Files that are gone or cannot be read leave the
// content that was there. The content is in the partition's position, so it commits with
// the table.
struct ReferenceSourceOptions {
  std::string location;                  // see FilePattern
  std::optional<codec::CsvDialect> csv;  // else NDJSON, or …
  bool parquet = false;
  int partition = 0;
  bool once = true;  // looks once, then EndOfInput; else looks every second
  Micros quiet = 0;  // as FileSourceOptions::quiet
  // The table's committed rows; called by Start.
  std::function<Result<std::vector<data::Batch>>()> committed_rows;
};
// Start looks for the first time, and hands over what it finds before it returns.
Result<std::unique_ptr<Source>> NewReferenceSource(SourceContext context,
                                                   ReferenceSourceOptions options);

struct LogSourceOptions {
  std::string dir;  // log/<source>: a folder per partition
  std::string
      archive_dir;  // where released segments are kept as raw; empty: they are removed
  int first_partition = 0;
  int partitions = 1;  // fixed when the source is made
  bool live = false;   // takes records; else only what the log holds beyond the last
                       // commit is handed over, then EndOfInput
  int64_t waiting_bytes_max =
      64 << 20;  // of records handed in and not yet durable; then kFull
  int64_t offered_bytes_max = 32 << 20;  // of records kept in memory until the flow takes
                                         // them; what is more is read from the log again
  // See log::LogOptions. The sync that makes room writes all of it to the disk, so small
  // steps keep answers even; a step for each sync would write everything twice.
  int64_t log_ahead_bytes = 512 << 10;
  int64_t backlog_bytes_max = int64_t{4}
                              << 30;  // of the log, not yet handed over; then kFull
  int64_t owner = 0;                  // owner epoch, see log::LogOptions
  std::function<bool()> lease_valid;  // an acknowledgement counts only while this holds
};
// A source kept by Weir's own log. Push is the EventSink's, for this source only.
class LogSource : public Source {
 public:
  virtual void Push(std::shared_ptr<std::string> body,
                    std::vector<std::string_view> records,
                    std::function<void(PushResult)> done) = 0;
};
Result<std::unique_ptr<LogSource>> NewLogSource(SourceContext context,
                                                LogSourceOptions options);

// "ids/<source>/<partition>": where the state store keeps a partition's identities.
std::string IdentitySpace(const contract::Contract& contract, int partition);

}  // namespace weir::ingest
