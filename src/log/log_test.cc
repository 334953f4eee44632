#include "log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "io/hooked_io.h"
#include "io/sim_io.h"

namespace weir::log {
namespace {

using io::SimIo;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

std::unique_ptr<Log> OpenLog(io::Io& io, LogOptions options = {}) {
  auto log = Log::Open(io, "log", options);
  EXPECT_TRUE(log.ok()) << log.error().message;
  return log.ok() ? *std::move(log) : nullptr;
}

Result<LogOffset> Append(Log& log, const std::vector<std::string>& texts,
                         Micros received_at = 7) {
  std::vector<Record> records;
  for (const std::string& text : texts) {
    records.push_back({.bytes = text,
                       .verdict = Verdict::kLate,
                       .identity = HashBytes128(text),
                       .content = HashBytes64(text),
                       .event_time = static_cast<Micros>(text.size())});
  }
  return log.Append(received_at, records);
}

Status AppendSynced(Log& log, const std::vector<std::string>& texts) {
  WEIR_TRY(Append(log, texts));
  return log.Sync();
}

// "0 a", "1 b", "at 2 idle {}" …, as long as they can be read; then the error, if one
// ended it.
std::vector<std::string> Show(Log& log, int64_t from = 0, bool payload = true) {
  std::vector<std::string> lines;
  const Status status = log.Read(
      {from}, {.batch = [&](const RecordBatchView& batch) -> Result<bool> {
                 int64_t offset = batch.first.value;
                 for (const Record& r : batch.records)
                   lines.push_back(fmt::format("{} {}", offset++, r.bytes));
                 return true;
               },
               .control = [&](const ControlRecord& c) -> Result<bool> {
                 lines.push_back(fmt::format("at {} {} {}", c.at.value, c.kind, c.json));
                 return true;
               },
               .payload = payload});
  if (!status.ok())
    lines.push_back(
        fmt::format("{}: {}", CodeName(status.error().code), status.error().message));
  return lines;
}

std::string OnlySegment(io::Io& io) {
  const auto names = *io.List("log");
  EXPECT_EQ(names.size(), 1u);
  return io::Join("log", names.front());
}

TEST(LogTest, GivesBackEveryFieldOfEveryRecord) {
  SimIo io;
  const std::string zeros(100'000, '\0'), empty;
  {
    auto log = OpenLog(io);
    EXPECT_EQ(Append(*log, {"a", zeros, empty}, 1'700'000'000'000'000)->value, 0);
    ASSERT_TRUE(log->Sync().ok());
    EXPECT_LT(log->bytes(), 1000u) << "the payload is compressed";
  }
  auto log = OpenLog(io);
  EXPECT_EQ(log->end(), LogOffset{3});
  int batches = 0;
  ASSERT_TRUE(log->Read({0}, {.batch = [&](const RecordBatchView& batch) -> Result<bool> {
                          ++batches;
                          EXPECT_EQ(batch.first, LogOffset{0});
                          EXPECT_EQ(batch.received_at, 1'700'000'000'000'000);
                          const std::vector<std::string> want = {"a", zeros, empty};
                          EXPECT_EQ(batch.records.size(), 3u);
                          for (size_t i = 0; i < want.size(); ++i) {
                            const Record& record = batch.records[i];
                            EXPECT_EQ(record.bytes, want[i]);
                            EXPECT_EQ(record.verdict, Verdict::kLate);
                            EXPECT_EQ(record.identity, HashBytes128(want[i]));
                            EXPECT_EQ(record.content, HashBytes64(want[i]));
                            EXPECT_EQ(record.event_time,
                                      static_cast<Micros>(want[i].size()));
                          }
                          return true;
                        }})
                  .ok());
  EXPECT_EQ(batches, 1);
}

TEST(LogTest, ReadersSeeOnlyWhatIsSynced) {
  SimIo io;
  auto log = OpenLog(io);
  ASSERT_TRUE(AppendSynced(*log, {"a"}).ok());
  ASSERT_TRUE(Append(*log, {"b"}).ok());
  EXPECT_EQ(log->end(), LogOffset{2});
  EXPECT_THAT(Show(*log), ElementsAre("0 a"));
  ASSERT_TRUE(log->Sync().ok());
  EXPECT_THAT(Show(*log), ElementsAre("0 a", "1 b"));
}

TEST(LogTest, OneSyncIsOneWriteHoweverManyAppends) {
  SimIo io;
  auto log = OpenLog(io);
  ASSERT_TRUE(AppendSynced(*log, {"a"}).ok());
  const uint64_t before = io.operations();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Append(*log, {"b", "c"}).ok());
  EXPECT_EQ(io.operations(), before);
  ASSERT_TRUE(log->Sync().ok());
  EXPECT_EQ(io.operations(), before + 2);
  ASSERT_TRUE(log->Sync().ok());
  EXPECT_EQ(io.operations(), before + 2) << "nothing to sync";
}

TEST(LogTest, ReadsFromTheMiddleOfABatch) {
  SimIo io;
  auto log = OpenLog(io);
  ASSERT_TRUE(AppendSynced(*log, {"a", "b", "c"}).ok());
  ASSERT_TRUE(AppendSynced(*log, {"d"}).ok());
  EXPECT_THAT(Show(*log, 1), ElementsAre("1 b", "2 c", "3 d"));
  EXPECT_THAT(Show(*log, 3), ElementsAre("3 d"));
  EXPECT_THAT(Show(*log, 4), IsEmpty());
}

TEST(LogTest, StopsWhenTheVisitorHasEnough) {
  SimIo io;
  auto log = OpenLog(io, {.segment_bytes_max = 1});
  for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(AppendSynced(*log, {text}).ok());
  int batches = 0;
  ASSERT_TRUE(log->Read({0}, {.batch = [&](const RecordBatchView&) -> Result<bool> {
                          return ++batches < 2;
                        }})
                  .ok());
  EXPECT_EQ(batches, 2);
  const Status failed = log->Read(
      {0}, {.batch = [](const RecordBatchView&) -> Result<bool> { return Cancelled(); }});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Code::kCancelled);
}

TEST(LogTest, WithoutPayloadVerdictsAndIdentitiesComeAlone) {
  SimIo io;
  auto log = OpenLog(io);
  ASSERT_TRUE(AppendSynced(*log, {"a", "b"}).ok());
  std::vector<Hash128> identities;
  ASSERT_TRUE(log->Read({0}, {.batch = [&](const RecordBatchView& batch) -> Result<bool> {
                                for (const Record& r : batch.records) {
                                  EXPECT_THAT(r.bytes, IsEmpty());
                                  identities.push_back(r.identity);
                                }
                                EXPECT_EQ(batch.storage, nullptr);
                                return true;
                              },
                              .payload = false})
                  .ok());
  EXPECT_THAT(identities, ElementsAre(HashBytes128("a"), HashBytes128("b")));
}

TEST(LogTest, ControlsKeepTheirPlace) {
  const std::vector<std::string> all = {
      "at 0 contract {\"v\":1}", "0 a", "1 b",         "at 2 idle {}",
      "at 2 wake {\"floor\":5}", "2 c", "at 3 idle {}"};
  for (const uint64_t segment_bytes_max : {1, 1 << 20}) {
    SimIo io;
    {
      auto log = OpenLog(io, {.segment_bytes_max = segment_bytes_max});
      ASSERT_TRUE(log->AppendControl("contract", R"({"v":1})").ok());
      ASSERT_TRUE(Append(*log, {"a", "b"}).ok());
      ASSERT_TRUE(
          log->AppendControl("idle", "{}").ok());  // ends the first of the small segments
      ASSERT_TRUE(log->Sync().ok());
      ASSERT_TRUE(log->AppendControl("wake", R"({"floor":5})").ok());
      ASSERT_TRUE(log->Sync().ok());
      ASSERT_TRUE(AppendSynced(*log, {"c"}).ok());
      ASSERT_TRUE(log->AppendControl("idle", "{}").ok());
      ASSERT_TRUE(log->Sync().ok());
      EXPECT_THAT(Show(*log), ElementsAreArray(all));
    }
    auto log = OpenLog(io);
    EXPECT_THAT(Show(*log), ElementsAreArray(all));
    EXPECT_THAT(Show(*log, 1), ElementsAreArray(std::span(all).subspan(2)));
    EXPECT_THAT(Show(*log, 2), ElementsAreArray(std::span(all).subspan(3)));
    EXPECT_THAT(Show(*log, 3), ElementsAreArray(std::span(all).subspan(6)));
  }
}

TEST(LogTest, RollsToSegmentsNamedByTheirFirstOffset) {
  SimIo io;
  {
    auto log = OpenLog(io, {.segment_bytes_max = 1});
    ASSERT_TRUE(AppendSynced(*log, {"a", "b"}).ok());
    ASSERT_TRUE(AppendSynced(*log, {"c"}).ok());
  }
  EXPECT_THAT(*io.List("log"),
              ElementsAre("00000000000000000000.log", "00000000000000000002.log"));
  auto log = OpenLog(io);
  ASSERT_TRUE(AppendSynced(*log, {"d"}).ok());
  EXPECT_THAT(Show(*log), ElementsAre("0 a", "1 b", "2 c", "3 d"));
  EXPECT_EQ(io.List("log")->back(), "00000000000000000003.log");
}

TEST(LogTest, AnythingElseInTheFolderIsLeftAlone) {
  SimIo io;
  ASSERT_TRUE(io.CreateDirs("log").ok());
  ASSERT_TRUE(io.WriteNew("log/notes.txt", "x").ok());
  auto log = OpenLog(io);
  ASSERT_TRUE(AppendSynced(*log, {"a"}).ok());
  EXPECT_THAT(Show(*log), ElementsAre("0 a"));
}

TEST(LogTest, RefusesASegmentOfANewerVersion) {
  SimIo io;
  { ASSERT_TRUE(AppendSynced(*OpenLog(io), {"a"}).ok()); }
  const std::string path = OnlySegment(io);
  std::string bytes = *io.ReadAll(path);
  bytes[8] = 2;
  const uint32_t crc = Crc32c(std::string_view(bytes).substr(0, 28));
  std::memcpy(bytes.data() + 28, &crc, 4);
  ASSERT_TRUE(io.ReplaceAtomically(path, bytes).ok());
  const auto log = Log::Open(io, "log", {});
  ASSERT_FALSE(log.ok());
  EXPECT_THAT(log.error().message, HasSubstr("format version 2"));
}

TEST(LogTest, ReleaseRemovesWholeSegmentsAndKeepsTheNewest) {
  SimIo io;
  auto log = OpenLog(io, {.segment_bytes_max = 1});
  for (const char* text : {"a", "b", "c", "d"})
    ASSERT_TRUE(AppendSynced(*log, {text}).ok());
  ASSERT_TRUE(log->Release({3}, "").ok());
  EXPECT_EQ(log->begin(), LogOffset{2});
  EXPECT_THAT(Show(*log, 2), ElementsAre("2 c", "3 d"));
  EXPECT_THAT(Show(*log, 0), ElementsAre(HasSubstr("not_found")));
  ASSERT_TRUE(log->Release({1000}, "").ok());
  EXPECT_EQ(log->begin(), LogOffset{3});
  log.reset();
  log = OpenLog(io);
  EXPECT_EQ(log->begin(), LogOffset{3});
  EXPECT_EQ(log->end(), LogOffset{4});
}

TEST(LogTest, ReleasedSegmentsAreArchivedAsALogOfTheirOwn) {
  SimIo io;
  auto log = OpenLog(io, {.segment_bytes_max = 1});
  for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(AppendSynced(*log, {text}).ok());
  ASSERT_TRUE(log->Release({2}, "raw/clicks").ok());
  EXPECT_THAT(*io.List("raw/clicks"), ElementsAre("00000000000000000000.log"));
  EXPECT_THAT(Show(*log, 1), ElementsAre("1 b", "2 c"));
  auto raw = *Log::Open(io, "raw/clicks", {});
  EXPECT_THAT(Show(*raw), ElementsAre("0 a"));
}

TEST(LogTest, OpeningReadsOnlyTheEndsOfSealedSegments) {
  SimIo io;
  {
    auto log = OpenLog(io, {.segment_bytes_max = 1});
    for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(AppendSynced(*log, {text}).ok());
  }
  // A segment whose middle is unreadable opens all the same; reading it says what is
  // wrong.
  ASSERT_TRUE(io.FlipBit("log/00000000000000000001.log", 100, 3).ok());
  auto log = OpenLog(io);
  EXPECT_EQ(log->end(), LogOffset{3});
  EXPECT_THAT(Show(*log, 2), ElementsAre("2 c"));
  EXPECT_THAT(
      Show(*log, 0),
      ElementsAre("0 a", HasSubstr("corrupt: log/00000000000000000001.log at byte 32")));
}

TEST(LogTest, AMissingSegmentIsNamed) {
  SimIo io;
  {
    auto log = OpenLog(io, {.segment_bytes_max = 1});
    for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(AppendSynced(*log, {text}).ok());
  }
  ASSERT_TRUE(io.Remove("log/00000000000000000001.log").ok());
  auto log = OpenLog(io);
  EXPECT_THAT(Show(*log), ElementsAre("0 a", HasSubstr("offsets 1 to 1 are missing")));
  EXPECT_THAT(Show(*log, 2), ElementsAre("2 c"));
}

TEST(LogTest, OffsetsThatAreThereTwiceAreNamed) {
  SimIo io;
  { ASSERT_TRUE(AppendSynced(*OpenLog(io), {"a", "b", "c"}).ok()); }
  { ASSERT_TRUE(AppendSynced(**Log::Open(io, "other", {}), {"x", "y"}).ok()); }
  ASSERT_TRUE(
      io.Rename("other/00000000000000000000.log", "log/00000000000000000002.log").ok());
  auto log = OpenLog(io);
  EXPECT_THAT(Show(*log), ElementsAre("0 a", "1 b", "2 c",
                                      HasSubstr("offsets 2 to 2 are there twice")));
}

// Right checksums over what cannot be: a frame is written again with other numbers in it.
TEST(LogTest, NumbersThatCannotBeAreNamed) {
  struct Case {
    const char* name;
    size_t at;  // in the frame
    std::string bytes;
    const char* shown;
  };
  const std::string all(4, '\xff');
  for (const Case& c : std::vector<Case>{
           {"a length beyond the payload", 64, all, "not as long as its records"},
           {"a payload of 4 GB", 52, all, "offsets 0 to 1 are lost"},
           {"an offset below zero", 24, all + all, "offsets 0 to 1 are lost"},
           {"a verdict that is none", 64 + 4 * 2, "\x09", "a verdict that is none"},
           {"a codec that is none", 13, "\x07", "offsets 0 to 1 are lost"},
           {"a type that is none", 12, "\x07", "offsets 0 to 1 are lost"}}) {
    SimIo io;
    { ASSERT_TRUE(AppendSynced(*OpenLog(io), {"a", "b"}).ok()); }
    const std::string path = OnlySegment(io);
    std::string bytes = *io.ReadAll(path);
    bytes.replace(32 + c.at, c.bytes.size(), c.bytes);
    const auto all_bytes = std::string_view(bytes);
    const uint32_t crc =
        Crc32c(all_bytes.substr(32 + 12, 52 + 2 * 37), Crc32c(all_bytes.substr(32, 8)));
    std::memcpy(bytes.data() + 32 + 8, &crc, 4);
    ASSERT_TRUE(io.ReplaceAtomically(path, bytes).ok());
    auto log = OpenLog(io);
    EXPECT_THAT(Show(*log), ElementsAre(HasSubstr(c.shown))) << c.name;
  }
}

// The same of the index in a seal: records are read without it.
TEST(LogTest, ASealWhoseIndexCannotBeIsNone) {
  const int64_t beyond = 1'000'000;
  for (const size_t entry_field : {0, 8}) {  // offset, position
    SimIo io;
    {
      auto log = OpenLog(io, {.segment_bytes_max = 1});
      ASSERT_TRUE(AppendSynced(*log, {"a", "b"}).ok());
      ASSERT_TRUE(AppendSynced(*log, {"c"}).ok());
    }
    const std::string path = "log/00000000000000000000.log";
    std::string bytes = *io.ReadAll(path);
    const size_t seal = bytes.rfind("WLF1");
    std::memcpy(bytes.data() + seal + 64 + entry_field, &beyond, 8);
    const auto all = std::string_view(bytes);
    const uint32_t crc =
        Crc32c(all.substr(seal + 12, 52 + 16), Crc32c(all.substr(seal, 8)));
    std::memcpy(bytes.data() + seal + 8, &crc, 4);
    ASSERT_TRUE(io.ReplaceAtomically(path, bytes).ok());
    EXPECT_THAT(Show(*OpenLog(io), 1), ElementsAre("1 b", "2 c"));
    ASSERT_TRUE(io.Remove("log/00000000000000000002.log").ok());
    EXPECT_THAT(Show(*OpenLog(io), 1), ElementsAre("1 b"));
  }
}

// Records full of frames copied from the log itself must not be found when a real frame
// is damaged.
TEST(LogTest, RecordsThatLookLikeFramesAreNeverServed) {
  SimIo io;
  std::string path;
  {
    auto log = OpenLog(io);
    ASSERT_TRUE(AppendSynced(*log, {"a"}).ok());
    path = OnlySegment(io);
  }
  SimIo other;
  const std::string stolen = io.ReadAll(path)->substr(32);
  auto log = OpenLog(other);
  ASSERT_TRUE(AppendSynced(*log, {stolen}).ok());
  ASSERT_TRUE(AppendSynced(*log, {"b"}).ok());
  log.reset();
  path = OnlySegment(other);
  ASSERT_TRUE(other.FlipBit(path, 40, 0).ok());
  log = OpenLog(other);
  EXPECT_THAT(Show(*log), ElementsAre(HasSubstr("offsets 0 to 0 are lost")));
  EXPECT_THAT(Show(*log, 1), ElementsAre("1 b"));
}

// Flips one bit in every byte of a log of three synced appends. Nothing wrong is ever
// served, what is gone is named, and what stands behind the damage can be read.
class LogRotTest : public testing::TestWithParam<uint64_t> {};
TEST_P(LogRotTest, EveryFlippedBitIsNamedOrHarmless) {
  SimIo pristine;
  const std::vector<std::string> want = {"0 aaaaaaaaaa", "1 b", "2 c", "3 d"};
  {
    auto log = OpenLog(pristine, {.segment_bytes_max = GetParam()});
    ASSERT_TRUE(AppendSynced(*log, {"aaaaaaaaaa", "b"}).ok());
    ASSERT_TRUE(AppendSynced(*log, {"c"}).ok());
    ASSERT_TRUE(AppendSynced(*log, {"d"}).ok());
  }
  const std::vector<std::string> names = *pristine.List("log");
  for (const std::string& name : names) {
    const std::string path = io::Join("log", name);
    const uint64_t size = pristine.ReadAll(path)->size();
    for (uint64_t byte = 0; byte < size; ++byte) {
      auto io = pristine.Survivor(1, io::AfterCut::kKeepAll);
      ASSERT_TRUE(io->FlipBit(path, byte, static_cast<int>(byte % 8)).ok());
      auto log = OpenLog(*io);
      ASSERT_NE(log, nullptr);
      EXPECT_EQ(log->end(), LogOffset{4}) << path << " byte " << byte;
      std::set<std::string> served;
      bool named = false;
      for (int64_t from = 0; from < 4; ++from) {
        for (const std::string& line : Show(*log, from)) {
          if (line.starts_with("corrupt"))
            named = true;
          else
            served.insert(line);
        }
      }
      for (const std::string& line : served) EXPECT_THAT(want, testing::Contains(line));
      EXPECT_TRUE(named || served.size() == 4) << path << " byte " << byte;
      EXPECT_GE(served.size(), 2u) << path << " byte " << byte;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(, LogRotTest, testing::Values(1, 1 << 20), [](const auto& info) {
  return info.param == 1 ? "SealedSegments" : "OneSegment";
});

TEST(LogTest, ATornTailIsCutAtEveryLength) {
  SimIo pristine;
  auto first = OpenLog(pristine);
  ASSERT_TRUE(AppendSynced(*first, {"a", "b"}).ok());
  const uint64_t good = first->bytes();
  ASSERT_TRUE(AppendSynced(*first, {"c", "d"}).ok());
  const uint64_t size = first->bytes();
  const std::string path = OnlySegment(pristine);
  for (uint64_t length = good; length < size; ++length) {
    auto io = pristine.Survivor(1, io::AfterCut::kKeepAll);
    ASSERT_TRUE((*io->Open(path, io::OpenMode::kReadWrite))->Truncate(length).ok());
    auto log = OpenLog(*io);
    EXPECT_EQ(log->end(), LogOffset{2});
    ASSERT_TRUE(AppendSynced(*log, {"e"}).ok());
    EXPECT_THAT(Show(*log), ElementsAre("0 a", "1 b", "2 e")) << length;
  }
}

TEST(LogTest, AfterAFailedSyncNothingMoreIsTaken) {
  SimIo io;
  auto log = OpenLog(io);
  ASSERT_TRUE(AppendSynced(*log, {"a"}).ok());
  io.SetFaults({.fail_sync_after = 0});
  EXPECT_FALSE(AppendSynced(*log, {"b"}).ok());
  EXPECT_FALSE(log->Sync().ok());
  EXPECT_FALSE(Append(*log, {"c"}).ok());
  EXPECT_FALSE(log->AppendControl("idle", "{}").ok());
  EXPECT_FALSE(log->Release({1}, "").ok());
}

// One small life of a log: appends of one to three records, several to a sync, controls,
// rolls, archiving and a reopening. Returns what was acknowledged, as Show prints it.
// `owner`: 0, or the first of two.
std::vector<std::string> Live(io::Io& io, int64_t owner, uint64_t ahead_bytes,
                              int64_t& released) {
  LogOptions options{
      .segment_bytes_max = 700, .ahead_bytes = ahead_bytes, .owner = owner};
  std::vector<std::string> acked, pending;
  auto opened = Log::Open(io, "log", options);
  if (!opened.ok()) return acked;
  std::unique_ptr<Log> log = *std::move(opened);
  int64_t next = 0;
  for (int round = 0; round < 12; ++round) {
    for (int append = 0; append <= round % 3; ++append) {
      std::vector<std::string> texts;
      for (int i = 0; i <= (round + append) % 3; ++i) {
        texts.push_back(fmt::format(
            "{}-{}", next, std::string(static_cast<size_t>(next * 37 % 300), 'x')));
        pending.push_back(fmt::format("{} {}", next, texts.back()));
        ++next;
      }
      if (!Append(*log, texts).ok()) return acked;
      if (round % 4 == 1) {
        pending.push_back(fmt::format("at {} idle {{}}", next));
        if (!log->AppendControl("idle", "{}").ok()) return acked;
      }
    }
    if (!log->Sync().ok()) return acked;
    acked.insert(acked.end(), pending.begin(), pending.end());
    pending.clear();
    if (round == 8) {
      // What Release was asked to let go may be in the archive already, whether it says
      // ok or not.
      released = next - 5;
      if (!log->Release({released}, "archive").ok()) return acked;
    }
    if (round == 5) {
      log.reset();
      if (owner > 0) ++options.owner;
      opened = Log::Open(io, "log", options);
      if (!opened.ok()) return acked;
      log = *std::move(opened);
    }
  }
  return acked;
}

// Archive and log together, from offset 0.
std::vector<std::string> ShowAll(io::Io& io, Log& log) {
  std::vector<std::string> lines;
  if (io.Exists("archive") && !io.List("archive")->empty()) {
    auto archive = Log::Open(io, "archive", {});
    EXPECT_TRUE(archive.ok());
    for (const std::string& line : Show(**archive)) {
      // A power cut can leave a segment under both names.
      const size_t at = line.starts_with("at ") ? 3 : 0;
      if (std::stoll(line.substr(at)) < log.begin().value + (at == 0 ? 0 : 1))
        lines.push_back(line);
    }
  }
  for (std::string& line : Show(log, log.begin().value)) {
    if (std::find(lines.begin(), lines.end(), line) == lines.end() ||
        !line.starts_with("at ")) {
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

using CrashCase = std::tuple<io::AfterCut, int64_t /*owner*/, uint64_t /*ahead*/>;
class LogCrashTest : public testing::TestWithParam<CrashCase> {};

TEST_P(LogCrashTest, AcknowledgedRecordsSurviveEveryCut) {
  const auto [mode, owner, ahead_bytes] = GetParam();
  const LogOptions last{.segment_bytes_max = 700,
                        .ahead_bytes = ahead_bytes,
                        .owner = owner == 0 ? 0 : owner + 2};
  SimIo whole;
  int64_t released = 0;
  const std::vector<std::string> all = Live(whole, owner, ahead_bytes, released);
  const uint64_t operations = whole.operations();
  ASSERT_GT(all.size(), 40u);
  for (uint64_t cut = 0; cut <= operations; ++cut) {
    for (uint64_t seed = 1; seed <= (mode == io::AfterCut::kRandom ? 8 : 1); ++seed) {
      SimIo io({.cut_power_after = cut, .seed = seed});
      const std::vector<std::string> acked = Live(io, owner, ahead_bytes, released);
      io.PowerOn(seed, mode);
      const std::string where = fmt::format("cut after operation {}, seed {}", cut, seed);
      auto log = OpenLog(io, last);
      ASSERT_NE(log, nullptr) << where;
      std::vector<std::string> found = ShowAll(io, *log);
      ASSERT_GE(found.size(), acked.size()) << where;
      ASSERT_LE(found.size(), all.size()) << where;
      ASSERT_THAT(found, ElementsAreArray(std::span(all).first(found.size()))) << where;
      // It goes on where it stands, and what is written now stands beside it.
      ASSERT_TRUE(AppendSynced(*log, {"after"}).ok()) << where;
      found.push_back(fmt::format("{} after", log->end().value - 1));
      ASSERT_THAT(ShowAll(io, *log), ElementsAreArray(found)) << where;
    }
  }
}
// What a log must hold, and what it may hold beside: appended, not acknowledged.
struct Known {
  std::vector<std::string> must, may;
};

// Opens the log and appends a little, until the power goes. What is found must be what is
// known; from then on it stays.
void LiveUntilTheCut(io::Io& io, const LogOptions& options, Known& known) {
  auto opened = Log::Open(io, "log", options);
  if (!opened.ok()) return;
  Log& log = **opened;
  const std::vector<std::string> found = Show(log);
  if (!found.empty() && found.back().starts_with("unavailable")) return;  // the cut
  ASSERT_GE(found.size(), known.must.size());
  ASSERT_LE(found.size(), known.may.size());
  ASSERT_THAT(found, ElementsAreArray(std::span(known.may).first(found.size())));
  known = {found, found};
  for (int round = 0; round < 3; ++round) {
    const int64_t next = log.end().value;
    // The first one takes several sectors, so that a cut may keep its end alone.
    std::string text = fmt::format("{}of{} ", next, options.owner);
    for (int i = 0; i < (round == 0 ? 100 : 5); ++i)
      text += fmt::format("{:x}", HashBytes64(text));
    known.may.push_back(fmt::format("{} {}", next, text));
    if (round < 2) known.may.push_back(fmt::format("at {} idle {{}}", next + 1));
    if (!Append(log, {text}).ok()) return;
    if (round < 2 && !log.AppendControl("idle", "{}").ok()) return;
    if (!log.Sync().ok()) return;
    known.must = known.may;
  }
}

// Nobody closes the log: each life finds the room ahead and the torn tail of the one
// before, and perhaps a segment that was begun and holds nothing.
TEST_P(LogCrashTest, LivesThatEachEndInACutAddUp) {
  const auto [mode, owner, ahead_bytes] = GetParam();
  LogOptions options{
      .segment_bytes_max = 500, .ahead_bytes = ahead_bytes, .owner = owner};
  uint64_t operations = 0;
  {
    SimIo io;
    Known known;
    LiveUntilTheCut(io, options, known);
    operations = io.operations();
    ASSERT_EQ(known.must.size(), 5u);
  }
  for (uint64_t first = 0; first <= operations; ++first) {
    for (uint64_t second = 0; second <= operations; ++second) {
      const uint64_t third = (first * 7 + second * 3) % operations;
      SCOPED_TRACE(fmt::format("cuts after operations {}, {}, {}", first, second, third));
      options.owner = owner;
      SimIo io;
      Known known;
      for (const uint64_t cut : {first, second, third}) {
        io.SetFaults({.cut_power_after = cut, .seed = first});
        ASSERT_NO_FATAL_FAILURE(LiveUntilTheCut(io, options, known));
        io.PowerOn(first, mode);
        if (owner > 0) ++options.owner;
      }
      ASSERT_NO_FATAL_FAILURE(LiveUntilTheCut(io, options, known));
      ASSERT_EQ(known.must.size(), known.may.size());
      if (owner > 0) ++options.owner;
      ASSERT_THAT(Show(*OpenLog(io, options)), ElementsAreArray(known.must));
    }
  }
}
std::string CrashTestName(const testing::TestParamInfo<CrashCase>& info) {
  const auto [mode, owner, ahead_bytes] = info.param;
  const std::string name = mode == io::AfterCut::kDropUnsynced ? "DropUnsynced"
                           : mode == io::AfterCut::kKeepAll    ? "KeepAll"
                                                               : "Random";
  return name + (owner == 0 ? "" : "TwoOwners") + (ahead_bytes == 0 ? "" : "Ahead");
}
INSTANTIATE_TEST_SUITE_P(, LogCrashTest,
                         testing::Combine(testing::Values(io::AfterCut::kDropUnsynced,
                                                          io::AfterCut::kKeepAll,
                                                          io::AfterCut::kRandom),
                                          testing::Values(0, 1),
                                          testing::Values(0u, 300u)),
                         CrashTestName);

TEST(LogTest, ADiskWithoutSpaceForRoomAheadStillTakesRecords) {
  SimIo io({.disk_bytes_max = 3000});
  auto log = OpenLog(io, {.ahead_bytes = 4096});
  int64_t taken = 0;
  while (AppendSynced(*log, {std::to_string(taken)}).ok()) ++taken;
  EXPECT_GT(taken, 20);  // of about 105 bytes
  EXPECT_EQ(Show(*log).size(), static_cast<size_t>(taken));
}

// While there is room in front, an append changes no size; a closed segment has none.
TEST(LogTest, SpaceIsMadeAheadInStepsAndGivenBack) {
  SimIo io;
  auto log = OpenLog(io, {.segment_bytes_max = 6000, .ahead_bytes = 4096});
  const std::string path = "log/" + std::string(20, '0') + ".log";
  const auto size = [&] { return io.Stat(path)->size; };
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(AppendSynced(*log, {std::to_string(i)}).ok());
    EXPECT_EQ(size(), 4096u);
  }
  const uint64_t used = log->bytes();
  EXPECT_LT(used, 1000u);
  log.reset();  // with a mark
  EXPECT_EQ(size(), used + 64);
  log = OpenLog(io, {.segment_bytes_max = 6000, .ahead_bytes = 4096});
  std::string big(5000, 'x');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * i * 31 >> 3);
  while (io.List("log")->size() < 2) ASSERT_TRUE(AppendSynced(*log, {big}).ok());
  EXPECT_NE(size() % 4096, 0u);  // sealed
  EXPECT_EQ(Show(*log).size(), static_cast<size_t>(log->end().value));
}

TEST(LogTest, ReadersRunBesideTheWriter) {
  SimIo io;
  auto log = OpenLog(io, {.segment_bytes_max = 4000});
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      size_t seen = 0;
      while (!done) {
        const auto lines = Show(*log);
        EXPECT_GE(lines.size(), seen);
        for (size_t at = 0; at < lines.size(); ++at) {
          if (lines[at] != fmt::format("{} r{}", at, at)) ADD_FAILURE() << lines[at];
        }
        seen = lines.size();
      }
    });
  }
  for (int i = 0; i < 300; ++i)
    ASSERT_TRUE(AppendSynced(*log, {fmt::format("r{}", i)}).ok());
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(Show(*log).size(), 300u);
}

TEST(LogTest, RandomLogsReadTheSameFromEveryOffset) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  SimIo io;
  auto log = OpenLog(io, {.segment_bytes_max = 1 << 20});
  std::vector<std::string> want;
  for (int batch = 0; batch < 60; ++batch) {
    std::vector<std::string> texts(1 + random() % 30);
    for (std::string& text : texts) {
      text.resize(random() % 8000);
      for (char& c : text) c = static_cast<char>(random());
      want.push_back(fmt::format("{} {}", want.size(), text));
    }
    ASSERT_TRUE(Append(*log, texts).ok());
    if (random() % 3 == 0) {
      ASSERT_TRUE(log->Sync().ok());
    }
  }
  ASSERT_TRUE(log->Sync().ok());
  for (int i = 0; i < 40; ++i) {
    const size_t from = random() % want.size();
    const auto lines = Show(*log, static_cast<int64_t>(from));
    ASSERT_TRUE(std::equal(lines.begin(), lines.end(),
                           want.begin() + static_cast<ptrdiff_t>(from), want.end()));
  }
}

// ------------------------------------------------------------------ owners

TEST(LogOwnerTest, ANewOwnerBeginsSegmentsOfItsOwn) {
  SimIo io;
  auto first = OpenLog(io, {.owner = 1});
  ASSERT_TRUE(AppendSynced(*first, {"a", "b"}).ok());
  const std::string path = "log/00000000000000000000-1.log";
  const std::string before = *io.ReadAll(path);
  auto second = OpenLog(io, {.owner = 2});
  EXPECT_EQ(second->end(), LogOffset{2});
  EXPECT_THAT(*io.List("log"), ElementsAre("00000000000000000000-1.log"))
      << "without an append there is no new file";
  ASSERT_TRUE(AppendSynced(*second, {"c"}).ok());
  EXPECT_THAT(*io.List("log"),
              ElementsAre("00000000000000000000-1.log", "00000000000000000002-2.log"));
  EXPECT_EQ(*io.ReadAll(path), before) << "nothing is written to another owner's file";
  EXPECT_THAT(Show(*second), ElementsAre("0 a", "1 b", "2 c"));
  second.reset();
  EXPECT_THAT(Show(*OpenLog(io, {.owner = 3})), ElementsAre("0 a", "1 b", "2 c"));
}

TEST(LogOwnerTest, ALogWithoutOwnersIsContinuedByOneThatCounts) {
  SimIo io;
  ASSERT_TRUE(AppendSynced(*OpenLog(io), {"a"}).ok());
  ASSERT_TRUE(AppendSynced(*OpenLog(io, {.owner = 1}), {"b"}).ok());
  EXPECT_THAT(Show(*OpenLog(io, {.owner = 2})), ElementsAre("0 a", "1 b"));
}

TEST(LogOwnerTest, WhatAReplacedOwnerAppendsIsNoPartOfTheLog) {
  SimIo io;
  auto old = OpenLog(io, {.segment_bytes_max = 1000, .owner = 1});
  ASSERT_TRUE(AppendSynced(*old, {"a"}).ok());
  auto next = OpenLog(io, {.owner = 2});
  ASSERT_TRUE(AppendSynced(*next, {"b"}).ok());
  // The old one goes on: in its open segment, and in others it begins.
  ASSERT_TRUE(old->AppendControl("wake", "old").ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(AppendSynced(*old, {"x"}).ok());
  old.reset();
  EXPECT_GT(io.List("log")->size(), 3u);
  EXPECT_THAT(Show(*next), ElementsAre("0 a", "1 b"));
  ASSERT_TRUE(AppendSynced(*next, {"c"}).ok());
  next.reset();
  auto last = OpenLog(io, {.owner = 3});
  EXPECT_THAT(Show(*last), ElementsAre("0 a", "1 b", "2 c"));
  EXPECT_EQ(last->end(), LogOffset{3});
  EXPECT_EQ(io.List("log")->size(), 2u) << "segments begun after the takeover go";
}

TEST(LogOwnerTest, SegmentsThatAReplacedOwnerArchivedAreNotMissed) {
  SimIo io;
  auto old = OpenLog(io, {.segment_bytes_max = 1, .owner = 1});
  for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(AppendSynced(*old, {text}).ok());
  auto next = OpenLog(io, {.owner = 2});
  ASSERT_TRUE(AppendSynced(*next, {"d"}).ok());
  ASSERT_TRUE(old->Release({2}, "archive").ok());
  ASSERT_TRUE(next->Release({3}, "archive").ok());
  EXPECT_EQ(next->begin(), LogOffset{2});
  EXPECT_THAT(Show(*next, 2), ElementsAre("2 c", "3 d"));
}

// Up to here a commit before the takeover let the log go.
constexpr int64_t kCommitted = 4;

// The life of a replaced owner: several segments, controls, an archiving, a close.
// Returns what it was told is durable.
std::vector<std::string> OldLife(io::Io& io) {
  std::vector<std::string> acked;
  auto opened =
      Log::Open(io, "log", {.segment_bytes_max = 500, .ahead_bytes = 200, .owner = 2});
  if (!opened.ok()) return acked;
  Log& log = **opened;
  int64_t next = log.end().value;
  for (int round = 0; round < 8; ++round) {
    std::vector<std::string> group;
    for (int i = 0; i <= round % 3; ++i) {
      const std::string text = fmt::format("old{}{}", next, std::string(60, 'x'));
      if (!Append(log, {text}).ok()) return acked;
      group.push_back(fmt::format("{} {}", next++, text));
    }
    if (round % 2 == 1) {
      group.push_back(fmt::format("at {} idle {}", next, round));
      if (!log.AppendControl("idle", std::to_string(round)).ok()) return acked;
    }
    if (!log.Sync().ok()) return acked;
    acked.insert(acked.end(), group.begin(), group.end());
    if (round == 5 && !log.Release({kCommitted}, "archive").ok()) return acked;
  }
  return acked;
}

// The old owner is stopped before each of its calls; another takes over and appends; the
// old one goes on to its end; then others open the log, one of them after a power cut.
// All see what the second saw when it took over, and what it appended.
TEST(LogOwnerTest, AnOwnerThatWakesAfterATakeoverAtAnyCallChangesNothing) {
  const auto start = [](SimIo& io) {
    auto log = OpenLog(io, {.segment_bytes_max = 300, .owner = 1});
    for (int i = 0; i < 4; ++i)
      ASSERT_TRUE(
          AppendSynced(*log, {fmt::format("{}{}", i, std::string(90, 'x'))}).ok());
  };
  uint64_t calls = 0;
  {
    SimIo io;
    start(io);
    io::HookedIo hooked(io, UINT64_MAX, [] {});
    ASSERT_GT(OldLife(hooked).size(), 15u);
    calls = hooked.calls();
  }
  for (uint64_t at = 0; at < calls; ++at) {
    SimIo io;
    start(io);
    std::unique_ptr<Log> next;
    std::vector<std::string> seen;  // from kCommitted on
    io::HookedIo hooked(io, at, [&] {
      next = OpenLog(io, {.segment_bytes_max = 400, .owner = 3});
      ASSERT_NE(next, nullptr);
      if (at % 3 != 0) {
        ASSERT_TRUE(AppendSynced(*next, {"new"}).ok());
      }
      seen = Show(*next, kCommitted);
    });
    OldLife(hooked);
    const std::string where =
        fmt::format("stopped before call {} ({})", at, hooked.stopped_before());
    ASSERT_NE(next, nullptr) << where;
    for (int i = 0; i < 3; ++i) {
      const std::string text = fmt::format("newer{}", i);
      seen.push_back(fmt::format("{} {}", next->end().value, text));
      ASSERT_TRUE(AppendSynced(*next, {text}).ok()) << where;
    }
    ASSERT_TRUE(next->Release({kCommitted}, "archive").ok()) << where;
    ASSERT_THAT(Show(*next, kCommitted), ElementsAreArray(seen)) << where;
    next.reset();
    ASSERT_THAT(Show(*OpenLog(io, {.owner = 4}), kCommitted), ElementsAreArray(seen))
        << where;
    const auto survivor = io.Survivor(at, io::AfterCut::kDropUnsynced);
    ASSERT_THAT(Show(*OpenLog(*survivor, {.owner = 5}), kCommitted),
                ElementsAreArray(seen))
        << where;
  }
}

}  // namespace
}  // namespace weir::log
