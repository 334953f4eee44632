#include "base/hash.h"

#define XXH_INLINE_ALL
#include <nmmintrin.h>
#include <xxhash.h>
#include <zlib.h>

#include <array>
#include <cstring>

namespace weir {
namespace {

constexpr std::array<uint32_t, 256> MakeCrc32cTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
    table[i] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrc32cTable = MakeCrc32cTable();

uint32_t Crc32cPortable(uint32_t crc, const unsigned char* p, size_t n) {
  for (; n > 0; --n, ++p) crc = kCrc32cTable[(crc ^ *p) & 0xff] ^ (crc >> 8);
  return crc;
}

__attribute__((target("sse4.2"))) uint32_t Crc32cHardware(uint32_t crc,
                                                          const unsigned char* p,
                                                          size_t n) {
  uint64_t wide = crc;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; n > 0; --n, ++p) crc = _mm_crc32_u8(crc, *p);
  return crc;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes, uint32_t seed) {
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  return ~(hardware ? Crc32cHardware : Crc32cPortable)(~seed, p, bytes.size());
}

uint32_t Crc32(std::string_view bytes, uint32_t seed) {
  return static_cast<uint32_t>(
      crc32_z(seed, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

Hash128 HashBytes128(std::string_view bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {h.low64, h.high64};
}

uint64_t HashBytes64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace weir
