#include "ops/sorted_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace weir::ops {
namespace {

TEST(SortedCountsTest, AgreesWithAMap) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (const uint64_t keys : {3u, 300u, 5000u}) {
    SortedCounts counts;
    std::map<std::string, int64_t> model;
    for (int step = 0; step < 30'000; ++step) {
      const std::string key = std::to_string(random() % keys);
      const int64_t weight = static_cast<int64_t>(random() % 5) - 2;
      model[key] += weight;
      if (model[key] == 0) model.erase(key);
      const auto* entry = counts.Add(key, weight);
      ASSERT_EQ(entry != nullptr, model.contains(key));
      if (entry != nullptr) {
        ASSERT_EQ(entry->weight, model[key]);
        ASSERT_EQ(entry->key(), key);
      }
      if (random() % 1000 == 0 && !model.empty()) {
        model.erase(std::prev(model.end()));
        counts.RemoveLast();
      }
      ASSERT_EQ(counts.size(), static_cast<int64_t>(model.size()));
      if (model.empty()) continue;
      ASSERT_EQ(counts.First().key(), model.begin()->first);
      ASSERT_EQ(counts.Last().key(), model.rbegin()->first);
    }
    int64_t total = 0;
    auto expected = model.begin();
    counts.ForEach([&](const SortedCounts::Entry& entry) {
      EXPECT_EQ(entry.key(), expected->first);
      total += (expected++)->second;
      return true;
    });
    EXPECT_EQ(expected, model.end());
    EXPECT_EQ(counts.total_weight(), total);
  }
}

TEST(SortedCountsTest, EveryPlaceFallsToItsString) {
  std::mt19937 random(7);
  SortedCounts counts;
  std::map<std::string, int64_t> model;
  for (int i = 0; i < 5000; ++i) {
    const std::string key = std::to_string(random() % 2000);
    const int64_t weight = model[key] > 0 && random() % 3 == 0
                               ? -model[key]
                               : static_cast<int64_t>(1 + random() % 3);
    if ((model[key] += weight) == 0) model.erase(key);
    counts.Add(key, weight);
  }
  while (model.size() > 1000) {
    counts.RemoveLast();
    model.erase(std::prev(model.end()));
  }
  int64_t place = 0;
  for (const auto& [key, weight] : model) {
    for (int64_t i = 0; i < weight; ++i) ASSERT_EQ(counts.AtWeight(place++).key(), key);
  }
  ASSERT_EQ(place, counts.total_weight());
}

TEST(SortedCountsTest, WhatWasPackedIsTheSame) {
  SortedCounts counts;
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    auto* entry = counts.Add(std::to_string(random() % 1000), 1 + i % 2 * 4);
    entry->gap = i % 3 == 0;
  }
  std::string packed = "before";
  counts.Pack(&packed);
  packed += "behind";
  SortedCounts again;
  EXPECT_EQ(again.Unpack(std::string_view(packed).substr(6)), "behind");
  EXPECT_EQ(again.size(), counts.size());
  EXPECT_EQ(again.total_weight(), counts.total_weight());
  EXPECT_EQ(again.bytes(), counts.bytes());
  auto one = counts.From("");
  for (auto other = again.From(""); !other.AtEnd(); other.Next(), one.Next()) {
    EXPECT_EQ(other->key(), one->key());
    EXPECT_EQ(other->weight, one->weight);
    EXPECT_EQ(other->gap, one->gap);
  }
  SortedCounts none;
  packed.clear();
  none.Pack(&packed);
  EXPECT_EQ(none.Unpack(packed), "");
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace weir::ops
