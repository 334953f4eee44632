#include "state/key_filter.h"

#include <algorithm>

namespace weir::state {

void KeyFilter::Add(Hash128 key) {
  if (MayContain(key)) return;
  if (parts_.empty() || IsFull(parts_.back())) {
    const size_t wanted =
        parts_.empty() ? kFirstBlocks : parts_.back().blocks.size() * kGrowth;
    const auto room = static_cast<size_t>(std::max<int64_t>(0, bytes_max_ - bytes_));
    const size_t blocks =
        parts_.empty() ? wanted : std::min(wanted, room / sizeof(Block));
    if (blocks > 0) {
      parts_.push_back({std::vector<Block>(blocks), 0});
      bytes_ += static_cast<int64_t>(blocks * sizeof(Block));
    }
  }
  Part& part = parts_.back();
  Block& block = part.blocks[BlockOf(part, key)];
  for (size_t word = 0; word < block.words.size(); ++word)
    block.words[word] |= BitOf(key, word);
  ++part.keys;
}

}  // namespace weir::state
