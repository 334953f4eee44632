// Names of the files under state/, and the folder that belongs to one owner.
#pragma once

#include "state/state.h"

namespace weir::state {

inline constexpr std::string_view kDeltaPrefix = "delta-";
inline constexpr std::string_view kRocksDir = "rocks";
inline constexpr std::string_view kRunsDir = "ids";  // identity runs, which never change
inline constexpr std::string_view kDamagedFile = "DAMAGED";  // says what is damaged
std::string DeltaPath(const std::string& dir, Epoch epoch);
// nullopt: not a delta's name.
std::optional<Epoch> ParseDeltaName(std::string_view name);

// The folder of options.owner, made from what the newest earlier owner left: deltas up to
// `committed` and the store. Whole and durable, or not there.
Result<std::string> PrepareOwnerDir(io::Io& io, const std::string& state_dir,
                                    Epoch committed, const StoreOptions& options);
// The folder of options.owner, empty, whatever stood there and before.
Result<std::string> EmptyOwnerDir(io::Io& io, const std::string& state_dir,
                                  const StoreOptions& options);
// Copies the state of the newest owner as it is at one moment, with the deltas up to
// `committed`, to the folder `to`. kUnavailable: it changed on the way; kNotFound: there
// is no state.
Status CopyNewestState(io::Io& io, const std::string& state_dir, Epoch committed,
                       const std::string& to);
// Removes what earlier owners left, if they cannot be alive. Failing costs only space.
void RemoveEarlierOwners(io::Io& io, const std::string& state_dir,
                         const StoreOptions& options);

}  // namespace weir::state
