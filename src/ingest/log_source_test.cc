#include <gmock/gmock.h>

#include <future>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "ingest/pipeline.h"
#include "ingest/source.h"
#include "ingest/testing_internal.h"

namespace weir::ingest {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr Micros kSecond = 1'000'000;

// "accepted@0 duplicate@1"
std::string Text(const PushResult& result) {
  if (result.code != PushResult::Code::kOk)
    return "code " + std::to_string(static_cast<int>(result.code));
  std::string out;
  for (const RecordResult& record : result.records)
    out += fmt::format("{}{}@{}", out.empty() ? "" : " ", record.verdict, record.offset);
  return out;
}

class LogSourceTest : public testing::Test {
 protected:
  LogSourceTest() : LogSourceTest(TestContract()) {}
  explicit LogSourceTest(contract::Contract contract) {
    auto io = std::make_unique<io::SimIo>();
    sim_ = io.get();
    harness_ = std::make_unique<SourceHarness>(std::move(io), std::move(contract));
  }

  void Start(bool live = true) {
    LogSourceOptions options;
    options.dir = "/log/rides";
    options.archive_dir = "/archive";
    options.partitions = partitions_;
    options.live = live;
    options.waiting_bytes_max = waiting_bytes_max_;
    options.offered_bytes_max = offered_bytes_max_;
    options.backlog_bytes_max = backlog_bytes_max_;
    options.log_ahead_bytes = 512;
    options.lease_valid = [this] { return lease_valid_.load(); };
    auto source = NewLogSource(harness_->context(), options);
    ASSERT_TRUE(source.ok()) << source.error().message;
    source_ = *std::move(source);
    const Status started = source_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  // As after kill -9: what was handed over and not committed is forgotten.
  void Restart(bool live = true) {
    harness_->CloseQueue();
    source_.reset();
    harness_->Reopen();
    Start(live);
  }

  std::future<PushResult> PushLater(const std::vector<std::string>& records) {
    auto body = std::make_shared<std::string>();
    for (const std::string& record : records) *body += record;
    std::vector<std::string_view> views;
    size_t at = 0;
    for (const std::string& record : records) {
      views.push_back(std::string_view(*body).substr(at, record.size()));
      at += record.size();
    }
    auto promise = std::make_shared<std::promise<PushResult>>();
    auto future = promise->get_future();
    source_->Push(std::move(body), std::move(views), [promise](PushResult result) {
      promise->set_value(std::move(result));
    });
    return future;
  }
  PushResult Push(const std::vector<std::string>& records) {
    return PushLater(records).get();
  }

  io::SimIo* sim_;
  std::unique_ptr<SourceHarness> harness_;
  std::unique_ptr<LogSource> source_;
  std::atomic<bool> lease_valid_{true};
  int partitions_ = 1;
  int64_t waiting_bytes_max_ = 1 << 20, offered_bytes_max_ = 1 << 20,
          backlog_bytes_max_ = 1 << 30;
};

TEST_F(LogSourceTest, AnswersWithOffsetsAndVerdictsAndHandsTheSameOver) {
  Start();
  const PushResult result = Push({Ride("a", "10:00"), Ride("a", "10:00"), "{",
                                  Ride("b", "01:00"), Ride("a", "10:01")});
  EXPECT_EQ(Text(result), "accepted@0 duplicate@1 rejected@2 late@3 duplicate@4");
  EXPECT_EQ(result.records[2].reason, "not_json");
  EXPECT_EQ(result.records[0].reason, "");
  const JudgedBatch batch = harness_->NextBatch();
  EXPECT_EQ(Cells(batch.accepted, "_offset"), "0");
  EXPECT_EQ(Cells(batch.rejected, "_offset"), "2");
  EXPECT_EQ(Cells(batch.late, "_offset"), "3");
  EXPECT_EQ(Cells(batch.conflicting, "_offset"), "4");
  EXPECT_EQ(batch.counts.received, 5);
  EXPECT_TRUE(batch.counts.balanced());
  EXPECT_EQ(batch.after.next.value, 5);
  EXPECT_EQ(batch.after.watermark, At("09:00"));
  EXPECT_EQ(Text(Push({Ride("c", "10:00")})), "accepted@5");
}

TEST_F(LogSourceTest, ManyCallersGetDenseOffsetsAndEveryRecordIsHandedOverOnce) {
  partitions_ = 3;
  Start();
  constexpr int kCallers = 8, kPushes = 20;
  std::mutex mutex;
  std::map<int, std::set<int64_t>> offsets;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < kPushes; ++i) {
        const std::string id = fmt::format("{}-{}", caller, i), trip = "trip " + id;
        const PushResult result =
            Push({Ride(id, "10:00", trip), Ride(id, "10:00", trip)});
        std::lock_guard lock(mutex);
        ASSERT_EQ(result.records.size(), 2u);
        EXPECT_EQ(result.records[0].verdict, "accepted");
        EXPECT_EQ(result.records[1].verdict, "duplicate");
        for (const RecordResult& record : result.records) {
          EXPECT_EQ(record.partition, static_cast<int>(Crc32(trip) % 3));
          EXPECT_TRUE(offsets[record.partition].insert(record.offset).second);
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const auto& [partition, seen] : offsets)
    EXPECT_EQ(*seen.rbegin() + 1, static_cast<int64_t>(seen.size()));

  int64_t accepted = 0;
  std::map<int, int64_t> next;
  for (const JudgedBatch& batch : harness_->CommitNext(*source_)) {
    EXPECT_EQ(batch.first.value, next[batch.after.partition]);  // log order, without gaps
    next[batch.after.partition] = batch.after.next.value;
    accepted += batch.counts.accepted;
  }
  EXPECT_EQ(accepted, kCallers * kPushes);
}

TEST_F(LogSourceTest, ARestartHandsOverTheTailOnceWithTheVerdictsThatWereGiven) {
  Start();
  Push({Ride("a", "10:00")});
  harness_->CommitNext(*source_);
  EXPECT_EQ(Text(Push({Ride("b", "11:00"), Ride("a", "10:00"), Ride("c", "09:30"), "x"})),
            "accepted@1 duplicate@2 late@3 rejected@4");
  harness_->NextBatch();

  Restart(/*live=*/false);
  const JudgedBatch tail = harness_->NextBatch();
  EXPECT_EQ(tail.first.value, 1);
  EXPECT_EQ(Cells(tail.accepted, "id") + "/" + Cells(tail.accepted, "_offset"), "b/1");
  EXPECT_EQ(Cells(tail.late, "id") + "/" + Cells(tail.late, "_offset"), "c/3");
  EXPECT_EQ(tail.counts.duplicate, 1);
  EXPECT_EQ(tail.counts.rejected, 1);
  EXPECT_EQ(tail.after.watermark, At("10:00"));
  EXPECT_TRUE(std::holds_alternative<EndOfInput>(harness_->Next().what));
  harness_->CommitNext(*source_);

  Restart();
  EXPECT_EQ(Text(Push({Ride("b", "11:00"), Ride("c", "09:30"), Ride("d", "09:59"),
                       Ride("e", "10:00")})),
            "duplicate@5 duplicate@6 late@7 accepted@8");
  EXPECT_EQ(harness_->NextBatch().first.value, 5);
}

TEST_F(LogSourceTest, WhatWasAcknowledgedSurvivesEveryPowerCut) {
  const auto record = [](int i) {
    return Ride(std::to_string(i / 2), "10:00");
  };  // every second one is a duplicate
  uint64_t cuts = 0;
  for (bool whole = false; !whole; ++cuts) {
    auto io = std::make_unique<io::SimIo>();
    sim_ = io.get();
    harness_ = std::make_unique<SourceHarness>(std::move(io));
    Start();
    sim_->SetFaults({.cut_power_after = cuts});
    std::vector<std::string> acknowledged;
    for (int i = 0; i < 6; ++i) {
      const PushResult result = Push({record(i)});
      if (result.code != PushResult::Code::kOk) break;
      acknowledged.push_back(Text(result));
    }
    whole = acknowledged.size() == 6;
    source_.reset();
    auto survivor = sim_->Survivor(
        cuts, cuts % 2 == 0 ? io::AfterCut::kDropUnsynced : io::AfterCut::kRandom);
    harness_ = std::make_unique<SourceHarness>(std::move(survivor));
    Start(/*live=*/false);
    int64_t accepted = 0, duplicate = 0, received = 0;
    for (;;) {
      SourceEvent event = harness_->Next();
      if (std::holds_alternative<PartitionNews>(event.what)) continue;
      const auto* batch = std::get_if<JudgedBatch>(&event.what);
      if (batch == nullptr) break;
      EXPECT_EQ(batch->first.value, received);
      received += batch->counts.received;
      accepted += batch->counts.accepted;
      duplicate += batch->counts.duplicate;
    }
    ASSERT_GE(received, static_cast<int64_t>(acknowledged.size()))
        << "cut after " << cuts;
    ASSERT_LE(received, static_cast<int64_t>(acknowledged.size()) + 1)
        << "cut after " << cuts;
    ASSERT_EQ(accepted, (received + 1) / 2);
    ASSERT_EQ(duplicate, received / 2);
    source_.reset();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(cuts, 10u);
}

TEST_F(LogSourceTest, NothingIsAcknowledgedWithoutTheLease) {
  Start();
  lease_valid_ = false;
  auto waits = PushLater({Ride("a", "10:00")});
  EXPECT_EQ(waits.wait_for(100ms), std::future_status::timeout);
  lease_valid_ = true;  // the owner prolonged it: nobody else had the directory meanwhile
  EXPECT_EQ(waits.get().code, PushResult::Code::kOk);

  lease_valid_ = false;  // and now somebody has: the flow ends and stops us
  auto never = PushLater({Ride("b", "10:00")});
  EXPECT_EQ(never.wait_for(100ms), std::future_status::timeout);
  source_->Stop();
  const PushResult result = never.get();
  EXPECT_EQ(result.code, PushResult::Code::kFailed);
  EXPECT_THAT(result.message, HasSubstr("lease"));
}

TEST_F(LogSourceTest, TheNumberOfPartitionsIsFixed) {
  partitions_ = 2;
  Start();
  source_.reset();
  LogSourceOptions options;
  options.dir = "/log/rides";
  options.partitions = 3;
  options.lease_valid = [] { return true; };
  auto source = NewLogSource(harness_->context(), options);
  ASSERT_TRUE(source.ok());
  const Status started = (*source)->Start();
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.error().message, HasSubstr("2 partitions"));
}

TEST_F(LogSourceTest, AStoppingSourceTakesNothingButAnswersMarkers) {
  Start();
  Push({Ride("a", "10:00")});
  source_->StopTaking();
  EXPECT_EQ(Push({Ride("b", "10:00")}).code, PushResult::Code::kStopping);
  EXPECT_EQ(harness_->CommitNext(*source_).size(), 1u);
  EXPECT_EQ(harness_->CommitNext(*source_).size(), 0u);
}

TEST_F(LogSourceTest, AStopInsideTheReplayLeavesNothingToBeJudgedWithoutItsPast) {
  Start();
  for (const char* id : {"a", "b", "c"}) Push({Ride(id, "10:00")});
  harness_->queue_bytes = 1;  // the replay cannot get past the first of the three
  Restart();
  auto again = PushLater({Ride("c", "10:00")});
  source_->Stop();
  while (again.wait_for(0s) != std::future_status::ready) harness_->NextWithin(1ms);
  EXPECT_THAT(Text(again.get()),
              testing::AnyOf(
                  "duplicate@3",
                  fmt::format("code {}", static_cast<int>(PushResult::Code::kStopping))));
}

TEST_F(LogSourceTest, TooMuchAtOnceIsRefusedAsFull) {
  waiting_bytes_max_ = 1;
  Start();
  // One body is always let in; the others meet a full queue or an empty one.
  std::vector<std::future<PushResult>> results;
  for (int i = 0; i < 200; ++i)
    results.push_back(PushLater({Ride(std::to_string(i), "10:00")}));
  int64_t full = 0, taken = 0;
  for (auto& future : results) {
    const PushResult result = future.get();
    full += result.code == PushResult::Code::kFull;
    taken += result.code == PushResult::Code::kOk;
  }
  EXPECT_EQ(full + taken, 200);
  EXPECT_GT(full, 0);
  int64_t handed = 0;
  for (const JudgedBatch& batch : harness_->CommitNext(*source_))
    handed += batch.counts.received;
  EXPECT_EQ(handed, taken);
}

TEST_F(LogSourceTest, MarkersAreAnsweredOneByOneWithoutInput) {
  Start();
  source_->RequestMarker(3);
  for (int64_t number = 1; number <= 3; ++number) {
    const Marker marker = harness_->NextOf<Marker>();
    EXPECT_EQ(marker.number, number);
    ASSERT_EQ(marker.positions.size(), 1u);
    EXPECT_EQ(marker.positions[0].next.value, 0);
  }
}

TEST_F(LogSourceTest, ALogThatLostCommittedRecordsIsRefused) {
  Start();
  Push({Ride("a", "10:00")});
  harness_->CommitNext(*source_);
  harness_->committed[0].next.value = 5;
  source_.reset();
  harness_->Reopen();
  LogSourceOptions options;
  options.dir = "/log/rides";
  const Status started = (*NewLogSource(harness_->context(), options))->Start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, Code::kCorrupt);
}

// ------------------------------------------------------------------ catching up

TEST_F(LogSourceTest, RecordsAreJudgedRightWhileTheTailIsStillToBeHandedOver) {
  Start();
  Push({Ride("a", "10:00")});
  harness_->CommitNext(*source_);
  Push({Ride("b", "12:00"), Ride("late", "09:00"), "no json"});
  Push({Ride("c", "11:30")});
  Push({Ride("b", "12:00")});

  harness_->queue_bytes = 1;  // the flow takes nothing: the first batch already waits
  Restart();
  EXPECT_EQ(Text(Push({Ride("b", "12:00"), Ride("late", "09:00"), Ride("c", "11:31"),
                       Ride("a", "10:00"), Ride("d", "10:59"), Ride("e", "11:00")})),
            "duplicate@6 duplicate@7 duplicate@8 duplicate@9 late@10 accepted@11");
  EXPECT_EQ(Text(Push({Ride("d", "10:59"), Ride("e", "11:00")})),
            "duplicate@12 duplicate@13");

  std::string rows;
  int64_t next = 1;
  while (next < 14) {
    const JudgedBatch batch = harness_->NextBatch();
    ASSERT_EQ(batch.first.value, next);
    next = batch.after.next.value;
    rows += Cells(batch.accepted, "_offset") + " ";
    EXPECT_EQ(batch.after.watermark, At("11:00"));
  }
  EXPECT_THAT(rows, HasSubstr("1 4"));
  EXPECT_THAT(rows, HasSubstr("11"));
}

// What does not fit into memory while the flow is slow is read from the log again.
TEST_F(LogSourceTest, ASlowFlowGetsEverythingInOrderAndHoldsUpNoAnswer) {
  offered_bytes_max_ = 1;
  harness_->queue_bytes = 1;
  harness_->Reopen();
  Start();
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(Text(Push({Ride(fmt::format("id{}", i), "10:00")})),
              fmt::format("accepted@{}", i));
  }
  int64_t next = 0;
  while (next < 50) {
    const JudgedBatch batch = harness_->NextBatch();
    ASSERT_EQ(batch.first.value, next);
    ASSERT_EQ(batch.counts.accepted, batch.counts.received);
    next = batch.after.next.value;
  }
}

TEST_F(LogSourceTest, ALogFullOfRecordsThatWaitForTheFlowTakesNoMore) {
  harness_->queue_bytes = 1;
  harness_->Reopen();
  backlog_bytes_max_ = 2000;
  Start();
  int64_t taken = 0;
  PushResult result;
  while ((result = Push({Ride(std::to_string(taken), "10:00")})).code ==
         PushResult::Code::kOk)
    ASSERT_LT(++taken, 1000);
  EXPECT_EQ(result.code, PushResult::Code::kFull);
  EXPECT_THAT(result.message, HasSubstr("not yet in the tables"));
  int64_t handed = 0;
  while (handed < taken) handed += harness_->NextBatch().counts.received;
  EXPECT_EQ(handed, taken);
  // There is room again.
  while (Push({Ride("more", "10:00")}).code != PushResult::Code::kOk)
    std::this_thread::yield();
}

// A partition that is killed at random points, also while it catches up, against one
// judge that never stops.
class RestartTest : public LogSourceTest, public testing::WithParamInterface<uint32_t> {
 protected:
  static contract::Contract ShortMemory() {
    contract::Contract contract = TestContract();
    contract.identity_memory = 2 * 3600 * kSecond;
    contract.future_allowance.reset();
    return contract;
  }
  RestartTest() : LogSourceTest(ShortMemory()) {}

  uint32_t Random(uint32_t below) {
    return std::uniform_int_distribution<uint32_t>(0, below - 1)(random_);
  }

  void PushSome() {
    std::vector<std::string> records;
    const auto count = 1 + Random(6);
    for (uint32_t i = 0; i < count; ++i) {
      minute_ = std::min<uint32_t>(minute_ + Random(6), 1439);
      const uint32_t minute = minute_ - std::min(minute_, Random(150));
      records.push_back(Random(20) == 0
                            ? std::string("{")
                            : Ride(fmt::format("id{}", Random(40)),
                                   fmt::format("{:02}:{:02}", minute / 60, minute % 60)));
    }
    const std::vector<std::string_view> views(records.begin(), records.end());
    const Checked checked = *pipeline_->Check(views);
    std::vector<int32_t> rows(count);
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<log::Verdict> verdicts(count);
    ASSERT_TRUE(
        judge_->Judge(checked.evidence(), rows, harness_->clock.Now(), verdicts).ok());
    const PushResult result = Push(records);
    ASSERT_EQ(result.code, PushResult::Code::kOk);
    for (uint32_t i = 0; i < count; ++i) {
      const log::Verdict expected = verdicts[i];
      const std::string_view verdict = result.records[i].verdict;
      ASSERT_EQ(verdict, expected == log::Verdict::kAccepted   ? "accepted"
                         : expected == log::Verdict::kRejected ? "rejected"
                         : expected == log::Verdict::kLate     ? "late"
                                                               : "duplicate")
          << records[i] << " at offset " << result.records[i].offset;
      ASSERT_EQ(result.records[i].offset, end_++);
      if (expected == log::Verdict::kAccepted)
        accepted_ += fmt::format("{} ", result.records[i].offset);
    }
  }

  // Takes events until `wanted` says that it has what it waits for.
  template <class F>
  void TakeUntil(F wanted) {
    for (;;) {
      SourceEvent event = harness_->Next();
      if (HasFailure()) return;
      if (auto* batch = std::get_if<JudgedBatch>(&event.what)) {
        ASSERT_EQ(batch->first.value, taken_);
        ASSERT_TRUE(batch->counts.balanced());
        taken_ = batch->after.next.value;
        const std::string cells = Cells(batch->accepted, "_offset");
        if (!cells.empty()) open_rows_ += cells + " ";
      } else if (auto* marker = std::get_if<Marker>(&event.what)) {
        ASSERT_EQ(marker->positions[0].next.value, taken_);
        harness_->Commit(*marker, source_.get());
        rows_ += std::exchange(open_rows_, "");
        committed_ = taken_;
      }
      if (wanted(event)) return;
    }
  }

  void Kill() {
    harness_->queue_bytes = Random(3) == 0 ? 64 << 20 : 1 + Random(500);
    offered_bytes_max_ = Random(2) == 0 ? 1 << 20 : 1;
    harness_->step_rows = 1 + Random(20);
    Restart();
    taken_ = committed_;
    open_rows_.clear();
  }

  std::mt19937 random_{GetParam()};
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<PartitionJudge> judge_;
  uint32_t minute_ = 150;
  int64_t end_ = 0, taken_ = 0, committed_ = 0;
  std::string accepted_, rows_, open_rows_;
};

TEST_P(RestartTest, KilledAtAnyPointItJudgesAndHandsOverAsIfItHadNot) {
  SCOPED_TRACE(fmt::format("replay: ingest_test --gtest_filter='*KilledAtAnyPoint*/{}'",
                           GetParam() - 1));
  pipeline_ = *Pipeline::New(harness_->contract(), 1000);
  judge_ = std::make_unique<PartitionJudge>(
      pipeline_->rule(/*live=*/true),
      state::Identities(harness_->contract().identity_memory), kNoTime);
  Start();
  for (int i = 0; i < 120 && !HasFailure(); ++i) {
    switch (Random(8)) {
      case 0:
        Kill();
        break;
      case 1:
      case 2:
        source_->RequestMarker(harness_->marker + 1);
        TakeUntil([](const SourceEvent& event) {
          return std::holds_alternative<Marker>(event.what);
        });
        break;
      case 3:
        if (taken_ < end_) TakeUntil([](const SourceEvent&) { return true; });
        break;
      default:
        PushSome();
    }
  }
  while (committed_ < end_ && !HasFailure()) {
    source_->RequestMarker(harness_->marker + 1);
    TakeUntil([](const SourceEvent& event) {
      return std::holds_alternative<Marker>(event.what);
    });
  }
  EXPECT_EQ(rows_, accepted_);
  harness_->CloseQueue();
}
INSTANTIATE_TEST_SUITE_P(Seeds, RestartTest, testing::Range(1u, 41u));

// The first cut leaves a tail; the second comes while it is caught up with and more is
// acknowledged.
TEST_F(LogSourceTest, WhatWasAcknowledgedSurvivesAPowerCutDuringCatchUp) {
  uint64_t cuts = 0;
  for (bool whole = false; !whole; ++cuts) {
    auto io = std::make_unique<io::SimIo>();
    sim_ = io.get();
    harness_ = std::make_unique<SourceHarness>(std::move(io));
    Start();
    Push({Ride("0", "10:00")});
    harness_->CommitNext(*source_);
    Push({Ride("1", "10:00"), Ride("0", "10:00")});
    Push({Ride("2", "10:00")});
    source_.reset();

    auto survivor = sim_->Survivor(cuts, io::AfterCut::kDropUnsynced);
    sim_ = survivor.get();
    harness_ = std::make_unique<SourceHarness>(std::move(survivor), *harness_);
    Start();
    sim_->SetFaults({.cut_power_after = cuts});
    std::string acknowledged;
    whole = true;
    for (int i = 0; i < 4 && whole; ++i) {
      const PushResult result = Push({Ride(std::to_string(i), "10:00")});
      whole = result.code == PushResult::Code::kOk;
      if (whole) acknowledged += Text(result) + " ";
    }
    source_->RequestMarker(harness_->marker + 1);
    source_.reset();

    survivor = sim_->Survivor(
        cuts, cuts % 2 == 0 ? io::AfterCut::kDropUnsynced : io::AfterCut::kRandom);
    harness_ = std::make_unique<SourceHarness>(std::move(survivor), *harness_);
    Start(/*live=*/false);
    int64_t next = 1, duplicate = 0;
    std::string accepted;
    for (;;) {
      SourceEvent event = harness_->Next();
      if (std::holds_alternative<PartitionNews>(event.what)) continue;
      const auto* batch = std::get_if<JudgedBatch>(&event.what);
      if (batch == nullptr) break;
      EXPECT_EQ(batch->first.value, next);
      next = batch->after.next.value;
      duplicate += batch->counts.duplicate;
      if (batch->accepted.rows != nullptr) accepted += Cells(batch->accepted, "id") + " ";
    }
    const std::string expected = "duplicate@4 duplicate@5 duplicate@6 accepted@7 ";
    EXPECT_EQ(acknowledged, expected.substr(0, acknowledged.size())) << "cut " << cuts;
    const int64_t answered = std::count(acknowledged.begin(), acknowledged.end(), ' ');
    ASSERT_GE(next, 4 + answered) << "cut " << cuts;
    ASSERT_LE(next, 4 + answered + 1) << "cut " << cuts;
    EXPECT_EQ(accepted.find("1 2"), 0u) << accepted;
    EXPECT_EQ(duplicate, 1 + std::min<int64_t>(next - 4, 3));
    source_.reset();
    ASSERT_FALSE(HasFailure()) << "cut " << cuts;
  }
  EXPECT_GT(cuts, 5u);
}

contract::Contract IdleContract() {
  contract::Contract contract = TestContract();
  contract.idle_after = 60 * kSecond;
  return contract;
}
class IdleTest : public LogSourceTest {
 protected:
  IdleTest() : LogSourceTest(IdleContract()) {}

  // Lets the partition go idle.
  PartitionPosition GoIdle() {
    harness_->clock.Advance(60 * kSecond);
    for (;;) {
      SourceEvent event = harness_->Next();
      const auto* news = std::get_if<PartitionNews>(&event.what);
      if (news == nullptr) {
        ADD_FAILURE() << "another event: " << event.what.index();
        return {};
      }
      if (news->position.idle) return news->position;
    }
  }
};

TEST_F(IdleTest, APartitionThatNeverHadARecordIsActiveAtFirst) {
  Start();
  EXPECT_FALSE(harness_->NextOf<PartitionNews>().position.idle);
  harness_->watermark = At("09:30");  // another one began
  EXPECT_EQ(Text(Push({Ride("a", "09:00")})), "accepted@0");
}

TEST_F(IdleTest, APartitionWithoutRecordsForLongGoesIdleAndWakesAtTheGlobalWatermark) {
  Start();
  EXPECT_EQ(Text(Push({Ride("a", "10:00")})), "accepted@0");
  EXPECT_FALSE(harness_->NextBatch().after.idle);
  harness_->clock.Advance(59 * kSecond);
  EXPECT_FALSE(harness_->NextWithin(200ms));
  EXPECT_TRUE(GoIdle().idle);

  harness_->watermark = At("09:30");  // other partitions went on
  EXPECT_EQ(Text(Push({Ride("b", "09:29"), Ride("c", "09:30")})), "late@1 accepted@2");
  const JudgedBatch batch = harness_->NextBatch();
  EXPECT_EQ(batch.after.watermark, At("09:30"));
  EXPECT_FALSE(batch.after.idle);

  // A floor is given on waking only.
  harness_->watermark = At("11:00");
  EXPECT_EQ(Text(Push({Ride("d", "09:31")})), "accepted@3");
}

TEST_F(IdleTest, ARestartRepeatsTheFloorAndNotTodaysWatermark) {
  Start();
  GoIdle();
  harness_->watermark = At("09:30");
  EXPECT_EQ(Text(Push({Ride("b", "09:29"), Ride("c", "09:30")})), "late@0 accepted@1");
  harness_->watermark = kNoTime;
  Restart(/*live=*/false);
  const JudgedBatch tail = harness_->NextBatch();
  EXPECT_EQ(Cells(tail.late, "id"), "b");
  EXPECT_EQ(tail.after.watermark, At("09:30"));
}

TEST_F(IdleTest, AFloorBelowItsOwnWatermarkChangesNothing) {
  Start();
  Push({Ride("a", "11:00")});
  harness_->NextBatch();
  EXPECT_EQ(GoIdle().watermark, At("10:00"));
  harness_->watermark = At("09:00");
  EXPECT_EQ(Text(Push({Ride("b", "09:30"), Ride("c", "10:00")})), "late@1 accepted@2");
}

}  // namespace
}  // namespace weir::ingest
