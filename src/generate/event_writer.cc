#include <fmt/format.h>

#include <charconv>

#include "base/check.h"
#include "generate/rides_internal.h"

namespace weir::generate {

const std::array<std::string_view, kKinds> kKindNames = {
    "trip_requested", "driver_assigned",   "driver_arrived",   "trip_started",
    "trip_completed", "payment_processed", "payment_processed"};

namespace {

constexpr Millis kNewAppFrom =
    1'561'939'200'000;  // 2019-07-01: the app sends a field that nobody announced

void AppendInt(int64_t value, std::string* out) {
  char buffer[24];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out->append(buffer, end);
}

// "key":"value", with a comma in front.
void AppendField(std::string_view key, std::string_view value, std::string* out) {
  out->append(",\"").append(key).append("\":\"").append(value).append("\"");
}
void AppendField(std::string_view key, int64_t value, std::string* out) {
  out->append(",\"").append(key).append("\":");
  AppendInt(value, out);
}
void AppendAmount(std::string_view key, int64_t hundredths, std::string* out) {
  out->append(",\"").append(key).append("\":");
  AppendHundredths(hundredths, out);
}

void AppendBody(const Ride& ride, const Arrival& arrival, std::string* out) {
  const TaxiTrip& trip = *ride.trip;
  switch (arrival.kind) {
    case kRequested:
      out->append(",\"rider_id\":\"r");
      AppendDigits(static_cast<uint64_t>(ride.rider), 6, out);
      out->push_back('"');
      AppendField("pickup_location_id", trip.pickup_location, out);
      AppendAmount("surge_amount", trip.extra, out);
      break;
    case kAssigned:
    case kArrived:
      out->append(",\"driver_id\":\"d");
      AppendDigits(static_cast<uint64_t>(ride.driver), 6, out);
      out->push_back('"');
      break;
    case kCompleted:
      AppendField("dropoff_location_id", trip.dropoff_location, out);
      AppendAmount("trip_distance", trip.distance, out);
      break;
    case kPaid:
    case kCorrected:
      AppendAmount("fare_amount", trip.fare, out);
      if (arrival.kind == kPaid) {
        AppendAmount("tip_amount", trip.tip, out);
      } else {
        out->append(",\"tip_amount\":null");
      }
      AppendAmount("total_amount",
                   trip.total + (arrival.kind == kCorrected ? kCorrection : 0), out);
      if (trip.payment_type != 0) {
        AppendField("payment_type", trip.payment_type, out);
      } else {
        out->append(",\"payment_type\":null");
      }
      break;
    default:
      break;
  }
}

// Takes the member `key` with its value out of the JSON text that begins at `start`, or
// gives it another value.
void ReplaceMember(std::string_view key, std::string_view value, size_t start,
                   std::string* out) {
  std::string member = fmt::format("\"{}\":", key);
  size_t at = out->find(member, start);
  WEIR_CHECK(at != std::string::npos);
  size_t begin = at + member.size();
  size_t end = out->find('"', begin + 1) + 1;  // the members we damage hold strings
  if (!value.empty()) {
    out->replace(begin, end - begin, value);
  } else if ((*out)[end] == ',') {
    out->erase(at, end + 1 - at);
  } else {
    out->erase(at - 1, end - at + 1);
  }
}

}  // namespace

void EventWriter::AppendTripId(const Ride& ride, std::string* out) const {
  if (ride.hot) {
    out->append(kHotTrip);
  } else {
    AppendOwnId(ride, out);
  }
}

void EventWriter::AppendOwnId(const Ride& ride, std::string* out) const {
  out->append("t-").append(months_[static_cast<size_t>(ride.month)]).push_back('-');
  AppendDigits(static_cast<uint64_t>(ride.number), 8, out);
}

void EventWriter::AppendPlain(const Ride& ride, const Arrival& arrival,
                              std::string* out) const {
  bool new_app = ride.trip->pickup >= kNewAppFrom;
  size_t start = out->size();
  out->append("{\"event_id\":\"");
  AppendOwnId(ride, out);
  out->append(arrival.kind == kCorrected ? "-c" : "-");
  AppendInt(arrival.kind, out);
  out->push_back('"');
  AppendField("event_name", kKindNames[arrival.kind], out);
  out->append(",\"event_timestamp\":\"");
  AppendStamp(ride.at[arrival.kind], out);
  out->push_back('"');
  AppendField("schema_version",
              arrival.form == Form::kConflicting ? "9.9.9"
              : new_app                          ? "1.1.0"
                                                 : "1.0.0",
              out);
  out->append(",\"trip_id\":\"");
  AppendTripId(ride, out);
  out->push_back('"');
  AppendBody(ride, arrival, out);
  if (new_app) {
    static constexpr std::string_view kLanguages[] = {"\"en\"", "\"es\"", "\"fr\"",
                                                      "null"};
    out->append(",\"preferred_language\":").append(kLanguages[ride.rider % 4]);
  }
  if (wide_) wide_->Append(ride, arrival.kind, start, out);
  out->push_back('}');
}

void EventWriter::Append(const Ride& ride, const Arrival& arrival,
                         std::string* out) const {
  size_t start = out->size();
  AppendPlain(ride, arrival, out);
  static constexpr std::string_view kNeeded[] = {"event_id", "event_timestamp",
                                                 "trip_id"};
  static constexpr std::string_view kNoStamps[] = {"\"yesterday\"",
                                                   "\"2019-13-45T00:00:00Z\"", "17"};
  switch (arrival.form) {
    case Form::kPlain:
    case Form::kConflicting:
      break;
    case Form::kNotJson:
      out->resize(out->size() - 2 - arrival.dice % 39);
      break;
    case Form::kMissingField:
      ReplaceMember(kNeeded[arrival.dice % 3], "", start, out);
      break;
    case Form::kNullField:
      ReplaceMember("trip_id", "null", start, out);
      break;
    case Form::kWrongType:
      ReplaceMember("event_timestamp", kNoStamps[arrival.dice % 3], start, out);
      break;
    case Form::kUnknownValue:
      ReplaceMember("event_name", "\"trip_teleported\"", start, out);
      break;
  }
}

}  // namespace weir::generate
