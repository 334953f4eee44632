// Which files the tables need, and which file names are Weir's: for finding orphans.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/result.h"
#include "iceberg/table.h"
#include "io/io.h"

namespace weir::iceberg {

// Adds the URIs of all files that the metadata file at `location` leads to: itself, those
// it replaced and still lists, statistics, and every snapshot's manifest list, manifests,
// data files and vectors. `stop` is asked between manifests; kCancelled. Any other error
// means that the set is not whole.
Status AddReferencedFiles(io::Io& io, const std::string& location,
                          const std::function<bool()>& stop,
                          std::unordered_set<std::string>* out);

// Whether a file was named by NewUuid of this version or a later one: then nobody but a
// Weir wrote it.
bool HasOurName(std::string_view file_name);

}  // namespace weir::iceberg
