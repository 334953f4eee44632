// The whole way on a simulated disk whose power is cut after every single operation:
// after a restart the result is the known answer.
#include <cstdlib>

#include "base/event.h"
#include "flow/testing_internal.h"

namespace weir::flow {
namespace {

TEST(FlowCrashTest, AnUndisturbedRunGivesTheKnownAnswer) {
  io::SimIo io;
  WriteInput(io);
  const Status run = RunFlow(io);
  ASSERT_TRUE(run.ok()) << run.error().message;
  const auto answer = Answer(io);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(*answer, kAnswer);
}

TEST(FlowCrashTest, ASecondRunChangesNothing) {
  io::SimIo io;
  WriteInput(io);
  ASSERT_TRUE(RunFlow(io).ok());
  ASSERT_TRUE(RunFlow(io).ok());
  EXPECT_EQ(*Answer(io), kAnswer);
}

// WEIR_CRASH_CUT=n replays one cut; WEIR_CRASH_STRIDE=n looks at every n-th only.
TEST(FlowCrashTest, ARestartAfterAnyCutGivesTheKnownAnswer) {
  SetEventSeverity(
      Severity::kError);  // every cut makes the closing of files fail, and says so
  const char* only = std::getenv("WEIR_CRASH_CUT");
  const char* wanted_stride = std::getenv("WEIR_CRASH_STRIDE");
  const uint64_t stride =
      wanted_stride == nullptr ? 1 : std::strtoull(wanted_stride, nullptr, 10);
  uint64_t cut = only == nullptr ? 0 : std::strtoull(only, nullptr, 10);
  for (;; cut += stride) {
    io::SimIo io;
    WriteInput(io);
    io.SetFaults({.cut_power_after = cut});
    const Status run = RunFlow(io);
    if (!io.power_is_off()) {
      ASSERT_TRUE(run.ok()) << run.error().message;
      break;
    }
    for (const auto& [mode, name] :
         {std::pair(io::AfterCut::kDropUnsynced, "what was not synced is lost"),
          std::pair(io::AfterCut::kKeepAll, "nothing is lost"),
          std::pair(io::AfterCut::kRandom, "what was not synced is torn")}) {
      const std::string where =
          fmt::format("cut after operation {} ({}), {}; replay: WEIR_CRASH_CUT={}", cut,
                      io.last_operation(), name, cut);
      const auto survivor = io.Survivor(cut + 1, mode);
      const Status again = RunFlow(*survivor);
      ASSERT_TRUE(again.ok()) << again.error().message << "; " << where;
      const auto answer = Answer(*survivor);
      ASSERT_TRUE(answer.ok()) << answer.error().message << "; " << where;
      ASSERT_EQ(*answer, kAnswer) << where;
    }
    if (only != nullptr) return;
  }
  std::printf("%llu cuts\n", static_cast<unsigned long long>(cut / stride));
  EXPECT_GT(cut, 100u);
}

// The lake of the first file without its state, and the second file there to be read.
void LoseState(io::SimIo& io) {
  WriteInput(io);
  ASSERT_TRUE(io.Remove("/p/data/b.ndjson").ok());
  ASSERT_TRUE(RunFlow(io).ok());
  ASSERT_TRUE(state::RemoveTree(io, "/lake/state").ok());
  ASSERT_TRUE(io.WriteNew("/p/data/b.ndjson", kSecondFile).ok());
  ASSERT_TRUE(io.SyncDir("/p/data").ok());
  ASSERT_TRUE(io.SyncDir("/lake").ok());
}

TEST(FlowCrashTest, ALostStateIsRebuilt) {
  io::SimIo io;
  LoseState(io);
  const Status run = RunFlow(io);
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(*Answer(io), kAnswer);
}

// Cuts of the run that rebuilds. WEIR_REBUILD_CUT=n replays one;
// WEIR_REBUILD_STRIDE=n looks at every n-th only.
TEST(FlowCrashTest, ARebuildMayBeCutAnywhere) {
  SetEventSeverity(Severity::kError);
  const char* only = std::getenv("WEIR_REBUILD_CUT");
  const char* wanted_stride = std::getenv("WEIR_REBUILD_STRIDE");
  const uint64_t stride =
      wanted_stride == nullptr ? 3 : std::strtoull(wanted_stride, nullptr, 10);
  uint64_t cut = only == nullptr ? 0 : std::strtoull(only, nullptr, 10);
  io::SimIo lost;
  LoseState(lost);
  for (;; cut += stride) {
    const auto io = lost.Survivor(1, io::AfterCut::kKeepAll);
    io->SetFaults({.cut_power_after = cut});
    const Status run = RunFlow(*io);
    if (!io->power_is_off()) {
      ASSERT_TRUE(run.ok()) << run.error().message;
      break;
    }
    for (const io::AfterCut mode : {io::AfterCut::kDropUnsynced, io::AfterCut::kRandom}) {
      const std::string where =
          fmt::format("cut after operation {} ({}); replay: WEIR_REBUILD_CUT={}", cut,
                      io->last_operation(), cut);
      const auto survivor = io->Survivor(cut + 1, mode);
      const Status again = RunFlow(*survivor);
      ASSERT_TRUE(again.ok()) << again.error().message << "; " << where;
      const auto answer = Answer(*survivor);
      ASSERT_TRUE(answer.ok()) << answer.error().message << "; " << where;
      ASSERT_EQ(*answer, kAnswer) << where;
    }
    if (only != nullptr) return;
  }
  EXPECT_GT(cut, 100u);
}

}  // namespace
}  // namespace weir::flow
