#include "commit/relocate.h"

#include <arrow/api.h>
#include <gmock/gmock.h>

#include <filesystem>

#include "commit/testing_internal.h"
#include "data/arrow.h"
#include "io/sim_io.h"
#include "io/temp_folder.h"
#include "publish/table_writer.h"
#include "scan/scan.h"

namespace weir::commit {
namespace {

using testing::HasSubstr;

constexpr const char* kEvents = "bronze.events";
constexpr const char* kTrips = "silver.trips";

void CopyTree(io::Io& from, const std::string& source, io::Io& to,
              const std::string& target) {
  Must(to.CreateDirs(target));
  for (const std::string& name : Must(from.List(source))) {
    const std::string path = io::Join(source, name), copy = io::Join(target, name);
    if (Must(from.Stat(path)).is_dir) {
      CopyTree(from, path, to, copy);
    } else {
      Must(to.WriteNew(copy, Must(from.ReadAll(path))));
    }
  }
  Must(to.SyncDir(target));
}

// Rows of a table are appended, and some of them deleted, over a few snapshots.
class Tables {
 public:
  explicit Tables(Lake& lake) : lake_(lake) {}

  void Make() {
    for (int i = 0; i < 3; ++i)
      Must(lake_.Commit({Must(lake_.StageAppend(kEvents, fmt::format("e{}", i)))}));
    Trips({}, {}, 2);                      // files 0 and 1
    Trips({{0, 1}, {1, 2}}, {}, 1);        // two vectors in one Puffin file
    Trips({{0, 3}}, {}, 0);                // replaces one of them
    Trips({{2, 4}}, {files_[1].path}, 0);  // a removed file, whose vector goes too
    lake_.Query("INSERT INTO weir_garbage VALUES ('file:///d/warehouse/left.avro', 1)");
    lake_.Query(
        "INSERT INTO iceberg_namespace_properties VALUES ('weir', 'silver', 'location', "
        "'file:///d/warehouse/silver')");
  }

 private:
  void Trips(const std::map<size_t, int64_t>& deleted,
             const std::vector<std::string>& removed, int added) {
    const iceberg::Metadata metadata = Must(lake_.Load(kTrips, 3));
    iceberg::FileChange change;
    change.operation = "overwrite";
    change.removed = removed;
    for (int i = 0; i < added; ++i) {
      change.added.push_back(
          Must(lake_.WriteFile(metadata, fmt::format("t{}", files_.size()))));
      files_.push_back(change.added.back());
    }
    std::vector<iceberg::VectorToWrite> vectors;
    for (const auto& [file, position] : deleted) {
      deleted_[file].Add(position);
      vectors.push_back({&files_[file], &deleted_[file]});
    }
    const std::string path =
        metadata.location + "/data/" + iceberg::NewUuid() + ".puffin";
    if (!vectors.empty())
      change.vectors = Must(iceberg::WriteVectors(lake_.io(), path, vectors));
    Must(lake_.Commit({Must(lake_.StageFiles(kTrips, metadata, change))}));
  }

  Lake& lake_;
  std::vector<iceberg::DataFile> files_;
  std::map<size_t, iceberg::Positions> deleted_;
};

// What all snapshots of both tables hold, without the places: id, file text, row ids,
// sequence numbers, deleted positions.
std::string Contents(Lake& lake) {
  std::string out;
  for (const char* table : {kEvents, kTrips}) {
    const iceberg::Metadata metadata = Must(lake.Load(table));
    for (const iceberg::Snapshot& snapshot : metadata.snapshots) {
      out += fmt::format("{} {}:", table, snapshot.id.value);
      for (const iceberg::LiveFile& file :
           Must(iceberg::LiveFiles(lake.io(), metadata, snapshot))) {
        out += fmt::format(
            " {}/{}/{}", Must(lake.io().ReadAll(Must(iceberg::PathOf(file.data.path)))),
            file.data.first_row_id.value_or(-1), file.data.data_sequence_number);
        if (!file.vector) continue;
        EXPECT_EQ(file.vector->referenced_data_file, file.data.path);
        EXPECT_EQ(Must(lake.io().Stat(Must(iceberg::PathOf(file.vector->path)))).size,
                  static_cast<uint64_t>(file.vector->file_bytes));
        out += fmt::format(
            "-[{}]",
            fmt::join(Must(iceberg::ReadVector(lake.io(), *file.vector)).ToVector(),
                      ","));
      }
      out += "\n";
    }
  }
  return out;
}

// No file of the warehouse but data files, and no row of the catalog, names `place`.
// Manifests are compressed, so their names are read.
void ExpectNobodyNames(Lake& lake, const std::string& place) {
  for (const char* table : {kEvents, kTrips}) {
    const iceberg::Metadata metadata = Must(lake.Load(table));
    EXPECT_THAT(iceberg::MetadataToJson(metadata), Not(HasSubstr(place))) << table;
    for (const iceberg::Snapshot& snapshot : metadata.snapshots) {
      for (const iceberg::LiveFile& file :
           Must(iceberg::LiveFiles(lake.io(), metadata, snapshot))) {
        EXPECT_THAT(file.data.path, Not(HasSubstr(place)));
        if (!file.vector) continue;
        EXPECT_THAT(Must(lake.io().ReadAll(Must(iceberg::PathOf(file.vector->path)))),
                    Not(HasSubstr(place)));
      }
    }
  }
  for (const char* sql :
       {"SELECT * FROM iceberg_tables", "SELECT * FROM iceberg_namespace_properties",
        "SELECT * FROM weir_garbage", "SELECT * FROM weir_meta"}) {
    EXPECT_THAT(lake.Query(sql), Not(HasSubstr(place))) << sql;
  }
}

int Count(io::Io& io, const std::string& dir, std::string_view ending) {
  int out = 0;
  for (const std::string& name : Must(io.List(dir))) out += name.ends_with(ending);
  return out;
}

class RelocateTest : public testing::Test {
 protected:
  void SetUp() override {
    Lake lake(old_, clock_, "/d");
    Must(lake.Open());
    Tables(lake).Make();
    before_ = Contents(lake);
    lake.Close();
    CopyTree(old_, "/d", io_, "/elsewhere/d2");
    Must(io_.SyncDir("/elsewhere"));
    Must(io_.SyncDir("/"));
  }

  ManualClock clock_{kTestNow};
  io::SimIo old_, io_;
  std::string before_;
};

TEST_F(RelocateTest, EverySnapshotReadsTheSameAtTheNewPlaceAndNothingNamesTheOldOne) {
  std::string tables;
  Must(Relocate(io_, clock_, "/elsewhere/d2",
                [&](const std::string& table) { tables += table + " "; }));
  EXPECT_EQ(tables, "bronze.events silver.trips ");
  Lake lake(io_, clock_, "/elsewhere/d2");
  Must(lake.Open());
  EXPECT_THAT(before_, HasSubstr("-[1,3]"));
  EXPECT_EQ(Contents(lake), before_);
  ExpectNobodyNames(lake, "/d/");
  EXPECT_THAT(lake.Query("SELECT path FROM weir_garbage"),
              HasSubstr("file:///elsewhere/d2/warehouse/left.avro"));
}

TEST_F(RelocateTest, WhatWasReplacedIsCollectedAndTheRestStays) {
  Must(Relocate(io_, clock_, "/elsewhere/d2", nullptr));
  Lake lake(io_, clock_, "/elsewhere/d2");
  Must(lake.Open());
  clock_.Advance(1);
  Must(lake.committer().CollectGarbage());
  EXPECT_EQ(lake.Query("SELECT path FROM weir_garbage"), "");
  EXPECT_EQ(Contents(lake), before_);
  for (const char* table : {kEvents, kTrips}) {
    std::string place = table;  // namespace/table
    std::replace(place.begin(), place.end(), '.', '/');
    const std::string before = fmt::format("/d/warehouse/{}/", place),
                      now = fmt::format("/elsewhere/d2/warehouse/{}/", place);
    EXPECT_EQ(Count(io_, now + "metadata", ".avro"),
              Count(old_, before + "metadata", ".avro"));
    EXPECT_EQ(Count(io_, now + "metadata", ".json"), 1);
    EXPECT_EQ(Count(io_, now + "data", ".parquet"),
              Count(old_, before + "data", ".parquet"));
    EXPECT_EQ(Count(io_, now + "data", ".puffin"),
              table == kTrips ? Count(old_, before + "data", ".puffin") : 0);
  }
}

TEST_F(RelocateTest, TheTablesGoOnFromThere) {
  Must(Relocate(io_, clock_, "/elsewhere/d2", nullptr));
  Lake lake(io_, clock_, "/elsewhere/d2");
  Must(lake.Open());
  Must(lake.Commit({Must(lake.StageAppend(kEvents, "e3"))}));
  EXPECT_EQ(Must(lake.Text(kEvents)), "e0 e1 e2 e3");
  // And back, or anywhere else.
  lake.Close();
  io::SimIo third;
  CopyTree(io_, "/elsewhere/d2", third, "/d");
  Must(Relocate(third, clock_, "/d", nullptr));
  Lake moved(third, clock_, "/d");
  Must(moved.Open());
  EXPECT_EQ(Must(moved.Text(kEvents)), "e0 e1 e2 e3");
}

TEST_F(RelocateTest, ADirectoryThatWasNotMovedIsLeftAlone) {
  const uint64_t operations = old_.operations();
  Must(Relocate(old_, clock_, "/d", nullptr));
  EXPECT_LE(old_.operations(), operations);
  const Status nothing = Relocate(old_, clock_, "/nowhere", nullptr);
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().code, Code::kNotFound);
}

TEST_F(RelocateTest, AnotherProcessIsNotDisturbed) {
  const auto lock = Must(io_.Open("/elsewhere/d2/LOCK", io::OpenMode::kCreate));
  const auto catalog =
      Must(iceberg::Catalog::Open(io_, "/elsewhere/d2/catalog.db", kCatalogName, false));
  const auto owner = Must(catalog->Sql("SELECT owner_epoch FROM weir_owner"));
  Must(lock->LockRange(io::File::LockKind::kExclusive,
                       static_cast<uint64_t>(std::get<int64_t>(owner[0][0])), 1));
  Must(catalog->Sql("UPDATE weir_owner SET lease_until_since_boot = ?",
                    {clock_.Monotonic() + 1'000'000}));
  const Status refused = Relocate(io_, clock_, "/elsewhere/d2", nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kConflict);
}

TEST_F(RelocateTest, CutAnywhereItIsFinishedByRunningItAgain) {
  const auto start = io_.Survivor(0, io::AfterCut::kDropUnsynced);
  uint64_t done = 0, undone = 0;
  bool whole = false;
  for (uint64_t cut = 0; !whole; ++cut) {
    const auto disk = start->Survivor(0, io::AfterCut::kKeepAll);
    disk->SetFaults({.cut_power_after = cut});
    const bool confirmed = Relocate(*disk, clock_, "/elsewhere/d2", nullptr).ok();
    whole = !disk->power_is_off();
    for (const auto mode :
         {io::AfterCut::kDropUnsynced, io::AfterCut::kKeepAll, io::AfterCut::kRandom}) {
      SCOPED_TRACE(fmt::format("cut after operation {} ({}), mode {}", cut,
                               disk->last_operation(), static_cast<int>(mode)));
      const auto survivor = disk->Survivor(cut, mode);
      Lake lake(*survivor, clock_, "/elsewhere/d2");
      if (!lake.Open().ok()) {
        EXPECT_FALSE(confirmed);
        ++undone;
        Must(Relocate(*survivor, clock_, "/elsewhere/d2", nullptr));
        Must(lake.Open());
      } else {
        ++done;
      }
      EXPECT_EQ(Contents(lake), before_);
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(undone, 50u);
  EXPECT_GT(done, 3u);
}

// A keyed table by the real writer: the key index must fit the table at its new place.
class WriterTest : public testing::Test {
 protected:
  static data::Batch Rows(const std::vector<std::pair<int64_t, std::string>>& rows,
                          std::vector<int32_t> weights) {
    arrow::Int64Builder id;
    arrow::StringBuilder name;
    for (const auto& row : rows)
      EXPECT_TRUE(id.Append(row.first).ok() && name.Append(row.second).ok());
    data::Batch out;
    out.rows = arrow::RecordBatch::Make(data::ToArrow(Schema()),
                                        static_cast<int64_t>(rows.size()),
                                        {*id.Finish(), *name.Finish()});
    out.weights = std::move(weights);
    return out;
  }
  static data::Schema Schema() {
    data::Schema schema{{{"id", data::Simple(data::Kind::kInt64), false, 0, ""},
                         {"name", data::Simple(data::Kind::kString), false, 0, ""}}};
    data::AssignFieldIds(schema, 0);
    return schema;
  }

  // Writes one epoch of the table "silver.t" with a writer opened for it alone.
  void Write(Lake& lake, data::Batch changes) {
    const auto found = Must(lake.committer().catalog().Find("silver.t"));
    publish::TableWriterOptions options;
    options.name = "silver.t";
    if (found) {
      options.metadata = Must(lake.Load("silver.t"));
    } else {
      iceberg::NewTable table;
      table.location = iceberg::UriOf(io::Join(WarehouseDir(lake.dir()), "silver/t"));
      table.format_version = 3;
      table.schema = Schema();
      options.metadata = iceberg::MakeMetadata(table, kTestNow);
    }
    options.keyed = true;
    options.key = {"id"};
    options.store = &lake.committer().store();
    const auto writer = Must(publish::TableWriter::Open(lake.io(), options));
    Must(writer->Append(std::move(changes)));
    state::Delta delta;
    const auto change = Must(writer->Finish(lake.committer().next_epoch(), delta));
    ASSERT_TRUE(change);
    Must(lake.Commit({Must(lake.StageFiles("silver.t", options.metadata, *change))},
                     delta));
  }

  std::map<int64_t, std::string> Read(Lake& lake) {
    const iceberg::Metadata metadata = Must(lake.Load("silver.t"));
    const auto scan = Must(
        scan::ScanTable(lake.io(), metadata, *metadata.current(), metadata.schema(), {}));
    std::map<int64_t, std::string> out;
    while (auto rows = Must(scan->Next())) {
      for (int64_t i = 0; i < rows->num_rows(); ++i) {
        out[static_cast<const arrow::Int64Array&>(*rows->column(0)).Value(i)] =
            static_cast<const arrow::StringArray&>(*rows->column(1)).GetString(i);
      }
    }
    return out;
  }

  const std::unique_ptr<io::Io> io_ = io::NewPosixIo();
  SystemClock clock_;
  const io::TempFolder folder_;
  const std::string root_ = folder_.path();
};

TEST_F(WriterTest, AKeyedTableKeepsItsKeyIndex) {
  using Expected = std::map<int64_t, std::string>;
  {
    Lake lake(*io_, clock_, root_ + "/a");
    Must(lake.Open());
    Write(lake, Rows({{1, "ann"}, {2, "bob"}, {3, "cid"}}, {}));
    Write(lake, Rows({{2, "bob"}, {2, "bea"}}, {-1, 1}));
    EXPECT_EQ(Read(lake), (Expected{{1, "ann"}, {2, "bea"}, {3, "cid"}}));
  }
  std::filesystem::rename(root_ + "/a", root_ + "/b");
  Must(Relocate(*io_, clock_, root_ + "/b", nullptr));
  Lake lake(*io_, clock_, root_ + "/b");
  Must(lake.Open());
  EXPECT_EQ(Read(lake), (Expected{{1, "ann"}, {2, "bea"}, {3, "cid"}}));
  Write(lake, Rows({{1, "ann"}, {2, "bea"}, {2, "ben"}, {4, "dan"}}, {-1, -1, 1, 1}));
  Must(lake.committer().CollectGarbage());
  EXPECT_EQ(Read(lake), (Expected{{2, "ben"}, {3, "cid"}, {4, "dan"}}));
}

}  // namespace
}  // namespace weir::commit
