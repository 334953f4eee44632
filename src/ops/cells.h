// Cells: the bytes of one value of one column, as operators keep them in their state, and
// columns of cells on their way in and out.
//
// A cell of a fixed-width type is its Arrow value (bool as one byte), of string and
// binary its bytes, of a nested type the encoding of EncodeNested. Whether a value is
// NULL is kept beside it.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/batch.h"
#include "data/type.h"

namespace weir::ops {

// Bytes of a cell; 0: they vary.
int CellWidth(const data::Type& type);

template <class T>
T ReadAs(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void WriteAs(char* at, const T& value) {
  std::memcpy(at, &value, sizeof value);
}

template <class T>
void AppendAs(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The cell that stands for all values equal to this one: of floats one NaN and one zero.
// `scratch` holds it if it is another.
std::string_view CanonicalCell(std::string_view cell, const data::Type& type,
                               char (&scratch)[8]);

// One bit a row, 64 rows a word. Empty: all ones.
using Bits = std::vector<uint64_t>;

// One column of a batch, read row by row. Views the array's buffers.
class InputColumn {
 public:
  // kInternal when the array is not of that type.
  static Result<InputColumn> Make(std::shared_ptr<arrow::Array> array,
                                  const data::Type& type);

  const data::Type& type() const { return type_; }
  int width() const { return width_; }
  const Bits& valid() const { return valid_; }
  bool IsNull(size_t row) const {
    return !valid_.empty() && (valid_[row / 64] >> (row % 64) & 1) == 0;
  }

  // Of a type of that width, not bool.
  template <class T>
  const T* values() const {
    return reinterpret_cast<const T*>(values_);
  }
  std::string_view Cell(size_t row) const {
    if (width_ > 0)
      return {values_ + row * static_cast<size_t>(width_), static_cast<size_t>(width_)};
    return {values_ + offsets_[row],
            static_cast<size_t>(offsets_[row + 1] - offsets_[row])};
  }

 private:
  std::shared_ptr<arrow::Array> array_;
  data::Type type_;
  int width_ = 0;
  const char* values_ = nullptr;
  const int32_t* offsets_ = nullptr;
  Bits valid_;
  std::shared_ptr<std::string> own_values_;  // unpacked bools, encodings of nested values
  std::shared_ptr<std::vector<int32_t>> own_offsets_;
};

// A column under construction. Cells of equal values are equal bytes, except that
// floating NaNs and zeros may differ.
class CellColumn {
 public:
  explicit CellColumn(const data::Type& type);

  void Reserve(size_t rows);
  void AppendNull();
  void Append(std::string_view cell);
  template <class T>
  void AppendFixed(T value) {
    valid_.push_back(1);
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  void AppendFrom(const CellColumn& other, size_t row);

  size_t size() const { return valid_.size(); }
  bool IsNull(size_t row) const { return valid_[row] == 0; }
  std::string_view Cell(size_t row) const {
    if (width_ > 0)
      return {bytes_.data() + row * static_cast<size_t>(width_),
              static_cast<size_t>(width_)};
    return {bytes_.data() + offsets_[row],
            static_cast<size_t>(offsets_[row + 1] - offsets_[row])};
  }
  // Whether row i here and row j there are the same cell; NULL equals NULL.
  bool Equals(size_t i, const CellColumn& other, size_t j) const {
    return valid_[i] == other.valid_[j] && (valid_[i] == 0 || Cell(i) == other.Cell(j));
  }
  const data::Type& type() const { return type_; }

  // Leaves the column empty.
  Result<std::shared_ptr<arrow::Array>> Finish();

 private:
  data::Type type_;
  int width_;
  std::vector<uint8_t> valid_;
  std::string bytes_;
  std::vector<int64_t> offsets_;  // of variable cells
};

// The columns as rows of `schema`; leaves them empty.
Result<std::shared_ptr<arrow::RecordBatch>> FinishRows(
    const std::shared_ptr<arrow::Schema>& schema, std::span<CellColumn> columns);

// A whole row as bytes: per column one byte (0 value, 1 NULL), then the cell, of a
// variable one its length (uint32) before it.
void AppendRow(std::span<const InputColumn> columns, size_t row, std::string* out);
// The same with canonical cells, for rows that are known by their bytes: what an earlier
// stage gave with -0.0 it may take back with 0.0.
void AppendCanonicalRow(std::span<const InputColumn> columns, size_t row,
                        std::string* out);
// The inverse: appends the row's cells to `columns`.
Status DecodeRow(std::string_view bytes, std::span<CellColumn> columns);

}  // namespace weir::ops
