#include "codec/json_string.h"

#include <array>
#include <cstring>

namespace weir::codec {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The four hex digits at `p`; -1 if they are not.
int32_t FourHex(const char* p, const char* end) {
  if (end - p < 4) return -1;
  int32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = HexDigit(p[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

char* PutUtf8(uint32_t code, char* out) {
  if (code < 0x80) {
    *out++ = static_cast<char>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<char>(0xC0 | code >> 6);
    *out++ = static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out++ = static_cast<char>(0xE0 | code >> 12);
    *out++ = static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *out++ = static_cast<char>(0x80 | (code & 0x3F));
  } else {
    *out++ = static_cast<char>(0xF0 | code >> 18);
    *out++ = static_cast<char>(0x80 | (code >> 12 & 0x3F));
    *out++ = static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *out++ = static_cast<char>(0x80 | (code & 0x3F));
  }
  return out;
}

// The code point of the \u escape whose digits begin at *p; moves *p behind it. -1: none.
int32_t UnicodeEscape(const char** p, const char* end) {
  const int32_t high = FourHex(*p, end);
  if (high < 0) return -1;
  *p += 4;
  if (high < 0xD800 || high > 0xDFFF) return high;
  if (high > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u') return -1;
  const int32_t low = FourHex(*p + 2, end);
  if (low < 0xDC00 || low > 0xDFFF) return -1;
  *p += 6;
  return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

constexpr std::array<int8_t, 256> Base64Values() {
  std::array<int8_t, 256> values{};
  for (auto& v : values) v = -1;
  const char* kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int8_t i = 0; i < 64; ++i) values[static_cast<unsigned char>(kAlphabet[i])] = i;
  return values;
}

}  // namespace

std::optional<size_t> UnescapeJson(std::string_view raw, char* out) {
  const char* const out_first = out;
  const char* p = raw.data();
  const char* const end = p + raw.size();
  while (p < end) {
    const auto* escape =
        static_cast<const char*>(std::memchr(p, '\\', static_cast<size_t>(end - p)));
    const char* stop = escape == nullptr ? end : escape;
    std::memmove(out, p, static_cast<size_t>(stop - p));
    out += stop - p;
    if (escape == nullptr) break;
    p = escape + 1;
    if (p == end) return std::nullopt;
    switch (*p++) {
      case '"':
        *out++ = '"';
        break;
      case '\\':
        *out++ = '\\';
        break;
      case '/':
        *out++ = '/';
        break;
      case 'b':
        *out++ = '\b';
        break;
      case 'f':
        *out++ = '\f';
        break;
      case 'n':
        *out++ = '\n';
        break;
      case 'r':
        *out++ = '\r';
        break;
      case 't':
        *out++ = '\t';
        break;
      case 'u': {
        const int32_t code = UnicodeEscape(&p, end);
        if (code < 0) return std::nullopt;
        out = PutUtf8(static_cast<uint32_t>(code), out);
        break;
      }
      default:
        return std::nullopt;
    }
  }
  return static_cast<size_t>(out - out_first);
}

std::optional<size_t> DecodeBase64(std::string_view text, uint8_t* out) {
  static constexpr std::array<int8_t, 256> kValues = Base64Values();
  if (text.size() % 4 != 0) return std::nullopt;
  const uint8_t* const out_first = out;
  for (size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const int pads = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    uint32_t bits = 0;
    for (size_t j = 0; j < 4; ++j) {
      const int value = j >= 4u - static_cast<unsigned>(pads)
                            ? 0
                            : kValues[static_cast<unsigned char>(text[i + j])];
      if (value < 0) return std::nullopt;
      bits = bits << 6 | static_cast<uint32_t>(value);
    }
    // Bits that the padding leaves over must be zero, so that one value has one text.
    if ((pads == 1 && (bits & 0xFF) != 0) || (pads == 2 && (bits & 0xFFFF) != 0))
      return std::nullopt;
    *out++ = static_cast<uint8_t>(bits >> 16);
    if (pads < 2) *out++ = static_cast<uint8_t>(bits >> 8);
    if (pads < 1) *out++ = static_cast<uint8_t>(bits);
  }
  return static_cast<size_t>(out - out_first);
}

bool ParseUuid(std::string_view text, uint8_t* out) {
  if (text.size() != 36) return false;
  int nibbles = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return false;
      continue;
    }
    const int digit = HexDigit(text[i]);
    if (digit < 0) return false;
    uint8_t& byte = out[nibbles / 2];
    byte = static_cast<uint8_t>(nibbles % 2 == 0 ? digit << 4 : byte | digit);
    ++nibbles;
  }
  return true;
}

std::optional<Micros> ParseTimeOfDay(std::string_view text) {
  const auto two = [&](size_t i) {
    const unsigned a = static_cast<unsigned char>(text[i] - '0');
    const unsigned b = static_cast<unsigned char>(text[i + 1] - '0');
    return a > 9 || b > 9 ? 100u : a * 10 + b;
  };
  if (text.size() < 8 || text[2] != ':' || text[5] != ':') return std::nullopt;
  const unsigned hour = two(0), minute = two(3), second = two(6);
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  Micros time = ((hour * 60LL + minute) * 60 + second) * 1'000'000;
  if (text.size() == 8) return time;
  if (text[8] != '.' || text.size() == 9) return std::nullopt;
  Micros unit = 100'000;
  for (size_t i = 9; i < text.size(); ++i, unit /= 10) {
    const unsigned digit = static_cast<unsigned char>(text[i] - '0');
    if (digit > 9) return std::nullopt;
    time += unit * digit;
  }
  return time;
}

}  // namespace weir::codec
