// A data directory that was moved to another place.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "iceberg/catalog.h"
#include "io/io.h"

namespace weir::commit {

// For whoever reads the tables of `data_dir`. kInvalid: they name another place, which is
// said together with the way out; or a newer Weir wrote them.
Status CheckPlace(iceberg::Catalog& catalog, const std::string& data_dir);

// Makes all tables name the place where they are now. Their metadata, manifests and
// deletion vectors are written anew; then one transaction swaps all tables and writes the
// place down; the replaced files become garbage. Killed anywhere before that transaction,
// nothing has happened, and running it again finishes. A directory that was not moved is
// left as it is. `progress` is called before each table.
//
// Errors: kNotFound: no data directory; kConflict: another process works on it; kInvalid:
// a newer Weir wrote it, or a table has delete files of another writer; kUnknownOutcome:
// whether it is done could not be seen: run it again.
Status Relocate(io::Io& io, Clock& clock, const std::string& data_dir,
                const std::function<void(const std::string& table)>& progress);

}  // namespace weir::commit
