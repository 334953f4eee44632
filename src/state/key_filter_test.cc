#include "state/key_filter.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace weir::state {
namespace {

Hash128 Key(int64_t number) {
  return HashBytes128({reinterpret_cast<const char*>(&number), sizeof number});
}

TEST(KeyFilterTest, KnowsAllThatWereAddedAndHardlyAnyOther) {
  KeyFilter filter(64 << 20);
  EXPECT_FALSE(filter.MayContain(Key(0)));
  EXPECT_EQ(filter.bytes(), 0);
  constexpr int64_t kKeys = 300'000;
  for (int64_t i = 0; i < kKeys; ++i) {
    filter.Add(Key(i));
    if ((i & (i - 1)) != 0) continue;  // also between two powers of two
    int wrong = 0;
    for (int64_t other = 0; other < 10'000; ++other)
      wrong += filter.MayContain(Key(-1 - other));
    EXPECT_LT(wrong, 100) << "after " << i + 1 << " keys";
  }
  for (int64_t i = 0; i < kKeys; ++i) ASSERT_TRUE(filter.MayContain(Key(i))) << i;
  EXPECT_LT(filter.bytes(), kKeys * 6);
}

TEST(KeyFilterTest, AKeyThatIsAddedAgainTakesNoRoom) {
  KeyFilter filter(64 << 20);
  for (int i = 0; i < 100'000; ++i) filter.Add(Key(i % 100));
  EXPECT_LE(filter.bytes(), 1024);
}

TEST(KeyFilterTest, WithoutRoomToGrowItAnswersYesAndNeverWrongly) {
  KeyFilter filter(6 << 10);
  for (int64_t i = 0; i < 100'000; ++i) filter.Add(Key(i));
  EXPECT_LE(filter.bytes(), 6 << 10);
  for (int64_t i = 0; i < 100'000; ++i) ASSERT_TRUE(filter.MayContain(Key(i))) << i;
}

}  // namespace
}  // namespace weir::state
