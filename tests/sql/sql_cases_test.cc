// Every case of tests/sql/*.test as a test of its own.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "case.h"

namespace weir::sqltest {
namespace {

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

void RegisterFile(const std::filesystem::path& path, const std::string& suite) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  auto cases = ParseCases(path.filename().string(), text.str());
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

void RegisterAll() {
  const std::filesystem::path root(WEIR_SOURCE_DIR "/tests/sql");
  std::vector<std::filesystem::path> files;
  for (const char* folder : {"", "found"}) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root / folder)) {
      if (entry.path().extension() == ".test") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) RegisterFile(file, TestName(file.stem().string()));
}

}  // namespace
}  // namespace weir::sqltest

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) {  // single files, wherever they are
    for (int i = 1; i < argc; ++i)
      weir::sqltest::RegisterFile(
          argv[i], weir::sqltest::TestName(std::filesystem::path(argv[i]).stem()));
  } else {
    weir::sqltest::RegisterAll();
  }
  return RUN_ALL_TESTS();
}
