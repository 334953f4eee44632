// OVER (…), and the first rows of a key: QUALIFY row_number(), DISTINCT ON, LIMIT.
#include <fmt/format.h>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {

bool Same(const Json& a, const Json& b) { return Plain(a) == Plain(b); }

std::vector<Json> WindowsIn(Select& select) {
  std::vector<Json> windows;
  select.ForEachExpr([&](Json& expr) {
    Visit(std::as_const(expr), [&](const Json& json) {
      if (!IsClass(json, "WINDOW")) return true;
      Json window = Plain(json);
      if (std::find(windows.begin(), windows.end(), window) == windows.end())
        windows.push_back(std::move(window));
      return false;
    });
  });
  return windows;
}

// What a window partitions by; a constant does not part rows.
std::set<std::string> PartitionOf(const Json& window) {
  std::set<std::string> out;
  for (const Json& key : window["partitions"]) {
    if (HasColumn(key)) out.insert(Plain(key).dump());
  }
  return out;
}

}  // namespace

// All windows over the same PARTITION BY are one stage; the next reads its rows.
Status QueryPlanner::Windows(Select* select) {
  while (!WindowsIn(*select).empty()) WEIR_TRY(OneWindowStage(select));
  return {};
}

Status QueryPlanner::OneWindowStage(Select* select) {
  std::vector<Json> windows = WindowsIn(*select);
  const std::set<std::string> partition = PartitionOf(windows[0]);
  std::erase_if(windows, [&](const Json& w) { return PartitionOf(w) != partition; });
  const std::string name = CallName(windows[0]);
  if (partition.empty() && !select->input.few)
    return Invalid(fmt::format("the window function {}() looks at all rows", name));
  Stage stage;
  stage.kind = BlockKind::kRecompute;
  stage.why =
      fmt::format("the window function {}() looks at all rows of its partition", name);
  stage.one_group = partition.empty();
  stage.ports.resize(1);
  Port& port = stage.ports[0];
  PortColumns columns;
  for (const Json& key : windows[0]["partitions"]) {
    if (HasColumn(key)) port.exchange_keys.push_back(columns.Add(key, "k"));
  }
  // Columns: the largest parts without a window, and what windows compute from.
  const std::function<void(Json&, bool)> add = [&](Json& json, bool inside) {
    if (IsExpr(json) && HasColumn(json) && !IsClass(json, "WINDOW") && !HasWindow(json))
      return (void)columns.Add(json, "c");
    for (Json& child : json) {
      if (child.is_structured()) add(child, inside);
    }
  };
  select->ForEachExpr([&](Json& expr) { add(expr, false); });
  WEIR_TRY(SetPort(select->input, select->where, columns.items(), &port));
  for (const int key : port.exchange_keys) {
    if (port.schema.fields[static_cast<size_t>(key)].type.is_nested())
      return Invalid("it partitions by a nested column");
  }
  auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  std::vector<Json> stored;
  for (size_t i = 0; i < natives.size(); ++i) {
    stored.push_back(WEIR_TRY(StoredColumn(port.schema.fields[i].name,
                                           port.schema.fields[i].type, natives[i])));
  }
  // Over the columns of the port, and windows of this stage by their names.
  const std::function<Json(Json, bool)> over = [&](Json json, bool replace) -> Json {
    if (IsClass(json, "WINDOW") && replace) {
      const auto found = std::find(windows.begin(), windows.end(), Plain(json));
      if (found != windows.end())
        return ColumnRef({fmt::format("w{}", found - windows.begin())});
    }
    if (IsExpr(json) && HasColumn(json) && !IsClass(json, "WINDOW") && !HasWindow(json))
      return stored[static_cast<size_t>(columns.Add(json, "c"))];
    if (!json.is_structured()) return json;
    for (Json& child : json) {
      const std::string alias = AliasOf(child);
      child = over(std::move(child), replace);
      if (IsExpr(child)) child["alias"] = alias;
    }
    return json;
  };
  std::string list;
  for (const Item& item : columns.items())
    list += fmt::format("{}{}", list.empty() ? "" : ", ", item.name);
  for (size_t i = 0; i < windows.size(); ++i) {
    list += fmt::format("{}{} AS w{}", list.empty() ? "" : ", ",
                        WEIR_TRY(ast_.PrintExpr(over(windows[i], false))), i);
  }
  stage.recompute_sql = fmt::format("SELECT {} FROM {}", list, PortName(0));
  WEIR_TRY(pieces_.DeclareInput(PortName(0), port.schema));
  stage.output = WEIR_TRY(pieces_.Describe(stage.recompute_sql));
  const auto types =
      WEIR_TRY(NativeTypes(stage.recompute_sql, stage.output.fields.size()));
  std::map<std::string, Json> window_columns;
  for (size_t i = 0; i < windows.size(); ++i) {
    const size_t c = columns.items().size() + i;
    const data::Field& field = stage.output.fields[c];
    window_columns[field.name] = WEIR_TRY(StoredColumn(field.name, field.type, types[c]));
  }
  select->ForEachExpr([&](Json& expr) {
    expr = Substitute(over(std::move(expr), true), window_columns);
  });
  std::vector<std::vector<std::string>> keys;
  for (const auto& key : select->input.keys) {
    auto carried = Carried(key, columns.items());
    if (!carried.empty()) keys.push_back(std::move(carried));
  }
  const bool few = select->input.few;
  select->input = WEIR_TRY(AddStage(std::move(stage)));
  select->input.keys = std::move(keys);
  select->input.few = few;
  select->where = Json();
  return {};
}

// QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) <= n, when no other window is
// asked for: false otherwise.
Result<bool> QueryPlanner::FirstRows(Select* select) {
  const Json& qualify = select->qualify;
  if (select->has_unnest || !IsClass(qualify, "COMPARISON")) return false;
  std::string type = qualify["type"];
  const Json* window = &qualify["left"];
  const Json* limit = &qualify["right"];
  if (AsInteger(*window)) {
    std::swap(window, limit);
    type = type == "COMPARE_GREATERTHANOREQUALTO" ? "COMPARE_LESSTHANOREQUALTO"
           : type == "COMPARE_GREATERTHAN"        ? "COMPARE_LESSTHAN"
           : type == "COMPARE_EQUAL"              ? type
                                                  : "";
  }
  const auto n = AsInteger(*limit);
  const bool counts = IsType(*window, "WINDOW_ROW_NUMBER") &&
                      (*window)["arg_orders"].empty() &&
                      (*window)["filter_expr"].is_null();
  if (!n || !counts) return false;
  int64_t rows = *n;
  if (type == "COMPARE_LESSTHAN") {
    rows = *n - 1;
  } else if (type != "COMPARE_LESSTHANOREQUALTO" &&
             (type != "COMPARE_EQUAL" || *n != 1)) {
    return false;
  }
  if (rows < 1) return false;
  const Json top = Plain(*window);
  Select rewritten = *select;
  rewritten.qualify = Json();
  const Json one = WEIR_TRY(ast_.ParseExpr("CAST(1 AS BIGINT)"));
  rewritten.ForEachExpr([&](Json& expr) {
    if (rows == 1 && Same(expr, top)) expr = one;
  });
  if (!WindowsIn(rewritten).empty()) return false;
  std::vector<Json> orders = top["orders"].get<std::vector<Json>>();
  const Status status =
      Top(top["partitions"].get<std::vector<Json>>(), orders, rows, &rewritten);
  if (!status.ok()) {
    if (status.error().code == Code::kInvalid) return false;
    return status.error();
  }
  *select = std::move(rewritten);
  return true;
}

// The first n rows of each key.
Status QueryPlanner::Top(const std::vector<Json>& keys, const std::vector<Json>& orders,
                         int64_t n, Select* select) {
  if (select->has_unnest) return Invalid("it unnests and takes the first rows at once");
  WEIR_TRY(Windows(select));
  Stage stage;
  stage.kind = BlockKind::kTop;
  stage.ports.resize(1);
  Port& port = stage.ports[0];
  PortColumns columns;
  for (const Json& key : keys) stage.top.keys.push_back(columns.Add(key, "k"));
  const OperatorOrder order = ForOperator(orders);
  for (const Json& expr : order.exprs) stage.top.order.push_back(columns.Add(expr, "c"));
  if (stage.top.order.empty()) return Invalid("its first rows have no order");
  stage.top.descending = order.descending;
  stage.top.n = n;
  stage.top.input_retracts = !select->input.append_only;
  select->ForEachExpr([&](Json& expr) { columns.Add(expr, "c"); });
  WEIR_TRY(SetPort(select->input, select->where, columns.items(), &port));
  for (const int c : stage.top.order) {
    if (port.schema.fields[static_cast<size_t>(c)].type.is_nested())
      return Invalid("it orders by a nested column");
  }
  const auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  port.exchange_keys = stage.top.keys;
  stage.one_group = keys.empty();
  stage.output = port.schema;
  std::vector<std::vector<std::string>> input_keys;
  if (n == 1 && !keys.empty()) {
    std::vector<std::string> key;
    for (const int c : stage.top.keys) key.push_back(columns.name(c));
    input_keys.push_back(std::move(key));
  }
  for (const auto& key : select->input.keys) {
    auto carried = Carried(key, columns.items());
    if (!carried.empty()) input_keys.push_back(std::move(carried));
  }
  Status status;
  const data::Schema schema = stage.output;
  select->ForEachExpr([&](Json& expr) {
    const size_t c = static_cast<size_t>(columns.Add(expr, "c"));
    auto column = StoredColumn(schema.fields[c].name, schema.fields[c].type, natives[c]);
    if (column.ok()) {
      expr = *std::move(column);
    } else {
      status = column.error();
    }
  });
  WEIR_TRY(status);
  const bool few = select->input.few || keys.empty();
  select->input = WEIR_TRY(AddStage(std::move(stage)));
  select->input.keys = std::move(input_keys);
  select->input.few = few;
  select->where = Json();
  return {};
}

}  // namespace weir::plan
