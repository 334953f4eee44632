// A simulated disk in memory, whose power can be cut after any operation. What survives
// the cut is what was synced, and of the rest what the test asks for: nothing, all, or a
// seeded choice.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "io/io.h"

namespace weir::io {

// Planned mishaps. Counts begin at 0 when the faults are set.
struct SimFaults {
  // The power goes off after so many more mutating operations; every call after that
  // fails with kUnavailable, reads too. 0: it is off at once.
  std::optional<uint64_t> cut_power_after;
  // So many syncs (of files and folders) succeed, the next one fails once. Its file is
  // dead; which of its unsynced sectors reached the disk is drawn from `seed`, and no
  // later sync brings the others.
  std::optional<uint64_t> fail_sync_after;
  // Writes beyond so many bytes of all files together write what fits and fail with
  // kUnavailable.
  std::optional<uint64_t> disk_bytes_max;
  uint64_t seed = 1;
};

enum class AfterCut : uint8_t {
  kDropUnsynced,  // only what was synced is there
  kKeepAll,       // as after kill -9: the kernel lost nothing
  kRandom,        // any 512-byte sectors of unsynced writes, grown files with zeros, any
                  // unsynced names
};

// The crash model, as strict as the interface: a file's bytes are durable by File::Sync,
// its name by SyncDir of its folder, neither by the other. Every name change is atomic:
// after a cut a rename happened or did not; one between two folders is durable when both
// were synced (when only the target was, the file may stand under both names). Unsynced
// changes may survive in any combination.
//
// Paths with and without a leading slash are the same. Safe for concurrent use. Files may
// outlive it. Stat's `modified` counts operations.
class SimIo final : public Io {
 public:
  explicit SimIo(SimFaults faults = {});
  ~SimIo() override;

  void SetFaults(SimFaults faults);
  // Mutating operations that took effect so far: create, mkdir, write, truncate, sync,
  // syncdir, rename, link, remove.
  uint64_t operations() const;
  std::string last_operation() const;  // "write /a/b", for messages of tests
  bool power_is_off() const;
  void CutPower();

  // Cuts the power if it is on, and comes back with what survived and no faults. Files
  // and locks from before are gone: their calls fail.
  void PowerOn(uint64_t seed, AfterCut mode);
  // The disk that PowerOn would leave, beside this one: one run, many outcomes.
  std::unique_ptr<SimIo> Survivor(uint64_t seed, AfterCut mode) const;

  // Bit rot: the stored byte changes, nobody is told. kNotFound; kInvalid beyond the end.
  Status FlipBit(const std::string& path, uint64_t byte, int bit);

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Link(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status CreateDirs(const std::string& path) override;
  Status SyncDir(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& dir) override;
  Result<FileInfo> Stat(const std::string& path) override;

 private:
  struct Disk;
  class SimFile;
  const std::shared_ptr<Disk> disk_;
};

}  // namespace weir::io
