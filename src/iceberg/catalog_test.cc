#include "iceberg/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/sim_io.h"

namespace weir::iceberg {
namespace {

const std::string kPath = "/d/catalog.db";

Staged Change(const std::string& table, const std::string& from, const std::string& to) {
  Staged staged;
  staged.table = table;
  staged.base_location = from;
  staged.metadata_location = to;
  return staged;
}

class CatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(io_.CreateDirs("/d").ok());
    catalog_ = Open(false);
  }
  void TearDown() override { catalog_.reset(); }

  std::unique_ptr<Catalog> Open(bool read_only, const std::string& name = "weir") {
    auto opened = Catalog::Open(io_, kPath, name, read_only);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  Status Swap(const Staged& staged) {
    return catalog_->Transact([&] { return catalog_->Swap(staged); });
  }
  std::string Location(const std::string& table) {
    const auto found = catalog_->Find(table);
    EXPECT_TRUE(found.ok());
    return *found ? (*found)->metadata_location : "none";
  }

  io::SimIo io_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, ListsTablesByName) {
  ASSERT_TRUE(Swap(Change("silver.trips", "", "a")).ok());
  ASSERT_TRUE(Swap(Change("bronze.ride_events$rejected", "", "b")).ok());
  const auto tables = catalog_->List();
  ASSERT_TRUE(tables.ok());
  ASSERT_EQ(tables->size(), 2u);
  EXPECT_EQ((*tables)[0].name, "bronze.ride_events$rejected");
  EXPECT_EQ((*tables)[1].metadata_location, "a");
  EXPECT_TRUE(Open(false, "other")->List()->empty());
  const auto spaces = catalog_->Sql(
      "SELECT namespace, property_value FROM iceberg_namespace_properties ORDER BY 1");
  ASSERT_EQ(spaces->size(), 2u);
  EXPECT_EQ(std::get<std::string>((*spaces)[1][0]), "silver");
}

TEST_F(CatalogTest, SwapsOnlyFromTheExpectedVersion) {
  ASSERT_TRUE(Swap(Change("db.t", "", "v0")).ok());
  EXPECT_EQ(Swap(Change("db.t", "", "again")).error().code, Code::kConflict);
  ASSERT_TRUE(Swap(Change("db.t", "v0", "v1")).ok());
  EXPECT_EQ(Swap(Change("db.t", "v0", "lost")).error().code, Code::kConflict);
  EXPECT_EQ(Swap(Change("db.unknown", "v0", "v1")).error().code, Code::kConflict);
  EXPECT_EQ(Location("db.t"), "v1");
  EXPECT_EQ(Location("db.unknown"), "none");
  EXPECT_FALSE(Swap(Change("nonamespace", "", "v0")).ok());
}

TEST_F(CatalogTest, CommitsAllTablesOrNone) {
  ASSERT_TRUE(Swap(Change("db.a", "", "a0")).ok());
  const Status failed = catalog_->Transact([&]() -> Status {
    WEIR_TRY(catalog_->Swap(Change("db.a", "a0", "a1")));
    WEIR_TRY(catalog_->Sql("CREATE TABLE weir_epochs (n INTEGER)"));
    return catalog_->Swap(Change("db.b", "b0", "b1"));
  });
  EXPECT_EQ(failed.error().code, Code::kConflict);
  EXPECT_EQ(Location("db.a"), "a0");
  EXPECT_FALSE(catalog_->Sql("SELECT * FROM weir_epochs").ok());
  EXPECT_EQ(catalog_->Swap(Change("db.a", "a0", "a1")).error().code, Code::kInternal);
  EXPECT_EQ(
      catalog_->Transact([&] { return catalog_->Transact([] { return Status(); }); })
          .error()
          .code,
      Code::kInternal);
}

TEST_F(CatalogTest, DropsTables) {
  ASSERT_TRUE(Swap(Change("db.t", "", "v0")).ok());
  EXPECT_TRUE(catalog_->Drop("db.t").ok());
  EXPECT_EQ(catalog_->Drop("db.t").error().code, Code::kNotFound);
  EXPECT_TRUE(Swap(Change("db.t", "", "new")).ok());
}

TEST_F(CatalogTest, RunsSqlWithParameters) {
  ASSERT_TRUE(catalog_
                  ->Sql("CREATE TABLE weir_x (i INTEGER, d REAL, t TEXT, n TEXT); CREATE "
                        "INDEX weir_i ON weir_x (i)")
                  .ok());
  const SqlRow row = {int64_t{1} << 60, 2.5, std::string("o'clock"), std::monostate()};
  ASSERT_TRUE(catalog_->Sql("INSERT INTO weir_x VALUES (?, ?, ?, ?)", row).ok());
  EXPECT_EQ(catalog_->changes(), 1);
  EXPECT_EQ(*catalog_->Sql("SELECT * FROM weir_x WHERE i = ?", {row[0]}),
            std::vector<SqlRow>{row});
  EXPECT_EQ(catalog_->Sql("SELEC").error().code, Code::kInvalid);
  EXPECT_EQ(catalog_->Sql("SELECT ?", {int64_t{1}, int64_t{2}}).error().code,
            Code::kInvalid);
}

TEST_F(CatalogTest, AReaderChangesNothingAndSeesCommittedTables) {
  ASSERT_TRUE(Swap(Change("db.t", "", "v0")).ok());
  const uint64_t operations = io_.operations();
  const auto reader = Open(true);
  ASSERT_TRUE(reader->List().ok());
  EXPECT_EQ(io_.operations(), operations) << io_.last_operation();
  EXPECT_FALSE(
      reader->Transact([&] { return reader->Swap(Change("db.t", "v0", "v1")); }).ok());
  ASSERT_TRUE(Swap(Change("db.t", "v0", "v1")).ok());
  EXPECT_EQ((*reader->Find("db.t"))->metadata_location, "v1");
  EXPECT_EQ(Catalog::Open(io_, "/d/none.db", "weir", true).error().code, Code::kNotFound);
  EXPECT_FALSE(io_.Exists("/d/none.db"));
}

TEST_F(CatalogTest, NamesAFileThatIsNoDatabase) {
  ASSERT_TRUE(io_.WriteNew("/d/text.db", std::string(5000, 'x')).ok());
  EXPECT_EQ(Catalog::Open(io_, "/d/text.db", "weir", false).error().code, Code::kCorrupt);
}

TEST_F(CatalogTest, TakesOverACatalogOfTheOlderLayout) {
  for (const char* statement :
       {"DROP TABLE iceberg_tables",
        "CREATE TABLE iceberg_tables (catalog_name VARCHAR(255) NOT NULL, "
        "table_namespace VARCHAR(255) NOT NULL, table_name "
        "VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000), "
        "previous_metadata_location VARCHAR(1000), PRIMARY KEY "
        "(catalog_name, table_namespace, table_name))",
        "INSERT INTO iceberg_tables VALUES ('weir', 'db', 'old', 'v0', NULL)"}) {
    ASSERT_TRUE(catalog_->Sql(statement).ok());
  }
  catalog_ = Open(false);
  EXPECT_EQ(Location("db.old"), "v0");
  EXPECT_TRUE(Swap(Change("db.old", "v0", "v1")).ok());
}

// Cuts the power after every operation: a commit that was reported is there, one that was
// not is there whole or not at all.
TEST(CatalogCrashTest, CommitsSurviveEveryCut) {
  for (uint64_t cut = 0;; ++cut) {
    io::SimIo io;
    ASSERT_TRUE(io.CreateDirs("/d").ok());
    int committed = 0;
    {
      auto catalog = Catalog::Open(io, kPath, "weir", false);
      ASSERT_TRUE(catalog.ok());
      io.SetFaults({.cut_power_after = cut});
      for (int i = 0; i < 4; ++i) {
        const Status swapped = (*catalog)->Transact([&]() -> Status {
          const std::string from = i == 0 ? "" : std::to_string(i - 1);
          WEIR_TRY((*catalog)->Swap(Change("db.a", from, std::to_string(i))));
          return (*catalog)->Swap(Change("db.b", from, std::to_string(i)));
        });
        if (!swapped.ok()) break;
        ++committed;
      }
    }
    io.PowerOn(cut, io::AfterCut::kRandom);
    auto catalog = Catalog::Open(io, kPath, "weir", false);
    ASSERT_TRUE(catalog.ok()) << "cut after " << cut << ": " << catalog.error().message;
    const auto a = *(*catalog)->Find("db.a"), b = *(*catalog)->Find("db.b");
    ASSERT_EQ(a.has_value(), b.has_value());
    const int found = a ? std::stoi(a->metadata_location) + 1 : 0;
    if (a) {
      ASSERT_EQ(a->metadata_location, b->metadata_location);
    }
    ASSERT_GE(found, committed) << "cut after " << cut;
    ASSERT_LE(found, committed + 1) << "cut after " << cut;
    if (committed == 4) break;
  }
}

}  // namespace
}  // namespace weir::iceberg
