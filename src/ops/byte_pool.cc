#include "ops/byte_pool.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace weir::ops {

// Blocks above kLargest are the system's; their owner gives them back one by one.
BytePool::~BytePool() = default;

char* BytePool::Allocate(size_t bytes) {
  const size_t size = Rounded(bytes);
  bytes_ += static_cast<int64_t>(size);
  if (size > kLargest) {
    auto* block = static_cast<char*>(std::malloc(size));
    WEIR_CHECK(block != nullptr);
    return block;
  }
  if (FreeBlock*& head = free_[size / kStep]; head != nullptr) {
    FreeBlock* block = head;
    head = block->next;
    return reinterpret_cast<char*>(block);
  }
  if (left_ < size) {
    slabs_.emplace_back(new char[kSlabBytes]);
    next_ = slabs_.back().get();
    left_ = kSlabBytes;
  }
  char* block = next_;
  next_ += size;
  left_ -= size;
  return block;
}

void BytePool::Free(char* block, size_t bytes) {
  const size_t size = Rounded(bytes);
  bytes_ -= static_cast<int64_t>(size);
  if (size > kLargest) return std::free(block);
  auto* freed = reinterpret_cast<FreeBlock*>(block);
  freed->next = free_[size / kStep];
  free_[size / kStep] = freed;
}

char* BytePool::Keep(std::string_view bytes) {
  WEIR_CHECK(bytes.size() <= std::numeric_limits<uint32_t>::max());
  const auto size = static_cast<uint32_t>(bytes.size());
  char* block = Allocate(sizeof size + size);
  std::memcpy(block, &size, sizeof size);
  std::memcpy(block + sizeof size, bytes.data(), size);
  return block;
}

std::string_view BytePool::Kept(const char* block) {
  uint32_t size;
  std::memcpy(&size, block, sizeof size);
  return {block + sizeof size, size};
}

void BytePool::Drop(char* block) { Free(block, sizeof(uint32_t) + Kept(block).size()); }

}  // namespace weir::ops
