// Groups that were never stored are not looked for in the store.
#include "ops/stored_keys.h"

#include <gtest/gtest.h>

#include "ops/aggregate.h"
#include "ops/counting_store.h"
#include "ops/join.h"
#include "ops/testing.h"

namespace weir::ops {
namespace {

constexpr int kStep = 5000;  // rows of a step, each of a key of its own

class StoredKeysTest : public testing::Test {
 public:
  using New = Result<std::unique_ptr<Operator>>;

  OperatorTest::Make Counted(std::function<New(state::Store*)> make) {
    return [this, make = std::move(make)](state::Store* store) -> New {
      counting_ = std::make_unique<CountingStore>(*store, &reads_);
      return make(counting_.get());
    };
  }

  // Keys that nobody saw before, one row each.
  std::string NewKeys() {
    std::string rows;
    for (int i = 0; i < kStep; ++i)
      rows += fmt::format("{}+ {} 1", i == 0 ? "" : ", ", next_key_++);
    return rows;
  }
  // How many keys the step looked for in the store.
  template <class Step>
  int64_t LooksOf(const Step& step) {
    reads_ = {};
    step();
    return reads_.looked_for;
  }

  const data::Schema input_ = SchemaFromText("k int, n int");
  const data::Schema output_ = SchemaFromText("k int, c int");
  StoreReads reads_;
  std::unique_ptr<CountingStore> counting_;
  int next_key_ = 0;
};

class CountByKeyTest : public StoredKeysTest {
 public:
  // Nothing stays in memory but what the newest epoch changed.
  OperatorTest NewCount() {
    return {input_, output_, Counted([this](state::Store* store) {
              AggregateSpec spec;
              spec.keys = {0};
              AggregateCall count{.kind = AggregateKind::kCountStar};
              count.result = output_.fields[1].type;
              spec.calls = {count};
              spec.output = output_;
              return NewAggregate(spec, input_, store, "op/c", 1 << 20);
            })};
  }
};

TEST_F(CountByKeyTest, NewGroupsAreNotLookedForAndOldOnesAreFound) {
  OperatorTest op = NewCount();
  for (int epoch = 0; epoch < 4; ++epoch) {
    EXPECT_LT(LooksOf([&] { op.Feed(NewKeys()); }), kStep / 50) << "epoch " << epoch;
    op.Commit();
  }
  for (int key = 0; key < next_key_; key += 1999) {
    EXPECT_EQ(op.Feed(fmt::format("+ {} 1", key)), fmt::format("- {0} 1, + {0} 2", key));
  }
}

TEST_F(CountByKeyTest, WhatTheStoreHadBeforeIsLearnt) {
  OperatorTest op = NewCount();
  for (int epoch = 0; epoch < 4; ++epoch) {
    op.Feed(NewKeys());
    op.Commit();
  }
  const int stored = next_key_;
  op.Restart();
  EXPECT_EQ(LooksOf([&] { op.Feed(NewKeys()); }), kStep) << "nothing is known yet";
  op.Commit();
  op.Feed(NewKeys());
  op.Commit();
  EXPECT_LT(LooksOf([&] { op.Feed(NewKeys()); }), kStep / 50);
  op.Commit();
  for (int key = 0; key < stored; key += 1999) {
    EXPECT_EQ(op.Feed(fmt::format("+ {} 1", key)), fmt::format("- {0} 1, + {0} 2", key));
  }
}

TEST_F(StoredKeysTest, NewKeysOfAJoinAreNotLookedFor) {
  const data::Schema output = SchemaFromText("k int, n int, k2 int, m int");
  OperatorTest op({input_, SchemaFromText("k2 int, m int")}, output,
                  Counted([&](state::Store* store) {
                    JoinSpec spec;
                    spec.left_keys = spec.right_keys = {0};
                    return NewJoin(spec, input_, SchemaFromText("k2 int, m int"), store,
                                   "op/j", 1 << 20);
                  }));
  for (int epoch = 0; epoch < 4; ++epoch) {
    const std::string rows = NewKeys();
    EXPECT_LT(LooksOf([&] { op.Step({rows, ""}); }), kStep / 10) << "epoch " << epoch;
    op.Commit();
  }
  for (int key = 0; key < next_key_; key += 1999) {
    EXPECT_EQ(op.Step({"", fmt::format("+ {} 5", key)}),
              fmt::format("+ {0} 1 {0} 5", key));
  }
}

}  // namespace
}  // namespace weir::ops
