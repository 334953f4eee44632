// Aggregates that keep every value, and variances: text tables, then random histories
// against DuckDB over the rows that are left.
#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "duck/duck.h"
#include "ops/aggregate.h"
#include "ops/testing.h"

namespace weir::ops {
namespace {

using enum AggregateKind;

data::Type TypeOf(std::string_view text) {
  return SchemaFromText(fmt::format("x {}", text)).fields[0].type;
}

AggregateCall Call(AggregateKind kind, int argument, std::string_view result) {
  return {.kind = kind, .argument = argument, .result = TypeOf(result)};
}
AggregateCall Distinct(AggregateKind kind, int argument, std::string_view result) {
  AggregateCall out = Call(kind, argument, result);
  out.distinct = true;
  return out;
}
AggregateCall Ordered(AggregateKind kind, int argument, std::string_view result,
                      std::vector<int> order, std::vector<bool> descending = {}) {
  AggregateCall out = Call(kind, argument, result);
  out.order = std::move(order);
  out.descending = std::move(descending);
  out.separator = "-";
  return out;
}
AggregateCall Quantile(AggregateKind kind, int argument, std::string_view result,
                       Fraction fraction) {
  AggregateCall out = Call(kind, argument, result);
  out.fraction = fraction;
  return out;
}

// The first column is the key.
class ValuesTest : public OperatorTest {
 public:
  ValuesTest(std::string_view input, const std::vector<AggregateCall>& calls,
             bool retracts = true, int64_t memory = 1 << 30)
      : ValuesTest(SchemaFromText(input), Spec(SchemaFromText(input), calls, retracts),
                   memory) {}

 private:
  ValuesTest(const data::Schema& input, const AggregateSpec& spec, int64_t memory)
      : OperatorTest(input, spec.output, [=](state::Store* store) {
          return NewAggregate(spec, input, store, "op/v", memory);
        }) {}
  static AggregateSpec Spec(const data::Schema& input,
                            const std::vector<AggregateCall>& calls, bool retracts) {
    AggregateSpec spec{.keys = {0}, .calls = calls, .input_retracts = retracts};
    spec.output.fields.push_back(input.fields[0]);
    for (size_t i = 0; i < calls.size(); ++i)
      spec.output.fields.push_back({fmt::format("a{}", i), calls[i].result});
    return spec;
  }
};

TEST(ValuesTest, DistinctCallsCountEveryValueOnce) {
  for (const bool retracts : {false, true}) {
    ValuesTest t("k int, n int, d double, s string",
                 {Distinct(kCount, 1, "int"), Distinct(kSum, 1, "decimal(38,0)"),
                  Distinct(kAvg, 1, "double"), Distinct(kSum, 2, "double"),
                  Distinct(kCount, 3, "int")},
                 retracts);
    EXPECT_EQ(t.Step({"+ 1 5 0.5 a, + 1 5 0.5 a, + 1 7 nan b, +3 1 NULL NULL NULL"}),
              "+ 1 2 12 6 nan 2");
    EXPECT_EQ(t.Step({"+ 2 NULL NULL NULL"}), "+ 2 0 NULL NULL NULL 0");
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Step({"+ 1 5 0.5 a"}), "");
    if (!retracts) continue;
    EXPECT_EQ(t.Step({"-2 1 5 0.5 a"}), "");
    EXPECT_EQ(t.Step({"- 1 5 0.5 a, - 1 7 nan b, + 1 9 -0.0 a, + 1 9 0.0 a"}),
              "+ 1 1 9 9 0 1, - 1 2 12 6 nan 2");
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Step({"- 1 9 0.0 a"}), "");
    EXPECT_EQ(t.Step({"- 1 9 0.0 a"}), "+ 1 0 NULL NULL NULL 0, - 1 1 9 9 0 1");
  }
}

TEST(ValuesTest, AValueThatComesAndGoesWithinAStepDoesNotCount) {
  ValuesTest t("k int, n int", {Distinct(kSum, 1, "int"), Call(kMode, 1, "int")});
  EXPECT_EQ(t.Step({"+ 1 5"}), "+ 1 5 5");
  EXPECT_EQ(t.Step({"- 1 7, + 1 7, - 1 5, + 1 5"}), "");
}

TEST(ValuesTest, ListsAndTextsAreInTheOrderGiven) {
  for (const bool retracts : {false, true}) {
    ValuesTest t(
        "k int, n int, s string, o int",
        {Ordered(kList, 1, "int[]", {3, 1}), Ordered(kList, 2, "string[]", {3}, {true}),
         Ordered(kStringAgg, 2, "string", {3, 2}), Distinct(kList, 1, "int[]"),
         Distinct(kStringAgg, 2, "string")},
        retracts);
    EXPECT_EQ(t.Step({"+ 1 5 b 2, + 1 NULL a 1, +2 1 4 '' 3, + 1 4 NULL NULL"}),
              "+ 1 [NULL 5 4 4 4] ['' '' b a NULL] a-b-- [4 5 NULL] ab");
    EXPECT_EQ(t.Step({"+ 1 4 z 3"}),
              "+ 1 [NULL 5 4 4 4 4] ['' '' z b a NULL] a-b---z [4 5 NULL] abz, "
              "- 1 [NULL 5 4 4 4] ['' '' b a NULL] a-b-- [4 5 NULL] ab");
    t.Commit();
    t.Restart();
    if (!retracts) continue;
    EXPECT_EQ(t.Step({"-2 1 4 '' 3, - 1 4 z 3, - 1 4 NULL NULL"}),
              "- 1 [NULL 5 4 4 4 4] ['' '' z b a NULL] a-b---z [4 5 NULL] abz, "
              "+ 1 [NULL 5] [b a] a-b [5 NULL] ab");
  }
  AggregateCall kept = Ordered(kList, 1, "int[]", {1});
  kept.filter = 2;
  ValuesTest filtered("k int, n int, keep bool", {kept});
  EXPECT_EQ(filtered.Step({"+ 1 5 false"}), "+ 1 NULL") << "no list of no rows";
}

TEST(ValuesTest, QuantilesAreThoseOfDuckDb) {
  for (const bool retracts : {false, true}) {
    ValuesTest t("k int, n int, m decimal(9,2), s string",
                 {Quantile(kQuantileCont, 1, "double", {0.3}),
                  Quantile(kQuantileCont, 2, "decimal(9,2)", {0.5}),
                  Quantile(kQuantileDisc, 1, "int", {0.5}),
                  Quantile(kQuantileDisc, 3, "string", {0.9, 9, 10})},
                 retracts);
    EXPECT_EQ(t.Step({"+ 1 1 -1.15 a, + 1 2 -1.10 b, + 1 NULL NULL NULL"}),
              "+ 1 1.2999999999999998 -1.13 1 b");
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Step({"+8 1 4 1.00 a"}),
              "- 1 1.2999999999999998 -1.13 1 b, + 1 4 1.00 4 a");
    if (!retracts) continue;
    EXPECT_EQ(t.Step({"-8 1 4 1.00 a, - 1 1 -1.15 a, - 1 2 -1.10 b"}),
              "- 1 4 1.00 4 a, + 1 NULL NULL NULL NULL");
  }
  // n - floor(0.9 n) of a double and of a decimal fraction differ for n = 10.
  for (const auto& [fraction, expected] :
       {std::pair{Fraction{0.1, 1, 10}, "1"}, std::pair{Fraction{0.7, 7, 10}, "7"},
        std::pair{Fraction{1, 0, 0}, "10"}, std::pair{Fraction{0, 0, 0}, "1"}}) {
    ValuesTest t("k int, n int", {Quantile(kQuantileDisc, 1, "int", fraction)});
    std::string rows;
    for (int i = 10; i > 0; --i) rows += fmt::format("+ 1 {},", i);
    EXPECT_EQ(t.Step({rows}), fmt::format("+ 1 {}", expected)) << fraction.value;
  }
}

TEST(ValuesTest, DescendingQuantilesCountFromTheGreatest) {
  AggregateCall call = Quantile(kQuantileCont, 1, "double", {0.25});
  call.descending = {true};
  ValuesTest t("k int, n int", {call});
  EXPECT_EQ(t.Step({"+ 1 1, + 1 2, + 1 3, + 1 4, + 1 5"}), "+ 1 4");
}

TEST(ValuesTest, TheModeIsTheLeastOfTheMostFrequent) {
  for (const bool retracts : {false, true}) {
    ValuesTest t("k int, s string", {Call(kMode, 1, "string")}, retracts);
    EXPECT_EQ(t.Step({"+ 1 b, + 1 a, +9 1 NULL"}), "+ 1 a");
    EXPECT_EQ(t.Step({"+ 1 b"}), "- 1 a, + 1 b");
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Step({"+3 1 ''"}), "+ 1 '', - 1 b");
    if (!retracts) continue;
    EXPECT_EQ(t.Step({"-2 1 '', - 1 a"}), "- 1 '', + 1 b");
    EXPECT_EQ(t.Step({"-2 1 b, - 1 ''"}), "+ 1 NULL, - 1 b");
  }
  ValuesTest nan("k int, d double", {Call(kMode, 1, "double")});
  EXPECT_EQ(nan.Step({"+3 1 nan, + 1 7, +2 2 nan"}), "+ 1 7, + 2 nan")
      << "to DuckDB each NaN is a value of its own here";
  EXPECT_EQ(nan.Step({"- 1 7, - 1 nan"}), "- 1 7, + 1 nan");
}

TEST(ValuesTest, VariancesAreExact) {
  ValuesTest t("k int, d double",
               {Call(kVarPop, 1, "double"), Call(kVarSamp, 1, "double"),
                Call(kStddevPop, 1, "double"), Call(kStddevSamp, 1, "double")});
  EXPECT_EQ(t.Step({"+ 1 4, + 2 NULL"}), "+ 1 0 NULL 0 NULL, + 2 NULL NULL NULL NULL");
  EXPECT_EQ(t.Step({"+ 1 8"}),
            fmt::format("- 1 0 NULL 0 NULL, + 1 4 8 2 {}", std::sqrt(8)));
  // 1e9 + {4, 7, 13, 16} loses everything when squares are rounded.
  EXPECT_EQ(t.Step({"+ 3 1000000004, + 3 1000000007, + 3 1000000013, + 3 1000000016"}),
            fmt::format("+ 3 22.5 30 {} {}", std::sqrt(22.5), std::sqrt(30)));
  EXPECT_EQ(t.Step({"+2 4 0.1, + 4 0.1"}), "+ 4 0 0 0 0") << "equal values have none";
  // Huge and tiny values go to the wide sums and come back from them.
  EXPECT_THAT(t.Step({"+ 3 1e150, + 3 -3e-200"}),
              testing::HasSubstr("+ 3 1.3888888888888888e+299"));
  t.Commit();
  t.Restart();
  EXPECT_THAT(t.Step({"- 3 1e150, - 3 -3e-200"}),
              testing::HasSubstr(
                  fmt::format("+ 3 22.5 30 {} {}", std::sqrt(22.5), std::sqrt(30))));
  EXPECT_EQ(t.Step({"+ 5 3e-200, + 5 1e-200"}), "+ 5 0 0 0 0")
      << "below the least double";
  EXPECT_EQ(t.Step({"+ 6 3e-160, + 6 1e-160"}).substr(0, 10), "+ 6 1e-320");
}

TEST(ValuesTest, VariancesOutOfRangeNameTheGroup) {
  for (const char* rows :
       {"+ ann inf, + ann 1", "+ ann nan, + ann 1", "+ ann 1e308, + ann -1e308"}) {
    ValuesTest t("k string, d double", {Call(kVarPop, 1, "double")});
    EXPECT_THAT(t.Step({rows}), testing::HasSubstr("out of range in group ann"));
  }
  ValuesTest one("k string, d double", {Call(kVarPop, 1, "double")});
  EXPECT_EQ(one.Step({"+ ann inf"}), "+ ann 0") << "as DuckDB has it";
}

TEST(ValuesTest, OneRecordIsStoredForEachDifferentValue) {
  ValuesTest t("k int, n int", {Distinct(kCount, 1, "int")});
  t.Step({"+5 1 1, +7 1 2"});
  state::Delta delta;
  ASSERT_TRUE(t.op().Checkpoint(delta).ok());
  EXPECT_EQ(delta.count(), 3) << "two values and the group";
  t.Step({"+ 1 2"});
  state::Delta next;
  ASSERT_TRUE(t.op().Checkpoint(next).ok());
  EXPECT_EQ(next.count(), 2);
}

TEST(ValuesTest, WhatCannotBeIsRefused) {
  const data::Schema input = SchemaFromText("k int, s string, n int, m decimal(38,2)");
  AggregateCall ordered_mode = Call(kMode, 2, "int");
  ordered_mode.order = {0};
  AggregateCall distinct_by_other = Distinct(kList, 2, "int[]");
  distinct_by_other.order = {1};
  for (const AggregateCall& call :
       {Call(kList, 2, "int[]"), Ordered(kList, 2, "string[]", {2}), ordered_mode,
        distinct_by_other, Ordered(kStringAgg, 2, "string", {2}),
        Quantile(kQuantileCont, 1, "string", {0.5}),
        Quantile(kQuantileCont, 2, "int", {0.5}),
        Quantile(kQuantileCont, 3, "decimal(38,2)", {0.5}),
        Quantile(kQuantileDisc, 2, "int", {1.5}),
        Quantile(kQuantileDisc, 2, "double", {}), Call(kVarPop, 2, "double"),
        Distinct(kMin, 2, "int"), Distinct(kSum, 1, "int")}) {
    auto made =
        NewAggregate({.keys = {}, .calls = {call}, .output = {{{"a", call.result}}}},
                     input, nullptr, "s", 0);
    ASSERT_FALSE(made.ok()) << static_cast<int>(call.kind);
    EXPECT_EQ(made.error().code, Code::kInvalid);
  }
}

// ------------------------------------------------------------------- against DuckDB

constexpr std::string_view kColumns =
    "k int, n int, n4 int32, d double, f float, m decimal(9,2), s string, day date, "
    "ts stamp, tm time, b bool, keep bool, id int";
enum Column { kK, kN, kN4, kD, kF, kM, kS, kDay, kTs, kTm, kB, kKeep, kId };

struct Example {
  std::string sql;
  AggregateCall call;  // without the result
};

Example RandomExample(std::mt19937_64& random) {
  const auto below = [&](uint64_t limit) { return random() % limit; };
  static const char* const kNames[] = {"k",   "n",  "n4", "d", "f",    "m", "s",
                                       "day", "ts", "tm", "b", "keep", "id"};
  const auto any = [&](std::vector<int> columns) {
    return columns[below(columns.size())];
  };
  const std::vector<int> all = {kN, kN4, kD, kF, kM, kS, kDay, kTs, kTm, kB};
  Example out;
  AggregateCall& call = out.call;
  const auto name = [&] { return kNames[call.argument]; };
  switch (below(8)) {
    case 0:
      call = {.kind = kCount, .argument = any(all), .distinct = true};
      out.sql = fmt::format("count(DISTINCT {})", name());
      break;
    case 1:
      call = {.kind = kSum, .argument = any({kN, kN4, kD, kM}), .distinct = true};
      out.sql = fmt::format("sum(DISTINCT {})", name());
      break;
    case 2: {
      const bool descending = below(2) == 0;
      call = {.kind = kList,
              .argument = any(all),
              .order = {any({kD, kS, kTs}), kId},
              .descending = {descending, false}};
      out.sql = fmt::format("list({} ORDER BY {} {} NULLS LAST, id)", name(),
                            kNames[call.order[0]], descending ? "DESC" : "ASC");
      break;
    }
    case 3:
      call = {.kind = kStringAgg, .argument = kS, .order = {any({kN, kDay}), kId}};
      call.separator = ", ";
      out.sql = fmt::format("string_agg(s, ', ' ORDER BY {}, id)", kNames[call.order[0]]);
      break;
    case 4: {
      call = {.kind = kQuantileCont,
              .argument = any({kN, kN4, kD, kF, kM, kDay, kTs, kTm})};
      const int64_t tenths = static_cast<int64_t>(below(11));
      call.fraction = {static_cast<double>(tenths) / 10, tenths, 10};
      out.sql = fmt::format("quantile_cont({}, {:.1f})", name(), call.fraction.value);
      break;
    }
    case 5: {
      call = {.kind = kQuantileDisc, .argument = any(all)};
      const bool decimal = below(2) == 0;
      const int64_t tenths = static_cast<int64_t>(below(11));
      call.fraction = {static_cast<double>(tenths) / 10, decimal ? tenths : 0,
                       decimal ? 10 : 0};
      out.sql = fmt::format("quantile_disc({}, {:.1f}{})", name(), call.fraction.value,
                            decimal ? "" : "::DOUBLE");
      break;
    }
    case 6:
      call = {.kind = kMode, .argument = any(all)};
      out.sql = fmt::format("mode({0} ORDER BY {0})", name());
      break;
    default: {
      call = {.kind = kAvg, .argument = any({kN, kN4, kD}), .distinct = true};
      out.sql = fmt::format("avg(DISTINCT {})", name());
    }
  }
  if (below(4) == 0) {
    call.filter = kKeep;
    out.sql += " FILTER (keep)";
  }
  return out;
}

using Rows = std::map<std::string, int64_t>;

std::string RandomRow(std::mt19937_64& random, int id) {
  const auto below = [&](uint64_t limit) { return random() % limit; };
  const auto number = [&](uint64_t limit) {
    return std::to_string(static_cast<int64_t>(below(limit)) -
                          static_cast<int64_t>(limit / 2));
  };
  std::vector<std::string> values = {
      std::to_string(below(4)),
      below(20) == 0 ? "9007199254740993" : number(9),
      number(7),
      below(12) == 0 ? "nan" : fmt::format("{}", (double(below(40)) - 20) / 8),
      fmt::format("{}", (double(below(40)) - 20) / 8),
      fmt::format("{}.{:02}", below(3), 1 + below(99)),
      std::string(1 + below(3), static_cast<char>('a' + below(3))),
      std::to_string(17'000 + below(5)),
      std::to_string(1'500'000'000'000'000 + below(7)),
      std::to_string(3'600'000'000 + below(9)),
      below(2) == 0 ? "true" : "false",
      below(3) == 0 ? "false" : "true",
      std::to_string(id)};
  std::string out;
  for (size_t i = 0; i < values.size(); ++i)
    out += " " + (i != kId && i != kKeep && below(9) == 0 ? "NULL" : values[i]);
  return out;
}

class RandomValuesTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, RandomValuesTest, testing::Range(0, 16));

TEST_P(RandomValuesTest, EqualDuckDbOverTheRowsThatAreLeft) {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  SCOPED_TRACE(
      fmt::format("replay: WEIR_SEED={} ops_test --gtest_filter="
                  "*/RandomValuesTest.EqualDuckDbOverTheRowsThatAreLeft/{}",
                  seed, GetParam()));
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  const bool retracts = GetParam() % 2 == 0;
  const data::Schema schema = SchemaFromText(kColumns);

  AggregateSpec spec{.keys = {kK}, .input_retracts = retracts};
  std::string sql = "SELECT k";
  for (int i = 0; i < 6; ++i) {
    const Example example = RandomExample(random);
    sql += fmt::format(", {} AS a{}", example.sql, i);
    spec.calls.push_back(example.call);
  }
  sql += " FROM t GROUP BY k";
  SCOPED_TRACE(sql);
  auto session = *duck::Session::Open({});
  ASSERT_TRUE(session->DeclareInput("t", schema).ok());
  auto statement = session->Prepare(sql);
  ASSERT_TRUE(statement.ok()) << statement.error().message;
  spec.output = (*statement)->output();
  for (size_t i = 0; i < spec.calls.size(); ++i)
    spec.calls[i].result = spec.output.fields[i + 1].type;

  const int64_t memories[] = {0, 20'000, 1 << 30};
  const int64_t memory = memories[below(3)];
  OperatorTest op(schema, spec.output, [&](state::Store* store) {
    return NewAggregate(spec, schema, store, "op/v", memory);
  });
  Rows there, committed_there, emitted, committed;
  int id = 0;
  for (int step = 0; step < 15; ++step) {
    std::string text;
    for (uint64_t rows = below(25); rows > 0; --rows) {
      std::string row = RandomRow(random, id++);
      int64_t weight = 1 + static_cast<int64_t>(below(2));
      if (retracts && !there.empty() && below(5) < 2) {
        auto it = there.begin();
        std::advance(it, static_cast<int64_t>(below(there.size())));
        row = it->first;
        weight = -(1 + static_cast<int64_t>(below(static_cast<uint64_t>(it->second))));
      }
      if ((there[row] += weight) == 0) there.erase(row);
      text += fmt::format("{:+}{},", weight, row);
    }
    Status status = op.Process(BatchFromText(schema, text));
    ASSERT_TRUE(status.ok()) << status.error().message;
    status = op.Flush();
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (const data::Batch& batch : op.TakeEmitted()) {
      for (int64_t row = 0; row < batch.num_rows(); ++row) {
        const std::string line =
            TextFromBatch(spec.output, {batch.rows->Slice(row, 1), {}});
        if ((emitted[line] += batch.weight(row)) == 0) emitted.erase(line);
      }
    }

    std::string all;
    for (const auto& [row, weight] : there) {
      for (int64_t i = 0; i < weight; ++i) all += "+" + row + ",";
    }
    Rows expected;
    ASSERT_TRUE(session->SetInput("t", {BatchFromText(schema, all).rows}).ok());
    auto answer = session->Run(**statement);
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    for (const auto& rows : *answer) {
      for (int64_t row = 0; row < rows->num_rows(); ++row)
        expected[TextFromBatch(spec.output, {rows->Slice(row, 1), {}})] = 1;
    }
    ASSERT_EQ(emitted, expected) << "step " << step;
    if (below(3) == 0) {
      op.Commit();
      committed_there = there;
      committed = emitted;
    } else if (below(5) == 0) {
      op.Restart();
      there = committed_there;
      emitted = committed;
    }
  }
}

}  // namespace
}  // namespace weir::ops
