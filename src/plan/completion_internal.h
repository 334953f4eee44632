// Order completion: every construct whose result depends on the order of rows gets an
// order that decides every tie.
#pragma once

#include <string>
#include <vector>

#include "plan/names_internal.h"

namespace weir::plan {

// A relation of a FROM clause, as order completion sees it.
struct Relation {
  std::string alias;
  std::vector<std::string>
      columns;  // in the order in which they decide ties; never _received_at
  std::vector<std::vector<std::string>> keys;  // column sets that are unique together
  bool is_known = true;  // false: its columns could not be found out
};

// The relation of a table: tie columns first, then the others, then _partition and
// _offset.
Relation RelationOf(const InputTable& table, std::string alias);

// The columns that `orders` (order terms) lacks to be total over these relations.
// Qualified names: [alias, column].
std::vector<Json> MissingOrder(const std::vector<Relation>& relations,
                               const std::vector<Json>& orders);

// Spells out direction and null order of every term.
void MakeExplicit(Json* orders);

// arg_min and arg_max in all their spellings.
struct ArgExtreme {
  bool is_max = false;
  bool keeps_null = false;  // arg_min_null: a NULL argument is a value
};
std::optional<ArgExtreme> AsArgExtreme(const std::string& function);

// The expressions a query groups by: ordinals, aliases and ALL resolved. Empty: one
// group, or no grouping. A name means a column before it means an alias; `is_column` says
// which names are columns.
std::vector<Json> GroupExpressions(
    const Json& select, const Functions& functions,
    const std::function<bool(const std::string&)>& is_column);
bool IsAggregated(const Json& select, const Functions& functions);

// Rewrites `query` in place. What cannot be completed goes to `faults`.
Status CompleteOrder(Json& query, duck::Session& session, const Tables& tables,
                     const Functions& functions, std::vector<Fault>* faults);

}  // namespace weir::plan
