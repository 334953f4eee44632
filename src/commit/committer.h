// Ownership of a data directory, and the commit of an epoch in the one order that loses
// nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"
#include "commit/lease_term.h"
#include "commit/sweep.h"
#include "iceberg/catalog.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "state/state.h"

namespace weir::commit {

// How far one model has been kept: its rows equal its query over these versions of its
// inputs.
struct ModelState {
  std::string model;        // "silver.trips"
  std::string fingerprint;  // of the plan its state belongs to
  std::string lane;
  std::map<std::string, int64_t> inputs;  // table -> snapshot id (0: the empty table)
  std::string halted;                     // why it stands still; empty: it does not
};

// One epoch of one lane: everything in it becomes visible together.
struct EpochCommit {
  std::string lane;
  std::string frontier;                 // JSON; what recovered().frontiers gives back
  std::vector<iceberg::Staged> tables;  // written and synced
  state::Delta* delta = nullptr;        // emptied by a commit that stands
  std::map<std::string, std::string>
      ledger;                      // source -> its ledger line as JSON, absolute
  std::vector<ModelState> models;  // changed ones
  std::map<std::string, std::string>
      work;  // model -> what keeping it cost so far, as JSON; nothing depends on it
  std::vector<std::string> dropped_models;  // forgotten, with their tables
};

// What the last commit left.
struct Recovered {
  Epoch epoch;                                   // 0: nothing was ever committed
  std::map<std::string, std::string> frontiers;  // by lane
  std::map<std::string, std::string> ledger;
  std::map<std::string, ModelState> models;
  // Why the state store is empty, or rebuilt in part only: what it held is to be made
  // anew from the tables. Empty: it is whole.
  std::string state_lost;
};

struct CommitterOptions {
  Micros lease = 10'000'000;
  // When the present owner is late with prolonging its lease: waits until the lease has
  // run out or is prolonged, instead of refusing at once.
  bool wait_for_lease = false;
  // Where others look whether the lease holds; empty: only lease_valid() tells.
  std::shared_ptr<LeaseTerm> lease_term;
  state::StoreOptions store;
};

// The owner of a data directory: one process at a time. Used by the flow's thread, but
// lease_valid(), which any thread may ask, and Renew(), which one other thread may call,
// so that work that takes long costs no lease.
//
// Commit order (docs/decisions/0003-commit-order.md):
//   1 data, vector, manifest and metadata files are on disk (the caller's part,
//   iceberg::Stage's) 2 the state delta is on disk 3 one SQLite transaction: owner
//   asserted, table rows swapped, epoch row inserted 4 the delta is applied to the state
//   store 5 the delta file goes once the store has flushed it
class Committer {
 public:
  // Takes the directory: makes it when missing, locks it, writes a new owner epoch.
  // kConflict: another process has it (named); kInvalid: it was moved (`weir relocate`),
  // or a newer Weir wrote it; kCorrupt: what is stored fails its checks. A state store
  // that does, or is missing, of another format or of another directory, is begun anew:
  // see Recovered::state_lost.
  static Result<std::unique_ptr<Committer>> Open(io::Io& io, Clock& clock,
                                                 const std::string& data_dir,
                                                 CommitterOptions options);
  ~Committer();

  const Recovered& recovered() const { return recovered_; }
  iceberg::Catalog& catalog() { return *catalog_; }
  state::Store& store() { return *store_; }
  // Counts the owners of this directory; no two ever have the same.
  int64_t owner_epoch() const { return owner_epoch_; }
  Epoch last_epoch() const { return last_epoch_; }
  Epoch next_epoch() const { return Next(last_epoch_); }

  // Errors: kConflict: another owner took over or a foreign commit moved a table: stop,
  // reopen. kUnknownOutcome: not even looking could tell: reopen, the epoch row will. An
  // error with last_epoch() advanced: the commit stands, and the state store follows at
  // the next open. Anything else: nothing was committed.
  //
  // When others only named snapshots of a table meanwhile (tags), or changed properties,
  // that stays, and the table's entry in `commit` becomes what was committed.
  Status Commit(EpochCommit& commit);

  // Prolongs the lease when a third of it is gone. kConflict: somebody else is the owner.
  Status Renew();
  // Whether an acknowledgement given now still counts.
  bool lease_valid() const { return lease_term_->holds(); }

  // Whether files that nothing names may lie about: the owner before was killed, or
  // nobody looked for a day.
  Result<bool> SweepIsDue();
  Result<Sweep> BeginSweep() { return Sweep::Begin(io_, data_dir_, owner_epoch_); }

  // Deletes files that no snapshot names any more, unless a reader's lease is older than
  // their going.
  Status CollectGarbage();

  // Snapshots that readers hold leases on.
  Result<std::vector<SnapshotId>> LeasedSnapshots();

 private:
  Committer(io::Io& io, Clock& clock, std::string data_dir, CommitterOptions options);
  Status CheckDirectory();
  Status Recover();
  Status OpenStore();
  Result<bool> IsCommitted(Epoch epoch);
  Status RunTransaction(EpochCommit& commit, Epoch epoch, uint32_t delta_checksum);
  Status Swap(iceberg::Staged& staged);

  io::Io& io_;
  Clock& clock_;
  const std::string data_dir_;
  const CommitterOptions options_;
  std::unique_ptr<io::File> lock_;
  std::unique_ptr<iceberg::Catalog> catalog_;
  std::unique_ptr<state::Store> store_;
  Recovered recovered_;
  Epoch last_epoch_;
  int64_t owner_epoch_ = 0, previous_ = 0;
  bool previous_may_live_ = false, previous_was_killed_ = false;
  std::unique_ptr<iceberg::Catalog> renewal_;  // Renew's own connection
  const std::shared_ptr<LeaseTerm> lease_term_;
};

// Names of what stands in a data directory.
std::string CatalogPath(const std::string& data_dir);
std::string WarehouseDir(const std::string& data_dir);
std::string StateDir(const std::string& data_dir);
inline constexpr const char* kCatalogName = "weir";
// 2: files of the log, the journal and the state carry their owner's epoch. 1 is read.
inline constexpr int kDataFormat = 2;

}  // namespace weir::commit
