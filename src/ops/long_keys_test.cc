// Of a key with many rows that was let go from memory, only what a change needs is read
// back from the store.
#include <gtest/gtest.h>

#include "ops/aggregate.h"
#include "ops/asof.h"
#include "ops/components.h"
#include "ops/counting_store.h"
#include "ops/testing.h"
#include "ops/window.h"

namespace weir::ops {
namespace {

using enum WindowKind;

constexpr int kRows = 20'000;
constexpr int64_t kReadMax = 400;  // of them for a change

class LongKeyTest : public testing::Test {
 public:
  using Make = std::function<Result<std::unique_ptr<Operator>>(state::Store*)>;

  OperatorTest New(std::vector<data::Schema> inputs, data::Schema output,
                   const Make& make) {
    return {std::move(inputs), std::move(output),
            [this, make](state::Store* store) -> Result<std::unique_ptr<Operator>> {
              counting_ = std::make_unique<CountingStore>(*store, &reads_);
              return make(counting_.get());
            }};
  }
  OperatorTest NewWindowOf(std::vector<WindowCall> calls) {
    const data::Schema input = SchemaFromText("k int, o int, n int");
    data::Schema output = input;
    for (WindowCall& call : calls) {
      call.result = input.fields[2].type;
      output.fields.push_back({fmt::format("w{}", output.fields.size()), call.result});
    }
    const WindowSpec spec{.keys = {0}, .order = {1}, .calls = std::move(calls)};
    return New({input}, output, [=](state::Store* store) {
      return NewWindow(spec, input, output, store, "op/w", 1 << 30);
    });
  }

  // Rows "k o n" with o from 10 on by tens, then everything is let go.
  static void Fill(OperatorTest& op, int port = 0) {
    std::string rows;
    for (int i = 1; i <= kRows; ++i)
      rows += fmt::format("{}+ 1 {} {}", i == 1 ? "" : ", ", 10 * i, i % 7);
    if (port == 0) {
      op.Step({rows});
    } else {
      op.Step({"", rows});
    }
    op.Commit();
    op.Restart();
  }
  // What comes of a step, which reads little.
  std::string Step(OperatorTest& op, std::initializer_list<std::string_view> ports) {
    reads_ = {};
    std::string out = op.Step(ports);
    EXPECT_LE(reads_.visited, kReadMax);
    EXPECT_GT(reads_.visited, 0) << "the key was in memory";
    op.Commit();
    op.Restart();
    return out;
  }

  // Keys that the store has.
  int64_t StoredKeys() {
    int64_t keys = 0;
    const auto spaces = counting_->Spaces();
    EXPECT_TRUE(spaces.ok());
    for (const auto& space : *spaces) keys += space.keys;
    return keys;
  }

  StoreReads reads_;  // since they were set

 private:
  std::unique_ptr<CountingStore> counting_;
};

TEST_F(LongKeyTest, WindowsReadWhatIsNear) {
  OperatorTest op =
      NewWindowOf({{.kind = kLag, .argument = 2},
                   {.kind = kLead, .argument = 1},
                   {.kind = kSum, .argument = 2, .rows_frame = true, .preceding = 3}});
  Fill(op);
  // Row i has n = i % 7.
  EXPECT_EQ(Step(op, {"+ 1 100005 100"}),
            "+ 1 100000 4 3 100005 10, - 1 100000 4 3 100010 10, "
            "+ 1 100005 100 4 100010 109, "
            "+ 1 100010 5 100 100020 112, - 1 100010 5 4 100020 14, "
            "+ 1 100020 6 5 100030 115, - 1 100020 6 5 100030 18, "
            "+ 1 100030 0 6 100040 111, - 1 100030 0 6 100040 15");
  EXPECT_EQ(Step(op, {"+ 1 5 1, - 1 200000 1"}),
            "+ 1 10 1 1 20 2, - 1 10 1 NULL 20 1, "
            "- 1 199990 0 6 200000 15, + 1 199990 0 6 NULL 15, "
            "- 1 20 2 1 30 3, + 1 20 2 1 30 4, - 1 200000 1 0 NULL 12, "
            "- 1 30 3 2 40 6, + 1 30 3 2 40 7, + 1 5 1 NULL 10 1");
}

TEST_F(LongKeyTest, RunningValuesAreKnownFromMarks) {
  OperatorTest op = NewWindowOf({{.kind = kRowNumber},
                                 {.kind = kSum, .argument = 2},
                                 {.kind = kMax, .argument = 2}});
  Fill(op);
  EXPECT_EQ(Step(op, {"+ 1 200005 8"}), "+ 1 200005 8 20001 60006 8");
  EXPECT_EQ(Step(op, {"- 1 199990 0, + 1 199995 0"}),
            "- 1 199990 0 19999 59997 6, + 1 199995 0 19999 59997 6");
  EXPECT_EQ(Step(op, {"- 1 200005 8, - 1 200000 1"}),
            "- 1 200000 1 20000 59998 6, - 1 200005 8 20001 60006 8");
  // Far from the end, as long as what is behind stays as it is.
  EXPECT_EQ(Step(op, {"- 1 100000 4, + 1 100001 4"}),
            "- 1 100000 4 10000 29998 6, + 1 100001 4 10000 29998 6");
}

// It would be another one with each row that comes there.
TEST_F(LongKeyTest, ThereIsNoMarkAtTheEnd) {
  OperatorTest op = NewWindowOf({{.kind = kRowNumber}});
  std::string rows;
  for (int i = 1; i <= 48; ++i) rows += fmt::format("{}+ 1 {} 0", i == 1 ? "" : ", ", i);
  op.Step({rows});
  op.Commit();
  const int64_t group = 1;
  EXPECT_EQ(StoredKeys(), group + 48 + 1);  // the mark of row 24
  EXPECT_EQ(op.Step({"+ 1 49 0"}), "+ 1 49 0 49");
  op.Commit();
  EXPECT_EQ(StoredKeys(), group + 49 + 2);
}

// Rows that an operator without marks kept look like those of one from before there were
// any.
TEST_F(LongKeyTest, RowsWithoutMarksGetThem) {
  const data::Schema input = SchemaFromText("k int, o int, n int");
  data::Schema output = input;
  output.fields.push_back({"w", input.fields[2].type});
  auto kind = kLag;
  OperatorTest op = New({input}, output, [&](state::Store* store) {
    const WindowCall call{
        .kind = kind, .argument = kind == kLag ? 2 : -1, .result = input.fields[2].type};
    return NewWindow({.keys = {0}, .order = {1}, .calls = {call}}, input, output, store,
                     "op/w", 1 << 30);
  });
  kind = kRowNumber;  // from the restart on
  Fill(op);
  EXPECT_EQ(op.Step({"+ 1 200005 8"}), "+ 1 200005 8 20001");
  EXPECT_GT(reads_.visited, kRows);
  op.Commit();
  op.Restart();
  EXPECT_EQ(Step(op, {"+ 1 200006 8"}), "+ 1 200006 8 20002");
}

TEST_F(LongKeyTest, AsofJoinsReadWhatIsNear) {
  const data::Schema input = SchemaFromText("k int, t int, n int");
  data::Schema output = input;
  for (const data::Field& field : input.fields) output.fields.push_back(field);
  const AsofSpec spec{.match = AsofMatch::kAtOrBefore,
                      .left_keys = {0},
                      .right_keys = {0},
                      .left_time = 1,
                      .right_time = 1,
                      .right_ties = {2}};
  OperatorTest op = New({input, input}, output, [=](state::Store* store) {
    return NewAsofJoin(spec, input, input, store, "op/a", 1 << 30);
  });
  Fill(op, 1);
  EXPECT_EQ(Step(op, {"+ 1 100005 9", ""}), "+ 1 100005 9 1 100000 4");
  EXPECT_EQ(Step(op, {"", "+ 1 100003 7"}),
            "- 1 100005 9 1 100000 4, + 1 100005 9 1 100003 7");
  EXPECT_EQ(Step(op, {"", "- 1 100003 7, - 1 100000 4"}),
            "- 1 100005 9 1 100003 7, + 1 100005 9 1 99990 3");
}

// Both sides of an ASOF join stand beside each other.
TEST_F(LongKeyTest, AShortKeyComesBackByOneScan) {
  const data::Schema input = SchemaFromText("k int, t int, n int");
  data::Schema output = input;
  for (const data::Field& field : input.fields) output.fields.push_back(field);
  const AsofSpec spec{
      .left_keys = {0}, .right_keys = {0}, .left_time = 1, .right_time = 1};
  OperatorTest op = New({input, input}, output, [=](state::Store* store) {
    return NewAsofJoin(spec, input, input, store, "op/a", 1 << 30);
  });
  op.Step({"+ 1 10 1, + 1 20 2, + 1 30 3", "+ 1 5 9, + 1 25 8"});
  op.Commit();
  op.Restart();
  reads_.scans = 0;
  EXPECT_EQ(op.Step({"- 1 20 2, + 1 26 4", "+ 1 28 7"}),
            "- 1 20 2 1 5 9, + 1 26 4 1 25 8, - 1 30 3 1 25 8, + 1 30 3 1 28 7");
  EXPECT_EQ(reads_.scans, 1);
  op.Commit();
  op.Restart();
  reads_.scans = 0;
  EXPECT_EQ(op.Step({"", "- 1 5 9"}), "- 1 10 1 1 5 9");
  EXPECT_EQ(reads_.scans, 1);
}

TEST_F(LongKeyTest, FirstRowsReadThemAndWhatIsNear) {
  const data::Schema input = SchemaFromText("k int, o int, n int");
  const TopSpec spec{.keys = {0}, .order = {1}, .n = 2, .input_retracts = true};
  OperatorTest op = New({input}, input, [=](state::Store* store) {
    return NewTop(spec, input, store, "op/t", 1 << 30);
  });
  Fill(op);
  EXPECT_EQ(Step(op, {"- 1 100000 4, + 1 100005 9"}), "");
  EXPECT_EQ(Step(op, {"- 1 20 2"}), "- 1 20 2, + 1 30 3");
  EXPECT_EQ(Step(op, {"- 1 10 1, - 1 30 3, + 1 200010 0"}),
            "- 1 10 1, - 1 30 3, + 1 40 4, + 1 50 5");
}

// A value that too many records carry, and a change of one of them: those that carried it
// while it linked are all that is read of it.
TEST_F(LongKeyTest, ValuesThatLinkNoneAreNotWalked) {
  const data::Schema input = SchemaFromText("r int, v int, at int, until int"),
                     output = SchemaFromText("r int, f int, since int, until int");
  const ComponentsSpec spec{
      .record = {0}, .values = {1}, .sequence = 2, .most = 3, .from = 2, .to = 3};
  OperatorTest op = New({input}, output, [=](state::Store* store) {
    return NewComponents(spec, input, output, store, "op/c", 1 << 30);
  });
  std::string rows = "+ 0 7 5 NULL, + 0 8 6 NULL";
  for (int i = 1; i <= kRows; ++i) rows += fmt::format(", + {} 7 {} NULL", i, 10 * i);
  op.Step({rows});
  op.Commit();
  op.Restart();
  EXPECT_EQ(Step(op, {"+ 30000 7 100005 NULL"}), "+ 30000 30000 100005 NULL");
  EXPECT_EQ(Step(op, {"- 10000 7 100000 NULL"}), "- 10000 10000 100000 NULL");
  // The third comes earlier: the time from which on the value links none, too.
  EXPECT_EQ(Step(op, {"- 20000 7 200000 NULL, + 20000 7 15 NULL"}),
            "+ 1 0 10 20, - 1 0 10 30, + 1 1 20 NULL, - 1 1 30 NULL, "
            "- 2 0 20 30, + 2 2 20 NULL, - 2 2 30 NULL, "
            "+ 20000 0 15 20, + 20000 20000 20 NULL, - 20000 20000 200000 NULL");
}

// A record that joins a large component, and one that joins two of them: what is read are
// the records whose first one becomes another.
TEST_F(LongKeyTest, LargeComponentsAreNotReadForOneThatJoins) {
  const data::Schema input = SchemaFromText("r int, v int, w int"),
                     output = SchemaFromText("r int, f int");
  const ComponentsSpec spec{.record = {0}, .values = {1, 2}};
  OperatorTest op = New({input}, output, [=](state::Store* store) {
    return NewComponents(spec, input, output, store, "op/c", 1 << 30);
  });
  std::string rows = "+ 30000 8 NULL, + 30001 8 NULL";
  for (int i = 1; i <= kRows; ++i)  // by one value, and a chain of others
    rows += fmt::format(", + {} 7 {}", i, i / 2);
  op.Step({rows});
  op.Commit();
  op.Restart();
  EXPECT_EQ(Step(op, {"+ 40000 7 NULL, + 40001 NULL 5000"}), "+ 40000 1, + 40001 1");
  EXPECT_EQ(Step(op, {"+ 40002 8 77"}),
            "+ 30000 1, - 30000 30000, + 30001 1, - 30001 30000, + 40002 1");
  EXPECT_EQ(Step(op, {"+ 1 9 NULL, + 50000 9 NULL"}), "+ 50000 1");
}

}  // namespace
}  // namespace weir::ops
