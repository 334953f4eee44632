// weir test: the unit tests of a project's models.
#include <arrow/api.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "data/arrow.h"
#include "main/command.h"
#include "modeltest/unit_test.h"
#include "query/print.h"

namespace weir::main {
namespace {

using modeltest::UnitTest;
using modeltest::UnitTestResult;
using Json = nlohmann::json;

// `text` fits a pattern in which * stands for anything.
bool Fits(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return Fits(pattern.substr(1), text) ||
           (!text.empty() && Fits(pattern, text.substr(1)));
  }
  return !text.empty() && pattern[0] == text[0] &&
         Fits(pattern.substr(1), text.substr(1));
}

bool IsSelected(const UnitTest& test, const std::vector<std::string>& select) {
  return select.empty() ||
         std::any_of(select.begin(), select.end(), [&](const std::string& pattern) {
           return Fits(data::LowerName(pattern), test.model) ||
                  Fits(pattern, test.name) || Fits(pattern, test.file);
         });
}

// The rows as cells, each as often as it is there, behind a sign.
void AddCells(const char* sign, const data::Batch& rows,
              std::vector<std::vector<std::string>>* cells) {
  for (int64_t row = 0; row < rows.num_rows(); ++row) {
    std::vector<std::string> line = {sign};
    for (const auto& column : rows.rows->columns())
      query::AppendText(*column, row, &line.emplace_back());
    for (int32_t i = 0; i < rows.weight(row); ++i) cells->push_back(line);
  }
}

Json RowsJson(const data::Schema& schema, const data::Batch& rows) {
  Json out = Json::array();
  for (int64_t row = 0; row < rows.num_rows(); ++row) {
    Json object = Json::object();
    for (int i = 0; i < rows.rows->num_columns(); ++i) {
      std::string value;
      query::AppendJson(*rows.rows->column(i), row, &value);
      object[schema.fields[static_cast<size_t>(i)].name] = Json::parse(value);
    }
    for (int32_t i = 0; i < rows.weight(row); ++i) out.push_back(object);
  }
  return out;
}

void PrintFailure(const UnitTest& test, const UnitTestResult& result) {
  const int line = result.error.empty() ? test.steps[result.step].line : test.line;
  fmt::print("failed  {}  {}  ({}:{})\n", test.model, test.name, test.file, line);
  if (!result.error.empty()) {
    fmt::print("  {}\n", result.error);
    return;
  }
  const std::string step =
      test.steps.size() == 1
          ? ""
          : fmt::format(" after step {} of {}", result.step + 1, test.steps.size());
  if (result.how == "all rows at once") {
    fmt::print("  rows{}: - is expected and missing, + is there and not expected\n",
               step);
  } else {
    fmt::print(
        "  computed another way ({}) the rows{} are others: this is a fault of Weir, "
        "please report it with this test\n",
        result.how, step);
  }
  std::vector<std::string> header = {""};
  for (const data::Field& field : result.schema.fields) header.push_back(field.name);
  std::vector<std::vector<std::string>> cells;
  AddCells("-", result.missing, &cells);
  AddCells("+", result.unexpected, &cells);
  std::string table = query::FormatTable(header, cells);
  for (size_t at = 0; at < table.size();) {
    const size_t end = std::min(table.find('\n', at), table.size());
    fmt::print("  {}\n", table.substr(at, end - at));
    at = end + 1;
  }
}

Json ResultJson(const UnitTest& test, const UnitTestResult& result) {
  Json out = {{"name", test.name},
              {"model", test.model},
              {"file", test.file},
              {"line", test.line},
              {"status", result.passed() ? "passed" : "failed"}};
  if (!result.error.empty()) out["error"] = result.error;
  if (!result.how.empty()) {
    out["step"] = result.step + 1;
    out["computed"] = result.how;
    out["missing"] = RowsJson(result.schema, result.missing);
    out["unexpected"] = RowsJson(result.schema, result.unexpected);
  }
  return out;
}

// All files of tests/, in order of their names; faults are printed and counted.
std::vector<UnitTest> ReadTests(io::Io& io, const Loaded& loaded, int* faults) {
  std::vector<UnitTest> tests;
  std::vector<contract::Problem> problems;
  const std::string folder = io::Join(loaded.project->dir, "tests");
  auto names = io.List(folder);
  if (names.ok()) {
    std::sort(names->begin(), names->end());
    for (const std::string& name : *names) {
      if (!name.ends_with(".yml") && !name.ends_with(".yaml")) continue;
      const std::string file = "tests/" + name;
      const auto text = io.ReadAll(io::Join(folder, name));
      if (!text.ok()) {
        problems.push_back({file, 0, text.error().message, "put a readable file there"});
        continue;
      }
      for (UnitTest& test :
           modeltest::ParseUnitTests(file, *text, *loaded.plan, &problems))
        tests.push_back(std::move(test));
    }
  }
  *faults += PrintProblems(problems);
  return tests;
}

}  // namespace

int Test(io::Io& io, const Options& options, const std::vector<std::string>& select) {
  int faults = 0;
  const auto loaded = Load(io, options, &faults);
  if (!loaded) {
    fmt::print(stderr, "{} fault{}\n", faults, faults == 1 ? "" : "s");
    return kFailed;
  }
  const std::vector<UnitTest> tests = ReadTests(io, *loaded, &faults);
  if (tests.empty() && faults == 0)
    return Fail("there are no unit tests: write some into tests/*.yml", kFailed);
  Json report = Json::array();
  int passed = 0, failed = 0;
  for (const UnitTest& test : tests) {
    if (!IsSelected(test, select)) continue;
    const UnitTestResult result = modeltest::RunUnitTest(test, *loaded->plan);
    ++(result.passed() ? passed : failed);
    if (options.format == Format::kJson) {
      report.push_back(ResultJson(test, result));
    } else if (result.passed()) {
      fmt::print("passed  {}  {}\n", test.model, test.name);
    } else {
      PrintFailure(test, result);
    }
  }
  if (passed + failed == 0 && faults == 0)
    return Fail(
        fmt::format("no test fits --select {}; it takes names of models, tests and "
                    "files, with * for anything",
                    fmt::join(select, ",")),
        kFailed);
  if (options.format == Format::kJson) {
    fmt::print("{}\n",
               Json{{"passed", passed}, {"failed", failed}, {"tests", report}}.dump(2));
  } else {
    fmt::print("{} passed, {} failed\n", passed, failed);
  }
  if (faults > 0)
    fmt::print(stderr, "{} fault{} in the tests: those tests were not run\n", faults,
               faults == 1 ? "" : "s");
  return failed == 0 && faults == 0 ? kFine : kFailed;
}

}  // namespace weir::main
