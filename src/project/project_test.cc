#include "project/project.h"

#include <gtest/gtest.h>

namespace weir::project {
namespace {

TEST(SettingsTest, ReadsNumbersSizesAndDurations) {
  Settings settings;
  EXPECT_TRUE(ApplySetting(settings, "weir.step.rows", "1000").ok());
  EXPECT_TRUE(ApplySetting(settings, "weir.memory.max", "2GB").ok());
  EXPECT_TRUE(ApplySetting(settings, "weir.epoch.interval", "1 second").ok());
  EXPECT_EQ(settings.step_rows, 1000);
  EXPECT_EQ(settings.memory_max, int64_t{2} << 30);
  EXPECT_EQ(settings.epoch_interval, 1'000'000);
}

TEST(SettingsTest, NamesTheSettingThatWasMeant) {
  Settings settings;
  const Status s = ApplySetting(settings, "weir.step.row", "1");
  ASSERT_FALSE(s.ok());
  EXPECT_NE(s.error().message.find("did you mean weir.step.rows?"), std::string::npos);
  EXPECT_FALSE(ApplySetting(settings, "weir.step.rows", "many").ok());
  EXPECT_FALSE(ApplySetting(settings, "weir.memory.max", "lots").ok());
}

TEST(DidYouMeanTest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(DidYouMean("trps", {"trips", "drivers"}), "trips");
  EXPECT_EQ(DidYouMean("elephant", {"trips", "drivers"}), std::nullopt);
}

}  // namespace
}  // namespace weir::project
