// Changes of one table into data files, deletion vectors and the key index, an epoch at a
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/memory.h"
#include "base/result.h"
#include "data/batch.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "state/state.h"

namespace weir::publish {

struct TableWriterOptions {
  std::string name;            // "silver.trips"
  iceberg::Metadata metadata;  // as committed, or MakeMetadata's for a table whose first
                               // commit is still to come

  // Append-only tables take insertions only. Keyed ones (format version 3) take
  // retractions too, found through the key index: by `key`, whose values are unique among
  // live rows, or without it by the whole row, of which there may be several equal ones.
  bool keyed = false;
  std::vector<std::string> key;
  state::Store* store =
      nullptr;  // where the key index is kept; keyed tables only; must outlive the writer
  MemoryBudget* memory = nullptr;  // of the key indexes; may be null

  int64_t file_bytes_target = 128 << 20;
  int64_t open_bytes_max = 256 << 20;  // encoded but unfinished, over all partitions;
                                       // then the largest file is closed
  int64_t index_bytes_max =
      256 << 20;  // key index in memory; beyond it positions are read from the store
  int64_t vector_bytes_max = 64 << 20;  // deletion vectors in memory
  int64_t small_file_bytes = 16 << 20;  // files below are merged when …
  int merge_files_min = 8;              // … so many of one partition stand side by side
  double deleted_share_max =
      0.3;  // files with a larger share of deleted rows are rewritten
  int64_t rewrite_bytes_max =
      64 << 20;  // … but not more than this in one epoch (one file always)
  // A table with a sort order: new rows wait until there are so many bytes of them or the
  // epoch ends, and are written in order, to files of their own.
  int64_t sort_bytes_max = 64 << 20;
  // When files are merged: so many rows, or rows of 2 * small_file_bytes of files, are
  // sorted together. A file of half as many rows is not small any more.
  int64_t sort_rows_max = 4 << 20;
  int zstd_level = 1;

  // Has a piece of work done on another thread, surely and soon: an append-only table
  // then merges its small files beside the epochs, and the first epoch that closes after
  // a merge publishes it. Empty: Finish does it.
  std::function<void(std::function<void()>)> beside;
};

// The order of an epoch: Append…, Finish, then the caller stages and commits the file
// change and applies the delta to the store, then Committed; or Abandon. Append for the
// next epoch may begin right after Finish. Cost follows the change, not the table. Used
// by one thread.
class TableWriter {
 public:
  virtual ~TableWriter() = default;

  // kConflict: the key index is not of this table's current snapshot (lost state, or
  // somebody else committed): see rebuild.h.
  static Result<std::unique_ptr<TableWriter>> Open(io::Io& io,
                                                   TableWriterOptions options);

  // The columns are those of the table's current schema, in order.
  virtual Status Append(data::Batch changes) = 0;

  // Closes the epoch's files: all are synced, their folder too. nullopt: nothing changed.
  // Index changes go into the delta. Rows inserted and deleted within the epoch leave no
  // trace. kInvalid: the declared key is false (the message shows both rows), or a
  // retraction reached an append-only table. After an error only Abandon is left.
  virtual Result<std::optional<iceberg::FileChange>> Finish(Epoch epoch,
                                                            state::Delta& delta) = 0;

  // The change is committed as part of `metadata` and the delta is applied to the store.
  virtual void Committed(const iceberg::Metadata& metadata) = 0;

  // Forgets what was appended, and the files written for it, since the last Committed.
  // Not while a commit's outcome is unknown: it may need the files.
  virtual void Abandon() = 0;

  virtual int64_t buffered_bytes() const = 0;  // not yet encoded
  struct Counters {
    int64_t rows_written = 0, rows_deleted = 0, files_written = 0, files_merged = 0,
            rows_rewritten = 0;
  };
  virtual const Counters& counters() const = 0;
};

}  // namespace weir::publish
