// The hash of JSON text that does not depend on spacing, on the order of keys or on how a
// string is escaped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::contract {

// Two 64-bit values into one; the order matters.
inline uint64_t MixHash(uint64_t a, uint64_t b) {
  const unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ 0x9E3779B97F4A7C15u) *
      ((b ^ 0xD1B54A32D192ED03u) | 1);
  const uint64_t folded =
      static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  return (folded ^ folded >> 29 ^ b) * 0xBF58476D1CE4E5B9u;
}

class JsonHasher {
 public:
  // `json` is valid JSON. Numbers count as they are written: 1.0 is not 1.00.
  uint64_t Hash(std::string_view json);

 private:
  uint64_t Value();
  uint64_t Object();
  uint64_t List();
  uint64_t String();
  void SkipSpace();
  bool Take(char c);

  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::string scratch_;
};

}  // namespace weir::contract
