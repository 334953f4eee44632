#include "generate/rides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/hash.h"
#include "generate/rides_internal.h"
#include "io/temp_folder.h"

namespace weir::generate {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RidesTest : public ::testing::Test {
 protected:
  RidesTest() : io_(io::NewPosixIo()) {}

  RidesOptions Small(const std::string& name) {
    RidesOptions options;
    options.out = io::Join(folder_.path(), name);
    options.scale = 0.02;
    return options;
  }
  RidesCounts Generate(const RidesOptions& options) {
    auto counts = GenerateRides(*io_, options, nullptr);
    EXPECT_TRUE(counts.ok()) << counts.error().message;
    return *counts;
  }
  std::string Read(const RidesOptions& options, const std::string& name) {
    auto text = io_->ReadAll(io::Join(options.out, name));
    EXPECT_TRUE(text.ok()) << text.error().message;
    return *text;
  }
  static std::vector<std::string> Lines(const std::string& text) {
    std::vector<std::string> lines;
    for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos;
         at = end + 1) {
      lines.push_back(text.substr(at, end - at));
    }
    return lines;
  }
  static std::string Member(const std::string& line, const std::string& key) {
    size_t at = line.find("\"" + key + "\":\"");
    if (at == std::string::npos) return "";
    at += key.size() + 4;
    return line.substr(at, line.find('"', at) - at);
  }

  std::unique_ptr<io::Io> io_;
  const io::TempFolder folder_;
};

TEST_F(RidesTest, TheLedgerOfTheAnswerBalances) {
  RidesOptions options = Small("a");
  options.returning = options.conflict = options.correct = 0.05;
  RidesCounts counts = Generate(options);
  EXPECT_EQ(counts.received,
            counts.accepted + counts.rejected + counts.duplicate + counts.late);
  EXPECT_EQ(counts.rejected, counts.not_json + counts.missing_field + counts.wrong_type +
                                 counts.unknown_value);
  EXPECT_EQ(counts.received,
            static_cast<int64_t>(Lines(Read(options, "events.ndjson")).size()));
  for (int64_t n :
       {counts.accepted, counts.late, counts.duplicate, counts.conflicting,
        counts.not_json, counts.missing_field, counts.wrong_type, counts.unknown_value}) {
    EXPECT_GT(n, 0);
  }
  EXPECT_THAT(Read(options, "expected_counts.json"),
              HasSubstr("\"received\": " + std::to_string(counts.received) + ","));
}

TEST_F(RidesTest, SameOptionsGiveTheSameBytesAndAnotherSeedOthers) {
  RidesOptions first = Small("a"), second = Small("b"), other = Small("c");
  other.seed = 8;
  Generate(first), Generate(second), Generate(other);
  EXPECT_EQ(Read(first, "events.ndjson"), Read(second, "events.ndjson"));
  EXPECT_EQ(Read(first, "expected_trips.csv"), Read(second, "expected_trips.csv"));
  EXPECT_NE(Read(first, "events.ndjson"), Read(other, "events.ndjson"));
}

TEST_F(RidesTest, APartitionHoldsTheTripsWhoseChecksumPointsToIt) {
  RidesOptions options = Small("a");
  options.partitions = 4;
  options.bad = 0;
  Generate(options);
  size_t lines = 0;
  for (uint32_t p = 0; p < 4; ++p) {
    for (const std::string& line :
         Lines(Read(options, "events-" + std::to_string(p) + ".ndjson"))) {
      ++lines;
      ASSERT_EQ(Crc32(Member(line, "trip_id")) % 4, p) << line;
    }
  }
  EXPECT_GT(lines, 1000u);
}

TEST_F(RidesTest, WithoutTroublesEveryEventOfATripIsInItsRow) {
  RidesOptions options = Small("a");
  options.late = options.parked = options.duplicate = options.bad = 0;
  RidesCounts counts = Generate(options);
  EXPECT_EQ(counts.accepted, counts.received);
  std::map<std::string, std::map<std::string, std::string>> stamps;
  for (const std::string& line : Lines(Read(options, "events.ndjson"))) {
    stamps[Member(line, "trip_id")][Member(line, "event_name")] =
        Member(line, "event_timestamp");
  }
  std::vector<std::string> rows = Lines(Read(options, "expected_trips.csv"));
  ASSERT_EQ(rows.size() - 1, stamps.size());
  auto trip = stamps.begin();
  for (size_t i = 1; i < rows.size(); ++i, ++trip) {
    ASSERT_THAT(rows[i], StartsWith(trip->first + ","));
    for (const auto& [kind, stamp] : trip->second)
      ASSERT_THAT(rows[i], HasSubstr("," + stamp)) << kind;
  }
}

TEST_F(RidesTest, MoreThanOneScaleRepeatsTripsUnderNewIds) {
  RidesOptions options = Small("a");
  options.months = {"2019-06"};
  options.scale = 1.5;
  options.parked = options.bad = 0;
  RidesCounts counts = Generate(options);
  EXPECT_EQ(counts.trips, 15000);
}

// The dice of an option roll for it alone.
TEST_F(RidesTest, HotAndWideEventsAreTheSameEvents) {
  RidesOptions plain = Small("a"), hot = Small("b"), wide = Small("c");
  hot.hot_trip = 0.5;
  wide.wide = 2500;
  RidesCounts counts = Generate(plain);
  EXPECT_LT(Generate(hot).trips, counts.trips * 6 / 10);
  EXPECT_EQ(Generate(wide).trips, counts.trips);
  std::vector<std::string> lines = Lines(Read(plain, "events.ndjson")),
                           hot_lines = Lines(Read(hot, "events.ndjson")),
                           wide_lines = Lines(Read(wide, "events.ndjson"));
  ASSERT_EQ(hot_lines.size(), lines.size());
  ASSERT_EQ(wide_lines.size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].ends_with('}')) continue;
    ASSERT_EQ(Member(hot_lines[i], "event_id"), Member(lines[i], "event_id"));
    ASSERT_THAT(wide_lines[i], StartsWith(lines[i].substr(0, lines[i].size() - 1)));
  }
  std::vector<std::string> rows = Lines(Read(hot, "expected_trips.csv"));
  EXPECT_THAT(rows.back(), StartsWith("t-hot,"));
}

TEST_F(RidesTest, RefusesWhatItCannotDo) {
  Generate(Small("a"));
  auto again = GenerateRides(*io_, Small("a"), nullptr);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Code::kConflict);
  RidesOptions month = Small("b");
  month.months = {"1999-01"};
  auto unknown = GenerateRides(*io_, month, nullptr);
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, HasSubstr("2019-06"));
  RidesOptions share = Small("c");
  share.late = 1.5;
  EXPECT_FALSE(GenerateRides(*io_, share, nullptr).ok());
  RidesOptions hot = Small("d");
  hot.hot_trip = -1;
  EXPECT_FALSE(GenerateRides(*io_, hot, nullptr).ok());
  RidesOptions narrow = Small("e");
  narrow.wide = kWideBytesMin - 1;
  auto too_narrow = GenerateRides(*io_, narrow, nullptr);
  ASSERT_FALSE(too_narrow.ok());
  EXPECT_THAT(too_narrow.error().message, HasSubstr("--wide"));
}

TEST(EventWriterTest, BreaksEventsInTheWayTheirFormSays) {
  TaxiTrip trip{.pickup = 1'556'704'800'000,
                .dropoff = 1'556'705'400'000,
                .pickup_location = 7,
                .extra = 50};
  Ride ride{.month = 0, .number = 12, .rider = 34, .trip = &trip};
  ride.at[kRequested] = 1'556'704'500'123;
  EventWriter writer({"2019-05"});
  auto text = [&](Form form, uint16_t dice) {
    std::string out;
    writer.Append(ride, {0, 0, kRequested, form, dice}, &out);
    return out;
  };
  EXPECT_EQ(
      text(Form::kPlain, 0),
      R"({"event_id":"t-2019-05-00000012-0","event_name":"trip_requested","event_timestamp":"2019-05-01T09:55:00.123Z",)"
      R"("schema_version":"1.0.0","trip_id":"t-2019-05-00000012","rider_id":"r000034","pickup_location_id":7,"surge_amount":0.5})");
  EXPECT_THAT(text(Form::kMissingField, 0), StartsWith(R"({"event_name":)"));
  EXPECT_THAT(text(Form::kMissingField, 2), HasSubstr(R"("1.0.0","rider_id")"));
  EXPECT_THAT(text(Form::kNullField, 0), HasSubstr(R"("trip_id":null,)"));
  EXPECT_THAT(text(Form::kWrongType, 2), HasSubstr(R"("event_timestamp":17,)"));
  EXPECT_THAT(text(Form::kUnknownValue, 0),
              HasSubstr(R"("event_name":"trip_teleported",)"));
  EXPECT_EQ(text(Form::kPlain, 0).size() - text(Form::kNotJson, 0).size(), 2u);
}

TEST(TaxiTest, EveryBuiltInMonthUnpacks) {
  ASSERT_FALSE(EmbeddedTaxiMonths().empty());
  for (const TaxiMonth& month : EmbeddedTaxiMonths()) {
    auto trips = ReadTaxiTrips(month);
    ASSERT_TRUE(trips.ok()) << trips.error().message;
    EXPECT_EQ(trips->size(), 10000u) << month.name;
  }
}

}  // namespace
}  // namespace weir::generate
