#include "ingest/tail_memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "ingest/wake_internal.h"
#include "io/sim_io.h"

namespace weir::ingest {
namespace {

using log::Verdict;

constexpr Micros kLateness = 10;

VerdictRule Rule() {
  return {.has_event_time = true, .has_identity = true, .lateness = kLateness};
}

class TailMemoryTest : public testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    log_.reset();
    auto log = log::Log::Open(io_, "/log", {.segment_bytes_max = 2000});
    ASSERT_TRUE(log.ok()) << log.error().message;
    log_ = *std::move(log);
  }
  // With H = 1 h and ids by their number.
  void Append(const std::vector<log::Record>& records) {
    ASSERT_TRUE(log_->Append(0, records).ok());
    ASSERT_TRUE(log_->Sync().ok());
  }
  static Hash128 Id(uint64_t number) { return HashBytes128(std::to_string(number)); }
  static log::Record Record(uint64_t id, Verdict verdict, Micros time) {
    return {"bytes", verdict, verdict == Verdict::kRejected ? Hash128{} : Id(id), id * 7,
            time};
  }
  TailMemory Read(int64_t from, Micros watermark, size_t chunk = 1 << 20) {
    auto tail = TailMemory::Read(*log_, {from}, Rule(), watermark, chunk);
    EXPECT_TRUE(tail.ok()) << tail.error().message;
    return *std::move(tail);
  }
  // "content judged-at event-time", or "-".
  static std::string Find(TailMemory& tail, uint64_t id) {
    const auto found = tail.Find(Id(id));
    EXPECT_TRUE(found.ok()) << found.error().message;
    if (!*found) return "-";
    return fmt::format("{} {} {}", (*found)->content, (*found)->judged_at_watermark,
                       (*found)->event_time);
  }

  io::SimIo io_;
  std::unique_ptr<log::Log> log_;
};

TEST_F(TailMemoryTest, KnowsAcceptedAndLateRecordsWithTheWatermarkTheyWereJudgedAt) {
  Append({Record(1, Verdict::kAccepted, 100), Record(2, Verdict::kAccepted, 200),
          Record(3, Verdict::kLate, 50), Record(4, Verdict::kRejected, kNoTime),
          Record(1, Verdict::kDuplicate, 100)});
  Append({Record(5, Verdict::kAccepted, 300)});
  TailMemory tail = Read(0, kNoTime);
  EXPECT_EQ(tail.watermark(), 290);
  EXPECT_EQ(tail.began(), 90);
  EXPECT_EQ(Find(tail, 1), "7 90 100");
  EXPECT_EQ(Find(tail, 2), "14 190 200");
  EXPECT_EQ(Find(tail, 3), "21 190 50");
  EXPECT_EQ(Find(tail, 4), "-");
  EXPECT_EQ(Find(tail, 5), "35 290 300");
  EXPECT_EQ(Find(tail, 6), "-");
}

TEST_F(TailMemoryTest, BeginsInTheMiddleOfAFrameAndFollowsWakes) {
  Append({Record(1, Verdict::kAccepted, 100), Record(2, Verdict::kAccepted, 200)});
  ASSERT_TRUE(log_->AppendControl(kWakeControl, WakeJson(1000)).ok());
  Append({Record(3, Verdict::kLate, 300)});
  TailMemory tail = Read(1, 90);
  EXPECT_EQ(Find(tail, 1), "-");
  EXPECT_EQ(Find(tail, 2), "14 190 200");
  EXPECT_EQ(Find(tail, 3), "21 1000 300");
  EXPECT_EQ(tail.watermark(), 1000);
  EXPECT_EQ(tail.began(), kNoTime);
}

TEST_F(TailMemoryTest, WhatWasJudgedBeforeThereWasAWatermarkCountsFromItsBeginning) {
  Append({Record(1, Verdict::kAccepted, kNoTime)});
  TailMemory tail = Read(0, kNoTime);
  EXPECT_EQ(Find(tail, 1), fmt::format("7 {0} {0}", kNoTime));
  tail.Began(500);
  EXPECT_EQ(Find(tail, 1), fmt::format("7 500 {}", kNoTime));
}

TEST_F(TailMemoryTest, ADamagedIndexIsNamedAndNotPassedOver) {
  Append({Record(1, Verdict::kAccepted, 100)});
  Append({Record(2, Verdict::kAccepted, 200)});
  log_.reset();
  const std::string path = "/log/" + (*io_.List("/log"))[0];
  ASSERT_TRUE(io_.FlipBit(path, 32 + 64 + 10, 3).ok());
  Reopen();
  const auto tail = TailMemory::Read(*log_, {0}, Rule(), kNoTime);
  ASSERT_FALSE(tail.ok());
  EXPECT_EQ(tail.error().code, Code::kCorrupt);
}

TEST_P(TailMemoryTest, RandomLogsAnswerAsAMapDoes) {
  std::mt19937 random(GetParam());
  const auto pick = [&](uint32_t below) {
    return std::uniform_int_distribution<uint32_t>(0, below - 1)(random);
  };
  std::map<uint64_t, std::string> newest;
  std::vector<std::map<uint64_t, std::string>> since;  // by frame
  PartitionWatermark watermark(Rule(), kNoTime);
  std::vector<int64_t> starts;
  for (int frame = 0; frame < 60; ++frame) {
    std::vector<log::Record> records;
    starts.push_back(log_->end().value);
    since.emplace_back();
    const uint32_t count = 1 + pick(30);
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t id = pick(300);
      const Verdict verdict = pick(4) == 0   ? Verdict::kRejected
                              : pick(4) == 0 ? Verdict::kDuplicate
                              : pick(4) == 0 ? Verdict::kLate
                                             : Verdict::kAccepted;
      records.push_back(Record(id, verdict, 1000 + pick(10'000)));
      if (verdict == Verdict::kAccepted)
        static_cast<void>(watermark.Accept(records.back().event_time, 0));
      if (verdict == Verdict::kAccepted || verdict == Verdict::kLate) {
        const Micros judged = watermark.value();
        const std::string text =
            fmt::format("{} {} {}", id * 7, judged, records.back().event_time);
        newest[id] = text;
        since.back()[id] = text;
      }
    }
    Append(records);
  }
  TailMemory tail = Read(0, kNoTime, 1 + pick(200));
  EXPECT_EQ(tail.watermark(), watermark.value());
  for (uint64_t id = 0; id < 300; ++id) {
    const std::string expected = newest.contains(id) ? newest[id] : "-";
    // What was judged before there was a watermark has a test of its own.
    if (expected.find(std::to_string(kNoTime)) != std::string::npos) continue;
    EXPECT_EQ(Find(tail, id), expected) << "id " << id;
  }
  // What stands behind is still found, whatever was forgotten before it.
  const size_t from = 30;
  tail.Forget({starts[from]});
  std::map<uint64_t, std::string> behind;
  for (size_t frame = from; frame < since.size(); ++frame)
    for (const auto& [id, text] : since[frame]) behind[id] = text;
  for (const auto& [id, text] : behind) EXPECT_EQ(Find(tail, id), text) << "id " << id;
  tail.Forget(log_->end());
  EXPECT_TRUE(tail.empty());
}
INSTANTIATE_TEST_SUITE_P(Seeds, TailMemoryTest, testing::Range(1u, 9u));

}  // namespace
}  // namespace weir::ingest
