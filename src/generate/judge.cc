#include <algorithm>

#include "generate/rides_internal.h"

namespace weir::generate {
namespace {

constexpr Millis kHour = 3'600'000;
constexpr Millis kLateness = 48 * kHour;  // weir.lateness of the contract
constexpr Millis kMemory =
    kLateness +
    24 * kHour;  // how far the watermark moves before an identity is forgotten

}  // namespace

Judge::Verdict Judge::Decide(const Ride& ride, const Arrival& arrival, Millis* newest) {
  size_t identity = size_t{arrival.ride} * kKinds + arrival.kind;
  bool differs = arrival.form == Form::kConflicting;
  Millis watermark = *newest == kNever ? kNever : *newest - kLateness;
  if (seen_[identity] != kNever && watermark - seen_[identity] < kMemory) {
    return differs == conflicting_[identity] ? Verdict::kDuplicate
                                             : Verdict::kConflictingDuplicate;
  }
  conflicting_[identity] = differs;
  Millis at = ride.at[arrival.kind];
  if (watermark != kNever && at < watermark) {
    seen_[identity] = watermark;
    return Verdict::kLate;
  }
  *newest = std::max(*newest, at);
  seen_[identity] = *newest - kLateness;
  return Verdict::kAccepted;
}

}  // namespace weir::generate
