// MD5 (RFC 1321), in which unified ids are written.
#include <array>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "generate/customer360_internal.h"

namespace weir::generate {
namespace {

void AddBlock(const char* block, std::array<uint32_t, 4>* state) {
  static constexpr int kTurns[4][4] = {
      {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  std::array<uint32_t, 16> words{};
  for (size_t i = 0; i < 64; ++i)
    words[i / 4] |= static_cast<uint32_t>(static_cast<unsigned char>(block[i]))
                    << (i % 4 * 8);
  auto [a, b, c, d] = *state;
  for (uint32_t i = 0; i < 64; ++i) {
    uint32_t mix = 0, word = 0;
    switch (i / 16) {
      case 0:
        mix = (b & c) | (~b & d);
        word = i;
        break;
      case 1:
        mix = (d & b) | (~d & c);
        word = (5 * i + 1) % 16;
        break;
      case 2:
        mix = b ^ c ^ d;
        word = (3 * i + 5) % 16;
        break;
      default:
        mix = c ^ (b | ~d);
        word = 7 * i % 16;
    }
    const auto constant = static_cast<uint32_t>(
        std::floor(std::abs(std::sin(static_cast<double>(i + 1))) * 0x1p32));
    const uint32_t next =
        b + std::rotl(a + mix + constant + words[word], kTurns[i / 16][i % 4]);
    a = d;
    d = c;
    c = b;
    b = next;
  }
  const std::array<uint32_t, 4> add = {a, b, c, d};
  for (size_t i = 0; i < 4; ++i) (*state)[i] += add[i];
}

}  // namespace

std::string Md5(const std::string& text) {
  std::string padded = text + '\x80';
  while (padded.size() % 64 != 56) padded.push_back('\0');
  const uint64_t bits = uint64_t{text.size()} * 8;
  for (int i = 0; i < 8; ++i) padded.push_back(static_cast<char>(bits >> (8 * i)));
  std::array<uint32_t, 4> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  for (size_t at = 0; at < padded.size(); at += 64) AddBlock(padded.data() + at, &state);
  std::string hex;
  for (const uint32_t word : state) {
    for (int i = 0; i < 4; ++i)
      fmt::format_to(std::back_inserter(hex), "{:02x}", word >> (8 * i) & 0xff);
  }
  return hex;
}

}  // namespace weir::generate
