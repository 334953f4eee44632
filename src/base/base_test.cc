#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/bounded_queue.h"
#include "base/event.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/result.h"
#include "base/time.h"

namespace weir {
namespace {

struct StampCase {
  const char* name;
  const char* text;
  const char* utc;  // nullptr: not a stamp
  bool zone;
};
class StampTest : public testing::TestWithParam<StampCase> {};
TEST_P(StampTest, ReadsWhatRfc3339Says) {
  bool zone;
  const auto time = ParseTimestamp(GetParam().text, &zone);
  ASSERT_EQ(time.has_value(), GetParam().utc != nullptr);
  if (!time) return;
  EXPECT_EQ(FormatTimestamp(*time), GetParam().utc);
  EXPECT_EQ(zone, GetParam().zone);
}
INSTANTIATE_TEST_SUITE_P(
    , StampTest,
    testing::Values(
        StampCase{"Zulu", "2018-01-11T18:24:44.123Z", "2018-01-11T18:24:44.123Z", true},
        StampCase{"Offset", "2018-01-11T18:24:44+02:00", "2018-01-11T16:24:44Z", true},
        StampCase{"NoZone", "2018-01-11 18:24:44", "2018-01-11T18:24:44Z", false},
        StampCase{"Nanoseconds", "2018-01-11T18:24:44.123456789Z",
                  "2018-01-11T18:24:44.123456Z", true},
        StampCase{"LeapSecond", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", true},
        StampCase{"LeapDay", "2020-02-29T00:00:00Z", "2020-02-29T00:00:00Z", true},
        StampCase{"Year9999", "9999-12-31T23:59:59.999999Z",
                  "9999-12-31T23:59:59.999999Z", true},
        StampCase{"Before1970", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z",
                  true},
        StampCase{"NoLeapDay", "2019-02-29T00:00:00Z", nullptr, false},
        StampCase{"Month13", "2019-13-45T00:00:00Z", nullptr, false},
        StampCase{"Word", "yesterday", nullptr, false},
        StampCase{"Tail", "2018-01-11T18:24:44Zx", nullptr, false},
        StampCase{"EmptyFraction", "2018-01-11T18:24:44.Z", nullptr, false},
        StampCase{"YearMinusOne", "-001-01-11T18:24:44Z", nullptr, false},
        StampCase{"Year10000InUtc", "9999-12-31T23:59:59.9-09", nullptr, true},
        StampCase{"Year10000ByALeapSecond", "9999-12-31T23:59:60Z", nullptr, true},
        StampCase{"YearMinusOneInUtc", "0000-01-01T00:00:00+01:00", nullptr, true}),
    [](const auto& info) { return info.param.name; });

TEST(DurationTest, ReadsIsoAndWords) {
  EXPECT_EQ(*ParseDuration("PT48H"), 48 * 3'600'000'000LL);
  EXPECT_EQ(*ParseDuration("P2D"), 48 * 3'600'000'000LL);
  EXPECT_EQ(*ParseDuration("30 seconds"), 30'000'000);
  EXPECT_EQ(*ParseDuration("PT0.5S"), 500'000);
  EXPECT_FALSE(ParseDuration("P2M").ok());
  EXPECT_FALSE(ParseDuration("soon").ok());
  EXPECT_FALSE(ParseDuration("P9223372036854775807D").ok());
  EXPECT_FALSE(ParseDuration("9e99 days").ok());
  EXPECT_FALSE(ParseDuration("99999999999999999999 days").ok());
  for (const Micros duration : std::vector<Micros>{1, 999'999, 1'000'001, 3'600'500'000})
    EXPECT_EQ(*ParseDuration(FormatDuration(duration)), duration);
  EXPECT_EQ(FormatDuration(*ParseDuration("P2D")), "PT48H");
}

TEST(HashTest, KnownAnswers) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32("123456789"), 0xCBF43926u);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), Crc32c("123456789"));
}

TEST(MemoryTest, ParentCountsItsChildren) {
  MemoryBudget root("weir", 100);
  MemoryBudget& log = root.Child("log", 10);
  {
    MemoryClaim claim(log, 20);
    EXPECT_TRUE(log.over());
    EXPECT_EQ(root.used(), 20);
  }
  EXPECT_EQ(root.used(), 0);
}

TEST(BoundedQueueTest, RefusesWhatHasNoRoomAndTakesOneOversizedItem) {
  BoundedQueue<int> queue(10);
  EXPECT_TRUE(queue.TryPush(1, 100));
  EXPECT_FALSE(queue.TryPush(2, 1));
  EXPECT_EQ(queue.Pop(), 1);
  queue.Close();
  EXPECT_FALSE(queue.Push(3, 1));
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(JsonTest, CountsBracketsOutsideOfStrings) {
  EXPECT_FALSE(NestsDeeper(R"([[{"a[[[[":"\"[[["}]])", 3));
  EXPECT_TRUE(NestsDeeper("[[[[", 3));
  EXPECT_FALSE(NestsDeeper("[][][][][]", 1));
  EXPECT_TRUE(ParseJson(std::string(100'000, '[')).is_discarded());
  EXPECT_THROW(ParseJsonOrThrow(std::string(100'000, '[') + std::string(100'000, ']')),
               nlohmann::json::exception);
  EXPECT_EQ(ParseJson("[[1]]")[0][0], 1);
}

TEST(JsonTest, IntegersAreNotCut) {
  EXPECT_EQ(IntegerOf<int>(ParseJson("-2147483648")), INT32_MIN);
  EXPECT_EQ(IntegerOf<uint64_t>(ParseJson("18446744073709551615")), UINT64_MAX);
  for (const char* text : {"2147483648", "-2147483649", "1.0", "1e300", "\"1\"", "null"})
    EXPECT_THROW(IntegerOf<int>(ParseJson(text)), nlohmann::json::exception) << text;
  EXPECT_THROW(IntegerOf<uint64_t>(ParseJson("-1")), nlohmann::json::exception);
  EXPECT_THROW(IntegerOf<int64_t>(ParseJson("9223372036854775808")),
               nlohmann::json::exception);
  EXPECT_EQ(IntegerOr(ParseJson("{}"), "a", 7), 7);
}

TEST(EventTest, QuotesWhatIsNotUtf8) {
  EXPECT_EQ(JsonQuoted("a\"\n\xff"), "\"a\\\"\\n\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace weir
