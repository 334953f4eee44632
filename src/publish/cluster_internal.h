// CLUSTER BY: the order of rows inside a data file.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "iceberg/table.h"

namespace weir::publish {

struct RowOrder {
  int id = 0;                // of the table's sort order, which files in it carry
  std::vector<int> columns;  // positions in the table's schema, most significant first
};

// The table's default sort order, if it is one that Weir writes: columns as they are,
// ascending, NULLs last. nullopt: rows stay as they come.
std::optional<RowOrder> OrderOf(const iceberg::Metadata& metadata);

// The rows in order, as indexes; equal ones stay as they came. -0.0 is 0.0, and NaN is
// greater than every number.
Result<std::vector<int32_t>> SortedRows(const arrow::RecordBatch& rows,
                                        const RowOrder& order);

}  // namespace weir::publish
