// The parts of the ride generator: real trips, and the text of an event.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "generate/dice.h"
#include "generate/rides.h"
#include "generate/stream.h"
#include "generate/text.h"

namespace weir::generate {

// One embedded file of taxi trips, gzip-compressed CSV.
struct TaxiMonth {
  const char* name;  // "2019-05"
  std::string_view gzip;
};
std::vector<TaxiMonth> EmbeddedTaxiMonths();

// A real trip, as far as events carry it. Amounts in hundredths.
struct TaxiTrip {
  Millis pickup = 0, dropoff = 0;
  int32_t pickup_location = 0, dropoff_location = 0;
  int32_t distance = 0, fare = 0, extra = 0, tip = 0, total = 0;
  int32_t payment_type = 0;  // 0: the meter did not say
};
Result<std::vector<TaxiTrip>> ReadTaxiTrips(const TaxiMonth& month);

// The kinds of events of a trip, in order. A corrected payment is an event of its own
// with kind payment_processed.
enum Kind : uint8_t {
  kRequested,
  kAssigned,
  kArrived,
  kStarted,
  kCompleted,
  kPaid,
  kCorrected,
  kKinds
};
extern const std::array<std::string_view, kKinds> kKindNames;
inline constexpr int64_t kCorrection =
    125;  // hundredths that a corrected payment adds to the total

// A trip of the stream: what its events say.
struct Ride {
  std::array<Millis, kKinds> at{};  // event time by kind
  uint8_t events = 0;               // bit per kind that exists
  int32_t month = 0, number = 0;    // -> trip id
  int32_t rider = 0, driver = 0;
  bool hot = false;  // its events carry the trip id kHotTrip
  const TaxiTrip* trip = nullptr;
};

inline constexpr std::string_view kHotTrip = "t-hot";  // after all other trip ids

// How one delivery of an event is written.
enum class Form : uint8_t {
  kPlain,
  kConflicting,
  kNotJson,
  kMissingField,
  kNullField,
  kWrongType,
  kUnknownValue
};

// One record as it arrives.
struct Arrival {
  Millis at;      // arrival time
  uint32_t ride;  // position among the rides
  uint8_t kind;
  Form form;
  uint16_t dice;  // for the details of broken forms
};

// What the apps send along with every event and no contract declares: members with string
// values, the same for every delivery of an event. Some repeat (app version, locale),
// some are random (session, GPS trace), so that they compress like the events of a real
// app.
class WideFields {
 public:
  WideFields(uint64_t seed, int bytes);
  // Appends `,"name":"value"…` until the event that begins at `start`, closing brace
  // included, has the bytes wanted.
  void Append(const Ride& ride, uint8_t kind, size_t start, std::string* out) const;

 private:
  size_t bytes_;
  uint64_t seed_;
  std::string traces_;  // encoded polyline, of which every event takes a piece
};

// Appends the JSON text of an event, without line end.
class EventWriter {
 public:
  explicit EventWriter(std::vector<std::string> months) : months_(std::move(months)) {}
  EventWriter(std::vector<std::string> months, WideFields wide)
      : months_(std::move(months)), wide_(std::move(wide)) {}
  void Append(const Ride& ride, const Arrival& arrival, std::string* out) const;
  // The trip that the ride's events name: its own, or kHotTrip.
  void AppendTripId(const Ride& ride, std::string* out) const;

 private:
  void AppendOwnId(const Ride& ride, std::string* out) const;
  void AppendPlain(const Ride& ride, const Arrival& arrival, std::string* out) const;
  std::vector<std::string> months_;
  std::optional<WideFields> wide_;
};

}  // namespace weir::generate
