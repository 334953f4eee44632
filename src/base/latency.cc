#include "base/latency.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace weir {
namespace {

constexpr uint64_t kSliceNanos = 200'000;
// Of the scheduler's steps, each a factor of 1.25: a third of the usual weight.
constexpr int kGiveWaySteps = 5, kNiceMax = 19;

// As the kernel has it (include/uapi/linux/sched/types.h); glibc 2.36 does not.
struct SchedAttr {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;  // of SCHED_OTHER: the wished slice, nanoseconds
  uint64_t deadline;
  uint64_t period;
};

}  // namespace

void PreferShortSlices() {
  SchedAttr attributes{};
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.policy != 0) return;  // somebody chose another one for this process
  attributes.runtime = kSliceNanos;
  // A wish: a kernel that does not know it leaves things as they are.
  static_cast<void>(::syscall(SYS_sched_setattr, 0, &attributes, 0));
}

void GiveWay() {
  // On Linux the nice value belongs to the thread.
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, thread);
  if (errno != 0) return;
  static_cast<void>(
      ::setpriority(PRIO_PROCESS, thread, std::min(nice + kGiveWaySteps, kNiceMax)));
}

}  // namespace weir
