// A thread that works a little and often, and whose delay somebody waits for.
#pragma once

namespace weir {

// Asks the scheduler for short slices for the calling thread: when it wakes it need not
// wait until a busy thread's slice of some milliseconds is over. It gets no more
// processor time by it. Linux 6.12 and later; elsewhere nothing changes.
void PreferShortSlices();

}  // namespace weir
