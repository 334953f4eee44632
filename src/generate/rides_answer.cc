#include "generate/rides_answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "generate/output_file.h"

namespace weir::generate {
namespace {

constexpr int32_t kZones =
    263;  // known; trips name two more, for "unknown" and "outside"
constexpr int32_t kCities = 120;
constexpr Millis kSilence =
    2 * kHour;  // after which a trip without completion is dropped

std::string DriverName(int32_t driver) { return fmt::format("d{:06}", driver); }

std::optional<double> Ratio(double part, double whole) {
  if (whole == 0) return std::nullopt;
  return part / whole;
}

}  // namespace

std::map<int32_t, std::string> CitiesOfZones(uint64_t seed, int version) {
  std::map<int32_t, std::string> cities;
  for (int32_t zone = 1; zone <= kZones; ++zone) {
    int32_t city = zone % kCities;
    // Each later version moves some zones to the next city.
    for (int v = 1; v < version; ++v) {
      if (DiceOf(seed, 0x20 + static_cast<uint64_t>(v), static_cast<uint64_t>(zone))
              .Chance(.1))
        city = (city + 1) % kCities;
    }
    cities[zone] = fmt::format("city-{:03}", city);
  }
  return cities;
}

Status WriteZones(io::Io& io, const std::string& out, uint64_t seed) {
  for (int version = 1; version <= kZoneVersions; ++version) {
    OutputFile file = WEIR_TRY(OutputFile::Open(
        io, io::Join(io::Join(out, "data/zones"), fmt::format("zones-{}.csv", version))));
    WEIR_TRY(file.WriteLine("zone_id,city"));
    for (const auto& [zone, city] : CitiesOfZones(seed, version))
      WEIR_TRY(file.WriteLine(CsvRow().Add(zone).Add(city).text()));
    WEIR_TRY(file.Finish());
  }
  return {};
}

// ---------------------------------------------------------------------------- sums

void RidesAnswer::Mean::Add(std::optional<int64_t> value) {
  if (!value) return;
  sum += *value;
  ++count;
}

std::optional<double> RidesAnswer::Mean::Of(double unit) const {
  if (count == 0) return std::nullopt;
  return static_cast<double>(sum) / static_cast<double>(count) / unit;
}

void RidesAnswer::Work::Add(const TripFacts& trip) {
  ++trips;
  total.Add(trip.total);
  if (trip.stamps[kCompleted])
    busy.Add(*trip.stamps[kCompleted] - *trip.stamps[kStarted]);
  if (const auto at = trip.stamps[kAssigned]) from = std::min(from.value_or(*at), *at);
  if (const auto at = trip.stamps[kPaid]) to = std::max(to.value_or(*at), *at);
}

std::optional<Millis> RidesAnswer::Work::Span() const {
  if (!from || !to) return std::nullopt;
  return *to - *from;
}

void RidesAnswer::Surge::Add(const TripFacts& trip) {
  ++trips;
  const bool completed = trip.stamps[kCompleted].has_value();
  if (trip.surge && *trip.surge > 0) {
    ++with;
    completed_with += completed;
    fare_with.Add(trip.fare);
  } else if (trip.surge) {
    ++without;
    completed_without += completed;
    fare_without.Add(trip.fare);
  }
}

void RidesAnswer::Surge::Set(JsonObject* row) const {
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  row->Set("trips", trips)
      .Set("surge_share", Ratio(number(with), number(trips)))
      .Set("average_fare_with_surge", fare_with.Of(100))
      .Set("average_fare_without_surge", fare_without.Of(100))
      .Set("completion_rate_with_surge", Ratio(number(completed_with), number(with)))
      .Set("completion_rate_without_surge",
           Ratio(number(completed_without), number(without)));
}

void RidesAnswer::Hour::Add(const TripFacts& trip, bool is_dropped) {
  ++requested;
  completed += trip.stamps[kCompleted].has_value();
  dropped += is_dropped;
  total.Add(trip.total);
  fare.Add(trip.fare);
  surge.Add(trip.surge);
  if (trip.stamps[kStarted]) wait.Add(*trip.stamps[kStarted] - *trip.stamps[kRequested]);
}

// ---------------------------------------------------------------------------- trips

std::string RidesAnswer::CityOf(std::optional<int32_t> zone) const {
  const auto found = zone ? cities_.find(*zone) : cities_.end();
  return found == cities_.end() ? "(unknown)" : found->second;
}

std::string RidesAnswer::StateOf(const TripFacts& trip) const {
  if (trip.stamps[kCompleted]) return "completed";
  return trip.last_event + kSilence <= watermark_ ? "dropped" : "open";
}

void RidesAnswer::Add(const TripFacts& trip) {
  const std::string state = StateOf(trip), city = CityOf(trip.pickup_zone);
  const auto name = [](char kind,
                       std::optional<int32_t> who) -> std::optional<std::string> {
    if (!who) return std::nullopt;
    return fmt::format("{}{:06}", kind, *who);
  };
  const auto cents = [](std::optional<int64_t> amount) -> std::optional<Cents> {
    if (!amount) return std::nullopt;
    return Cents{*amount};
  };
  JsonObject row;
  row.Set("trip_id", trip.id)
      .Set("rider_id", name('r', trip.rider))
      .Set("driver_id", name('d', trip.driver))
      .Set("pickup_location_id", trip.pickup_zone)
      .Set("dropoff_location_id", trip.dropoff_zone);
  static constexpr const char* kStampNames[] = {"requested_at", "assigned_at",
                                                "arrived_at",   "started_at",
                                                "completed_at", "paid_at"};
  for (size_t kind = kRequested; kind <= kPaid; ++kind) {
    const auto at = trip.stamps[kind];
    row.Set(kStampNames[kind], at ? std::optional(Stamp{*at}) : std::nullopt);
  }
  row.Set("trip_distance", cents(trip.distance))
      .Set("fare_amount", cents(trip.fare))
      .Set("tip_amount", cents(trip.tip))
      .Set("total_amount", cents(trip.total))
      .Set("payment_type", trip.payment_type)
      .Set("surge_amount", cents(trip.surge));
  trips_.push_back(std::move(row));
  states_.push_back(JsonObject()
                        .Set("trip_id", trip.id)
                        .Set("state", state)
                        .Set("last_event_at", Stamp{trip.last_event}));
  if (const auto at = trip.stamps[kRequested]) {
    const Millis hour = *at / kHour * kHour;
    const int32_t day = DateOf(*at).days;
    zones_hourly_[{trip.pickup_zone, hour}].Add(trip, false);
    cities_hourly_[{city, hour}].Add(trip, state == "dropped");
    zones_surge_[{trip.pickup_zone, day}].Add(trip);
    cities_surge_[{city, day}].Add(trip);
  }
  if (const auto at = trip.stamps[kStarted]; at && trip.driver) {
    const int32_t day = DateOf(*at).days;
    drivers_daily_[{*trip.driver, day}].Add(trip);
    city_drivers_[{city, day, *trip.driver}].Add(trip);
  }
}

// ---------------------------------------------------------------------------- tables

Status RidesAnswer::Write(io::Io& io, const std::string& out) const {
  WEIR_TRY(WriteAnswer(io, out, "silver.trips", trips_));
  WEIR_TRY(WriteAnswer(io, out, "silver.trip_states", states_));
  std::vector<JsonObject> rows;
  for (const auto& [key, hour] : zones_hourly_) {
    rows.push_back(JsonObject()
                       .Set("pickup_location_id", key.first)
                       .Set("hour", Stamp{key.second})
                       .Set("trips_requested", hour.requested)
                       .Set("trips_completed", hour.completed)
                       .Set("trips_open", hour.requested - hour.completed)
                       .Set("revenue", hour.total.count
                                           ? std::optional(Cents{hour.total.sum})
                                           : std::nullopt)
                       .Set("average_fare", hour.fare.Of(100))
                       .Set("average_wait_seconds", hour.wait.Of(1000))
                       .Set("surge", hour.surge.Of(100)));
  }
  WEIR_TRY(WriteAnswer(io, out, "gold.city_hourly", rows));
  rows.clear();
  for (const auto& [key, hour] : cities_hourly_) {
    rows.push_back(JsonObject()
                       .Set("city", key.first)
                       .Set("hour", Stamp{key.second})
                       .Set("trips_requested", hour.requested)
                       .Set("trips_completed", hour.completed)
                       .Set("trips_dropped", hour.dropped)
                       .Set("revenue", Cents{hour.total.sum})
                       .Set("average_wait_seconds", hour.wait.Of(1000)));
  }
  WEIR_TRY(WriteAnswer(io, out, "gold.cities_hourly", rows));
  rows.clear();
  for (const auto& [key, work] : drivers_daily_) {
    std::optional<double> busy, used;
    if (work.busy.count) {
      busy = static_cast<double>(work.busy.sum) / 60'000;
      if (const auto span = work.Span())
        used = Ratio(static_cast<double>(work.busy.sum), static_cast<double>(*span));
    }
    rows.push_back(JsonObject()
                       .Set("driver_id", DriverName(key.first))
                       .Set("day", Date{key.second})
                       .Set("trips", work.trips)
                       .Set("busy_minutes", busy)
                       .Set("utilisation", used)
                       .Set("revenue", work.total.count
                                           ? std::optional(Cents{work.total.sum})
                                           : std::nullopt));
  }
  WEIR_TRY(WriteAnswer(io, out, "gold.driver_daily", rows));
  struct CityDay {
    int64_t drivers = 0, trips = 0, busy = 0, span = 0;
  };
  std::map<std::pair<std::string, int32_t>, CityDay> days;
  for (const auto& [key, work] : city_drivers_) {
    CityDay& day = days[{std::get<0>(key), std::get<1>(key)}];
    ++day.drivers;
    day.trips += work.trips;
    day.busy += work.busy.sum;
    day.span += work.Span().value_or(0);
  }
  rows.clear();
  for (const auto& [key, day] : days) {
    rows.push_back(JsonObject()
                       .Set("city", key.first)
                       .Set("day", Date{key.second})
                       .Set("drivers", day.drivers)
                       .Set("trips", day.trips)
                       .Set("busy_minutes", static_cast<double>(day.busy) / 60'000)
                       .Set("utilisation", Ratio(static_cast<double>(day.busy),
                                                 static_cast<double>(day.span))));
  }
  WEIR_TRY(WriteAnswer(io, out, "gold.city_drivers_daily", rows));
  rows.clear();
  for (const auto& [key, surge] : zones_surge_) {
    JsonObject row;
    row.Set("pickup_location_id", key.first).Set("day", Date{key.second});
    surge.Set(&row);
    rows.push_back(std::move(row));
  }
  WEIR_TRY(WriteAnswer(io, out, "gold.surge_effect", rows));
  rows.clear();
  for (const auto& [key, surge] : cities_surge_) {
    JsonObject row;
    row.Set("city", key.first).Set("day", Date{key.second});
    surge.Set(&row);
    rows.push_back(std::move(row));
  }
  return WriteAnswer(io, out, "gold.city_surge_daily", rows);
}

}  // namespace weir::generate
