// Checksums and hashes that are part of our formats: changing one changes the format's
// version.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace weir {

// CRC-32C (Castagnoli), as in RFC 3720; `seed` is the checksum of what stands before.
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

// CRC-32 (ISO-HDLC, the one of zlib and gzip).
uint32_t Crc32(std::string_view bytes, uint32_t seed = 0);

struct Hash128 {
  uint64_t low = 0, high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

// XXH3, 128 and 64 bits.
Hash128 HashBytes128(std::string_view bytes);
uint64_t HashBytes64(std::string_view bytes, uint64_t seed = 0);

struct Hash128Hasher {
  size_t operator()(const Hash128& h) const { return h.low; }
};

}  // namespace weir
