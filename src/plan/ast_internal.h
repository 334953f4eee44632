// DuckDB's parse tree (the JSON of json_serialize_sql) as the planner handles it.
//
// An expression is an object with "class", a query node one with "type": "SELECT_NODE"
// and the like, a table reference one with "type": "BASE_TABLE", "JOIN" … Byte positions
// in the SQL stand in "query_location".
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "duck/duck.h"

namespace weir::plan {

using Json = nlohmann::json;

// SQL text to tree and back, by DuckDB itself.
class Ast {
 public:
  explicit Ast(duck::Session& session) : session_(session) {}
  Result<Json> Parse(std::string_view select);  // the query node
  Result<std::string> Print(const Json& query);
  Result<Json> ParseExpr(std::string_view text);
  Result<std::string> PrintExpr(const Json& expr);  // without its alias
 private:
  duck::Session& session_;
  Json select_;  // SELECT of one expression
};

bool IsExpr(const Json& json);
bool IsClass(const Json& json, std::string_view expr_class);
bool IsType(const Json& json, std::string_view type);
// A function call (of that name).
bool IsCall(const Json& json);
std::string CallName(const Json& call);  // lower case
std::optional<size_t> LocationOf(const Json& json);
std::string AliasOf(const Json& json);
std::vector<std::string> NamesOf(const Json& column_ref);
bool HasColumn(const Json& expr);  // in it, or in a subquery of it

Json ColumnRef(std::vector<std::string> names);
Json Call(std::string_view name, std::vector<Json> arguments);
Json IsNull(Json expr);
Json IsNotNull(Json expr);
Json And(Json a, Json b);  // null counts as "no condition"
Json Or(Json a, Json b);
Json Not(Json expr);
Json Try(Json expr);        // NULL where `expr` fails
Json OrderTerm(Json expr);  // ASC NULLS LAST
Json IntegerConstant(int64_t value);
Json BoolConstant(bool value);
std::optional<int64_t> AsInteger(const Json& expr);

// The same tree without positions, and without the outermost alias: equal texts are equal
// expressions.
Json Plain(Json expr);

// Calls `visit` for every object of the tree, outermost first; where it returns false,
// what is inside is left out.
void Visit(Json& json, const std::function<bool(Json&)>& visit);
void Visit(const Json& json, const std::function<bool(const Json&)>& visit);

}  // namespace weir::plan
