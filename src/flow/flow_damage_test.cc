// Full disks and rotten bits on a simulated disk, under the whole way: errors are named,
// and after them the answer is the known one or there is none.
#include <array>
#include <cstdlib>
#include <map>
#include <random>

#include "base/event.h"
#include "flow/testing_internal.h"

namespace weir::flow {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// All files below `dir`, with their sizes, in byte order of their paths.
std::vector<std::pair<std::string, uint64_t>> FilesBelow(io::Io& io,
                                                         const std::string& dir) {
  std::vector<std::pair<std::string, uint64_t>> out;
  const std::vector<std::string> names = *io.List(dir);
  for (const std::string& name : names) {
    const std::string path = io::Join(dir, name);
    const io::FileInfo info = *io.Stat(path);
    if (!info.is_dir) {
      out.emplace_back(path, info.size);
      continue;
    }
    for (auto& file : FilesBelow(io, path)) out.push_back(std::move(file));
  }
  return out;
}

uint64_t BytesOnDisk(io::Io& io) {
  uint64_t bytes = 0;
  for (const auto& [path, size] : FilesBelow(io, "/")) bytes += size;
  return bytes;
}

// WEIR_DISK_BYTES=n replays one budget; WEIR_DISK_STRIDE=1 tries every one.
TEST(FlowDamageTest, AfterADiskThatWasFullAtAnyByteARunGivesTheKnownAnswer) {
  SetEventSeverity(Severity::kError);
  const uint64_t only = FromEnvironment("WEIR_DISK_BYTES", 0);
  const uint64_t stride = FromEnvironment("WEIR_DISK_STRIDE", 997);
  io::SimIo input;
  WriteInput(input);
  uint64_t tried = 0;
  for (uint64_t budget = only != 0 ? only : BytesOnDisk(input);; budget += stride) {
    const std::string where =
        fmt::format("a disk of {} bytes; replay: WEIR_DISK_BYTES={}", budget, budget);
    io::SimIo io;
    WriteInput(io);
    io.SetFaults({.disk_bytes_max = budget});
    const Status run = RunFlow(io);
    io.SetFaults({});
    ++tried;
    if (!run.ok()) {
      EXPECT_TRUE(run.error().code == Code::kUnavailable ||
                  run.error().code == Code::kUnknownOutcome)
          << CodeName(run.error().code) << ": " << run.error().message << "; " << where;
      EXPECT_NE(run.error().message.find("no space left"), std::string::npos)
          << run.error().message << "; " << where;
      const Status again = RunFlow(io);
      ASSERT_TRUE(again.ok()) << again.error().message << "; " << where;
    }
    const auto answer = Answer(io);
    ASSERT_TRUE(answer.ok()) << answer.error().message << "; " << where;
    ASSERT_EQ(*answer, kAnswer) << where;
    if (run.ok() || only != 0) break;
  }
  std::printf("%llu budgets\n", static_cast<unsigned long long>(tried));
}

// What kind of file a path is, for messages and to give each kind its share of flips.
std::string KindOf(const std::string& path) {
  for (const char* kind :
       {"catalog.db", "/journal/", "/rocks/MANIFEST", "/rocks/", "/state/delta-",
        ".metadata.json", ".avro", ".parquet", ".puffin"}) {
    if (path.find(kind) != std::string::npos) return kind;
  }
  return "";
}

// What is rebuilt from the tables when it is damaged.
bool IsState(const std::string& kind) {
  return kind.starts_with("/rocks/") || kind.starts_with("/state/");
}

// What is wrong with an outcome; empty: nothing. Either everything is as it was, or an
// error says so.
std::string Judged(const Status& run, const Result<std::string>& answer,
                   const std::string& want) {
  const auto named = [](const Error& error) {
    // Unavailable is for what passes by itself, internal for bugs: neither is this.
    return (error.code == Code::kCorrupt || error.code == Code::kInvalid ||
            error.code == Code::kNotFound || error.code == Code::kConflict) &&
           !error.message.empty();
  };
  if (!run.ok() && !named(run.error()))
    return fmt::format("run: {}: {}", CodeName(run.error().code), run.error().message);
  if (!answer.ok() && !named(answer.error()))
    return fmt::format("read: {}: {}", CodeName(answer.error().code),
                       answer.error().message);
  if (run.ok() && answer.ok() && *answer != want) return "a wrong answer: " + *answer;
  return "";
}

// Rotten bits under a lake that is at rest: reading it, and going on with it. The lake
// has two thirds of the input; the run that goes on must bring the rest.
// WEIR_FLIP_SEED=n replays one; WEIR_FLIPS=n tries so many.
TEST(FlowDamageTest, AFlippedBitIsNamedOrHarmless) {
  SetEventSeverity(Severity::kError);
  const uint64_t only = FromEnvironment("WEIR_FLIP_SEED", 0);
  const uint64_t flips = FromEnvironment("WEIR_FLIPS", 600);
  io::SimIo whole;
  WriteInput(whole);
  ASSERT_TRUE(whole.Remove("/p/data/b.ndjson").ok());
  ASSERT_TRUE(RunFlow(whole).ok());
  const std::string half = *Answer(whole);
  ASSERT_TRUE(whole.WriteNew("/p/data/b.ndjson", kSecondFile).ok());
  std::map<std::string, std::vector<std::pair<std::string, uint64_t>>> kinds;
  for (const auto& [path, size] : FilesBelow(whole, "/lake")) {
    if (size > 0 && !KindOf(path).empty()) kinds[KindOf(path)].emplace_back(path, size);
  }
  std::map<std::string, std::array<int, 3>> outcomes;  // harmless, named, wrong
  for (uint64_t seed = only == 0 ? 1 : only; seed <= (only == 0 ? flips : only); ++seed) {
    std::mt19937_64 random(seed);
    const auto kind =
        std::next(kinds.begin(), static_cast<ptrdiff_t>(random() % kinds.size()));
    const auto& [path, size] = kind->second[random() % kind->second.size()];
    const uint64_t byte = random() % size;
    const int bit = static_cast<int>(random() % 8);
    const auto io = whole.Survivor(seed, io::AfterCut::kKeepAll);
    ASSERT_TRUE(io->FlipBit(path, byte, bit).ok());
    const std::string where = fmt::format(
        "bit {} of byte {} of {}; replay: "
        "WEIR_FLIP_SEED={}",
        bit, byte, path, seed);
    const Result<std::string> at_rest = Answer(*io);
    std::string wrong = Judged({}, at_rest, half);
    const Status run = RunFlow(*io);
    const Result<std::string> after = Answer(*io);
    if (wrong.empty()) wrong = Judged(run, after, kAnswer);
    const bool harmless = at_rest.ok() && run.ok() && after.ok();
    ++outcomes[kind->first][!wrong.empty() ? 2 : harmless ? 0 : 1];
    if (only != 0) {
      std::printf("%s\n  read: %s\n  run: %s\n  read again: %s\n", where.c_str(),
                  at_rest.ok() ? "ok" : at_rest.error().message.c_str(),
                  run.ok() ? "ok" : run.error().message.c_str(),
                  after.ok() ? "ok" : after.error().message.c_str());
    }
    EXPECT_EQ(wrong, "") << where;
    EXPECT_TRUE(harmless || !IsState(kind->first)) << where;
  }
  for (const auto& [kind, counts] : outcomes)
    std::printf("%-16s %3d harmless %3d named %3d wrong\n", kind.c_str(), counts[0],
                counts[1], counts[2]);
}

}  // namespace
}  // namespace weir::flow
