#include "ops/exact_sum.h"

#include <cmath>
#include <limits>

#include "base/check.h"

namespace weir::ops {
namespace {

constexpr int kWideExponent = -1074;

// limbs += (negative ? -1 : 1) * magnitude * 2^bit, modulo the width.
void AddMagnitude(std::span<uint64_t> limbs, UInt128 magnitude, int bit, bool negative) {
  const auto first = static_cast<size_t>(bit / 64);
  const int shift = bit % 64;
  const uint64_t low = static_cast<uint64_t>(magnitude),
                 high = static_cast<uint64_t>(magnitude >> 64);
  const uint64_t parts[3] = {low << shift,
                             shift == 0 ? high : high << shift | low >> (64 - shift),
                             shift == 0 ? 0 : high >> (64 - shift)};
  uint64_t carry = 0;
  for (size_t i = first; i < limbs.size(); ++i) {
    const uint64_t part = i - first < 3 ? parts[i - first] : 0;
    if (i - first >= 3 && carry == 0) return;
    uint64_t once;
    if (negative) {
      const bool borrow1 = __builtin_sub_overflow(limbs[i], part, &once);
      const bool borrow2 = __builtin_sub_overflow(once, carry, &limbs[i]);
      carry = borrow1 | borrow2;
    } else {
      const bool carry1 = __builtin_add_overflow(limbs[i], part, &once);
      const bool carry2 = __builtin_add_overflow(once, carry, &limbs[i]);
      carry = carry1 | carry2;
    }
  }
}

UInt128 Magnitude(Int128 value) {
  return value < 0 ? -static_cast<UInt128>(value) : static_cast<UInt128>(value);
}

// The highest set bit; -1: none.
int TopBit(std::span<const uint64_t> limbs) {
  for (size_t i = limbs.size(); i-- > 0;) {
    if (limbs[i] != 0) return static_cast<int>(i) * 64 + 63 - std::countl_zero(limbs[i]);
  }
  return -1;
}

bool AnyBitBelow(std::span<const uint64_t> limbs, int bit) {
  const auto whole = static_cast<size_t>(bit / 64);
  for (size_t i = 0; i < whole; ++i) {
    if (limbs[i] != 0) return true;
  }
  return bit % 64 != 0 && (limbs[whole] & ((uint64_t{1} << bit % 64) - 1)) != 0;
}

// The 64 bits that begin at `bit`.
uint64_t BitsFrom(std::span<const uint64_t> limbs, int bit) {
  const auto i = static_cast<size_t>(bit / 64);
  const int shift = bit % 64;
  uint64_t out = limbs[i] >> shift;
  if (shift != 0 && i + 1 < limbs.size()) out |= limbs[i + 1] << (64 - shift);
  return out;
}

// magnitude · 2^exponent to nearest even; `inexact`: the magnitude has lost something
// below its last bit.
double Rounded(std::span<const uint64_t> magnitude, int exponent, bool inexact) {
  const int top = TopBit(magnitude);
  if (top < 0) return 0;
  const int last =
      std::max({top - 52, kWideExponent - exponent, 0});  // the result's lowest bit
  if (last > top + 1) return 0;
  uint64_t mantissa =
      last > top ? 0
                 : BitsFrom(magnitude, last) & ((uint64_t{1} << (top - last + 1)) - 1);
  if (last > 0 &&
      (magnitude[static_cast<size_t>((last - 1) / 64)] >> ((last - 1) % 64) & 1) != 0) {
    const bool above_half = inexact || AnyBitBelow(magnitude, last - 1);
    if (above_half || (mantissa & 1) != 0) ++mantissa;
  }
  return std::ldexp(static_cast<double>(mantissa), last + exponent);
}

// quotient = numerator · 2^128 / divisor; whether something remained.
bool Divide(std::span<const uint64_t> numerator, uint64_t divisor,
            std::span<uint64_t> quotient) {
  uint64_t remainder = 0;
  for (size_t i = quotient.size(); i-- > 0;) {
    const UInt128 part =
        static_cast<UInt128>(remainder) << 64 | (i >= 2 ? numerator[i - 2] : 0);
    quotient[i] = static_cast<uint64_t>(part / divisor);
    remainder = static_cast<uint64_t>(part % divisor);
  }
  return remainder != 0;
}

}  // namespace

double RoundedQuotient(std::span<const uint64_t> numerator, int exponent,
                       uint64_t divisor) {
  constexpr size_t kLimbsMax = WideSum::kLimbs;
  WEIR_CHECK(numerator.size() <= kLimbsMax && divisor > 0);
  uint64_t buffer[kLimbsMax], wider[kLimbsMax + 2];
  const std::span magnitude(buffer, numerator.size());
  const bool negative = numerator.back() >> 63;
  uint64_t carry = negative;
  for (size_t i = 0; i < numerator.size(); ++i) {
    magnitude[i] = negative ? ~numerator[i] + carry : numerator[i];
    carry = carry != 0 && magnitude[i] == 0;
  }
  double out;
  if (divisor == 1) {
    out = Rounded(magnitude, exponent, false);
  } else {
    const std::span quotient(wider, numerator.size() + 2);
    const bool inexact = Divide(magnitude, divisor, quotient);
    out = Rounded(quotient, exponent - 128, inexact);
  }
  return negative ? -out : out;
}

double RoundedQuotient(Int128 numerator, uint64_t divisor) {
  const uint64_t limbs[2] = {static_cast<uint64_t>(numerator),
                             static_cast<uint64_t>(numerator >> 64)};
  return RoundedQuotient(limbs, 0, divisor);
}

void WideSum::Add(double term, int64_t weight) {
  const uint64_t bits = std::bit_cast<uint64_t>(term);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
  if (exponent == 0x7ff) {
    (std::isnan(term) ? nan : term > 0 ? positive_infinity : negative_infinity) += weight;
    return;
  }
  uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (exponent > 0) mantissa |= uint64_t{1} << 52;
  const bool negative = (bits >> 63 != 0) != (weight < 0);
  AddMagnitude(limbs,
               static_cast<UInt128>(mantissa) * static_cast<uint64_t>(Magnitude(weight)),
               exponent > 0 ? exponent - 1 : 0, negative);
}

void WideSum::Add(NarrowSum sum) {
  AddMagnitude(limbs, Magnitude(sum.value), -NarrowSum::kScale - kWideExponent,
               sum.value < 0);
}

double RoundedSum(NarrowSum narrow, const WideSum* wide, uint64_t divisor) {
  if (wide == nullptr) {
    if (divisor == 1)
      return std::ldexp(static_cast<double>(narrow.value), -NarrowSum::kScale);
    const uint64_t limbs[2] = {static_cast<uint64_t>(narrow.value),
                               static_cast<uint64_t>(narrow.value >> 64)};
    return RoundedQuotient(limbs, -NarrowSum::kScale, divisor);
  }
  const bool up = wide->positive_infinity > 0, down = wide->negative_infinity > 0;
  if (wide->nan > 0 || (up && down)) return std::numeric_limits<double>::quiet_NaN();
  if (up) return std::numeric_limits<double>::infinity();
  if (down) return -std::numeric_limits<double>::infinity();
  WideSum total = *wide;
  total.Add(narrow);
  return RoundedQuotient(total.limbs, kWideExponent, divisor);
}

}  // namespace weir::ops
