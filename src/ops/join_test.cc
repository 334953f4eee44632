#include "ops/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "ops/testing.h"

namespace weir::ops {
namespace {

using enum JoinKind;

data::Schema Joined(JoinKind kind, std::string_view left, std::string_view right) {
  data::Schema out = SchemaFromText(left);
  if (kind == kSemi || kind == kAnti) return out;
  for (const data::Field& field : SchemaFromText(right).fields)
    out.fields.push_back(field);
  return out;
}

class JoinTest : public OperatorTest {
 public:
  JoinTest(JoinSpec spec, std::string_view left, std::string_view right,
           int64_t memory = 1 << 30)
      : OperatorTest({SchemaFromText(left), SchemaFromText(right)},
                     Joined(spec.kind, left, right), [=](state::Store* store) {
                       return NewJoin(spec, SchemaFromText(left), SchemaFromText(right),
                                      store, "op/join", memory);
                     }) {}
};

constexpr const char* kLeftColumns = "k int, a string";
constexpr const char* kRightColumns = "k int, b string";

// The steps run through every combination of a side's rows coming and going.
struct Expected {
  JoinKind kind;
  std::vector<std::string> steps;
};

std::string NameOf(const testing::TestParamInfo<Expected>& info) {
  static const char* const kNames[] = {"Inner", "Left", "Right", "Full", "Semi", "Anti"};
  return kNames[static_cast<size_t>(info.param.kind)];
}

class JoinKindTest : public testing::TestWithParam<Expected> {};

constexpr std::array<std::array<std::string_view, 2>, 9> kSteps = {{
    {"+ 1 a, + 2 b, + NULL n", ""},         // left rows alone
    {"", "+ 1 x, + 3 z, + NULL m"},         // a partner for one, a right row alone
    {"+ 1 c, + 3 d", "+ 1 y"},              // both ports
    {"- 1 a", "- 1 x"},                     // both ports take back
    {"", "- 1 y"},                          // the last partner goes
    {"+2 2 b", "+3 2 q"},                   // weights
    {"-3 2 b", ""},                         // all of them go
    {"+ 4 e", "+ 4 w, - 4 w"},              // a partner that was never there
    {"- NULL n, - 3 d", "- NULL m, - 3 z"}  // whole keys go
}};

INSTANTIATE_TEST_SUITE_P(
    , JoinKindTest,
    testing::Values(
        Expected{kInner,
                 {"", "+ 1 a 1 x", "+ 1 a 1 y, + 1 c 1 x, + 1 c 1 y, + 3 d 3 z",
                  "- 1 a 1 x, - 1 a 1 y, - 1 c 1 x", "- 1 c 1 y", "+9 2 b 2 q",
                  "-9 2 b 2 q", "", "- 3 d 3 z"}},
        Expected{
            kLeft,
            {"+ 1 a NULL NULL, + 2 b NULL NULL, + NULL n NULL NULL",
             "+ 1 a 1 x, - 1 a NULL NULL", "+ 1 a 1 y, + 1 c 1 x, + 1 c 1 y, + 3 d 3 z",
             "- 1 a 1 x, - 1 a 1 y, - 1 c 1 x", "- 1 c 1 y, + 1 c NULL NULL",
             "+9 2 b 2 q, - 2 b NULL NULL", "-9 2 b 2 q", "+ 4 e NULL NULL",
             "- 3 d 3 z, - NULL n NULL NULL"}},
        Expected{kRight,
                 {"", "+ 1 a 1 x, + NULL NULL 3 z, + NULL NULL NULL m",
                  "+ 1 a 1 y, + 1 c 1 x, + 1 c 1 y, + 3 d 3 z, - NULL NULL 3 z",
                  "- 1 a 1 x, - 1 a 1 y, - 1 c 1 x", "- 1 c 1 y", "+9 2 b 2 q",
                  "-9 2 b 2 q, +3 NULL NULL 2 q", "", "- 3 d 3 z, - NULL NULL NULL m"}},
        Expected{
            kFull,
            {"+ 1 a NULL NULL, + 2 b NULL NULL, + NULL n NULL NULL",
             "+ 1 a 1 x, - 1 a NULL NULL, + NULL NULL 3 z, + NULL NULL NULL m",
             "+ 1 a 1 y, + 1 c 1 x, + 1 c 1 y, + 3 d 3 z, - NULL NULL 3 z",
             "- 1 a 1 x, - 1 a 1 y, - 1 c 1 x", "- 1 c 1 y, + 1 c NULL NULL",
             "+9 2 b 2 q, - 2 b NULL NULL", "-9 2 b 2 q, +3 NULL NULL 2 q",
             "+ 4 e NULL NULL", "- 3 d 3 z, - NULL NULL NULL m, - NULL n NULL NULL"}},
        Expected{kSemi,
                 {"", "+ 1 a", "+ 1 c, + 3 d", "- 1 a", "- 1 c", "+3 2 b", "-3 2 b", "",
                  "- 3 d"}},
        Expected{kAnti,
                 {"+ 1 a, + 2 b, + NULL n", "- 1 a", "", "", "+ 1 c", "- 2 b", "",
                  "+ 4 e", "- NULL n"}}),
    NameOf);

TEST_P(JoinKindTest, EveryStepChangesWhatTheQueryChanges) {
  for (const bool commits : {false, true}) {
    for (const int64_t memory : {int64_t{0}, int64_t{1} << 30}) {
      JoinTest t({.kind = GetParam().kind, .left_keys = {0}, .right_keys = {0}},
                 kLeftColumns, kRightColumns, memory);
      for (size_t i = 0; i < kSteps.size(); ++i) {
        EXPECT_EQ(t.Step({kSteps[i][0], kSteps[i][1]}), GetParam().steps[i])
            << "step " << i << (commits ? " with" : " without") << " commits, " << memory;
        if (!commits) continue;
        t.Commit();
        if (i % 2 == 0) t.Restart();
      }
    }
  }
}

TEST_P(JoinKindTest, RowsOfAnEmptiedStateLeaveNothingBehind) {
  JoinTest t({.kind = GetParam().kind, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
             kRightColumns);
  t.Step({"+ 1 a, + 1 b, + 2 c", "+ 1 x, +5 3 y"});
  t.Commit();
  t.Step({"- 1 a, - 1 b, - 2 c", "- 1 x, -5 3 y"});
  t.Commit();
  EXPECT_EQ(t.op().state_keys(), 0);
  const auto spaces = t.store().Spaces();
  for (const auto& space : *spaces) EXPECT_EQ(space.keys, 0) << space.space;
}

TEST(JoinTest, NullKeysMatchWhereTheyAreComparedAsValues) {
  JoinTest t({.kind = kFull,
              .left_keys = {0, 1},
              .right_keys = {0, 1},
              .null_safe = {true, false}},
             "k int, l string, a string", "k int, l string, b string");
  EXPECT_EQ(
      t.Step({"+ NULL p a, + 1 NULL b, + NULL NULL c", "+ NULL p x"}),
      "+ 1 NULL b NULL NULL NULL, + NULL NULL c NULL NULL NULL, + NULL p a NULL p x");
  EXPECT_EQ(t.Step({"", "+ 1 NULL y, - NULL p x"}),
            "+ NULL NULL NULL 1 NULL y, + NULL p a NULL NULL NULL, - NULL p a NULL p x");
}

TEST(JoinTest, WithoutKeysEveryPairMatches) {
  JoinTest t({.kind = kLeft}, "a int", "b int");
  EXPECT_EQ(t.Step({"+ 1, + 2", ""}), "+ 1 NULL, + 2 NULL");
  EXPECT_EQ(t.Step({"", "+ 7, + 8"}), "+ 1 7, + 1 8, - 1 NULL, + 2 7, + 2 8, - 2 NULL");
  EXPECT_EQ(t.Step({"+ 3", "- 7"}), "- 1 7, - 2 7, + 3 8");
}

TEST(JoinTest, FloatingKeysHaveOneZeroAndOneNan) {
  JoinTest t({.kind = kInner, .left_keys = {0}, .right_keys = {0}}, "k double, a int",
             "k double, b int");
  EXPECT_EQ(t.Step({"+ -0.0 1, + nan 2", "+ 0.0 3, + nan 4"}),
            "+ -0 1 0 3, + nan 2 nan 4");
}

TEST(JoinTest, PairsThatComeWithOneSideAndGoWithTheOtherAreNotShown) {
  JoinTest t({.kind = kInner, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
             kRightColumns);
  t.Step({"+ 1 a", "+ 1 x"});
  ASSERT_TRUE(
      t.Process(0, BatchFromText(SchemaFromText(kLeftColumns), "- 1 a, + 1 b")).ok());
  ASSERT_TRUE(
      t.Process(1, BatchFromText(SchemaFromText(kRightColumns), "- 1 x, + 1 y")).ok());
  ASSERT_TRUE(t.Flush().ok());
  const auto batches = t.TakeEmitted();
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(TextFromBatch(Joined(kInner, kLeftColumns, kRightColumns), batches[0]),
            "- 1 a 1 x, + 1 b 1 y");
}

TEST(JoinTest, ARowMayGoBeforeItComesWithinAStep) {
  JoinTest t({.kind = kLeft, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
             kRightColumns);
  EXPECT_EQ(t.Step({"- 1 a, + 1 a, + 1 b", "- 1 x, +2 1 x"}), "+ 1 b 1 x");
}

TEST(JoinTest, RowsThatAreNotThereCannotBeTakenBack) {
  for (const JoinKind kind : {kInner, kLeft, kFull, kSemi}) {
    JoinTest left({.kind = kind, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
                  kRightColumns);
    EXPECT_THAT(left.Step({"- 1 a, + 1 b", ""}),
                testing::HasSubstr("a row was taken back that is not there: 1 | a"));
    JoinTest right({.kind = kind, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
                   kRightColumns);
    EXPECT_THAT(right.Step({"", "- 1 a"}), testing::HasSubstr("taken back"));
  }
  JoinTest insert_only(
      {.kind = kInner, .left_keys = {0}, .right_keys = {0}, .right_retracts = false},
      kLeftColumns, kRightColumns);
  EXPECT_THAT(insert_only.Step({"", "- 1 a"}), testing::HasSubstr("append-only"));
}

TEST(JoinTest, MoreRowsThanAWeightHoldsComeOutInSeveral) {
  JoinTest t({.kind = kInner, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
             kRightColumns);
  EXPECT_EQ(t.Step({"+100000 1 a", "+100000 1 x"}), "+10000000000 1 a 1 x");
  EXPECT_EQ(t.Step({"-100000 1 a", ""}), "-10000000000 1 a 1 x");
}

TEST(JoinTest, WhatHappensBesideACommitIsKept) {
  JoinTest t({.kind = kLeft, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
             kRightColumns, 0);
  t.Step({"+ 1 a, + 2 b, + 3 c, + 3 d", "+ 1 x, + 2 y"});
  t.Commit();
  t.Step({"+ 1 aa, - 3 c", "- 2 y"});
  t.Checkpoint();
  EXPECT_EQ(t.Step({"- 1 a, + 3 c", "+ 2 z"}),
            "- 1 a 1 x, + 2 b 2 z, - 2 b NULL NULL, + 3 c NULL NULL");
  t.Committed();
  EXPECT_EQ(t.Step({"", "- 1 x, + 3 w"}),
            "- 1 aa 1 x, + 1 aa NULL NULL, + 3 c 3 w, - 3 c NULL NULL, + 3 d 3 w, - 3 d "
            "NULL NULL");
  t.Commit();
  EXPECT_EQ(t.Step({"- 1 aa, - 2 b, - 3 c, - 3 d", "- 2 z, - 3 w"}),
            "- 1 aa NULL NULL, - 2 b 2 z, - 3 c 3 w, - 3 d 3 w");
}

TEST(JoinTest, AChangeOfALargeKeyTouchesTheStoreInThatRowOnly) {
  JoinTest t({.kind = kLeft, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
             kRightColumns, 0);
  std::string rows;
  for (int i = 0; i < 2000; ++i) rows += fmt::format("+ 1 a{},", i);
  t.Step({rows, ""});
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Step({"+ 1 new, - 1 a77", ""}), "- 1 a77 NULL NULL, + 1 new NULL NULL");
  state::Delta delta;
  ASSERT_TRUE(t.op().Checkpoint(delta).ok());
  EXPECT_EQ(delta.count(), 3) << "the two rows and the key's totals";
  EXPECT_LT(t.op().state_bytes(), 20'000) << "the other rows were not read";
}

TEST(JoinTest, LargeOutputsComeInBatches) {
  JoinTest t({.kind = kInner, .left_keys = {0}, .right_keys = {0}}, kLeftColumns,
             kRightColumns);
  std::string left, right;
  for (int i = 0; i < 400; ++i) {
    left += fmt::format("+ 1 a{},", i);
    right += fmt::format("+ 1 b{},", i);
  }
  ASSERT_TRUE(t.Process(0, BatchFromText(SchemaFromText(kLeftColumns), left)).ok());
  ASSERT_TRUE(t.Process(1, BatchFromText(SchemaFromText(kRightColumns), right)).ok());
  ASSERT_TRUE(t.Flush().ok());
  int64_t rows = 0;
  for (const data::Batch& batch : t.TakeEmitted()) {
    EXPECT_LE(batch.num_rows(), 64 << 10);
    rows += batch.num_rows();
  }
  EXPECT_EQ(rows, 160'000);
}

TEST(JoinTest, WhatCannotBeIsRefused) {
  const data::Schema left = SchemaFromText("k int, a string");
  for (const JoinSpec& spec :
       {JoinSpec{kInner, {0}, {1}, {}}, JoinSpec{kInner, {0, 1}, {0}, {}},
        JoinSpec{kInner, {7}, {0}, {}}, JoinSpec{kInner, {-1}, {0}, {}}}) {
    auto made = NewJoin(spec, left, left, nullptr, "s", 0);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, Code::kInvalid);
  }
}

// ----------------------------------------------------------- against nested loops

using Row = std::vector<std::string>;
using Rows = std::map<Row, int64_t>;

bool Matches(const JoinSpec& spec, const Row& left, const Row& right) {
  for (size_t i = 0; i < spec.left_keys.size(); ++i) {
    const std::string& l = left[static_cast<size_t>(spec.left_keys[i])];
    const std::string& r = right[static_cast<size_t>(spec.right_keys[i])];
    if (l != r || (l == "NULL" && !spec.null_safe[i])) return false;
  }
  return true;
}

void Add(Row row, const Row& more, int64_t weight, Rows* out) {
  row.insert(row.end(), more.begin(), more.end());
  if (((*out)[row] += weight) == 0) out->erase(row);
}

Rows NestedLoops(const JoinSpec& spec, const Rows& left, const Rows& right) {
  const Row nulls(3, "NULL");
  Rows out;
  std::map<Row, bool> right_matched;
  for (const auto& [l, lw] : left) {
    bool matched = false;
    for (const auto& [r, rw] : right) {
      if (!Matches(spec, l, r)) continue;
      matched = right_matched[r] = true;
      if (spec.kind != kSemi && spec.kind != kAnti) Add(l, r, lw * rw, &out);
    }
    if (spec.kind == kSemi && matched) Add(l, {}, lw, &out);
    if (spec.kind == kAnti && !matched) Add(l, {}, lw, &out);
    if ((spec.kind == kLeft || spec.kind == kFull) && !matched) Add(l, nulls, lw, &out);
  }
  for (const auto& [r, rw] : right) {
    if ((spec.kind == kRight || spec.kind == kFull) && !right_matched[r])
      Add(nulls, r, rw, &out);
  }
  return out;
}

constexpr std::string_view kRandomColumns = "k int, s string, n int";

class Player {
 public:
  explicit Player(uint64_t seed) : random_(seed) {}
  uint64_t Below(uint64_t limit) { return random_() % limit; }

  // Changes of `there` that never take back what is not there at the end of the batch.
  data::Batch Next(Rows* there) {
    std::string text;
    const uint64_t rows = Below(40) == 0 ? 700 : Below(20);
    for (uint64_t i = 0; i < rows; ++i) {
      Row row;
      int64_t weight = Below(8) == 0 ? 3 : 1;
      if (!there->empty() && Below(5) < 2) {
        auto it = there->begin();
        std::advance(it, static_cast<int64_t>(Below(there->size())));
        row = it->first;
        weight = -(1 + static_cast<int64_t>(Below(static_cast<uint64_t>(it->second))));
      } else {
        row = {Below(8) == 0 ? "NULL" : std::to_string(Below(9)),
               Below(8) == 0 ? "NULL" : std::string(1, static_cast<char>('a' + Below(2))),
               std::to_string(Below(6))};
      }
      if (((*there)[row] += weight) == 0) there->erase(row);
      const std::string change =
          fmt::format("{:+} {} {} {},", weight, row[0], row[1], row[2]);
      text = Below(2) == 0 ? text + change : change + text;
    }
    return BatchFromText(SchemaFromText(kRandomColumns), text);
  }

 private:
  std::mt19937_64 random_;
};

void Collect(OperatorTest& op, const data::Schema& schema, Rows* out) {
  for (const data::Batch& batch : op.TakeEmitted()) {
    for (int64_t row = 0; row < batch.num_rows(); ++row) {
      std::istringstream text(
          TextFromBatch(schema, {batch.rows->Slice(row, 1), {}}).substr(2));
      Row values;
      for (std::string value; text >> value;) values.push_back(value);
      Add(values, {}, batch.weight(row), out);
    }
  }
}

class RandomJoinTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, RandomJoinTest, testing::Range(0, 48));

TEST_P(RandomJoinTest, EqualsNestedLoops) {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  SCOPED_TRACE(
      fmt::format("replay: WEIR_SEED={} ops_test --gtest_filter=*/{}", seed,
                  "RandomJoinTest.EqualsNestedLoops/" + std::to_string(GetParam())));
  Player player(seed);
  JoinSpec spec{.kind = static_cast<JoinKind>(GetParam() % 6)};
  const std::vector<std::vector<int>> keys = {{}, {0}, {0}, {0, 1}, {1}};
  spec.left_keys = spec.right_keys = keys[player.Below(keys.size())];
  for (size_t i = 0; i < spec.left_keys.size(); ++i)
    spec.null_safe.push_back(player.Below(3) == 0);
  const int64_t memories[] = {0, 12'000, 1 << 30};
  const data::Schema schema = Joined(spec.kind, kRandomColumns, kRandomColumns);
  JoinTest op(spec, kRandomColumns, kRandomColumns, memories[player.Below(3)]);

  std::array<Rows, 2> there, committed_there;
  Rows emitted, committed;
  bool committing = false;
  for (int step = 0; step < 30; ++step) {
    for (uint64_t batches = player.Below(4); batches > 0; --batches) {
      const auto port = static_cast<int>(player.Below(2));
      const Status status =
          op.Process(port, player.Next(&there[static_cast<size_t>(port)]));
      ASSERT_TRUE(status.ok()) << status.error().message;
      if (committing && player.Below(3) == 0) {  // in the middle of a step
        op.Committed();
        committing = false;
      }
    }
    const Status status = op.Flush();
    ASSERT_TRUE(status.ok()) << status.error().message;
    Collect(op, schema, &emitted);
    ASSERT_EQ(emitted, NestedLoops(spec, there[0], there[1])) << "step " << step;
    if (committing && player.Below(2) == 0) {
      op.Committed();
      committing = false;
    }
    if (!committing && player.Below(3) == 0) {
      op.Checkpoint();
      committing = true;
      committed_there = there;
      committed = emitted;
    } else if (!committing && player.Below(6) == 0) {
      op.Restart();
      there = committed_there;
      emitted = committed;
    }
  }
}

}  // namespace
}  // namespace weir::ops
