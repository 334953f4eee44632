// What a name in an expression means: a column of one of the SELECT's tables, an alias of
// its list, a field of a struct, the parameter of a lambda.
#include <fmt/format.h>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {

using data::SameName;

// Functions whose "x -> …" argument is a function of x, not JSON access.
bool TakesLambda(const std::string& name) {
  return name.starts_with("list_") || name.starts_with("array_") || name == "apply" ||
         name == "filter" || name == "reduce";
}

std::vector<std::string> LambdaParameters(const Json& lambda) {
  std::vector<std::string> names;
  Visit(lambda["lhs"], [&](const Json& json) {
    if (IsClass(json, "COLUMN_REF")) names.push_back(NamesOf(json)[0]);
    return true;
  });
  return names;
}

Json WithFields(Json expr, const std::vector<std::string>& names, size_t from) {
  if (from >= names.size()) return expr;
  if (IsClass(expr, "COLUMN_REF")) {
    for (; from < names.size(); ++from) expr["column_names"].push_back(names[from]);
    return expr;
  }
  for (; from < names.size(); ++from) {
    Json field = {{"class", "CONSTANT"},
                  {"type", "VALUE_CONSTANT"},
                  {"alias", ""},
                  {"value",
                   {{"type", {{"id", "VARCHAR"}, {"type_info", nullptr}}},
                    {"is_null", false},
                    {"value", names[from]}}}};
    expr = Call("struct_extract", {std::move(expr), std::move(field)});
  }
  return expr;
}

const Item* FindItem(const std::vector<Item>& items, std::string_view name) {
  for (const Item& item : items) {
    if (SameName(item.name, name)) return &item;
  }
  return nullptr;
}

}  // namespace

struct QueryPlanner::Names {
  const Source& source;
  const std::vector<Item>* aliases;  // null: none
  bool aliases_first = false;
  std::vector<std::string> parameters;  // of the lambdas around it
};

bool IsColumn(const Json& expr) {
  return IsClass(expr, "COLUMN_REF") && expr["column_names"].size() == 1;
}

bool HasSubquery(const Json& expr) {
  bool has = false;
  Visit(expr, [&](const Json& json) {
    has |= IsClass(json, "SUBQUERY");
    return !has;
  });
  return has;
}

bool HasWindow(const Json& expr) {
  bool has = false;
  Visit(expr, [&](const Json& json) {
    has |= IsClass(json, "WINDOW");
    return !has;
  });
  return has;
}

void SplitAnd(const Json& condition, std::vector<Json>* conjuncts) {
  if (!condition.is_object()) return;
  if (!IsType(condition, "CONJUNCTION_AND")) return conjuncts->push_back(condition);
  for (const Json& part : condition["children"]) SplitAnd(part, conjuncts);
}

Json Substitute(Json expr, const std::map<std::string, Json>& columns) {
  if (IsClass(expr, "COLUMN_REF")) {
    const std::vector<std::string> names = NamesOf(expr);
    const auto found = columns.find(names[0]);
    return found == columns.end() ? expr : WithFields(found->second, names, 1);
  }
  if (!expr.is_structured()) return expr;
  for (Json& child : expr) {
    const std::string alias = AliasOf(child);
    child = Substitute(std::move(child), columns);
    if (IsExpr(child)) child["alias"] = alias;
  }
  return expr;
}

QueryPlanner::Inside::Inside(QueryPlanner& planner, const Json& select)
    : planner_(planner) {
  std::set<std::string> aliases;
  const std::function<void(const Json&)> collect = [&](const Json& ref) {
    if (IsType(ref, "JOIN")) {
      collect(ref["left"]);
      return collect(ref["right"]);
    }
    if (!ref.is_object()) return;
    const std::string alias = AliasOf(ref);
    if (!alias.empty()) {
      aliases.insert(data::LowerName(alias));
    } else if (IsType(ref, "BASE_TABLE")) {
      aliases.insert(data::LowerName(ref["table_name"].get<std::string>()));
    }
  };
  collect(select["from_table"]);
  planner_.aliases_.push_back(std::move(aliases));
  // The names it uses anywhere, so that joins keep no other columns.
  std::set<std::string> names;
  bool all = false;
  Visit(select, [&](const Json& json) {
    if (IsClass(json, "STAR")) all = true;
    if (IsClass(json, "COLUMN_REF")) {
      for (const std::string& name : NamesOf(json)) names.insert(data::LowerName(name));
    }
    if (IsType(json, "JOIN")) {
      all |= json.value("ref_type", "") == "NATURAL";
      for (const Json& name : json["using_columns"])
        names.insert(data::LowerName(name.get<std::string>()));
    }
    return true;
  });
  planner_.used_.push_back(all ? std::nullopt : std::optional(std::move(names)));
}

QueryPlanner::Inside::~Inside() {
  planner_.aliases_.pop_back();
  planner_.used_.pop_back();
}

bool QueryPlanner::IsUsed(std::string_view name) const {
  // What an outer SELECT names it can only name through this one, except for correlated
  // subqueries, whose names are inside of it.
  return used_.empty() || !used_.back() ||
         used_.back()->contains(data::LowerName(std::string(name)));
}

Result<Json> QueryPlanner::Resolve(const Json& expr, const Source& source,
                                   const std::vector<Item>* aliases, bool aliases_first) {
  Json out = WEIR_TRY(ResolveIn(expr, {source, aliases, aliases_first, {}}));
  if (out.is_object()) out["alias"] = "";
  return out;
}

Result<Json> QueryPlanner::ResolveIn(const Json& expr, const Names& names) {
  if (IsClass(expr, "COLUMN_REF")) return ResolveColumn(expr, names);
  if (IsClass(expr, "SUBQUERY")) return Invalid("it has a subquery in this place");
  if (IsCall(expr) && CallName(expr) == "watermark")
    return Invalid("it uses watermark() in other places than conditions of WHERE");
  if (IsClass(expr, "STAR")) return Invalid("it uses * inside an expression");
  if (IsClass(expr, "POSITIONAL_REFERENCE"))
    return Invalid("it refers to columns by #number");
  Names inside = names;
  if (IsCall(expr) && TakesLambda(CallName(expr))) {
    for (const Json& argument : expr["children"]) {
      if (!IsClass(argument, "LAMBDA")) continue;
      for (std::string& name : LambdaParameters(argument))
        inside.parameters.push_back(std::move(name));
    }
  }
  Json out = expr;
  out.erase("query_location");
  WEIR_TRY(ResolveChildren(out, inside));
  return out;
}

Status QueryPlanner::ResolveChildren(Json& json, const Names& names) {
  for (Json& child : json) {
    if (IsExpr(child)) {
      const std::string alias = AliasOf(child);  // struct_pack names its fields so
      child = WEIR_TRY(ResolveIn(child, names));
      child["alias"] = alias;
    } else if (child.is_structured()) {
      WEIR_TRY(ResolveChildren(child, names));
    }
  }
  return {};
}

Result<Json> QueryPlanner::ResolveColumn(const Json& column, const Names& names) {
  const std::vector<std::string> parts = NamesOf(column);
  for (const std::string& parameter : names.parameters) {
    if (SameName(parameter, parts[0])) return Plain(column);
  }
  if (names.aliases_first && parts.size() == 1 && names.aliases != nullptr) {
    if (const Item* item = FindItem(*names.aliases, parts[0])) return item->expr;
  }
  for (const ScopeTable& table : names.source.tables) {
    for (const auto& qualifier : table.qualifiers) {
      if (parts.size() <= qualifier.size()) continue;
      const bool same =
          std::equal(qualifier.begin(), qualifier.end(), parts.begin(),
                     [](const auto& a, const auto& b) { return SameName(a, b); });
      if (!same) continue;
      if (const Item* found = FindItem(table.columns, parts[qualifier.size()]))
        return WithFields(found->expr, parts, qualifier.size() + 1);
    }
  }
  if (pending_.contains(parts[0])) return Plain(column);
  // A table of this or an outer SELECT that is not among these.
  const bool is_table =
      parts.size() > 1 &&
      std::any_of(aliases_.begin(), aliases_.end(), [&](const auto& aliases) {
        return aliases.contains(data::LowerName(parts[0]));
      });
  if (!is_table) {
    if (const Item* found = FindItem(names.source.merged, parts[0]))
      return WithFields(found->expr, parts, 1);
    for (const ScopeTable& table : names.source.tables) {
      if (const Item* found = FindItem(table.columns, parts[0]))
        return WithFields(found->expr, parts, 1);
    }
    if (names.aliases != nullptr) {
      if (const Item* item = FindItem(*names.aliases, parts[0]))
        return WithFields(item->expr, parts, 1);
    }
  }
  return Invalid(
      fmt::format("the name {} is not a column of the tables it reads", parts[0]));
}

Result<std::vector<Item>> QueryPlanner::ExpandStar(const Json& star,
                                                   const Source& source) {
  const auto has = [&](const char* part) {
    return star.contains(part) && !star[part].empty();
  };
  if (star.value("columns", false) || has("expr") || has("rename_list") ||
      has("qualified_exclude_list"))
    return Invalid("it uses COLUMNS(…) or RENAME");
  const std::string relation = star.value("relation_name", "");
  std::vector<Item> columns;
  bool found_relation = relation.empty();
  std::set<std::string> merged;
  for (const ScopeTable& table : source.tables) {
    if (table.ours) continue;
    const bool named =
        std::any_of(table.qualifiers.begin(), table.qualifiers.end(),
                    [&](const auto& q) { return SameName(q.back(), relation); });
    if (!relation.empty() && !named) continue;
    found_relation = true;
    for (Item column : table.columns) {
      const bool excluded =
          has("exclude_list") &&
          std::any_of(star["exclude_list"].begin(), star["exclude_list"].end(),
                      [&](const Json& name) {
                        return name.is_string() &&
                               SameName(name.get<std::string>(), column.name);
                      });
      if (excluded) continue;
      if (relation.empty()) {
        if (const Item* shared = FindItem(source.merged, column.name)) {
          if (!merged.insert(data::LowerName(column.name)).second) continue;
          column.expr = shared->expr;
        }
      }
      if (has("replace_list")) {
        for (const Json& entry : star["replace_list"]) {
          if (SameName(entry["key"].get<std::string>(), column.name))
            column.expr = WEIR_TRY(Resolve(entry["value"], source));
        }
      }
      columns.push_back(std::move(column));
    }
  }
  if (!found_relation) return Invalid("it names a table that it does not read");
  return columns;
}

}  // namespace weir::plan
