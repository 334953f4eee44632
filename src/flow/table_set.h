// The tables of a flow: created, written on a thread of their own, staged for the commit.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/memory.h"
#include "base/result.h"
#include "base/time.h"
#include "commit/committer.h"
#include "data/batch.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "publish/table_writer.h"

namespace weir::flow {

struct TableSpec {
  std::string name;
  data::Schema schema;  // ids not assigned
  bool keyed = false;   // else append-only
  std::vector<std::string> key;
  std::vector<std::pair<iceberg::Transform, std::string>>
      partition_by;  // transform, column
  std::vector<std::string> cluster_by;
  std::string comment;
  std::vector<std::pair<std::string, std::string>> properties;  // TBLPROPERTIES
};

// Used by the flow's thread. Encoding runs on one thread inside: Append hands a batch
// over and returns.
class TableSet {
 public:
  // When it gives way, its threads stand behind others (base/latency.h), and small files
  // of append-only tables are merged beside the epochs: nothing visible waits for it.
  TableSet(io::Io& io, Clock& clock, commit::Committer& committer, std::string data_dir,
           MemoryBudget& memory, int64_t file_bytes, bool gives_way);
  ~TableSet();

  // Opens the table, or plans its creation with the next Close. A schema that grew is
  // changed in place; one that cannot be is kInvalid. Again, before anything was
  // appended: looks anew.
  Status Open(const TableSpec& spec);
  // The committed version: 0 while nothing was committed.
  SnapshotId Version(const std::string& table) const;
  const iceberg::Metadata& metadata(const std::string& table) const;

  // Rows or changes, columns as in the spec. Errors of the encoding thread surface at
  // Close.
  void Append(const std::string& table, data::Batch changes);

  // Waits until everything appended is encoded; then Close may be called.
  void Quiesce();
  // Finishes the table's epoch and stages its change: all files are on disk afterwards;
  // nullopt when nothing changed. `summary` goes into the snapshot. After an error the
  // table's epoch is abandoned; other tables are not touched.
  Result<std::optional<iceberg::Staged>> Close(
      const std::string& table, Epoch epoch,
      const std::map<std::string, std::string>& summary,
      const std::vector<SnapshotId>& keep, state::Delta& delta);
  // The same for several tables, which are encoded, synced and staged beside each other;
  // one result a table, in their order. A staged table that is not committed after all
  // must be abandoned.
  struct Closed {
    Result<std::optional<iceberg::Staged>> staged;
    state::Delta delta;
  };
  std::vector<Closed> CloseAll(std::span<const std::string> tables, Epoch epoch,
                               const std::map<std::string, std::string>& summary,
                               const std::vector<SnapshotId>& keep);
  // Forgets what was appended to the table since the last commit.
  void Abandon(const std::string& table);
  // After the commit.
  void Committed(const std::vector<iceberg::Staged>& staged);

  publish::TableWriter::Counters counters() const;

 private:
  struct Slot {
    TableSpec spec;
    iceberg::Metadata metadata;
    std::string location;  // of the committed metadata file; empty: not created yet
    bool metadata_changed = false;
    std::unique_ptr<publish::TableWriter> writer;
    MemoryClaim claim;  // on buffers: what the writer has taken and not written yet
    std::optional<Error>
        error;  // of the encoding thread, which owns it between two Quiesce calls
  };
  struct Task {
    Slot* slot = nullptr;
    data::Batch changes;
    std::function<void()> barrier;
  };

  Status OpenWriter(Slot& slot);
  iceberg::Metadata Fresh(const TableSpec& spec, const std::string& location) const;
  void EncodeLoop();

  io::Io& io_;
  Clock& clock_;
  commit::Committer& committer_;
  const std::string data_dir_;
  MemoryBudget& memory_;
  const int64_t file_bytes_;
  std::map<std::string, Slot> slots_;
  BoundedQueue<Task> queue_;
  std::thread encoder_;
  const bool gives_way_;
  BoundedQueue<std::function<void()>> chores_;
  std::thread maintainer_;  // does them; when it gives way
};

}  // namespace weir::flow
