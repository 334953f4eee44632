// What everybody who changes a data directory takes first: its lock, its catalog, its
// owner row.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "iceberg/catalog.h"
#include "io/io.h"

namespace weir::commit {

// LOCK and catalog.db, open but not owned yet. Every owner holds a lock on the byte of
// LOCK that its owner epoch numbers, for as long as its process lives.
struct Directory {
  std::unique_ptr<io::File> lock;
  std::unique_ptr<iceberg::Catalog> catalog;  // with the weir_* tables
};
// kConflict: somebody keeps the catalog locked and does not go on; names who.
Result<Directory> OpenDirectory(io::Io& io, const std::string& data_dir);

// The place that the tables name; nullopt: nobody wrote there yet. kInvalid: a newer Weir
// wrote this directory.
Result<std::optional<std::string>> RecordedPlace(iceberg::Catalog& catalog,
                                                 const std::string& data_dir);

// What is wrong with a directory at `data_dir` whose tables name `place`.
Error Moved(const std::string& place, const std::string& data_dir);

// Until when an owner may act: by the wall clock, for other machines, and by the clock
// that counts from the machine's start (suspension included), which no setting of the
// time moves. It holds while both say so.
struct Lease {
  Micros until = 0, until_since_boot = 0;
  static Lease From(Clock& clock, Micros length) {
    return {clock.Now() + length, clock.Monotonic() + length};
  }
};

struct Ownership {
  int64_t owner_epoch = 0;
  Lease lease;
  int64_t previous = 0;              // 0: there was none
  bool previous_may_live = false;    // its lease ran out, but its process may be there
  bool previous_was_killed = false;  // it did not give its lease back
};
// Writes a new owner epoch. An owner whose process is gone is followed at once, one whose
// process is there when its lease has run out: it was stopped or hangs, and whatever it
// does when it wakes is harmless (docs/decisions/0004-fencing.md). When the lease is not
// renewed in time but still runs, `wait` waits for its end. kConflict: another process is
// the owner and alive; says who and since when.
Result<Ownership> TakeOwnership(iceberg::Catalog& catalog, io::File& lock,
                                const std::string& data_dir, Clock& clock, Micros lease,
                                bool wait);

// Whether the process of an earlier owner of this machine is there.
bool IsAlive(io::File& lock, int64_t owner_epoch);

// Inside a transaction: prolongs the lease. kConflict: somebody else is the owner; says
// who.
Status AssertOwner(iceberg::Catalog& catalog, int64_t owner_epoch, const Lease& lease);

// kConflict: somebody else is the owner.
Status CheckOwner(iceberg::Catalog& catalog, int64_t owner_epoch);

// A clean end gives the lease back, so that the next owner need not wait. Failing costs
// only that wait.
void GiveLeaseBack(iceberg::Catalog& catalog, int64_t owner_epoch);

int64_t AsInt(const iceberg::SqlValue& value);
std::string AsText(const iceberg::SqlValue& value);

}  // namespace weir::commit
