// Finds files in the warehouse that nothing names: of epochs that were killed before
// their commit, and of tables that were dropped or made anew.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/io.h"

namespace weir::commit {

struct SweepReport {
  int64_t files = 0, bytes = 0;  // that are garbage now
  int64_t left = 0;  // unnamed too, but of another program and not old enough, or where
                     // no table is
};

// A file with another program's name may belong to a commit under way; it is an orphan
// once it is as old as this and lies where a table is. (Iceberg's own default.)
inline constexpr Micros kForeignGrace = 3LL * 24 * 3'600'000'000;

// Two steps. The first lists, at a moment when no file of this process waits for its
// commit: whatever of ours is on the list and is named by nothing afterwards never will
// be, since every other process of ours that could still commit it was replaced. The
// second may take its time, on any thread.
class Sweep {
 public:
  static Result<Sweep> Begin(io::Io& io, const std::string& data_dir,
                             int64_t owner_epoch);

  // Reads all tables of the catalog as they are now, with all their snapshots, and hands
  // what they do not name to weir_garbage, whose collector knows about readers. Removes
  // empty folders where no table is. Any error but kCancelled (`stop`) means that
  // something could not be read: nothing was handed over. kConflict: this process is not
  // the owner any more.
  Result<SweepReport> Finish(Clock& clock, const std::function<bool()>& stop);

 private:
  struct Folder {
    std::string path;  // warehouse/silver/trips
    std::vector<std::string> files;
  };

  Sweep(io::Io& io, std::string data_dir, int64_t owner_epoch)
      : io_(&io), data_dir_(std::move(data_dir)), owner_epoch_(owner_epoch) {}

  io::Io* io_;
  std::string data_dir_;
  int64_t owner_epoch_;
  std::vector<Folder> folders_;
};

}  // namespace weir::commit
