#include "generate/stream.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "generate/customer360_internal.h"

namespace weir::generate {
namespace {

TEST(JudgeTest, AnIdentityIsForgottenWhenTheWatermarkHasMovedByItsMemory) {
  Judge judge(3, /*lateness=*/48 * kHour);
  EXPECT_EQ(judge.Decide(0, 1000 * kHour), Verdict::kAccepted);
  EXPECT_EQ(judge.Decide(0, 1000 * kHour), Verdict::kDuplicate);
  EXPECT_EQ(judge.Decide(0, 1000 * kHour, 1), Verdict::kConflictingDuplicate);
  EXPECT_EQ(judge.Decide(1, 1072 * kHour - 1), Verdict::kAccepted);
  EXPECT_EQ(judge.Decide(0, 1000 * kHour), Verdict::kDuplicate);
  EXPECT_EQ(judge.Decide(2, 1072 * kHour), Verdict::kAccepted);
  EXPECT_EQ(judge.Decide(0, 1000 * kHour), Verdict::kLate);
}

TEST(JudgeTest, AnIdentityIsKeptUntilTheWatermarkHasPassedItsOwnTime) {
  Judge judge(2, kHour, /*memory=*/kHour);
  Millis newest = 10 * kHour;  // the partition's watermark stands at 9 h
  EXPECT_EQ(judge.Decide(0, 100 * kHour, 0, &newest), Verdict::kAccepted);
  newest = 20 * kHour;
  EXPECT_EQ(judge.Decide(0, 100 * kHour, 0, &newest), Verdict::kDuplicate);
}

TEST(JudgeTest, AClockThatIsAheadMovesNoWatermark) {
  Judge judge(4, kHour);
  judge.SetAhead(1000 * kHour);
  EXPECT_EQ(judge.Decide(0, 2000 * kHour), Verdict::kAccepted);
  EXPECT_EQ(judge.watermark(), Judge::kNever);
  EXPECT_EQ(judge.Decide(1, 10 * kHour), Verdict::kAccepted);
  EXPECT_EQ(judge.Decide(2, 1000 * kHour), Verdict::kAccepted);
  EXPECT_EQ(judge.watermark(), 9 * kHour);
  EXPECT_EQ(judge.Decide(3, 9 * kHour), Verdict::kAccepted);
  EXPECT_EQ(judge.Decide(0, 2000 * kHour), Verdict::kDuplicate);
}

TEST(DeliverTest, EveryEventArrivesAndTroubleComesInItsShare) {
  std::vector<Millis> times;
  for (int i = 0; i < 20'000; ++i) times.push_back(i * kMinute);
  const Trouble trouble{
      .late = .1, .parked = .05, .retried = .1, .conflicting = .1, .broken = .1};
  const std::vector<Delivery> deliveries = Deliver(times, trouble, 7);
  std::vector<int> seen(times.size());
  int64_t broken = 0, conflicting = 0, parked = 0;
  Millis before = INT64_MIN;
  for (const Delivery& d : deliveries) {
    EXPECT_LE(before, d.at);
    before = d.at;
    const bool first = seen[d.event]++ == 0;
    broken += d.form == Delivered::kBroken;
    conflicting += d.form == Delivered::kConflicting;
    parked += first && d.at - times[d.event] >= trouble.parked_from;
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0);
  EXPECT_NEAR(static_cast<double>(broken), 2000, 200);
  EXPECT_NEAR(static_cast<double>(conflicting), 1800, 200);
  EXPECT_NEAR(static_cast<double>(parked), 1000, 120);
}

TEST(TextTest, JsonAndCsvAreEscaped) {
  EXPECT_EQ(JsonObject()
                .Set("a", "x\"\\\n")
                .Set("b", 1.5)
                .Set("c", std::nullopt)
                .Set("d", true)
                .text(),
            R"({"a":"x\"\\\u000a","b":1.5,"c":null,"d":true})");
  EXPECT_EQ(JsonObject().text(), "{}");
  EXPECT_EQ(
      JsonObject().Set("t", Stamp{-1}).Set("d", DateOf(-1)).Set("m", Cents{-105}).text(),
      R"({"t":"1969-12-31T23:59:59.999Z","d":"1969-12-31","m":-1.05})");
  EXPECT_EQ(CsvRow().Add("").Add("a,\"b\"").Add(7).Add(std::optional<int>()).text(),
            R"(,"a,""b""",7,)");
}

TEST(Md5Test, TheExamplesOfTheStandard) {
  EXPECT_EQ(Md5(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Md5("123456789012345678901234567890123456789012345678901234567890123456789012"
                "34567890"),
            "57edf4a22be3c955ac49da2e2107b67a");
}

}  // namespace
}  // namespace weir::generate
