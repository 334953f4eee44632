#include "ops/exact_sum.h"

#include <cmath>
#include <cstring>
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
  constexpr size_t kLimbsMax = 2 * WideSum::kLimbs + 2;
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

void PowerSums::Add(double x, int64_t weight) {
  constexpr double kBlock = 512;
  // NaN and infinities are terms of themselves.
  const auto block =
      std::isfinite(x) ? static_cast<int64_t>(std::floor(x / kBlock)) : int64_t{0};
  const double term =
      std::isfinite(x) ? std::exp2(x - static_cast<double>(block) * kBlock) : x;
  size_t at = 0;
  for (; at < bytes_.size(); at += kEntry) {
    int64_t number;
    std::memcpy(&number, bytes_.data() + at, sizeof number);
    if (number == block) break;
    if (number > block) {
      bytes_.insert(at, kEntry, '\0');
      break;
    }
  }
  if (at == bytes_.size()) bytes_.append(kEntry, '\0');
  WideSum sum;
  std::memcpy(&sum, bytes_.data() + at + sizeof block, sizeof sum);
  sum.Add(term, weight);
  std::memcpy(bytes_.data() + at, &block, sizeof block);
  std::memcpy(bytes_.data() + at + sizeof block, &sum, sizeof sum);
}

double PowerSums::Log2() const {
  // Two blocks below the highest are less than a rounding of it.
  double total = 0;
  int64_t top = 0;
  for (size_t at = bytes_.size(); at > 0; at -= kEntry) {
    int64_t block;
    WideSum wide;
    std::memcpy(&block, bytes_.data() + at - kEntry, sizeof block);
    std::memcpy(&wide, bytes_.data() + at - sizeof wide, sizeof wide);
    const double sum = RoundedSum({}, &wide);
    if (!std::isfinite(sum)) return sum;
    if (total == 0) {
      total = sum;
      top = block;
    } else if (top - block <= 2) {
      total += std::ldexp(sum, static_cast<int>(block - top) * 512);
    }
  }
  return std::log2(total) + static_cast<double>(top) * 512;
}

namespace {

// |term| = mantissa · 2^exponent. Finite.
struct Parts {
  explicit Parts(double term) {
    const uint64_t bits = std::bit_cast<uint64_t>(term);
    const int biased = static_cast<int>(bits >> 52 & 0x7ff);
    mantissa = bits & ((uint64_t{1} << 52) - 1);
    if (biased > 0) mantissa |= uint64_t{1} << 52;
    exponent = (biased > 0 ? biased : 1) - 1075;
  }
  uint64_t mantissa;
  int exponent;
};

// limbs += weight · square · 2^bit
void AddSquare(std::span<uint64_t> limbs, UInt128 square, int64_t weight, int bit) {
  const auto times = static_cast<uint64_t>(Magnitude(weight));
  AddMagnitude(limbs, static_cast<UInt128>(static_cast<uint64_t>(square)) * times, bit,
               weight < 0);
  AddMagnitude(limbs, (square >> 64) * times, bit + 64, weight < 0);
}

bool IsNegative(std::span<const uint64_t> limbs) { return limbs.back() >> 63 != 0; }

void Negate(std::span<uint64_t> limbs) {
  uint64_t carry = 1;
  for (uint64_t& limb : limbs) {
    limb = ~limb + carry;
    carry = carry != 0 && limb == 0;
  }
}

// out += a · b (or -= if `negative`), both without sign, modulo the width of `out`.
void AddProduct(std::span<uint64_t> out, std::span<const uint64_t> a,
                std::span<const uint64_t> b, bool negative) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == 0) continue;
    for (size_t j = 0; j < b.size() && i + j < out.size(); ++j) {
      if (b[j] != 0)
        AddMagnitude(out, static_cast<UInt128>(a[i]) * b[j],
                     static_cast<int>(64 * (i + j)), negative);
    }
  }
}

// (n · squares - sum²) · 2^exponent / (n · (n or n - 1)). `numerator` is of zeros.
double Variance(std::span<uint64_t> sum, std::span<const uint64_t> squares, int exponent,
                std::span<uint64_t> numerator, uint64_t n, bool sample) {
  if (IsNegative(sum)) Negate(sum);
  AddProduct(numerator, squares, std::span(&n, 1), false);
  AddProduct(numerator, sum, sum, true);
  const UInt128 divisor = static_cast<UInt128>(n) * (sample ? n - 1 : n);
  if (divisor == static_cast<uint64_t>(divisor))
    return RoundedQuotient(numerator, exponent, static_cast<uint64_t>(divisor));
  return RoundedQuotient(numerator, exponent, n) /
         static_cast<double>(sample ? n - 1 : n);
}

}  // namespace

bool NarrowSquares::TryAdd(double term, int64_t weight) {
  if (term == 0) return true;
  if (!std::isfinite(term)) return false;
  Parts parts(term);
  const int zeros = std::countr_zero(parts.mantissa);
  parts.mantissa >>= zeros;
  parts.exponent += zeros;
  const int bit = 2 * parts.exponent - kExponent;
  const UInt128 square = static_cast<UInt128>(parts.mantissa) * parts.mantissa;
  // A weight is below 2^32.
  if (bit < 0 || 2 * std::bit_width(parts.mantissa) + bit + 32 >= 64 * 4 - 1)
    return false;
  uint64_t sum[4];
  std::copy(std::begin(limbs), std::end(limbs), sum);
  AddSquare(sum, square, weight, bit);
  // What is added keeps out of the highest bit, so a sum beyond the width has a sign that
  // neither part has.
  if (IsNegative(sum) != IsNegative(limbs) && IsNegative(sum) != (weight < 0))
    return false;
  std::copy(std::begin(sum), std::end(sum), limbs);
  return true;
}

void WideSquares::Add(double term, int64_t weight) {
  if (!std::isfinite(term)) return;
  const Parts parts(term);
  AddSquare(limbs, static_cast<UInt128>(parts.mantissa) * parts.mantissa, weight,
            2 * (parts.exponent - kWideExponent));
}

double RoundedVariance(NarrowSum sum, const WideSum* wide, const NarrowSquares& squares,
                       const WideSquares* wide_squares, int64_t n, bool sample) {
  const auto terms = static_cast<uint64_t>(n);
  if (wide == nullptr && wide_squares == nullptr) {
    uint64_t limbs[2] = {static_cast<uint64_t>(sum.value),
                         static_cast<uint64_t>(sum.value >> 64)};
    uint64_t numerator[6] = {};
    return Variance(limbs, squares.limbs, NarrowSquares::kExponent, numerator, terms,
                    sample);
  }
  WideSum total = wide == nullptr ? WideSum() : *wide;
  total.Add(sum);
  WideSquares all = wide_squares == nullptr ? WideSquares() : *wide_squares;
  constexpr int kShift = NarrowSquares::kExponent - 2 * kWideExponent;
  NarrowSquares narrow = squares;  // below zero when it took back what is in the wide one
  const bool negative = IsNegative(narrow.limbs);
  if (negative) Negate(narrow.limbs);
  for (int i = 0; i < 4; ++i)
    AddMagnitude(all.limbs, narrow.limbs[i], kShift + 64 * i, negative);
  uint64_t numerator[WideSquares::kLimbs + 1] = {};
  return Variance(total.limbs, all.limbs, 2 * kWideExponent, numerator, terms, sample);
}

}  // namespace weir::ops
