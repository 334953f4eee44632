// OVER (…), and the first rows of a key: QUALIFY row_number(), DISTINCT ON, LIMIT.
#include <arrow/api.h>
#include <fmt/format.h>

#include "data/batch.h"
#include "plan/query_internal.h"

namespace weir::plan {
namespace {

using data::Kind;
using ops::WindowKind;

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

std::vector<Json> OrdersOf(const Json& window) {
  return window["orders"].get<std::vector<Json>>();
}

bool IsPrefix(const std::vector<Json>& prefix, const std::vector<Json>& orders) {
  return prefix.size() <= orders.size() &&
         std::equal(prefix.begin(), prefix.end(), orders.begin());
}

// Rows up to the current one are rows from it on in the reverse order. Of a frame that
// begins with the current row, the same with a frame that ends with it.
Json FrameBehind(Json window) {
  const std::string start = window["start"], end = window["end"];
  const bool from_here = start.starts_with("CURRENT_ROW");
  const bool ahead = end == "UNBOUNDED_FOLLOWING" || end.starts_with("EXPR_FOLLOWING");
  if (!IsType(window, "WINDOW_AGGREGATE") || !from_here || !ahead) return window;
  for (Json& order : window["orders"]) {
    order["type"] = order["type"] == "DESCENDING" ? "ASCENDING" : "DESCENDING";
    order["null_order"] =
        order["null_order"] == "NULLS FIRST" ? "NULLS LAST" : "NULLS FIRST";
  }
  window["start"] = end == "UNBOUNDED_FOLLOWING" ? "UNBOUNDED_PRECEDING"
                                                 : "EXPR_PRECEDING" + end.substr(14);
  window["start_expr"] = window["end_expr"];
  window["end"] = start;
  window["end_expr"] = nullptr;
  return window;
}

// Types that the operator orders as DuckDB does.
bool OrdersAlike(const data::Type& stored, const std::string& native) {
  static const std::set<std::string> kIntegers = {"TINYINT",   "SMALLINT", "INTEGER",
                                                  "BIGINT",    "HUGEINT",  "UTINYINT",
                                                  "USMALLINT", "UINTEGER", "UBIGINT"};
  return !stored.is_nested() &&
         (native == duck::TypeInSql(stored) || kIntegers.contains(native));
}

}  // namespace

// One window of the operator. Expressions are over the input; null: there is none.
struct QueryPlanner::WindowPlan {
  ops::WindowCall call;  // without columns
  Json argument, otherwise;
  std::vector<Json> orders;
  bool by_peers = false;  // rows that are equal in the order share a result
};

// Windows that are one stage of the operator: what their calls are, and the order that
// they share.
struct QueryPlanner::WindowStage {
  std::vector<Json> windows;  // as the SELECT has them
  std::vector<WindowPlan> plans;
  // What makes peers, of the calls that look at peers; the whole order, of those that
  // look at places in it. Either may be missing; the first is a prefix of the second.
  std::optional<std::vector<Json>> peers, places;

  bool Takes(const std::vector<Json>& orders, bool by_peers) {
    if (by_peers ? peers && *peers != orders : places && *places != orders) return false;
    if (by_peers ? places && !IsPrefix(orders, *places)
                 : peers && !IsPrefix(*peers, orders))
      return false;
    (by_peers ? peers : places) = orders;
    return true;
  }
};

// A window of the operator. kInvalid: it needs all rows of its partition.
Result<QueryPlanner::WindowPlan> QueryPlanner::PlanWindow(const Json& written,
                                                          const Input& input) {
  static const std::map<std::string, WindowKind> kPlaces = {
      {"WINDOW_ROW_NUMBER", WindowKind::kRowNumber},
      {"WINDOW_RANK", WindowKind::kRank},
      {"WINDOW_RANK_DENSE", WindowKind::kDenseRank},
      {"WINDOW_LAG", WindowKind::kLag},
      {"WINDOW_LEAD", WindowKind::kLead},
      {"WINDOW_FIRST_VALUE", WindowKind::kFirstValue},
      {"WINDOW_LAST_VALUE", WindowKind::kLastValue}};
  static const std::map<std::string, WindowKind> kAggregates = {
      {"count_star", WindowKind::kCountStar},
      {"count", WindowKind::kCount},
      {"sum", WindowKind::kSum},
      {"avg", WindowKind::kAvg},
      {"mean", WindowKind::kAvg},
      {"min", WindowKind::kMin},
      {"max", WindowKind::kMax}};
  const Json window = FrameBehind(written);
  const std::string type = window["type"], name = CallName(window);
  const Error whole = Invalid(
      fmt::format("the window function {}() looks at all rows of its partition", name));
  WindowPlan out;
  out.orders = OrdersOf(window);
  const bool aggregate = type == "WINDOW_AGGREGATE";
  const auto found = aggregate ? kAggregates.find(name) : kPlaces.find(type);
  if (found == (aggregate ? kAggregates.end() : kPlaces.end())) return whole;
  ops::WindowCall& call = out.call;
  call.kind = found->second;
  const bool extreme = call.kind == WindowKind::kMin || call.kind == WindowKind::kMax;
  if (!window["arg_orders"].empty() || window["exclude_clause"] != "NO_OTHER" ||
      (window["distinct"] == true && !extreme))
    return whole;
  if (out.orders.empty() && call.kind != WindowKind::kRowNumber) return whole;
  // The order: of types that mean the same here.
  std::vector<Json> exprs;
  for (const Json& order : out.orders) exprs.push_back(order["expression"]);
  const size_t order_count = exprs.size();
  const Json& arguments = window["children"];
  const bool counts_rows =
      call.kind == WindowKind::kRowNumber || call.kind == WindowKind::kRank ||
      call.kind == WindowKind::kDenseRank || call.kind == WindowKind::kCountStar ||
      (call.kind == WindowKind::kCount &&
       (arguments.empty() || (IsClass(arguments[0], "CONSTANT") &&
                              !arguments[0]["value"].value("is_null", true))));
  if (aggregate && counts_rows) call.kind = WindowKind::kCountStar;
  if (!counts_rows) {
    if (arguments.size() != 1) return whole;
    out.argument = arguments[0];
  }
  if (!window["filter_expr"].is_null()) {
    if (!aggregate) return whole;
    if (call.kind == WindowKind::kCountStar) call.kind = WindowKind::kCount;
    out.argument = WEIR_TRY(ast_.ParseExpr(fmt::format(
        "CASE WHEN {} THEN {} END", WEIR_TRY(ast_.PrintExpr(window["filter_expr"])),
        out.argument.is_null() ? "1" : WEIR_TRY(ast_.PrintExpr(out.argument)))));
    out.argument = Plain(std::move(out.argument));
  }
  exprs.push_back(out.argument.is_null() ? IntegerConstant(1) : out.argument);
  exprs.push_back(written);
  const auto natives = WEIR_TRY(NativeTypes(input, exprs));
  std::vector<Item> items;
  for (const Json& expr : exprs)
    items.push_back({fmt::format("x{}", items.size()), expr});
  const data::Schema stored = WEIR_TRY(pieces_.Describe(
      fmt::format("SELECT {}_weight FROM {}", WEIR_TRY(SelectList(items)),
                  duck::QuoteTable(input.name))));
  for (size_t i = 0; i < order_count; ++i) {
    if (!OrdersAlike(stored.fields[i].type, natives[i])) return whole;
  }
  const data::Type& argument = stored.fields[order_count].type;
  const std::string& native = natives[order_count];
  if (extreme && !OrdersAlike(argument, native)) return whole;
  call.result = stored.fields[order_count + 1].type;
  if (native == "\"NULL\"") return whole;

  if (call.kind == WindowKind::kLag || call.kind == WindowKind::kLead) {
    if (window["ignore_nulls"] == true) return whole;
    if (!window["offset_expr"].is_null()) {
      const auto offset = AsInteger(window["offset_expr"]);
      if (!offset || *offset < 0) return whole;
      call.offset = *offset;
    }
    const Json& otherwise = window["default_expr"];
    const bool null = otherwise.is_null() || (IsClass(otherwise, "CONSTANT") &&
                                              otherwise["value"].value("is_null", true));
    if (!null) out.otherwise = Plain(WEIR_TRY(Cast(otherwise, native)));
    return out;
  }
  if (!aggregate && call.kind != WindowKind::kFirstValue &&
      call.kind != WindowKind::kLastValue) {
    out.by_peers = call.kind != WindowKind::kRowNumber;
    return out;
  }
  // The frame.
  const std::string start = window["start"], end = window["end"];
  call.ignore_nulls = window["ignore_nulls"] == true;
  if (aggregate && call.ignore_nulls) return whole;
  if (end != "CURRENT_ROW_ROWS" && end != "CURRENT_ROW_RANGE") return whole;
  // first_value and last_value have an order that leaves no peers but equal rows.
  call.rows_frame = end == "CURRENT_ROW_ROWS" || !aggregate;
  out.by_peers = !call.rows_frame;
  if (start == "UNBOUNDED_PRECEDING") return out;
  if (end == "CURRENT_ROW_ROWS") {
    const auto rows =
        start == "CURRENT_ROW_ROWS" ? int64_t{0} : AsInteger(window["start_expr"]);
    if ((start != "CURRENT_ROW_ROWS" && start != "EXPR_PRECEDING_ROWS") || !rows ||
        *rows < 0)
      return whole;
    call.preceding = *rows;
    return out;
  }
  if (!aggregate || start != "EXPR_PRECEDING_RANGE" || order_count != 1 ||
      HasColumn(window["start_expr"]))
    return whole;
  call.preceding = WEIR_TRY(RangeOf(window["start_expr"], stored.fields[0].type));
  return out;
}

// How far a frame by value reaches, in the units of the order column. kInvalid: what has
// no fixed length, or is not known.
Result<int64_t> QueryPlanner::RangeOf(const Json& expr, const data::Type& order) {
  const Error unknown = Invalid("its frame has no fixed length");
  if (const auto number = AsInteger(expr)) {
    if ((order.kind != Kind::kInt32 && order.kind != Kind::kInt64) || *number < 0)
      return unknown;
    return *number;
  }
  if (order.kind != Kind::kTimestamp && order.kind != Kind::kTimestampTz) return unknown;
  const std::string text = WEIR_TRY(ast_.PrintExpr(expr));
  const auto rows = pieces_.Query(
      fmt::format("SELECT CASE WHEN datepart('month', i) = 0 AND datepart('year', i) = 0 "
                  "THEN epoch_us(i) ELSE -1 END FROM (SELECT CAST({} AS INTERVAL) AS i)",
                  text),
      nullptr);
  if (!rows.ok() || rows->empty() || (*rows)[0]->num_rows() != 1) return unknown;
  const auto& column = static_cast<const arrow::Int64Array&>(*(*rows)[0]->column(0));
  if (column.IsNull(0) || column.Value(0) < 0) return unknown;
  return column.Value(0);
}

// All windows over the same PARTITION BY are one stage; the next reads its rows. Those
// that the operator has are one for each ORDER BY.
Status QueryPlanner::Windows(Select* select) {
  while (!WindowsIn(*select).empty()) WEIR_TRY(OneWindowStage(select));
  return {};
}

// The windows that go into one stage with the first. Nothing: one of its partition needs
// all rows, so that all of them are computed from these.
Result<QueryPlanner::WindowStage> QueryPlanner::StageOf(const std::vector<Json>& windows,
                                                        const Input& input) {
  WindowStage out;
  for (const Json& window : windows) {
    auto plan = PlanWindow(window, input);
    if (!plan.ok()) {
      if (plan.error().code == Code::kInvalid) return WindowStage();
      return plan.error();
    }
    if (!out.Takes(plan->orders, plan->by_peers)) continue;
    out.windows.push_back(window);
    out.plans.push_back(*std::move(plan));
  }
  return out;
}

Status QueryPlanner::OperatorStage(const WindowStage& windows, Select* select) {
  Stage stage;
  stage.kind = BlockKind::kWindow;
  stage.ports.resize(1);
  Port& port = stage.ports[0];
  PortColumns columns;
  ops::WindowSpec& spec = stage.window;
  for (const Json& key : windows.windows[0]["partitions"]) {
    if (HasColumn(key)) spec.keys.push_back(columns.Add(key, "k"));
  }
  port.exchange_keys = spec.keys;
  stage.one_group = spec.keys.empty();
  // NULLs are last for the operator, in both directions.
  const std::vector<Json>& orders = windows.places ? *windows.places : *windows.peers;
  for (size_t i = 0; i < orders.size(); ++i) {
    if (orders[i]["null_order"] == "NULLS FIRST") {
      spec.order.push_back(columns.Add(IsNull(orders[i]["expression"]), "c"));
      spec.descending.push_back(true);
    }
    spec.order.push_back(columns.Add(orders[i]["expression"], "c"));
    spec.descending.push_back(orders[i]["type"] == "DESCENDING");
    if (!windows.peers || i < windows.peers->size())
      spec.peers = static_cast<int>(spec.order.size());
  }
  // Without an order all rows of a partition are equal.
  if (spec.order.empty() && !spec.keys.empty()) spec.order.push_back(spec.keys[0]);
  for (const WindowPlan& plan : windows.plans) {
    ops::WindowCall call = plan.call;
    if (!plan.argument.is_null()) call.argument = columns.Add(plan.argument, "c");
    if (!plan.otherwise.is_null()) call.default_column = columns.Add(plan.otherwise, "c");
    spec.calls.push_back(std::move(call));
  }
  const auto is_ours = [&](const Json& json) {
    return IsClass(json, "WINDOW") &&
           std::find(windows.windows.begin(), windows.windows.end(), Plain(json)) !=
               windows.windows.end();
  };
  // The largest parts without a window, and what windows of other stages compute from.
  const std::function<void(Json&)> add = [&](Json& json) {
    if (is_ours(json)) return;
    if (IsExpr(json) && HasColumn(json) && !HasWindow(json))
      return (void)columns.Add(json, "c");
    for (Json& child : json) {
      if (child.is_structured()) add(child);
    }
  };
  select->ForEachExpr(add);
  WEIR_TRY(SetPort(select->input, select->where, columns.items(), &port));
  for (const int key : spec.keys) {
    if (port.schema.fields[static_cast<size_t>(key)].type.is_nested())
      return Invalid("it partitions by a nested column");
  }
  const auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  stage.output = port.schema;
  std::vector<Json> outputs;
  for (size_t i = 0; i < natives.size(); ++i) {
    const data::Field& field = port.schema.fields[i];
    outputs.push_back(WEIR_TRY(StoredColumn(field.name, field.type, natives[i])));
  }
  const auto results = WEIR_TRY(NativeTypes(select->input, windows.windows));
  for (size_t i = 0; i < results.size(); ++i) {
    const data::Field field{fmt::format("w{}", i), spec.calls[i].result};
    stage.output.fields.push_back(field);
    outputs.push_back(WEIR_TRY(StoredColumn(field.name, field.type, results[i])));
  }
  const auto op =
      ops::NewWindow(spec, port.schema, stage.output, nullptr, "check", /*memory*/ 1);
  if (!op.ok()) return Invalid(op.error().message);
  const std::function<Json(Json)> over = [&](Json json) -> Json {
    if (is_ours(json)) {
      const auto at =
          std::find(windows.windows.begin(), windows.windows.end(), Plain(json));
      return outputs[natives.size() + static_cast<size_t>(at - windows.windows.begin())];
    }
    if (IsExpr(json) && HasColumn(json) && !HasWindow(json))
      return outputs[static_cast<size_t>(columns.Add(json, "c"))];
    if (!json.is_structured()) return json;
    for (Json& child : json) {
      const std::string alias = AliasOf(child);
      child = over(std::move(child));
      if (IsExpr(child)) child["alias"] = alias;
    }
    return json;
  };
  std::vector<std::vector<std::string>> keys;
  for (const auto& key : select->input.keys) {
    auto carried = Carried(key, columns.items());
    if (!carried.empty()) keys.push_back(std::move(carried));
  }
  const bool few = select->input.few;
  select->input = WEIR_TRY(AddStage(std::move(stage)));
  select->ForEachExpr([&](Json& expr) { expr = over(std::move(expr)); });
  select->input.keys = std::move(keys);
  select->input.few = few;
  select->where = Json();
  return {};
}

Status QueryPlanner::OneWindowStage(Select* select) {
  std::vector<Json> windows = WindowsIn(*select);
  const std::set<std::string> partition = PartitionOf(windows[0]);
  std::erase_if(windows, [&](const Json& w) { return PartitionOf(w) != partition; });
  const std::string name = CallName(windows[0]);
  const WindowStage native = WEIR_TRY(StageOf(windows, select->input));
  if (!native.windows.empty()) {
    const Status done = OperatorStage(native, select);
    if (done.ok() || done.error().code != Code::kInvalid) return done;
  }
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
  stage.top.descending = order.descending;
  if (stage.top.order.empty()) {
    // The keys decide everything: rows that share them are equal.
    if (keys.empty()) return Invalid("its first rows have no order");
    stage.top.order.push_back(stage.top.keys[0]);
    stage.top.descending.push_back(false);
  }
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
