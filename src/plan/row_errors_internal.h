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
  // and in its WHERE `TRY({'v': e}) IS NOT NULL` for those that are not part of it.
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

// A SELECT as two: one that makes the groups or computes the window functions, and one
// whose list and WHERE are what the list and HAVING, or QUALIFY, were, over its rows.
// `rows` has yet to get `inner` as the subquery of its FROM.
struct LiftedSelect {
  Json inner, rows;
};
// The columns of a SELECT's FROM.
struct FromColumns {
  std::function<bool(const std::string&)> has;
  std::function<std::vector<std::string>()> all;  // empty: they are not known
};
// nullopt: it makes no groups, or not so that both would plainly be the same.
Result<std::optional<LiftedSelect>> LiftGroups(const Json& select,
                                               const FromColumns& from, Ast& ast,
                                               const Functions& functions);
// Of a SELECT that computes window functions: groups, if it makes them, stay with these.
Result<std::optional<LiftedSelect>> LiftWindows(const Json& select,
                                                const FromColumns& from, Ast& ast,
                                                const Functions& functions);

// The SELECT with the expressions of its list in the place of their aliases, where the
// list or WHERE names these. `is_column`: whether FROM has a column of that name, which
// wins.
Result<Json> SpellAliases(const Json& select, Ast& ast,
                          const std::function<bool(const std::string&)>& is_column);

// A condition that can fail, as conditions that cannot. It depends on a part that fails
// unless what else it says decides: by an AND with what is not true, an OR with what is.
struct TriedCondition {
  Json holds;               // NULL or false where it depends on a part that fails
  Json may_hold;            // true there
  std::vector<Json> parts;  // what can fail: none, or it is the condition as it was
  bool plain = true;        // no AND and no OR: it depends on each of its parts
};

// Rows for which conditions of WHERE or ON fail.
struct FailingRows {
  Json from;   // the one table of FROM that they are of; null: rows of all of it
  Json where;  // what else they pass, and what they may pass
  std::vector<TriedCondition> conditions;  // one of which depends on a part that fails
};

// What can fail in an expression of a condition, itself or as it is cast for comparing it
// with `compared` (null: it is not compared); nullopt: nothing.
using FailingPart =
    std::function<std::optional<Json>(const Json& expr, const Json* compared)>;
// Whether an expression has a meaning when the table `ref` is all there is.
using BindsIn = std::function<bool(const Json& expr, const Json& ref)>;

// Makes the conditions of `*select` ones that do not fail, where it can. Empty: there
// were none to change. Else the first is about rows of all of FROM, perhaps with no
// conditions, and the others about rows of single tables in it.
std::vector<FailingRows> TryConditions(Json* select, const FailingPart& can_fail,
                                       const BindsIn& binds);

// Whether a row that passes, or may pass, the conditions depends on no part that fails.
Json NothingFails(const std::vector<TriedCondition>& conditions);
Json OrFalse(Json condition);  // false where it is NULL

// TRY({'v': e}) IS NOT NULL: also true where e is NULL.
Json RowCheck(Json expr);

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
