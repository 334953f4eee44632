#include "query/query.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/parquet.h"
#include "data/arrow.h"
#include "data/batch.h"
#include "iceberg/catalog.h"
#include "iceberg/deletion_vector.h"
#include "io/temp_folder.h"
#include "query/as_of.h"
#include "query/print.h"

namespace weir::query {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr Micros kHour = 3'600'000'000;
constexpr Micros kStart = 1'514'764'800'000'000;  // 2018-01-01

struct Row {
  int64_t id;
  std::string name;
  Micros at;
};

// A lake of small tables; every Add is a file and a commit, an hour after the one before.
class QueryTest : public testing::Test {
 protected:
  QueryTest() {
    options_.catalog_path = io::Join(root_, "catalog.db");
    catalog_ = *iceberg::Catalog::Open(*io_, options_.catalog_path, "weir", false);
    EXPECT_TRUE(
        catalog_
            ->Sql("CREATE TABLE weir_readers (id TEXT PRIMARY KEY, snapshots TEXT NOT "
                  "NULL, since INTEGER NOT NULL, expires INTEGER NOT NULL)")
            .ok());
  }

  struct Table {
    iceberg::Metadata metadata;
    std::string location;
  };

  Table& Create(const std::string& name,
                std::vector<iceberg::PartitionField> partition = {}) {
    iceberg::NewTable table;
    table.location = iceberg::UriOf(io::Join(root_, "warehouse/" + name));
    table.format_version = 3;
    table.schema =
        data::Schema{{{"id", data::Simple(data::Kind::kInt64), false, 0, ""},
                      {"name", data::Simple(data::Kind::kString), false, 0, ""},
                      {"ts", data::Simple(data::Kind::kTimestampTz), false, 0, ""}}};
    table.partition = std::move(partition);
    Table& out = tables_[name];
    out.metadata = iceberg::MakeMetadata(table, kStart);
    EXPECT_TRUE(io_->CreateDirs(io::Join(root_, "warehouse/" + name + "/data")).ok());
    CommitStaged(out, iceberg::StageMetadata(*io_, name, out.metadata, "", kStart));
    return out;
  }

  void Add(const std::string& name, const std::vector<Row>& rows,
           std::vector<iceberg::Literal> partition = {},
           int64_t row_group_rows = 1 << 20) {
    Table& table = tables_.at(name);
    arrow::Int64Builder id;
    arrow::StringBuilder text;
    arrow::TimestampBuilder at(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
                               arrow::default_memory_pool());
    for (const Row& row : rows) {
      EXPECT_TRUE(id.Append(row.id).ok() &&
                  (row.name.empty() ? text.AppendNull() : text.Append(row.name)).ok() &&
                  at.Append(row.at).ok());
    }
    const std::string path = io::Join(
        root_, fmt::format("warehouse/{}/data/{}.parquet", name, iceberg::NewUuid()));
    auto writer = *codec::NewParquetWriter(*io_, path, table.metadata.schema(),
                                           {.row_group_rows_max = row_group_rows});
    EXPECT_TRUE(
        writer
            ->Write(*arrow::RecordBatch::Make(
                data::ToArrow(table.metadata.schema()), static_cast<int64_t>(rows.size()),
                {*id.Finish(), *text.Finish(), *at.Finish()}))
            .ok());
    const codec::ParquetStats stats = *writer->Close();
    iceberg::DataFile file;
    file.path = iceberg::UriOf(path);
    file.partition = std::move(partition);
    file.record_count = stats.rows;
    file.file_bytes = stats.file_bytes;
    file.value_counts = stats.value_counts;
    file.null_counts = stats.null_counts;
    file.lower = stats.lower;
    file.upper = stats.upper;
    iceberg::FileChange change;
    change.added = {file};
    Commit(name, change);
  }

  // Deletes positions of the table's first file.
  void Delete(const std::string& name, const std::vector<int64_t>& positions) {
    Table& table = tables_.at(name);
    const iceberg::LiveFile file =
        iceberg::LiveFiles(*io_, table.metadata, *table.metadata.current())->at(0);
    iceberg::Positions deleted;
    for (const int64_t position : positions) deleted.Add(position);
    iceberg::FileChange change;
    change.operation = "delete";
    change.vectors = *iceberg::WriteVectors(
        *io_,
        io::Join(root_,
                 fmt::format("warehouse/{}/data/{}.puffin", name, iceberg::NewUuid())),
        {{&file.data, &deleted}});
    Commit(name, change);
  }

  void Commit(const std::string& name, const iceberg::FileChange& change) {
    Table& table = tables_.at(name);
    now_ += kHour;
    CommitStaged(table, iceberg::Stage(*io_, name, table.metadata, table.location, change,
                                       now_, {}));
  }

  void CommitStaged(Table& table, const Result<iceberg::Staged>& staged) {
    ASSERT_TRUE(staged.ok()) << staged.error().message;
    ASSERT_TRUE(catalog_->Transact([&] { return catalog_->Swap(*staged); }).ok());
    table.metadata = staged->metadata;
    table.location = staged->metadata_location;
  }

  Result<QueryReport> Run(const std::string& sql, Format format, std::string* out) {
    const auto printer = NewPrinter(format, [out](std::string_view text) {
      *out += text;
      return Status();
    });
    auto report = RunQuery(
        *io_, clock_, sql, options_, CancelToken(),
        [&](const data::Schema& schema) { return printer->Begin(schema); },
        [&](std::shared_ptr<arrow::RecordBatch> rows) -> Result<bool> {
          WEIR_TRY(printer->Rows(*rows));
          return true;
        });
    if (report.ok()) {
      EXPECT_TRUE(printer->End().ok());
    }
    return report;
  }

  // Rows as CSV lines without header; "error: …" if it failed.
  std::string Rows(const std::string& sql) {
    std::string out;
    auto report = Run(sql, Format::kCsv, &out);
    if (!report.ok()) return "error: " + report.error().message;
    report_ = *std::move(report);
    out.erase(std::remove(out.begin(), out.end(), '\r'), out.end());
    return out.substr(out.find('\n') + 1);
  }

  const io::TempFolder folder_;
  const std::string root_ = folder_.path();
  std::unique_ptr<io::Io> io_ = io::NewPosixIo();
  ManualClock clock_{kStart};
  std::unique_ptr<iceberg::Catalog> catalog_;
  std::map<std::string, Table> tables_;
  QueryOptions options_;
  QueryReport report_;
  Micros now_ = kStart;
};

TEST_F(QueryTest, ReadsLiveRowsOfSeveralTables) {
  Create("silver.trips");
  Add("silver.trips", {{1, "ann", kStart}, {2, "bob", kStart}, {3, "cid", kStart}});
  Delete("silver.trips", {1});
  Create("bronze.ride_events$rejected");
  Add("bronze.ride_events$rejected", {{3, "bad", kStart}});
  EXPECT_EQ(Rows("SELECT id, name FROM silver.trips ORDER BY id"), "1,ann\n3,cid\n");
  EXPECT_EQ(Rows("SELECT t.name, r.name FROM silver.trips t JOIN "
                 "bronze.\"ride_events$rejected\" r USING (id)"),
            "cid,bad\n");
  EXPECT_EQ(Rows("WITH trips AS (SELECT 7 AS x) SELECT x, (SELECT count(*) FROM "
                 "silver.trips) FROM trips"),
            "7,2\n");
  EXPECT_EQ(Rows("SELECT count(*) FROM SILVER.Trips"), "2\n");
}

TEST_F(QueryTest, AnEmptyTableHasNoRows) {
  Create("gold.nothing");
  EXPECT_EQ(Rows("SELECT count(*), max(name) FROM gold.nothing"), "0,\n");
}

TEST_F(QueryTest, KnowsWhatDecays) {
  Create("silver.trips");
  Add("silver.trips", {{1, "ann", kStart}, {2, "bob", kStart}});
  EXPECT_EQ(Rows("SELECT round(decayed(decay_sum(id, ts, INTERVAL 12 HOUR), max(ts) + "
                 "INTERVAL 24 HOUR, INTERVAL 12 HOUR), 6), decayed(NULL, max(ts), "
                 "INTERVAL 1 HOUR) FROM silver.trips"),
            "0.75,0.0\n");
}

TEST_F(QueryTest, PrintsWhatNoTableHoldsAsText) {
  Create("silver.trips");
  Add("silver.trips", {{1, "ann", kStart}, {2, "bob", kStart + 90'000'000}});
  EXPECT_EQ(Rows("SELECT max(ts) - min(ts) AS took, count(*) AS took, "
                 "'b'::ENUM('a', 'b') FROM silver.trips; -- all"),
            "00:01:30,2,b\n");
  EXPECT_EQ(Rows("SELECT id, {'gap': ts - min(ts) OVER ()} FROM silver.trips ORDER BY "
                 "id DESC"),
            "2,{'gap': '00:01:30'}\n1,{'gap': '00:00:00'}\n");
}

TEST_F(QueryTest, SaysWhichTableWasMeant) {
  Create("silver.trips");
  EXPECT_THAT(Rows("SELECT * FROM silver.tripz"),
              HasSubstr("did you mean silver.trips?"));
  EXPECT_THAT(Rows("SELECT * FROM trips"), HasSubstr("did you mean silver.trips?"));
  EXPECT_THAT(Rows("SELECT * FROM quite_different"), HasSubstr("there are silver.trips"));
  options_.catalog_path += ".missing";
  EXPECT_THAT(Rows("SELECT 1"), HasSubstr("there is no lake at"));
}

TEST_F(QueryTest, ReadsThePast) {
  Create("silver.trips");
  Add("silver.trips", {{1, "ann", kStart}});  // 01:00
  Add("silver.trips", {{2, "bob", kStart}});  // 02:00
  Delete("silver.trips", {0});                // 03:00
  const int64_t second = tables_.at("silver.trips").metadata.snapshots[1].id.value;
  EXPECT_EQ(
      Rows("SELECT count(*) FROM silver.trips AS OF TIMESTAMP '2018-01-01 01:30:00'"),
      "1\n");
  EXPECT_EQ(Rows("SELECT trips.name FROM silver.trips AS OF '2018-01-01T02:30:00Z' WHERE "
                 "trips.id = 2"),
            "bob\n");
  EXPECT_EQ(
      Rows(fmt::format("SELECT count(*) FROM silver.trips AS OF VERSION {}", second)),
      "2\n");
  EXPECT_EQ(Rows("SELECT count(*) FROM silver.trips AS OF VERSION 1 t WHERE t.id > 0"),
            "1\n");
  EXPECT_EQ(Rows("SELECT count(*) FROM silver.trips AT (VERSION => 2)"), "2\n");
  EXPECT_EQ(Rows("SELECT count(*) FROM silver.trips AT (TIMESTAMP => TIMESTAMP "
                 "'2018-01-01 02:00:00')"),
            "2\n");
  EXPECT_EQ(Rows("SELECT new.name, old.name FROM silver.trips AS new FULL JOIN "
                 "silver.trips AS OF VERSION 1 AS old USING (id) ORDER BY ALL"),
            "bob,\n,ann\n")
      << "two versions of one table in one query";
  EXPECT_EQ(Rows("SELECT count(*) FROM silver.trips"), "1\n");
  options_.as_of = "2018-01-01 02:30";
  EXPECT_EQ(Rows("SELECT count(*) FROM silver.trips"), "2\n");
  options_.as_of.clear();
  EXPECT_THAT(
      Rows("SELECT * FROM silver.trips AS OF '2017-01-01'"),
      AllOf(HasSubstr("no snapshot at 2017-01-01"), HasSubstr("kept are versions 1")));
  EXPECT_THAT(Rows("SELECT * FROM silver.trips AS OF VERSION 99"),
              HasSubstr("has no version 99"));
  EXPECT_THAT(Rows("SELECT * FROM silver.trips AS OF 'yesterday'"),
              HasSubstr("is no point in time"));
}

TEST_F(QueryTest, ReadsWhatATagNames) {
  Create("silver.trips");
  Add("silver.trips", {{1, "ann", kStart}});
  Add("silver.trips", {{2, "bob", kStart}});
  auto& metadata = tables_.at("silver.trips").metadata;
  const SnapshotId first = metadata.snapshots[0].id;
  metadata.refs_json = fmt::format(
      R"({{"2018-01-01":{{"type":"tag","snapshot-id":{0}}},"it's":{{"type":"tag","snapshot-id":{0}}},
          "dev":{{"type":"branch","snapshot-id":{0}}},"gone":{{"type":"tag","snapshot-id":7}}}})",
      first.value);
  Add("silver.trips", {{3, "cid", kStart}});
  EXPECT_EQ(Rows("SELECT name FROM silver.trips AS OF TAG '2018-01-01'"), "ann\n");
  EXPECT_EQ(Rows("SELECT t.name FROM silver.trips as of tag 'it''s' AS t"), "ann\n");
  EXPECT_EQ(Rows("SELECT new.name FROM silver.trips AS new ANTI JOIN silver.trips AS OF "
                 "TAG '2018-01-01' AS old USING (id) ORDER BY ALL"),
            "bob\ncid\n");
  EXPECT_EQ(Rows("SELECT name FROM silver.trips AT (VERSION => 'tag:2018-01-01')"),
            "ann\n");
  options_.as_of = "tag:2018-01-01";
  EXPECT_EQ(Rows("SELECT count(*) FROM silver.trips"), "1\n");
  options_.as_of.clear();
  EXPECT_THAT(
      Rows("SELECT * FROM silver.trips AS OF TAG 'may'"),
      HasSubstr("silver.trips has no tag 'may': its tags are 2018-01-01, gone, it's"));
  EXPECT_THAT(Rows("SELECT * FROM silver.trips AS OF TAG 'dev'"),
              HasSubstr("'dev' of silver.trips is a branch, not a tag"));
  EXPECT_THAT(
      Rows("SELECT * FROM silver.trips AS OF TAG 'gone'"),
      AllOf(HasSubstr("the version that tag 'gone' of silver.trips names is gone"),
            HasSubstr("kept are versions 1")));
}

struct RewriteCase {
  const char *name, *sql, *rewritten;
};
class RewriteAsOfTest : public testing::TestWithParam<RewriteCase> {};
TEST_P(RewriteAsOfTest, BecomesDuckDbsClause) {
  EXPECT_EQ(RewriteAsOf(GetParam().sql), GetParam().rewritten);
}
INSTANTIATE_TEST_SUITE_P(
    , RewriteAsOfTest,
    testing::Values(RewriteCase{"Stamp", "FROM a.b AS OF TIMESTAMP '2018'",
                                "FROM a.b AT (TIMESTAMP => '2018')"},
                    RewriteCase{"BareText", "FROM a.b as of '2018' WHERE x",
                                "FROM a.b AT (TIMESTAMP => '2018') WHERE x"},
                    RewriteCase{"BareNumber", "FROM a.\"b\" AS OF 7",
                                "FROM a.\"b\" AT (VERSION => 7)"},
                    RewriteCase{"AliasGoesBefore", "FROM a.b AS OF VERSION 7 t JOIN c",
                                "FROM a.b t AT (VERSION => 7) JOIN c"},
                    RewriteCase{"AliasWithAs", "FROM a.b AS OF VERSION 7 AS t, c AS OF 8",
                                "FROM a.b t AT (VERSION => 7), c AT (VERSION => 8)"},
                    RewriteCase{"Tag", "FROM a.b AS OF TAG 'it''s' AS t WHERE x",
                                "FROM a.b t AT (VERSION => 'tag:it''s') WHERE x"},
                    RewriteCase{"ATagIsText", "FROM a.b AS OF TAG 7",
                                "FROM a.b AS OF TAG 7"},
                    RewriteCase{"AColumnMayBeCalledOf", "SELECT a AS of, '2018' FROM t",
                                "SELECT a AS of, '2018' FROM t"},
                    RewriteCase{"TextStays", "SELECT 'x AS OF 7' -- b AS OF 7",
                                "SELECT 'x AS OF 7' -- b AS OF 7"}),
    [](const auto& info) { return info.param.name; });

// Ten files of ten rows: file i has ids 10i … 10i+9, hours likewise, names "n<id>"; the
// last file has no names.
class PruningTest : public QueryTest {
 protected:
  PruningTest() {
    Create("t.x");
    for (int64_t file = 0; file < 10; ++file) {
      std::vector<Row> rows;
      for (int64_t i = 10 * file; i < 10 * file + 10; ++i)
        rows.push_back(
            {i, file == 9 ? "" : fmt::format("n{:02}", i), kStart + i * kHour});
      Add("t.x", rows, {}, /*row_group_rows=*/5);
    }
  }
};

struct PruneCase {
  const char *name, *where, *rows;
  int64_t files_read, groups_read;
};
class PruningCases : public PruningTest, public testing::WithParamInterface<PruneCase> {};
TEST_P(PruningCases, LeavesOutWhatCannotMatch) {
  const PruneCase& c = GetParam();
  EXPECT_EQ(Rows(fmt::format("SELECT count(*) FROM t.x AS a WHERE {}", c.where)),
            std::string(c.rows) + "\n");
  ASSERT_EQ(report_.tables.size(), 1u);
  const scan::ScanStatistics& scan = report_.tables[0].scan;
  EXPECT_EQ(scan.files - scan.files_pruned, c.files_read);
  EXPECT_EQ(scan.row_groups - scan.row_groups_pruned, c.groups_read);
}
INSTANTIATE_TEST_SUITE_P(
    , PruningCases,
    testing::Values(
        PruneCase{"Equal", "id = 42", "1", 1, 1},
        PruneCase{"ConstantFirst", "93 < id", "6", 1, 2},
        PruneCase{"Less", "id < 10", "10", 1, 2},
        PruneCase{"LessEqual", "id <= 10", "11", 2, 3},
        PruneCase{"Between", "a.id BETWEEN 18 AND 21", "4", 2, 2},
        PruneCase{"In", "id IN (3, 55)", "2", 2, 2},
        PruneCase{"And", "id > 30 AND id < 50 AND name < 'n35'", "4", 1, 1},
        PruneCase{"Text", "name >= 'n85'", "5", 1, 1},
        PruneCase{"IsNull", "name IS NULL", "10", 1, 2},
        PruneCase{"IsNotNull", "name IS NOT NULL", "90", 9, 18},
        PruneCase{
            "Stamp",
            "ts >= TIMESTAMPTZ '2018-01-04 00:00:00Z' AND ts < '2018-01-04 04:00:00Z'",
            "4", 1, 2},
        PruneCase{"Date", "ts < DATE '2018-01-01'", "0", 0, 0},
        PruneCase{"DecimalAgainstInteger", "id < 4.5", "5", 10, 20},
        PruneCase{"OrIsNotUsed", "id = 1 OR id = 99", "2", 10, 20},
        PruneCase{"ExpressionsAreNotUsed", "id + 1 = 1", "1", 10, 20},
        PruneCase{"NotIsNotUsed", "NOT (id > 5)", "6", 1, 2}),
    [](const auto& info) { return info.param.name; });

TEST_F(PruningTest, OuterJoinsKeepWhatTheyNeed) {
  EXPECT_EQ(Rows("SELECT count(*) FROM t.x a LEFT JOIN (SELECT 5 AS id, 'b' AS name) b "
                 "USING (id) WHERE a.id < 10 AND b.name IS NULL"),
            "9\n");
  const scan::ScanStatistics left = report_.tables[0].scan;
  EXPECT_EQ(left.files - left.files_pruned, 1) << "the preserved side is pruned";
  EXPECT_EQ(Rows("SELECT count(*) FROM (VALUES (5), (995)) v(k) LEFT JOIN t.x a ON a.id "
                 "= v.k WHERE a.name IS NULL"),
            "1\n");
  EXPECT_EQ(report_.tables[0].scan.files_pruned, 0)
      << "the null-extended side is not: its absence would look like a match";
}

TEST_F(PruningTest, ATableMentionedTwiceServesBoth) {
  EXPECT_EQ(Rows("SELECT (SELECT count(*) FROM t.x WHERE id < 5), (SELECT count(*) FROM "
                 "t.x WHERE id >= 95)"),
            "5,5\n");
}

TEST_F(QueryTest, PrunesByPartition) {
  Create("t.p", {{.source_id = 3, .transform = {iceberg::TransformKind::kDay}},
                 {.source_id = 1, .transform = {iceberg::TransformKind::kBucket, 4}}});
  const iceberg::Transform bucket{iceberg::TransformKind::kBucket, 4};
  for (int64_t i = 0; i < 4; ++i) {
    const int32_t day = 17532 + static_cast<int32_t>(i / 2);
    Add("t.p", {{i, "x", kStart + day * 24 * kHour - 17532 * 24 * kHour}},
        {day, iceberg::Apply(bucket, data::Simple(data::Kind::kInt64), i)});
  }
  EXPECT_EQ(Rows("SELECT id FROM t.p WHERE ts >= '2018-01-02' ORDER BY id"), "2\n3\n");
  EXPECT_EQ(report_.tables[0].scan.files_pruned, 2);
  EXPECT_EQ(Rows("SELECT id FROM t.p WHERE id = 3"), "3\n");
  EXPECT_EQ(report_.tables[0].scan.files_pruned, 3);
}

TEST_F(QueryTest, TakesAndReturnsALease) {
  Create("silver.trips");
  Add("silver.trips", {{1, "ann", kStart}});
  const auto leases = [&] {
    return std::get<int64_t>((*catalog_->Sql("SELECT count(*) FROM weir_readers"))[0][0]);
  };
  int64_t during = -1;
  const auto report = RunQuery(
      *io_, clock_, "SELECT * FROM silver.trips", options_, CancelToken(),
      [](const data::Schema&) { return Status(); },
      [&](std::shared_ptr<arrow::RecordBatch>) -> Result<bool> {
        during = leases();
        clock_.Advance(options_.lease);
        return true;
      });
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(during, 1);
  EXPECT_EQ(leases(), 0);
  EXPECT_THAT(report->notes, IsEmpty());
  ASSERT_TRUE(catalog_->Sql("DROP TABLE weir_readers").ok());
  EXPECT_EQ(Rows("SELECT name FROM silver.trips"), "ann\n");
  EXPECT_THAT(report_.notes, ElementsAre(StartsWith("no reader lease")));
}

TEST_F(QueryTest, WhatCannotBeReadIsRefusedPlainly) {
  Create("silver.trips");
  EXPECT_THAT(Rows("SELECT * FORM silver.trips"), HasSubstr("syntax error"));
  EXPECT_THAT(Rows("SELECT nme FROM silver.trips"), HasSubstr("nme"));
  EXPECT_THAT(Rows("SELECT 1; SELECT 2"), HasSubstr("one statement"));
  EXPECT_THAT(Rows("DROP TABLE silver.trips"),
              StartsWith("error: a query only reads, and DROP does more"));
  EXPECT_THAT(Rows("delete from silver.trips"), HasSubstr("and DELETE does more"));
  EXPECT_THAT(Rows(" -- nothing\n"), HasSubstr("the query is empty"));
  EXPECT_THAT(Rows("DESCRIBE silver.trips"), HasSubstr("id,BIGINT"));
}

TEST_F(QueryTest, PrintsTablesJsonAndCsv) {
  Create("t.x");
  Add("t.x", {{1, "Zoë \"Z\", \n", kStart}, {22, "", kStart + 500'000}});
  const std::string sql =
      "SELECT id, name, ts, id / 2 AS half, 12.50 AS dec, [1, NULL] AS l, {'a': 'b'} AS "
      "s FROM t.x ORDER BY id";
  std::string text, json, csv;
  ASSERT_TRUE(Run(sql, Format::kText, &text).ok());
  EXPECT_EQ(text, R"(id  name         ts                        half    dec  l          s
--  -----------  ------------------------  ----  -----  ---------  ------
 1  Zoë "Z", \n  2018-01-01T00:00:00Z       0.5  12.50  [1, NULL]  {a: b}
22  NULL         2018-01-01T00:00:00.500Z  11.0  12.50  [1, NULL]  {a: b}
(2 rows)
)");
  ASSERT_TRUE(Run(sql, Format::kJson, &json).ok());
  EXPECT_EQ(json, R"([
 {"id":1,"name":"Zoë \"Z\", \n","ts":"2018-01-01T00:00:00Z","half":0.5,"dec":12.50,"l":[1,null],"s":{"a":"b"}},
 {"id":22,"name":null,"ts":"2018-01-01T00:00:00.500Z","half":11.0,"dec":12.50,"l":[1,null],"s":{"a":"b"}}
]
)");
  ASSERT_TRUE(Run("SELECT id, name FROM t.x ORDER BY id", Format::kCsv, &csv).ok());
  EXPECT_EQ(csv, "id,name\r\n1,\"Zoë \"\"Z\"\", \n\"\r\n22,\r\n");
}

TEST(FormatTableTest, NumbersStandToTheRight) {
  EXPECT_EQ(FormatTable({"what", "n"}, {{"ann", "5"}, {"bo", "12"}}),
            "what   n\n----  --\nann    5\nbo    12\n");
}

}  // namespace
}  // namespace weir::query
