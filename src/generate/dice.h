// Reproducible chance: same seed, same stream, on every machine.
#pragma once

#include <cmath>
#include <cstdint>

namespace weir::generate {

// Independent dice for each purpose, so that an option that is off changes no other byte.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t Next() {  // splitmix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t Between(int64_t low, int64_t high) {  // both included
    return low + static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  double Share() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }  // [0, 1)
  bool Chance(double share) { return Share() < share; }
  // 0 … count - 1, small numbers far more often: the popularity of titles, of campaigns.
  int64_t Skewed(int64_t count) {
    const double share = Share();
    return static_cast<int64_t>(share * share * share * static_cast<double>(count));
  }

 private:
  uint64_t state_;
};

// The dice of one purpose for one thing: those of other purposes and things do not move
// them.
inline Dice DiceOf(uint64_t seed, uint64_t purpose, uint64_t thing) {
  return Dice(Dice(seed ^ (purpose << 56)).Next() ^ Dice(thing).Next());
}

}  // namespace weir::generate
