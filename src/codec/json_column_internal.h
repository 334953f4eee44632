// Where decoded values are put: Arrow buffers that grow as rows come, one column a node
// of the schema.
#pragma once

#include <arrow/api.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace weir::codec {

// Bytes that read as zero until written. Growth throws std::bad_alloc when the pool has
// no more.
class GrowingBuffer {
 public:
  uint8_t* data() { return data_; }
  void Reserve(int64_t bytes) {
    if (bytes > capacity_) [[unlikely]]
      Grow(bytes);
  }
  // Hands the first `size` bytes over and is empty again.
  std::shared_ptr<arrow::Buffer> Finish(int64_t size);

 private:
  void Grow(int64_t bytes);

  std::unique_ptr<arrow::ResizableBuffer> buffer_;
  uint8_t* data_ = nullptr;
  int64_t capacity_ = 0, last_size_ = 0;
};

// One column. Rows are written in rising order; a row not written is null. What `values`
// holds depends on the type: fixed width values, bits of booleans, or the offsets of
// strings, lists and maps.
class Column {
 public:
  enum class Layout : uint8_t { kBits, kFixed, kBytes, kList, kStruct };
  // Copying of short strings writes up to this many bytes, so sources must be readable
  // that far.
  static constexpr int64_t kSlack = 32;

  Column(Layout layout, int width) : layout_(layout), width_(width) {}

  template <class T>
  void Put(int64_t row, T value) {
    ReserveRow(row);
    std::memcpy(values_.data() + row * static_cast<int64_t>(sizeof(T)), &value,
                sizeof(T));
    SetValid(row);
  }
  void PutBool(int64_t row, bool value) {
    ReserveRow(row);
    if (value) values_.data()[row >> 3] |= static_cast<uint8_t>(1 << (row & 7));
    SetValid(row);
  }
  uint8_t* PutFixed(int64_t row) {  // the caller fills the width
    ReserveRow(row);
    SetValid(row);
    return values_.data() + row * width_;
  }
  void PutBytes(int64_t row, const char* from, int64_t size) {
    uint8_t* to = BeginBytes(row, size);
    if (size <= 16) {
      std::memcpy(to, from, 16);
    } else if (size <= kSlack) {
      std::memcpy(to, from, kSlack);
    } else {
      std::memcpy(to, from, static_cast<size_t>(size));
    }
    EndBytes(row, size);
  }
  // For values whose size is known only once they are written: room for `size_max` bytes,
  // then EndBytes with the true size.
  uint8_t* BeginBytes(int64_t row, int64_t size_max) {
    ReserveRow(row);
    FillOffsets(row);
    bytes_.Reserve(used_ + size_max + kSlack);
    return bytes_.data() + used_;
  }
  void EndBytes(int64_t row, int64_t size) {
    used_ += size;
    EndRow(row);
  }
  // Writes a run of strings that stand one after another in `text`; `ends` says where
  // each ends.
  void PutRun(int64_t row, std::string_view text, std::span<const int32_t> ends);

  void BeginList(int64_t row) {
    ReserveRow(row);
    FillOffsets(row);
  }
  int64_t NextElement() { return used_++; }  // its row in the child column
  int64_t NextElements(int64_t count) {
    used_ += count;
    return used_ - count;
  }
  void EndList(int64_t row) { EndRow(row); }
  void PutStruct(int64_t row) {
    ReserveRow(row);
    SetValid(row);
  }

  // Forgets the rows from `first` on; none at or after `last` was written.
  void Truncate(int64_t first, int64_t last);
  // Of a list: where the elements of rows from `row` on begin.
  int64_t FirstElement(int64_t row) {
    return rows_capacity_ == 0 || offsets_known_ < row ? used_ : offsets()[row];
  }

  // Expects about as many bytes as the last batch had.
  void Reserve(int64_t rows);

  // The column of `rows` rows, without children; starts anew.
  std::shared_ptr<arrow::ArrayData> Finish(int64_t rows,
                                           std::shared_ptr<arrow::DataType> type);

  int64_t elements() const { return used_; }  // of a list

 private:
  void ReserveRow(int64_t row) {
    if (row >= rows_capacity_) [[unlikely]]
      GrowRows(row + 1);
  }
  void GrowRows(int64_t rows);
  void SetValid(int64_t row) {
    valid_.data()[row >> 3] |= static_cast<uint8_t>(1 << (row & 7));
  }
  int32_t* offsets() { return reinterpret_cast<int32_t*>(values_.data()); }
  void FillOffsets(int64_t row) {
    for (; offsets_known_ < row; ++offsets_known_) {
      offsets()[offsets_known_ + 1] = static_cast<int32_t>(used_);
    }
  }
  void EndRow(int64_t row) {
    if (used_ > INT32_MAX) [[unlikely]]
      TooLarge();
    offsets()[row + 1] = static_cast<int32_t>(used_);
    offsets_known_ = row + 1;
    SetValid(row);
  }
  [[noreturn]] static void TooLarge();

  const Layout layout_;
  const int width_;
  GrowingBuffer valid_, values_, bytes_;
  int64_t rows_capacity_ = 0;
  int64_t offsets_known_ = 0;  // offsets[0..offsets_known_] are right
  int64_t used_ = 0;           // bytes of strings, elements of lists
  int64_t bytes_before_ = 0;   // of the last batch
};

}  // namespace weir::codec
