#include "flow/port_rows.h"

#include <arrow/api.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "data/arrow.h"

namespace weir::flow {
namespace {

constexpr const char* kWeight = "_weight";

Result<std::shared_ptr<arrow::Buffer>> NewIntegers(int64_t rows) {
  return std::shared_ptr<arrow::Buffer>(
      WEIR_ARROW(arrow::AllocateBuffer(rows * static_cast<int64_t>(sizeof(int32_t)))));
}

Result<std::shared_ptr<arrow::RecordBatch>> WithColumn(
    const data::Batch& batch, std::shared_ptr<arrow::Buffer> values) {
  const auto column = arrow::MakeArray(arrow::ArrayData::Make(
      arrow::int32(), batch.num_rows(), {nullptr, std::move(values)}, 0));
  return WEIR_ARROW(batch.rows->AddColumn(batch.rows->num_columns(),
                                          arrow::field(kWeight, arrow::int32()), column));
}

const int32_t* LastColumn(const arrow::RecordBatch& rows) {
  const int last = rows.num_columns() - 1;
  WEIR_CHECK(rows.schema()->field(last)->name() == kWeight &&
             rows.column(last)->type_id() == arrow::Type::INT32);
  return rows.column(last)->data()->GetValues<int32_t>(1);
}

// No weights stand for a weight of 1 each.
std::vector<int32_t> Shortened(std::span<const int32_t> weights) {
  if (std::all_of(weights.begin(), weights.end(), [](int32_t w) { return w == 1; }))
    return {};
  return {weights.begin(), weights.end()};
}

// The rows of a batch with these numbers, counted from `first` on.
Result<data::Batch> RowsOf(const data::Batch& batch, std::span<const int32_t> numbers,
                           int64_t first) {
  const int64_t begin = numbers[0] - first;
  const auto rows = static_cast<int64_t>(numbers.size());
  bool in_turn = true;
  for (size_t i = 1; i < numbers.size(); ++i) in_turn &= numbers[i] == numbers[i - 1] + 1;
  if (in_turn) {
    data::Batch out{batch.rows->Slice(begin, rows), {}};
    if (!batch.weights.empty()) {
      out.weights = Shortened(
          std::span(batch.weights).subspan(static_cast<size_t>(begin), numbers.size()));
    }
    return out;
  }
  std::vector<int32_t> places(numbers.begin(), numbers.end());
  for (int32_t& place : places) place -= static_cast<int32_t>(first);
  data::Batch out = WEIR_TRY(data::Take(batch, places));
  out.weights = Shortened(out.weights);
  return out;
}

}  // namespace

data::Schema WithWeight(data::Schema schema) {
  schema.fields.push_back({kWeight, data::Simple(data::Kind::kInt32)});
  return schema;
}

Result<std::shared_ptr<arrow::RecordBatch>> WithWeightColumn(const data::Batch& batch) {
  auto buffer = WEIR_TRY(NewIntegers(batch.num_rows()));
  auto* out = reinterpret_cast<int32_t*>(buffer->mutable_data());
  if (batch.weights.empty()) {
    std::fill(out, out + batch.num_rows(), 1);
  } else {
    std::copy(batch.weights.begin(), batch.weights.end(), out);
  }
  return WithColumn(batch, std::move(buffer));
}

Result<data::Batch> FromWeightColumn(const std::shared_ptr<arrow::RecordBatch>& rows) {
  const std::span weights(LastColumn(*rows), static_cast<size_t>(rows->num_rows()));
  return data::Batch{WEIR_ARROW(rows->RemoveColumn(rows->num_columns() - 1)),
                     Shortened(weights)};
}

Result<std::shared_ptr<arrow::RecordBatch>> WithNumberColumn(const data::Batch& batch,
                                                             int64_t first) {
  WEIR_CHECK(first + batch.num_rows() <= std::numeric_limits<int32_t>::max());
  auto buffer = WEIR_TRY(NewIntegers(batch.num_rows()));
  auto* out = reinterpret_cast<int32_t*>(buffer->mutable_data());
  std::iota(out, out + batch.num_rows(), static_cast<int32_t>(first));
  return WithColumn(batch, std::move(buffer));
}

Status AddPassed(const plan::Port& port, std::span<const data::Batch> input,
                 const duck::RowBatches& computed, std::vector<data::Batch>* out) {
  std::vector<int> from;
  for (const int column : port.passed) {
    if (column >= 0) from.push_back(column);
  }
  std::vector<data::Batch> passed;
  for (const data::Batch& rows : input) passed.push_back(data::SelectColumns(rows, from));
  size_t batch = 0;   // of the input, with
  int64_t first = 0;  // the number of its first row
  for (const auto& rows : computed) {
    const int32_t* numbers = LastColumn(*rows);
    for (int64_t begin = 0, end = 0; begin < rows->num_rows(); begin = end) {
      if (numbers[begin] < first) first = batch = 0;
      while (numbers[begin] >= first + passed[batch].num_rows())
        first += passed[batch++].num_rows();
      const int64_t after = first + passed[batch].num_rows();
      while (end < rows->num_rows() && numbers[end] >= first && numbers[end] < after)
        ++end;
      data::Batch part =
          WEIR_TRY(RowsOf(passed[batch], {numbers + begin, numbers + end}, first));
      arrow::FieldVector fields;
      arrow::ArrayVector columns;
      int next_passed = 0, next_computed = 0;
      for (size_t i = 0; i < port.passed.size(); ++i) {
        columns.push_back(port.passed[i] >= 0
                              ? part.rows->column(next_passed++)
                              : rows->column(next_computed++)->Slice(begin, end - begin));
        fields.push_back(
            arrow::field(port.schema.fields[i].name, columns.back()->type()));
      }
      part.rows = arrow::RecordBatch::Make(arrow::schema(std::move(fields)), end - begin,
                                           std::move(columns));
      out->push_back(std::move(part));
    }
  }
  return {};
}

}  // namespace weir::flow
