// Blocks of bytes of varying size, cut from slabs: what is given back serves the next
// block of about that size, and no block moves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace weir::ops {

class BytePool {
 public:
  BytePool() = default;
  ~BytePool();
  BytePool(const BytePool&) = delete;
  BytePool& operator=(const BytePool&) = delete;

  // On a multiple of 8.
  char* Allocate(size_t bytes);
  // `bytes` is what was asked for.
  void Free(char* block, size_t bytes);

  // A copy that knows its length, at most 4 GiB; ends with Drop.
  char* Keep(std::string_view bytes);
  static std::string_view Kept(const char* block);
  void Drop(char* block);

  int64_t bytes() const { return bytes_; }  // of blocks in use

 private:
  struct FreeBlock {
    FreeBlock* next;
  };
  static constexpr size_t kStep = 16, kLargest = 2048, kSlabBytes = 64 << 10;

  // Rounded up to whole steps.
  static size_t Rounded(size_t bytes) { return (bytes + kStep - 1) / kStep * kStep; }

  std::array<FreeBlock*, kLargest / kStep + 1> free_{};  // by steps
  std::vector<std::unique_ptr<char[]>> slabs_;
  char* next_ = nullptr;  // what is left of the newest slab
  size_t left_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace weir::ops
