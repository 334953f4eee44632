#include "ops/batch_columns.h"

#include <arrow/api.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace weir::ops {
namespace {

constexpr int kInt64Digits = 18;
using data::Kind;

int64_t OrdinalOf(double value) {
  if (value == 0) value = 0;
  if (std::isnan(value)) return std::numeric_limits<int64_t>::max();
  const auto bits = std::bit_cast<int64_t>(value);
  return bits ^ static_cast<int64_t>(static_cast<uint64_t>(bits >> 63) >> 1);
}

double DoubleOf(int64_t ordinal) {
  if (ordinal == std::numeric_limits<int64_t>::max())
    return std::numeric_limits<double>::quiet_NaN();
  return std::bit_cast<double>(
      ordinal ^ static_cast<int64_t>(static_cast<uint64_t>(ordinal >> 63) >> 1));
}

template <class T>
void Widen(const T* values, size_t rows, size_t step, std::vector<int64_t>* out) {
  out->resize(rows);
  for (size_t i = 0; i < rows; ++i) (*out)[i] = static_cast<int64_t>(values[i * step]);
}

}  // namespace

bool IsOrdinal(const data::Type& type) {
  if (type.kind == Kind::kDecimal) return type.precision <= kInt64Digits;
  const int width = CellWidth(type);
  return width > 0 && width <= 8;
}

void AppendOrdinal(int64_t ordinal, const data::Type& type, CellColumn* out) {
  switch (type.kind) {
    case Kind::kBool:
      return out->AppendFixed(static_cast<uint8_t>(ordinal));
    case Kind::kInt32:
    case Kind::kDate:
      return out->AppendFixed(static_cast<int32_t>(ordinal));
    case Kind::kFloat:
      return out->AppendFixed(static_cast<float>(DoubleOf(ordinal)));
    case Kind::kDouble:
      return out->AppendFixed(DoubleOf(ordinal));
    case Kind::kDecimal:
      return out->AppendFixed(static_cast<__int128>(ordinal));
    default:
      return out->AppendFixed(ordinal);
  }
}

Status BatchColumns::Load(std::shared_ptr<arrow::RecordBatch> rows,
                          const data::Schema& schema, std::span<const int> used) {
  if (static_cast<size_t>(rows->num_columns()) != schema.fields.size()) {
    return Internal("a batch of " + std::to_string(rows->num_columns()) +
                    " columns stands where " + std::to_string(schema.fields.size()) +
                    " are declared");
  }
  batch_ = std::move(rows);
  rows_ = static_cast<size_t>(batch_->num_rows());
  columns_.resize(schema.fields.size());
  for (const int column : used) {
    Forms& forms = At(column);
    forms.input = WEIR_TRY(InputColumn::Make(
        batch_->column(column), schema.fields[static_cast<size_t>(column)].type));
    forms.is_true.clear();
    forms.integers.clear();
    forms.ordinals.clear();
    forms.doubles.clear();
  }
  return {};
}

const Bits& BatchColumns::True(int column) {
  Forms& forms = At(column);
  if (!forms.is_true.empty()) return forms.is_true;
  const char* values = forms.input->values<char>();
  const Bits& valid = forms.input->valid();
  forms.is_true.resize((rows_ + 63) / 64);
  for (size_t row = 0; row < rows_; ++row)
    forms.is_true[row / 64] |= uint64_t{values[row] != 0} << (row % 64);
  for (size_t word = 0; word < valid.size(); ++word) forms.is_true[word] &= valid[word];
  return forms.is_true;
}

const int64_t* BatchColumns::Integers(int column) {
  Forms& forms = At(column);
  const InputColumn& input = *forms.input;
  if (input.width() == 8) return input.values<int64_t>();
  if (!forms.integers.empty()) return forms.integers.data();
  switch (input.width()) {
    case 1:
      Widen(input.values<int8_t>(), rows_, 1, &forms.integers);
      break;
    case 4:
      Widen(input.values<int32_t>(), rows_, 1, &forms.integers);
      break;
    case 16:
      Widen(input.values<int64_t>(), rows_, 2, &forms.integers);
      break;  // the low half holds up to 18 digits
    default:
      WEIR_CHECK(false);
  }
  return forms.integers.data();
}

const double* BatchColumns::Doubles(int column) {
  Forms& forms = At(column);
  if (forms.input->width() == 8) return forms.input->values<double>();
  if (!forms.doubles.empty()) return forms.doubles.data();
  const float* values = forms.input->values<float>();
  forms.doubles.assign(values, values + rows_);
  return forms.doubles.data();
}

const int64_t* BatchColumns::Ordinals(int column) {
  Forms& forms = At(column);
  const Kind kind = forms.input->type().kind;
  if (kind != Kind::kFloat && kind != Kind::kDouble) return Integers(column);
  if (!forms.ordinals.empty()) return forms.ordinals.data();
  const double* values = Doubles(column);
  forms.ordinals.resize(rows_);
  for (size_t row = 0; row < rows_; ++row) forms.ordinals[row] = OrdinalOf(values[row]);
  return forms.ordinals.data();
}

}  // namespace weir::ops
