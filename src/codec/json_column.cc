#include <arrow/util/bit_util.h>
#include <arrow/util/bitmap_ops.h>

#include <algorithm>
#include <new>
#include <stdexcept>

#include "codec/json_column_internal.h"

namespace weir::codec {

void GrowingBuffer::Grow(int64_t bytes) {
  int64_t capacity = std::max<int64_t>({bytes, capacity_ * 2, 64});
  // Batches of one source are alike: the next one needs what the last one did.
  if (buffer_ == nullptr) capacity = std::max(capacity, last_size_ + last_size_ / 8);
  if (buffer_ == nullptr) {
    auto made = arrow::AllocateResizableBuffer(capacity);
    if (!made.ok()) throw std::bad_alloc();
    buffer_ = std::move(made).ValueUnsafe();
  } else if (!buffer_->Resize(capacity, false).ok()) {
    throw std::bad_alloc();
  }
  data_ = buffer_->mutable_data();
  std::memset(data_ + capacity_, 0, static_cast<size_t>(capacity - capacity_));
  capacity_ = capacity;
}

std::shared_ptr<arrow::Buffer> GrowingBuffer::Finish(int64_t size) {
  Reserve(size);
  if (buffer_ == nullptr) Grow(1);
  last_size_ = size;
  // Only what wastes much is worth the copy that shrinking may cost.
  const bool shrink = capacity_ > 4096 && size < capacity_ / 2;
  if (!buffer_->Resize(size, shrink).ok()) throw std::bad_alloc();
  std::shared_ptr<arrow::Buffer> done = std::move(buffer_);
  data_ = nullptr;
  capacity_ = 0;
  return done;
}

void Column::TooLarge() {
  throw std::length_error("a column of one batch is larger than 2 GiB");
}

void Column::GrowRows(int64_t rows) {
  if (rows <= rows_capacity_) return;
  rows = std::max<int64_t>(rows, rows_capacity_ * 2);
  valid_.Reserve((rows + 7) / 8);
  switch (layout_) {
    case Layout::kBits:
      values_.Reserve((rows + 7) / 8);
      break;
    case Layout::kFixed:
      values_.Reserve(rows * width_);
      break;
    case Layout::kBytes:
    case Layout::kList:
      values_.Reserve((rows + 1) * 4);
      break;
    case Layout::kStruct:
      break;
  }
  rows_capacity_ = rows;
}

void Column::PutRun(int64_t row, std::string_view text, std::span<const int32_t> ends) {
  if (ends.empty()) return;
  const auto count = static_cast<int64_t>(ends.size());
  uint8_t* to = BeginBytes(row + count - 1, static_cast<int64_t>(text.size()));
  std::memcpy(to, text.data(), text.size());
  for (int64_t i = 0; i < count; ++i) {
    offsets()[row + 1 + i] = static_cast<int32_t>(used_ + ends[static_cast<size_t>(i)]);
  }
  used_ += static_cast<int64_t>(text.size());
  if (used_ > INT32_MAX) TooLarge();
  offsets_known_ = row + count;
  arrow::bit_util::SetBitsTo(valid_.data(), row, count, true);
}

void Column::Reserve(int64_t rows) {
  GrowRows(rows);
  if (layout_ == Layout::kBytes) bytes_.Reserve(bytes_before_ + kSlack);
}

void Column::Truncate(int64_t first, int64_t last) {
  if ((layout_ == Layout::kBytes || layout_ == Layout::kList) &&
      offsets_known_ >= first && first < rows_capacity_) {
    used_ = offsets()[first];
    offsets_known_ = first;
  }
  last = std::min(last, rows_capacity_);
  for (int64_t row = first; row < last; ++row) {
    const auto keep = static_cast<uint8_t>(~(1 << (row & 7)));
    valid_.data()[row >> 3] &= keep;
    if (layout_ == Layout::kBits) values_.data()[row >> 3] &= keep;
    if (layout_ == Layout::kFixed) {
      std::memset(values_.data() + row * width_, 0, static_cast<size_t>(width_));
    }
  }
}

std::shared_ptr<arrow::ArrayData> Column::Finish(int64_t rows,
                                                 std::shared_ptr<arrow::DataType> type) {
  GrowRows(std::max<int64_t>(rows, 1));
  const int64_t valid = arrow::internal::CountSetBits(valid_.data(), 0, rows);
  std::shared_ptr<arrow::Buffer> bitmap = valid_.Finish((rows + 7) / 8);
  if (valid == rows) bitmap = nullptr;
  std::vector<std::shared_ptr<arrow::Buffer>> buffers{std::move(bitmap)};
  switch (layout_) {
    case Layout::kBits:
      buffers.push_back(values_.Finish((rows + 7) / 8));
      break;
    case Layout::kFixed:
      buffers.push_back(values_.Finish(rows * width_));
      break;
    case Layout::kBytes:
    case Layout::kList:
      FillOffsets(rows);
      buffers.push_back(values_.Finish((rows + 1) * 4));
      if (layout_ == Layout::kBytes) {
        bytes_before_ = used_;
        buffers.push_back(bytes_.Finish(used_));
      }
      break;
    case Layout::kStruct:
      break;
  }
  rows_capacity_ = offsets_known_ = used_ = 0;
  return arrow::ArrayData::Make(std::move(type), rows, std::move(buffers), rows - valid);
}

}  // namespace weir::codec
