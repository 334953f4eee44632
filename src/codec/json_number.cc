#include "codec/json_number.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace weir::codec {
namespace {

constexpr int64_t kExponentMax = 1'000'000'000'000;

bool IsDigit(char c) { return static_cast<unsigned char>(c - '0') <= 9; }

// What from_chars calls out of range is either too large, which is nullopt, or too small,
// which is zero.
template <class T>
std::optional<T> Nearest(const NumberText& number) {
  T value = 0;
  const auto read = std::from_chars(number.first, number.end, value);
  if (read.ec == std::errc()) {
    if (std::isinf(value)) return std::nullopt;
    return value;
  }
  // The magnitude decides: the power of ten of the first digit that is not zero.
  int64_t power = number.exponent;
  bool significant = false;
  for (const char* p = number.digits; p < number.digits_end; ++p) {
    if (*p == '.') continue;
    if (*p != '0') significant = true;
    if (significant) ++power;
  }
  if (significant && power > 0) return std::nullopt;
  return number.negative ? T(-0.0) : T(0.0);
}

}  // namespace

std::optional<NumberText> ScanNumber(const char* p) {
  NumberText number;
  number.first = p;
  number.negative = *p == '-';
  if (number.negative) ++p;
  number.digits = p;
  if (!IsDigit(*p)) return std::nullopt;
  if (*p == '0') {
    ++p;
    if (IsDigit(*p)) return std::nullopt;
  } else {
    while (IsDigit(*p)) ++p;
  }
  if (*p == '.') {
    const char* fraction = ++p;
    while (IsDigit(*p)) ++p;
    if (p == fraction) return std::nullopt;
    number.exponent = -(p - fraction);
  }
  number.digits_end = p;
  if (*p == 'e' || *p == 'E') {
    ++p;
    const bool negative = *p == '-';
    if (*p == '+' || *p == '-') ++p;
    if (!IsDigit(*p)) return std::nullopt;
    int64_t exponent = 0;
    for (; IsDigit(*p); ++p)
      exponent = std::min(exponent * 10 + (*p - '0'), kExponentMax);
    number.exponent += negative ? -exponent : exponent;
  }
  number.end = p;
  return number;
}

std::optional<__int128> ExactScaled(const NumberText& number, int scale, int digits_max) {
  __int128 value = 0;
  int significant = 0;
  int64_t zeros = 0;  // seen since the last digit that is not zero
  for (const char* p = number.digits; p < number.digits_end; ++p) {
    if (*p == '.') continue;
    if (*p == '0') {
      if (significant > 0) ++zeros;
      continue;
    }
    if (significant + zeros + 1 > 38) return std::nullopt;
    significant += static_cast<int>(zeros) + 1;
    for (; zeros > 0; --zeros) value *= 10;
    value = value * 10 + (*p - '0');
  }
  if (significant == 0) return 0;
  const int64_t shift = number.exponent + zeros + scale;
  if (shift < 0 || significant + shift > digits_max) return std::nullopt;
  for (int64_t i = 0; i < shift; ++i) value *= 10;
  return number.negative ? -value : value;
}

std::optional<double> NearestDouble(const NumberText& number) {
  return Nearest<double>(number);
}
std::optional<float> NearestFloat(const NumberText& number) {
  return Nearest<float>(number);
}

}  // namespace weir::codec
