// Batch: rows as Arrow columns, and a weight for each: +1 inserted, -1 deleted (a Z-set).
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace weir::data {

struct Batch {
  std::shared_ptr<arrow::RecordBatch> rows;
  std::vector<int32_t> weights;  // one a row; empty: all +1

  int64_t num_rows() const;
  int32_t weight(int64_t row) const {
    return weights.empty() ? 1 : weights[static_cast<size_t>(row)];
  }
  bool append_only() const { return weights.empty(); }
};

// Bytes the batch's buffers hold (slices count their part only, roughly).
int64_t ByteSize(const Batch& batch);

// The rows whose indices are given, in that order, with their weights.
Result<Batch> Take(const Batch& batch, std::span<const int32_t> rows);

// One batch out of many of one schema. Not empty.
Result<Batch> Concat(std::span<const Batch> batches);

// The columns at these positions, in this order; shares buffers.
Batch SelectColumns(const Batch& batch, std::span<const int> columns);

// Byte strings, one a row, in one buffer. Row i is bytes [offsets[i], offsets[i+1]).
struct RowBytes {
  std::string bytes;
  std::vector<uint32_t> offsets{0};
  size_t size() const { return offsets.size() - 1; }
  std::string_view operator[](size_t i) const {
    return std::string_view(bytes).substr(offsets[i], offsets[i + 1] - offsets[i]);
  }
};

// Encodes the columns of each row so that equal rows, and only they, have equal bytes,
// and memcmp orders rows by the columns in turn, NULLs last. -0.0 is 0.0 and all NaNs are
// one, greater than every number (DuckDB's order). Byte table: docs/formats/row_key.md.
Result<RowBytes> EncodeKeys(const arrow::RecordBatch& rows, std::span<const int> columns);

// The 128-bit hash of each row's key encoding of these columns, without materialising the
// encodings of all rows.
Result<std::vector<Hash128>> HashKeys(const arrow::RecordBatch& rows,
                                      std::span<const int> columns);

// Adds up weights of equal rows (all columns); rows whose weights cancel vanish. The
// order of first appearance is kept. A weight of n > 1 stays one row of weight n.
Result<Batch> Consolidate(const Batch& batch);

// The row's values as text, for messages and tests: "1 | ann | NULL".
std::string RowText(const arrow::RecordBatch& rows, int64_t row);

}  // namespace weir::data
