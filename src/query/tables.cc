#include <set>

#include "query/tables_internal.h"

namespace weir::query {
namespace {

std::string Text(const Json& node, const char* key) {
  const auto at = node.find(key);
  return at != node.end() && at->is_string() ? at->get<std::string>() : "";
}

bool IsType(const Json& node, const char* type) {
  return node.is_object() && Text(node, "type") == type;
}

// A constant under casts.
const Json* Constant(const Json& node) {
  if (!node.is_object()) return nullptr;
  if (Text(node, "type") == "VALUE_CONSTANT") return &node.at("value");
  if (Text(node, "type") == "OPERATOR_CAST") return Constant(node.at("child"));
  return nullptr;
}

Result<AsOf> AsOfClause(const Json& clause) {
  const Json* value = Constant(clause.at("expr"));
  if (value != nullptr && value->contains("value")) {
    const Json& constant = value->at("value");
    const std::string text =
        constant.is_string() ? constant.get<std::string>() : constant.dump();
    return data::SameName(Text(clause, "unit"), "version") ? ParseAsOf(text)
                                                           : ParseAsOfTime(text);
  }
  return Invalid(
      "AS OF wants a constant: AS OF TIMESTAMP '2018-01-11 18:24:44', AS OF VERSION 17 "
      "or AS OF TAG 'name'");
}

Status Find(Json& node, std::set<std::string> ctes, std::vector<TableMention>* out) {
  if (node.is_array()) {
    for (Json& child : node) WEIR_TRY(Find(child, ctes, out));
    return {};
  }
  if (!node.is_object()) return {};
  if (const auto map = node.find("cte_map"); map != node.end() && map->is_object()) {
    for (const Json& entry : map->value("map", Json::array()))
      ctes.insert(data::LowerName(Text(entry, "key")));
  }
  if (IsType(node, "BASE_TABLE")) {
    TableMention mention{&node, Text(node, "catalog_name"), Text(node, "schema_name"),
                         Text(node, "table_name"), std::nullopt};
    if (mention.schema.empty() && ctes.contains(data::LowerName(mention.table)))
      return {};
    if (const auto at = node.find("at_clause"); at != node.end() && at->is_object())
      mention.as_of = WEIR_TRY(AsOfClause(*at));
    out->push_back(std::move(mention));
  }
  for (auto& [key, child] : node.items()) WEIR_TRY(Find(child, ctes, out));
  return {};
}

}  // namespace

Result<std::vector<TableMention>> FindTables(Json& tree) {
  std::vector<TableMention> out;
  WEIR_TRY(Find(tree, {}, &out));
  return out;
}

bool HasHiddenTables(const Json& tree) {
  if (IsType(tree, "SHOW_REF")) return true;
  if (!tree.is_structured()) return false;
  for (const auto& child : tree) {
    if (HasHiddenTables(child)) return true;
  }
  return false;
}

}  // namespace weir::query
