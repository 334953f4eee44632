// The key index of a table, made anew from the table itself: when the state was lost, or
// somebody else committed.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "state/state.h"

namespace weir::publish {

struct RebuiltIndex {
  int64_t files = 0, rows = 0;
};

// Reads the key columns of all live rows of the current snapshot and puts the whole index
// of `table` into the delta, in place of whatever the store holds. kInvalid: two live
// rows have the same key (the message shows both positions); `key` empty means the whole
// row.
Result<RebuiltIndex> RebuildIndex(io::Io& io, const std::string& table,
                                  const iceberg::Metadata& metadata,
                                  const std::vector<std::string>& key,
                                  state::Delta& delta);

// Drops the index, of a table that is dropped or no longer keyed.
void DropIndex(const std::string& table, state::Delta& delta);

}  // namespace weir::publish
