#include "ops/cells.h"

#include <arrow/api.h>
#include <arrow/util/bit_util.h>

#include <cmath>
#include <limits>

#include "data/arrow.h"
#include "ops/nested.h"

namespace weir::ops {
namespace {

// `length` bits from bit `offset`, moved to bit 0.
Bits AlignedBits(const uint8_t* bits, int64_t offset, int64_t length) {
  Bits out(static_cast<size_t>((length + 63) / 64));
  const int64_t bytes = (offset + length + 7) / 8;
  const int shift = static_cast<int>(offset % 8);
  for (size_t word = 0; word < out.size(); ++word) {
    const int64_t from = offset / 8 + static_cast<int64_t>(word) * 8;
    uint64_t low = 0;
    std::memcpy(&low, bits + from,
                static_cast<size_t>(std::min<int64_t>(8, bytes - from)));
    out[word] = low >> shift;
    if (shift > 0 && from + 8 < bytes)
      out[word] |= uint64_t{bits[from + 8]} << (64 - shift);
  }
  if (length % 64 != 0 && !out.empty()) out.back() &= (uint64_t{1} << (length % 64)) - 1;
  return out;
}

}  // namespace

int CellWidth(const data::Type& type) {
  switch (type.kind) {
    case data::Kind::kBool:
      return 1;
    case data::Kind::kInt32:
    case data::Kind::kFloat:
    case data::Kind::kDate:
      return 4;
    case data::Kind::kInt64:
    case data::Kind::kDouble:
    case data::Kind::kTime:
    case data::Kind::kTimestamp:
    case data::Kind::kTimestampTz:
      return 8;
    case data::Kind::kDecimal:
    case data::Kind::kUuid:
      return 16;
    default:
      return 0;
  }
}

namespace {

template <class T>
std::string_view CanonicalFloat(std::string_view cell, char* scratch) {
  T value = ReadAs<T>(cell.data());
  if (value == 0) value = 0;
  if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
  WriteAs(scratch, value);
  return {scratch, sizeof value};
}

}  // namespace

std::string_view CanonicalCell(std::string_view cell, const data::Type& type,
                               char (&scratch)[8]) {
  if (type.kind == data::Kind::kDouble) return CanonicalFloat<double>(cell, scratch);
  if (type.kind == data::Kind::kFloat) return CanonicalFloat<float>(cell, scratch);
  return cell;
}

Result<InputColumn> InputColumn::Make(std::shared_ptr<arrow::Array> array,
                                      const data::Type& type) {
  const auto expected = data::ToArrow(type);
  const arrow::ArrayData& data = *array->data();
  if (data.type->id() != expected->id()) {
    return Internal("a column of type " + data.type->ToString() + " stands where " +
                    expected->ToString() + " is declared");
  }
  InputColumn out;
  out.type_ = type;
  out.width_ = CellWidth(type);
  if (array->null_count() > 0)
    out.valid_ = AlignedBits(data.buffers[0]->data(), data.offset, data.length);
  if (type.kind == data::Kind::kBool) {
    const auto& bools = static_cast<const arrow::BooleanArray&>(*array);
    out.own_values_ =
        std::make_shared<std::string>(static_cast<size_t>(data.length), '\0');
    for (int64_t i = 0; i < data.length; ++i)
      (*out.own_values_)[static_cast<size_t>(i)] = bools.Value(i) ? 1 : 0;
    out.values_ = out.own_values_->data();
  } else if (out.width_ > 0) {
    out.values_ = reinterpret_cast<const char*>(data.GetValues<uint8_t>(1, 0)) +
                  data.offset * out.width_;
  } else if (!type.is_nested()) {
    out.offsets_ = data.GetValues<int32_t>(1);
    out.values_ = data.buffers[2] == nullptr
                      ? ""
                      : reinterpret_cast<const char*>(data.buffers[2]->data());
  } else {
    out.own_values_ = std::make_shared<std::string>();
    out.own_offsets_ = std::make_shared<std::vector<int32_t>>(1, 0);
    for (int64_t i = 0; i < data.length; ++i) {
      WEIR_TRY(EncodeNested(*array, i, out.own_values_.get()));
      out.own_offsets_->push_back(static_cast<int32_t>(out.own_values_->size()));
    }
    out.values_ = out.own_values_->data();
    out.offsets_ = out.own_offsets_->data();
  }
  out.array_ = std::move(array);
  return out;
}

CellColumn::CellColumn(const data::Type& type) : type_(type), width_(CellWidth(type)) {
  if (width_ == 0) offsets_.push_back(0);
}

void CellColumn::Reserve(size_t rows) {
  valid_.reserve(rows);
  if (width_ > 0)
    bytes_.reserve(rows * static_cast<size_t>(width_));
  else
    offsets_.reserve(rows + 1);
}

void CellColumn::AppendNull() {
  valid_.push_back(0);
  if (width_ > 0)
    bytes_.append(static_cast<size_t>(width_), '\0');
  else
    offsets_.push_back(offsets_.back());
}

void CellColumn::Append(std::string_view cell) {
  valid_.push_back(1);
  bytes_.append(cell);
  if (width_ == 0) offsets_.push_back(static_cast<int64_t>(bytes_.size()));
}

void CellColumn::AppendFrom(const CellColumn& other, size_t row) {
  if (other.IsNull(row)) return AppendNull();
  Append(other.Cell(row));
}

Result<std::shared_ptr<arrow::Array>> CellColumn::Finish() {
  const auto rows = static_cast<int64_t>(size());
  const auto type = data::ToArrow(type_);
  if (type_.is_nested()) {
    std::unique_ptr<arrow::ArrayBuilder> builder;
    WEIR_ARROW_OK(arrow::MakeBuilder(arrow::default_memory_pool(), type, &builder));
    for (size_t row = 0; row < size(); ++row) {
      std::string_view cell = Cell(row);
      if (IsNull(row)) {
        WEIR_ARROW_OK(builder->AppendNull());
      } else {
        WEIR_TRY(DecodeNested(&cell, builder.get()));
      }
    }
    *this = CellColumn(type_);
    return WEIR_ARROW(builder->Finish());
  }

  const auto pack = [&](const char* bytes) -> Result<std::shared_ptr<arrow::Buffer>> {
    std::shared_ptr<arrow::Buffer> out = WEIR_ARROW(arrow::AllocateEmptyBitmap(rows));
    for (int64_t i = 0; i < rows; ++i) {
      if (bytes[i] != 0) arrow::bit_util::SetBit(out->mutable_data(), i);
    }
    return out;
  };
  std::shared_ptr<arrow::Buffer> validity;
  int64_t nulls = 0;
  for (const uint8_t valid : valid_) nulls += valid == 0;
  if (nulls > 0) validity = WEIR_TRY(pack(reinterpret_cast<const char*>(valid_.data())));

  std::vector<std::shared_ptr<arrow::Buffer>> buffers{std::move(validity)};
  if (type_.kind == data::Kind::kBool) {
    buffers.push_back(WEIR_TRY(pack(bytes_.data())));
  } else if (width_ > 0) {
    buffers.push_back(arrow::Buffer::FromString(std::move(bytes_)));
  } else {
    if (bytes_.size() > std::numeric_limits<int32_t>::max())
      return Invalid("one step changes more than 2 GiB of one text column");
    buffers.push_back(arrow::Buffer::FromVector(
        std::vector<int32_t>(offsets_.begin(), offsets_.end())));
    buffers.push_back(arrow::Buffer::FromString(std::move(bytes_)));
  }
  *this = CellColumn(type_);
  return arrow::MakeArray(arrow::ArrayData::Make(type, rows, std::move(buffers), nulls));
}

Result<std::shared_ptr<arrow::RecordBatch>> FinishRows(
    const std::shared_ptr<arrow::Schema>& schema, std::span<CellColumn> columns) {
  const auto rows = columns.empty() ? 0 : static_cast<int64_t>(columns[0].size());
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (CellColumn& column : columns) arrays.push_back(WEIR_TRY(column.Finish()));
  return arrow::RecordBatch::Make(schema, rows, std::move(arrays));
}

namespace {
template <bool kCanonical>
void AppendCells(std::span<const InputColumn> columns, size_t row, std::string* out) {
  char scratch[8];
  for (const InputColumn& column : columns) {
    const bool null = column.IsNull(row);
    out->push_back(null ? 1 : 0);
    if (null) continue;
    std::string_view cell = column.Cell(row);
    if constexpr (kCanonical) cell = CanonicalCell(cell, column.type(), scratch);
    if (column.width() == 0) {
      const auto size = static_cast<uint32_t>(cell.size());
      out->append(reinterpret_cast<const char*>(&size), sizeof size);
    }
    out->append(cell);
  }
}
}  // namespace

void AppendRow(std::span<const InputColumn> columns, size_t row, std::string* out) {
  AppendCells<false>(columns, row, out);
}

void AppendCanonicalRow(std::span<const InputColumn> columns, size_t row,
                        std::string* out) {
  AppendCells<true>(columns, row, out);
}

Status DecodeRow(std::string_view bytes, std::span<CellColumn> columns) {
  for (CellColumn& column : columns) {
    if (bytes.empty()) return Corrupt("a stored row ends early");
    const bool null = bytes[0] != 0;
    bytes.remove_prefix(1);
    if (null) {
      column.AppendNull();
      continue;
    }
    auto size = static_cast<size_t>(CellWidth(column.type()));
    if (size == 0) {
      if (bytes.size() < sizeof(uint32_t)) return Corrupt("a stored row ends early");
      size = ReadAs<uint32_t>(bytes.data());
      bytes.remove_prefix(sizeof(uint32_t));
    }
    if (bytes.size() < size) return Corrupt("a stored row ends early");
    column.Append(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return bytes.empty() ? Status() : Status(Corrupt("a stored row is too long"));
}

}  // namespace weir::ops
