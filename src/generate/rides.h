// Makes the event stream of examples/rides from real taxi trips, together with its right
// answer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/io.h"

namespace weir::generate {

struct RidesOptions {
  std::string out;   // folder, made when missing; its events*.ndjson must not exist yet
  double scale = 1;  // trips per real trip; 0.1 takes the first tenth of each month
  uint64_t seed = 7;
  std::vector<std::string> months;  // "2019-05"; empty: all that are built in
  int partitions = 1;  // N > 1 writes events-0.ndjson … by crc32(trip_id) % N, broken
                       // records round robin
  // Shares of the events that …
  double late = 0.02;     // arrive minutes to 40 hours after they happened
  double parked = 0.002;  // arrive two to four days after, beyond the contract's lateness
  double duplicate = 0.01;  // are delivered again within the hour
  double bad = 0.005;       // are broken on the way
  double returning = 0;     // are delivered again after 1 to 30 days
  double conflict = 0;      // are delivered again with other content
  // Shares of the trips that …
  double cancelled = 0.03;  // end before the rider is on board
  double correct = 0;       // get a second, corrected payment event
  double hot_trip = 0;      // say that they are the one trip "t-hot"
  double hot_driver = 0;    // are driven by the one driver "d000000"
  // Above 0: events carry strings that the contract does not declare (device, session,
  // GPS trace, …), until each has about so many bytes; at least kWideBytesMin.
  int wide = 0;
};

inline constexpr int kWideBytesMin = 2000, kWideBytesMax = 1 << 20;

// What was written, by the verdict each record must get.
struct RidesCounts {
  int64_t received = 0, accepted = 0, rejected = 0, duplicate = 0, late = 0,
          conflicting = 0;
  int64_t not_json = 0, missing_field = 0, wrong_type = 0, unknown_value = 0;
  int64_t trips = 0;  // trips with at least one accepted event
  int64_t bytes = 0;  // of all event files
};

// Writes into `options.out`:
//   events.ndjson (or events-<p>.ndjson)  one event a line, in order of arrival
//   expected_trips.csv                    silver.trips, ordered by trip_id
//   expected_counts.json                  the ledger
//   data/zones/zones-<version>.csv        the city of each zone, as it changes
//   answer/ledger.json, answer/<table>.ndjson  the answer as generator.h tells it; the
//                                         tables only when there is one partition
// The answer is derived from the true trips, not from the written text. Same options,
// same bytes. `progress` is called now and then with the events written and the events in
// all.
Result<RidesCounts> GenerateRides(
    io::Io& io, const RidesOptions& options,
    const std::function<void(int64_t done, int64_t total)>& progress);

// The built-in months, ascending.
std::vector<std::string> RidesMonths();

}  // namespace weir::generate
