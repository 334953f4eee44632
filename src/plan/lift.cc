// Expressions that are not of the rows SELECT reads, written so that they are: what names
// aliases of its own list, and what is computed of groups and of windows.
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

// The columns of the inner SELECT, and expressions over them.
class Lifter {
 public:
  // `groups`: nullopt when the SELECT makes none.
  Lifter(const Json& select, std::optional<std::vector<Json>> groups, bool windows,
         const FromColumns& from, Ast& ast, const Functions& functions)
      : select_(select),
        groups_(std::move(groups)),
        windows_(windows),
        from_(from),
        ast_(ast),
        functions_(functions) {}

  Result<std::optional<LiftedSelect>> Lift() {
    Json rows = WEIR_TRY(ast_.Parse("SELECT 1 FROM (SELECT 1) AS weir_inner"));
    rows["cte_map"] = select_["cte_map"];
    rows["select_list"] = Json::array();
    for (const Json& item : select_["select_list"]) {
      if (IsClass(item, "STAR")) {
        WEIR_TRY(Star(item, &rows["select_list"]));
        continue;
      }
      Json lifted = WEIR_TRY(OverColumns(item));
      lifted["alias"] = !AliasOf(item).empty()        ? AliasOf(item)
                        : IsClass(item, "COLUMN_REF") ? NamesOf(item).back()
                                                      : WEIR_TRY(ast_.PrintExpr(item));
      rows["select_list"].push_back(std::move(lifted));
    }
    const char* condition = windows_ ? "qualify" : "having";
    if (select_[condition].is_object())
      rows["where_clause"] = WEIR_TRY(OverColumns(select_[condition]));
    WEIR_TRY(Modifiers(&rows));
    if (!possible_) return std::optional<LiftedSelect>();

    Json inner = select_;
    inner["cte_map"]["map"] = Json::array();
    inner[condition] = nullptr;
    inner["modifiers"] = Json::array();
    if (groups_) Group(&inner);
    inner["select_list"] = Json::array();
    for (auto& [expr, name] : columns_) {
      inner["select_list"].push_back(std::move(expr));
      inner["select_list"].back()["alias"] = name;
    }
    return std::optional(LiftedSelect{std::move(inner), std::move(rows)});
  }

 private:
  Result<Json> OverColumns(const Json& expr) {
    if (!expr.is_structured() || !possible_) return expr;
    if (expr.is_object() && expr.contains("class")) {
      const Json plain = Plain(expr);
      const bool is_window = IsClass(expr, "WINDOW");
      if ((is_window && windows_) || IsGroup(plain) || IsOfGroups(expr))
        return Column(plain);
      if (IsClass(expr, "COLUMN_REF")) return ColumnOrAlias(expr);
      if (is_window || IsClass(expr, "LAMBDA") || IsClass(expr, "STAR") ||
          IsClass(expr, "SUBQUERY")) {
        possible_ = false;
        return expr;
      }
    }
    Json out = expr;
    for (Json& child : out) child = WEIR_TRY(OverColumns(child));
    return out;
  }

  bool IsGroup(const Json& plain) const {
    return groups_ &&
           std::any_of(groups_->begin(), groups_->end(),
                       [&](const Json& group) { return Plain(group) == plain; });
  }

  bool IsOfGroups(const Json& expr) const {
    return groups_ && (functions_.IsAggregate(expr) || IsType(expr, "GROUPING_FUNCTION"));
  }

  // A name in QUALIFY or HAVING may be an alias of the list; where there are groups it
  // must be. One that could be either is left to DuckDB.
  Result<Json> ColumnOrAlias(const Json& column) {
    const std::vector<std::string> names = NamesOf(column);
    for (const Json& item : select_["select_list"]) {
      if (names.size() != 1 || !data::SameName(AliasOf(item), names[0]) ||
          IsClass(item, "COLUMN_REF"))
        continue;
      if (!groups_ && from_.has(names[0])) break;
      return OverColumns(Plain(item));
    }
    if (!groups_) return Column(Plain(column));
    possible_ = false;
    return column;
  }

  // `*` alone, as the columns that it is.
  Status Star(const Json& item, Json* list) {
    const auto is_set = [&](const char* part) {
      return item.contains(part) && !item[part].empty() && item[part] != "";
    };
    std::set<std::string> names;
    for (const char* part : {"relation_name", "exclude_list", "replace_list",
                             "qualified_exclude_list", "rename_list", "expr"})
      possible_ = possible_ && !is_set(part);
    possible_ = possible_ && !groups_ && item.value("columns", false) == false;
    if (!possible_) return {};
    for (const std::string& name : from_.all()) {
      possible_ = possible_ && names.insert(data::LowerName(name)).second;
      list->push_back(WEIR_TRY(Column(ColumnRef({name}))));
    }
    possible_ = possible_ && !names.empty();
    return {};
  }

  // DISTINCT and LIMIT are of the rows that are left; without LIMIT an order means
  // nothing.
  Status Modifiers(Json* rows) {
    const Json& modifiers = select_["modifiers"];
    const bool ordered =
        std::any_of(modifiers.begin(), modifiers.end(), [](const Json& modifier) {
          return !IsType(modifier, "ORDER_MODIFIER") &&
                 !IsType(modifier, "DISTINCT_MODIFIER");
        });
    rows->at("modifiers") = Json::array();
    for (const Json& modifier : modifiers) {
      if (IsType(modifier, "ORDER_MODIFIER") && !ordered) continue;
      Json lifted = modifier;
      if (lifted.contains("orders")) {
        for (Json& order : lifted["orders"]) WEIR_TRY(Sorted(&order["expression"]));
      }
      if (lifted.contains("distinct_on_targets")) {
        for (Json& target : lifted["distinct_on_targets"]) WEIR_TRY(Sorted(&target));
      }
      rows->at("modifiers").push_back(std::move(lifted));
    }
    return {};
  }

  // ORDER BY and DISTINCT ON name what the list calls so before they name columns.
  Status Sorted(Json* expr) {
    if (IsClass(*expr, "STAR")) return {};  // ORDER BY ALL
    if (IsClass(*expr, "COLUMN_REF") && NamesOf(*expr).size() == 1) {
      for (const Json& item : select_["select_list"]) {
        if (data::SameName(AliasOf(item), NamesOf(*expr)[0])) return {};
      }
    }
    *expr = WEIR_TRY(OverColumns(*expr));
    return {};
  }

  void Group(Json* inner) const {
    (*inner)["aggregate_handling"] = "STANDARD_HANDLING";
    (*inner)["group_expressions"] = *groups_;
    if ((*inner)["group_sets"].size() > 1) return;  // they count the same expressions
    (*inner)["group_sets"] = Json::array();
    if (groups_->empty()) return;
    Json all = Json::array();
    for (size_t i = 0; i < groups_->size(); ++i) all.push_back(i);
    (*inner)["group_sets"].push_back(std::move(all));
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
  const std::optional<std::vector<Json>> groups_;
  const bool windows_;
  const FromColumns& from_;
  Ast& ast_;
  const Functions& functions_;
  std::vector<std::pair<Json, std::string>> columns_;
  std::set<std::string> taken_;
  bool possible_ = true;
};

}  // namespace

Result<std::optional<LiftedSelect>> LiftGroups(const Json& select,
                                               const FromColumns& from, Ast& ast,
                                               const Functions& functions) {
  if (!IsAggregated(select, functions) || !select["qualify"].is_null())
    return std::optional<LiftedSelect>();
  return Lifter(select, GroupExpressions(select, functions, from.has), false, from, ast,
                functions)
      .Lift();
}

Result<std::optional<LiftedSelect>> LiftWindows(const Json& select,
                                                const FromColumns& from, Ast& ast,
                                                const Functions& functions) {
  std::optional<std::vector<Json>> groups;
  if (IsAggregated(select, functions))
    groups = GroupExpressions(select, functions, from.has);
  return Lifter(select, std::move(groups), true, from, ast, functions).Lift();
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
