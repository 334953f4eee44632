// When memory is short, keys of few rows are packed: they are all still there, and
// nothing is read from the store for a change of one.
#include <gtest/gtest.h>

#include "ops/asof.h"
#include "ops/counting_store.h"
#include "ops/join.h"
#include "ops/testing.h"

namespace weir::ops {
namespace {

constexpr int kKeys = 1000, kRows = 10;

class PackedKeysTest : public testing::Test {
 public:
  using Make = std::function<Result<std::unique_ptr<Operator>>(state::Store*, int64_t)>;

  // Rows "key place number" on the left, and one of each key on the right.
  static void Fill(OperatorTest& op) {
    std::string left, right;
    for (int key = 0; key < kKeys; ++key) {
      for (int i = 0; i < kRows; ++i)
        left += fmt::format("{}+ {} {} {}", left.empty() ? "" : ", ", key, 10 * i, i);
      right += fmt::format("{}+ {} 45 {}", right.empty() ? "" : ", ", key, key);
    }
    op.Step({left, right});
    op.Commit();
  }

  OperatorTest New(int64_t memory, const Make& make) {
    const data::Schema input = SchemaFromText("k int, t int, n int");
    data::Schema output = input;
    for (const data::Field& field : input.fields) output.fields.push_back(field);
    return {{input, input}, output, [this, make, memory](state::Store* store) {
              counting_ = std::make_unique<CountingStore>(*store, &reads_);
              return make(counting_.get(), memory);
            }};
  }

  // In the memory that all rows take when they are not packed, and in two thirds of it.
  void Check(const Make& make,
             const std::vector<std::pair<std::string, std::string>>& steps) {
    OperatorTest roomy = New(1 << 30, make);
    Fill(roomy);
    const int64_t memory = roomy.op().state_bytes() * 2 / 3;
    OperatorTest op = New(memory, make);
    Fill(op);
    EXPECT_LE(op.op().state_bytes(), memory);
    EXPECT_EQ(op.op().state_keys(), roomy.op().state_keys());
    reads_ = {};
    for (const auto& [rows, expected] : steps) {
      EXPECT_EQ(op.Step({rows, ""}), expected);
      EXPECT_EQ(roomy.Step({rows, ""}), expected);
      op.Commit();
    }
    EXPECT_EQ(reads_.scans, 0);
    EXPECT_EQ(reads_.looked_for, 0);
    // And what was packed is known from the store, too.
    op.Restart();
    EXPECT_EQ(op.Step({"", "- 7 45 7"}), roomy.Step({"", "- 7 45 7"}));
  }

 private:
  StoreReads reads_;
  std::unique_ptr<CountingStore> counting_;
};

TEST_F(PackedKeysTest, OfAnAsofJoin) {
  const data::Schema input = SchemaFromText("k int, t int, n int");
  const AsofSpec spec{
      .left_keys = {0}, .right_keys = {0}, .left_time = 1, .right_time = 1};
  Check(
      [=](state::Store* store, int64_t memory) {
        return NewAsofJoin(spec, input, input, store, "op/a", memory);
      },
      {{"- 5 60 6, + 5 44 6, + 5 90 9", "- 5 60 6 5 45 5, + 5 90 9 5 45 5"},
       {"- 5 90 9", "- 5 90 9 5 45 5"},
       {"- 5 90 9, + 999 46 1", "- 5 90 9 5 45 5, + 999 46 1 999 45 999"}});
}

TEST_F(PackedKeysTest, OfAJoin) {
  const data::Schema input = SchemaFromText("k int, t int, n int");
  Check(
      [=](state::Store* store, int64_t memory) {
        return NewJoin({.kind = JoinKind::kInner, .left_keys = {0}, .right_keys = {0}},
                       input, input, store, "op/j", memory);
      },
      {{"- 5 60 6, + 5 44 6, + 5 90 9",
        "+ 5 44 6 5 45 5, - 5 60 6 5 45 5, + 5 90 9 5 45 5"},
       {"- 5 90 9", "- 5 90 9 5 45 5"},
       {"- 5 90 9, + 999 46 1", "- 5 90 9 5 45 5, + 999 46 1 999 45 999"}});
}

}  // namespace
}  // namespace weir::ops
