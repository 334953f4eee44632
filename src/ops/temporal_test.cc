#include "ops/temporal.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "ops/testing.h"

namespace weir::ops {
namespace {

constexpr std::string_view kColumns = "id int, since stamp, until stamp";
constexpr Micros kMinute = 60'000'000;

class TemporalTest : public OperatorTest {
 public:
  explicit TemporalTest(TemporalSpec spec = {1, 2}, int64_t memory = 1 << 30)
      : OperatorTest(
            SchemaFromText(kColumns), SchemaFromText(kColumns), [=](state::Store* store) {
              return NewTemporal(spec, SchemaFromText(kColumns), store, "op/t", memory);
            }) {}
};

TEST(TemporalTest, RowsComeAndGoWithTheTime) {
  for (const int64_t memory : {int64_t{0}, int64_t{1} << 30}) {
    for (const bool commits : {false, true}) {
      TemporalTest t({1, 2}, memory);
      const auto commit = [&] {
        if (!commits) return;
        t.Commit();
        t.Restart();
      };
      EXPECT_EQ(t.Step({"+ 1 10 20, + 2 10 30, +3 3 NULL 15, + 4 25 NULL, + 5 9 9"}), "")
          << "there is no time yet";
      commit();
      EXPECT_EQ(t.Advance(9), "+3 3 NULL 15");
      EXPECT_EQ(t.Advance(10), "+ 1 10 20, + 2 10 30");
      commit();
      EXPECT_EQ(t.Step({"- 2 10 30, + 6 0 12, + 7 0 10, + 8 11 12"}),
                "- 2 10 30, + 6 0 12");
      EXPECT_EQ(t.Advance(9), "") << "the time never falls";
      EXPECT_EQ(t.Advance(14), "- 6 0 12") << "8 came and went meanwhile";
      commit();
      EXPECT_EQ(t.Advance(15), "-3 3 NULL 15");
      EXPECT_EQ(t.Step({"-3 3 NULL 15, - 8 11 12, -2 4 25 NULL, +2 4 25 NULL"}), "")
          << "what is over is out already";
      commit();
      EXPECT_EQ(t.Advance(40), "- 1 10 20, + 4 25 NULL");
      commit();
      EXPECT_EQ(t.Step({"- 4 25 NULL"}), "- 4 25 NULL");
      t.Commit();
      EXPECT_EQ(t.op().state_keys(), 0) << "rows without an end are not kept";
    }
  }
}

TEST(TemporalTest, OneBoundIsEnough) {
  TemporalTest from({1, -1}), to({-1, 2});
  EXPECT_EQ(from.Step({"+ 1 10 5"}), "");
  EXPECT_EQ(from.Advance(10), "+ 1 10 5");
  EXPECT_EQ(from.Advance(1'000'000'000), "");
  EXPECT_EQ(to.Advance(3), "");
  EXPECT_EQ(to.Step({"+ 1 10 5"}), "+ 1 10 5");
  EXPECT_EQ(to.Advance(5), "- 1 10 5");
}

TEST(TemporalTest, BeforeTheFirstTimeNoRowIsThere) {
  TemporalTest t;
  EXPECT_EQ(t.Step({"+ 1 NULL NULL"}), "");
  EXPECT_EQ(t.Advance(kNoTime), "");
  EXPECT_EQ(t.Advance(-5), "+ 1 NULL NULL");
}

TEST(TemporalTest, RowsThatWaitCanBeTakenBack) {
  TemporalTest t;
  t.Advance(0);
  EXPECT_EQ(t.Step({"+ 1 10 20"}), "");
  EXPECT_EQ(t.Step({"- 1 10 20"}), "");
  EXPECT_EQ(t.Advance(15), "");
  EXPECT_THAT(t.Step({"- 1 20 30"}), testing::HasSubstr("taken back that is not there"));
}

TEST(TemporalTest, AnAdvanceReadsAndWritesWhatChanges) {
  TemporalTest t({1, 2}, 0);
  t.Advance(1);
  std::string rows;
  for (int i = 0; i < 3000; ++i)
    rows += fmt::format("+ {} 0 {},", i, 100 * kMinute + i * kMinute / 10);
  t.Step({rows});
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Advance(100 * kMinute), fmt::format("- 0 0 {}", 100 * kMinute));
  state::Delta delta;
  ASSERT_TRUE(t.op().Checkpoint(delta).ok());
  EXPECT_EQ(delta.count(), 3) << "the row, its bucket and the time";
  EXPECT_LT(t.op().state_bytes(), 30'000) << "far buckets were not read";
}

TEST(TemporalTest, WhatCannotBeIsRefused) {
  for (const TemporalSpec spec : {TemporalSpec{0, 1}, TemporalSpec{1, 7}}) {
    auto made = NewTemporal(spec, SchemaFromText(kColumns), nullptr, "s", 0);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, Code::kInvalid);
  }
}

class RandomTemporalTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, RandomTemporalTest, testing::Range(0, 24));

TEST_P(RandomTemporalTest, EqualsAFilter) {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  SCOPED_TRACE(
      fmt::format("replay: WEIR_SEED={} ops_test "
                  "--gtest_filter=*/RandomTemporalTest.EqualsAFilter/{}",
                  seed, GetParam()));
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  const int64_t memories[] = {0, 15'000, 1 << 30};
  TemporalTest op({1, 2}, memories[below(3)]);
  const Micros unit = below(2) == 0 ? 1 : 7'000'000;  // within a bucket, or over many

  struct Row {
    int64_t weight = 0;
    Micros from = 0, to = 0;
  };
  struct World {
    std::map<std::string, Row> rows;
    Micros time = kNoTime;
    std::map<std::string, int64_t> emitted;
  };
  World now, committed, checkpoint;
  bool committing = false;
  int64_t id = 0;
  const auto collect = [&] {
    for (const data::Batch& batch : op.TakeEmitted()) {
      for (int64_t row = 0; row < batch.num_rows(); ++row) {
        const std::string text =
            TextFromBatch(SchemaFromText(kColumns), {batch.rows->Slice(row, 1), {}});
        if ((now.emitted[text.substr(1)] += batch.weight(row)) == 0)
          now.emitted.erase(text.substr(1));
      }
    }
  };
  for (int step = 0; step < 60; ++step) {
    std::string text;
    for (uint64_t rows = below(12); rows > 0; --rows) {
      int64_t weight = 1 + static_cast<int64_t>(below(2));
      auto it = now.rows.begin();
      if (!now.rows.empty() && below(3) == 0) {
        std::advance(it, static_cast<int64_t>(below(now.rows.size())));
        weight =
            -(1 + static_cast<int64_t>(below(static_cast<uint64_t>(it->second.weight))));
      } else {
        const bool first = now.time == kNoTime;
        const Micros from =
            (first ? 0 : now.time) + (static_cast<Micros>(below(40)) - 20) * unit;
        const Micros to = from + (static_cast<Micros>(below(40)) - 5) * unit;
        const bool no_from = below(8) == 0, no_to = below(8) == 0;
        it = now.rows
                 .insert({fmt::format(" {} {} {}", ++id,
                                      no_from ? "NULL" : std::to_string(from),
                                      no_to ? "NULL" : std::to_string(to)),
                          {0, no_from ? INT64_MIN : from, no_to ? INT64_MAX : to}})
                 .first;
      }
      text += fmt::format("{:+}{},", weight, it->first);
      if ((it->second.weight += weight) == 0) now.rows.erase(it);
    }
    Status status = op.Process(BatchFromText(SchemaFromText(kColumns), text));
    ASSERT_TRUE(status.ok()) << status.error().message;
    // Within the step, behind it, or not at all.
    const uint64_t when = below(3);
    const auto take = [&](const std::string& changes) {
      std::istringstream lines(changes);
      for (std::string line; std::getline(lines, line, ',');) {
        line = line.substr(line.find_first_not_of(' '));
        const size_t space = line.find(' ');
        const std::string sign = line.substr(0, space);
        const int64_t weight = sign == "+" ? 1 : sign == "-" ? -1 : std::stoll(sign);
        if ((now.emitted[line.substr(space)] += weight) == 0)
          now.emitted.erase(line.substr(space));
      }
    };
    collect();
    if (when != 2) {
      if (when == 1) {
        ASSERT_TRUE(op.Flush().ok());
      }
      now.time =
          (now.time == kNoTime ? 0 : now.time) + static_cast<Micros>(below(10)) * unit;
      take(op.Advance(now.time));
    }
    if (when != 1) {
      status = op.Flush();
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
    collect();
    std::map<std::string, int64_t> expected;
    for (const auto& [row, r] : now.rows) {
      if (now.time != kNoTime && r.from <= now.time && now.time < r.to)
        expected[row] = r.weight;
    }
    ASSERT_EQ(now.emitted, expected) << "step " << step << " time " << now.time;
    if (committing && below(2) == 0) {
      op.Committed();
      committed = checkpoint;
      committing = false;
    }
    if (!committing && below(3) == 0) {
      op.Checkpoint();
      checkpoint = now;
      committing = true;
    }
    if (below(8) == 0) {
      op.Restart();
      now = committed;
      committing = false;
    }
  }
}

}  // namespace
}  // namespace weir::ops
