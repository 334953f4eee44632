// The columns of one batch in the forms the kernels read: plain numbers and bit masks.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ops/cells.h"

namespace weir::ops {

// Whether the values of a type map to int64 in order, one to one (of floats all NaNs are
// one and the greatest, both zeros are one).
bool IsOrdinal(const data::Type& type);
// The inverse of BatchColumns::Ordinals, as a cell.
void AppendOrdinal(int64_t ordinal, const data::Type& type, CellColumn* out);

class BatchColumns {
 public:
  // Views `rows` until the next Load. Only `used` columns can be asked for.
  Status Load(std::shared_ptr<arrow::RecordBatch> rows, const data::Schema& schema,
              std::span<const int> used);

  size_t rows() const { return rows_; }
  const std::shared_ptr<arrow::RecordBatch>& batch() const { return batch_; }
  const InputColumn& Column(int column) const {
    return *columns_[static_cast<size_t>(column)].input;
  }
  // Rows where a bool column is true.
  const Bits& True(int column);
  // Values of integers, bool, decimals of up to 18 digits and stamps; of NULL rows
  // anything.
  const int64_t* Integers(int column);
  // Integers that order as the values do, of an ordinal type.
  const int64_t* Ordinals(int column);
  // Values of float and double.
  const double* Doubles(int column);

 private:
  struct Forms {
    std::optional<InputColumn> input;
    Bits is_true;
    std::vector<int64_t> integers, ordinals;
    std::vector<double> doubles;
  };
  Forms& At(int column) { return columns_[static_cast<size_t>(column)]; }

  std::shared_ptr<arrow::RecordBatch> batch_;
  size_t rows_ = 0;
  std::vector<Forms> columns_;
};

}  // namespace weir::ops
