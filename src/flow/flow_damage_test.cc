// Full disks and rotten bits on a simulated disk, under the whole way: errors are named,
// and after them the answer is the known one or there is none.
#include <cstdlib>
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

}  // namespace
}  // namespace weir::flow
