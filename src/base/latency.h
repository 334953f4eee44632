// Who goes first when threads outnumber processors: those that work a little and often,
// and whose delay somebody waits for, before those that have much to do.
#pragma once

namespace weir {

// Asks the scheduler for short slices for the calling thread: when it wakes it need not
// wait until a busy thread's slice of some milliseconds is over. It gets no more
// processor time by it. Linux 6.12 and later; elsewhere nothing changes.
void PreferShortSlices();

// Puts the calling thread, and the threads that it starts from now on, behind the others
// of this process: where they want the same processor it gets a quarter of it, where
// nobody does, all. It cannot be taken back without a privilege.
void GiveWay();

}  // namespace weir
