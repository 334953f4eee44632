// Which snapshots a commit lets go, and which files only they needed.
#pragma once

#include <string>
#include <vector>

#include "iceberg/table.h"

namespace weir::iceberg {

// Removes from `metadata` the names that are over (ExpireRefs) and the snapshots that are
// beyond the newest `snapshots_max`, old enough, and wanted by nobody (options.keep,
// refs, the current one). Returns the URIs of files that no remaining snapshot reaches.
// Reads the manifest lists of the expired snapshots and of their neighbours, and the
// manifests in which these differ.
Result<std::vector<std::string>> ExpireSnapshots(io::Io& io, Metadata* metadata,
                                                 Micros now,
                                                 const MaintenanceOptions& options);

// Appends the metadata file that is being replaced to the log and trims it; returns the
// files that fell out, if the table's property lets them be deleted.
std::vector<std::string> AppendMetadataLog(Metadata* metadata, const Metadata& base,
                                           std::string_view base_location, int files_max);

}  // namespace weir::iceberg
