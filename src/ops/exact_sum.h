// Sums of doubles without rounding: the result does not depend on the order of the terms,
// on how they are grouped, or on terms that were added and taken away again. It is
// rounded once, to nearest even, when it is read.
//
// Almost all sums fit a NarrowSum, 128 bits at the scale 2^-72: terms below 2^53 that are
// multiples of 2^-72. What does not fit goes to a WideSum, a fixed-point number that
// spans the whole range of double; the sum is then the two together.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weir::ops {

using Int128 = __int128;
using UInt128 = unsigned __int128;

struct NarrowSum {
  static constexpr int kScale = 72;

  Int128 value = 0;  // of 2^-72

  // Adds `weight` times `term`. False: it does not fit, nothing was added.
  bool TryAdd(double term, int64_t weight) {
    const uint64_t bits = std::bit_cast<uint64_t>(term);
    const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
    if (exponent == 0) return (bits << 1) == 0;  // zeros; a subnormal is too small
    const uint64_t mantissa = (bits & ((uint64_t{1} << 52) - 1)) | uint64_t{1} << 52;
    const int shift = exponent - 1075 + kScale;
    Int128 scaled;
    if (shift >= 0) {
      if (shift > kScale) return false;
      scaled = static_cast<Int128>(mantissa) << shift;
    } else {
      if (std::countr_zero(mantissa) < -shift) return false;
      scaled = mantissa >> -shift;
    }
    if (bits >> 63) scaled = -scaled;
    if (weight != 1 &&
        __builtin_mul_overflow(scaled, static_cast<Int128>(weight), &scaled))
      return false;
    Int128 sum;
    if (__builtin_add_overflow(value, scaled, &sum)) return false;
    value = sum;
    return true;
  }
};

// Plain bytes, also when stored (docs/formats/ops.md).
struct WideSum {
  // Bit 0 is 2^-1074, the smallest double; the largest is below 2^2098, and 2^77 of them
  // fit.
  static constexpr int kLimbs = 34;

  int64_t nan = 0, positive_infinity = 0, negative_infinity = 0;  // how many
  uint64_t limbs[kLimbs] = {};  // two's complement, little end first

  void Add(double term, int64_t weight);
  void Add(NarrowSum sum);
};

// (narrow + wide) / divisor, correctly rounded; `wide` may be null, `divisor` > 0. NaN
// when there is a NaN or infinities of both signs.
double RoundedSum(NarrowSum narrow, const WideSum* wide, uint64_t divisor = 1);

// The sum of powers 2^x, each rounded by itself, without further rounding and whatever
// their sizes: of powers whose exponents are in one block of 512 a WideSum.
class PowerSums {
 public:
  PowerSums() = default;
  explicit PowerSums(std::string_view bytes) : bytes_(bytes) {}

  void Add(double x, int64_t weight);
  double Log2() const;  // of a sum above 0

  // Per block in ascending order: int64 number of the block, WideSum of its powers over
  // 2^(512 · number).
  std::string_view bytes() const { return bytes_; }

 private:
  static constexpr size_t kEntry = sizeof(int64_t) + sizeof(WideSum);

  std::string bytes_;
};

// Sums of squares without rounding, for variances.
struct NarrowSquares {
  static constexpr int kExponent = -2 * NarrowSum::kScale;

  uint64_t limbs[4] = {};  // of 2^kExponent, two's complement

  // Adds `weight` times the square of `term`. False: it does not fit, nothing was added.
  bool TryAdd(double term, int64_t weight);
};

// Plain bytes, also when stored. NaNs and infinities do not count here; the WideSum
// beside it has them.
struct WideSquares {
  // Bit 0 is 2^-2148, and 2^156 squares of the largest double fit.
  static constexpr int kLimbs = 68;

  uint64_t limbs[kLimbs] = {};

  void Add(double term, int64_t weight);
};

// The mean of the squared distances from the mean of n finite terms, or, of a sample, n /
// (n - 1) of it: correctly rounded for n up to 2^32. Wide sums may be null. n > 1.
double RoundedVariance(NarrowSum sum, const WideSum* wide, const NarrowSquares& squares,
                       const WideSquares* wide_squares, int64_t n, bool sample);

// numerator · 2^exponent / divisor as the nearest double, ties to even; limbs little end
// first, two's complement, at most 2 · WideSum::kLimbs + 2.
double RoundedQuotient(std::span<const uint64_t> numerator, int exponent,
                       uint64_t divisor);
double RoundedQuotient(Int128 numerator, uint64_t divisor);

}  // namespace weir::ops
