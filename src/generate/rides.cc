#include "generate/rides.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/hash.h"
#include "generate/rides_internal.h"

namespace weir::generate {
namespace {

constexpr Millis kSecond = 1000, kMinute = 60 * kSecond, kHour = 60 * kMinute,
                 kDay = 24 * kHour;
constexpr size_t kBufferBytes = 4 << 20;
constexpr int64_t kProgressEvery = 1 << 16;

// The dice of one purpose for one trip.
Dice DiceFor(uint64_t seed, const Ride& ride, uint64_t purpose) {
  uint64_t id = (static_cast<uint64_t>(ride.month) << 48) |
                (static_cast<uint64_t>(ride.number) << 8) | purpose;
  return Dice(Dice(seed).Next() ^ Dice(id).Next());
}
constexpr uint64_t kTripDice = 0xff,
                   kCorrectDice = 0xfe;  // below: the kind, for what happens to one event
constexpr uint64_t kAgainDice = 0x10;    // plus the kind: extra deliveries

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

// Appends to a file under a temporary name, which readers of the folder leave alone,
// until Finish.
class OutputFile {
 public:
  static Result<OutputFile> Open(io::Io& io, const std::string& path) {
    if (io.Exists(path))
      return Conflict(
          fmt::format("{} is there already: remove it or choose another --out", path));
    auto file = WEIR_TRY(io.Open(path + ".part", io::OpenMode::kCreate));
    WEIR_TRY(file->Truncate(0));
    return OutputFile(io, path, std::move(file));
  }
  std::string& buffer() { return buffer_; }
  Status FlushIfFull() {
    if (buffer_.size() >= kBufferBytes) return Flush();
    return {};
  }
  Result<int64_t> Finish() {  // the bytes written
    WEIR_TRY(Flush());
    file_.reset();
    WEIR_TRY(io_->Rename(path_ + ".part", path_));
    return bytes_;
  }

 private:
  OutputFile(io::Io& io, std::string path, std::unique_ptr<io::File> file)
      : io_(&io), path_(std::move(path)), file_(std::move(file)) {
    buffer_.reserve(kBufferBytes + (1 << 12));
  }
  Status Flush() {
    bytes_ += static_cast<int64_t>(buffer_.size());
    WEIR_TRY(file_->Append(buffer_));
    buffer_.clear();
    return {};
  }

  io::Io* io_;
  std::string path_;
  std::unique_ptr<io::File> file_;
  std::string buffer_;
  int64_t bytes_ = 0;
};

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
        judge_(stream.rides.size()),
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
        Count(judge_.Decide(ride, arrival, &newest_[p]), arrival);
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

 private:
  size_t PartitionOf(const Ride& ride, bool good) {
    if (options_.partitions == 1) return 0;
    if (!good) return static_cast<size_t>(counts_.received % options_.partitions);
    trip_id_.clear();
    writer_.AppendTripId(ride, &trip_id_);
    return Crc32(trip_id_) % static_cast<uint32_t>(options_.partitions);
  }

  void Count(Judge::Verdict verdict, const Arrival& arrival) {
    switch (verdict) {
      case Judge::Verdict::kAccepted:
        ++counts_.accepted;
        accepted_[arrival.ride] |= static_cast<uint8_t>(1 << arrival.kind);
        break;
      case Judge::Verdict::kConflictingDuplicate:
        ++counts_.conflicting;
        [[fallthrough]];
      case Judge::Verdict::kDuplicate:
        ++counts_.duplicate;
        break;
      case Judge::Verdict::kLate:
        ++counts_.late;
        break;
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
void AppendTripRow(const Ride& ride, unsigned accepted, const EventWriter& writer,
                   std::string* out) {
  auto has = [&](unsigned kinds) { return (accepted & kinds) != 0; };
  auto stamp = [&](unsigned kinds) {
    out->push_back(',');
    for (int kind = 0; kind < kKinds; ++kind) {
      if (has(kinds & (1u << kind)))
        return AppendStamp(ride.at[static_cast<size_t>(kind)], out);
    }
  };
  auto amount = [&](bool known, int64_t value) {
    out->push_back(',');
    if (known) AppendHundredths(value, out);
  };
  auto integer = [&](bool known, int32_t value) {
    out->push_back(',');
    if (known) fmt::format_to(std::back_inserter(*out), "{}", value);
  };
  constexpr unsigned kPayment = 1u << kPaid | 1u << kCorrected,
                     kDriver = 1u << kAssigned | 1u << kArrived;
  const TaxiTrip& trip = *ride.trip;
  writer.AppendTripId(ride, out);
  out->push_back(',');
  if (has(1u << kRequested))
    fmt::format_to(std::back_inserter(*out), "r{:06}", ride.rider);
  out->push_back(',');
  if (has(kDriver)) fmt::format_to(std::back_inserter(*out), "d{:06}", ride.driver);
  integer(has(1u << kRequested), trip.pickup_location);
  integer(has(1u << kCompleted), trip.dropoff_location);
  for (unsigned kind : {kRequested, kAssigned, kArrived, kStarted, kCompleted})
    stamp(1u << kind);
  stamp(kPayment);
  amount(has(1u << kCompleted), trip.distance);
  amount(has(kPayment), trip.fare);
  amount(has(1u << kPaid), trip.tip);
  amount(has(kPayment), trip.total + (has(1u << kCorrected) ? kCorrection : 0));
  integer(has(kPayment) && trip.payment_type != 0, trip.payment_type);
  amount(has(1u << kRequested), trip.extra);
  out->push_back('\n');
}

Result<int64_t> WriteTrips(io::Io& io, const std::string& path, const Stream& stream,
                           const EventWriter& writer,
                           const std::vector<uint8_t>& accepted) {
  OutputFile file = WEIR_TRY(OutputFile::Open(io, path));
  file.buffer() =
      "trip_id,rider_id,driver_id,pickup_location_id,dropoff_location_id,requested_at,"
      "assigned_at,arrived_at,started_at,"
      "completed_at,paid_at,trip_distance,fare_amount,tip_amount,total_amount,payment_"
      "type,surge_amount\n";
  int64_t rows = 0;
  for (size_t i = 0; i < stream.rides.size(); ++i) {
    if (accepted[i] == 0) continue;
    ++rows;
    AppendTripRow(stream.rides[i], accepted[i], writer, &file.buffer());
    WEIR_TRY(file.FlushIfFull());
  }
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
  if (options.partitions < 1 || options.partitions > 1024)
    return Invalid("--partitions goes from 1 to 1024");
  for (double share :
       {options.late, options.parked, options.duplicate, options.bad, options.cancelled,
        options.returning, options.conflict, options.correct}) {
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
  EventWriter writer(stream.months);
  EventFiles files(options, stream, writer);
  WEIR_TRY(files.Write(io, progress));
  RidesCounts counts = files.counts();
  counts.trips = WEIR_TRY(WriteTrips(io, io::Join(options.out, "expected_trips.csv"),
                                     stream, writer, files.accepted()));
  WEIR_TRY(WriteCounts(io, io::Join(options.out, "expected_counts.json"), counts));
  return counts;
}

}  // namespace weir::generate
