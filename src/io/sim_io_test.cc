#include "io/sim_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;

// The file's bytes after a cut, or "(none)".
std::string After(const SimIo& io, const std::string& path, AfterCut mode,
                  uint64_t seed = 1) {
  const auto bytes = io.Survivor(seed, mode)->ReadAll(path);
  return bytes.ok() ? *bytes : "(none)";
}

// Everything that may stand there after a cut.
std::set<std::string> Outcomes(const SimIo& io, const std::string& path) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 200; ++seed)
    outcomes.insert(After(io, path, AfterCut::kRandom, seed));
  return outcomes;
}

std::unique_ptr<File> Open(SimIo& io, const std::string& path) {
  return *io.Open(path, OpenMode::kCreate);
}

TEST(SimIoTest, BytesNeedASyncAndTheNameNeedsOneOfTheFolder) {
  SimIo io;
  auto file = Open(io, "a");
  ASSERT_TRUE(file->Append("x").ok());
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "(none)");
  EXPECT_EQ(After(io, "a", AfterCut::kKeepAll), "x");
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "(none)")
      << "the folder was not synced";
  ASSERT_TRUE(io.SyncDir("/").ok());
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "x");
  ASSERT_TRUE(file->Append("y").ok());
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "x");
  EXPECT_EQ(*io.ReadAll("a"), "xy") << "a running program sees what it wrote";
  EXPECT_EQ(Outcomes(io, "a"), (std::set<std::string>{"x", "xy", std::string("x\0", 2)}));
}

TEST(SimIoTest, AFileWhoseNameAloneWasSyncedIsEmpty) {
  SimIo io;
  ASSERT_TRUE(Open(io, "a")->Append("x").ok());
  ASSERT_TRUE(io.SyncDir(".").ok());
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "");
}

TEST(SimIoTest, WritesAreTornAtSectors) {
  SimIo io;
  ASSERT_TRUE(io.WriteNew("a", std::string(2048, '.')).ok());
  ASSERT_TRUE(io.SyncDir("/").ok());
  ASSERT_TRUE(Open(io, "a")
                  ->WriteAt(256, std::string(1024, '#'))
                  .ok());  // three sectors, two of them in part
  std::set<std::string> expected;
  for (int kept = 0; kept < 8; ++kept) {
    std::string bytes(2048, '.');
    for (size_t i = 256; i < 1280; ++i) {
      if (kept >> (i / 512) & 1) bytes[i] = '#';
    }
    expected.insert(bytes);
  }
  EXPECT_EQ(Outcomes(io, "a"), expected);
}

TEST(SimIoTest, UnsyncedTruncationMayBeUndone) {
  SimIo io;
  ASSERT_TRUE(io.WriteNew("a", "abc").ok());
  ASSERT_TRUE(io.SyncDir("/").ok());
  auto file = Open(io, "a");
  ASSERT_TRUE(file->Truncate(1).ok());
  EXPECT_EQ(Outcomes(io, "a"), (std::set<std::string>{"abc", "a"}));
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(Outcomes(io, "a"), std::set<std::string>{"a"});
}

TEST(SimIoTest, ALinkIsDurableOnceItsFolderIsSynced) {
  SimIo io;
  ASSERT_TRUE(io.WriteNew("a", "x").ok());
  ASSERT_TRUE(io.CreateDirs("d").ok());
  ASSERT_TRUE(io.SyncDir("/").ok());
  ASSERT_TRUE(io.Link("a", "d/b").ok());
  EXPECT_EQ(Outcomes(io, "d/b"), (std::set<std::string>{"(none)", "x"}));
  ASSERT_TRUE(io.SyncDir("d").ok());
  ASSERT_TRUE(io.Remove("a").ok());
  EXPECT_EQ(Outcomes(io, "d/b"), std::set<std::string>{"x"});
}

TEST(SimIoTest, ARenameOverAFileLeavesTheOldOrTheNewOne) {
  SimIo io;
  ASSERT_TRUE(io.WriteNew("current", "old").ok());
  ASSERT_TRUE(io.SyncDir("/").ok());
  ASSERT_TRUE(io.WriteNew("next", "new").ok());
  ASSERT_TRUE(io.Rename("next", "current").ok());
  EXPECT_EQ(Outcomes(io, "current"), (std::set<std::string>{"old", "new"}));
  ASSERT_TRUE(io.SyncDir("/").ok());
  EXPECT_EQ(Outcomes(io, "current"), std::set<std::string>{"new"});
  EXPECT_EQ(Outcomes(io, "next"), std::set<std::string>{"(none)"});
}

TEST(SimIoTest, ARenameBetweenFoldersNeedsBothSyncsAndNeverLosesTheFile) {
  for (const bool source_first : {false, true}) {
    SimIo io;
    ASSERT_TRUE(io.CreateDirs("from").ok());
    ASSERT_TRUE(io.CreateDirs("to").ok());
    ASSERT_TRUE(io.WriteNew("from/a", "x").ok());
    ASSERT_TRUE(io.SyncDir("from").ok());
    ASSERT_TRUE(io.Rename("from/a", "to/a").ok());
    const auto never_lost = [&] {
      for (uint64_t seed = 0; seed < 50; ++seed) {
        const auto disk = io.Survivor(seed, AfterCut::kRandom);
        EXPECT_TRUE(disk->Exists("from/a") || disk->Exists("to/a"));
      }
    };
    never_lost();
    ASSERT_TRUE(io.SyncDir(source_first ? "from" : "to").ok());
    never_lost();
    EXPECT_EQ(After(io, "from/a", AfterCut::kDropUnsynced), "x");
    ASSERT_TRUE(io.SyncDir(source_first ? "to" : "from").ok());
    EXPECT_EQ(After(io, "from/a", AfterCut::kDropUnsynced), "(none)");
    EXPECT_EQ(After(io, "to/a", AfterCut::kDropUnsynced), "x");
  }
}

TEST(SimIoTest, AFileMovedAwayAndBackIsNotLostByTheOlderMove) {
  SimIo io;
  ASSERT_TRUE(io.CreateDirs("from").ok());
  ASSERT_TRUE(io.CreateDirs("to").ok());
  ASSERT_TRUE(io.WriteNew("from/a", "x").ok());
  ASSERT_TRUE(io.SyncDir("from").ok());
  ASSERT_TRUE(io.Rename("from/a", "to/a").ok());
  ASSERT_TRUE(io.SyncDir("from").ok());
  ASSERT_TRUE(io.Rename("to/a", "from/a").ok());
  ASSERT_TRUE(io.SyncDir("from").ok());
  EXPECT_EQ(Outcomes(io, "from/a"), std::set<std::string>{"x"});
  EXPECT_EQ(After(io, "from/a", AfterCut::kKeepAll), "x");
}

TEST(SimIoTest, ARemovedFileMayComeBackUntilTheFolderIsSynced) {
  SimIo io;
  ASSERT_TRUE(io.WriteNew("a", "x").ok());
  ASSERT_TRUE(io.SyncDir("/").ok());
  ASSERT_TRUE(io.Remove("a").ok());
  EXPECT_FALSE(io.Exists("a"));
  EXPECT_EQ(Outcomes(io, "a"), (std::set<std::string>{"x", "(none)"}));
  ASSERT_TRUE(io.WriteNew("a", "y").ok());
  EXPECT_EQ(Outcomes(io, "a"), (std::set<std::string>{"x", "(none)", "y"}));
  ASSERT_TRUE(io.SyncDir("/").ok());
  EXPECT_EQ(Outcomes(io, "a"), std::set<std::string>{"y"});
}

TEST(SimIoTest, CreateDirsIsDurable) {
  SimIo io;
  ASSERT_TRUE(io.CreateDirs("a/b/c").ok());
  EXPECT_TRUE(io.Survivor(1, AfterCut::kDropUnsynced)->Exists("a/b/c"));
}

// A small protocol: every number in `current` that was acknowledged must be there after
// the cut. `sync_folder` false is the mistake these tests exist for.
struct Protocol {
  bool sync_folder;
  int Run(SimIo& io) const {
    int acknowledged = 0;
    if (!io.CreateDirs("data").ok()) return 0;
    for (int i = 1; i <= 3; ++i) {
      const Status replaced =
          sync_folder ? io.ReplaceAtomically("data/current", std::to_string(i))
                      : Careless(io, i);
      if (!replaced.ok()) return acknowledged;
      acknowledged = i;
    }
    return acknowledged;
  }
  static Status Careless(SimIo& io, int i) {
    WEIR_TRY(io.WriteNew("data/next", std::to_string(i)));
    return io.Rename("data/next", "data/current");
  }
  // The worst that a cut does to an acknowledged number; "" if nothing.
  std::string WorstOfAllCuts() const {
    for (uint64_t cut = 0;; ++cut) {
      SimIo io({.cut_power_after = cut});
      const int acknowledged = Run(io);
      for (const AfterCut mode :
           {AfterCut::kDropUnsynced, AfterCut::kKeepAll, AfterCut::kRandom}) {
        const std::string there = After(io, "data/current", mode, cut);
        const bool in_flight = there == std::to_string(acknowledged + 1);
        const bool nothing_yet = acknowledged == 0 && there == "(none)";
        if (there != std::to_string(acknowledged) && !in_flight && !nothing_yet) {
          return fmt::format("cut after {}: {} was acknowledged, {} is there",
                             io.last_operation(), acknowledged, there);
        }
      }
      if (!io.power_is_off()) return "";
    }
  }
};

TEST(SimIoTest, NoCutBreaksACorrectProtocol) {
  EXPECT_EQ(Protocol{.sync_folder = true}.WorstOfAllCuts(), "");
}

TEST(SimIoTest, SomeCutShowsThatSyncDirWasForgotten) {
  EXPECT_THAT(Protocol{.sync_folder = false}.WorstOfAllCuts(),
              HasSubstr("1 was acknowledged, (none) is there"));
}

TEST(SimIoTest, PowerGoesOffAfterTheCountedOperation) {
  SimIo io({.cut_power_after = 2});
  auto file = Open(io, "a");
  EXPECT_EQ(*file->Size(), 0u);  // reading is no operation
  ASSERT_TRUE(file->Append("x").ok());
  EXPECT_TRUE(io.power_is_off());
  EXPECT_EQ(io.operations(), 2u);
  EXPECT_EQ(io.last_operation(), "write a");
  const Status failed = file->Append("y");
  EXPECT_EQ(failed.error().code, Code::kUnavailable);
  EXPECT_THAT(failed.error().message, HasSubstr("power is off"));
  EXPECT_EQ(io.Stat("a").error().code, Code::kUnavailable);
  io.PowerOn(1, AfterCut::kKeepAll);
  EXPECT_EQ(*io.ReadAll("a"), "x");
  EXPECT_THAT(file->Size().error().message, HasSubstr("before the power cut"));
}

TEST(SimIoTest, PowerOnAndSurvivorAgree) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SimIo io;
    auto file = Open(io, "a");
    ASSERT_TRUE(file->Append(std::string(5000, 'x')).ok());
    const std::string survives = After(io, "a", AfterCut::kRandom, seed);
    io.PowerOn(seed, AfterCut::kRandom);
    EXPECT_EQ(After(io, "a", AfterCut::kKeepAll), survives);
  }
}

TEST(SimIoTest, AFailedSyncKillsTheFileAndNoLaterSyncBringsTheDataBack) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimIo io({.fail_sync_after = 1, .seed = seed});
    auto file = Open(io, "a");
    ASSERT_TRUE(io.SyncDir("/").ok());
    ASSERT_TRUE(file->Append("x").ok());
    EXPECT_EQ(file->Sync().error().code, Code::kUnavailable);
    EXPECT_FALSE(file->Append("y").ok());
    EXPECT_FALSE(file->Sync().ok());
    EXPECT_TRUE(Open(io, "a")->Sync().ok());
    EXPECT_EQ(*io.ReadAll("a"), "x") << "the page cache still has it";
    outcomes.insert(After(io, "a", AfterCut::kDropUnsynced));
  }
  EXPECT_THAT(outcomes, IsSupersetOf({"", "x"}));
}

TEST(SimIoTest, AFailedSyncOfAFolderLeavesTheNamesOpen) {
  SimIo io({.fail_sync_after = 0});
  ASSERT_TRUE(Open(io, "a") != nullptr);
  EXPECT_EQ(io.SyncDir("/").error().code, Code::kUnavailable);
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "(none)");
  EXPECT_TRUE(io.SyncDir("/").ok());
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "");
}

TEST(SimIoTest, AFullDiskTakesWhatFitsAndHalfAnAppendIsCutOff) {
  SimIo io({.disk_bytes_max = 10});
  auto file = Open(io, "a");
  ASSERT_TRUE(file->Append("12345678").ok());
  EXPECT_EQ(file->Append("abcd").error().code, Code::kUnavailable);
  EXPECT_EQ(*io.ReadAll("a"), "12345678");
  EXPECT_EQ(file->WriteAt(8, "abcd").error().code, Code::kUnavailable);
  EXPECT_EQ(*io.ReadAll("a"), "12345678ab");
  EXPECT_TRUE(file->WriteAt(0, "0123456789").ok()) << "no new bytes are needed";
  EXPECT_FALSE(io.WriteNew("b", "x").ok());
  EXPECT_FALSE(io.Exists("b"));
  ASSERT_TRUE(file->Truncate(5).ok());
  EXPECT_TRUE(io.WriteNew("b", "x").ok());
}

TEST(SimIoTest, AFlippedBitStays) {
  SimIo io;
  ASSERT_TRUE(io.WriteNew("a", "a").ok());
  ASSERT_TRUE(io.SyncDir("/").ok());
  ASSERT_TRUE(io.FlipBit("a", 0, 1).ok());
  EXPECT_EQ(*io.ReadAll("a"), "c");
  EXPECT_EQ(After(io, "a", AfterCut::kDropUnsynced), "c");
  EXPECT_EQ(io.FlipBit("a", 1, 0).error().code, Code::kInvalid);
}

TEST(SimIoTest, UnlockingTheMiddleOfARangeKeepsItsEnds) {
  SimIo io;
  auto one = Open(io, "a"), two = Open(io, "a");
  using Kind = File::LockKind;
  ASSERT_TRUE(one->LockRange(Kind::kExclusive, 0, 30).ok());
  ASSERT_TRUE(one->LockRange(Kind::kNone, 10, 10).ok());
  EXPECT_FALSE(two->LockRange(Kind::kShared, 9, 1).ok());
  EXPECT_TRUE(two->LockRange(Kind::kShared, 10, 10).ok());
  EXPECT_FALSE(two->LockRange(Kind::kShared, 20, 1).ok());
  io.PowerOn(1, AfterCut::kKeepAll);
  EXPECT_TRUE(Open(io, "a")->LockRange(Kind::kExclusive, 0, 30).ok());
}

TEST(SimIoTest, ManyThreadsMayUseIt) {
  SimIo io({.cut_power_after = 2000});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&io, folder = fmt::format("d{}", t)] {
      while (io.CreateDirs(folder).ok() &&
             io.ReplaceAtomically(folder + "/a", "x").ok()) {
      }
    });
  }
  for (int seed = 0; seed < 20; ++seed) (void)io.Survivor(seed, AfterCut::kRandom);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(io.operations(), 2000u);
}

TEST(SimIoTest, AFileThatWasRemovedCanStillBeReadByWhoHasItOpen) {
  SimIo io;
  ASSERT_TRUE(io.WriteNew("a", "x").ok());
  auto file = Open(io, "a");
  ASSERT_TRUE(io.Remove("a").ok());
  char byte;
  EXPECT_EQ(*file->ReadAt(0, 1, &byte), 1u);
  EXPECT_THAT(*io.List("/"), ElementsAre());
}

}  // namespace
}  // namespace weir::io
