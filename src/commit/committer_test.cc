#include "commit/committer.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <thread>

#include "base/event.h"
#include "commit/tags.h"
#include "commit/testing_internal.h"
#include "io/hooked_io.h"
#include "io/sim_io.h"

namespace weir::commit {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kEpochs = 4;

// "1 2 3": what n epochs write.
std::string Texts(int64_t n, int64_t step) {
  std::string out;
  for (int64_t i = step; i <= n; i += step)
    out += (out.empty() ? "" : " ") + std::to_string(i);
  return out;
}

// Epoch n appends a file "n" to a.t, every second one to b.t too, and puts n into the
// state.
Status CommitEpoch(Lake& lake, int64_t n) {
  std::vector<iceberg::Staged> tables;
  tables.push_back(WEIR_TRY(lake.StageAppend("a.t", std::to_string(n))));
  if (n % 2 == 0) tables.push_back(WEIR_TRY(lake.StageAppend("b.t", std::to_string(n))));
  state::Delta delta;
  delta.Put("s", "epoch", std::to_string(n));
  return lake.Commit(std::move(tables), delta, std::to_string(n));
}

// Tables, state, frontier and ledger are those of one epoch, which is returned.
int64_t ExpectOneEpoch(Lake& lake) {
  const Recovered& recovered = lake.committer().recovered();
  const int64_t epoch = recovered.epoch.value;
  EXPECT_EQ(Must(lake.Text("a.t")), Texts(epoch, 1));
  EXPECT_EQ(Must(lake.Text("b.t")), Texts(epoch, 2));
  if (epoch == 0) {
    EXPECT_THAT(recovered.frontiers, IsEmpty());
    EXPECT_EQ(lake.State("epoch"), "");
  } else {
    EXPECT_EQ(recovered.frontiers.at("live"), std::to_string(epoch));
    EXPECT_EQ(recovered.ledger.at("s"), std::to_string(epoch));
    EXPECT_EQ(lake.State("epoch"), std::to_string(epoch));
  }
  return epoch;
}

// Commits until the power goes; counts what was confirmed.
void RunUntilCut(io::Io& io, Clock& clock, int64_t* confirmed) {
  Lake lake(io, clock, "/d");
  if (!lake.Open().ok()) return;
  for (int64_t n = 1; n <= kEpochs; ++n) {
    if (!CommitEpoch(lake, n).ok()) return;
    *confirmed = n;
  }
  static_cast<void>(lake.committer().store().Flush().ok());
}

TEST(CommitterTest, AfterEveryPowerCutEverythingIsOfOneEpochAndNothingConfirmedIsLost) {
  uint64_t cuts = 0, unconfirmed = 0;
  for (bool whole = false; !whole; ++cuts) {
    ManualClock clock(kTestNow);
    io::SimIo io({.cut_power_after = cuts});
    int64_t confirmed = 0;
    RunUntilCut(io, clock, &confirmed);
    whole = !io.power_is_off();
    for (const auto mode :
         {io::AfterCut::kDropUnsynced, io::AfterCut::kKeepAll, io::AfterCut::kRandom}) {
      SCOPED_TRACE(fmt::format("cut after operation {} ({}), mode {}", cuts,
                               io.last_operation(), static_cast<int>(mode)));
      const auto disk = io.Survivor(/*seed=*/cuts, mode);
      clock.Advance(1'000'000);
      Lake lake(*disk, clock, "/d");
      const Status opened = lake.Open();
      ASSERT_TRUE(opened.ok()) << opened.error().message;
      const int64_t epoch = ExpectOneEpoch(lake);
      EXPECT_GE(epoch, confirmed);
      EXPECT_LE(epoch, confirmed + 1);
      unconfirmed += epoch > confirmed;
      Must(CommitEpoch(lake, epoch + 1));
      Must(lake.Open());
      EXPECT_EQ(ExpectOneEpoch(lake), epoch + 1);
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(cuts, 200u);
  EXPECT_GT(unconfirmed, 0u);  // some cuts fell between the commit and its confirmation
}

TEST(CommitterTest, AFailedSyncNeverLeavesACommitInDoubt) {
  uint64_t failures = 0;
  for (uint64_t n = 0;; ++n) {
    SCOPED_TRACE(n);
    ManualClock clock(kTestNow);
    io::SimIo io;
    int64_t tried = 0, confirmed = 0;
    {
      Lake lake(io, clock, "/d");
      Must(lake.Open());
      io.SetFaults({.fail_sync_after = n, .seed = n + 1});
      while (tried < 3) {
        if (!CommitEpoch(lake, ++tried).ok()) break;
        confirmed = tried;
      }
      if (tried == confirmed) break;
      ++failures;
      // An error with the epoch advanced says that the commit stands.
      confirmed = lake.committer().last_epoch().value;
    }
    io.SetFaults({});
    Lake lake(io, clock, "/d");
    Must(lake.Open());
    EXPECT_EQ(ExpectOneEpoch(lake), confirmed);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(failures, 10u);
}

class DirectoryTest : public testing::Test {
 protected:
  ManualClock clock_{kTestNow};
  io::SimIo io_;
  Lake lake_{io_, clock_, "/d"};
};

TEST_F(DirectoryTest, ASecondOwnerIsRefusedWhileTheFirstLives) {
  Must(lake_.Open());
  Lake second(io_, clock_, "/d");
  const Status refused = second.Open(/*wait_for_lease=*/true);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_THAT(refused.error().message,
              HasSubstr(fmt::format("another process is working on /d: process {} on ",
                                    ::getpid())));
  EXPECT_THAT(refused.error().message, HasSubstr("since 2023-11-14T22:13:20Z"));
  EXPECT_THAT(*io_.ReadAll("/d/LOCK"),
              HasSubstr(fmt::format("process {} on ", ::getpid())));
  lake_.Close();
  Must(second.Open());
}

TEST_F(DirectoryTest, AnOwnerThatIsThereIsFollowedOnlyWhenItsLeaseHasRunOut) {
  Must(lake_.Open());
  Must(CommitEpoch(lake_, 1));
  Lake second(io_, clock_, "/d");
  clock_.Advance(9'999'999);
  EXPECT_EQ(second.Open().error().code, Code::kConflict);
  clock_.Advance(1);
  Must(second.Open());
  EXPECT_EQ(ExpectOneEpoch(second), 1);
  Must(CommitEpoch(second, 2));
  // The first finds out, whatever it tries.
  EXPECT_FALSE(lake_.committer().lease_valid());
  EXPECT_EQ(lake_.committer().Renew().error().code, Code::kConflict);
  EXPECT_EQ(CommitEpoch(lake_, 2).error().code, Code::kConflict);
  EXPECT_FALSE(lake_.committer().lease_valid());
  lake_.Close();
  // A third is refused by the second, although the first's lock is free now.
  Lake third(io_, clock_, "/d");
  EXPECT_EQ(third.Open().error().code, Code::kConflict);
  second.Close();
  Must(third.Open());
  EXPECT_EQ(ExpectOneEpoch(third), 2);
}

TEST_F(DirectoryTest, ALeaseThatIsLateIsWaitedFor) {
  class SharedClock final : public Clock {
   public:
    explicit SharedClock(Micros now) : now_(now) {}
    Micros Now() override { return now_; }
    Micros Monotonic() override { return now_; }
    void Advance(Micros by) { now_ += by; }

   private:
    std::atomic<Micros> now_;
  };
  Must(lake_.Open());
  SharedClock clock(clock_.Now() + 6'000'000);  // more than half of it is gone
  Lake second(io_, clock, "/d");
  EXPECT_EQ(second.Open().error().code, Code::kConflict) << "unless one does not wait";
  std::thread time([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    clock.Advance(4'000'000);
  });
  Must(second.Open(/*wait_for_lease=*/true));
  time.join();
  EXPECT_EQ(second.Query("SELECT owner_epoch FROM weir_owner"), "2");
}

TEST_F(DirectoryTest, ALeaseThatIsRenewedAfterAllRefusesWhoWaits) {
  Must(lake_.Open());
  clock_.Advance(6'000'000);
  std::thread renewer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    Must(lake_.committer().Renew());
  });
  Lake second(io_, clock_, "/d");
  EXPECT_EQ(second.Open(/*wait_for_lease=*/true).error().code, Code::kConflict);
  renewer.join();
}

// The first owner is stopped before each of its calls, another takes over and commits,
// the first goes on to its end. Where it held the catalog locked nobody can take over,
// and it may go on as if nothing had been.
TEST(FencingTest, AnOwnerThatWakesAfterATakeoverAtAnyCallChangesNothing) {
  const auto old_life = [](io::Io& io, Clock& clock, int64_t* confirmed) {
    Lake lake(io, clock, "/d");
    if (!lake.Open().ok()) return;
    for (int64_t n = lake.committer().last_epoch().value + 1; n <= 4; ++n) {
      if (!CommitEpoch(lake, n).ok()) return;
      *confirmed = n;
      static_cast<void>(lake.committer().CollectGarbage().ok());
      static_cast<void>(lake.committer().Renew().ok());
    }
    static_cast<void>(lake.committer().store().Flush().ok());
  };
  const auto start = [](io::Io& io, Clock& clock) {
    Lake lake(io, clock, "/d");
    Must(lake.Open());
    Must(CommitEpoch(lake, 1));
    Must(CommitEpoch(lake, 2));
  };
  SetEventSeverity(Severity::kError);
  uint64_t calls = 0;
  {
    ManualClock clock(kTestNow);
    io::SimIo io;
    start(io, clock);
    io::HookedIo hooked(io, UINT64_MAX, [] {});
    int64_t confirmed = 0;
    old_life(hooked, clock, &confirmed);
    ASSERT_EQ(confirmed, 4);
    calls = hooked.calls();
  }
  uint64_t takeovers = 0, locked = 0;
  for (uint64_t at = 0; at < calls; ++at) {
    ManualClock clock(kTestNow);
    io::SimIo io;
    start(io, clock);
    Lake next(io, clock, "/d");
    int64_t confirmed = 2, found = 0;
    io::HookedIo hooked(io, at, [&] {
      auto catalog = Must(io.Open("/d/catalog.db", io::OpenMode::kReadWrite));
      if (Must(catalog->IsLockedByOther(0x40000000, 512))) {
        ++locked;
        return;
      }
      catalog.reset();
      ++takeovers;
      clock.Advance(10'000'001);
      Must(next.Open());
      found = ExpectOneEpoch(next);
      EXPECT_GE(found, confirmed);
      Must(CommitEpoch(next, found + 1));
    });
    old_life(hooked, clock, &confirmed);
    SCOPED_TRACE(fmt::format("stopped before call {} ({})", at, hooked.stopped_before()));
    if (found == 0) {
      EXPECT_EQ(confirmed, 4);
    } else {
      EXPECT_LE(confirmed, found) << "the first committed after it was replaced";
      Must(CommitEpoch(next, found + 2));
      next.Close();
      const auto survivor = io.Survivor(at, io::AfterCut::kDropUnsynced);
      Must(next.Open());
      EXPECT_EQ(ExpectOneEpoch(next), found + 2);
      Lake last(*survivor, clock, "/d");
      clock.Advance(10'000'001);
      Must(last.Open());
      EXPECT_EQ(ExpectOneEpoch(last), found + 2);
    }
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  EXPECT_GT(takeovers, 150u);
  EXPECT_GT(locked, 20u);
}

TEST_F(DirectoryTest, AnOwnerOnAnotherHostIsWaitedForUntilItsLeaseRunsOut) {
  Must(lake_.Open());
  lake_.Query(
      fmt::format("UPDATE weir_owner SET host = 'elsewhere', owner_epoch = 7, pid = 42, "
                  "lease_until = {}, boot_id = 'another'",
                  kTestNow + 5'000'000));
  lake_.Close();
  const Status refused = lake_.Open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("process 42 on elsewhere"));
  clock_.Advance(5'000'001);
  Must(lake_.Open());
  EXPECT_EQ(lake_.Query("SELECT owner_epoch FROM weir_owner"), "8");
}

TEST_F(DirectoryTest, AnOwnerThatWasReplacedCanNeitherCommitNorRenew) {
  Must(lake_.Open());
  Must(CommitEpoch(lake_, 1));
  lake_.Query("UPDATE weir_owner SET owner_epoch = owner_epoch + 1");
  const Status commit = CommitEpoch(lake_, 2);
  ASSERT_FALSE(commit.ok());
  EXPECT_EQ(commit.error().code, Code::kConflict);
  EXPECT_EQ(lake_.committer().last_epoch().value, 1);
  EXPECT_EQ(Must(lake_.Text("a.t")), "1");
  clock_.Advance(9'000'000);
  const Status renewed = lake_.committer().Renew();
  ASSERT_FALSE(renewed.ok());
  EXPECT_EQ(renewed.error().code, Code::kConflict);
}

TEST_F(DirectoryTest, TheLeaseCountsUntilItRunsOutAndRenewProlongsIt) {
  Must(lake_.Open());
  clock_.Advance(9'999'999);
  EXPECT_TRUE(lake_.committer().lease_valid());
  clock_.Advance(1);
  EXPECT_FALSE(lake_.committer().lease_valid());
  Must(lake_.committer().Renew());
  EXPECT_TRUE(lake_.committer().lease_valid());
}

TEST_F(DirectoryTest, AForeignCommitToATableFailsTheEpochAsAWhole) {
  Must(lake_.Open());
  Must(CommitEpoch(lake_, 1));
  std::vector<iceberg::Staged> tables = {Must(lake_.StageAppend("a.t", "2")),
                                         Must(lake_.StageAppend("b.t", "2"))};
  const iceberg::Staged foreign = Must(lake_.StageAppend("a.t", "x"));
  Must(lake_.committer().catalog().Transact(
      [&] { return lake_.committer().catalog().Swap(foreign); }));
  const Status commit = lake_.Commit(std::move(tables));
  ASSERT_FALSE(commit.ok());
  EXPECT_EQ(commit.error().code, Code::kConflict);
  EXPECT_THAT(commit.error().message, HasSubstr("a.t"));
  Must(lake_.Open());
  EXPECT_EQ(Must(lake_.Text("b.t")), "");
  EXPECT_EQ(lake_.committer().recovered().epoch.value, 1);
}

// A tag is set while an epoch is staged that wants to expire what it names.
TEST_F(DirectoryTest, ATagThatComesBesideACommitKeepsItsVersion) {
  Must(lake_.Open());
  const iceberg::MaintenanceOptions expire = {.snapshots_max = 1, .snapshot_age_min = 0};
  const auto append = [&](const std::string& text) {
    iceberg::FileChange change;
    const iceberg::Metadata metadata = Must(lake_.Load("a.t"));
    change.added = {Must(lake_.WriteFile(metadata, text))};
    clock_.Advance(1'000'000);
    return Must(lake_.StageFiles("a.t", metadata, change, expire));
  };
  Must(lake_.Commit({append("1")}));
  Must(lake_.Commit({append("2")}));
  std::vector<iceberg::Staged> staged = {append("3")};
  EXPECT_EQ(staged[0].metadata.snapshots.size(), 1u);
  const auto tagged = Must(CreateTag(lake_.io(), clock_, lake_.dir(),
                                     {"two", {"a.t"}, nullptr, 3'600'000'000}));
  EXPECT_EQ(tagged[0].snapshot.sequence_number, 2);
  Must(lake_.Commit(std::move(staged)));
  Must(lake_.Commit({append("4")}));
  Must(lake_.committer().CollectGarbage());
  EXPECT_EQ(Must(lake_.Text("a.t")), "1 2 3 4");
  const iceberg::Metadata now = Must(lake_.Load("a.t"));
  EXPECT_EQ(now.snapshots.size(), 2u) << "that of the tag and the present one";
  const iceberg::Ref two = Must(iceberg::FindTag("a.t", now, "two"));
  EXPECT_EQ(two.snapshot, tagged[0].snapshot.id);
  EXPECT_EQ(two.age_max, 3'600'000'000);
  std::string texts;
  for (const iceberg::LiveFile& file :
       Must(iceberg::LiveFiles(lake_.io(), now, *now.Find(two.snapshot))))
    texts += Must(lake_.io().ReadAll(Must(iceberg::PathOf(file.data.path))));
  EXPECT_EQ(texts, "12");

  staged = {append("5")};
  Must(DropTag(lake_.io(), clock_, lake_.dir(), {"a.t"}, "two"));
  Must(lake_.Commit(std::move(staged)));
  Must(lake_.Commit({append("6")}));
  EXPECT_EQ(Must(lake_.Load("a.t")).snapshots.size(), 1u);
  EXPECT_EQ(Must(lake_.Load("a.t")).refs_json.find("two"), std::string::npos);
}

TEST_F(DirectoryTest, TagsOfSeveralTablesAreOneCutOrNone) {
  Must(lake_.Open());
  Must(CommitEpoch(lake_, 1));
  Must(CommitEpoch(lake_, 2));
  const auto fails = [&](const NewTag& tag) {
    const auto tagged = CreateTag(lake_.io(), clock_, lake_.dir(), tag);
    return tagged.ok() ? "it is there" : tagged.error().message;
  };
  EXPECT_THAT(fails({"x", {"a.t", "c.t"}}),
              HasSubstr("there is no table c.t; there are a.t, b.t"));
  EXPECT_EQ(fails({"x", {"b.t"}}), "it is there");
  EXPECT_THAT(fails({"x", {"a.t", "b.t"}}), HasSubstr("b.t has a tag 'x' already"));
  EXPECT_THAT(iceberg::RefsOf(Must(lake_.Load("a.t"))), IsEmpty());
  NewTag both = {"x", {"a.t", "b.t"}};
  both.if_exists = iceberg::IfTagExists::kReplace;
  EXPECT_EQ(fails(both), "it is there");
  Must(CommitEpoch(lake_, 3));
  const Status dropped = DropTag(lake_.io(), clock_, lake_.dir(), {"a.t", "b.t"}, "y");
  ASSERT_FALSE(dropped.ok());
  EXPECT_THAT(dropped.error().message, HasSubstr("a.t has no tag 'y': its tags are x"));
  Must(DropTag(lake_.io(), clock_, lake_.dir(), {"a.t", "b.t"}, "x"));
  EXPECT_THAT(iceberg::RefsOf(Must(lake_.Load("b.t"))), IsEmpty());
  EXPECT_THAT(CreateTag(lake_.io(), clock_, "/nowhere", both).error().message,
              HasSubstr("there is no lake at /nowhere"));
}

TEST_F(DirectoryTest, ATagsFileIsNoOrphanOfTheSweepThatSawItBeforeItsCommit) {
  Must(lake_.Open());
  Must(CommitEpoch(lake_, 1));
  // As if the transaction of `weir tag` were still open.
  const iceberg::Metadata metadata = Must(lake_.Load("a.t"));
  const auto found = Must(lake_.committer().catalog().Find("a.t"));
  const iceberg::Staged tagged = Must(iceberg::StageRefs(
      lake_.io(), "a.t", metadata, found->metadata_location, kTestNow));
  Sweep sweep = Must(lake_.committer().BeginSweep());
  ManualClock right_after(1'000'000);  // files are from the beginning of 1970 here
  const SweepReport report = Must(sweep.Finish(right_after, nullptr));
  EXPECT_EQ(report.files, 0);
  EXPECT_EQ(report.left, 1);
  Must(lake_.committer().catalog().Transact(
      [&] { return lake_.committer().catalog().Swap(tagged); }));
  Must(lake_.committer().CollectGarbage());
  EXPECT_EQ(Must(lake_.Text("a.t")), "1");
}

TEST_F(DirectoryTest, AMovedDirectoryIsRefusedAndTheMessageSaysWhatToDo) {
  Must(lake_.Open());
  lake_.Query("UPDATE weir_meta SET value = '/before' WHERE key = 'data_dir'");
  lake_.Close();
  const Status refused = lake_.Open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("moved from /before to /d"));
  EXPECT_THAT(refused.error().message, HasSubstr("weir relocate --data /d"));
}

TEST_F(DirectoryTest, ADirectoryOfANewerFormatIsRefused) {
  Must(lake_.Open());
  lake_.Query("UPDATE weir_meta SET value = '3' WHERE key = 'format'");
  lake_.Close();
  const Status refused = lake_.Open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("newer Weir"));
}

TEST_F(DirectoryTest, ADirectoryOfAnOlderFormatIsTakenOverAndOnlyNewerOnesReadItThen) {
  Must(lake_.Open());
  lake_.Query("UPDATE weir_meta SET value = '1' WHERE key = 'format'");
  Must(lake_.Open());
  EXPECT_EQ(lake_.Query("SELECT value FROM weir_meta WHERE key = 'format'"), "2");
}

TEST_F(DirectoryTest, ModelsAndTheirTablesGoTogether) {
  Must(lake_.Open());
  EpochCommit commit;
  commit.lane = "live";
  state::Delta delta;
  commit.delta = &delta;
  commit.tables = {Must(lake_.StageAppend("a.t", "1"))};
  commit.models = {{"a.t", "print", "live", {{"bronze.x", 5}}, "stands still"}};
  Must(lake_.committer().Commit(commit));
  Must(lake_.Open());
  const ModelState& model = lake_.committer().recovered().models.at("a.t");
  EXPECT_EQ(model.fingerprint, "print");
  EXPECT_EQ(model.lane, "live");
  EXPECT_EQ(model.inputs.at("bronze.x"), 5);
  EXPECT_EQ(model.halted, "stands still");

  EpochCommit drop;
  drop.lane = "live";
  drop.delta = &delta;
  drop.dropped_models = {"a.t", "never.was"};
  Must(lake_.committer().Commit(drop));
  Must(lake_.Open());
  EXPECT_THAT(lake_.committer().recovered().models, IsEmpty());
  EXPECT_FALSE(Must(lake_.committer().catalog().Find("a.t")));
}

class GarbageTest : public DirectoryTest {
 protected:
  void SetUp() override {
    Must(lake_.Open());
    Must(io_.CreateDirs("/d/warehouse/x"));
  }
  void AddGarbage(const std::string& path, Micros since) {
    Must(io_.WriteNew(path, "x"));
    lake_.Query(
        fmt::format("INSERT INTO weir_garbage VALUES ('file://{}', {})", path, since));
  }
  void AddReader(const std::string& id, Micros since, Micros expires) {
    lake_.Query(fmt::format("INSERT INTO weir_readers VALUES ('{}', '[11, 12]', {}, {})",
                            id, since, expires));
  }
};

TEST_F(GarbageTest, StaysWhileAReaderIsOlderThanItsGoing) {
  AddGarbage("/d/warehouse/x/before", kTestNow - 30);
  AddGarbage("/d/warehouse/x/same", kTestNow - 20);
  AddGarbage("/d/warehouse/x/after", kTestNow - 10);
  AddReader("old", kTestNow - 20, kTestNow + 1'000);
  AddReader("new", kTestNow - 5, kTestNow + 5'000);
  Must(lake_.committer().CollectGarbage());
  EXPECT_FALSE(io_.Exists("/d/warehouse/x/before"));
  EXPECT_TRUE(io_.Exists("/d/warehouse/x/same"));
  EXPECT_TRUE(io_.Exists("/d/warehouse/x/after"));
  EXPECT_THAT(Must(lake_.committer().LeasedSnapshots()),
              testing::ElementsAre(SnapshotId{11}, SnapshotId{12}, SnapshotId{11},
                                   SnapshotId{12}));

  clock_.Advance(1'000);  // the old reader's lease has run out
  Must(lake_.committer().CollectGarbage());
  EXPECT_FALSE(io_.Exists("/d/warehouse/x/same"));
  EXPECT_FALSE(io_.Exists("/d/warehouse/x/after"));
  EXPECT_EQ(lake_.Query("SELECT path FROM weir_garbage"), "");
}

TEST_F(GarbageTest, ThatIsGoneOrElsewhereHoldsNothingUp) {
  AddGarbage("/d/warehouse/x/gone", kTestNow - 30);
  AddGarbage("/d/warehouse/x/here", kTestNow - 30);
  Must(io_.Remove("/d/warehouse/x/gone"));
  lake_.Query("INSERT INTO weir_garbage VALUES ('s3://bucket/x', 1)");
  Must(lake_.committer().CollectGarbage());
  EXPECT_FALSE(io_.Exists("/d/warehouse/x/here"));
  EXPECT_EQ(lake_.Query("SELECT path FROM weir_garbage"), "");
}

TEST_F(GarbageTest, OfACommitIsRememberedWithIt) {
  iceberg::Staged staged = Must(lake_.StageAppend("a.t", "1"));
  Must(io_.WriteNew("/d/warehouse/x/old", "x"));
  staged.obsolete = {"file:///d/warehouse/x/old"};
  Must(lake_.Commit({staged}));
  EXPECT_EQ(lake_.Query("SELECT path FROM weir_garbage"), "file:///d/warehouse/x/old");
  clock_.Advance(1);
  Must(lake_.committer().CollectGarbage());
  EXPECT_FALSE(io_.Exists("/d/warehouse/x/old"));
}

}  // namespace
}  // namespace weir::commit
