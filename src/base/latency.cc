#include "base/latency.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace weir {
namespace {

constexpr uint64_t kSliceNanos = 200'000;

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

}  // namespace weir
