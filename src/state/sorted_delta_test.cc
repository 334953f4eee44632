#include "state/sorted_delta.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>

namespace weir::state {
namespace {

using Rows = std::map<std::pair<std::string, std::string>, std::optional<std::string>>;

// What it visits, in its order.
std::vector<Rows::value_type> Visited(const Delta& delta) {
  SortedDelta sorted;
  EXPECT_TRUE(delta
                  .ForEach([&](const Delta::Record& record) -> Status {
                    sorted.Add(record);
                    return {};
                  })
                  .ok());
  std::vector<Rows::value_type> out;
  EXPECT_TRUE(sorted
                  .ForEach([&](const SortedDelta::Row& row) -> Status {
                    out.push_back({{std::string(row.space), std::string(row.key)},
                                   row.erased ? std::nullopt
                                              : std::optional<std::string>(row.value)});
                    return {};
                  })
                  .ok());
  return out;
}

std::string RandomKey(std::mt19937_64& random, int kind) {
  std::string key;
  switch (kind) {
    case 0:  // a hash behind a letter, as operators have them
      key = random() % 2 == 0 ? "g" : "x";
      for (int i = 0; i < 16; ++i) key += static_cast<char>(random());
      return key;
    case 1:  // alike in many of their first bytes, few of them different
      key.assign(random() % 20, 'a');
      return key + static_cast<char>('a' + random() % 3);
    case 2:  // a counter
      return std::string(6, '\0') + static_cast<char>(random() % 256) +
             static_cast<char>(random());
    default:  // anything, the empty key too
      for (uint64_t i = random() % 4; i > 0; --i) key += static_cast<char>(random());
      return key;
  }
}

TEST(SortedDeltaTest, VisitsTheLastRecordOfEachKeyInOrder) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (const size_t records : {0, 1, 2, 3, 50, 1000, 20'000}) {
    for (int kind = 0; kind < 5; ++kind) {  // 4: all of them in one
      Delta delta;
      Rows want;
      for (size_t i = 0; i < records; ++i) {
        const std::string space(1, static_cast<char>('a' + random() % 3));
        const std::string key =
            RandomKey(random, kind < 4 ? kind : static_cast<int>(random() % 4));
        if (random() % 4 == 0) {
          delta.Erase(space, key);
          want[{space, key}] = std::nullopt;
        } else {
          delta.Put(space, key, std::to_string(i));
          want[{space, key}] = std::to_string(i);
        }
      }
      ASSERT_EQ(Visited(delta), (std::vector<Rows::value_type>(want.begin(), want.end())))
          << records << " records of kind " << kind;
    }
  }
}

}  // namespace
}  // namespace weir::state
