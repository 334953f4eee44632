#include "commit/sweep.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <set>

#include "base/event.h"
#include "commit/testing_internal.h"
#include "iceberg/referenced.h"
#include "io/sim_io.h"
#include "io/temp_folder.h"

namespace weir::commit {
namespace {

// "data/NAME" and "metadata/NAME" of all files below the warehouse.
std::set<std::string> FilesIn(io::Io& io, const std::string& dir) {
  std::set<std::string> out;
  const auto names = io.List(dir);
  if (!names.ok()) return out;
  for (const std::string& name : *names) {
    const std::string path = io::Join(dir, name);
    if (Must(io.Stat(path)).is_dir) {
      out.merge(FilesIn(io, path));
    } else {
      out.insert(path);
    }
  }
  return out;
}

std::set<std::string> NamedFiles(io::Io& io, Lake& lake) {
  std::unordered_set<std::string> uris;
  for (const iceberg::TableRef& table : Must(lake.committer().catalog().List()))
    Must(iceberg::AddReferencedFiles(io, table.metadata_location, nullptr, &uris));
  std::set<std::string> out;
  for (const std::string& uri : uris) out.insert(Must(iceberg::PathOf(uri)));
  return out;
}

Status Sweeps(Lake& lake, Clock& clock, SweepReport* report = nullptr) {
  Sweep sweep = WEIR_TRY(lake.committer().BeginSweep());
  const SweepReport found = WEIR_TRY(sweep.Finish(clock, nullptr));
  if (report != nullptr) *report = found;
  return {};
}

// Three epochs over two tables, the second of which is dropped at the end.
Status Live(Lake& lake) {
  WEIR_TRY(lake.Open());
  for (int n = 0; n < 3; ++n) {
    std::vector<iceberg::Staged> tables;
    tables.push_back(WEIR_TRY(lake.StageAppend("a.t", std::to_string(n))));
    tables.push_back(WEIR_TRY(lake.StageAppend("b.t", std::to_string(n))));
    WEIR_TRY(lake.Commit(std::move(tables)));
  }
  state::Delta delta;
  EpochCommit drop;
  drop.lane = "live";
  drop.delta = &delta;
  drop.models = {{"b.t", "print", "live", {}, ""}};
  drop.dropped_models = {"b.t"};
  return lake.committer().Commit(drop);
}

// Killed after every operation, what stays is exactly what the catalog names.
TEST(SweepTest, AfterAKillAnywhereExactlyTheNamedFilesStay) {
  SetEventSeverity(Severity::kError);
  int64_t swept = 0;
  uint64_t cuts = 0;
  for (bool whole = false; !whole; ++cuts) {
    ManualClock clock(kTestNow);
    io::SimIo io({.cut_power_after = cuts});
    {
      Lake lake(io, clock, "/d");
      static_cast<void>(Live(lake).ok());
    }
    whole = !io.power_is_off();
    SCOPED_TRACE(fmt::format("cut after operation {} ({})", cuts, io.last_operation()));
    const auto disk = io.Survivor(cuts, io::AfterCut::kKeepAll);
    clock.Advance(1);
    Lake lake(*disk, clock, "/d");
    Must(lake.Open());
    if (!whole && lake.committer().owner_epoch() > 1) {
      EXPECT_TRUE(Must(lake.committer().SweepIsDue())) << "the owner before was killed";
    }
    SweepReport report;
    Must(Sweeps(lake, clock, &report));
    swept += report.files;
    clock.Advance(1);
    Must(lake.committer().CollectGarbage());
    EXPECT_EQ(FilesIn(*disk, "/d/warehouse"), NamedFiles(*disk, lake));
    EXPECT_EQ(report.left, 0);
    // And it goes on.
    Must(lake.Commit({Must(lake.StageAppend("a.t", "x"))}));
    EXPECT_THAT(Must(lake.Text("a.t")), testing::EndsWith("x"));
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  EXPECT_GT(cuts, 200u);
  EXPECT_GT(swept, 100);
}

class SweepOfOneTest : public testing::Test {
 protected:
  void SetUp() override {
    Must(lake_.Open());
    Must(lake_.Commit({Must(lake_.StageAppend("a.t", "1"))}));
  }
  std::string Orphan(const std::string& folder) {
    Must(io_.CreateDirs(folder));
    const std::string path = io::Join(folder, "rows-00000-" + iceberg::NewUuid());
    Must(io_.WriteNew(path, "rows"));
    return path;
  }
  SweepReport SweepNow() {
    SweepReport report;
    Must(Sweeps(lake_, clock_, &report));
    clock_.Advance(1);
    return report;
  }

  ManualClock clock_{kTestNow};
  io::SimIo io_;
  Lake lake_{io_, clock_, "/d"};
};

TEST_F(SweepOfOneTest, AFileStaysAsLongAsAReaderIsOlderThanTheSweep) {
  const std::string orphan = Orphan("/d/warehouse/a/t/data");
  lake_.Query(fmt::format("INSERT INTO weir_readers VALUES ('r', '[]', {}, {})",
                          kTestNow - 1, kTestNow + 1000));
  EXPECT_EQ(SweepNow().files, 1);
  Must(lake_.committer().CollectGarbage());
  EXPECT_TRUE(io_.Exists(orphan));
  clock_.Advance(1000);
  Must(lake_.committer().CollectGarbage());
  EXPECT_FALSE(io_.Exists(orphan));
}

TEST_F(SweepOfOneTest, AnUnreadableTableMeansThatNothingIsTouched) {
  const std::string orphan = Orphan("/d/warehouse/a/t/data");
  const auto staged = Must(lake_.StageAppend("c.t", "1"));
  Must(lake_.Commit({staged}));
  const std::string list =
      Must(iceberg::PathOf(Must(lake_.Load("c.t")).current()->manifest_list));
  const std::string bytes = Must(io_.ReadAll(list));
  Must(io_.Remove(list));
  EXPECT_FALSE(Sweeps(lake_, clock_).ok());
  clock_.Advance(1);
  Must(lake_.committer().CollectGarbage());
  EXPECT_TRUE(io_.Exists(orphan));
  Must(io_.WriteNew(list, bytes));
  EXPECT_EQ(SweepNow().files, 1);
}

// Statistics are other programs', and so are their faults.
TEST_F(SweepOfOneTest, StatisticsThatNameNoFileAreNoneToKeep) {
  const std::string kept = Orphan("/d/warehouse/a/t/metadata");
  const std::string metadata = Must(
      iceberg::PathOf(Must(lake_.committer().catalog().Find("a.t"))->metadata_location));
  std::string json = Must(io_.ReadAll(metadata));
  ASSERT_TRUE(json.ends_with("}"));
  json.pop_back();
  json += fmt::format(R"(,"statistics":[17,{{"snapshot-id":1}},{{"statistics-path":5}},)"
                      R"({{"statistics-path":"{}"}}]}})",
                      iceberg::UriOf(kept));
  Must(io_.Remove(metadata));
  Must(io_.WriteNew(metadata, json));
  EXPECT_EQ(SweepNow().files, 0);
}

TEST_F(SweepOfOneTest, FilesWrittenAfterTheListAreLeftAlone) {
  Sweep sweep = Must(lake_.committer().BeginSweep());
  const std::string fresh = Orphan("/d/warehouse/a/t/data");
  EXPECT_EQ(Must(sweep.Finish(clock_, nullptr)).files, 0);
  clock_.Advance(1);
  Must(lake_.committer().CollectGarbage());
  EXPECT_TRUE(io_.Exists(fresh));
}

TEST_F(SweepOfOneTest, AReplacedOwnerSweepsNothing) {
  const std::string orphan = Orphan("/d/warehouse/a/t/data");
  Sweep sweep = Must(lake_.committer().BeginSweep());
  lake_.Query("UPDATE weir_owner SET owner_epoch = owner_epoch + 1");
  const auto report = sweep.Finish(clock_, nullptr);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::kConflict);
  EXPECT_EQ(lake_.Query("SELECT path FROM weir_garbage"), "");
}

TEST_F(SweepOfOneTest, ItCanBeStopped) {
  Sweep sweep = Must(lake_.committer().BeginSweep());
  EXPECT_EQ(sweep.Finish(clock_, [] { return true; }).error().code, Code::kCancelled);
}

TEST_F(SweepOfOneTest, TheFolderOfADroppedTableGoesAtTheNextSweep) {
  const std::string orphan = Orphan("/d/warehouse/b/gone/data");
  EXPECT_EQ(SweepNow().files, 1);
  Must(lake_.committer().CollectGarbage());
  EXPECT_TRUE(io_.Exists("/d/warehouse/b/gone"));
  SweepNow();
  EXPECT_FALSE(io_.Exists("/d/warehouse/b/gone"));
  EXPECT_TRUE(io_.Exists("/d/warehouse/a/t"));
}

TEST(SweepNameTest, OnlyOurOwnNamesAreOurs) {
  EXPECT_TRUE(iceberg::HasOurName("rows-00000-" + iceberg::NewUuid() + ".parquet"));
  EXPECT_TRUE(iceberg::HasOurName("00012-" + iceberg::NewUuid() + ".metadata.json"));
  EXPECT_FALSE(
      iceberg::HasOurName("00000-0-9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d.parquet"));
  EXPECT_FALSE(iceberg::HasOurName("part-00000.parquet"));
  EXPECT_FALSE(iceberg::HasOurName(""));
}

// On real files, which have real times: another program's file stays for three days, and
// for ever where no table is.
TEST(SweepNameTest, OtherProgramsGetTime) {
  const io::TempFolder folder;
  const std::string& root = folder.path();
  const auto io = io::NewPosixIo();
  SystemClock clock;
  {
    Lake lake(*io, clock, root + "/d");
    Must(lake.Open());
    Must(lake.Commit({Must(lake.StageAppend("a.t", "1"))}));
    const std::string data = root + "/d/warehouse/a/t/data",
                      none = root + "/d/warehouse/b/foreign/data";
    Must(io->CreateDirs(none));
    const std::string young = data + "/young.parquet", old = data + "/old.parquet",
                      elsewhere = none + "/old.parquet";
    for (const std::string& path : {young, old, elsewhere}) Must(io->WriteNew(path, "x"));
    const time_t then = ::time(nullptr) - 4 * 24 * 3600;
    const struct timespec times[2] = {{then, 0}, {then, 0}};
    for (const std::string& path : {old, elsewhere})
      ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    SweepReport report;
    Must(Sweeps(lake, clock, &report));
    EXPECT_EQ(report.files, 1);
    EXPECT_EQ(report.left, 2);
    ::usleep(1000);
    Must(lake.committer().CollectGarbage());
    EXPECT_TRUE(io->Exists(young));
    EXPECT_FALSE(io->Exists(old));
    EXPECT_TRUE(io->Exists(elsewhere));
  }
}

}  // namespace
}  // namespace weir::commit
