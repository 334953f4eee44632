#include "ops/window.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <map>
#include <random>

#include "duck/duck.h"
#include "ops/testing.h"

namespace weir::ops {
namespace {

using enum WindowKind;

constexpr std::string_view kColumns = "k int, o int, n int, id int";
enum Column { kK, kO, kN, kId };

data::Type TypeOf(std::string_view text) {
  return SchemaFromText(fmt::format("x {}", text)).fields[0].type;
}

data::Schema Output(std::string_view input, const std::vector<WindowCall>& calls) {
  data::Schema out = SchemaFromText(input);
  for (size_t i = 0; i < calls.size(); ++i)
    out.fields.push_back({fmt::format("w{}", i), calls[i].result});
  return out;
}

// PARTITION BY k ORDER BY o, id; peers are rows of the same o.
class WindowTest : public OperatorTest {
 public:
  explicit WindowTest(std::vector<WindowCall> calls, int64_t memory = 1 << 30)
      : OperatorTest(
            SchemaFromText(kColumns), Output(kColumns, calls), [=](state::Store* store) {
              return NewWindow({.keys = {kK}, .order = {kO, kId}, .calls = calls},
                               SchemaFromText(kColumns), Output(kColumns, calls), store,
                               "op/w", memory);
            }) {}
};

WindowCall Call(WindowKind kind, int argument = -1, int64_t offset = 1) {
  return {.kind = kind, .argument = argument, .result = TypeOf("int"), .offset = offset};
}

TEST(WindowTest, RowNumbersMoveFromTheChangeOn) {
  for (const int64_t memory : {int64_t{0}, int64_t{1} << 30}) {
    WindowTest t({Call(kRowNumber)}, memory);
    EXPECT_EQ(t.Step({"+ 1 10 0 1, + 1 20 0 2, + 1 30 0 3, + 2 5 0 4"}),
              "+ 1 10 0 1 1, + 1 20 0 2 2, + 1 30 0 3 3, + 2 5 0 4 1");
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Step({"+ 1 40 0 5"}), "+ 1 40 0 5 4");
    t.Commit();
    EXPECT_EQ(t.Step({"+ 1 15 0 6, - 1 20 0 2"}), "+ 1 15 0 6 2, - 1 20 0 2 2");
    EXPECT_EQ(t.Step({"- 1 15 0 6"}),
              "- 1 15 0 6 2, + 1 30 0 3 2, - 1 30 0 3 3, + 1 40 0 5 3, - 1 40 0 5 4");
    EXPECT_EQ(t.Step({"- 1 10 0 1, - 1 30 0 3, - 1 40 0 5, - 2 5 0 4"}),
              "- 1 10 0 1 1, - 1 30 0 3 2, - 1 40 0 5 3, - 2 5 0 4 1");
    t.Commit();
    EXPECT_EQ(t.op().state_keys(), 0);
  }
}

TEST(WindowTest, LagAndLeadChangeTheirNeighboursOnly) {
  WindowCall lag = Call(kLag, kN), lead = Call(kLead, kN, 2);
  lead.default_column = kId;
  WindowTest t({lag, lead});
  EXPECT_EQ(t.Step({"+ 1 1 11 1, + 1 2 12 2, + 1 3 13 3, + 1 4 14 4, + 1 5 15 5"}),
            "+ 1 1 11 1 NULL 13, + 1 2 12 2 11 14, + 1 3 13 3 12 15, + 1 4 14 4 13 4, "
            "+ 1 5 15 5 14 5");
  EXPECT_EQ(t.Step({"- 1 4 14 4, + 1 4 NULL 4"}),
            "- 1 2 12 2 11 14, + 1 2 12 2 11 NULL, - 1 4 14 4 13 4, + 1 4 NULL 4 13 4, "
            "- 1 5 15 5 14 5, + 1 5 15 5 NULL 5");
}

TEST(WindowTest, PeersShareWhatTheirFrameShares) {
  WindowCall rows = Call(kSum, kN);
  rows.rows_frame = true;
  WindowTest t({Call(kRank), Call(kDenseRank), Call(kSum, kN), rows, Call(kCountStar)});
  EXPECT_EQ(t.Step({"+ 1 1 5 1, + 1 1 7 2, + 1 2 1 3"}),
            "+ 1 1 5 1 1 1 12 5 2, + 1 1 7 2 1 1 12 12 2, + 1 2 1 3 3 2 13 13 3");
  EXPECT_EQ(t.Step({"- 1 1 7 2"}),
            "- 1 1 5 1 1 1 12 5 2, + 1 1 5 1 1 1 5 5 1, - 1 1 7 2 1 1 12 12 2, "
            "+ 1 2 1 3 2 2 6 6 2, - 1 2 1 3 3 2 13 13 3");
}

TEST(WindowTest, ExtremesStopWhereTheyAreWhatTheyWere) {
  WindowTest t({Call(kMax, kN), Call(kFirstValue, kN)});
  t.Step({"+ 1 1 5 1, + 1 2 1 2, + 1 3 9 3, + 1 4 2 4"});
  EXPECT_EQ(t.Step({"- 1 2 1 2, + 1 2 7 2"}), "- 1 2 1 2 5 5, + 1 2 7 2 7 5")
      << "9 is the greatest from the next row on";
}

TEST(WindowTest, FramesMoveAlongWithTheRow) {
  WindowCall sum = Call(kSum, kN), max = Call(kMax, kN), first = Call(kFirstValue, kN);
  sum.preceding = 10;
  max.preceding = first.preceding = 1;
  max.rows_frame = first.rows_frame = true;
  WindowTest t({sum, max, first});
  EXPECT_EQ(t.Step({"+ 1 0 1 1, + 1 10 2 2, + 1 11 4 3, + 1 30 8 4, + 1 NULL 5 5"}),
            "+ 1 0 1 1 1 1 1, + 1 10 2 2 3 2 1, + 1 11 4 3 6 4 2, + 1 30 8 4 8 8 4, "
            "+ 1 NULL 5 5 5 8 8");
  EXPECT_EQ(t.Step({"- 1 0 1 1"}), "- 1 0 1 1 1 1 1, + 1 10 2 2 2 2 2, - 1 10 2 2 3 2 1");
  EXPECT_EQ(t.Step({"+ 1 40 1 6"}),
            "+ 1 40 1 6 9 8 8, + 1 NULL 5 5 5 5 1, - 1 NULL 5 5 5 8 8");
}

TEST(WindowTest, TheLastKnownValueIsCarriedOn) {
  WindowCall last = Call(kLastValue, kN);
  last.ignore_nulls = true;
  WindowTest t({last});
  EXPECT_EQ(t.Step({"+ 1 1 NULL 1, + 1 2 5 2, + 1 3 NULL 3"}),
            "+ 1 1 NULL 1 NULL, + 1 2 5 2 5, + 1 3 NULL 3 5");
}

TEST(WindowTest, ARowThatIsThereSeveralTimesHasSeveralPlaces) {
  WindowTest t({Call(kRowNumber), Call(kLag, kN)});
  EXPECT_EQ(t.Step({"+3 1 1 5 1"}), "+ 1 1 5 1 1 NULL, + 1 1 5 1 2 5, + 1 1 5 1 3 5");
  EXPECT_EQ(t.Step({"-2 1 1 5 1, + 1 2 6 2"}),
            "- 1 1 5 1 2 5, - 1 1 5 1 3 5, + 1 2 6 2 2 5");
}

TEST(WindowTest, SumsThatDoNotFitAreErrors) {
  WindowTest t({Call(kSum, kN)});
  EXPECT_THAT(t.Step({"+ 1 1 9223372036854775807 1, + 1 2 1 2"}),
              testing::HasSubstr("does not fit long"));
  WindowTest missing({Call(kRowNumber)});
  EXPECT_THAT(missing.Step({"- 1 1 1 1"}), testing::HasSubstr("not there"));
}

// The maximum is the same before and behind each new row: each is a change of its own.
// When every one looked past all that are behind it, this took minutes.
TEST(WindowTest, ManyNewRowsCostWhatEachCosts) {
  WindowTest t({Call(kMax, kN)});
  t.Step({"+ 1 0 9 0"});
  std::string rows, want;
  for (int i = 1; i <= 200'000; ++i) {
    rows += fmt::format("{}+ 1 {} 0 {}", i == 1 ? "" : ", ", i, i);
    want += fmt::format("{}+ 1 {} 0 {} 9", i == 1 ? "" : ", ", i, i);
  }
  const auto start = std::clock();
  const std::string got = t.Step({rows});
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 30);
  EXPECT_EQ(got.size(), want.size());  // they are in another order
}

TEST(WindowTest, WhatCannotBeIsRefused) {
  const data::Schema input = SchemaFromText("k int, s string");
  WindowCall text_sum = Call(kSum, 1), number_as_text = Call(kRowNumber),
             other_type = Call(kLag, 1), no_column = Call(kLag, 7),
             before = Call(kLead, 0, -1);
  number_as_text.result = TypeOf("string");
  for (const WindowCall& call :
       {text_sum, number_as_text, other_type, no_column, before}) {
    data::Schema output = input;
    output.fields.push_back({"w", call.result});
    auto made =
        NewWindow({.order = {0}, .calls = {call}}, input, output, nullptr, "s", 0);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, Code::kInvalid);
  }
  WindowCall by_text = {.kind = kCountStar, .result = TypeOf("int"), .preceding = 5};
  data::Schema counted = input;
  counted.fields.push_back({"w", by_text.result});
  EXPECT_FALSE(
      NewWindow({.order = {1}, .calls = {by_text}}, input, counted, nullptr, "s", 0)
          .ok());
  EXPECT_FALSE(NewWindow({}, input, input, nullptr, "s", 0).ok());
  EXPECT_FALSE(NewWindow({.order = {0}, .peers = 2}, input, input, nullptr, "s", 0).ok());
}

// ------------------------------------------------------------------- against DuckDB

constexpr std::string_view kRandomColumns =
    "k int, o int, n int, d double, s string, m decimal(9,2), id int";

struct Example {
  std::string sql;
  WindowCall call;  // without the result
};

Example RandomExample(std::mt19937_64& random, int peers, const std::string& direction) {
  const auto below = [&](uint64_t limit) { return random() % limit; };
  static const char* const kNames[] = {"k", "o", "n", "d", "s", "m", "id"};
  const std::string by_peers = "PARTITION BY k ORDER BY o " + direction + " NULLS LAST";
  const std::string by_all = by_peers + ", id";
  const std::string range = peers == 1 ? by_peers : by_all;
  Example out;
  WindowCall& call = out.call;
  const auto any = [&](std::vector<int> columns) {
    return columns[below(columns.size())];
  };
  const auto argument = [&] { return kNames[call.argument]; };
  switch (below(9)) {
    case 0:
      call = {.kind = kRowNumber};
      out.sql = fmt::format("row_number() OVER ({})", by_all);
      break;
    case 1:
      call = {.kind = below(2) == 0 ? kRank : kDenseRank};
      out.sql = fmt::format("{}() OVER ({})", call.kind == kRank ? "rank" : "dense_rank",
                            range);
      break;
    case 2:
    case 3: {
      call = {.kind = below(2) == 0 ? kLag : kLead,
              .argument = any({2, 3, 4, 5}),
              .offset = static_cast<int64_t>(below(4))};
      if (call.argument == 2 && below(2) == 0) call.default_column = 6;
      out.sql = fmt::format("{}({}, {}{}) OVER ({})", call.kind == kLag ? "lag" : "lead",
                            argument(), call.offset,
                            call.default_column < 0 ? "" : ", id", by_all);
      break;
    }
    case 4: {
      call = {.kind = kFirstValue, .argument = any({2, 3, 4, 5})};
      call.ignore_nulls = below(2) == 0;
      call.rows_frame = peers == 1;  // later peers are none of its frame
      if (peers == 2 && below(2) == 0) call.kind = kLastValue;
      out.sql = fmt::format("{}({}{}) OVER ({})",
                            call.kind == kFirstValue ? "first_value" : "last_value",
                            argument(), call.ignore_nulls ? " IGNORE NULLS" : "", by_all);
      break;
    }
    default: {
      static const std::pair<WindowKind, const char*> kKinds[] = {
          {kCount, "count"}, {kSum, "sum"}, {kAvg, "avg"}, {kMin, "min"}, {kMax, "max"}};
      const auto& [kind, name] = kKinds[below(5)];
      const bool numbers = kind == kSum || kind == kAvg;
      call = {.kind = kind,
              .argument = numbers ? any({2, 3, 5}) : any({2, 3, 4, 5}),
              .rows_frame = below(2) == 0};
      if (kind == kAvg && call.argument == 5) call.argument = 3;
      if (below(2) == 0 && (call.rows_frame || peers == 1))
        call.preceding = static_cast<int64_t>(below(call.rows_frame ? 5 : 30));
      const std::string from =
          call.preceding < 0 ? "UNBOUNDED" : std::to_string(call.preceding);
      out.sql = fmt::format("{}({}) OVER ({} {} BETWEEN {} PRECEDING AND CURRENT ROW)",
                            name, argument(), call.rows_frame ? by_all : range,
                            call.rows_frame ? "ROWS" : "RANGE", from);
    }
  }
  return out;
}

class RandomWindowTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, RandomWindowTest, testing::Range(0, 16));

TEST_P(RandomWindowTest, EqualsDuckDbOverAllRows) {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  SCOPED_TRACE(
      fmt::format("replay: WEIR_SEED={} ops_test --gtest_filter="
                  "*/RandomWindowTest.EqualsDuckDbOverAllRows/{}",
                  seed, GetParam()));
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  const data::Schema schema = SchemaFromText(kRandomColumns);
  const bool descending = below(3) == 0;
  WindowSpec spec{.keys = {0},
                  .order = {1, 6},
                  .descending = {descending, false},
                  .peers = 1 + static_cast<int>(below(2))};
  std::string sql = "SELECT *";
  for (uint64_t calls = 1 + below(3); calls > 0; --calls) {
    const Example example =
        RandomExample(random, spec.peers, descending ? "DESC" : "ASC");
    sql += fmt::format(", {} AS w{}", example.sql, calls);
    spec.calls.push_back(example.call);
  }
  sql += " FROM t";
  SCOPED_TRACE(sql);
  auto session = *duck::Session::Open({});
  ASSERT_TRUE(session->DeclareInput("t", schema).ok());
  auto statement = session->Prepare(sql);
  ASSERT_TRUE(statement.ok()) << statement.error().message;
  const data::Schema output = (*statement)->output();
  for (size_t i = 0; i < spec.calls.size(); ++i)
    spec.calls[i].result = output.fields[schema.fields.size() + i].type;

  const int64_t memories[] = {0, 14'000, 20'000, 1 << 30};
  const int64_t memory = memories[below(4)];
  OperatorTest op(schema, output, [&](state::Store* store) {
    return NewWindow(spec, schema, output, store, "op/w", memory);
  });
  struct World {
    std::map<std::string, int64_t> there, emitted;
  };
  World now, checkpoint, committed;
  bool committing = false;
  int id = 0;
  const bool large = GetParam() % 4 == 0;  // several marks in a key
  for (int step = 0; step < 20; ++step) {
    std::string text;
    for (uint64_t rows = large && step == 0 ? 600 : below(8); rows > 0; --rows) {
      const auto or_null = [&](std::string value) {
        return below(9) == 0 ? std::string("NULL") : value;
      };
      std::string row = fmt::format(
          " {} {} {} {} {} {} {}", below(3),
          or_null(std::to_string(below(large ? 200 : 12))),
          or_null(std::to_string(below(20))),
          or_null(fmt::format("{}", (double(below(40)) - 20) / 8)),
          or_null(std::string(1 + below(3), static_cast<char>('a' + below(3)))),
          or_null(fmt::format("{}.{:02}", below(3), 1 + below(99))), ++id);
      int64_t weight = below(6) == 0 ? 2 : 1;
      if (!now.there.empty() && below(2) == 0) {
        auto it = now.there.begin();
        std::advance(it, static_cast<int64_t>(below(now.there.size())));
        row = it->first;
        if (below(4) > 0)
          weight = -(1 + static_cast<int64_t>(below(static_cast<uint64_t>(it->second))));
      }
      if ((now.there[row] += weight) == 0) now.there.erase(row);
      text += fmt::format("{:+}{},", weight, row);
    }
    Status status = op.Process(BatchFromText(schema, text));
    ASSERT_TRUE(status.ok()) << status.error().message;
    status = op.Flush();
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (const data::Batch& batch : op.TakeEmitted()) {
      for (int64_t row = 0; row < batch.num_rows(); ++row) {
        const std::string line = TextFromBatch(output, {batch.rows->Slice(row, 1), {}});
        if ((now.emitted[line] += batch.weight(row)) == 0) now.emitted.erase(line);
      }
    }
    std::string all;
    for (const auto& [row, weight] : now.there) {
      for (int64_t i = 0; i < weight; ++i) all += "+" + row + ",";
    }
    std::map<std::string, int64_t> expected;
    ASSERT_TRUE(session->SetInput("t", {BatchFromText(schema, all).rows}).ok());
    auto answer = session->Run(**statement);
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    for (const auto& rows : *answer) {
      for (int64_t row = 0; row < rows->num_rows(); ++row)
        ++expected[TextFromBatch(output, {rows->Slice(row, 1), {}})];
    }
    ASSERT_EQ(now.emitted, expected) << "step " << step;
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
