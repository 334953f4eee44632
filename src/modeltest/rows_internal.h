// Rows as people write them in YAML and CSV, as batches of a table's types.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contract/contract_yaml_internal.h"
#include "data/batch.h"
#include "data/type.h"

namespace weir::modeltest {

// One record, with where it stands. A cell is NULL when its node is null or missing.
struct TextRow {
  int line = 0;
  std::vector<std::pair<std::string, YAML::Node>> cells;  // by column as written
};

// `rows:` as a list of maps, or, with `format: csv`, a text with a header line.
// `what` names them in messages: "the rows of bronze.views".
std::vector<TextRow> ReadRows(const YAML::Node& rows, const YAML::Node& format,
                              std::string_view what, contract::Report& report);

// The columns that the rows name, in the order of the schema. Columns that are not there
// are reported.
std::vector<std::string> NamedColumns(const std::vector<TextRow>& rows,
                                      const data::Schema& schema, std::string_view what,
                                      contract::Report& report);

// The rows' values of `columns`, typed. Values of another type are reported.
Result<data::Batch> TypedRows(const std::vector<TextRow>& rows,
                              const data::Schema& columns, std::string_view what,
                              contract::Report& report);

}  // namespace weir::modeltest
