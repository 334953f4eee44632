#include "flow/frontier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace weir::flow {
namespace {

using testing::HasSubstr;

// Updates as text: "a0=5" (active), "a0=5i" (idle), "a0=-" (no watermark yet).
Micros Global(Watermarks& marks, const std::string& updates) {
  size_t at = 0;
  while (at < updates.size()) {
    const size_t end = std::min(updates.find(' ', at), updates.size());
    const std::string one = updates.substr(at, end - at);
    ingest::PartitionPosition position;
    position.partition = one[1] - '0';
    position.idle = one.back() == 'i';
    position.watermark = one[3] == '-' ? kNoTime : std::stoll(one.substr(3));
    marks.Update(one.substr(0, 1), position);
    at = end + 1;
  }
  return marks.global();
}

TEST(WatermarksTest, IsTheMinimumOverActivePartitionsAndNeverFalls) {
  const struct {
    const char* name;
    std::vector<std::pair<const char*, Micros>> steps;
  } kCases[] = {
      {"one partition", {{"a0=5", 5}, {"a0=9", 9}}},
      {"the slower one holds it",
       {{"a0=5 b0=3", 5}, {"a0=9", 5}, {"b0=7", 7}, {"b0=20", 9}}},
      {"a new partition that is behind cannot pull it back",
       {{"a0=9", 9}, {"b0=2", 9}, {"a0=12", 9}, {"b0=10", 10}}},
      {"an active partition without watermark holds it",
       {{"a0=5", 5}, {"b0=-", 5}, {"a0=9", 5}, {"b0=8", 8}}},
      {"from the beginning too", {{"b0=-", kNoTime}, {"a0=9", kNoTime}, {"b0=4", 4}}},
      {"idle ones do not hold it", {{"a0=5 b0=3i", 5}, {"a0=9", 9}}},
      {"going idle lets it go", {{"b0=3 a0=9", 3}, {"b0=3i", 9}}},
      {"nor one idle without watermark", {{"b0=-i", kNoTime}, {"a0=9", 9}}},
      {"waking below it holds it where it is",
       {{"a0=9 b0=3i", 9}, {"b0=3", 9}, {"a0=12", 9}, {"b0=11", 11}}},
      {"when all are idle it stands still",
       {{"a0=5 b0=8", 5}, {"b0=8i", 5}, {"a0=6i", 6}, {"b0=9", 9}}},
      {"partitions of one source count each",
       {{"a0=5 a1=3", 5}, {"a0=9", 5}, {"a1=6", 6}}},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    Watermarks marks;
    for (const auto& [updates, expected] : c.steps)
      EXPECT_EQ(Global(marks, updates), expected) << updates;
  }
}

TEST(WatermarksTest, NeverFallsWhateverHappens) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    Watermarks marks;
    std::map<int, Micros> own;
    Micros last = kNoTime;
    for (int step = 0; step < 100; ++step) {
      const int partition = static_cast<int>(random() % 4);
      Micros& watermark = own.try_emplace(partition, kNoTime).first->second;
      if (random() % 3 != 0)
        watermark = std::max(watermark, static_cast<Micros>(random() % 1000));
      marks.Update(
          "s",
          {.partition = partition, .watermark = watermark, .idle = random() % 3 == 0});
      ASSERT_GE(marks.global(), last) << "seed " << seed;
      ASSERT_TRUE(marks.global() == kNoTime ||
                  marks.global() <= std::max_element(own.begin(), own.end(),
                                                     [](auto& a, auto& b) {
                                                       return a.second < b.second;
                                                     })
                                        ->second)
          << "seed " << seed;
      last = marks.global();
    }
  }
}

Frontier SomeFrontier() {
  Frontier frontier;
  frontier.sources["rides"][0] = {.partition = 0,
                                  .next = {1234},
                                  .watermark = 77,
                                  .file = 3,
                                  .file_byte = 1ull << 40,
                                  .idle = false};
  frontier.sources["rides"][1000] = {
      .partition = 1000, .next = {0}, .watermark = kNoTime, .idle = true};
  frontier.sources["taxis"][2] = {
      .partition = 2, .next = {5}, .watermark = -9, .file = 0, .idle = true};
  frontier.sources["zones"][0] = {.next = {3},
                                  .content = R"({"files":[],"rules":"1.0.0"})"};
  frontier.sources["rides"][0].progress = {.rows = 9,
                                           .accepted = 5,
                                           .rejected = 1,
                                           .duplicate = 2,
                                           .late = 1,
                                           .first_event = -3,
                                           .last_event = 8};
  frontier.watermark = 77;
  frontier.marker = 12;
  frontier.steps = 345;
  return frontier;
}

TEST(FrontierTest, ComesBackFromItsJson) {
  const Frontier frontier = SomeFrontier();
  const std::string text = FrontierJson(frontier);
  const auto back = ParseFrontier(text);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(FrontierJson(*back), text);
  EXPECT_EQ(back->watermark, 77);
  EXPECT_EQ(back->marker, 12);
  EXPECT_EQ(back->steps, 345);
  const ingest::PartitionPosition& position = back->sources.at("rides").at(0);
  EXPECT_EQ(position.next.value, 1234);
  EXPECT_EQ(position.file, 3);
  EXPECT_EQ(position.file_byte, 1ull << 40);
  EXPECT_FALSE(position.idle);
  EXPECT_EQ(position.progress.duplicate, 2);
  EXPECT_EQ(position.progress.last_event, 8);
  EXPECT_EQ(back->sources.at("zones").at(0).content, R"({"files":[],"rules":"1.0.0"})");
  EXPECT_EQ(back->sources.at("rides").at(1000).watermark, kNoTime);
  EXPECT_EQ(back->sources.at("taxis").at(2).watermark, -9);
  EXPECT_EQ(ParseFrontier(FrontierJson({}))->watermark, kNoTime);
}

TEST(FrontierTest, TextThatIsNoneIsRefused) {
  for (const char* text :
       {"", "{}", "[]", "not json", R"({"version":2})", R"({"version":1})",
        R"({"version":1,"watermark":null,"marker":"x","steps":0,"sources":{}})",
        R"({"version":1,"watermark":1e300,"marker":1,"steps":0,"sources":{}})",
        R"({"version":1,"watermark":null,"marker":1e300,"steps":0,"sources":{}})",
        R"({"version":"1"})"}) {
    const auto parsed = ParseFrontier(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, Code::kCorrupt) << text;
  }
}

TEST(FrontierTest, ARestoredWatermarkGoesOnFromThere) {
  Watermarks marks;
  marks.Restore(SomeFrontier());
  EXPECT_EQ(marks.global(), 77);
  EXPECT_EQ(Global(marks, "r0=5"), 77);
  marks.Update("rides", {.partition = 0, .watermark = 90, .idle = false});
  EXPECT_EQ(marks.global(), 77);  // r0 holds it
  EXPECT_EQ(Global(marks, "r0=95"), 90);
}

TEST(FrontierTest, TheSummaryIsShort) {
  EXPECT_EQ(
      FrontierSummary(SomeFrontier()),
      R"({"rides/0":1234,"rides/1000":0,"taxis/2":5,"watermark":"1970-01-01T00:00:00.000077Z","zones/0":3})");
  EXPECT_EQ(FrontierSummary({}), "{}");
}

TEST(LedgerTest, TextThatIsNoneIsRefused) {
  for (const char* text : {"", "[]", R"({"received":"x"})", R"({"received":1e300})",
                           R"({"rejected_by_reason":{"not_json":"x"}})"}) {
    const auto parsed = ParseLedger(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, Code::kCorrupt) << text;
  }
}

TEST(LedgerTest, ComesBackFromItsJson) {
  ingest::Counts counts{.received = 10,
                        .accepted = 4,
                        .rejected = 2,
                        .duplicate = 2,
                        .conflicting = 1,
                        .late = 1,
                        .blocked = 1};
  counts.rejected_by_reason[static_cast<size_t>(contract::Reason::kNotJson)] = 1;
  counts.rejected_by_reason[static_cast<size_t>(contract::Reason::kWrongLength)] = 1;
  const std::string text = LedgerJson("rides", counts);
  EXPECT_THAT(text, HasSubstr(R"("rejected_by_reason":{"not_json":1,"wrong_length":1})"));
  const auto back = ParseLedger(text);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(LedgerJson("rides", *back), text);
  EXPECT_TRUE(back->balanced());
  EXPECT_EQ(ParseLedger("nonsense").error().code, Code::kCorrupt);

  BrokenFiles broken;
  for (int i = 0; i < 101; ++i)
    broken.Add({fmt::format("in/{}", i), "in/x is cut\xff", "fix", 7, true});
  const auto files = ParseBrokenFiles(LedgerJson("rides", counts, broken));
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->count, 101);
  ASSERT_EQ(files->newest.size(), 100u);
  EXPECT_EQ(files->newest[0].path, "in/1");
  EXPECT_EQ(files->newest[99].bytes_taken, 7);
  EXPECT_EQ(ParseBrokenFiles(text)->count, 0);
}

}  // namespace
}  // namespace weir::flow
