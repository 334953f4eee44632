#include "data/type.h"
#include "plan/ast_internal.h"

namespace weir::plan {

Result<Json> Ast::Parse(std::string_view select) {
  const std::string text = WEIR_TRY(session_.ParseToJson(select));
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("statements"))
    return Internal("DuckDB's parse tree has no statements");
  if (json["statements"].size() != 1) return Invalid("one query is expected here");
  return std::move(json["statements"][0]["node"]);
}

Result<std::string> Ast::Print(const Json& query) {
  const Json json = {
      {"error", false},
      {"statements", {{{"node", query}, {"named_param_map", Json::array()}}}}};
  return session_.JsonToSql(json.dump());
}

Result<Json> Ast::ParseExpr(std::string_view text) {
  Json query = WEIR_TRY(Parse("SELECT " + std::string(text)));
  return std::move(query["select_list"][0]);
}

Result<std::string> Ast::PrintExpr(const Json& expr) {
  constexpr std::string_view kSelect = "SELECT ";
  if (select_.is_null()) select_ = WEIR_TRY(Parse("SELECT 1"));
  select_["select_list"][0] = expr;
  select_["select_list"][0]["alias"] = "";
  const std::string text = WEIR_TRY(Print(select_));
  return text.substr(std::min(text.size(), kSelect.size()));
}

bool IsExpr(const Json& json) { return json.is_object() && json.contains("class"); }
bool IsClass(const Json& json, std::string_view expr_class) {
  return IsExpr(json) && json["class"] == expr_class;
}
bool IsType(const Json& json, std::string_view type) {
  return json.is_object() && json.contains("type") && json["type"] == type;
}
bool IsCall(const Json& json) { return IsClass(json, "FUNCTION"); }
std::string CallName(const Json& call) {
  return data::LowerName(call["function_name"].get<std::string>());
}

std::optional<size_t> LocationOf(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto found = json.find("query_location");
  if (found == json.end() || !found->is_number_unsigned() ||
      found->get<uint64_t>() > UINT32_MAX)
    return std::nullopt;
  return found->get<size_t>();
}

std::string AliasOf(const Json& json) {
  return json.is_object() ? json.value("alias", "") : "";
}
std::vector<std::string> NamesOf(const Json& column_ref) {
  return column_ref["column_names"].get<std::vector<std::string>>();
}

Json ColumnRef(std::vector<std::string> names) {
  return {{"class", "COLUMN_REF"},
          {"type", "COLUMN_REF"},
          {"alias", ""},
          {"column_names", std::move(names)}};
}

Json Call(std::string_view name, std::vector<Json> arguments) {
  return {{"class", "FUNCTION"},
          {"type", "FUNCTION"},
          {"alias", ""},
          {"function_name", name},
          {"schema", ""},
          {"children", std::move(arguments)},
          {"filter", nullptr},
          {"order_bys", {{"type", "ORDER_MODIFIER"}, {"orders", Json::array()}}},
          {"distinct", false},
          {"is_operator", false},
          {"export_state", false},
          {"catalog", ""}};
}

namespace {
Json Operator(std::string_view type, Json child) {
  return {{"class", "OPERATOR"},
          {"type", type},
          {"alias", ""},
          {"children", {std::move(child)}}};
}

Json Conjunction(std::string_view type, Json a, Json b) {
  return {{"class", "CONJUNCTION"},
          {"type", type},
          {"alias", ""},
          {"children", {std::move(a), std::move(b)}}};
}
}  // namespace

Json IsNull(Json expr) { return Operator("OPERATOR_IS_NULL", std::move(expr)); }
Json IsNotNull(Json expr) { return Operator("OPERATOR_IS_NOT_NULL", std::move(expr)); }

Json Not(Json expr) { return Operator("OPERATOR_NOT", std::move(expr)); }
Json Try(Json expr) { return Operator("OPERATOR_TRY", std::move(expr)); }

Json And(Json a, Json b) {
  if (a.is_null()) return b;
  if (b.is_null()) return a;
  return Conjunction("CONJUNCTION_AND", std::move(a), std::move(b));
}
Json Or(Json a, Json b) {
  return Conjunction("CONJUNCTION_OR", std::move(a), std::move(b));
}

Json OrderTerm(Json expr) {
  return {{"type", "ASCENDING"},
          {"null_order", "NULLS LAST"},
          {"expression", std::move(expr)}};
}

namespace {
Json Constant(std::string_view type, Json value) {
  return {{"class", "CONSTANT"},
          {"type", "VALUE_CONSTANT"},
          {"alias", ""},
          {"value",
           {{"type", {{"id", type}, {"type_info", nullptr}}},
            {"is_null", false},
            {"value", std::move(value)}}}};
}
}  // namespace

Json IntegerConstant(int64_t value) { return Constant("INTEGER", value); }
Json BoolConstant(bool value) { return Constant("BOOLEAN", value); }

std::optional<int64_t> AsInteger(const Json& expr) {
  if (!IsClass(expr, "CONSTANT")) return std::nullopt;
  const Json& value = expr["value"];
  if (value.value("is_null", true) || !value["value"].is_number_integer())
    return std::nullopt;
  return value["value"].get<int64_t>();
}

Json Plain(Json expr) {
  Visit(expr, [](Json& json) {
    json.erase("query_location");
    return true;
  });
  if (expr.is_object() && expr.contains("alias")) expr["alias"] = "";
  return expr;
}

void Visit(Json& json, const std::function<bool(Json&)>& visit) {
  if (json.is_object() && !visit(json)) return;
  if (!json.is_structured()) return;
  for (Json& child : json) Visit(child, visit);
}

void Visit(const Json& json, const std::function<bool(const Json&)>& visit) {
  if (json.is_object() && !visit(json)) return;
  if (!json.is_structured()) return;
  for (const Json& child : json) Visit(child, visit);
}

bool HasColumn(const Json& expr) {
  bool has = false;
  Visit(expr, [&](const Json& json) {
    has |= IsClass(json, "COLUMN_REF");
    return !has;
  });
  return has;
}

}  // namespace weir::plan
