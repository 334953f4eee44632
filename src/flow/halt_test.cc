// Models that stand still: constraints that fail the update, false keys. What they read
// goes on, and they follow when nothing is wrong any more.
#include "base/event.h"
#include "flow/testing_internal.h"

namespace weir::flow {
namespace {

constexpr const char* kHeld = R"(CREATE MATERIALIZED VIEW silver.held
CONSTRAINT spent_sane EXPECT (spent BETWEEN 0 AND 100) ON VIOLATION FAIL UPDATE
CONSTRAINT not_bob EXPECT (customer <> 'bob') ON VIOLATION QUARANTINE
CONSTRAINT few EXPECT (orders < 2)
AS SELECT customer, count(*) AS orders, sum(amount) AS spent FROM bronze.orders GROUP BY customer;)";

class HaltTest : public testing::Test {
 protected:
  void SetUp() override {
    SetEventSeverity(Severity::kError);
    Write("/p/weir.yml",
          "name: orders\nconfiguration:\n  weir.step.rows: 1\n  weir.epoch.steps: 1\n");
    Write("/p/contracts/orders.odcs.yaml", kContract);
    Write("/p/models/silver/held.sql", kHeld);
    Write("/p/models/gold/total.sql",
          "CREATE MATERIALIZED VIEW gold.total AS SELECT count(*) AS customers, "
          "sum(spent) AS spent FROM silver.held;");
    Write("/p/models/gold/others.sql",
          "CREATE MATERIALIZED VIEW gold.others AS SELECT count(*) AS orders FROM "
          "bronze.orders;");
  }

  void Write(const std::string& path, const std::string& text) {
    const std::string dir(io::DirName(path));
    ASSERT_TRUE(io_.CreateDirs(dir).ok());
    if (io_.Exists(path)) {
      ASSERT_TRUE(io_.Remove(path).ok());
    }
    ASSERT_TRUE(io_.WriteNew(path, text).ok());
    ASSERT_TRUE(io_.SyncDir(dir).ok());
  }

  // Orders "customer amount", in a file of their own.
  void Orders(const std::vector<std::pair<std::string, double>>& orders) {
    std::string text;
    for (const auto& [customer, amount] : orders) {
      ++order_;
      text += fmt::format(
          "{{\"id\":\"o{}\",\"placed\":\"2026-01-01T00:{:02}:00Z\",\"customer\":\"{}\","
          "\"amount\":{}}}\n",
          order_, order_, customer, amount);
    }
    Write(fmt::format("/p/data/{:03}.ndjson", order_), text);
  }

  // One run; which models stand still at its end, and why.
  std::map<std::string, std::string> Run() {
    std::vector<contract::Problem> problems;
    auto project = project::LoadProject(io_, "/p", {}, &problems);
    WEIR_CHECK(project.has_value());
    std::vector<plan::PlanProblem> plan_problems;
    auto plan =
        plan::MakePlan(SourceInputs(project->contracts), project->models, &plan_problems);
    WEIR_CHECK(plan.has_value());
    FlowOptions options;
    options.data_dir = "/lake";
    options.store.deterministic = true;
    ManualClock clock(1'767'300'000'000'000);
    auto flow = Flow::Open(io_, clock, *project, *plan, options);
    if (!flow.ok()) return {{"open", flow.error().message}};
    const auto report = (*flow)->Run(CancelToken(), nullptr);
    if (!report.ok()) return {{"run", report.error().message}};
    return report->halted;
  }

  std::string Table(const std::string& table, const std::vector<std::string>& columns) {
    auto catalog = iceberg::Catalog::Open(io_, "/lake/catalog.db", "weir", true);
    WEIR_CHECK(catalog.ok());
    auto rows = Rows(io_, **catalog, table, columns);
    return rows.ok() ? *rows : rows.error().message;
  }
  std::string Held() { return Table("silver.held", {"customer", "orders", "spent"}); }
  std::string Rejected() {
    return Table("silver.held$rejected", {"customer", "_constraint"});
  }
  std::string Total() { return Table("gold.total", {"customers", "spent"}); }
  std::string Others() { return Table("gold.others", {"orders"}); }
  std::string Sql(const std::string& sql) {
    auto catalog = iceberg::Catalog::Open(io_, "/lake/catalog.db", "weir", true);
    const auto rows = (*catalog)->Sql(sql);
    return rows.ok() && !rows->empty() ? std::get<std::string>((*rows)[0][0]) : "";
  }

  io::SimIo io_;
  int order_ = 0;
};

TEST_F(HaltTest, AModelStandsStillWithItsReadersUntilItsRowsAreMended) {
  Orders({{"ann", 10}, {"bob", 20}});
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Held(), "silver.held: ann 1 10");
  EXPECT_EQ(Rejected(), "silver.held$rejected: bob not_bob");
  Orders({{"cid", 30}, {"ann", 1000}, {"bob", 1}});
  const auto halted = Run();
  EXPECT_EQ(halted.at("silver.held"),
            "silver.held: 1 row violates constraint spent_sane, EXPECT (spent BETWEEN 0 "
            "AND 100) ON VIOLATION FAIL UPDATE: ann | 2 | 1010; mend the rows it comes "
            "from, or change the constraint");
  EXPECT_EQ(halted.at("silver.held$rejected"), "silver.held is halted");
  EXPECT_EQ(halted.at("gold.total"), "silver.held is halted");
  EXPECT_EQ(halted.size(), 3u);
  // cid's order came an epoch earlier, if the epochs are as small as the steps.
  EXPECT_EQ(Held(), "silver.held: ann 1 10, cid 1 30");
  EXPECT_EQ(Total(), "gold.total: 2 40");
  EXPECT_EQ(Others(), "gold.others: 5");
  EXPECT_EQ(Sql("SELECT halted FROM weir_models WHERE model = 'gold.total'"),
            "silver.held is halted");
  // Nothing new: the next process starts, and they still stand.
  EXPECT_EQ(Run().size(), 3u);
  EXPECT_EQ(Held(), "silver.held: ann 1 10, cid 1 30");
  Orders({{"ann", -980}});
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Held(), "silver.held: ann 3 30, cid 1 30");
  EXPECT_EQ(Total(), "gold.total: 2 60");
  EXPECT_EQ(Rejected(), "silver.held$rejected: bob not_bob");
  EXPECT_EQ(Others(), "gold.others: 6");
  EXPECT_EQ(Sql("SELECT halted FROM weir_models WHERE model = 'gold.total'"), "");
  EXPECT_NE(Sql("SELECT work FROM weir_work WHERE model = 'silver.held'")
                .find("[{\"constraint\":\"spent_sane\",\"on_violation\":\"fail update\","
                      "\"rows\":0},{\"constraint\":\"not_bob\",\"on_violation\":"
                      "\"quarantine\",\"rows\":1},{\"constraint\":\"few\","
                      "\"on_violation\":\"count\",\"rows\":2}]"),
            std::string::npos)
      << Sql("SELECT work FROM weir_work WHERE model = 'silver.held'");
}

TEST_F(HaltTest, AModelIsReleasedInTheSameProcess) {
  Orders({{"ann", 10}, {"ann", 1000}, {"cid", 5}, {"ann", -980}, {"dan", 7}});
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Held(), "silver.held: ann 3 30, cid 1 5, dan 1 7");
  EXPECT_EQ(Total(), "gold.total: 3 42");
}

TEST_F(HaltTest, AChangedConstraintReleasesToo) {
  Orders({{"ann", 10}, {"ann", 1000}, {"bob", 5}});
  EXPECT_EQ(Run().size(), 3u);
  std::string text = kHeld;
  text.replace(text.find("FAIL UPDATE"), 11, "QUARANTINE");
  Write("/p/models/silver/held.sql", text);
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Held(), "silver.held: ");
  EXPECT_EQ(Rejected(), "silver.held$rejected: ann spent_sane, bob not_bob");
  // And back: both tables are made anew.
  Write("/p/models/silver/held.sql", kHeld);
  EXPECT_EQ(Run().size(), 3u);
  Orders({{"ann", -980}});
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Held(), "silver.held: ann 3 30");
  EXPECT_EQ(Rejected(), "silver.held$rejected: bob not_bob");
}

// Lanes behind: one that lags, and one that is refreshed whole.
TEST_F(HaltTest, LanesBehindHaltAndAreReleased) {
  std::string lagging = kHeld;
  lagging.replace(lagging.find("CONSTRAINT"), 0, "TARGET_LAG = '1 hour' ");
  Write("/p/models/silver/held.sql", lagging);
  Write("/p/models/gold/place.sql",
        "CREATE MATERIALIZED VIEW gold.place CONSTRAINT few EXPECT (orders < 4) ON "
        "VIOLATION FAIL UPDATE CONSTRAINT one EXPECT (p = 0) ON VIOLATION QUARANTINE AS "
        "SELECT orders, percent_rank() OVER (ORDER BY orders) AS p FROM "
        "(SELECT customer, count(*) AS orders FROM bronze.orders GROUP BY customer);");
  Orders({{"ann", 10}, {"bob", 20}, {"ann", 1}});
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Table("gold.place", {"orders"}), "gold.place: 1");
  EXPECT_EQ(Table("gold.place$rejected", {"orders", "_constraint"}),
            "gold.place$rejected: 2 one");
  Orders({{"ann", 1000}, {"ann", 1}});
  const auto halted = Run();
  EXPECT_EQ(halted.size(), 5u);
  EXPECT_TRUE(halted.contains("gold.place$rejected"));
  EXPECT_EQ(Held(), "silver.held: ann 2 11");
  EXPECT_EQ(Table("gold.place", {"orders"}), "gold.place: 1");
  EXPECT_EQ(Others(), "gold.others: 5");
  Orders({{"ann", -980}});
  EXPECT_EQ(Run().size(), 2u);  // only what is refreshed
  EXPECT_EQ(Held(), "silver.held: ann 5 32");
  EXPECT_EQ(Total(), "gold.total: 1 32");
}

TEST_F(HaltTest, ARowThatFailsIsRejectedOrFailsTheUpdate) {
  const std::string query =
      "AS SELECT CAST(customer AS INTEGER) AS customer, amount AS spent FROM "
      "bronze.orders;";
  Write("/p/models/silver/held.sql", "CREATE MATERIALIZED VIEW silver.held " + query);
  Orders({{"1", 10}, {"ann", 20}, {"2", 5}});
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Table("silver.held", {"customer"}), "silver.held: 1, 2");
  EXPECT_EQ(Table("silver.held$rejected", {"_reason", "_inputs"}),
            "silver.held$rejected: error {\"customer\":\"ann\"}");
  EXPECT_EQ(Total(), "gold.total: 2 15");
  Write(
      "/p/models/silver/held.sql",
      "CREATE MATERIALIZED VIEW silver.held TBLPROPERTIES ('weir.onRowError' = 'fail') " +
          query);
  const auto halted = Run();
  EXPECT_EQ(halted.size(), 2u);
  EXPECT_NE(halted.at("silver.held").find("'ann'"), std::string::npos)
      << halted.at("silver.held");
  EXPECT_EQ(Others(), "gold.others: 3");
  std::string mended = query;
  mended.replace(mended.find("CAST"), 4, "TRY_CAST");
  Write("/p/models/silver/held.sql", "CREATE MATERIALIZED VIEW silver.held " + mended);
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Total(), "gold.total: 3 35");
}

// What a model that turns out false in its table gave to its readers is not committed.
TEST_F(HaltTest, AFalseKeyTakesItsReadersAlong) {
  Write("/p/models/silver/held.sql",
        "CREATE MATERIALIZED VIEW silver.held KEY (customer) AS SELECT customer, 1 AS "
        "orders, amount AS spent FROM bronze.orders;");
  Orders({{"ann", 10}, {"bob", 20}});
  EXPECT_TRUE(Run().empty());
  Orders({{"ann", 5}});
  EXPECT_EQ(Run().size(), 2u);
  EXPECT_EQ(Total(), "gold.total: 2 30");
  EXPECT_EQ(Run().size(), 2u);
  EXPECT_EQ(Total(), "gold.total: 2 30");
  Write("/p/models/silver/held.sql",
        "CREATE MATERIALIZED VIEW silver.held AS SELECT customer, 1 AS orders, amount AS "
        "spent FROM bronze.orders;");
  EXPECT_TRUE(Run().empty());
  EXPECT_EQ(Total(), "gold.total: 3 35");
}

}  // namespace
}  // namespace weir::flow
