#include "publish/merge_internal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace weir::publish {
namespace {

struct MergeCase {
  const char* name;
  std::vector<int64_t> bytes;
  std::vector<Run> runs;
};
class ChooseMergesTest : public testing::TestWithParam<MergeCase> {};
TEST_P(ChooseMergesTest, ChoosesRuns) {
  EXPECT_EQ(ChooseMerges(GetParam().bytes,
                         {.files_min = 4, .small_file_bytes = 100, .bytes_target = 300}),
            GetParam().runs);
}
INSTANTIATE_TEST_SUITE_P(
    , ChooseMergesTest,
    testing::Values(
        MergeCase{"NothingOfNothing", {}, {}}, MergeCase{"TooFewAreLeft", {1, 1, 1}, {}},
        MergeCase{"EnoughAreMerged", {1, 1, 1, 1}, {{0, 4}}},
        MergeCase{"ALargeFileIsABarrier", {1, 1, 1, 200, 1, 1, 1, 1}, {{4, 8}}},
        MergeCase{"AFileHeavierThanItsNeighboursWaits", {10, 1, 1, 1, 1}, {{1, 5}}},
        MergeCase{"AndIsTakenWhenTheyCaughtUp", {4, 1, 1, 1, 1}, {{0, 5}}},
        MergeCase{
            "ARunEndsAtTheTarget", {90, 90, 90, 90, 90, 90, 90, 90}, {{0, 4}, {4, 8}}}),
    [](const auto& info) { return info.param.name; });

TEST(MergeRuleTest, RewritesARowLogarithmicallyOftenAndLeavesFewFiles) {
  std::vector<int64_t> files;
  const MergeRule rule{
      .files_min = 8, .small_file_bytes = 1 << 20, .bytes_target = 8 << 20};
  int64_t rewritten = 0, written = 0;
  size_t most_small = 0;
  std::mt19937_64 random(7);
  for (int epoch = 0; epoch < 20'000; ++epoch) {
    const auto runs = ChooseMerges(files, rule);
    for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
      int64_t sum = 0;
      for (size_t i = run->first; i < run->last; ++i) sum += files[i];
      rewritten += sum;
      files.erase(files.begin() + static_cast<int64_t>(run->first),
                  files.begin() + static_cast<int64_t>(run->last));
      files.insert(files.begin() + static_cast<int64_t>(run->first), sum);
    }
    files.push_back(1000 + static_cast<int64_t>(random() % 1000));
    written += files.back();
    most_small =
        std::max(most_small,
                 static_cast<size_t>(std::count_if(
                     files.begin(), files.end(), [](int64_t b) { return b < 1 << 20; })));
  }
  EXPECT_LE(rewritten, 10 * written);  // log2(1 MiB / 1.5 kB) = 9.5
  EXPECT_LE(most_small, 30u);
}

}  // namespace
}  // namespace weir::publish
