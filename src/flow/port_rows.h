// How changes go through DuckDB on their way into a stage.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "data/batch.h"
#include "duck/duck.h"
#include "plan/stage.h"

namespace weir::flow {

// `batch` with its weights as a last column `_weight`, and back. The schema of a relation
// that carries them.
Result<std::shared_ptr<arrow::RecordBatch>> WithWeightColumn(const data::Batch& batch);
Result<data::Batch> FromWeightColumn(const std::shared_ptr<arrow::RecordBatch>& rows);
data::Schema WithWeight(data::Schema schema);

// Where a port passes columns on as they are (plan::Port::passed), `_weight` carries the
// number of the row instead: its place among all rows of the step, of which this batch
// begins at `first`.
Result<std::shared_ptr<arrow::RecordBatch>> WithNumberColumn(const data::Batch& batch,
                                                             int64_t first);
// Adds to `out` the port's rows: the computed columns, as DuckDB gave them with their
// rows' numbers last, beside the columns and weights of the rows of `input` that have
// these numbers. They may lack rows, repeat them or stand in another order. What is taken
// in turn shares the input's buffers.
Status AddPassed(const plan::Port& port, std::span<const data::Batch> input,
                 const duck::RowBatches& computed, std::vector<data::Batch>* out);

}  // namespace weir::flow
