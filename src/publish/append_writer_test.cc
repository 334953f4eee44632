#include <gmock/gmock.h>

#include <deque>
#include <functional>
#include <random>

#include "publish/testing_internal.h"

namespace weir::publish {
namespace {

using testing::HasSubstr;

constexpr int64_t kDay = 86'400'000'000;

TEST(AppendWriterTest, WritesWhatItWasGiven) {
  TestTable table(/*keyed=*/false);
  const auto change =
      table.RunEpoch({{{1, 1, "ann", 5}, {2, 2, "bob", 6}}, {{1, 3, "cid", 7}}});
  ASSERT_OK(change);
  EXPECT_EQ((*change)->operation, "append");
  const std::map<TestRow, int> rows{
      {{1, 1, "ann", 5}, 1}, {{1, 2, "bob", 6}, 2}, {{1, 3, "cid", 7}, 1}};
  EXPECT_EQ(table.Read(), rows);
  EXPECT_EQ(table.Files().size(), 1u);
  EXPECT_FALSE((*table.RunEpoch({})).has_value())
      << "an epoch without rows changes nothing";
}

TEST(AppendWriterTest, RefusesRetractions) {
  TestTable table(/*keyed=*/false);
  const Status appended = table.writer().Append(table.Rows({{-1, 1, "ann", 5}}));
  ASSERT_FALSE(appended.ok());
  EXPECT_EQ(appended.error().code, Code::kInvalid);
  EXPECT_THAT(appended.error().message, HasSubstr("test.t is append-only"));
}

TEST(AppendWriterTest, SplitsByPartition) {
  TestTable table(
      /*keyed=*/false, {},
      {{.source_id = 3, .transform = {iceberg::TransformKind::kDay}},
       {.source_id = 2, .transform = {iceberg::TransformKind::kTruncate, 1}}});
  ASSERT_OK(table.RunEpoch({{{1, 1, "ann", 0},
                             {1, 2, "bob", kDay},
                             {1, 3, "amy", 5},
                             {1, 4, "ada", -1},
                             {1, 5, "abe", kDay - 1}}}));
  std::map<std::pair<int32_t, std::string>, int64_t> rows;
  for (const iceberg::LiveFile& file : table.Files()) {
    rows[{std::get<int32_t>(file.data.partition[0]),
          std::get<std::string>(file.data.partition[1])}] = file.data.record_count;
  }
  EXPECT_EQ(rows, (std::map<std::pair<int32_t, std::string>, int64_t>{
                      {{-1, "a"}, 1}, {{0, "a"}, 3}, {{1, "b"}, 1}}));
  EXPECT_EQ(table.Read().size(), 5u);
}

TEST(AppendWriterTest, RollsFilesAtTheirTarget) {
  TestTable table(/*keyed=*/false);
  table.options.file_bytes_target = 100'000;
  std::vector<TestRow> rows;
  for (int64_t i = 0; i < 200'000; ++i)
    rows.push_back({1, i * 7919, fmt::format("name-{}", i * 104729 % 1000003), i});
  ASSERT_OK(table.RunEpoch({rows}));
  EXPECT_GT(table.Files().size(), 3u);
  const std::vector<TestRow> read = table.InOrder();
  ASSERT_EQ(read.size(), rows.size());
  const auto differs = std::mismatch(read.begin(), read.end(), rows.begin()).first;
  EXPECT_EQ(differs, read.end())
      << "row " << differs - read.begin() << " is " << differs->id;
}

// Whatever was merged with what: in each file the ids follow each other.
void ExpectAppendOrder(TestTable& table) {
  for (const iceberg::LiveFile& file : table.Files()) {
    auto scan = scan::ScanFiles(table.io(), table.metadata(), {file},
                                table.metadata().schema(), {});
    const auto batch = *scan->Next();
    const auto& column = static_cast<const arrow::Int64Array&>(*batch->column(0));
    for (int64_t i = 1; i < batch->num_rows(); ++i)
      EXPECT_EQ(column.Value(i), column.Value(i - 1) + 1) << file.data.path;
  }
}

TEST(AppendWriterTest, MergesSmallFilesInAppendOrder) {
  TestTable table(/*keyed=*/false);
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(table.RunEpoch({{{1, i, "x", i}}}));
    EXPECT_LE(table.Files().size(), 24u);
    if (i % 30 == 17) table.Restart();
  }
  std::vector<TestRow> rows = table.InOrder();
  EXPECT_EQ(rows.size(), 100u);
  EXPECT_EQ(table.Read().size(), 100u);
  ExpectAppendOrder(table);
}

TEST(AppendWriterTest, FilesOfAClusteredTableAreSortedAlsoWhenTheyAreMerged) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  TestTable table(/*keyed=*/false, {},
                  {{.source_id = 3, .transform = {iceberg::TransformKind::kDay}}});
  table.options.sort_bytes_max = 600;  // some epochs fill it several times
  table.options.merge_files_min = 4;
  std::map<TestRow, int> rows;
  const auto run = [&](int epochs) {
    for (int i = 0; i < epochs; ++i) {
      std::vector<std::vector<TestRow>> batches(random() % 3);
      for (auto& batch : batches) {
        for (size_t n = random() % 40; n > 0; --n) {
          batch.push_back({1, static_cast<int64_t>(random() % 1000),
                           fmt::format("v{}", random() % 5),
                           static_cast<int64_t>(random() % 2) * 86'400'000'000});
          ++rows[batch.back()];
        }
      }
      ASSERT_OK(table.RunEpoch(batches));
    }
    EXPECT_EQ(table.Read(), rows);
  };
  run(4);
  EXPECT_EQ(table.SortedFiles(), 0u);
  table.Cluster({"name", "id"});
  table.Restart();
  run(40);
  EXPECT_GT(table.SortedFiles(), 0u);
  EXPECT_GT(table.writer().counters().files_merged, 0);
  table.Cluster({"id"});
  table.Restart();
  run(60);
  std::set<int> orders;
  for (const iceberg::LiveFile& file : table.Files())
    orders.insert(file.data.sort_order_id.value_or(0));
  EXPECT_TRUE(orders.contains(2)) << "a changed clause is a new order";
  table.SortedFiles();
  table.Cluster({});
  table.Restart();
  run(2);
  EXPECT_EQ(table.metadata().sort_orders.size(), 3u);
}

TEST(AppendWriterTest, FilesOfOneEpochOfAClusteredTableAreApart) {
  TestTable table(/*keyed=*/false);
  table.Cluster({"id"});
  table.options.file_bytes_target = 100'000;
  std::vector<TestRow> rows;
  for (int64_t i = 0; i < 200'000; ++i)
    rows.push_back({1, i * 7919 % 200'003, fmt::format("name-{}", i), i});
  ASSERT_OK(table.RunEpoch({rows}));
  EXPECT_GT(table.SortedFiles(), 3u);
  int64_t last = -1;
  for (const iceberg::LiveFile& file : table.Files()) {
    const data::Type type = data::Simple(data::Kind::kInt64);
    const auto lower = iceberg::FromBinaryValue(type, file.data.lower.at(1)),
               upper = iceberg::FromBinaryValue(type, file.data.upper.at(1));
    EXPECT_GT(std::get<int64_t>(*lower), last) << file.data.path;
    last = std::get<int64_t>(*upper);
  }
}

// What is merged is as large as it can get, so it is left alone.
TEST(AppendWriterTest, ASortedCopyIsNotCopiedAgainForNothing) {
  TestTable table(/*keyed=*/false);
  table.Cluster({"id"});
  table.options.sort_rows_max = 400;  // of equal rows, which take no bytes
  table.options.merge_files_min = 4;
  int64_t rewritten = 0;
  for (int i = 0; i < 60; ++i) {
    ASSERT_OK(table.RunEpoch({std::vector<TestRow>(100, {1, 7, "x", 7})}));
    rewritten = table.writer().counters().rows_rewritten;
  }
  EXPECT_GT(rewritten, 2'000);
  EXPECT_LE(rewritten, 3 * 6'000) << "each row a few times";
  EXPECT_EQ(table.Read().begin()->second, 6'000);
}

// Epochs that come and go, are given up and begun anew, while a merge is at work.
TEST(AppendWriterTest, MergesBesideTheEpochsInAppendOrder) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  TestTable table(/*keyed=*/false);
  std::deque<std::function<void()>> begun;
  table.options.beside = [&](std::function<void()> work) {
    begun.push_back(std::move(work));
  };
  const auto finish_all = [&] {
    for (; !begun.empty(); begun.pop_front()) begun.front()();
  };
  int64_t next = 0;
  size_t most_files = 0;
  int64_t merged = 0;  // by the writers before
  for (int i = 0; i < 200; ++i) {
    EXPECT_LE(begun.size(), 1u);
    if (random() % 3 == 0) finish_all();
    if (random() % 20 == 0) {
      finish_all();  // what nobody will publish goes with the writer
      merged += table.writer().counters().files_merged;
      table.Restart();
      ASSERT_OK(table.Open());
    }
    if (random() % 10 == 0) {
      ASSERT_OK(table.writer().Append(table.Rows({{1, -1, "given up", 0}})));
      state::Delta delta;
      ASSERT_OK(table.writer().Finish(Epoch{9}, delta));
      table.writer().Abandon();
    }
    ASSERT_OK(table.RunEpoch({{{1, next, "x", next}}}));
    ++next;
    most_files = std::max(most_files, table.Files().size());
  }
  EXPECT_LT(most_files, 40u);
  EXPECT_GT(merged + table.writer().counters().files_merged, 0);
  const std::vector<TestRow> rows = table.InOrder();
  EXPECT_EQ(rows.size(), 200u);
  EXPECT_EQ(table.Read().size(), 200u);
  ExpectAppendOrder(table);
  finish_all();
}

TEST(AppendWriterTest, AMergeThatNobodyWillPublishLeavesNoFile) {
  TestTable table(/*keyed=*/false);
  std::function<void()> begun;
  table.options.beside = [&](std::function<void()> work) { begun = std::move(work); };
  for (int i = 0; begun == nullptr; ++i) ASSERT_OK(table.RunEpoch({{{1, i, "x", i}}}));
  const std::string folder =
      io::Join(*iceberg::PathOf(table.metadata().location), "data");
  const auto before = *table.io().List(folder);
  begun();
  EXPECT_GT(table.io().List(folder)->size(), before.size());
  table.Restart();
  EXPECT_EQ(*table.io().List(folder), before);
}

TEST(AppendWriterTest, AMergeThatFailsIsToldByTheNextEpoch) {
  TestTable table(/*keyed=*/false);
  std::function<void()> begun;
  table.options.beside = [&](std::function<void()> work) { begun = std::move(work); };
  for (int i = 0; begun == nullptr; ++i) ASSERT_OK(table.RunEpoch({{{1, i, "x", i}}}));
  const std::string gone = *iceberg::PathOf(table.Files().front().data.path);
  std::filesystem::rename(gone, gone + ".away");
  begun();
  ASSERT_OK(table.writer().Append(table.Rows({{1, 100, "x", 0}})));
  state::Delta delta;
  const auto finished = table.writer().Finish(Epoch{99}, delta);
  ASSERT_FALSE(finished.ok());
  EXPECT_THAT(finished.error().message, HasSubstr(gone));
  table.writer().Abandon();
  std::filesystem::rename(gone + ".away", gone);
}

TEST(AppendWriterTest, AbandonLeavesNothingBehind) {
  TestTable table(/*keyed=*/false);
  ASSERT_OK(table.RunEpoch({{{1, 1, "ann", 5}}}));
  const std::string folder =
      io::Join(*iceberg::PathOf(table.metadata().location), "data");
  const auto before = *table.io().List(folder);
  ASSERT_OK(table.writer().Append(table.Rows({{1, 2, "bob", 6}})));
  state::Delta delta;
  ASSERT_OK(table.writer().Finish(Epoch{9}, delta));
  table.writer().Abandon();
  EXPECT_EQ(*table.io().List(folder), before);
  ASSERT_OK(table.RunEpoch({{{1, 3, "cid", 7}}}));
  EXPECT_EQ(table.Read().size(), 2u);
}

}  // namespace
}  // namespace weir::publish
