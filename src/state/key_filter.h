// Which keys of a set there may be, in 16 to 64 bits a key: a split-block Bloom filter
// that grows. Keys are hashes already.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/hash.h"

namespace weir::state {

// Used by one thread.
class KeyFilter {
 public:
  // It stops growing when it would take more than `bytes_max`, and answers yes more often
  // from then on.
  explicit KeyFilter(int64_t bytes_max) : bytes_max_(bytes_max) {}

  void Add(Hash128 key);

  // True for every key that was added, and for less than one in 100 of the others while
  // it grows.
  bool MayContain(Hash128 key) const {
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) {
      if (Contains(*part, key)) return true;
    }
    return false;
  }

  int64_t bytes() const { return bytes_; }

 private:
  // One bit of each word stands for a key: one cache line a look.
  struct alignas(64) Block {
    std::array<uint64_t, 8> words{};
  };
  struct Part {
    std::vector<Block> blocks;
    size_t keys = 0;
  };
  static constexpr size_t kFirstBlocks = 16, kGrowth = 4, kKeysOfBlock = 32;

  static size_t BlockOf(const Part& part, Hash128 key) {
    return static_cast<size_t>((key.high >> 32) * part.blocks.size() >> 32);
  }
  static uint64_t BitOf(Hash128 key, size_t word) {
    return uint64_t{1} << (key.low >> (6 * word) & 63);
  }
  static bool Contains(const Part& part, Hash128 key) {
    const Block& block = part.blocks[BlockOf(part, key)];
    uint64_t missing = 0;
    for (size_t word = 0; word < block.words.size(); ++word)
      missing |= ~block.words[word] & BitOf(key, word);
    return missing == 0;
  }
  bool IsFull(const Part& part) const {
    return part.keys >= part.blocks.size() * kKeysOfBlock;
  }

  int64_t bytes_max_;
  int64_t bytes_ = 0;
  std::vector<Part> parts_;  // each four times as large as the one before, if it can
};

}  // namespace weir::state
