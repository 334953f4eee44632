// Rows for which an expression fails: they leave the query by conditions of their own,
// and are the result of others.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "plan/ast_internal.h"
#include "plan/names_internal.h"

namespace weir::plan {

// A query none of whose rows fails where one of the original did.
struct Checked {
  // In each SELECT that fails row by row, `TRY(e)` for the expressions e that can fail,
  // and in its WHERE `TRY({'v': e}) IS NOT NULL`.
  Json query;
  // SELECTs that give the rows that those conditions keep out: columns like the query's
  // (null where a value is not known), then RejectedColumns. With a member of their own
  // that DuckDB does not know.
  std::vector<Json> failed;
};

// One of `failed` as DuckDB takes it.
Json WithoutUses(Json query);

// `completed` with such conditions in all SELECTs that stand in FROM, WITH, UNION and
// their like. `output`: its columns.
Result<Checked> CheckRows(const Json& completed, const data::Schema& output,
                          duck::Session& bodies, const Functions& functions);

// A SELECT of groups as two: one that makes the groups, and one whose list and WHERE are
// what the list and HAVING were, over its rows. `rows` has yet to get `groups` as the
// subquery of its FROM.
struct LiftedGroups {
  Json groups, rows;
};
// nullopt: it makes no groups, or not so that both would plainly be the same.
Result<std::optional<LiftedGroups>> LiftGroups(
    const Json& select, Ast& ast, const Functions& functions,
    const std::function<bool(const std::string&)>& is_column);

// The SELECT with the expressions of its list in the place of their aliases, where the
// list or WHERE names these. `is_column`: whether FROM has a column of that name, which
// wins.
Result<Json> SpellAliases(const Json& select, Ast& ast,
                          const std::function<bool(const std::string&)>& is_column);

// The e of such a condition; null: it is none.
const Json* CheckedExpr(const Json& condition);
// The checks below a NOT: the rows for which one of them is false. Empty: it is another
// condition.
std::vector<const Json*> FailingChecks(const Json& condition);
inline bool IsRowCheck(const Json& condition) {
  return CheckedExpr(condition) != nullptr || !FailingChecks(condition).empty();
}
// The e of `TRY(e)`; null: it is another expression.
const Json* TriedExpr(const Json& expr);

}  // namespace weir::plan
