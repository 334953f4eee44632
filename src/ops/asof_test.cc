#include "ops/asof.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "ops/testing.h"

namespace weir::ops {
namespace {

using enum AsofMatch;

constexpr std::string_view kTrades = "k int, t int, id int",
                           kQuotes = "k int, t int, p int";

data::Schema OutputSchema() {
  data::Schema out = SchemaFromText(kTrades);
  for (const data::Field& field : SchemaFromText(kQuotes).fields)
    out.fields.push_back(field);
  return out;
}

AsofSpec Spec(AsofMatch match, bool outer) {
  return {.match = match,
          .outer = outer,
          .left_keys = {0},
          .right_keys = {0},
          .left_time = 1,
          .right_time = 1,
          .right_ties = {2}};
}

class AsofTest : public OperatorTest {
 public:
  explicit AsofTest(const AsofSpec& spec, int64_t memory = 1 << 30)
      : OperatorTest({SchemaFromText(kTrades), SchemaFromText(kQuotes)}, OutputSchema(),
                     [=](state::Store* store) {
                       return NewAsofJoin(spec, SchemaFromText(kTrades),
                                          SchemaFromText(kQuotes), store, "op/a", memory);
                     }) {}
};

TEST(AsofTest, EveryLeftRowHasTheNextRightRow) {
  struct Case {
    AsofMatch match;
    const char *at_10, *at_15, *at_5, *at_30;
  };
  for (const Case& c :
       {Case{kAtOrBefore, "1 10 1", "1 10 1", "NULL NULL NULL", "1 20 3"},
        Case{kBefore, "NULL NULL NULL", "1 10 1", "NULL NULL NULL", "1 20 3"},
        Case{kAtOrAfter, "1 10 1", "1 20 3", "1 10 1", "NULL NULL NULL"},
        Case{kAfter, "1 20 3", "1 20 3", "1 10 1", "NULL NULL NULL"}}) {
    AsofTest t(Spec(c.match, true));
    EXPECT_EQ(
        t.Step({"+ 1 10 0, + 1 15 0, + 1 5 0, + 1 30 0", "+ 1 10 1, + 1 20 2, + 1 20 3"}),
        fmt::format("+ 1 10 0 {}, + 1 15 0 {}, + 1 30 0 {}, + 1 5 0 {}", c.at_10, c.at_15,
                    c.at_30, c.at_5));
  }
}

TEST(AsofTest, ARightRowRematchesTheLeftRowsUpToTheNextOne) {
  for (const int64_t memory : {int64_t{0}, int64_t{1} << 30}) {
    for (const bool commits : {false, true}) {
      AsofTest t(Spec(kAtOrBefore, true), memory);
      const auto commit = [&] {
        if (!commits) return;
        t.Commit();
        t.Restart();
      };
      EXPECT_EQ(
          t.Step({"+ 1 1 1, + 1 5 2, +2 1 9 3, + 2 5 4", ""}),
          "+ 1 1 1 NULL NULL NULL, + 1 5 2 NULL NULL NULL, +2 1 9 3 NULL NULL NULL, "
          "+ 2 5 4 NULL NULL NULL");
      commit();
      EXPECT_EQ(t.Step({"", "+ 1 8 80"}), "+2 1 9 3 1 8 80, -2 1 9 3 NULL NULL NULL");
      commit();
      EXPECT_EQ(t.Step({"", "+ 1 2 20"}), "+ 1 5 2 1 2 20, - 1 5 2 NULL NULL NULL");
      commit();
      EXPECT_EQ(t.Step({"", "+5 1 8 80"}), "") << "one is enough";
      commit();
      EXPECT_EQ(t.Step({"+ 1 8 5, - 1 9 3", "- 1 2 20"}),
                "- 1 5 2 1 2 20, + 1 5 2 NULL NULL NULL, + 1 8 5 1 8 80, - 1 9 3 1 8 80");
      commit();
      EXPECT_EQ(t.Step({"", "-5 1 8 80, + 1 8 79"}), "");
      commit();
      EXPECT_EQ(t.Step({"", "- 1 8 80"}),
                "+ 1 8 5 1 8 79, - 1 8 5 1 8 80, + 1 9 3 1 8 79, - 1 9 3 1 8 80");
      commit();
      EXPECT_EQ(t.Step({"- 1 1 1, - 1 5 2, - 1 9 3, - 1 8 5, - 2 5 4", "- 1 8 79"}),
                "- 1 1 1 NULL NULL NULL, - 1 5 2 NULL NULL NULL, - 1 8 5 1 8 79, "
                "- 1 9 3 1 8 79, - 2 5 4 NULL NULL NULL");
      t.Commit();
      EXPECT_EQ(t.op().state_keys(), 0);
    }
  }
}

TEST(AsofTest, InnerJoinsLeaveOutWhatHasNoMatch) {
  AsofTest t(Spec(kAtOrBefore, false));
  EXPECT_EQ(t.Step({"+ 1 5 1, + 1 9 2", "+ 1 7 70"}), "+ 1 9 2 1 7 70");
  EXPECT_EQ(t.Step({"", "+ 1 0 0, - 1 7 70"}),
            "+ 1 5 1 1 0 0, + 1 9 2 1 0 0, - 1 9 2 1 7 70");
}

TEST(AsofTest, NullKeysAndTimesMatchNothing) {
  AsofTest inner(Spec(kAtOrBefore, false)), outer(Spec(kAtOrBefore, true));
  const auto rows = {std::string_view("+ NULL 5 1, + 1 NULL 2"),
                     std::string_view("+ NULL 1 1, + 1 NULL 1")};
  EXPECT_EQ(inner.Step(rows), "");
  EXPECT_EQ(outer.Step(rows), "+ 1 NULL 2 NULL NULL NULL, + NULL 5 1 NULL NULL NULL");
  EXPECT_EQ(outer.Step({"- NULL 5 1", ""}), "- NULL 5 1 NULL NULL NULL");
}

TEST(AsofTest, WhatCannotBeIsAnError) {
  AsofTest t(Spec(kAtOrBefore, true));
  EXPECT_THAT(t.Step({"- 1 1 1", ""}),
              testing::HasSubstr("taken back that is not there"));
  const data::Schema in = SchemaFromText("k int, t int, s string");
  AsofSpec by_text = Spec(kAfter, false), no_time = by_text, mixed = by_text,
           fewer = by_text;
  by_text.left_time = by_text.right_time = 2;
  no_time.left_time = 9;
  mixed.left_keys = {2};
  fewer.left_keys = {};
  for (const AsofSpec& spec : {by_text, no_time, mixed, fewer}) {
    auto made = NewAsofJoin(spec, in, in, nullptr, "s", 0);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, Code::kInvalid);
  }
}

using Row = std::array<std::string, 3>;
using Rows = std::map<Row, int64_t>;

// For each left row, all right rows are looked at.
std::map<std::string, int64_t> Oracle(const AsofSpec& spec, const Rows& left,
                                      const Rows& right) {
  std::map<std::string, int64_t> out;
  const bool after = spec.match == kAtOrAfter || spec.match == kAfter;
  for (const auto& [l, weight] : left) {
    const Row* best = nullptr;
    for (const auto& [r, _] : right) {
      if (l[0] == "NULL" || l[0] != r[0] || l[1] == "NULL" || r[1] == "NULL") continue;
      const int64_t a = std::stoll(l[1]), b = std::stoll(r[1]);
      const bool equal = a == b;
      if (equal ? spec.match == kBefore || spec.match == kAfter : (after ? b < a : b > a))
        continue;
      if (best == nullptr) {
        best = &r;
        continue;
      }
      const int64_t c = std::stoll((*best)[1]);
      const auto tie = [](const Row& row) {
        return row[2] == "NULL" ? INT64_MAX : std::stoll(row[2]);
      };
      if (b == c ? tie(r) >= tie(*best) : (after ? b < c : b > c)) best = &r;
    }
    if (best == nullptr && !spec.outer) continue;
    static const Row kNulls = {"NULL", "NULL", "NULL"};
    const Row& r = best == nullptr ? kNulls : *best;
    out[fmt::format(" {} {} {} {} {} {}", l[0], l[1], l[2], r[0], r[1], r[2])] += weight;
  }
  return out;
}

class RandomAsofTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, RandomAsofTest, testing::Range(0, 32));

TEST_P(RandomAsofTest, EqualsASearchThroughAllRows) {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  SCOPED_TRACE(
      fmt::format("replay: WEIR_SEED={} ops_test --gtest_filter="
                  "*/RandomAsofTest.EqualsASearchThroughAllRows/{}",
                  seed, GetParam()));
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  AsofSpec spec = Spec(static_cast<AsofMatch>(GetParam() % 4), GetParam() % 8 < 4);
  if (below(4) == 0) spec.left_keys = spec.right_keys = {};
  const int64_t memories[] = {0, 15'000, 1 << 30};
  AsofTest op(spec, memories[below(3)]);

  struct World {
    std::array<Rows, 2> there;
    std::map<std::string, int64_t> emitted;
  };
  World now, checkpoint, committed;
  bool committing = false;
  const uint64_t times = 2 + below(30);
  for (int step = 0; step < 40; ++step) {
    for (uint64_t batches = below(4); batches > 0; --batches) {
      const auto port = below(2);
      Rows& there = now.there[port];
      std::string text;
      for (uint64_t rows = below(step == 3 ? 300 : 10); rows > 0; --rows) {
        Row row = {below(12) == 0 ? "NULL" : std::to_string(below(3)),
                   below(12) == 0 ? "NULL" : std::to_string(below(times)),
                   below(12) == 0 ? "NULL" : std::to_string(below(4))};
        if (spec.left_keys.empty()) row[0] = "1";
        int64_t weight = 1 + static_cast<int64_t>(below(2));
        if (!there.empty() && below(2) == 0) {
          auto it = there.begin();
          std::advance(it, static_cast<int64_t>(below(there.size())));
          row = it->first;
          weight = -(1 + static_cast<int64_t>(below(static_cast<uint64_t>(it->second))));
        }
        if ((there[row] += weight) == 0) there.erase(row);
        text += fmt::format("{:+} {} {} {},", weight, row[0], row[1], row[2]);
      }
      const Status status =
          op.Process(static_cast<int>(port),
                     BatchFromText(SchemaFromText(port == 0 ? kTrades : kQuotes), text));
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
    const Status status = op.Flush();
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (const data::Batch& batch : op.TakeEmitted()) {
      for (int64_t row = 0; row < batch.num_rows(); ++row) {
        const std::string text =
            TextFromBatch(OutputSchema(), {batch.rows->Slice(row, 1), {}}).substr(1);
        if ((now.emitted[text] += batch.weight(row)) == 0) now.emitted.erase(text);
      }
    }
    ASSERT_EQ(now.emitted, Oracle(spec, now.there[0], now.there[1])) << "step " << step;
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
