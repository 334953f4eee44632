#include <gmock/gmock.h>

#include <random>

#include "publish/rebuild.h"
#include "publish/testing_internal.h"
#include "scan/changes.h"

namespace weir::publish {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kDay = 86'400'000'000;
using Multiset = std::map<TestRow, int>;

TEST(KeyedWriterTest, AnUpdateIsADeletionVectorAndANewRow) {
  TestTable table(/*keyed=*/true, {"id"});
  ASSERT_OK(table.RunEpoch(
      {{{1, 1, "ann", 5}, {1, 2, "bob", 6}, {1, 3, "cid", 7}, {1, 4, "dan", 8}}}));
  const auto change = table.RunEpoch({{{-1, 2, "bob", 6}, {1, 2, "rob", 6}}});
  ASSERT_OK(change);
  EXPECT_EQ((*change)->operation, "overwrite");
  EXPECT_EQ((*change)->vectors.size(), 1u);
  EXPECT_EQ((*change)->added.size(), 1u);
  EXPECT_EQ(table.Read(), (Multiset{{{1, 1, "ann", 5}, 1},
                                    {{1, 2, "rob", 6}, 1},
                                    {{1, 3, "cid", 7}, 1},
                                    {{1, 4, "dan", 8}, 1}}));
  const auto deleted = table.RunEpoch({{{-1, 1, "ann", 5}}});
  ASSERT_OK(deleted);
  EXPECT_EQ((*deleted)->operation, "overwrite")
      << "half of the first file is dead now, so it is rewritten";
  EXPECT_EQ(table.Read().size(), 3u);
}

TEST(KeyedWriterTest, RowsOfOneEpochThatCancelLeaveNoTrace) {
  TestTable table(/*keyed=*/true, {"id"});
  const auto nothing = table.RunEpoch({{{1, 1, "ann", 5}}, {{-1, 1, "ann", 5}}});
  ASSERT_OK(nothing);
  EXPECT_FALSE(nothing->has_value());
  ASSERT_OK(table.RunEpoch({{{1, 1, "ann", 5}}, {{-1, 1, "ann", 5}, {1, 1, "amy", 5}}}));
  EXPECT_EQ(table.Files().at(0).data.record_count, 1);
}

TEST(KeyedWriterTest, AFileWithoutALiveRowLeavesTheTable) {
  TestTable table(/*keyed=*/true, {"id"});
  ASSERT_OK(table.RunEpoch({{{1, 1, "ann", 5}, {1, 2, "bob", 6}}}));
  const auto change = table.RunEpoch({{{-1, 1, "ann", 5}, {-1, 2, "bob", 6}}});
  ASSERT_OK(change);
  EXPECT_EQ((*change)->operation, "delete");
  EXPECT_TRUE(table.Files().empty());
}

TEST(KeyedWriterTest, AFalseKeyNamesBothRows) {
  TestTable table(/*keyed=*/true, {"id"});
  const auto within = table.RunEpoch({{{1, 1, "ann", 5}, {1, 1, "amy", 6}}});
  ASSERT_FALSE(within.ok());
  EXPECT_EQ(within.error().code, Code::kInvalid);
  EXPECT_THAT(within.error().message, AllOf(HasSubstr("KEY (id) of test.t is false"),
                                            HasSubstr("1 | ann"), HasSubstr("1 | amy")));
  table.writer().Abandon();

  ASSERT_OK(table.RunEpoch({{{1, 1, "ann", 5}}}));
  const auto stored = table.RunEpoch({{{1, 1, "amy", 6}}});
  ASSERT_FALSE(stored.ok());
  EXPECT_EQ(stored.error().code, Code::kInvalid);
  EXPECT_THAT(stored.error().message, AllOf(HasSubstr("1 | ann"), HasSubstr("1 | amy")));
  table.writer().Abandon();
  EXPECT_EQ(table.Read(), (Multiset{{{1, 1, "ann", 5}, 1}}));
  const auto twice = table.RunEpoch({{{-1, 1, "ann", 5}, {2, 1, "amy", 6}}});
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, Code::kInvalid);
}

TEST(KeyedWriterTest, ARetractionOfNothingIsNamed) {
  TestTable table(/*keyed=*/true, {"id"});
  const auto absent = table.RunEpoch({{{-1, 9, "zoe", 1}, {1, 1, "ann", 5}}});
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, Code::kInternal);
  EXPECT_THAT(absent.error().message, HasSubstr("9 | zoe"));
}

TEST(KeyedWriterTest, WithoutAKeyEqualRowsAreCounted) {
  TestTable table(/*keyed=*/true);
  ASSERT_OK(table.RunEpoch({{{3, 1, "ann", 5}, {1, 1, "ann", 6}}}));
  ASSERT_OK(table.RunEpoch({{{-1, 1, "ann", 5}}}));
  EXPECT_EQ(table.Read(), (Multiset{{{1, 1, "ann", 5}, 2}, {{1, 1, "ann", 6}, 1}}));
  ASSERT_OK(table.RunEpoch({{{2, 1, "ann", 5}, {-1, 1, "ann", 6}}}));
  EXPECT_EQ(table.Read(), (Multiset{{{1, 1, "ann", 5}, 4}}));
  const auto too_many = table.RunEpoch({{{-5, 1, "ann", 5}}});
  EXPECT_FALSE(too_many.ok());
}

TEST(KeyedWriterTest, MergedRowsKeepTheirRowId) {
  TestTable table(/*keyed=*/true, {"id"});
  std::map<int64_t, std::pair<int64_t, int64_t>>
      lineage;  // id -> row id, sequence number
  const auto read = [&] {
    data::Schema schema = table.metadata().schema();
    schema.fields.resize(1);
    schema.fields.push_back(
        {"_row_id", data::Simple(data::Kind::kInt64), false, 2147483540, ""});
    schema.fields.push_back({"_last_updated_sequence_number",
                             data::Simple(data::Kind::kInt64), false, 2147483539, ""});
    std::map<int64_t, std::pair<int64_t, int64_t>> out;
    for (const iceberg::LiveFile& file : table.Files()) {
      EXPECT_TRUE(file.data.first_row_id.has_value());
      auto scan = scan::ScanFiles(table.io(), table.metadata(), {file}, schema, {});
      const auto batch = *scan->Next();
      for (int64_t i = 0; i < batch->num_rows(); ++i) {
        const auto value = [&](int c, int64_t inherited) {
          const auto& column = static_cast<const arrow::Int64Array&>(*batch->column(c));
          return column.IsValid(i) ? column.Value(i) : inherited;
        };
        out[value(0, 0)] = {value(1, *file.data.first_row_id + i),
                            value(2, file.data.data_sequence_number)};
      }
    }
    return out;
  };
  for (int64_t i = 0; i < 8; ++i) ASSERT_OK(table.RunEpoch({{{1, i, "x", i}}}));
  const auto before = read();
  ASSERT_EQ(table.Files().size(), 8u);
  ASSERT_OK(table.RunEpoch({{{1, 100, "x", 1}}}));
  ASSERT_EQ(table.Files().size(), 2u) << "eight files became one";
  auto after = read();
  after.erase(100);
  EXPECT_EQ(after, before);
}

TEST(KeyedWriterTest, ALostOrForeignIndexIsRefusedAndRebuilt) {
  TestTable table(/*keyed=*/true, {"id"});
  ASSERT_OK(table.RunEpoch(
      {{{1, 1, "ann", 5}, {1, 2, "bob", 6}, {1, 3, "cid", 7}, {1, 4, "dan", 8}}}));
  ASSERT_OK(table.RunEpoch({{{-1, 4, "dan", 8}}}));
  state::Delta drop;
  DropIndex("test.t", drop);
  ASSERT_OK(table.Apply(drop));
  table.Restart();
  const Status refused = table.Open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("rebuilt"));

  state::Delta rebuilt;
  const auto index =
      RebuildIndex(table.io(), "test.t", table.metadata(), {"id"}, rebuilt);
  ASSERT_OK(index);
  EXPECT_EQ(index->rows, 3);
  ASSERT_OK(table.Apply(rebuilt));
  ASSERT_OK(table.RunEpoch({{{-1, 2, "bob", 6}, {1, 4, "eve", 9}}}));
  EXPECT_EQ(
      table.Read(),
      (Multiset{{{1, 1, "ann", 5}, 1}, {{1, 3, "cid", 7}, 1}, {{1, 4, "eve", 9}, 1}}));

  table.options.key = {"name"};
  table.Restart();
  EXPECT_EQ(table.Open().error().code, Code::kConflict)
      << "another key needs another index";
}

// PyIceberg and DuckDB read the same rows; tests/publish_readers.py is the other half.
void ExpectOthersRead(TestTable& table, const Multiset& rows) {
  const std::string metadata = *iceberg::PathOf(table.metadata_location()),
                    expected = metadata + ".rows.json";
  std::string json = "[";
  for (const auto& [row, n] : rows)
    json += fmt::format("{}[{}, \"{}\", {}, {}]", json.size() > 1 ? ", " : "", row.id,
                        row.name, row.at, n);
  ASSERT_OK(table.io().WriteNew(expected, json + "]"));
  const std::string python = WEIR_SOURCE_DIR "/.deps/venv/bin/python " WEIR_SOURCE_DIR
                                             "/tests/publish_readers.py ";
  EXPECT_EQ(std::system((python + metadata + " " + expected).c_str()), 0);
}

// Random changes over many epochs, restarts, abandoned epochs and merges, against a map.
struct RandomCase {
  const char* name;
  bool has_key, cold, clustered = false;
};
class KeyedWriterRandomTest : public testing::TestWithParam<RandomCase> {};

TEST_P(KeyedWriterRandomTest, TheTableIsWhatTheChangesAddUpTo) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  TestTable table(
      /*keyed=*/true,
      GetParam().has_key ? std::vector<std::string>{"id"} : std::vector<std::string>{},
      {{.source_id = 3, .transform = {iceberg::TransformKind::kDay}}});
  table.options.merge_files_min = 4;
  if (GetParam().cold) table.options.index_bytes_max = 1;
  if (GetParam().cold) table.options.vector_bytes_max = 1;
  if (GetParam().clustered) table.Cluster({"name", "id"});
  table.options.sort_rows_max = 300;
  Multiset rows;                     // with a key: all counts are 1
  std::map<int64_t, TestRow> by_id;  // with a key
  struct Version {
    SnapshotId snapshot;
    Multiset rows;
  };
  std::vector<Version> versions;
  const auto count = [](Multiset& in, const TestRow& row, int n) {
    if ((in[row] += n) == 0) in.erase(row);
  };
  for (int epoch = 0; epoch < 120; ++epoch) {
    const Multiset rows_before = rows;
    const std::map<int64_t, TestRow> by_id_before = by_id;
    std::vector<std::vector<TestRow>> batches;
    for (int64_t b = below(3); b >= 0; --b) {
      std::vector<TestRow> batch;
      for (int64_t n = below(epoch % 10 == 0 ? 200 : 12); n > 0; --n) {
        const TestRow row{1, below(150), fmt::format("v{}", below(3)), below(3) * kDay};
        if (GetParam().has_key) {
          const auto old = by_id.find(row.id);
          if (old != by_id.end()) {
            batch.push_back(old->second);
            batch.back().weight = -1;
            count(rows, old->second, -1);
            by_id.erase(old);
          }
          if (below(3) > 0) {
            batch.push_back(row);
            count(rows, row, 1);
            by_id[row.id] = row;
          }
        } else if (below(2) == 0 && rows.contains(row)) {
          batch.push_back(row);
          batch.back().weight = -1;
          count(rows, row, -1);
        } else {
          batch.push_back(row);
          count(rows, row, 1);
        }
      }
      batches.push_back(batch);
    }
    if (below(10) == 0) {  // an epoch that fails before its commit
      for (const auto& batch : batches)
        ASSERT_OK(table.writer().Append(table.Rows(batch)));
      state::Delta delta;
      ASSERT_OK(table.writer().Finish(Epoch{1000 + epoch}, delta));
      if (below(2) == 0)
        table.writer().Abandon();
      else
        table.Restart();
      rows = rows_before;
      by_id = by_id_before;
      continue;
    }
    ASSERT_OK(table.RunEpoch(batches));
    if (below(8) == 0) table.Restart();
    ASSERT_EQ(table.Read(), rows) << "epoch " << epoch;
    ASSERT_LE(table.Files().size(), 60u);
    if (table.metadata().current() != nullptr)
      versions.push_back({table.metadata().current()->id, rows});
  }
  EXPECT_GT(
      table.writer().counters().rows_deleted + static_cast<int64_t>(versions.size()), 0);

  // The change between any two versions is the difference of their rows.
  for (int i = 0; i < 40; ++i) {
    const Version& from =
        versions[static_cast<size_t>(below(static_cast<int64_t>(versions.size())))];
    const Version& to =
        versions[static_cast<size_t>(below(static_cast<int64_t>(versions.size())))];
    const iceberg::Snapshot* a = table.metadata().Find(from.snapshot);
    const iceberg::Snapshot* b = table.metadata().Find(to.snapshot);
    if (a == nullptr || b == nullptr) continue;
    Multiset difference = to.rows;
    for (const auto& [row, n] : from.rows) count(difference, row, -n);
    Multiset got;
    ASSERT_OK(scan::VisitChanges(
        table.io(), table.metadata(), a, *b, table.metadata().schema(),
        [&](data::Batch batch) {
          for (int64_t r = 0; r < batch.num_rows(); ++r) {
            count(got,
                  {1,
                   static_cast<const arrow::Int64Array&>(*batch.rows->column(0)).Value(r),
                   static_cast<const arrow::StringArray&>(*batch.rows->column(1))
                       .GetString(r),
                   static_cast<const arrow::TimestampArray&>(*batch.rows->column(2))
                       .Value(r)},
                  batch.weight(r));
          }
          return Status();
        }));
    ASSERT_EQ(got, difference);
  }
  EXPECT_EQ(table.SortedFiles(), GetParam().clustered ? table.Files().size() : 0);
  ExpectOthersRead(table, rows);
}
INSTANTIATE_TEST_SUITE_P(
    , KeyedWriterRandomTest,
    testing::Values(RandomCase{"WithKeyInMemory", true, false},
                    RandomCase{"WithKeyInTheStore", true, true},
                    RandomCase{"WithoutKeyInMemory", false, false},
                    RandomCase{"WithoutKeyInTheStore", false, true},
                    RandomCase{"ClusteredWithKey", true, false, true},
                    RandomCase{"ClusteredWithoutKey", false, true, true}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weir::publish
