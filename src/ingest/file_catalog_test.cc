#include "ingest/file_catalog.h"

#include <gmock/gmock.h>

#include "io/sim_io.h"

namespace weir::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Micros kSecond = 1'000'000;

TEST(FilePatternTest, TakesNamesAndGivesThemPartitions) {
  const struct {
    const char* location;
    const char* name;
    int partition;  // -1: not ours
  } kCases[] = {
      {"in", "a.ndjson", 0},
      {"in", "a.jsonl", 0},
      {"in", "a.json", 0},
      {"in", "a.ndjson.gz", 0},
      {"in", "a.json.zst", 0},
      {"in", "a.csv", -1},
      {"in", "a.gz", -1},
      {"in", "ndjson", -1},
      {"in", ".a.ndjson", -1},
      {"in", "_a.ndjson", -1},
      {"in", "a.ndjson.tmp", -1},
      {"in", "a.ndjson.part", -1},
      {"in/events*", "events-1.txt", 0},
      {"in/events*", "other.ndjson", -1},
      {"in/events*", "events.ndjson.tmp", -1},
      {"in/*", "_SUCCESS", -1},
      {"in/*", ".hidden", -1},
      {"in/e[0-3].json", "e3.json", 0},
      {"in/e[0-3].json", "e4.json", -1},
      {"in/events.ndjson", "events.ndjson", 0},
      {"in/events.ndjson", "events-2.ndjson", -1},
      {"in/events-{partition}.ndjson", "events-0.ndjson", 0},
      {"in/events-{partition}.ndjson", "events-17.ndjson", 17},
      {"in/events-{partition}.ndjson", "events-007.ndjson", 7},
      {"in/events-{partition}.ndjson", "events-.ndjson", -1},
      {"in/events-{partition}.ndjson", "events-a.ndjson", -1},
      {"in/events-{partition}.ndjson", "events-1.ndjson.tmp", -1},
      {"in/{partition}-*.ndjson", "3-2024.ndjson", 3},
      {"in/*-{partition}.ndjson*", "2024-5.ndjson.gz", 5},
      {"in/*-p{partition}-*.ndjson", "2024-p12-01.ndjson", 12},
  };
  for (const auto& c : kCases) {
    const auto pattern = FilePattern::Parse(c.location);
    ASSERT_TRUE(pattern.ok()) << c.location;
    EXPECT_EQ(pattern->PartitionOf(c.name), c.partition)
        << c.location << " and " << c.name;
    EXPECT_EQ(pattern->dir(), "in") << c.location;
  }
}

TEST(FilePatternTest, OnlyTheLastPartMayBeAPattern) {
  EXPECT_EQ(FilePattern::Parse("in*/a.ndjson").error().code, Code::kInvalid);
  EXPECT_EQ(FilePattern::Parse("in/{partition}/a.ndjson").error().code, Code::kInvalid);
  EXPECT_EQ(FilePattern::Parse("*.ndjson")->dir(), ".");
  EXPECT_EQ(FilePattern::Parse("/a/b/")->dir(), "/a/b");
  EXPECT_TRUE(FilePattern::Parse("a/b.json")->literal());
  EXPECT_FALSE(FilePattern::Parse("a/*.json")->literal());
}

class FileCatalogTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(io_.CreateDirs("in").ok()); }

  void Put(const std::string& name, std::string_view bytes) {
    const std::string path = io::Join("in", name);
    if (io_.Exists(path)) {
      ASSERT_TRUE(io_.Remove(path).ok());
    }
    ASSERT_TRUE(io_.WriteNew(path, bytes).ok());
  }
  FileCatalog New(const std::string& location = "in") {
    return FileCatalog(io_, "rides", *FilePattern::Parse(location));
  }
  static FileCatalog::ScanResult Scan(FileCatalog& catalog, Micros now = 0,
                                      Micros quiet = 0) {
    auto found = catalog.Scan(now, quiet);
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().message);
    return *std::move(found);
  }
  static std::vector<std::string> Added(const FileCatalog::ScanResult& scan) {
    std::vector<std::string> out;
    for (const SourceFile& file : scan.added)
      out.push_back(fmt::format("{}:{}", file.ordinal, file.path));
    return out;
  }

  io::SimIo io_;
};

TEST_F(FileCatalogTest, FilesOfOneScanAreOrderedByNameAndNewOnesComeAfterThem) {
  Put("b.ndjson", "1");
  Put("a.ndjson", "2");
  Put("_c.ndjson", "3");
  FileCatalog catalog = New();
  EXPECT_THAT(Added(Scan(catalog)), ElementsAre("0:in/a.ndjson", "1:in/b.ndjson"));
  EXPECT_THAT(Added(Scan(catalog)), IsEmpty());
  Put("0.ndjson", "4");
  EXPECT_THAT(Added(Scan(catalog)), ElementsAre("2:in/0.ndjson"));
  EXPECT_EQ(catalog.files()[2].size, 1u);
}

TEST_F(FileCatalogTest, AFolderThatDoesNotExistYetIsEmpty) {
  FileCatalog catalog = New("later");
  EXPECT_THAT(Added(Scan(catalog)), IsEmpty());
  ASSERT_TRUE(io_.CreateDirs("later").ok());
  ASSERT_TRUE(io_.WriteNew("later/a.ndjson", "1").ok());
  EXPECT_THAT(Added(Scan(catalog)), ElementsAre("0:later/a.ndjson"));
}

TEST_F(FileCatalogTest, AFileThatGrowsOrIsTouchedWaitsUntilItIsQuiet) {
  // SimIo's mtime counts operations, so it lies far in the past of these scans.
  FileCatalog catalog = New();
  Put("a.ndjson", "1");
  const Micros modified = io_.Stat("in/a.ndjson")->modified;
  auto scan = Scan(catalog, modified + 1, 10 * kSecond);
  EXPECT_THAT(Added(scan), IsEmpty());
  EXPECT_TRUE(scan.waiting);
  scan = Scan(catalog, modified + 9 * kSecond, 10 * kSecond);
  EXPECT_TRUE(scan.waiting);
  scan = Scan(catalog, modified + 10 * kSecond + 1, 10 * kSecond);
  EXPECT_THAT(Added(scan), ElementsAre("0:in/a.ndjson"));
  EXPECT_FALSE(scan.waiting);
}

TEST_F(FileCatalogTest, AFileThatStoodStillLongBeforeItWasSeenNeedNotWait) {
  FileCatalog catalog = New();
  Put("a.ndjson", "1");
  EXPECT_THAT(Added(Scan(catalog, 60 * kSecond, 10 * kSecond)),
              ElementsAre("0:in/a.ndjson"));
}

TEST_F(FileCatalogTest, ChangedContentIsToldOnceAndNeverReadAgain) {
  FileCatalog catalog = New();
  Put("a.ndjson", "1");
  Scan(catalog);
  Put("a.ndjson", "2");
  FileCatalog::ScanResult scan = Scan(catalog);
  EXPECT_THAT(scan.changed, ElementsAre("in/a.ndjson"));
  EXPECT_THAT(Added(scan), IsEmpty());
  EXPECT_THAT(Scan(catalog).changed, IsEmpty());
  Put("a.ndjson", "3");  // other news
  EXPECT_THAT(Scan(catalog).changed, ElementsAre("in/a.ndjson"));
}

TEST_F(FileCatalogTest, ACopyOverItselfIsNoChange) {
  FileCatalog catalog = New();
  Put("a.ndjson", "1");
  Scan(catalog);
  Put("a.ndjson", "1");
  const auto scan = Scan(catalog);
  EXPECT_THAT(scan.changed, IsEmpty());
  EXPECT_THAT(Added(scan), IsEmpty());
}

// A look at the folder every second would else read all of a large file every second.
TEST_F(FileCatalogTest, AFileThatWasTouchedIsComparedOnce) {
  FileCatalog catalog = New();
  for (const char* content : {"1", "2"}) {
    Put("a.ndjson", "1");
    Scan(catalog);
    Put("a.ndjson", content);
    Scan(catalog);
    // Nobody is told of a flipped bit: whoever reads the file again finds it.
    ASSERT_TRUE(io_.FlipBit("in/a.ndjson", 0, 3).ok());
    EXPECT_THAT(Scan(catalog).changed, IsEmpty()) << content;
  }
}

TEST_F(FileCatalogTest, AFileThatGrowsIsComparedWhenItStandsStill) {
  FileCatalog catalog = New();
  Put("a.ndjson", "1");
  EXPECT_THAT(Added(Scan(catalog, 60 * kSecond, 10 * kSecond)),
              ElementsAre("0:in/a.ndjson"));
  for (const char* content : {"1\n2", "1\n2\n3"}) {
    Put("a.ndjson", content);
    const Micros modified = io_.Stat("in/a.ndjson")->modified;
    EXPECT_THAT(Scan(catalog, modified + 1, 10 * kSecond).changed, IsEmpty());
    if (content[3] != '\0') {
      EXPECT_THAT(Scan(catalog, modified + 10 * kSecond, 10 * kSecond).changed,
                  ElementsAre("in/a.ndjson"));
    }
  }
}

TEST_F(FileCatalogTest, WhatIsNoRegularFileIsToldOnce) {
  ASSERT_TRUE(io_.CreateDirs("in/folder.ndjson").ok());
  FileCatalog catalog = New();
  EXPECT_THAT(Scan(catalog).not_regular, ElementsAre("in/folder.ndjson"));
  EXPECT_THAT(Scan(catalog).not_regular, IsEmpty());
}

TEST_F(FileCatalogTest, APartitionNumberBeyondTheLimitIsRefusedByNameAndStopsNoOther) {
  Put("e-1000.ndjson", "1");
  Put("e-2.ndjson", "1");
  FileCatalog catalog = New("in/e-{partition}.ndjson");
  const auto scan = Scan(catalog);
  EXPECT_THAT(Added(scan), ElementsAre("0:in/e-2.ndjson"));
  ASSERT_EQ(scan.unreadable.size(), 1u);
  EXPECT_EQ(scan.unreadable[0].path, "in/e-1000.ndjson");
  EXPECT_THAT(scan.unreadable[0].error, HasSubstr("in/e-1000.ndjson"));
  EXPECT_THAT(Scan(catalog).unreadable, IsEmpty());  // told once
}

TEST_F(FileCatalogTest, AFileInPlaceOfTheFolderIsNamed) {
  Put("events.txt", "1");
  FileCatalog catalog = New("in/events.txt");
  const auto scan = Scan(catalog);
  ASSERT_EQ(scan.unreadable.size(), 1u);
  EXPECT_THAT(scan.unreadable[0].error, HasSubstr("in/events.txt is no folder"));
}

TEST_F(FileCatalogTest, KnowsWhetherAFileIsStillWhatWasFound) {
  Put("a.ndjson", "1\n2\n");
  FileCatalog catalog = New();
  const SourceFile file = Scan(catalog).added[0];
  EXPECT_TRUE(CheckUnchanged(io_, file).ok());
  const struct {
    const char* content;
    std::optional<Code> code;
  } kCases[] = {{"1\n2\n", {}},              // written again
                {"1\n2\n3\n", {}},           // grown: what was found still stands
                {"1\n3\n", Code::kCorrupt},  // other content
                {"1\n", Code::kCorrupt}};    // cut
  for (const auto& c : kCases) {
    Put("a.ndjson", c.content);
    const Status same = CheckUnchanged(io_, file);
    ASSERT_EQ(same.ok(), !c.code.has_value()) << c.content;
    if (c.code) {
      EXPECT_EQ(same.error().code, *c.code) << c.content;
      EXPECT_THAT(same.error().message, HasSubstr("in/a.ndjson"));
    }
  }
  ASSERT_TRUE(io_.Remove("in/a.ndjson").ok());
  EXPECT_EQ(CheckUnchanged(io_, file).error().code, Code::kNotFound);
}

TEST_F(FileCatalogTest, AReplayedJournalKnowsWhatWasFound) {
  Put("e-2.ndjson", "1");
  Put("e-1.ndjson", "2");
  FileCatalog first = New("in/e-{partition}.ndjson");
  std::vector<log::Journal::Entry> entries;
  for (const SourceFile& file : Scan(first).added) {
    entries.push_back(
        {static_cast<int64_t>(entries.size()) + 1, "file", first.JournalText(file)});
  }
  const SourceFile foreign{.path = "in/x"};
  const FileCatalog another(io_, "another", *FilePattern::Parse("in"));
  const FileCatalog second_server(io_, "rides", *FilePattern::Parse("in"), 1);
  entries.push_back({7, "file", another.JournalText(foreign)});
  entries.push_back({8, "file", second_server.JournalText(foreign)});
  entries.push_back({9, "quarantine", second_server.JournalText(0, {1, 1, "x", "y"})});
  entries.push_back({10, "epoch", "{}"});

  FileCatalog second = New("in/e-{partition}.ndjson");
  for (const auto& entry : entries) ASSERT_TRUE(second.Replay(entry).ok());
  ASSERT_EQ(second.files().size(), 2u);
  EXPECT_EQ(second.QuarantineOf(0), nullptr) << "that was a file of another server";
  for (size_t i = 0; i < 2; ++i) {
    const SourceFile &a = first.files()[i], &b = second.files()[i];
    EXPECT_EQ(std::tie(a.ordinal, a.partition, a.path, a.size, a.modified, a.checksum),
              std::tie(b.ordinal, b.partition, b.path, b.size, b.modified, b.checksum));
  }
  EXPECT_THAT(Added(Scan(second)), IsEmpty());
  Put("e-3.ndjson", "3");
  Put("e-1.ndjson", "other");
  const auto scan = Scan(second);
  EXPECT_THAT(Added(scan), ElementsAre("2:in/e-3.ndjson"));
  EXPECT_THAT(scan.changed, ElementsAre("in/e-1.ndjson"));
  for (const char* text : {"not json", "[]", R"({"source":"rides"})", R"({"source":1})",
                           R"({"source":"rides","ordinal":"1","partition":0,"path":"p",
                               "size":1,"modified":1,"checksum":1})"}) {
    const Status replayed = second.Replay({11, "file", text});
    ASSERT_FALSE(replayed.ok()) << text;
    EXPECT_EQ(replayed.error().code, Code::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace weir::ingest
