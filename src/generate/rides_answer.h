// The right answer to the models of examples/rides, from trips.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "generate/rides_internal.h"
#include "io/io.h"

namespace weir::generate {

// A trip as its accepted events tell it. Amounts in hundredths.
struct TripFacts {
  std::string id;
  std::optional<int32_t> rider, driver, pickup_zone, dropoff_zone, payment_type;
  std::array<std::optional<Millis>, kCorrected>
      stamps;  // first event by kind, requested to paid
  Millis last_event = 0;
  std::optional<int64_t> distance, fare, tip, total, surge;
};

// A version of the reference data: the city of each zone that is known.
std::map<int32_t, std::string> CitiesOfZones(uint64_t seed, int version);
inline constexpr int kZoneVersions = 2;
// Writes data/zones/zones-<version>.csv, each a whole table.
Status WriteZones(io::Io& io, const std::string& out, uint64_t seed);

class RidesAnswer {
 public:
  // `cities`: the newest version. `watermark`: after the last event.
  RidesAnswer(std::map<int32_t, std::string> cities, Millis watermark)
      : cities_(std::move(cities)), watermark_(watermark) {}
  void Add(const TripFacts& trip);
  // answer/<table>.ndjson of each model.
  Status Write(io::Io& io, const std::string& out) const;

 private:
  struct Mean {
    int64_t sum = 0, count = 0;
    void Add(std::optional<int64_t> value);
    std::optional<double> Of(double unit) const;  // value / unit; null without values
  };
  struct Work {  // of a driver on a day
    int64_t trips = 0;
    Mean busy, total;  // milliseconds, hundredths
    std::optional<Millis> from, to;
    void Add(const TripFacts& trip);
    std::optional<Millis> Span() const;
  };
  struct Surge {  // trips with and without surcharge
    int64_t trips = 0, with = 0, without = 0, completed_with = 0, completed_without = 0;
    Mean fare_with, fare_without;
    void Add(const TripFacts& trip);
    void Set(JsonObject* row) const;
  };
  struct Hour {
    int64_t requested = 0, completed = 0, dropped = 0;
    Mean total, fare, wait, surge;
    void Add(const TripFacts& trip, bool dropped);
  };

  std::string CityOf(std::optional<int32_t> zone) const;
  std::string StateOf(const TripFacts& trip) const;

  std::map<int32_t, std::string> cities_;
  Millis watermark_;
  std::vector<JsonObject> trips_, states_;
  std::map<std::pair<std::optional<int32_t>, Millis>, Hour> zones_hourly_;
  std::map<std::pair<std::string, Millis>, Hour> cities_hourly_;
  std::map<std::pair<int32_t, int32_t>, Work> drivers_daily_;  // driver, day
  std::map<std::tuple<std::string, int32_t, int32_t>, Work>
      city_drivers_;  // city, day, driver
  std::map<std::pair<std::optional<int32_t>, int32_t>, Surge> zones_surge_;  // zone, day
  std::map<std::pair<std::string, int32_t>, Surge> cities_surge_;            // city, day
};

}  // namespace weir::generate
