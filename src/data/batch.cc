#include "data/batch.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/util/bitmap_ops.h>
#include <arrow/util/byte_size.h>

#include <cstring>
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

namespace {

// Rows that follow each other in the input.
struct Stretch {
  int64_t begin, length;
};

std::vector<Stretch> Stretches(std::span<const int32_t> rows) {
  std::vector<Stretch> out;
  for (const int32_t row : rows) {
    if (!out.empty() && out.back().begin + out.back().length == row) {
      ++out.back().length;
    } else {
      out.push_back({row, 1});
    }
  }
  return out;
}

// Whether a column is of values or bytes that can be copied stretch by stretch.
bool CopiesInStretches(const arrow::DataType& type) {
  return type.id() == arrow::Type::STRING || type.id() == arrow::Type::BINARY ||
         (arrow::is_fixed_width(type) && type.bit_width() % 8 == 0 &&
          type.num_fields() == 0 && type.id() != arrow::Type::DICTIONARY);
}

// Where most rows are taken, a copy of whole stretches costs a fraction of Take.
Result<std::shared_ptr<arrow::Array>> TakeStretches(const arrow::Array& from,
                                                    std::span<const Stretch> stretches,
                                                    int64_t count) {
  const arrow::ArrayData& data = *from.data();
  std::vector<std::shared_ptr<arrow::Buffer>> buffers(1);
  if (from.null_count() > 0) {
    buffers[0] = WEIR_ARROW(arrow::AllocateEmptyBitmap(count));
    int64_t at = 0;
    for (const Stretch& stretch : stretches) {
      arrow::internal::CopyBitmap(data.buffers[0]->data(), data.offset + stretch.begin,
                                  stretch.length, buffers[0]->mutable_data(), at);
      at += stretch.length;
    }
  }
  if (from.type_id() != arrow::Type::STRING && from.type_id() != arrow::Type::BINARY) {
    const int64_t width = from.type()->bit_width() / 8;
    buffers.push_back(WEIR_ARROW(arrow::AllocateBuffer(count * width)));
    uint8_t* out = buffers[1]->mutable_data();
    const uint8_t* in = data.buffers[1]->data() + data.offset * width;
    for (const Stretch& stretch : stretches) {
      std::memcpy(out, in + stretch.begin * width,
                  static_cast<size_t>(stretch.length * width));
      out += stretch.length * width;
    }
    return arrow::MakeArray(arrow::ArrayData::Make(from.type(), count, buffers));
  }
  const auto* offsets = data.GetValues<int32_t>(1);
  int64_t bytes = 0;
  for (const Stretch& s : stretches)
    bytes += offsets[s.begin + s.length] - offsets[s.begin];
  buffers.push_back(WEIR_ARROW(arrow::AllocateBuffer((count + 1) * 4)));
  buffers.push_back(WEIR_ARROW(arrow::AllocateBuffer(bytes)));
  auto* out_offsets = reinterpret_cast<int32_t*>(buffers[1]->mutable_data());
  uint8_t* out = buffers[2]->mutable_data();
  const uint8_t* in = data.buffers[2] == nullptr ? nullptr : data.buffers[2]->data();
  int32_t end = 0;
  *out_offsets++ = 0;
  for (const Stretch& stretch : stretches) {
    const int32_t begin = offsets[stretch.begin], shift = end - begin;
    for (int64_t i = 1; i <= stretch.length; ++i)
      *out_offsets++ = offsets[stretch.begin + i] + shift;
    const int32_t size = offsets[stretch.begin + stretch.length] - begin;
    if (size > 0) std::memcpy(out + end, in + begin, static_cast<size_t>(size));
    end += size;
  }
  return arrow::MakeArray(arrow::ArrayData::Make(from.type(), count, buffers));
}

}  // namespace

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
  const std::vector<Stretch> stretches = Stretches(rows);
  const bool long_ones = stretches.size() * 8 < rows.size();
  arrow::ArrayVector columns;
  for (const auto& column : batch.rows->columns()) {
    if (long_ones && CopiesInStretches(*column->type())) {
      columns.push_back(WEIR_TRY(TakeStretches(*column, stretches, count)));
      continue;
    }
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
