#include "project/project.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/sim_io.h"

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
  EXPECT_FALSE(ApplySetting(settings, "weir.memory.max", "9223372036854775807KiB").ok());
  EXPECT_FALSE(ApplySetting(settings, "weir.partitions", "2147483648").ok());
  EXPECT_FALSE(ApplySetting(settings, "weir.lease", "PT0S").ok());
  EXPECT_FALSE(ApplySetting(settings, "weir.lease", "P9223372036854775807D").ok());
}

std::string ProblemsOf(const std::string& file, const std::string& text,
                       const ProjectOptions& options = {}) {
  io::SimIo io;
  EXPECT_TRUE(io.CreateDirs("/p/contracts").ok());
  EXPECT_TRUE(io.CreateDirs("/p/models").ok());
  EXPECT_TRUE(io.WriteNew("/p/" + file, text).ok());
  if (file != "weir.yml") {
    EXPECT_TRUE(io.WriteNew("/p/weir.yml", "name: p\n").ok());
  }
  std::vector<contract::Problem> problems;
  const auto project = LoadProject(io, "/p", options, &problems);
  EXPECT_EQ(project.has_value(), problems.empty());
  std::string out;
  for (const contract::Problem& problem : problems)
    out += fmt::format("{}:{}: {}; {}\n", problem.file, problem.line, problem.message,
                       problem.fix);
  return out;
}

TEST(ProjectTest, KeysThatStandTwiceAreNamed) {
  EXPECT_EQ(ProblemsOf("weir.yml", "name: a\nname: b\n"),
            "weir.yml:2: the key 'name' stands twice; keep one of the two\n");
  EXPECT_EQ(ProblemsOf("weir.yml",
                       "name: a\nconfiguration:\n  weir.step.rows: 1\n"
                       "  weir.step.rows: 2\n"),
            "weir.yml:4: the key 'weir.step.rows' stands twice; keep one of the two\n");
}

TEST(ProjectTest, AProfileThatIsNotThereIsNamed) {
  for (const char* profiles : {"", "profiles:\n", "profiles: dev\n", "profiles: [dev]\n",
                               "profiles: {dev: 1}\n", "profiles: {other: {}}\n"}) {
    EXPECT_EQ(
        ProblemsOf("weir.yml", std::string("name: p\n") + profiles,
                   {.profile = "dev", .overrides = {}}),
        "weir.yml:0: no profile 'dev'; add it under `profiles:`, or leave --profile "
        "away\n");
  }
}

TEST(ProjectTest, TextThatIsNotUtf8IsNamedWithItsLine) {
  for (const std::string file : {"weir.yml", "contracts/a.odcs.yaml", "models/a.sql"}) {
    for (const char* bytes : {"\xff", "\xc3", "\xc0\x80", "\xe0\x9f\x80", "\xed\xa0\x80",
                              "\xf4\x90\x80\x80", "\x80", "\xf0\x9f\x98"}) {
      EXPECT_EQ(
          ProblemsOf(file,
                     std::string("# \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\n") + bytes),
          file + ":2: the text is not UTF-8; save the file as UTF-8\n");
    }
  }
  EXPECT_EQ(ProblemsOf("weir.yml", "name: \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n"), "");
}

TEST(DidYouMeanTest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(DidYouMean("trps", {"trips", "drivers"}), "trips");
  EXPECT_EQ(DidYouMean("elephant", {"trips", "drivers"}), std::nullopt);
}

}  // namespace
}  // namespace weir::project
