// Numbers as JSON writes them, read without losing a digit.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::codec {

// The parts of one number by the grammar of RFC 8259: -?int(.fraction)?(e[+-]digits)?.
struct NumberText {
  const char* first = nullptr;   // the sign, if there is one
  const char* digits = nullptr;  // int, perhaps followed by '.' and the fraction
  const char* digits_end = nullptr;
  const char* end = nullptr;
  bool negative = false;
  int64_t exponent =
      0;  // the value is the digits without their '.' × 10^exponent; saturates
};

// Reads the number at `p`, whose text is followed by at least one byte that belongs to no
// number. nullopt: no number by the grammar. What may stand after it is the caller's to
// check.
std::optional<NumberText> ScanNumber(const char* p);

// The number × 10^scale when that is a whole number of at most `digits_max` (≤ 38)
// digits.
std::optional<__int128> ExactScaled(const NumberText& number, int scale, int digits_max);

// The nearest double or float; nullopt when it is beyond the type's range. Too small is
// zero.
std::optional<double> NearestDouble(const NumberText& number);
std::optional<float> NearestFloat(const NumberText& number);

}  // namespace weir::codec
