// A query over one table as one flat SELECT.
#include <fmt/format.h>

#include "data/type.h"
#include "plan/block_internal.h"

namespace weir::plan {
namespace {

using data::SameName;

// What makes a subquery more than a row by row rewriting of its input.
std::string NotRowByRow(const Json& select, const Functions& functions) {
  if (!IsType(select, "SELECT_NODE"))
    return "it combines queries with UNION, INTERSECT, EXCEPT or recursion";
  if (IsAggregated(select, functions)) return "it aggregates in a subquery";
  if (!select["qualify"].is_null()) return "it has QUALIFY in a subquery";
  for (const Json& modifier : select["modifiers"]) {
    if (!IsType(modifier, "ORDER_MODIFIER"))
      return "it has DISTINCT or LIMIT in a subquery";
  }
  std::string why;
  Visit(select["select_list"], [&](const Json& json) {
    if (IsClass(json, "WINDOW")) why = "it has a window function in a subquery";
    if (IsCall(json) && CallName(json) == "unnest") why = "it unnests in a subquery";
    return why.empty();
  });
  return why;
}

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

}  // namespace

// What the names in an expression may mean, besides columns.
struct Flattener::Names {
  const Block::Scope& scope;
  const std::vector<Item>& aliases;
  bool aliases_first = false;
  std::vector<std::string> parameters;  // of the lambdas around it
};

const Item* Block::Scope::Find(std::string_view name) const {
  for (const Item& column : columns) {
    if (SameName(column.name, name)) return &column;
  }
  return nullptr;
}

Result<Block> Flattener::Flatten(const Json& query, Json ctes) {
  if (!IsType(query, "SELECT_NODE"))
    return Invalid("it combines queries with UNION, INTERSECT, EXCEPT or recursion");
  for (const Json& entry : query["cte_map"]["map"]) ctes.push_back(entry);
  Block block;
  block.select = query;
  if (!query["sample"].is_null()) return Invalid("it takes a sample");
  WEIR_TRY(Source(query["from_table"], ctes, &block));
  WEIR_TRY(AddItems(&block));
  if (!query["where_clause"].is_null()) {
    block.where =
        And(std::move(block.where), WEIR_TRY(Resolve(query["where_clause"], block)));
  }
  return block;
}

Result<Json> Flattener::Resolve(const Json& expr, const Block& block,
                                bool aliases_first) {
  Json out = WEIR_TRY(ResolveIn(expr, {block.scope, block.items, aliases_first, {}}));
  out["alias"] = "";
  return out;
}

Status Flattener::Source(const Json& ref, const Json& ctes, Block* out) {
  if (IsType(ref, "JOIN")) return Invalid("it joins tables");
  if (!ref.value("sample", Json()).is_null()) return Invalid("it takes a sample");
  const std::string alias = AliasOf(ref);
  const Json column_names = ref.value("column_name_alias", Json::array());
  if (IsType(ref, "SUBQUERY"))
    return SubquerySource(ref["subquery"]["node"], ctes, alias, column_names, out);
  if (!IsType(ref, "BASE_TABLE")) return Invalid("it does not read a table");
  const std::string table_name = ref["table_name"];
  if (ref["schema_name"] == "") {
    for (size_t i = ctes.size(); i-- > 0;) {
      if (!SameName(ctes[i]["key"].get<std::string>(), table_name)) continue;
      if (!ctes[i]["value"]["aliases"].empty())
        return Invalid("its WITH query renames columns");
      const Json before(
          std::vector<Json>(ctes.begin(), ctes.begin() + static_cast<std::ptrdiff_t>(i)));
      return SubquerySource(ctes[i]["value"]["query"]["node"], before,
                            alias.empty() ? table_name : alias, column_names, out);
    }
  }
  out->input = tables_.Find(ref);
  if (out->input == nullptr) return Invalid("it does not read a table");
  if (!column_names.empty()) return Invalid("it renames the table's columns after AS");
  for (const data::Field& field : out->input->schema.fields)
    out->scope.columns.push_back({field.name, ColumnRef({field.name})});
  if (alias.empty()) {
    out->scope.qualifiers = {{ref["schema_name"], table_name}, {table_name}};
  } else {
    out->scope.qualifiers = {{alias}};
  }
  return {};
}

Status Flattener::SubquerySource(const Json& query, const Json& ctes,
                                 const std::string& alias, const Json& column_names,
                                 Block* out) {
  const std::string why = NotRowByRow(query, functions_);
  if (!why.empty()) return Invalid(why);
  Block inner = WEIR_TRY(Flatten(query, ctes));
  out->input = inner.input;
  out->where = std::move(inner.where);
  out->scope.columns = std::move(inner.items);
  for (size_t i = 0; i < std::min(column_names.size(), out->scope.columns.size()); ++i)
    out->scope.columns[i].name = column_names[i];
  if (!alias.empty()) out->scope.qualifiers = {{alias}};
  return {};
}

// The select list, stars spelled out. A window or aggregate stays inside its item, its
// arguments resolved.
Status Flattener::AddItems(Block* out) {
  for (const Json& item : out->select["select_list"]) {
    if (IsClass(item, "STAR")) {
      std::vector<Item> columns = WEIR_TRY(ExpandStar(item, *out));
      out->items.insert(out->items.end(), columns.begin(), columns.end());
      continue;
    }
    std::string name = AliasOf(item);
    if (name.empty())
      name = IsClass(item, "COLUMN_REF") ? NamesOf(item).back()
                                         : WEIR_TRY(ast_.PrintExpr(item));
    Json expr = WEIR_TRY(Resolve(item, *out));
    Visit(expr, [&](const Json& json) {
      out->has_unnest |= IsCall(json) && CallName(json) == "unnest";
      return true;
    });
    out->items.push_back({std::move(name), std::move(expr)});
  }
  return {};
}

Result<std::vector<Item>> Flattener::ExpandStar(const Json& star, const Block& block) {
  const auto has = [&](const char* part) {
    return star.contains(part) && !star[part].empty();
  };
  if (star.value("columns", false) || has("expr") || has("replace_list") ||
      has("rename_list") || has("qualified_exclude_list")) {
    return Invalid("it uses COLUMNS(…), REPLACE or RENAME");
  }
  std::vector<Item> columns;
  for (const Item& column : block.scope.columns) {
    const bool excluded = std::any_of(
        star["exclude_list"].begin(), star["exclude_list"].end(), [&](const Json& name) {
          return name.is_string() && SameName(name.get<std::string>(), column.name);
        });
    if (!excluded) columns.push_back(column);
  }
  return columns;
}

Result<Json> Flattener::ResolveIn(const Json& expr, const Names& names) {
  if (IsClass(expr, "COLUMN_REF")) return ResolveColumn(expr, names);
  if (IsClass(expr, "SUBQUERY")) return Invalid("it has a subquery in an expression");
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

Status Flattener::ResolveChildren(Json& json, const Names& names) {
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

Result<Json> Flattener::ResolveColumn(const Json& column, const Names& names) {
  const std::vector<std::string> parts = NamesOf(column);
  for (const std::string& parameter : names.parameters) {
    if (SameName(parameter, parts[0])) return Plain(column);
  }
  const auto alias = [&]() -> const Item* {
    for (const Item& item : names.aliases) {
      if (SameName(item.name, parts[0])) return &item;
    }
    return nullptr;
  };
  if (names.aliases_first && parts.size() == 1) {
    if (const Item* item = alias()) return item->expr;
  }
  for (const auto& qualifier : names.scope.qualifiers) {
    if (parts.size() <= qualifier.size()) continue;
    const bool same =
        std::equal(qualifier.begin(), qualifier.end(), parts.begin(),
                   [](const auto& a, const auto& b) { return SameName(a, b); });
    if (!same) continue;
    if (const Item* found = names.scope.Find(parts[qualifier.size()]))
      return WithFields(found->expr, parts, qualifier.size() + 1);
  }
  if (const Item* found = names.scope.Find(parts[0]))
    return WithFields(found->expr, parts, 1);
  if (const Item* item = alias()) return WithFields(item->expr, parts, 1);
  return Invalid(
      fmt::format("the name {} is not a column of the table it reads", parts[0]));
}

}  // namespace weir::plan
