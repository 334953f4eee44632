#include "ops/components.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <set>

#include "base/time.h"
#include "ops/testing.h"

namespace weir::ops {
namespace {

constexpr std::string_view kInput = "s string, id int, a string, b string, at int",
                           kOutput = "r0 string, r1 int, f0 string, f1 int";

class ComponentsTest : public OperatorTest {
 public:
  explicit ComponentsTest(int64_t most = -1, int64_t memory = 1 << 30)
      : OperatorTest(
            SchemaFromText(kInput), SchemaFromText(kOutput), [=](state::Store* store) {
              return NewComponents({{0, 1}, {2, 3}, 4, most}, SchemaFromText(kInput),
                                   SchemaFromText(kOutput), store, "op/c", memory);
            }) {}
};

TEST(ComponentsTest, MergesAndSplits) {
  ComponentsTest c;
  EXPECT_EQ(c.Step({"+ crm 1 x NULL 1, + web 1 NULL y 2"}),
            "+ crm 1 crm 1, + web 1 web 1");
  EXPECT_EQ(c.Step({"+ app 1 x y 3"}), "+ app 1 crm 1, + web 1 crm 1, - web 1 web 1");
  c.Commit();
  c.Restart();
  EXPECT_EQ(c.Step({"- app 1 x y 3"}), "- app 1 crm 1, - web 1 crm 1, + web 1 web 1");
}

TEST(ComponentsTest, SaysNothingWhenNothingChanges) {
  ComponentsTest c;
  c.Feed("+ crm 1 x NULL 1, + web 1 x NULL 2");
  EXPECT_EQ(c.Feed("+ web 1 x NULL 5"), "");
  EXPECT_EQ(c.Feed("- web 1 x NULL 2, + web 1 x NULL 3"), "");
  EXPECT_EQ(c.Feed("+ web 2 x y 4, - web 2 x y 4"), "");
}

TEST(ComponentsTest, ARowThatIsNotThereIsAnError) {
  ComponentsTest c;
  EXPECT_THAT(c.Feed("- crm 1 x NULL 1"), testing::HasSubstr("not there"));
}

using Below = std::function<int(int)>;

// Feeds one step of random changes to `*rows`: each takes one away or adds what `make`
// gives. What it emits is added to `*out`.
template <class Row, class Make>
void RandomStep(OperatorTest& c, const data::Schema& input, const data::Schema& output,
                const Below& below, const Make& make, std::multiset<Row>* rows,
                std::map<std::string, int>* out) {
  std::string feed;
  for (int change = 1 + below(6); change > 0; --change) {
    if (!rows->empty() && below(5) < 2) {
      auto row = rows->begin();
      std::advance(row, below(static_cast<int>(rows->size())));
      feed += fmt::format("{}- {}", feed.empty() ? "" : ", ", row->Text());
      rows->erase(row);
    } else {
      const Row row = make();
      feed += fmt::format("{}+ {}", feed.empty() ? "" : ", ", row.Text());
      rows->insert(row);
    }
  }
  ASSERT_TRUE(c.Process(BatchFromText(input, feed)).ok());
  ASSERT_TRUE(c.Flush().ok());
  for (const data::Batch& batch : c.TakeEmitted()) {
    for (int64_t i = 0; i < batch.num_rows(); ++i) {
      const data::Batch one{batch.rows->Slice(i, 1), {}};
      const std::string text = TextFromBatch(output, one).substr(2);
      if (((*out)[text] += batch.weight(i)) == 0) out->erase(text);
    }
  }
}

void CommitOrRestartAtTimes(OperatorTest& c, const Below& below) {
  if (below(3) == 0) c.Commit();
  if (below(6) == 0) {
    c.Commit();
    c.Restart();
  }
}

// What the operator has put out adds up to what union-find makes of all rows, for any
// batching, memory and restarts.
TEST(ComponentsTest, RandomGraphsAgainstUnionFind) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](int n) {
    return static_cast<int>(random() % static_cast<uint64_t>(n));
  };
  struct Row {
    int id, a, b, at;  // -1: NULL
    auto operator<=>(const Row&) const = default;
    std::string Text() const {
      const auto value = [](int v) { return v < 0 ? "NULL" : std::to_string(v); };
      return fmt::format("{} {} {} {} {}", id % 2 == 0 ? "crm" : "web", id, value(a),
                         value(b), value(at));
    }
    std::string Name() const {
      return fmt::format("{} {}", id % 2 == 0 ? "crm" : "web", id);
    }
  };
  for (int history = 0; history < 60; ++history) {
    const int most = below(2) == 0 ? -1 : 2 + below(3), records = 3 + below(25);
    ComponentsTest c(most, below(2) == 0 ? 0 : 1 << 20);
    std::multiset<Row> rows;
    std::map<std::string, int> out;
    for (int step = 0; step < 25; ++step) {
      RandomStep(
          c, SchemaFromText(kInput), SchemaFromText(kOutput), below,
          [&]() -> Row {
            return {below(records), below(records) - 2 < 0 ? -1 : below(records),
                    below(3) == 0 ? below(4) : -1, below(12) - 1 < 0 ? -1 : below(9)};
          },
          &rows, &out);
      if (HasFatalFailure()) return;
      // The reference.
      std::map<int, std::pair<std::pair<int, std::string>, int>> parent;  // order, root
      std::map<std::pair<int, int>, std::set<int>> carriers;
      const auto order = [](const Row& row) {
        return std::pair(
            row.at < 0 ? 1 << 20 : row.at,
            fmt::format("{} {:05}", row.id % 2 == 0 ? "crm" : "web", row.id));
      };
      for (const Row& row : rows) {
        const auto [at, is_new] = parent.emplace(row.id, std::pair(order(row), row.id));
        at->second.first = std::min(at->second.first, order(row));
        if (row.a >= 0) carriers[{0, row.a}].insert(row.id);
        if (row.b >= 0) carriers[{1, row.b}].insert(row.id);
      }
      const auto root = [&](int id) {
        while (parent[id].second != id) id = parent[id].second;
        return id;
      };
      for (const auto& [value, ids] : carriers) {
        if (most >= 0 && static_cast<int>(ids.size()) > most) continue;
        for (const int id : ids) parent[root(id)].second = root(*ids.begin());
      }
      std::map<int, int> first;
      for (const auto& [id, node] : parent) {
        const auto [at, is_new] = first.emplace(root(id), id);
        if (node.first < parent[at->second].first) at->second = id;
      }
      std::map<std::string, int> expected;
      for (const auto& [id, node] : parent) {
        expected[fmt::format("{} {}", Row{id, 0, 0, 0}.Name(),
                             Row{first[root(id)], 0, 0, 0}.Name())] = 1;
      }
      ASSERT_EQ(out, expected) << "history " << history << ", step " << step;
      CommitOrRestartAtTimes(c, below);
    }
  }
}

// 100,000 records in one component: long, and wide. Beside it a change of a small one
// costs what it would without.
TEST(ComponentsTest, LargeComponents) {
  for (const bool chain : {true, false}) {
    ComponentsTest c;
    constexpr int kRecords = 100'000;
    std::string rows;
    for (int i = 0; i < kRecords; ++i) {
      rows += chain ? fmt::format("{}+ crm {} v{} w{} {}", i == 0 ? "" : ", ", i,
                                  (i + 1) / 2, i / 2, i)
                    : fmt::format("{}+ crm {} hub NULL {}", i == 0 ? "" : ", ", i, i);
    }
    const auto timed = [&](const char* what, std::string_view feed) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_TRUE(c.Process(BatchFromText(SchemaFromText(kInput), feed)).ok());
      EXPECT_TRUE(c.Flush().ok());
      int64_t changes = 0;
      for (const data::Batch& batch : c.TakeEmitted()) changes += batch.num_rows();
      fmt::print("{}: {}: {} changes, {:.1f} ms\n", chain ? "chain" : "star", what,
                 changes,
                 std::chrono::duration<double, std::milli>(
                     std::chrono::steady_clock::now() - begin)
                     .count());
      return changes;
    };
    EXPECT_EQ(timed("all at once", rows), kRecords);
    EXPECT_EQ(timed("a record apart", "+ web 1 z NULL 5"), 1);
    EXPECT_EQ(timed("a record joins", "+ web 2 v1 NULL 200000, + web 3 hub NULL 200001"),
              2);
    EXPECT_EQ(timed("the middle goes",
                    "- crm 50000 " + std::string(chain ? "v25000 w25000" : "hub NULL") +
                        " 50000"),
              chain ? 1 + 2 * 49'999 : 1);
    EXPECT_EQ(timed("and comes back",
                    "+ crm 50000 " + std::string(chain ? "v25000 w25000" : "hub NULL") +
                        " 50000"),
              chain ? 1 + 2 * 49'999 : 1);
  }
}

// The same with history, against union-find at each moment.
TEST(ComponentsTest, RandomHistoriesAgainstUnionFind) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](int n) {
    return static_cast<int>(random() % static_cast<uint64_t>(n));
  };
  const data::Schema input = SchemaFromText(
                         "r int, a int, b int, at int, since int, "
                         "until int"),
                     output = SchemaFromText("r int, f int, since int, until int");
  constexpr int kNever = 1 << 20;
  struct Row {
    int record, a, b, at, from, to;  // -1: NULL
    auto operator<=>(const Row&) const = default;
    std::string Text() const {
      std::string out = std::to_string(record);
      for (const int value : {a, b, at, from, to})
        out += value < 0 ? " NULL" : fmt::format(" {}", value);
      return out;
    }
    bool IsThere(int time) const {
      return from >= 0 && from <= time && (to < 0 || time < to);
    }
  };
  for (int history = 0; history < 150; ++history) {
    const int records = 2 + below(20), moments = 2 + below(12);
    const ComponentsSpec spec{.record = {0},
                              .values = {1, 2},
                              .sequence = below(3) == 0 ? -1 : 3,
                              .most = below(3) == 0 ? -1 : 2 + below(3),
                              .from = 4,
                              .to = 5};
    const int64_t memory = below(2) == 0 ? 0 : 1 << 20;
    OperatorTest c(input, output, [=](state::Store* store) {
      return NewComponents(spec, input, output, store, "op/c", memory);
    });
    std::multiset<Row> rows;
    std::map<std::string, int> out;
    for (int step = 0; step < 20; ++step) {
      RandomStep(
          c, input, output, below,
          [&]() -> Row {
            return {below(records),
                    below(4) == 0 ? -1 : below(1 + records / 2),
                    below(3) == 0 ? below(2) : -1,
                    below(6) - 1,
                    below(12) == 0 ? -1 : below(moments),
                    below(3) == 0 ? below(moments) : -1};
          },
          &rows, &out);
      if (HasFatalFailure()) return;
      // The reference: by record the first of its component, and since when.
      std::map<std::string, int> expected;
      std::map<int, std::pair<int, int>> open;
      for (int time = 0; time <= moments; ++time) {
        std::map<int, int> parent, order;
        std::map<std::pair<int, int>, std::set<int>> carriers;
        for (const Row& row : rows) {
          if (!row.IsThere(time)) continue;
          const int by = spec.sequence < 0 ? row.from : row.at < 0 ? kNever : row.at;
          parent[row.record] = row.record;
          order[row.record] = std::min(order.emplace(row.record, by).first->second, by);
          if (row.a >= 0) carriers[{0, row.a}].insert(row.record);
          if (row.b >= 0) carriers[{1, row.b}].insert(row.record);
        }
        const auto root = [&](int record) {
          while (parent[record] != record) record = parent[record];
          return record;
        };
        for (const auto& [value, ids] : carriers) {
          if (spec.most >= 0 && static_cast<int64_t>(ids.size()) > spec.most) continue;
          for (const int id : ids) parent[root(id)] = root(*ids.begin());
        }
        std::map<int, int> first;  // by root
        for (const auto& [record, by] : order) {
          const auto [at, is_new] = first.emplace(root(record), record);
          if (by < order[at->second]) at->second = record;
        }
        for (auto at = open.begin(); at != open.end();) {
          const auto [record, span] = *at;
          if (order.contains(record) && first[root(record)] == span.first) {
            ++at;
            continue;
          }
          expected[fmt::format("{} {} {} {}", record, span.first, span.second, time)] = 1;
          at = open.erase(at);
        }
        for (const auto& [record, by] : order)
          open.emplace(record, std::pair(first[root(record)], time));
      }
      for (const auto& [record, span] : open)
        expected[fmt::format("{} {} {} NULL", record, span.first, span.second)] = 1;
      ASSERT_EQ(out, expected) << "history " << history << ", step " << step;
      CommitOrRestartAtTimes(c, below);
    }
  }
}

// The history of 100,000 records in one component costs about what its outcome costs,
// not the records times the moments.
TEST(ComponentsTest, LargeComponentsInTime) {
  constexpr int kRecords = 100'000;
  const data::Schema input = SchemaFromText("r int, a int, b int, at int, until int"),
                     output = SchemaFromText("r int, f int, since int, until int");
  OperatorTest c(input, output, [=](state::Store* store) {
    const ComponentsSpec spec{
        .record = {0}, .values = {1, 2}, .sequence = 0, .from = 3, .to = 4};
    return NewComponents(spec, input, output, store, "op/c", 1 << 30);
  });
  // A chain that grows at its end, beside a hub of others.
  std::string rows;
  for (int i = 0; i < kRecords; ++i) {
    rows += i % 2 == 0 ? fmt::format("{}+ {} {} {} {} NULL", i == 0 ? "" : ", ", i,
                                     (i / 2 + 1) / 2, i / 4, i)
                       : fmt::format(", + {} -1 NULL {} NULL", i, i);
  }
  ASSERT_TRUE(c.Process(BatchFromText(input, rows)).ok());
  ASSERT_TRUE(c.Flush().ok());
  std::map<int64_t, int64_t> firsts;
  for (const data::Batch& batch : c.TakeEmitted()) {
    const auto& first = static_cast<const arrow::Int64Array&>(*batch.rows->column(1));
    for (int64_t i = 0; i < batch.num_rows(); ++i) ++firsts[first.Value(i)];
  }
  EXPECT_EQ(firsts, (std::map<int64_t, int64_t>{{0, kRecords / 2}, {1, kRecords / 2}}));
}

}  // namespace
}  // namespace weir::ops
