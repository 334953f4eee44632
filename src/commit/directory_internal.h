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

struct Directory {
  std::unique_ptr<io::File> lock;
  std::unique_ptr<iceberg::Catalog> catalog;  // with the weir_* tables
};
// kConflict: another process of this host has it.
Result<Directory> LockDirectory(io::Io& io, const std::string& data_dir);

// The place that the tables name; nullopt: nobody wrote there yet. kInvalid: a newer Weir
// wrote this directory.
Result<std::optional<std::string>> RecordedPlace(iceberg::Catalog& catalog,
                                                 const std::string& data_dir);

// What is wrong with a directory at `data_dir` whose tables name `place`.
Error Moved(const std::string& place, const std::string& data_dir);

// Writes a new owner epoch and returns it. kConflict: a process of another host has a
// lease that runs.
Result<int64_t> TakeOwnership(iceberg::Catalog& catalog, const std::string& data_dir,
                              Micros now, Micros lease_until);

// Inside a transaction: prolongs the lease. kConflict: somebody else is the owner.
Status AssertOwner(iceberg::Catalog& catalog, int64_t owner_epoch, Micros lease_until);

// A clean end gives the lease back, so that the next owner need not wait. Failing costs
// only that wait.
void GiveLeaseBack(iceberg::Catalog& catalog, int64_t owner_epoch);

int64_t AsInt(const iceberg::SqlValue& value);
std::string AsText(const iceberg::SqlValue& value);

}  // namespace weir::commit
