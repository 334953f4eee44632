#include "generate/rides.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/hash.h"
#include "generate/output_file.h"
#include "generate/rides_answer.h"
#include "generate/rides_internal.h"

namespace weir::generate {
namespace {

// weir.lateness of the contract, and how far the watermark moves before an identity is
// forgotten.
constexpr Millis kLateness = 48 * kHour, kMemory = kLateness + kDay;
constexpr int64_t kProgressEvery = 1 << 16;

// The dice of one purpose for one trip.
Dice DiceFor(uint64_t seed, const Ride& ride, uint64_t purpose) {
  uint64_t id = (static_cast<uint64_t>(ride.month) << 48) |
                (static_cast<uint64_t>(ride.number) << 8) | purpose;
  return Dice(Dice(seed).Next() ^ Dice(id).Next());
}
constexpr uint64_t kTripDice = 0xff, kCorrectDice = 0xfe,
                   kHotDice = 0xfd;    // below: the kind, for what happens to one event
constexpr uint64_t kAgainDice = 0x10;  // plus the kind: extra deliveries

struct Stream {
  std::vector<std::string> months;
  std::vector<std::vector<TaxiTrip>> trips;  // by month
  std::vector<Ride> rides;                   // ordered by trip id
  std::vector<Arrival> arrivals;             // in order of arrival
};

class StreamMaker {
 public:
  StreamMaker(const RidesOptions& options, Stream* stream)
      : options_(options), stream_(stream) {}

  void AddMonth(int32_t month, const std::vector<TaxiTrip>& trips) {
    auto count = static_cast<int32_t>(
        std::llround(options_.scale * static_cast<double>(trips.size())));
    for (int32_t number = 0; number < count; ++number) {
      AddRide(month, number, trips[static_cast<size_t>(number) % trips.size()]);
    }
  }

  void SortArrivals() {
    std::stable_sort(stream_->arrivals.begin(), stream_->arrivals.end(),
                     [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  }

 private:
  void AddRide(int32_t month, int32_t number, const TaxiTrip& trip) {
    Ride ride{.month = month, .number = number, .trip = &trip};
    Dice dice = DiceFor(options_.seed, ride, kTripDice);
    auto people = static_cast<int64_t>(std::max(1.0, options_.scale));
    ride.rider = static_cast<int32_t>(dice.Between(0, 100'000 * people - 1));
    ride.driver = static_cast<int32_t>(dice.Between(0, 4'000 * people - 1));
    ride.at[kRequested] = trip.pickup - dice.Between(90 * kSecond, 10 * kMinute);
    ride.at[kAssigned] = ride.at[kRequested] + dice.Between(3 * kSecond, kMinute);
    ride.at[kArrived] = trip.pickup - dice.Between(kSecond, 25 * kSecond);
    ride.at[kStarted] = trip.pickup;
    ride.at[kCompleted] = trip.dropoff;
    ride.at[kPaid] = trip.dropoff + dice.Between(kSecond, 30 * kSecond);
    Dice hot = DiceFor(options_.seed, ride, kHotDice);
    ride.hot = hot.Chance(options_.hot_trip);
    if (hot.Chance(options_.hot_driver)) ride.driver = 0;
    int kinds = dice.Chance(options_.cancelled) ? static_cast<int>(dice.Between(1, 3))
                                                : kCorrected;
    ride.events = static_cast<uint8_t>((1 << kinds) - 1);
    auto position = static_cast<uint32_t>(stream_->rides.size());
    for (int kind = 0; kind < kinds; ++kind) {
      Millis arrived = AddEvent(position, ride, static_cast<uint8_t>(kind));
      if (kind == kPaid) MaybeCorrect(position, &ride, arrived);
    }
    stream_->rides.push_back(ride);
  }

  // The deliveries of one event; returns when the first arrives.
  Millis AddEvent(uint32_t position, const Ride& ride, uint8_t kind) {
    Dice dice = DiceFor(options_.seed, ride, kind);
    Millis delay = dice.Between(20, 1500);
    if (dice.Chance(options_.parked)) {
      delay = dice.Between(50 * kHour, 96 * kHour);
    } else if (dice.Chance(options_.late)) {
      delay = dice.Between(2 * kMinute, 40 * kHour);
    }
    Arrival first{ride.at[kind] + delay, position, kind, Form::kPlain,
                  static_cast<uint16_t>(dice.Next())};
    if (dice.Chance(options_.bad)) {
      static constexpr Form kBroken[] = {Form::kNotJson, Form::kMissingField,
                                         Form::kNullField, Form::kWrongType,
                                         Form::kUnknownValue};
      first.form = kBroken[dice.Between(0, 4)];
    }
    stream_->arrivals.push_back(first);
    if (first.form == Form::kPlain) AddAgain(ride, first);
    return first.at;
  }

  void AddAgain(const Ride& ride, const Arrival& first) {
    Dice dice = DiceFor(options_.seed, ride, kAgainDice + first.kind);
    if (dice.Chance(options_.duplicate)) {
      Arrival again = first;
      again.at += dice.Between(100, kHour);
      stream_->arrivals.push_back(again);
    }
    if (dice.Chance(options_.conflict)) {
      Arrival other = first;
      other.at += kMinute;
      other.form = Form::kConflicting;
      stream_->arrivals.push_back(other);
    }
    if (dice.Chance(options_.returning)) {
      Arrival late = first;
      late.at += dice.Between(kDay, 30 * kDay);
      stream_->arrivals.push_back(late);
    }
  }

  // A correction happens after the payment, but may overtake it.
  void MaybeCorrect(uint32_t position, Ride* ride, Millis payment_arrived) {
    Dice dice = DiceFor(options_.seed, *ride, kCorrectDice);
    if (!dice.Chance(options_.correct)) return;
    ride->at[kCorrected] = ride->at[kPaid] + dice.Between(kSecond, kHour);
    ride->events |= 1 << kCorrected;
    Millis arrived =
        std::max(ride->at[kCorrected], payment_arrived - dice.Between(0, 2 * kHour));
    stream_->arrivals.push_back({arrived, position, kCorrected, Form::kPlain, 0});
  }

  const RidesOptions& options_;
  Stream* stream_;
};

Result<Stream> MakeStream(const RidesOptions& options) {
  Stream stream;
  std::vector<TaxiMonth> embedded = EmbeddedTaxiMonths();
  for (const std::string& wanted : options.months) {
    if (std::none_of(embedded.begin(), embedded.end(),
                     [&](const TaxiMonth& m) { return wanted == m.name; })) {
      return Invalid(fmt::format("month {} is not built in; there are {}", wanted,
                                 fmt::join(RidesMonths(), ", ")));
    }
  }
  for (const TaxiMonth& month : embedded) {
    if (!options.months.empty() && std::find(options.months.begin(), options.months.end(),
                                             month.name) == options.months.end()) {
      continue;
    }
    stream.months.emplace_back(month.name);
    stream.trips.push_back(WEIR_TRY(ReadTaxiTrips(month)));
  }
  StreamMaker maker(options, &stream);
  for (size_t m = 0; m < stream.months.size(); ++m)
    maker.AddMonth(static_cast<int32_t>(m), stream.trips[m]);
  maker.SortArrivals();
  return stream;
}

void CountRejected(Form form, RidesCounts* counts) {
  ++counts->rejected;
  switch (form) {
    case Form::kNotJson:
      ++counts->not_json;
      break;
    case Form::kMissingField:
    case Form::kNullField:
      ++counts->missing_field;
      break;
    case Form::kWrongType:
      ++counts->wrong_type;
      break;
    default:
      ++counts->unknown_value;
      break;
  }
}

// Writes the events in order of arrival, judging each on the way. `accepted` gets, by
// ride, a bit per accepted kind.
class EventFiles {
 public:
  EventFiles(const RidesOptions& options, const Stream& stream, const EventWriter& writer)
      : options_(options),
        stream_(stream),
        writer_(writer),
        judge_(stream.rides.size() * kKinds, kLateness, kMemory),
        newest_(static_cast<size_t>(options.partitions), Judge::kNever),
        accepted_(stream.rides.size(), 0) {}

  Status Write(io::Io& io, const std::function<void(int64_t, int64_t)>& progress) {
    for (int p = 0; p < options_.partitions; ++p) {
      std::string name =
          options_.partitions == 1 ? "events.ndjson" : fmt::format("events-{}.ndjson", p);
      files_.push_back(WEIR_TRY(OutputFile::Open(io, io::Join(options_.out, name))));
    }
    auto total = static_cast<int64_t>(stream_.arrivals.size());
    for (const Arrival& arrival : stream_.arrivals) {
      const Ride& ride = stream_.rides[arrival.ride];
      bool good = arrival.form == Form::kPlain || arrival.form == Form::kConflicting;
      size_t p = PartitionOf(ride, good);
      writer_.Append(ride, arrival, &files_[p].buffer());
      files_[p].buffer().push_back('\n');
      WEIR_TRY(files_[p].FlushIfFull());
      if (good) {
        const size_t identity = size_t{arrival.ride} * kKinds + arrival.kind;
        Count(judge_.Decide(identity, ride.at[arrival.kind],
                            arrival.form == Form::kConflicting, &newest_[p]),
              arrival);
      } else {
        CountRejected(arrival.form, &counts_);
      }
      if (++counts_.received % kProgressEvery == 0 && progress)
        progress(counts_.received, total);
    }
    for (OutputFile& file : files_) counts_.bytes += WEIR_TRY(file.Finish());
    return {};
  }

  RidesCounts& counts() { return counts_; }
  const std::vector<uint8_t>& accepted() const { return accepted_; }
  // Of one partition, at the end.
  Millis watermark() const {
    return newest_[0] == Judge::kNever ? Judge::kNever : newest_[0] - kLateness;
  }

 private:
  size_t PartitionOf(const Ride& ride, bool good) {
    if (options_.partitions == 1) return 0;
    if (!good) return static_cast<size_t>(counts_.received % options_.partitions);
    trip_id_.clear();
    writer_.AppendTripId(ride, &trip_id_);
    return Crc32(trip_id_) % static_cast<uint32_t>(options_.partitions);
  }

  void Count(Verdict verdict, const Arrival& arrival) {
    switch (verdict) {
      case Verdict::kAccepted:
        ++counts_.accepted;
        accepted_[arrival.ride] |= static_cast<uint8_t>(1 << arrival.kind);
        break;
      case Verdict::kConflictingDuplicate:
        ++counts_.conflicting;
        [[fallthrough]];
      case Verdict::kDuplicate:
        ++counts_.duplicate;
        break;
      case Verdict::kLate:
        ++counts_.late;
        break;
      case Verdict::kRejected:
        break;  // counted by CountRejected
    }
  }

  const RidesOptions& options_;
  const Stream& stream_;
  const EventWriter& writer_;
  Judge judge_;
  std::vector<Millis> newest_;  // by partition
  std::vector<uint8_t> accepted_;
  std::vector<OutputFile> files_;
  std::string trip_id_;
  RidesCounts counts_;
};

// One row of silver.trips, from the events that were accepted.
class TripRow {
 public:
  explicit TripRow(const std::vector<Ride>& rides) : rides_(rides) {
    stamps_.fill(Judge::kNever);
  }

  // Takes in a ride's accepted events (a bit per kind).
  void Add(uint32_t position, unsigned accepted) {
    for (uint8_t kind = 0; kind < kKinds; ++kind) {
      if ((accepted & (1u << kind)) == 0) continue;
      const Ride& ride = rides_[position];
      const Latest event{ride.at[kind], position, kind};
      Millis& stamp = stamps_[std::min<size_t>(kind, kPaid)];
      if (stamp == Judge::kNever || event.at < stamp) stamp = event.at;
      switch (kind) {
        case kRequested:
          request_ = std::max(request_, event);
          break;
        case kAssigned:
        case kArrived:
          driver_ = std::max(driver_, event);
          break;
        case kCompleted:
          completion_ = std::max(completion_, event);
          break;
        case kPaid:
        case kCorrected:
          payment_ = std::max(payment_, event);
          if (kind == kPaid) tip_ = std::max(tip_, event);
          if (ride.trip->payment_type != 0)
            payment_type_ = std::max(payment_type_, event);
          break;
        default:
          break;
      }
      last_ = position;
      last_event_ = std::max(last_event_, event.at);
      empty_ = false;
    }
  }

  bool empty() const { return empty_; }

  TripFacts Facts(const EventWriter& writer) const {
    TripFacts facts;
    writer.AppendTripId(rides_[last_], &facts.id);
    auto of = [&](const Latest& event, auto get) {
      using Value = decltype(get(rides_[0]));
      return event.at == Judge::kNever ? std::optional<Value>()
                                       : std::optional<Value>(get(rides_[event.ride]));
    };
    auto amount = [&](const Latest& event, int32_t TaxiTrip::*of_trip) {
      return of(event, [&](const Ride& r) { return int64_t{r.trip->*of_trip}; });
    };
    facts.rider = of(request_, [](const Ride& r) { return r.rider; });
    facts.driver = of(driver_, [](const Ride& r) { return r.driver; });
    facts.pickup_zone =
        of(request_, [](const Ride& r) { return r.trip->pickup_location; });
    facts.dropoff_zone =
        of(completion_, [](const Ride& r) { return r.trip->dropoff_location; });
    facts.payment_type =
        of(payment_type_, [](const Ride& r) { return r.trip->payment_type; });
    for (size_t kind = 0; kind < stamps_.size(); ++kind) {
      if (stamps_[kind] != Judge::kNever) facts.stamps[kind] = stamps_[kind];
    }
    facts.last_event = last_event_;
    facts.distance = amount(completion_, &TaxiTrip::distance);
    facts.fare = amount(payment_, &TaxiTrip::fare);
    facts.tip = amount(tip_, &TaxiTrip::tip);
    facts.total = amount(payment_, &TaxiTrip::total);
    if (facts.total && payment_.kind == kCorrected) *facts.total += kCorrection;
    facts.surge = amount(request_, &TaxiTrip::extra);
    return facts;
  }

  void Append(const EventWriter& writer, std::string* out) const {
    auto add = [&](const Latest& event, auto write) {
      out->push_back(',');
      if (event.at != Judge::kNever) write(rides_[event.ride]);
    };
    auto amount = [&](int64_t value) { AppendHundredths(value, out); };
    auto integer = [&](int32_t value) {
      fmt::format_to(std::back_inserter(*out), "{}", value);
    };
    writer.AppendTripId(rides_[last_], out);
    add(request_, [&](const Ride& r) {
      fmt::format_to(std::back_inserter(*out), "r{:06}", r.rider);
    });
    add(driver_, [&](const Ride& r) {
      fmt::format_to(std::back_inserter(*out), "d{:06}", r.driver);
    });
    add(request_, [&](const Ride& r) { integer(r.trip->pickup_location); });
    add(completion_, [&](const Ride& r) { integer(r.trip->dropoff_location); });
    for (int kind = kRequested; kind <= kPaid; ++kind) {
      out->push_back(',');
      const Millis stamp = stamps_[static_cast<size_t>(kind)];
      if (stamp != Judge::kNever) AppendStamp(stamp, out);
    }
    add(completion_, [&](const Ride& r) { amount(r.trip->distance); });
    add(payment_, [&](const Ride& r) { amount(r.trip->fare); });
    add(tip_, [&](const Ride& r) { amount(r.trip->tip); });
    add(payment_, [&](const Ride& r) {
      amount(r.trip->total + (payment_.kind == kCorrected ? kCorrection : 0));
    });
    add(payment_type_, [&](const Ride& r) { integer(r.trip->payment_type); });
    add(request_, [&](const Ride& r) { amount(r.trip->extra); });
    out->push_back('\n');
  }

 private:
  // The newest event that carries a field. Among events of one time the one with the
  // greater event_id wins: ids ascend with the ride's position, then with the kind.
  struct Latest {
    Millis at = Judge::kNever;
    uint32_t ride = 0;
    uint8_t kind = 0;
    auto operator<=>(const Latest&) const = default;
  };

  const std::vector<Ride>& rides_;
  std::array<Millis, kCorrected> stamps_;
  Latest request_, driver_, completion_, payment_, tip_, payment_type_;
  uint32_t last_ = 0;
  Millis last_event_ = Judge::kNever;
  bool empty_ = true;
};

Result<int64_t> WriteTrips(io::Io& io, const std::string& path, const Stream& stream,
                           const EventWriter& writer,
                           const std::vector<uint8_t>& accepted, RidesAnswer* answer) {
  OutputFile file = WEIR_TRY(OutputFile::Open(io, path));
  file.buffer() =
      "trip_id,rider_id,driver_id,pickup_location_id,dropoff_location_id,requested_at,"
      "assigned_at,arrived_at,started_at,"
      "completed_at,paid_at,trip_distance,fare_amount,tip_amount,total_amount,payment_"
      "type,surge_amount\n";
  int64_t rows = 0;
  auto write = [&](const TripRow& row) -> Status {
    if (row.empty()) return {};
    ++rows;
    row.Append(writer, &file.buffer());
    if (answer != nullptr) answer->Add(row.Facts(writer));
    return file.FlushIfFull();
  };
  TripRow hot(stream.rides);
  for (uint32_t i = 0; i < stream.rides.size(); ++i) {
    if (stream.rides[i].hot) {
      hot.Add(i, accepted[i]);
      continue;
    }
    TripRow row(stream.rides);
    row.Add(i, accepted[i]);
    WEIR_TRY(write(row));
  }
  WEIR_TRY(write(hot));
  WEIR_TRY(file.Finish());
  return rows;
}

Status WriteCounts(io::Io& io, const std::string& path, const RidesCounts& c) {
  OutputFile file = WEIR_TRY(OutputFile::Open(io, path));
  file.buffer() = fmt::format(
      "{{\n \"accepted\": {},\n \"conflicting\": {},\n \"duplicate\": {},\n \"late\": "
      "{},\n \"received\": {},\n"
      " \"rejected\": {},\n \"rejected_by_reason\": {{\n  \"missing_field\": {},\n  "
      "\"not_json\": {},\n"
      "  \"unknown_value\": {},\n  \"wrong_type\": {}\n }}\n}}\n",
      c.accepted, c.conflicting, c.duplicate, c.late, c.received, c.rejected,
      c.missing_field, c.not_json, c.unknown_value, c.wrong_type);
  WEIR_TRY(file.Finish());
  return {};
}

Status CheckOptions(const RidesOptions& options) {
  if (options.out.empty()) return Invalid("say where the events go: --out DIR");
  if (!(options.scale > 0 && options.scale <= 1000))
    return Invalid("--scale goes from above 0 to 1000");
  if (options.wide != 0 && (options.wide < kWideBytesMin || options.wide > kWideBytesMax))
    return Invalid(
        fmt::format("--wide goes from {} to {} bytes", kWideBytesMin, kWideBytesMax));
  if (options.partitions < 1 || options.partitions > 1024)
    return Invalid("--partitions goes from 1 to 1024");
  for (double share : {options.late, options.parked, options.duplicate, options.bad,
                       options.cancelled, options.returning, options.conflict,
                       options.correct, options.hot_trip, options.hot_driver}) {
    if (!(share >= 0 && share <= 1))
      return Invalid("shares such as --late go from 0 to 1");
  }
  return {};
}

}  // namespace

std::vector<std::string> RidesMonths() {
  std::vector<std::string> names;
  for (const TaxiMonth& month : EmbeddedTaxiMonths()) names.emplace_back(month.name);
  return names;
}

Result<RidesCounts> GenerateRides(
    io::Io& io, const RidesOptions& options,
    const std::function<void(int64_t done, int64_t total)>& progress) {
  WEIR_TRY(CheckOptions(options));
  Stream stream = WEIR_TRY(MakeStream(options));
  WEIR_TRY(io.CreateDirs(options.out));
  EventWriter writer =
      options.wide > 0
          ? EventWriter(stream.months, WideFields(options.seed, options.wide))
          : EventWriter(stream.months);
  EventFiles files(options, stream, writer);
  WEIR_TRY(files.Write(io, progress));
  RidesCounts counts = files.counts();
  std::optional<RidesAnswer> answer;
  // With several partitions the watermark in between depends on which is read when.
  if (options.partitions == 1)
    answer.emplace(CitiesOfZones(options.seed, kZoneVersions), files.watermark());
  counts.trips =
      WEIR_TRY(WriteTrips(io, io::Join(options.out, "expected_trips.csv"), stream, writer,
                          files.accepted(), answer ? &*answer : nullptr));
  if (answer) WEIR_TRY(answer->Write(io, options.out));
  WEIR_TRY(WriteZones(io, options.out, options.seed));
  WEIR_TRY(WriteLedgers(io, options.out,
                        {{"ride_events",
                          {.received = counts.received,
                           .accepted = counts.accepted,
                           .rejected = counts.rejected,
                           .duplicate = counts.duplicate,
                           .late = counts.late,
                           .conflicting = counts.conflicting}}}));
  WEIR_TRY(WriteCounts(io, io::Join(options.out, "expected_counts.json"), counts));
  return counts;
}

}  // namespace weir::generate
