#include "ops/recompute.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "ops/testing.h"

namespace weir::ops {
namespace {

constexpr std::string_view kNumbers = "k int, n int", kNames = "k int, s string",
                           kOutput = "k int, total int, names int, largest int";

using Groups =
    std::map<std::string, std::vector<int64_t>>;  // key -> total, names, largest

// Rows as text, each as often as it is there.
std::vector<std::vector<std::string>> Texts(const std::vector<data::Batch>& batches,
                                            std::string_view columns) {
  std::vector<std::vector<std::string>> out;
  for (const data::Batch& batch : batches) {
    EXPECT_TRUE(batch.append_only());
    for (int64_t row = 0; row < batch.num_rows(); ++row) {
      std::istringstream text(
          TextFromBatch(SchemaFromText(columns), {batch.rows->Slice(row, 1), {}}));
      std::vector<std::string> values;
      for (std::string value; text >> value;) values.push_back(value);
      out.emplace_back(values.begin() + 1, values.end());
    }
  }
  return out;
}

// SELECT k, sum(n), names, max(n) of all keys of both ports; without keys one row of all.
struct Summary {
  bool keyed = true;
  std::vector<int64_t>* calls = nullptr;  // rows given, per call

  std::string operator()(const std::vector<std::vector<std::string>>& numbers,
                         const std::vector<std::vector<std::string>>& names) const {
    Groups groups;
    if (!keyed) groups["0"].resize(3);
    for (const auto& row : numbers) {
      auto& group = groups[keyed ? row[0] : "0"];
      group.resize(3);
      group[0] += std::stoll(row[1]);
      group[2] = std::max<int64_t>(group[2], std::stoll(row[1]));
    }
    for (const auto& row : names) {
      auto& group = groups[keyed ? row[0] : "0"];
      group.resize(3);
      ++group[1];
    }
    std::string out;
    for (const auto& [key, group] : groups)
      out += fmt::format("+ {} {} {} {},", key, group[0], group[1], group[2]);
    return out;
  }

  Result<std::vector<data::Batch>> operator()(
      std::span<const std::vector<data::Batch>> ports) const {
    const auto numbers = Texts(ports[0], kNumbers), names = Texts(ports[1], kNames);
    if (calls != nullptr)
      calls->push_back(static_cast<int64_t>(numbers.size() + names.size()));
    return std::vector{BatchFromText(SchemaFromText(kOutput), (*this)(numbers, names))};
  }
};

class RecomputeTest : public OperatorTest {
 public:
  RecomputeTest(Summary summary, int64_t memory = 1 << 30)
      : OperatorTest({SchemaFromText(kNumbers), SchemaFromText(kNames)},
                     SchemaFromText(kOutput), [=](state::Store* store) {
                       const std::vector<int> key =
                           summary.keyed ? std::vector<int>{0} : std::vector<int>{};
                       return NewRecompute(
                           {{key, key}},
                           {SchemaFromText(kNumbers), SchemaFromText(kNames)},
                           SchemaFromText(kOutput), summary, store, "op/r", memory);
                     }) {}
};

TEST(RecomputeTest, EmitsTheDifferenceOfTheTouchedKeys) {
  for (const int64_t memory : {int64_t{0}, int64_t{1} << 30}) {
    std::vector<int64_t> calls;
    RecomputeTest t({.calls = &calls}, memory);
    EXPECT_EQ(t.Step({"+ 1 5, +2 1 7, + 2 1", "+ 1 a, + NULL b"}),
              "+ 1 19 1 7, + 2 1 0 1, + NULL 0 1 0");
    t.Commit();
    calls.clear();
    EXPECT_EQ(t.Step({"- 1 7", "- NULL b"}), "+ 1 12 1 7, - 1 19 1 7, - NULL 0 1 0");
    EXPECT_THAT(calls, testing::ElementsAre(5, 3)) << "key 2 was not touched";
    t.Commit();
    t.Restart();
    EXPECT_EQ(t.Step({"+ 2 0", ""}), "") << "the same row as before";
    EXPECT_EQ(t.Step({"+ 3 1, - 3 1", "+ 3 x, - 3 x"}), "");
    EXPECT_EQ(t.Step({"", ""}), "");
    t.Commit();
    EXPECT_EQ(t.Step({"- 1 5, - 1 7, - 2 1, - 2 0", "- 1 a"}), "- 1 12 1 7, - 2 1 0 1");
    t.Commit();
    EXPECT_EQ(t.op().state_keys(), 0);
  }
}

TEST(RecomputeTest, OneKeyHasAResultOverNoRows) {
  RecomputeTest t({.keyed = false});
  EXPECT_EQ(t.Step({"", ""}), "+ 0 0 0 0");
  EXPECT_EQ(t.Step({"", ""}), "");
  t.Commit();
  t.Restart();
  EXPECT_EQ(t.Step({"", ""}), "") << "it is out already";
  EXPECT_EQ(t.Step({"+ 1 4", "+ 1 a"}), "- 0 0 0 0, + 0 4 1 4");
  EXPECT_EQ(t.Step({"- 1 4", "- 1 a"}), "+ 0 0 0 0, - 0 4 1 4");
  RecomputeTest filled({.keyed = false});
  EXPECT_EQ(filled.Step({"+ 1 4", ""}), "+ 0 4 0 4");
}

TEST(RecomputeTest, ALargeStepIsGivenInChunksOfWholeKeys) {
  std::vector<int64_t> calls;
  RecomputeTest t({.calls = &calls});
  std::string rows;
  for (int k = 0; k < 1000; ++k) rows += fmt::format("+99 {} 1,+ {} 2,", k, k);
  rows += "+70000 1000 1";
  t.Step({rows, ""});
  ASSERT_GE(calls.size(), 2u);
  int64_t all = 0;
  for (const int64_t rows_given : calls) {
    EXPECT_LT(rows_given, 65'536 + 70'000);
    all += rows_given;
  }
  EXPECT_EQ(all, 170'000);
}

TEST(RecomputeTest, ErrorsNameWhatIsWrong) {
  RecomputeTest t({});
  EXPECT_THAT(t.Step({"- 1 7", ""}),
              testing::HasSubstr("a row was taken back that is not there: 1 | 7"));
  const data::Schema in = SchemaFromText(kNumbers), names = SchemaFromText(kNames);
  const auto refused = [&](RecomputeSpec spec, std::vector<data::Schema> ports) {
    auto made = NewRecompute(spec, ports, in, Summary(), nullptr, "s", 0);
    return !made.ok() && made.error().code == Code::kInvalid;
  };
  EXPECT_TRUE(refused({{{0}}}, {in, names}));
  EXPECT_TRUE(refused({{{0}, {1}}}, {in, names})) << "keys of different types";
  EXPECT_TRUE(refused({{{0}, {}}}, {in, names}));
  EXPECT_TRUE(refused({{{0}, {9}}}, {in, names}));
  OperatorTest wrong(in, in, [&](state::Store* store) {
    return NewRecompute(
        {{{0}}}, {in}, names,
        [](std::span<const std::vector<data::Batch>> ports)
            -> Result<std::vector<data::Batch>> { return ports[0]; },
        store, "s", 0);
  });
  EXPECT_THAT(wrong.Feed("+ 1 2"), testing::HasSubstr("is declared"));
}

TEST(RecomputeTest, WithoutPortsItGivesItsRowsOnce) {
  const data::Schema out = SchemaFromText(kNumbers);
  OperatorTest t(out, out, [&](state::Store* store) {
    return NewRecompute(
        {}, {}, out,
        [&](std::span<const std::vector<data::Batch>>)
            -> Result<std::vector<data::Batch>> {
          return std::vector<data::Batch>{BatchFromText(out, "+ 1 2")};
        },
        store, "s", 0);
  });
  ASSERT_TRUE(t.Flush().ok());
  EXPECT_EQ(t.TakeEmitted().size(), 1U);
  t.Commit();
  t.Restart();
  ASSERT_TRUE(t.Flush().ok());
  EXPECT_EQ(t.TakeEmitted().size(), 0U);
}

class RandomRecomputeTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, RandomRecomputeTest, testing::Range(0, 16));

TEST_P(RandomRecomputeTest, EqualsTheFunctionOverAllRows) {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  SCOPED_TRACE(
      fmt::format("replay: WEIR_SEED={} ops_test "
                  "--gtest_filter=*/RandomRecomputeTest.EqualsTheFunctionOverAllRows/{}",
                  seed, GetParam()));
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t limit) { return random() % limit; };
  const Summary summary{.keyed = GetParam() % 4 != 0};
  const int64_t memories[] = {0, 16'000, 1 << 30};
  RecomputeTest op(summary, memories[below(3)]);

  using Rows = std::map<std::vector<std::string>, int64_t>;
  std::array<Rows, 2> there, committed_there;
  std::map<std::string, int64_t> emitted, committed;
  const auto all = [](const Rows& rows) {
    std::vector<std::vector<std::string>> out;
    for (const auto& [row, weight] : rows) out.insert(out.end(), weight, row);
    return out;
  };
  for (int step = 0; step < 25; ++step) {
    for (uint64_t batches = below(4); batches > 0; --batches) {
      const auto port = static_cast<size_t>(below(2));
      std::string text;
      for (uint64_t rows = below(15); rows > 0; --rows) {
        std::vector<std::string> row = {
            std::to_string(below(6)),
            port == 0 ? std::to_string(below(5)) : std::string(1 + below(3), 'x')};
        int64_t weight = 1 + static_cast<int64_t>(below(2));
        if (!there[port].empty() && below(5) < 2) {
          auto it = there[port].begin();
          std::advance(it, static_cast<int64_t>(below(there[port].size())));
          row = it->first;
          weight = -(1 + static_cast<int64_t>(below(static_cast<uint64_t>(it->second))));
        }
        if ((there[port][row] += weight) == 0) there[port].erase(row);
        text += fmt::format("{:+} {} {},", weight, row[0], row[1]);
      }
      const data::Schema schema = SchemaFromText(port == 0 ? kNumbers : kNames);
      const Status status =
          op.Process(static_cast<int>(port), BatchFromText(schema, text));
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
    const Status status = op.Flush();
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (const data::Batch& batch : op.TakeEmitted()) {
      for (int64_t row = 0; row < batch.num_rows(); ++row) {
        const std::string text =
            TextFromBatch(SchemaFromText(kOutput), {batch.rows->Slice(row, 1), {}});
        if ((emitted[text] += batch.weight(row)) == 0) emitted.erase(text);
      }
    }
    std::map<std::string, int64_t> expected;
    std::istringstream texts(summary(all(there[0]), all(there[1])));
    for (std::string row; std::getline(texts, row, ',');) expected[row] = 1;
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
