// Every example in docs/sql.md is parsed and planned.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "case.h"
#include "sql/model.h"

namespace weir::sqltest {
namespace {

// What the examples read.
constexpr const char* kTables =
    "table bronze.ride_events (event_id VARCHAR, trip_id VARCHAR, rider_id VARCHAR, "
    "event_name VARCHAR, event_timestamp TIMESTAMPTZ, city_id INTEGER, fare DOUBLE) KEY "
    "(event_id) APPEND "
    "ONLY\n"
    "table bronze.crm (customer_id VARCHAR, updated_at TIMESTAMPTZ, op VARCHAR, city "
    "VARCHAR, email VARCHAR) APPEND ONLY\n"
    "table bronze.web (email VARCHAR, seen_at TIMESTAMPTZ) APPEND ONLY\n"
    "table bronze.shop (email VARCHAR, phone VARCHAR, seen_at TIMESTAMPTZ) APPEND ONLY\n"
    "table bronze.likes (post_id VARCHAR, ts TIMESTAMPTZ) APPEND ONLY\n"
    "table bronze.rides (city_id INTEGER, fare DOUBLE, ts TIMESTAMPTZ) APPEND ONLY\n"
    "table bronze.views (user_id VARCHAR, ts TIMESTAMPTZ) APPEND ONLY\n"
    "table silver.records (source VARCHAR, source_id VARCHAR, email_norm VARCHAR, "
    "phone_norm VARCHAR, device_id VARCHAR, seen_at TIMESTAMPTZ) KEY (source, "
    "source_id)\n"
    "case tables\n";

// The text of ```sql blocks. Those that are ```sql fragment are no statements.
std::vector<std::string> Examples(const std::string& document) {
  std::vector<std::string> out;
  std::istringstream lines(document);
  std::string line;
  bool inside = false;
  while (std::getline(lines, line)) {
    if (line.starts_with("```")) {
      inside = line == "```sql";
      if (inside) out.emplace_back();
    } else if (inside) {
      out.back() += line + "\n";
    }
  }
  return out;
}

TEST(DocsTest, EveryExampleOfTheReferenceIsPlanned) {
  std::ifstream in(WEIR_SOURCE_DIR "/docs/sql.md");
  std::stringstream text;
  text << in.rdbuf();
  const std::vector<std::string> examples = Examples(text.str());
  EXPECT_GE(examples.size(), 5u);
  const auto tables = ParseCases("tables", kTables);
  ASSERT_TRUE(tables.ok()) << tables.error().message;
  for (const std::string& example : examples) {
    std::vector<sql::FileProblem> problems;
    auto models = sql::ParseModels({{"docs/sql.md", example}}, &problems);
    std::optional<plan::Plan> plan;
    if (problems.empty())
      plan = plan::MakePlan(tables->at(0).tables, std::move(models), &problems);
    for (const auto& [file, problem] : problems) {
      ADD_FAILURE() << fmt::format("{}:{}: {} [{}] in\n{}", problem.place.line,
                                   problem.place.column, problem.message, problem.fix,
                                   example);
    }
    if (!plan) continue;
    for (const plan::ModelPlan& model : plan->models)
      EXPECT_EQ(model.why_not_better, "") << example;
  }
}

}  // namespace
}  // namespace weir::sqltest
