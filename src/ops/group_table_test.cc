#include "ops/group_table.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace weir::ops {
namespace {

TEST(GroupTableTest, FindsWhatWasInsertedAndNotRemoved) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  GroupTable table(8);
  std::unordered_map<uint64_t, Group*> model;
  for (int step = 0; step < 200'000; ++step) {
    // Many equal low bits, so that searches run long and removals move places.
    const uint64_t number = random() % 20'000;
    const Hash128 hash{number % 100, number};
    Group* found = table.Find(hash);
    const auto known = model.find(number);
    ASSERT_EQ(found, known == model.end() ? nullptr : known->second);
    if (found == nullptr && random() % 2 == 0 && model.size() < 2000) {
      found = model[number] = table.Insert(hash);
      WriteAs(found->slots(), number);
    } else if (found != nullptr && random() % 3 == 0) {
      ASSERT_EQ(ReadAs<uint64_t>(found->slots()), number);
      table.Remove(found);
      model.erase(number);
    }
    ASSERT_EQ(table.count(), static_cast<int64_t>(model.size()));
  }
  size_t seen = 0;
  for (uint32_t i = 0; i < table.index_end(); ++i) seen += table.At(i) != nullptr;
  EXPECT_EQ(seen, model.size());
}

TEST(GroupTableTest, HeapItemsOfAnySizeComeBack) {
  GroupTable table(0);
  Group* group = table.Insert({1, 2});
  std::vector<std::pair<uint32_t, std::string>> items;
  table.FreeHeap(table.RenewHeap(group, 100'000));
  for (const size_t size : {0u, 1u, 127u, 128u, 16'383u, 16'384u, 40'000u}) {
    const std::string item(size, static_cast<char>('a' + items.size()));
    ASSERT_TRUE(GroupTable::HasRoom(group->heap, size));
    items.emplace_back(GroupTable::AddItem(group->heap, item), item);
  }
  EXPECT_FALSE(GroupTable::HasRoom(group->heap, 40'000));
  for (const auto& [ref, item] : items)
    EXPECT_EQ(GroupTable::Item(group->heap, ref), item);
  table.Remove(group);
}

}  // namespace
}  // namespace weir::ops
