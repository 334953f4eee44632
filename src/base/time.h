// Event time, wall time and their text.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

// Microseconds since 1970-01-01T00:00:00Z, event time or wall time.
using Micros = int64_t;

// No time at all: smaller than every stamp a record can carry.
inline constexpr Micros kNoTime = std::numeric_limits<Micros>::min();

// Where wall time comes from. Used for arrival stamps, leases and snapshot stamps only;
// never for a decision about rows. Safe for concurrent use.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Micros Now() = 0;        // wall time
  virtual Micros Monotonic() = 0;  // for measuring; its zero means nothing
};

class SystemClock final : public Clock {
 public:
  Micros Now() override;
  Micros Monotonic() override;
};

// Stands still until told; for tests.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Micros now) : now_(now) {}
  Micros Now() override { return now_; }
  Micros Monotonic() override { return now_; }
  void Advance(Micros by) { now_ += by; }

 private:
  Micros now_;
};

// Reads an RFC 3339 / ISO 8601 stamp: YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm); a blank
// may stand for T. Years 0000-9999, also in UTC. A leap second (:60) is read as the first
// second after it. Digits beyond microseconds are cut. nullopt if it is not such a stamp.
// `has_zone` says whether a zone stood there; without one the time is taken as UTC, and
// the caller decides whether that is allowed.
std::optional<Micros> ParseTimestamp(std::string_view text, bool* has_zone);

// "2018-01-11T18:24:44.123456Z"; the fraction is left out when it is zero.
std::string FormatTimestamp(Micros time);

// YYYY-MM-DD -> days since 1970-01-01.
std::optional<int32_t> ParseDate(std::string_view text);
std::string FormatDate(int32_t days);

// Days since 1970-01-01 of a civil date (proleptic Gregorian).
int64_t DaysFromCivil(int64_t year, unsigned month, unsigned day);
// The inverse.
void CivilFromDays(int64_t days, int64_t* year, unsigned* month, unsigned* day);

// An ISO 8601 duration without years and months: "PT48H", "P2D", "PT5M30S", "PT0.5S".
// Also reads "48 hours", "30 seconds", "5 min", "2 days". At most 100 years. kInvalid
// says what would be right.
Result<Micros> ParseDuration(std::string_view text);
// The shortest ISO 8601 form: "PT48H".
std::string FormatDuration(Micros duration);

}  // namespace weir
