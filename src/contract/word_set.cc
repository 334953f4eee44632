#include <cstring>

#include "base/check.h"
#include "contract/word_set_internal.h"

namespace weir::contract {
namespace {

// Length and both ends tell most words apart, and cost less than a hash of all.
uint64_t HashWord(std::string_view word) {
  uint64_t head = 0, tail = 0;
  if (word.size() >= 8) {
    std::memcpy(&head, word.data(), 8);
    std::memcpy(&tail, word.data() + word.size() - 8, 8);
  } else {
    std::memcpy(&head, word.data(), word.size());
  }
  uint64_t hash = (head ^ tail * 0x9E3779B97F4A7C15u) + word.size();
  hash *= 0xC2B2AE3D27D4EB4Fu;
  return hash ^ hash >> 32;
}

constexpr uint16_t kFirstCode = WordSet::kUnknown + 1;

}  // namespace

size_t WordSet::SlotOf(std::string_view word) const {
  size_t slot = HashWord(word) & (slots_.size() - 1);
  while (slots_[slot] != 0 && words_[slots_[slot] - kFirstCode] != word)
    slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void WordSet::Add(std::string_view word) {
  if (Find(word) != kUnknown) return;
  WEIR_CHECK(words_.size() < kWordsMax);
  words_.emplace_back(word);
  if (words_.size() * 4 > slots_.size()) {
    size_t size = 16;
    while (size < words_.size() * 8) size *= 2;
    slots_.assign(size, 0);
    for (size_t i = 0; i < words_.size(); ++i)
      slots_[SlotOf(words_[i])] = static_cast<uint16_t>(i + kFirstCode);
    return;
  }
  slots_[SlotOf(word)] = static_cast<uint16_t>(words_.size() - 1 + kFirstCode);
}

uint16_t WordSet::Find(std::string_view word) const {
  if (slots_.empty()) return kUnknown;
  const uint16_t code = slots_[SlotOf(word)];
  return code == 0 ? kUnknown : code;
}

std::vector<bool> WordSet::Mask(const std::vector<std::string>& words) const {
  std::vector<bool> mask(words_.size() + kFirstCode);
  for (const std::string& word : words) {
    if (const uint16_t code = Find(word); code != kUnknown) mask[code] = true;
  }
  return mask;
}

}  // namespace weir::contract
