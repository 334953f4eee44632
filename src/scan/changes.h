// What changed in a table between two snapshots.
#pragma once

#include <functional>

#include "base/result.h"
#include "data/batch.h"
#include "data/type.h"
#include "iceberg/table.h"
#include "io/io.h"

namespace weir::scan {

// Hands over the change from `from` (nullptr: the empty table) to `to` as batches of
// `schema` with weights: applied to the rows at `from` they give the rows at `to`. Reads
// only files that are in one of the two and not in the other, and rows whose deletion
// differs. Between snapshots that only added files batches are streamed; otherwise all is
// consolidated into one batch, so that rows merely rewritten do not appear.
Status VisitChanges(io::Io& io, const iceberg::Metadata& metadata,
                    const iceberg::Snapshot* from, const iceberg::Snapshot& to,
                    const data::Schema& schema,
                    const std::function<Status(data::Batch)>& visit);

}  // namespace weir::scan
