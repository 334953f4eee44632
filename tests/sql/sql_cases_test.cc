// Every case of tests/sql/*.test as a test of its own.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/event.h"
#include "case.h"
#include "coverage.h"

namespace weir::sqltest {
namespace {

const std::string kRoot = WEIR_SOURCE_DIR;

class CaseTest : public testing::Test {
 public:
  explicit CaseTest(Case c) : case_(std::move(c)) {}
  void TestBody() override {
    for (const std::string& failure : RunCase(case_)) ADD_FAILURE() << failure;
  }

 private:
  const Case case_;
};

class FileTest : public testing::Test {
 public:
  explicit FileTest(std::string error) : error_(std::move(error)) {}
  void TestBody() override { ADD_FAILURE() << error_; }

 private:
  const std::string error_;
};

std::string TestName(std::string text) {
  for (char& c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return text;
}

std::string Read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void RegisterFile(const std::filesystem::path& path, const std::string& suite) {
  auto cases = ParseCases(path.filename().string(), Read(path));
  if (!cases.ok()) {
    testing::RegisterTest(suite.c_str(), "Parse", nullptr, nullptr, path.c_str(), 1,
                          [error = cases.error().message]() -> testing::Test* {
                            return new FileTest(error);
                          });
    return;
  }
  for (Case& c : *cases) {
    const std::string name = TestName(c.name);
    const int line = c.line;
    testing::RegisterTest(
        suite.c_str(), name.c_str(), nullptr, nullptr, path.c_str(), line,
        [c = std::move(c)]() -> testing::Test* { return new CaseTest(c); });
  }
}

std::vector<std::filesystem::path> Files(const std::vector<const char*>& folders) {
  std::vector<std::filesystem::path> files;
  for (const char* folder : folders) {
    const std::filesystem::path path =
        std::filesystem::path(kRoot) / "tests/sql" / folder;
    if (!std::filesystem::exists(path)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == ".test") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void RegisterAll() {
  for (const auto& file : Files({"", "found"}))
    RegisterFile(file, TestName(file.stem().string()));
}

Result<std::string> MakeCoverage() {
  std::vector<Case> cases;
  for (const auto& file : Files({""})) {
    for (Case& c : WEIR_TRY(ParseCases(file.filename().string(), Read(file))))
      cases.push_back(std::move(c));
  }
  return CoverageDocument(Read(kRoot + "/tests/sql/coverage.txt"), cases);
}

// The stages of every model of a file, for the one who looks for a fault.
int PrintPlans(const std::filesystem::path& path) {
  const auto cases = ParseCases(path.filename().string(), Read(path));
  if (!cases.ok()) return fmt::print("{}\n", cases.error().message), 1;
  for (const Case& c : *cases) {
    fmt::print("case {}\n", c.name);
    const Planned planned = PlanCase(c);
    for (const std::string& problem : planned.problems) fmt::print("  {}\n", problem);
    if (!planned.plan) continue;
    for (const plan::ModelPlan& model : planned.plan->models) {
      fmt::print("{}: {} {}\n  {}\n", model.model.name, KindText(model),
                 model.why_not_better, model.completed_sql);
      for (size_t i = 0; i < model.stages.size(); ++i) {
        const plan::Stage& stage = model.stages[i];
        fmt::print("  _s{} {}{}: {}\n", i, plan::BlockKindName(stage.kind),
                   stage.one_group ? " of one group" : "", ColumnsText(stage.output));
        for (const plan::Port& port : stage.ports)
          fmt::print("    {} [{}] {}\n", port.table, fmt::join(port.exchange_keys, ","),
                     port.sql);
        if (!stage.recompute_sql.empty()) fmt::print("    {}\n", stage.recompute_sql);
      }
    }
  }
  return 0;
}

TEST(CoverageTest, TheDocumentIsWhatThePlannerSays) {
  const auto made = MakeCoverage();
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(Read(kRoot + "/docs/sql_coverage.md"), *made)
      << "sql_cases_test --coverage > docs/sql_coverage.md";
}

}  // namespace
}  // namespace weir::sqltest

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  weir::SetEventSeverity(weir::Severity::kError);
  if (argc > 1 && std::string_view(argv[1]) == "--coverage") {
    const auto made = weir::sqltest::MakeCoverage();
    fmt::print("{}", made.ok() ? *made : made.error().message);
    return made.ok() ? 0 : 1;
  }
  if (argc == 3 && std::string_view(argv[1]) == "--plan")
    return weir::sqltest::PrintPlans(argv[2]);
  if (argc > 1) {  // single files, wherever they are
    testing::GTEST_FLAG(filter) += "-CoverageTest.*";
    for (int i = 1; i < argc; ++i)
      weir::sqltest::RegisterFile(
          argv[i], weir::sqltest::TestName(std::filesystem::path(argv[i]).stem()));
  } else {
    weir::sqltest::RegisterAll();
  }
  return RUN_ALL_TESTS();
}
