// Few words that many values are compared with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::contract {

// Gives each word a code, in the order they were added.
class WordSet {
 public:
  static constexpr uint16_t kNull = 0;     // no value
  static constexpr uint16_t kUnknown = 1;  // none of the words
  static constexpr size_t kWordsMax = 60'000;

  void Add(std::string_view word);
  uint16_t Find(std::string_view word) const;
  // True at the codes of these words.
  std::vector<bool> Mask(const std::vector<std::string>& words) const;

 private:
  size_t SlotOf(std::string_view word) const;

  std::vector<std::string> words_;
  std::vector<uint16_t> slots_;  // codes, 0 is free; open addressing, a power of two
};

}  // namespace weir::contract
