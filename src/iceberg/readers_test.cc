// Tables that PyIceberg and DuckDB must read row for row; tests/iceberg_readers.py is the
// other half.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "iceberg/catalog.h"
#include "iceberg/deletion_vector.h"
#include "iceberg/move.h"
#include "io/temp_folder.h"

namespace weir::iceberg {
namespace {

using Json = nlohmann::json;
using data::Kind;

const std::string kPython = WEIR_SOURCE_DIR "/.deps/venv/bin/python";
const std::string kScript = WEIR_SOURCE_DIR "/tests/iceberg_readers.py";
constexpr Micros kNow = 1'700'000'000'000'000;
constexpr Micros kSecond = 1'000'000;

int RunScript(const std::string& arguments) {
  return std::system((kPython + " " + kScript + " " + arguments).c_str());
}

template <class T>
T Must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return *std::move(result);
}
void Must(Status status) {
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
}

data::Schema TestSchema() {
  data::Schema schema;
  schema.fields = {{"id", data::Simple(Kind::kInt64), true},
                   {"name", data::Simple(Kind::kString)},
                   {"ts", data::Simple(Kind::kTimestampTz)},
                   {"amount", data::Decimal(12, 3)},
                   {"tags", data::ListOf(data::Simple(Kind::kString))}};
  return schema;
}

// One table of the test's warehouse with Parquet files waiting to be committed, and the
// rows that must be in it.
class TestTable {
 public:
  TestTable(io::Io& io, Catalog& catalog, const std::string& warehouse, std::string name,
            int version, bool partitioned)
      : io_(io),
        catalog_(catalog),
        name_("db." + name),
        folder_(warehouse + "/db/" + name) {
    NewTable table;
    table.location = UriOf(folder_);
    table.format_version = version;
    table.schema = TestSchema();
    if (partitioned) table.partition = {{3, 0, "", {TransformKind::kDay, 0}}};
    if (version == 3) table.identifier = {"id"};
    metadata_ = MakeMetadata(table, kNow);
    options_ = {.manifests_min_to_merge = 4,
                .snapshots_max = 6,
                .snapshot_age_min = 3 * kSecond,
                .metadata_files_max = 3};
  }

  void MakeFiles(int files, int rows) {
    ASSERT_EQ(RunScript(fmt::format("make {}/data {} {}", folder_, files, rows)), 0);
    std::ifstream in(folder_ + "/data/files.json");
    for (const Json& about : Json::parse(in)) {
      DataFile file;
      file.path = UriOf(about["path"].get<std::string>());
      file.record_count = about["rows"];
      file.file_bytes = about["bytes"];
      if (!metadata_.spec().fields.empty())
        file.partition = {about["day"].get<int32_t>()};
      const int64_t first = about["first"];
      file.value_counts[1] = file.record_count;
      file.null_counts[1] = 0;
      file.lower[1] = BinaryValue(data::Simple(Kind::kInt64), Literal(first));
      file.upper[1] =
          BinaryValue(data::Simple(Kind::kInt64), Literal(first + file.record_count - 1));
      first_row_[file.path] = first;
      files_.push_back(std::move(file));
    }
  }

  FileChange Append(size_t file) const {
    return {.operation = "append", .added = {files_[file]}};
  }

  // Adds deletions to the vectors of some files.
  FileChange Delete(const std::map<size_t, std::vector<int64_t>>& positions) {
    std::vector<VectorToWrite> vectors;
    for (const auto& [file, more] : positions) {
      for (const int64_t position : more) deleted_[file].Add(position);
      vectors.push_back({&files_[file], &deleted_[file]});
    }
    const std::string path = fmt::format("{}/data/{}.puffin", folder_, NewUuid());
    return {.operation = "delete", .vectors = Must(WriteVectors(io_, path, vectors))};
  }

  void Commit(const FileChange& change) {
    now_ += kSecond;
    Staged staged = Must(Stage(io_, name_, metadata_, location_, change, now_, options_));
    Must(catalog_.Transact([&] { return catalog_.Swap(staged); }));
    for (const std::string& uri : staged.obsolete) {
      Must(io_.Remove(Must(PathOf(uri))));
      ++removed_;
    }
    metadata_ =
        Must(ParseMetadata(Must(io_.ReadAll(Must(PathOf(staged.metadata_location))))));
    EXPECT_EQ(MetadataToJson(metadata_), MetadataToJson(staged.metadata));
    location_ = staged.metadata_location;
  }

  // What the readers must find, by LiveFiles and the positions this test deleted.
  Json Expected() const {
    Json rows = Json::array(), row_ids = Json::object();
    for (const LiveFile& live : Must(LiveFiles(io_, metadata_, *metadata_.current()))) {
      Positions gone;
      if (live.vector) gone = Must(ReadVector(io_, *live.vector));
      for (int64_t i = 0; i < live.data.record_count; ++i) {
        if (gone.Contains(i)) continue;
        const int64_t id = first_row_.at(live.data.path) + i;
        rows.push_back(id);
        if (live.data.first_row_id)
          row_ids[std::to_string(id)] = *live.data.first_row_id + i;
      }
    }
    return {{"rows", rows},
            {"range", {37, 93}},
            {"snapshots", metadata_.snapshots.size()},
            {"row_ids", row_ids}};
  }

  const Metadata& metadata() const { return metadata_; }
  const DataFile& file(size_t i) const { return files_[i]; }
  int removed() const { return removed_; }
  size_t manifests() const {
    size_t count = 0;
    for (const std::string& name : Must(io_.List(folder_ + "/metadata")))
      count += name.find("-m") != std::string::npos;
    return count;
  }

 private:
  io::Io& io_;
  Catalog& catalog_;
  const std::string name_, folder_;
  MaintenanceOptions options_;
  Metadata metadata_;
  std::string location_;
  std::vector<DataFile> files_;
  std::map<std::string, int64_t> first_row_;
  std::map<size_t, Positions> deleted_;
  Micros now_ = kNow;
  int removed_ = 0;
};

class ReadersTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(access(kPython.c_str(), X_OK), 0) << "no " << kPython << ": run ./x deps";
    ASSERT_TRUE(io_->CreateDirs(warehouse_).ok());
    catalog_ = Must(Catalog::Open(*io_, warehouse_ + "/catalog.db", "weir", false));
  }
  void TearDown() override {
    if (HasFailure()) folder_.Keep();
  }
  void Check(const Json& expected) {
    std::ofstream(warehouse_ + "/expected.json") << expected.dump();
    EXPECT_EQ(RunScript("check " + warehouse_), 0)
        << "the tables are left in " << warehouse_;
  }

  // Everything stands elsewhere afterwards, and what the move replaced is gone.
  void MoveWarehouse() {
    const std::string to = warehouse_ + "-moved";
    catalog_.reset();
    ASSERT_EQ(std::rename(warehouse_.c_str(), to.c_str()), 0);
    catalog_ = Must(Catalog::Open(*io_, to + "/catalog.db", "weir", false));
    const Move move(warehouse_, to);
    warehouse_ = to;
    for (const TableRef& table : Must(catalog_->List())) {
      const Staged staged =
          Must(StageMove(*io_, table.name, table.metadata_location, move, kNow));
      Must(catalog_->Transact([&] { return catalog_->Swap(staged); }));
      for (const std::string& uri : staged.obsolete) Must(io_->Remove(Must(PathOf(uri))));
    }
  }

  const std::unique_ptr<io::Io> io_ = io::NewPosixIo();
  io::TempFolder folder_;
  std::string warehouse_ = folder_.path() + "/lake";
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(ReadersTest, ReadTablesAfterMergesRewritesVectorsExpiryAndAMove) {
  TestTable appended(*io_, *catalog_, warehouse_, "appended", 2, true);
  appended.MakeFiles(40, 10);
  for (size_t i = 0; i < 40; ++i) appended.Commit(appended.Append(i));
  EXPECT_EQ(appended.metadata().snapshots.size(), 6u);

  TestTable compacted(*io_, *catalog_, warehouse_, "compacted", 2, false);
  compacted.MakeFiles(12, 10);
  for (size_t i = 0; i < 10; ++i) compacted.Commit(compacted.Append(i));
  compacted.Commit({.operation = "replace",
                    .added = {compacted.file(10)},
                    .removed = {compacted.file(2).path, compacted.file(7).path}});
  compacted.Commit({.operation = "delete", .removed = {compacted.file(10).path}});
  compacted.Commit({.operation = "overwrite",
                    .added = {compacted.file(11)},
                    .removed = {compacted.file(9).path}});

  Json expected = {{"db.appended", appended.Expected()},
                   {"db.compacted", compacted.Expected()}};
  for (const bool partitioned : {false, true}) {
    const std::string name = partitioned ? "keyed_by_day" : "keyed";
    TestTable keyed(*io_, *catalog_, warehouse_, name, 3, partitioned);
    keyed.MakeFiles(30, 10);
    for (size_t i = 0; i < 30; ++i) {
      FileChange change = i % 3 == 2
                              ? keyed.Delete({{i - 1, {0, 3}},
                                              {i / 2, {static_cast<int64_t>(i % 10)}},
                                              {0, {static_cast<int64_t>(i / 4)}}})
                              : FileChange{.operation = "append"};
      change.operation = change.vectors.empty() ? "append" : "overwrite";
      change.added = {keyed.file(i)};
      keyed.Commit(change);
    }
    keyed.Commit(
        {.operation = "delete", .removed = {keyed.file(1).path, keyed.file(20).path}});
    keyed.Commit(keyed.Delete({{29, {9}}}));
    EXPECT_GT(keyed.removed(), 50);
    expected["db." + name] = keyed.Expected();
  }
  EXPECT_EQ(expected["db.appended"]["rows"].size(), 400u);
  EXPECT_EQ(expected["db.compacted"]["rows"].size(), 80u);
  Check(expected);
  MoveWarehouse();
  Check(expected);
}

}  // namespace
}  // namespace weir::iceberg
