#include "data/batch.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/util/byte_size.h>

#include <numeric>
#include <unordered_map>

#include "data/arrow.h"

namespace weir::data {
namespace {

// Most of Arrow's kernels live in a library of their own that registers them on request.
Status KernelsReady() {
  static const arrow::Status status = arrow::compute::Initialize();
  WEIR_ARROW_OK(status);
  return {};
}

}  // namespace

int64_t Batch::num_rows() const { return rows == nullptr ? 0 : rows->num_rows(); }

int64_t ByteSize(const Batch& batch) {
  if (batch.rows == nullptr) return 0;
  const auto bytes = arrow::util::ReferencedBufferSize(*batch.rows);
  return (bytes.ok() ? *bytes : 0) +
         static_cast<int64_t>(batch.weights.size() * sizeof(int32_t));
}

Result<Batch> Take(const Batch& batch, std::span<const int32_t> rows) {
  WEIR_TRY(KernelsReady());
  const auto count = static_cast<int64_t>(rows.size());
  if (count == batch.num_rows()) {
    bool all = true;
    for (size_t i = 0; all && i < rows.size(); ++i)
      all = rows[i] == static_cast<int32_t>(i);
    if (all) return batch;
  }
  const auto indices = std::make_shared<arrow::Int32Array>(
      count, arrow::Buffer::Wrap(rows.data(), rows.size()));
  arrow::ArrayVector columns;
  for (const auto& column : batch.rows->columns()) {
    columns.push_back(WEIR_ARROW(arrow::compute::Take(
        *column, *indices, arrow::compute::TakeOptions::NoBoundsCheck())));
  }
  Batch out{arrow::RecordBatch::Make(batch.rows->schema(), count, std::move(columns)),
            {}};
  if (!batch.weights.empty()) {
    out.weights.reserve(rows.size());
    for (const int32_t row : rows)
      out.weights.push_back(batch.weights[static_cast<size_t>(row)]);
  }
  return out;
}

Result<Batch> Concat(std::span<const Batch> batches) {
  WEIR_CHECK(!batches.empty());
  if (batches.size() == 1) return batches[0];
  arrow::RecordBatchVector rows;
  bool weighted = false;
  for (const Batch& batch : batches) {
    rows.push_back(batch.rows);
    weighted |= !batch.weights.empty();
  }
  Batch out{WEIR_ARROW(arrow::ConcatenateRecordBatches(rows)), {}};
  if (!weighted) return out;
  for (const Batch& batch : batches) {
    if (batch.weights.empty()) {
      out.weights.insert(out.weights.end(), static_cast<size_t>(batch.num_rows()), 1);
    } else {
      out.weights.insert(out.weights.end(), batch.weights.begin(), batch.weights.end());
    }
  }
  return out;
}

Batch SelectColumns(const Batch& batch, std::span<const int> columns) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (const int column : columns) {
    fields.push_back(batch.rows->schema()->field(column));
    arrays.push_back(batch.rows->column(column));
  }
  return {arrow::RecordBatch::Make(arrow::schema(std::move(fields)), batch.num_rows(),
                                   std::move(arrays)),
          batch.weights};
}

Result<Batch> Consolidate(const Batch& batch) {
  std::vector<int> columns(static_cast<size_t>(batch.rows->num_columns()));
  std::iota(columns.begin(), columns.end(), 0);
  const std::vector<Hash128> hashes = WEIR_TRY(HashKeys(*batch.rows, columns));
  struct Sum {
    int32_t first;
    int64_t weight;
  };
  std::unordered_map<Hash128, size_t, Hash128Hasher> seen;
  seen.reserve(hashes.size());
  std::vector<Sum> sums;
  for (size_t i = 0; i < hashes.size(); ++i) {
    const auto [it, inserted] = seen.try_emplace(hashes[i], sums.size());
    if (inserted) sums.push_back({static_cast<int32_t>(i), 0});
    sums[it->second].weight += batch.weight(static_cast<int64_t>(i));
  }
  std::vector<int32_t> rows, weights;
  for (const Sum& sum : sums) {
    if (sum.weight == 0) continue;
    rows.push_back(sum.first);
    weights.push_back(static_cast<int32_t>(sum.weight));
  }
  Batch out = WEIR_TRY(Take({batch.rows, {}}, rows));
  const bool all_one =
      std::all_of(weights.begin(), weights.end(), [](int32_t w) { return w == 1; });
  if (!all_one) out.weights = std::move(weights);
  return out;
}

std::string RowText(const arrow::RecordBatch& rows, int64_t row) {
  std::string out;
  for (int i = 0; i < rows.num_columns(); ++i) {
    if (i > 0) out += " | ";
    const auto scalar = rows.column(i)->GetScalar(row);
    out += !scalar.ok() ? "?" : (*scalar)->is_valid ? (*scalar)->ToString() : "NULL";
  }
  return out;
}

}  // namespace weir::data
