// The rows of a table at a snapshot, deleted ones left out.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/type.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "scan/predicate.h"

namespace weir::scan {

struct ScanOptions {
  std::optional<std::vector<int>> field_ids;  // top-level columns wanted, in order; may
                                              // be none, for counting; nullopt: all
  std::vector<Predicate> predicates;          // all of them hold for every wanted row
  int64_t batch_rows = 64 << 10;
};

// Counts up to now.
struct ScanStatistics {
  int64_t files = 0, files_pruned = 0;            // pruned ones were not opened
  int64_t row_groups = 0, row_groups_pruned = 0;  // of the opened files
  int64_t rows = 0, rows_deleted = 0;             // read; of these deleted by vectors
};

// Pulls batches file by file, in manifest order, rows in file order. Used by one thread.
class TableScan {
 public:
  virtual ~TableScan() = default;
  // Null at the end. Errors name the file.
  virtual Result<std::shared_ptr<arrow::RecordBatch>> Next() = 0;
  virtual const data::Schema& schema() const = 0;  // of the batches
  virtual const ScanStatistics& statistics() const = 0;
};

// The columns a snapshot had.
const data::Schema& SchemaOf(const iceberg::Metadata& metadata,
                             const iceberg::Snapshot& snapshot);

// `schema` names the table's columns the rows are wanted in: SchemaOf's, or the table's
// current one.
Result<std::unique_ptr<TableScan>> ScanTable(io::Io& io,
                                             const iceberg::Metadata& metadata,
                                             const iceberg::Snapshot& snapshot,
                                             const data::Schema& schema,
                                             ScanOptions options);

// The same over chosen files.
std::unique_ptr<TableScan> ScanFiles(io::Io& io, const iceberg::Metadata& metadata,
                                     std::vector<iceberg::LiveFile> files,
                                     const data::Schema& schema, ScanOptions options);

}  // namespace weir::scan
