// Expressions that are not of the rows SELECT reads, written so that they are: what names
// aliases of its own list, and what is computed of groups.
#include <algorithm>
#include <map>
#include <set>

#include "data/type.h"
#include "plan/completion_internal.h"
#include "plan/query_internal.h"
#include "plan/row_errors_internal.h"

namespace weir::plan {
namespace {

// A column's name that is not yet taken.
std::string Unused(std::string name, const std::set<std::string>& taken) {
  while (taken.contains(data::LowerName(name))) name += "_";
  return name;
}

// The columns of the SELECT that makes the groups, and expressions over them.
class Lifter {
 public:
  Lifter(const Json& select, std::vector<Json> groups, Ast& ast,
         const Functions& functions)
      : select_(select), groups_(std::move(groups)), ast_(ast), functions_(functions) {}

  Result<std::optional<LiftedGroups>> Lift() {
    Json rows = WEIR_TRY(ast_.Parse("SELECT 1 FROM (SELECT 1) AS weir_groups"));
    rows["cte_map"] = select_["cte_map"];
    rows["select_list"] = Json::array();
    for (const Json& item : select_["select_list"]) {
      Json lifted = WEIR_TRY(OverColumns(item));
      lifted["alias"] = !AliasOf(item).empty()        ? AliasOf(item)
                        : IsClass(item, "COLUMN_REF") ? NamesOf(item).back()
                                                      : WEIR_TRY(ast_.PrintExpr(item));
      rows["select_list"].push_back(std::move(lifted));
    }
    if (select_["having"].is_object())
      rows["where_clause"] = WEIR_TRY(OverColumns(select_["having"]));
    if (!possible_) return std::optional<LiftedGroups>();

    Json groups = select_;
    groups["cte_map"]["map"] = Json::array();
    groups["having"] = nullptr;
    groups["modifiers"] = Json::array();
    groups["aggregate_handling"] = "STANDARD_HANDLING";
    groups["group_expressions"] = groups_;
    groups["group_sets"] = Json::array();
    if (!groups_.empty()) {
      Json all = Json::array();
      for (size_t i = 0; i < groups_.size(); ++i) all.push_back(i);
      groups["group_sets"].push_back(std::move(all));
    }
    groups["select_list"] = Json::array();
    for (auto& [expr, name] : columns_) {
      groups["select_list"].push_back(std::move(expr));
      groups["select_list"].back()["alias"] = name;
    }
    return std::optional(LiftedGroups{std::move(groups), std::move(rows)});
  }

 private:
  Result<Json> OverColumns(const Json& expr) {
    if (!expr.is_structured() || !possible_) return expr;
    if (expr.is_object() && expr.contains("class")) {
      const Json plain = Plain(expr);
      const bool is_group =
          std::any_of(groups_.begin(), groups_.end(),
                      [&](const Json& group) { return Plain(group) == plain; });
      if (is_group || functions_.IsAggregate(expr)) return Column(plain);
      if (IsClass(expr, "COLUMN_REF")) return Alias(expr);
      if (IsClass(expr, "LAMBDA") || IsClass(expr, "STAR") || IsClass(expr, "SUBQUERY") ||
          IsClass(expr, "WINDOW")) {
        possible_ = false;
        return expr;
      }
    }
    Json out = expr;
    for (Json& child : out) child = WEIR_TRY(OverColumns(child));
    return out;
  }

  // HAVING may name the list's aliases.
  Result<Json> Alias(const Json& column) {
    const std::vector<std::string> names = NamesOf(column);
    for (const Json& item : select_["select_list"]) {
      if (names.size() == 1 && data::SameName(AliasOf(item), names[0]) &&
          !IsClass(item, "COLUMN_REF"))
        return OverColumns(Plain(item));
    }
    possible_ = false;
    return column;
  }

  Result<Json> Column(const Json& expr) {
    for (const auto& [known, name] : columns_) {
      if (known == expr) return ColumnRef({name});
    }
    const std::string name =
        Unused(IsClass(expr, "COLUMN_REF") ? NamesOf(expr).back()
                                           : WEIR_TRY(ast_.PrintExpr(expr)),
               taken_);
    taken_.insert(data::LowerName(name));
    columns_.emplace_back(expr, name);
    return ColumnRef({name});
  }

  const Json& select_;
  const std::vector<Json> groups_;
  Ast& ast_;
  const Functions& functions_;
  std::vector<std::pair<Json, std::string>> columns_;
  std::set<std::string> taken_;
  bool possible_ = true;
};

}  // namespace

Result<std::optional<LiftedGroups>> LiftGroups(
    const Json& select, Ast& ast, const Functions& functions,
    const std::function<bool(const std::string&)>& is_column) {
  const std::optional<LiftedGroups> none;
  if (!IsAggregated(select, functions) || select["group_sets"].size() > 1 ||
      !select["qualify"].is_null())
    return none;
  // Without LIMIT an order means nothing.
  for (const Json& modifier : select["modifiers"]) {
    if (!IsType(modifier, "ORDER_MODIFIER")) return none;
  }
  return Lifter(select, GroupExpressions(select, functions, is_column), ast, functions)
      .Lift();
}

Result<Json> SpellAliases(const Json& select, Ast& ast,
                          const std::function<bool(const std::string&)>& is_column) {
  std::map<std::string, Json> aliases;  // of the items before
  bool changed = false;
  const std::function<Json(Json)> spelled = [&](Json json) -> Json {
    if (!json.is_structured() || IsClass(json, "SUBQUERY") || IsClass(json, "LAMBDA"))
      return json;
    if (IsClass(json, "COLUMN_REF") && json["column_names"].size() == 1) {
      const std::string name = data::LowerName(NamesOf(json)[0]);
      const auto alias = aliases.find(name);
      if (alias == aliases.end() || is_column(name)) return json;
      changed = true;
      Json out = alias->second;
      out["alias"] = AliasOf(json);
      return out;
    }
    for (Json& child : json) child = spelled(std::move(child));
    return json;
  };
  Json out = select;
  for (Json& item : out["select_list"]) {
    const Json before = item;
    item = spelled(std::move(item));
    if (item != before && AliasOf(item).empty())
      item["alias"] = IsClass(before, "COLUMN_REF") ? NamesOf(before).back()
                                                    : WEIR_TRY(ast.PrintExpr(before));
    if (!AliasOf(item).empty()) aliases[data::LowerName(AliasOf(item))] = Plain(item);
  }
  out["where_clause"] = spelled(std::move(out["where_clause"]));
  return changed ? out : select;
}

}  // namespace weir::plan
