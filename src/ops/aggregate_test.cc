#include "ops/aggregate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/cells.h"
#include "ops/testing.h"

namespace weir::ops {
namespace {

using enum AggregateKind;

data::Type TypeOf(std::string_view text) {
  return SchemaFromText(fmt::format("x {}", text)).fields[0].type;
}

AggregateCall Call(AggregateKind kind, int argument, std::string_view result) {
  return {kind, argument, {}, {}, -1, TypeOf(result)};
}

// The first `keys` columns are the key.
AggregateSpec Spec(const data::Schema& input, int keys, std::vector<AggregateCall> calls,
                   bool retracts) {
  AggregateSpec spec;
  spec.input_retracts = retracts;
  for (int i = 0; i < keys; ++i) {
    spec.keys.push_back(i);
    spec.output.fields.push_back(input.fields[static_cast<size_t>(i)]);
  }
  for (size_t i = 0; i < calls.size(); ++i)
    spec.output.fields.push_back({fmt::format("a{}", i), calls[i].result});
  spec.calls = std::move(calls);
  return spec;
}

class AggregateTest : public OperatorTest {
 public:
  AggregateTest(std::string_view input, int keys, std::vector<AggregateCall> calls,
                bool retracts = true, int64_t memory = 1 << 30)
      : AggregateTest(SchemaFromText(input), keys, std::move(calls), retracts, memory) {}

 private:
  AggregateTest(const data::Schema& input, int keys, std::vector<AggregateCall> calls,
                bool retracts, int64_t memory)
      : AggregateTest(input, Spec(input, keys, std::move(calls), retracts), memory) {}
  AggregateTest(const data::Schema& input, const AggregateSpec& spec, int64_t memory)
      : OperatorTest(input, spec.output, [=](state::Store* store) {
          return NewAggregate(spec, input, store, "op/t", memory);
        }) {}
};

TEST(AggregateTest, ReplacesAGroupsRowWhenItChanges) {
  AggregateTest t("name string, n int", 1,
                  {Call(kCountStar, -1, "int"), Call(kSum, 1, "decimal(38,0)")});
  EXPECT_EQ(t.Feed("+ ann 1, + bob 5, + ann 2"), "+ ann 2 3, + bob 1 5");
  EXPECT_EQ(t.Feed("+ ann 4"), "- ann 2 3, + ann 3 7");
  EXPECT_EQ(t.Feed("- ann 1"), "- ann 3 7, + ann 2 6");
}

TEST(AggregateTest, SaysNothingWhenTheResultStaysEqual) {
  AggregateTest t("name string, n int", 1, {Call(kMax, 1, "int")});
  EXPECT_EQ(t.Feed("+ ann 7"), "+ ann 7");
  EXPECT_EQ(t.Feed("+ ann 3"), "");
  EXPECT_EQ(t.Feed("+ ann 9, - ann 9"), "");
  EXPECT_EQ(t.Feed("- ann 3"), "");
}

TEST(AggregateTest, AGroupWithoutRowsVanishesAndMayComeBack) {
  AggregateTest t("name string, n int", 1, {Call(kSum, 1, "int")});
  EXPECT_EQ(t.Feed("+ ann 7, + bob 1"), "+ ann 7, + bob 1");
  EXPECT_EQ(t.Feed("- ann 7"), "- ann 7");
  EXPECT_EQ(t.Feed("+ cid 1, - cid 1"), "");
  t.Commit();
  EXPECT_EQ(t.Feed("+ ann 8"), "+ ann 8");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed("- ann 8, - bob 1"), "- ann 8, - bob 1");
  t.Commit();
  t.Commit();
  EXPECT_EQ(t.op().state_keys(), 0);
}

TEST(AggregateTest, WithoutKeysThereIsOneRowEvenOverNoInput) {
  AggregateTest t(
      "n int", 0,
      {Call(kCountStar, -1, "int"), Call(kSum, 0, "int"), Call(kMin, 0, "int")});
  EXPECT_EQ(t.Feed(""), "+ 0 NULL NULL");
  EXPECT_EQ(t.Feed(""), "");
  EXPECT_EQ(t.Feed("+ 5, + 3"), "- 0 NULL NULL, + 2 8 3");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed(""), "");
  EXPECT_EQ(t.Feed("- 5, - 3"), "- 2 8 3, + 0 NULL NULL");
}

TEST(AggregateTest, NullsGroupTogetherAndDoNotCount) {
  AggregateTest t("k string, n int", 1,
                  {Call(kCountStar, -1, "int"), Call(kCount, 1, "int"),
                   Call(kSum, 1, "int"), Call(kAvg, 1, "double"), Call(kMax, 1, "int")});
  EXPECT_EQ(t.Feed("+ NULL NULL, + NULL NULL, + '' NULL"),
            "+ NULL 2 0 NULL NULL NULL, + '' 1 0 NULL NULL NULL");
  EXPECT_EQ(t.Feed("+ NULL 4"), "- NULL 2 0 NULL NULL NULL, + NULL 3 1 4 4 4");
  EXPECT_EQ(t.Feed("- NULL 4"), "- NULL 3 1 4 4 4, + NULL 2 0 NULL NULL NULL");
}

TEST(AggregateTest, AFilterLetsOnlyTrueThrough) {
  AggregateCall count = Call(kCountStar, -1, "int"), sum = Call(kSum, 1, "int");
  count.filter = sum.filter = 2;
  AggregateTest t("k string, n int, keep bool", 1, {count, sum, Call(kSum, 1, "int")});
  EXPECT_EQ(t.Feed("+ a 1 true, + a 2 false, + a 4 NULL"), "+ a 1 1 7");
  EXPECT_EQ(t.Feed("+ b 1 NULL"), "+ b 0 NULL 1");
}

class WinnerTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, WinnerTest, testing::Bool(), [](const auto& info) {
  return info.param ? "RetractingInput" : "AppendOnlyInput";
});

TEST_P(WinnerTest, ArgExtremesSkipNullsAndBreakTiesByTheNextColumn) {
  AggregateCall newest = Call(kArgMax, 1, "string"), oldest = Call(kArgMin, 1, "string");
  newest.order = oldest.order = {2, 3};
  AggregateTest t("k string, v string, ts stamp, id string", 1, {newest, oldest},
                  GetParam());
  EXPECT_EQ(t.Feed("+ a x 5 i1, + a NULL 9 i2, + a y NULL i3"), "+ a x x");
  EXPECT_EQ(t.Feed("+ a z 5 i0"), "- a x x, + a x z");
  EXPECT_EQ(t.Feed("+ a w 5 i10"), "- a x z, + a w z");
  EXPECT_EQ(t.Feed("+ a u 5 NULL"), "- a w z, + a u z")
      << "a NULL in a tie column comes last";
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed("+ a t 5 i9"), "");
  EXPECT_EQ(t.Feed("+ a late 4 i9"), "- a u z, + a u late");
}

TEST_P(WinnerTest, FirstAndLastTakeNullsAsValues) {
  AggregateCall first = Call(kFirst, 1, "int"), last = Call(kLast, 1, "int");
  first.order = last.order = {2};
  AggregateTest t("k string, v int, ts int", 1, {first, last}, GetParam());
  EXPECT_EQ(t.Feed("+ a 1 10, + a NULL 5, + a 3 7"), "+ a NULL 1");
  EXPECT_EQ(t.Feed("+ a NULL NULL"), "- a NULL 1, + a NULL NULL")
      << "a NULL order comes last";
  EXPECT_EQ(t.Feed("+ b 1 9223372036854775807, + b 2 NULL"), "+ b 1 2");
}

TEST_P(WinnerTest, DescendingOrdersKeepNullsLast) {
  AggregateCall first = Call(kFirst, 1, "int");
  first.order = {2, 3};
  first.descending = {true, true};
  AggregateTest t("k string, v int, ts int, id string", 1, {first}, GetParam());
  EXPECT_EQ(t.Feed("+ a 1 NULL x"), "+ a 1");
  EXPECT_EQ(t.Feed("+ a 2 3 NULL"), "- a 1, + a 2");
  EXPECT_EQ(t.Feed("+ a 3 3 aa"), "- a 2, + a 3");
  EXPECT_EQ(t.Feed("+ a 4 3 ab"), "- a 3, + a 4");
  EXPECT_EQ(t.Feed("+ a 5 3 a, + a 6 2 z"), "");
}

TEST_P(WinnerTest, ExtremesOfEveryTypeFollowItsOrder) {
  struct Case {
    const char *type, *values, *min, *max;
  };
  for (const Case& c :
       {Case{"bool", "true false", "false", "true"}, Case{"int32", "-5 7 0", "-5", "7"},
        Case{"int", "-9223372036854775808 9223372036854775807", "-9223372036854775808",
             "9223372036854775807"},
        Case{"double", "nan -inf 1.5 -2.5", "-inf", "nan"},
        Case{"float", "-0.5 0.25 inf", "-0.5", "inf"},
        Case{"decimal(10,2)", "-1.50 2.25", "-1.50", "2.25"},
        Case{"decimal(38,3)", "-99999999999999999999.001 0.001 7",
             "-99999999999999999999.001", "7.000"},
        Case{"date", "100 -100", "-100", "100"}, Case{"stamp", "5 -5", "-5", "5"},
        Case{"time", "1 2", "1", "2"}, Case{"string", "b ab a bb", "a", "bb"},
        Case{"binary", "\xff a", "a", "\xff"},
        Case{"uuid", "b0 a1", "00000000000000a1", "00000000000000b0"}}) {
    AggregateTest t(fmt::format("k int, v {}", c.type), 1,
                    {Call(kMin, 1, c.type), Call(kMax, 1, c.type)}, GetParam());
    std::string rows;
    std::istringstream values(c.values);
    for (std::string value; values >> value;) rows += fmt::format("+ 1 {},", value);
    EXPECT_EQ(t.Feed(rows + "+ 1 NULL"), fmt::format("+ 1 {} {}", c.min, c.max))
        << c.type;
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Feed(rows), "") << c.type;
  }
}

TEST_P(WinnerTest, BothZerosAreOne) {
  AggregateTest t(
      "k double, v double", 1,
      {Call(kMin, 1, "double"), Call(kMax, 1, "double"), Call(kCountStar, -1, "int")},
      GetParam());
  EXPECT_EQ(t.Feed("+ -0.0 -0.0, + 0.0 0.0, + -0.0 -0.0"), "+ 0 0 0 3");
}

TEST_P(WinnerTest, AnyValueIsAlwaysTheSame) {
  AggregateTest t("k int, v string", 1, {Call(kAnyValue, 1, "string")}, GetParam());
  EXPECT_EQ(t.Feed("+ 1 NULL, + 1 c, + 1 b"), "+ 1 b");
}

TEST_P(WinnerTest, EqualOrdersAreDecidedByTheValueNotByArrival) {
  AggregateCall newest = Call(kArgMax, 1, "string"), oldest = Call(kArgMin, 1, "string");
  newest.order = oldest.order = {2};
  for (const char* rows : {"+ 1 p 5, + 1 q 5", "+ 1 q 5, + 1 p 5"}) {
    AggregateTest t("k int, v string, ts int", 1, {newest, oldest}, GetParam());
    EXPECT_EQ(t.Feed(rows), "+ 1 q p");
  }
}

TEST(AggregateTest, ExtremesFallBackWhenTheWinnerIsTakenAway) {
  AggregateCall newest = Call(kArgMax, 1, "string");
  newest.order = {2};
  AggregateTest t("k string, v string, ts int", 1, {newest, Call(kMin, 2, "int")});
  EXPECT_EQ(t.Feed("+ a x 1, + a y 2, + a y 2, + a z 3"), "+ a z 1");
  EXPECT_EQ(t.Feed("- a z 3"), "- a z 1, + a y 1");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed("- a y 2"), "") << "there were two of it";
  EXPECT_EQ(t.Feed("- a y 2, - a x 1, + a w 0"), "- a y 1, + a w 0");
}

class RangeTest : public AggregateTest {
 public:
  RangeTest()
      : AggregateTest("name string, n int", 1,
                      {Call(kMin, 1, "int"), Call(kMax, 1, "int")}) {}

  // What it emitted; then the operator goes on from the store.
  std::string FeedAndRestart(std::string_view rows) {
    std::string out = Feed(rows);
    Commit();
    Restart();
    return out;
  }
  // How many entries of ranges stand in records of their own.
  int Apart() {
    int entries = 0;
    EXPECT_TRUE(store()
                    .Scan("op/t", "x",
                          [&](std::string_view, std::string_view) {
                            ++entries;
                            return true;
                          })
                    .ok());
    return entries;
  }
};

TEST(AggregateTest, ARangeOfOneEntryIsStoredWithItsGroup) {
  RangeTest t;
  EXPECT_EQ(t.FeedAndRestart("+ ann 7, + bob 1, + cid NULL"),
            "+ ann 7 7, + bob 1 1, + cid NULL NULL");
  EXPECT_EQ(t.Apart(), 0);
  EXPECT_EQ(t.FeedAndRestart("+ ann 7"), "");  // once more the same
  EXPECT_EQ(t.Apart(), 0);
  EXPECT_EQ(t.FeedAndRestart("+ ann 9"), "- ann 7 7, + ann 7 9");
  EXPECT_EQ(t.Apart(), 4);
  EXPECT_EQ(t.FeedAndRestart("+ ann 8, - ann 9"), "- ann 7 9, + ann 7 8");
  EXPECT_EQ(t.Apart(), 4);
  EXPECT_EQ(t.FeedAndRestart("- ann 7, - ann 7"), "- ann 7 8, + ann 8 8");
  EXPECT_EQ(t.Apart(), 0);
  EXPECT_EQ(t.FeedAndRestart("+ bob 2, - bob 1"), "- bob 1 1, + bob 2 2");
  EXPECT_EQ(t.FeedAndRestart("+ ann 3, + ann 4"), "- ann 8 8, + ann 3 8");
  EXPECT_EQ(t.Apart(), 6);
  EXPECT_EQ(t.FeedAndRestart("- ann 3, - ann 4, - ann 8"), "- ann 3 8");
  EXPECT_EQ(t.Apart(), 0);
  EXPECT_EQ(t.FeedAndRestart("+ ann 5, - bob 2"), "- bob 2 2, + ann 5 5");
  EXPECT_EQ(t.Apart(), 0);
}

// As a store has it that was written before one entry could stand with its group.
TEST(AggregateTest, AGroupOfTheFirstFormatHasAllItsEntriesApart) {
  RangeTest t;
  EXPECT_EQ(t.FeedAndRestart("+ ann 7"), "+ ann 7 7");
  state::Delta delta;
  ASSERT_TRUE(t.store()
                  .Scan("op/t", "g",
                        [&](std::string_view key, std::string_view value) {
                          constexpr size_t kHead = 9;  // format, rows
                          std::string group(value.substr(0, kHead));
                          group[0] = 1;
                          std::string_view rest = value.substr(kHead);
                          for (const char call : {0, 1}) {
                            EXPECT_EQ(rest[0], 1);  // one entry
                            const auto weight = rest.substr(1, 8);
                            const auto size = ReadAs<uint32_t>(rest.data() + 9);
                            std::string entry = "x" + std::string(key.substr(1));
                            entry.push_back(0);
                            entry.push_back(call);
                            delta.Put("op/t", entry.append(rest.substr(13, size)),
                                      weight);
                            rest.remove_prefix(13 + size);
                          }
                          delta.Put("op/t", key, group.append(rest));
                          return true;
                        })
                  .ok());
  ASSERT_TRUE(t.store().Apply(delta, Next(t.store().applied())).ok());
  t.Restart();
  EXPECT_EQ(t.Apart(), 2);
  EXPECT_EQ(t.FeedAndRestart("+ ann 7"), "");
  EXPECT_EQ(t.Apart(), 0);
  EXPECT_EQ(t.FeedAndRestart("- ann 7, - ann 7, + ann 1"), "- ann 7 7, + ann 1 1");
}

TEST(AggregateTest, BooleansRetract) {
  AggregateTest t("k int, v bool", 1,
                  {Call(kBoolAnd, 1, "bool"), Call(kBoolOr, 1, "bool")});
  EXPECT_EQ(t.Feed("+ 1 NULL"), "+ 1 NULL NULL");
  EXPECT_EQ(t.Feed("+ 1 true"), "- 1 NULL NULL, + 1 true true");
  EXPECT_EQ(t.Feed("+ 1 false"), "- 1 true true, + 1 false true");
  EXPECT_EQ(t.Feed("- 1 true"), "- 1 false true, + 1 false false");
}

TEST(AggregateTest, FloatSumsComeBackToWhatTheyWere) {
  AggregateTest t("k int, v double", 1,
                  {Call(kSum, 1, "double"), Call(kAvg, 1, "double")});
  EXPECT_EQ(t.Feed("+ 1 0.1, + 1 0.2, + 1 0.3"), "+ 1 0.6 0.2");
  EXPECT_EQ(t.Feed("+ 1 1e300"), "- 1 0.6 0.2, + 1 1e+300 2.5e+299");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed("- 1 1e300"), "- 1 1e+300 2.5e+299, + 1 0.6 0.2");
  EXPECT_EQ(t.Feed("+ 1 nan"), "- 1 0.6 0.2, + 1 nan nan");
  EXPECT_EQ(t.Feed("+ 1 inf"), "");
  EXPECT_EQ(t.Feed("- 1 nan, - 1 inf, - 1 0.3"),
            "- 1 nan nan, + 1 0.30000000000000004 0.15000000000000002");
}

TEST(AggregateTest, IntegerSumsAreWideAndNameTheGroupThatOverflows) {
  AggregateTest t("k string, v int", 1,
                  {Call(kSum, 1, "decimal(38,0)"), Call(kAvg, 1, "double")});
  EXPECT_EQ(t.Feed("+ a 9223372036854775807, + a 9223372036854775807"),
            "+ a 18446744073709551614 9.223372036854776e+18");
  AggregateTest narrow("k string, v int", 1, {Call(kSum, 1, "int")});
  EXPECT_THAT(narrow.Feed("+ ann 9223372036854775807, + ann 1"),
              testing::HasSubstr("does not fit long in group ann"));
}

TEST(AggregateTest, DecimalSumsUseTheirScale) {
  const char* max = "99999999999999999999999999999999999999";
  AggregateTest t("k int, v decimal(38,0), m decimal(9,2)", 1,
                  {Call(kSum, 1, "decimal(38,0)"), Call(kSum, 2, "decimal(38,2)"),
                   Call(kAvg, 2, "double"), Call(kAvg, 1, "double")});
  EXPECT_EQ(t.Feed(fmt::format("+ 1 {} 0.10, + 1 -{} 0.25, + 1 7 NULL", max, max)),
            fmt::format("+ 1 7 0.35 0.175 {}", 7.0 / 3));
  EXPECT_THAT(t.Feed(fmt::format("+ 1 {} 0", max)),
              testing::HasSubstr("does not fit decimal(38,0)"));
}

TEST(AggregateTest, WeightsCountAsOftenAsTheySay) {
  AggregateTest t(
      "k int, v int", 1,
      {Call(kCountStar, -1, "int"), Call(kSum, 1, "int"), Call(kMax, 1, "int")});
  EXPECT_EQ(t.Feed("+3 1 5, +0 2 5"), "+ 1 3 15 5");
  EXPECT_EQ(t.Feed("-2 1 5"), "- 1 3 15 5, + 1 1 5 5");
}

TEST(AggregateTest, WhatCannotBeIsAnError) {
  AggregateTest append_only("k int, v int", 1, {Call(kMax, 1, "int")}, false);
  EXPECT_THAT(append_only.Feed("- 1 1"), testing::HasSubstr("append-only"));
  AggregateTest t("k int, v int", 1, {Call(kCountStar, -1, "int")});
  EXPECT_THAT(t.Feed("- 7 1"), testing::HasSubstr("group 7"));

  const data::Schema input = SchemaFromText("k int, v string");
  for (const AggregateCall& call :
       {Call(kSum, 1, "int"), Call(kMax, 1, "int"), Call(kArgMax, 1, "string"),
        Call(kFirst, 1, "string"), Call(kBoolAnd, 0, "bool"), Call(kCount, 9, "int"),
        Call(kSum, 0, "decimal(38,2)")}) {
    auto made = NewAggregate(Spec(input, 1, {call}, true), input, nullptr, "s", 0);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, Code::kInvalid);
  }
}

TEST(AggregateTest, GroupsThatDoNotFitInMemoryComeBackFromTheStore) {
  AggregateCall newest = Call(kArgMax, 1, "string");
  newest.order = {2};
  AggregateTest t("k int, v string, ts int", 1, {newest, Call(kCountStar, -1, "int")},
                  true, 100'000);
  for (int round = 0; round < 3; ++round) {
    for (int k = 0; k < 2000; ++k) t.Feed(fmt::format("+ {} v{} {}", k, round, round));
    t.Commit();
    t.Commit();
    EXPECT_LT(t.op().state_bytes(), 100'000);
  }
  EXPECT_EQ(t.Feed("- 77 v2 2"), "- 77 v2 3, + 77 v1 2");
}

TEST(AggregateTest, AnInsertOnlyFilledStateSurvivesARestartBetweenAnyTwoSteps) {
  AggregateCall newest = Call(kArgMax, 1, "string");
  newest.order = {2, 3};
  AggregateTest t("k int, v string, ts int, id string", 1,
                  {newest, Call(kMin, 2, "int"), Call(kMin, 1, "string")}, false);
  EXPECT_EQ(t.Feed("+ 1 b 1 i1"), "+ 1 b 1 b");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed("+ 1 a 2 i2"), "- 1 b 1 b, + 1 a 1 a");
  t.Restart();
  EXPECT_EQ(t.Feed("+ 1 a 2 i2"), "- 1 b 1 b, + 1 a 1 a")
      << "what was not committed is forgotten";
}

class DistinctTest : public OperatorTest {
 public:
  explicit DistinctTest(std::string_view columns)
      : DistinctTest(SchemaFromText(columns)) {}

 private:
  explicit DistinctTest(const data::Schema& schema)
      : OperatorTest(schema, schema, [=](state::Store* store) {
          return NewDistinct(schema, store, "op/d", 1 << 20);
        }) {}
};

TEST(DistinctTest, EmitsTheFirstAndTheLastOfEqualRows) {
  DistinctTest t("a int, b string");
  EXPECT_EQ(t.Feed("+ 1 x, + 1 x, + 1 NULL"), "+ 1 x, + 1 NULL");
  EXPECT_EQ(t.Feed("- 1 x, + 2 y"), "+ 2 y");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed("+ 1 NULL"), "");
  EXPECT_EQ(t.Feed("- 1 x, - 1 NULL"), "- 1 x");
  EXPECT_EQ(t.Feed("- 1 NULL"), "- 1 NULL");
}

class TopTest : public OperatorTest {
 public:
  TopTest(std::string_view columns, TopSpec spec)
      : TopTest(SchemaFromText(columns), std::move(spec)) {}

 private:
  TopTest(const data::Schema& schema, TopSpec spec)
      : OperatorTest(schema, schema, [=](state::Store* store) {
          return NewTop(spec, schema, store, "op/t", 1 << 20);
        }) {}
};

TEST(TopTest, KeepsTheFirstRowOfAKey) {
  for (const bool retracts : {false, true}) {
    TopTest t("k string, ts int, v string",
              {.keys = {0}, .order = {1, 2}, .input_retracts = retracts});
    EXPECT_EQ(t.Feed("+ a 5 x, + a 4 y, + b 1 z"), "+ a 4 y, + b 1 z");
    EXPECT_EQ(t.Feed("+ a 6 q"), "");
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Feed("+ a 4 x"), "+ a 4 x, - a 4 y");
    EXPECT_EQ(t.Feed("+ a NULL x"), "");
  }
}

TEST(TopTest, KeepsNRowsInTheirOrderAndFillsUpAfterRetractions) {
  TopTest t(
      "k string, n int",
      {.keys = {0}, .order = {1}, .descending = {true}, .n = 2, .input_retracts = true});
  EXPECT_EQ(t.Feed("+ a 1, + a 2, + a 3"), "+ a 3, + a 2");
  EXPECT_EQ(t.Feed("+ a 3"), "+ a 3, - a 2");
  EXPECT_EQ(t.Feed("-2 a 3"), "-2 a 3, + a 2, + a 1");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Feed("- a 2"), "- a 2");
  EXPECT_EQ(t.Feed("- a 1"), "- a 1");
  t.Commit();
  t.Commit();
  EXPECT_EQ(t.op().state_keys(), 0);
}

TEST(TopTest, AnAppendOnlyInputKeepsOnlyTheFirstRows) {
  TopTest t("k int, ts int", {.keys = {0}, .order = {1}, .n = 2});
  for (int i = 0; i < 1000; ++i) t.Feed(fmt::format("+ 1 {}", (i * 7919) % 1000));
  EXPECT_LT(t.op().state_bytes(), 20'000);
  EXPECT_EQ(t.Feed("+ 1 -1"), "+ 1 -1, - 1 1");
  EXPECT_THAT(t.Feed("- 1 0"), testing::HasSubstr("append-only"));
}

TEST(AggregateTest, WithNeitherKeysNorCallsThereIsOneRowOfNoColumns) {
  const data::Schema in = SchemaFromText("k int");
  OperatorTest t(in, {}, [&](state::Store* store) {
    return NewAggregate({}, in, store, "op/none", 0);
  });
  ASSERT_TRUE(t.Flush().ok());
  const std::vector<data::Batch> first = t.TakeEmitted();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].num_rows(), 1);
  EXPECT_EQ(t.Feed("+ 1"), "");
}

}  // namespace
}  // namespace weir::ops
