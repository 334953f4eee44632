// RESOLVE: the WITH queries that it stands for, recognised and kept as components.
#include <fmt/format.h>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {

std::string KeyOf(const Json& cte) { return cte["key"].get<std::string>(); }

// The number of columns that are named prefix0, prefix1 …
size_t CountNamed(const Json& select, char prefix) {
  size_t count = 0;
  for (const Json& item : select["select_list"])
    count += AliasOf(item) == fmt::format("{}{}", prefix, count);
  return count;
}

// What MAX said: the one limit on a number in these queries.
int64_t MostIn(const Json& query) {
  int64_t most = -1;
  Visit(query, [&](const Json& json) {
    if (IsType(json, "COMPARE_LESSTHANOREQUALTO"))
      most = std::max(most, AsInteger(json["right"]).value_or(-1));
    return true;
  });
  return most;
}

}  // namespace

// A WITH query of that name is RESOLVE's when it and those before it are, word for word,
// what RESOLVE writes.
Result<std::optional<QueryPlanner::Resolved>> QueryPlanner::FindResolve(const Json& ctes,
                                                                        size_t result) {
  if (KeyOf(ctes[result]) != sql::kResolveResult) return std::optional<Resolved>();
  size_t rows = result;
  while (rows > 0 && KeyOf(ctes[rows]) != sql::kResolveRows) --rows;
  const Json& query = ctes[rows]["value"]["query"]["node"];
  if (KeyOf(ctes[rows]) != sql::kResolveRows || !IsType(query, "SELECT_NODE"))
    return std::optional<Resolved>();
  Resolved out;
  out.rows = rows;
  out.shape.records = CountNamed(query, 'r');
  out.shape.values = CountNamed(query, 'v');
  for (const Json& item : query["select_list"]) {
    out.shape.sequence |= AliasOf(item) == "s";
    out.shape.history |= AliasOf(item) == "until";
  }
  for (size_t i = rows + 1; i <= result; ++i)
    out.shape.most = std::max(out.shape.most, MostIn(ctes[i]));
  if (out.shape.records == 0 || out.shape.values == 0) return std::optional<Resolved>();
  const Json written = WEIR_TRY(
      ast_.Parse(fmt::format("WITH RECURSIVE {} AS (SELECT 1){} SELECT 1",
                             sql::kResolveRows, sql::ResolveQueries(out.shape))));
  const Json& entries = written["cte_map"]["map"];
  if (entries.size() != result - rows + 1) return std::optional<Resolved>();
  for (size_t i = 1; i < entries.size(); ++i) {
    if (Plain(entries[i]) != Plain(ctes[rows + i])) return std::optional<Resolved>();
  }
  return std::optional<Resolved>(out);
}

Result<Rows> QueryPlanner::Components(const Resolved& resolve, const Json& ctes) {
  const Json before(std::vector<Json>(
      ctes.begin(), ctes.begin() + static_cast<std::ptrdiff_t>(resolve.rows)));
  Rows rows = WEIR_TRY(Query(ctes[resolve.rows]["value"]["query"]["node"], before));
  if (rows.has_unnest) rows = WEIR_TRY(Materialize(std::move(rows)));
  Stage stage;
  stage.kind = BlockKind::kComponents;
  stage.one_group = true;  // what links records is not known before they meet
  stage.ports.resize(1);
  PortColumns columns;
  std::vector<int> places;
  for (const Item& item : rows.items) places.push_back(columns.Add(item.expr, "c"));
  Port& port = stage.ports[0];
  WEIR_TRY(SetPort(rows.input, rows.where, columns.items(), &port));
  const auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  const auto at = places.begin();
  const auto records = static_cast<std::ptrdiff_t>(resolve.shape.records),
             values = static_cast<std::ptrdiff_t>(resolve.shape.values);
  stage.components.record.assign(at, at + records);
  stage.components.values.assign(at + records, at + records + values);
  auto next = at + records + values;
  if (resolve.shape.sequence) stage.components.sequence = *next++;
  if (resolve.shape.history) {
    stage.components.from = next[0];
    stage.components.to = next[1];
  }
  stage.components.most = resolve.shape.most;
  std::vector<std::string> key, native;
  for (const char* prefix : {"r", "f"}) {
    for (size_t i = 0; i < resolve.shape.records; ++i) {
      stage.output.fields.push_back(port.schema.fields[static_cast<size_t>(places[i])]);
      stage.output.fields.back().name = fmt::format("{}{}", prefix, i);
      if (*prefix == 'r') key.push_back(stage.output.fields.back().name);
      native.push_back(natives[static_cast<size_t>(places[i])]);
    }
  }
  if (resolve.shape.history) {
    const auto since = static_cast<size_t>(stage.components.from);
    for (const char* name : {"since", "until"}) {
      stage.output.fields.push_back({name, port.schema.fields[since].type});
      native.push_back(natives[since]);
    }
    key.push_back("since");
  }
  const auto op = ops::NewComponents(stage.components, port.schema, stage.output, nullptr,
                                     "check", 1);
  if (!op.ok()) return Invalid("its RESOLVE: " + op.error().message);
  Rows out;
  for (size_t i = 0; i < stage.output.fields.size(); ++i) {
    const data::Field& field = stage.output.fields[i];
    out.items.push_back(
        {field.name, WEIR_TRY(StoredColumn(field.name, field.type, native[i]))});
  }
  out.input = WEIR_TRY(AddStage(std::move(stage)));
  out.input.keys = {key};
  return out;
}

}  // namespace weir::plan
