#include "plan/names_internal.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include "data/type.h"

namespace weir::plan {
namespace {

using Scope = std::set<std::string>;

void VisitTablesIn(Json& json, Scope scope, const std::function<void(Json&)>& visit) {
  if (!json.is_structured()) return;
  if (json.is_object()) {
    if (IsType(json, "BASE_TABLE") && !IsExpr(json)) {
      // What a recursive query has so far is recurring.name to it.
      const bool is_cte =
          (json["schema_name"] == "" || json["schema_name"] == "recurring") &&
          scope.contains(data::LowerName(json["table_name"].get<std::string>()));
      if (!is_cte) visit(json);
      return;
    }
    if (json.contains("cte_map")) {
      for (const Json& entry : json["cte_map"]["map"])
        scope.insert(data::LowerName(entry["key"].get<std::string>()));
    }
  }
  for (Json& child : json) VisitTablesIn(child, scope, visit);
}

// What to write instead of a function whose value is not determined by the rows.
std::string Instead(const std::string& name) {
  static const std::map<std::string, std::string> kInstead = {
      {"approx_count_distinct", "count(DISTINCT …) is exact"},
      {"approx_quantile", "quantile_cont(…) is exact"},
      {"reservoir_quantile", "quantile_cont(…) is exact"},
      {"random", "take the row's hash: hash(key) / 18446744073709551615"},
      {"json_group_array", "to_json(list(x ORDER BY …))"},
      {"json_group_object", "to_json(map(list(k ORDER BY k), list(v ORDER BY k)))"},
      {"arg_min_nulls_last", "arg_min(…)"},
      {"arg_max_nulls_last", "arg_max(…)"}};
  const auto found = kInstead.find(name);
  const std::string or_say = "or say NONDETERMINISTIC before AS";
  if (found != kInstead.end()) return found->second + ", " + or_say;
  if (name.starts_with("uuid") || name == "gen_random_uuid")
    return "take md5(key)::UUID, " + or_say;
  return "compare with a time column of the rows, " + or_say;
}

constexpr std::string_view kClockNames[] = {
    "current_timestamp", "current_date",      "current_time",          "localtime",
    "localtimestamp",    "current_localtime", "current_localtimestamp"};

std::optional<Fault> Undetermined(const Json& json, const Functions& functions) {
  const auto fault = [&](std::string message, std::string fix) {
    return Fault{LocationOf(json), std::move(message), std::move(fix)};
  };
  if (IsCall(json)) {
    const std::string name = CallName(json);
    if (name.starts_with("approx_") || name == "reservoir_quantile") {
      return fault(name + "() is approximate: its value depends on the order of the rows",
                   Instead(name));
    }
    if (name.starts_with("json_group_") || name.ends_with("_nulls_last")) {
      return fault(
          name + "() depends on the order of the rows, which cannot be completed",
          Instead(name));
    }
    if (functions.changing.contains(name) ||
        (name == "age" && json["children"].size() == 1)) {
      return fault(name +
                       "() gives another value at another time, so the table could not "
                       "stay equal to its query",
                   Instead(name));
    }
  }
  if (IsClass(json, "COLUMN_REF") && json["column_names"].size() == 1) {
    const std::string name = data::LowerName(NamesOf(json)[0]);
    if (std::find(std::begin(kClockNames), std::end(kClockNames), name) !=
        std::end(kClockNames)) {
      return fault(name +
                       " gives another value at another time, so the table could not "
                       "stay equal to its query",
                   Instead(name));
    }
  }
  if (json.contains("sample") && !json["sample"].is_null()) {
    return fault("a sample takes other rows each time",
                 "filter by hash(key) % 100 < 10, or say NONDETERMINISTIC before AS");
  }
  if (IsType(json, "JOIN") && json.value("ref_type", "") == "POSITIONAL") {
    return fault("POSITIONAL JOIN depends on the order of the rows",
                 "join on a key, or say NONDETERMINISTIC before AS");
  }
  return std::nullopt;
}

Result<std::set<std::string>> NameSet(duck::Session& session, std::string_view sql) {
  std::set<std::string> names;
  for (const auto& batch : WEIR_TRY(session.Query(sql, nullptr))) {
    const auto& column = static_cast<const arrow::StringArray&>(*batch->column(0));
    for (int64_t i = 0; i < column.length(); ++i) names.emplace(column.GetView(i));
  }
  return names;
}

std::string FirstLine(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string WithoutPosition(std::string text) {
  return text.substr(0, text.find(" (at character "));
}

}  // namespace

std::string TableName(const Json& base_table) {
  std::string name;
  for (const char* part : {"catalog_name", "schema_name", "table_name"}) {
    const std::string text = base_table.value(part, "");
    if (!text.empty()) name += (name.empty() ? "" : ".") + data::LowerName(text);
  }
  return name;
}

const InputTable* Tables::Find(const Json& base_table) const {
  const auto found = tables.find(TableName(base_table));
  return found == tables.end() ? nullptr : &found->second;
}

Result<Functions> Functions::Load(duck::Session& session) {
  Functions functions;
  functions.names = WEIR_TRY(
      NameSet(session, "SELECT DISTINCT lower(function_name) FROM duckdb_functions()"));
  functions.aggregates =
      WEIR_TRY(NameSet(session,
                       "SELECT DISTINCT function_name FROM duckdb_functions() WHERE "
                       "function_type = 'aggregate'"));
  functions.changing =
      WEIR_TRY(NameSet(session,
                       "SELECT DISTINCT function_name FROM duckdb_functions() WHERE "
                       "stability <> 'CONSISTENT'"));
  functions.changing.insert({"ago", "current_setting", "getvariable", "version",
                             "current_localtime", "current_localtimestamp"});
  functions.changing.erase("error");  // fails the row, wherever it is
  return functions;
}

bool Functions::HasAggregate(const Json& expr) const {
  bool found = false;
  Visit(expr, [&](const Json& json) {
    if (IsClass(json, "SUBQUERY") || IsClass(json, "WINDOW")) return false;
    found |= IsAggregate(json);
    return !found;
  });
  return found;
}

void VisitTables(Json& query, const std::function<void(Json&)>& visit) {
  VisitTablesIn(query, {}, visit);
}

void ReplaceViews(Json& query, const Tables& tables) {
  VisitTables(query, [&](Json& table) {
    const auto view = tables.views.find(TableName(table));
    if (view == tables.views.end()) return;
    const std::string alias = AliasOf(table);
    table = {{"type", "SUBQUERY"},
             {"alias", alias.empty() ? table["table_name"].get<std::string>() : alias},
             {"sample", table.value("sample", Json())},
             {"subquery", {{"node", view->second}, {"named_param_map", Json::array()}}},
             {"column_name_alias", table.value("column_name_alias", Json::array())}};
  });
}

void FindUndetermined(const Json& query, const Functions& functions,
                      std::vector<Fault>* faults) {
  Visit(query, [&](const Json& json) {
    if (auto fault = Undetermined(json, functions)) faults->push_back(*std::move(fault));
    return true;
  });
}

std::string PlainMessage(const Error& error) {
  std::string text = WithoutPosition(FirstLine(error.message));
  if (text.starts_with("Values list ")) text.replace(0, 11, "Table");
  return text;
}

std::string Candidates(const std::string& message) {
  for (const std::string_view intro : {"Candidate bindings: ", "Did you mean "}) {
    const size_t at = message.find(intro);
    if (at == message.npos) continue;
    std::string names =
        WithoutPosition(FirstLine(std::string_view(message).substr(at + intro.size())));
    std::erase_if(names, [](char c) { return c == '"' || c == '?'; });
    return "did you mean " + names + "?";
  }
  return "";
}

}  // namespace weir::plan
