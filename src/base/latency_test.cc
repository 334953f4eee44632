#include "base/latency.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <thread>

namespace weir {
namespace {

// The slice as the kernel tells it; 0: it tells none.
uint64_t Slice() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes{};
  return syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 &&
                 attributes.policy == 0
             ? attributes.runtime
             : 0;
}

// Where the kernel has no slices to ask for (before Linux 6.12) nothing changes.
TEST(LatencyTest, ShortensTheSliceOfTheCallingThreadAlone) {
  utsname system{};
  uname(&system);
  int major = 0, minor = 0;
  ASSERT_EQ(std::sscanf(system.release, "%d.%d", &major, &minor), 2);
  const uint64_t before = Slice();
  const bool has_slices = before != 0 && (major > 6 || (major == 6 && minor >= 12));
  uint64_t inside = 0;
  std::thread([&] {
    PreferShortSlices();
    inside = Slice();
  }).join();
  EXPECT_EQ(Slice(), before);
  EXPECT_EQ(inside, has_slices ? 200'000u : before) << "Linux " << system.release;
}

int NiceOfThisThread() {
  return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
}

TEST(LatencyTest, AThreadGivesWayWithThoseThatItStarts) {
  const int before = NiceOfThisThread();
  int inside = before, child = before;
  std::thread([&] {
    GiveWay();
    inside = NiceOfThisThread();
    std::thread([&] { child = NiceOfThisThread(); }).join();
  }).join();
  EXPECT_EQ(inside, std::min(before + 5, 19));
  EXPECT_EQ(child, inside);
  EXPECT_EQ(NiceOfThisThread(), before);
}

}  // namespace
}  // namespace weir
