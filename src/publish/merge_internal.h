// Which files to rewrite into fewer, and the rewriting.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "iceberg/deletion_vector.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "publish/cluster_internal.h"
#include "publish/file_set_internal.h"

namespace weir::publish {

struct Run {
  size_t first = 0, last = 0;  // files [first, last)
  friend bool operator==(const Run&, const Run&) = default;
};

struct MergeRule {
  int files_min = 8;
  int64_t small_file_bytes = 16 << 20;
  int64_t bytes_target = 128 << 20;
};

// Runs of adjacent small files worth merging. No file of a run is larger than the rest of
// the run together, so every merge at least doubles the file a row lives in: a row is
// rewritten O(log(small_file_bytes / first size)) times, and fewer than 2 * files_min +
// log files stay small.
std::vector<Run> ChooseMerges(std::span<const int64_t> file_bytes, const MergeRule& rule);

struct MergeInput {
  const iceberg::DataFile* file;
  const iceberg::Positions* deleted;  // may be null
};

// The table's columns, followed in version 3 by `_row_id` and
// `_last_updated_sequence_number`, which rewritten files must carry.
data::Schema WithLineage(const data::Schema& schema);

// In which order rows are copied: as they stand in the inputs, or sorted, so many of them
// (or of so many bytes of files) at a time, each time into files of their own.
struct CopyOrder {
  std::optional<RowOrder> order;
  int64_t file_bytes_max = 0, rows_max = 0;
};

// Where a row stood: in the how-manieth input, at which position.
struct Origin {
  size_t input = 0;
  int32_t position = 0;
};

// Copies the live rows of the inputs into `out`. With `lineage` rows keep their row id
// and sequence number (the set's schema is WithLineage's). `moved` gets, for each batch
// copied, the table's columns, the old places of its rows, and the new ones.
using OnMoved =
    std::function<Status(const arrow::RecordBatch& rows, std::span<const Origin> origins,
                         std::span<const Placement> placements)>;
Status CopyLive(io::Io& io, const data::Schema& schema, bool lineage,
                std::span<const MergeInput> inputs, const CopyOrder& order,
                const Tuple& partition, FileSet& out, const OnMoved& moved);

}  // namespace weir::publish
