// AUTO CDC as the query it is defined by.
#pragma once

#include <string>
#include <vector>

#include "sql/model.h"

namespace weir::sql {

// A column of a source of AUTO CDC.
struct SourceColumn {
  std::string name;
  bool has_order = true;  // false: of a nested type
};

// Gives the target of AUTO CDC flows its query and, where it has none, its KEY.
// `sources`: the columns of the source of each flow. False: names that are not columns,
// told to `problems`.
//
// The log is all rows of all sources that have a sequence; it is in order by the
// sequence, then truncations before other changes before deletes, then the columns from
// left to right. Of that log
//   type 1 is the last row of each key, unless it is a delete or a truncation;
//   type 2 is each version of a key: rows that follow one another without a delete and
//     with equal tracked columns, with the last row's values, from the sequence of the
//     first (__START_AT) to that of the next version or delete (__END_AT);
//   IGNORE NULL UPDATES puts into each row, for NULL, the last value before it and behind
//     the last delete or truncation.
bool WriteCdcQuery(const std::vector<std::vector<SourceColumn>>& sources, Model* model,
                   std::vector<FileProblem>* problems);

}  // namespace weir::sql
