// The tables a SELECT reads, out of DuckDB's parse tree, and what its WHERE says about
// them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/type.h"
#include "query/as_of.h"
#include "scan/predicate.h"

namespace weir::query {

using Json = nlohmann::json;

// One mention of a table. `node` points into the tree it was found in.
struct TableMention {
  Json* node = nullptr;
  std::string catalog, schema, table;
  std::optional<AsOf> as_of;

  // "silver.trips"; just "trips" when no namespace was written.
  std::string name() const { return schema.empty() ? table : schema + "." + table; }
};

// All tables mentioned that are no CTEs in scope, in order of appearance. kInvalid: an AT
// clause that is not a constant.
Result<std::vector<TableMention>> FindTables(Json& tree);

// Whether the statement names tables where the tree does not show them (DESCRIBE,
// SUMMARIZE, SHOW).
bool HasHiddenTables(const Json& tree);

// The comparisons with constants that every row of this mention must fulfil to matter for
// the query. `schema_of` gives the columns of another mention (nullptr: unknown), so that
// unqualified names are resolved.
std::vector<scan::Predicate> PredicatesOf(
    const Json& tree, const Json* mention,
    const std::function<const data::Schema*(const Json*)>& schema_of);

}  // namespace weir::query
