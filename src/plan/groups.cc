// GROUP BY: which aggregates are kept from changes, and which are computed again.
#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>

#include "data/batch.h"
#include "plan/query_internal.h"
#include "sql/decay.h"

namespace weir::plan {
namespace {

using data::Kind;
using ops::AggregateKind;

bool IsNonNullConstant(const Json& expr) {
  return IsClass(expr, "CONSTANT") && !expr["value"].value("is_null", true);
}

bool Same(const Json& a, const Json& b) { return Plain(a) == Plain(b); }

// The arguments of a call that are computed row by row, largest first. The row(…) of
// order completion is not one: it cannot be a column, as its fields have no names.
void ForEachArgument(Json& json, const std::function<void(Json&)>& visit) {
  for (Json& child : json) {
    const bool row = IsCall(child) && CallName(child) == "row";
    if (IsExpr(child) && !row) {
      if (HasColumn(child)) visit(child);
    } else if (child.is_structured()) {
      ForEachArgument(child, visit);
    }
  }
}

// The aggregate in a call that GROUP BY sees: that of decay_sum stands in
// list_reduce(list_sort(…)).
template <class J>
J& AggregateIn(J& call) {
  return CallName(call) == "list_reduce" ? call["children"][0]["children"][0] : call;
}

// The second argument of a quantile.
Result<ops::Fraction> FractionOf(const Json& expr) {
  ops::Fraction out;
  const Json value = expr.value("value", Json());
  const Error wrong = Invalid("its quantile is not a plain number");
  if (!IsClass(expr, "CONSTANT") || value.value("is_null", true) ||
      !value["value"].is_number())
    return wrong;
  const std::string type = value["type"]["id"];
  if (type == "DOUBLE" || type == "INTEGER") {
    out.value = value["value"].get<double>();
    return out;
  }
  if (type != "DECIMAL" || !value["value"].is_number_integer()) return wrong;
  out.integral = value["value"].get<int64_t>();
  out.scaling = 1;
  for (int i = 0; i < value["type"]["type_info"]["scale"].get<int>(); ++i)
    out.scaling *= 10;
  out.value = static_cast<double>(out.integral) / static_cast<double>(out.scaling);
  return out;
}

}  // namespace

// Replaces in expressions the keys by _k0, _k1 …, aggregate calls by _a0 …, GROUPING(…)
// by _g0 ….
struct QueryPlanner::Calls {
  QueryPlanner& planner;
  const std::vector<Json>& keys;
  std::vector<Json> calls;
  std::vector<std::vector<size_t>> groupings;  // the keys each names

  Result<Json> Over(const Json& expr) {
    const Json plain = Plain(expr);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (Plain(keys[i]) == plain) return ColumnRef({fmt::format("_k{}", i)});
    }
    if (planner.functions_.IsAggregate(expr) || WEIR_TRY(planner.IsLogSum(expr))) {
      auto found = std::find(calls.begin(), calls.end(), plain);
      if (found == calls.end()) found = calls.insert(calls.end(), plain);
      return ColumnRef({fmt::format("_a{}", found - calls.begin())});
    }
    if (IsType(expr, "GROUPING_FUNCTION")) return Grouping(expr);
    if (IsClass(expr, "COLUMN_REF")) {
      if (planner.pending_.contains(NamesOf(expr)[0])) return expr;
      return Invalid(
          fmt::format("column {} is neither grouped nor aggregated", NamesOf(expr)[0]));
    }
    Json out = expr;
    WEIR_TRY(Children(out));
    return out;
  }

 private:
  Status Children(Json& json) {
    for (Json& child : json) {
      if (IsExpr(child)) {
        const std::string alias = AliasOf(child);
        child = WEIR_TRY(Over(child));
        child["alias"] = alias;
      } else if (child.is_structured()) {
        WEIR_TRY(Children(child));
      }
    }
    return {};
  }

  Result<Json> Grouping(const Json& expr) {
    std::vector<size_t> named;
    for (const Json& child : expr["children"]) {
      for (size_t i = 0; i < keys.size(); ++i) {
        if (Same(keys[i], child)) named.push_back(i);
      }
    }
    if (named.size() != expr["children"].size())
      return Invalid("its GROUPING() names no group");
    groupings.push_back(std::move(named));
    return ColumnRef({fmt::format("_g{}", groupings.size() - 1)});
  }
};

struct QueryPlanner::Grouped {
  Input input;
  std::vector<Json> keys, calls;  // columns of it
};

Status QueryPlanner::GroupBy(const Json& node, const Json& ctes, const Source& source,
                             Select* select) {
  const std::vector<Json> keys = WEIR_TRY(GroupKeys(node, source, *select));
  if (!node["having"].is_null())
    select->having = WEIR_TRY(ResolveHaving(node["having"], source, *select, keys));
  if (!node["qualify"].is_null())
    select->qualify = WEIR_TRY(ResolveHaving(node["qualify"], source, *select, keys));
  std::vector<std::vector<size_t>> sets;
  for (const Json& set : node["group_sets"])
    sets.push_back(set.get<std::vector<size_t>>());
  if (sets.size() <= 1) {  // GROUP BY ALL has none
    sets.assign(1, {});
    for (size_t i = 0; i < keys.size(); ++i) sets[0].push_back(i);
  } else {
    // The select list does not tell which of the two a column means.
    for (size_t i = 0; i < keys.size(); ++i) {
      if (std::find(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(i),
                    keys[i]) != keys.begin() + static_cast<std::ptrdiff_t>(i))
        return Invalid("its grouping sets name one column twice");
    }
  }
  WEIR_TRY(Group(keys, sets, select));
  WEIR_TRY(AttachPending(ctes, select));
  select->where = std::move(select->having);
  select->having = Json();
  return {};
}

Result<std::vector<Json>> QueryPlanner::GroupKeys(const Json& node, const Source& source,
                                                  const Select& select) {
  std::vector<Json> keys;
  if (node["aggregate_handling"] == "FORCE_AGGREGATES") {
    for (const Item& item : select.items) {
      if (!functions_.HasAggregate(item.expr) && !HasWindow(item.expr))
        keys.push_back(item.expr);
    }
    return keys;
  }
  for (const Json& group : node["group_expressions"]) {
    const auto ordinal = AsInteger(group);
    if (ordinal && *ordinal >= 1 &&
        *ordinal <= static_cast<int64_t>(select.items.size())) {
      keys.push_back(select.items[static_cast<size_t>(*ordinal - 1)].expr);
    } else {
      keys.push_back(WEIR_TRY(Resolve(group, source, &select.items)));
    }
  }
  return keys;
}

// In HAVING a name is a grouped column before it is an alias, and a column again inside
// aggregates.
Result<Json> QueryPlanner::ResolveHaving(const Json& expr, const Source& source,
                                         const Select& select,
                                         const std::vector<Json>& keys) {
  const auto is_key = [&](const Json& resolved) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const Json& key) { return Same(key, resolved); });
  };
  if (IsClass(expr, "COLUMN_REF")) {
    const auto column = Resolve(expr, source, &select.items);
    return column.ok() && is_key(*column) ? column
                                          : Resolve(expr, source, &select.items, true);
  }
  if (functions_.IsAggregate(expr) || WEIR_TRY(IsLogSum(expr)))
    return Resolve(expr, source, &select.items);
  const auto whole = Resolve(expr, source, &select.items);
  if (whole.ok() && is_key(*whole)) return whole;
  Json out = expr;
  WEIR_TRY(ResolveHavingChildren(out, source, select, keys));
  return out;
}

Status QueryPlanner::ResolveHavingChildren(Json& json, const Source& source,
                                           const Select& select,
                                           const std::vector<Json>& keys) {
  for (Json& child : json) {
    if (IsExpr(child)) {
      child = WEIR_TRY(ResolveHaving(child, source, select, keys));
    } else if (child.is_structured()) {
      WEIR_TRY(ResolveHavingChildren(child, source, select, keys));
    }
  }
  return {};
}

// What decay_sum stands for.
Result<bool> QueryPlanner::IsLogSum(const Json& expr) {
  const auto is_call = [](const Json& json, const char* name) {
    return IsCall(json) && CallName(json) == name && !json["children"].empty();
  };
  if (!is_call(expr, "list_reduce") || expr["children"].size() != 2 ||
      !is_call(expr["children"][0], "list_sort") || !is_call(AggregateIn(expr), "list"))
    return false;
  if (log_sum_lambda_.is_null())
    log_sum_lambda_ = Plain(WEIR_TRY(ast_.ParseExpr(
        fmt::format("list_reduce([1], {})", sql::kLogSumLambda))))["children"][1];
  return Plain(expr["children"][1]) == log_sum_lambda_;
}

Status QueryPlanner::Group(const std::vector<Json>& keys,
                           const std::vector<std::vector<size_t>>& sets, Select* select) {
  Calls calls{*this, keys, {}, {}};
  Status status;
  select->ForEachExpr([&](Json& expr) {
    auto over = calls.Over(expr);
    if (!over.ok()) {
      status = over.error();
    } else {
      expr = *std::move(over);
    }
  });
  WEIR_TRY(status);
  std::vector<Grouped> parts;
  for (const auto& set : sets) {
    std::vector<Json> present;
    for (const size_t key : set) present.push_back(keys[key]);
    parts.push_back(WEIR_TRY(GroupStage(present, calls.calls, *select)));
  }
  std::map<std::string, Json> columns;
  const auto grouping = [&](const std::vector<size_t>& named,
                            const std::vector<size_t>& set) {
    int64_t bits = 0;
    for (const size_t key : named)
      bits = bits * 2 + (std::find(set.begin(), set.end(), key) == set.end() ? 1 : 0);
    return ast_.ParseExpr(fmt::format("CAST({} AS BIGINT)", bits));
  };
  if (sets.size() == 1) {
    for (size_t i = 0; i < sets[0].size(); ++i)
      columns[fmt::format("_k{}", sets[0][i])] = parts[0].keys[i];
    for (size_t i = 0; i < calls.calls.size(); ++i)
      columns[fmt::format("_a{}", i)] = parts[0].calls[i];
    for (size_t i = 0; i < calls.groupings.size(); ++i)
      columns[fmt::format("_g{}", i)] = WEIR_TRY(grouping(calls.groupings[i], sets[0]));
    select->input = parts[0].input;
  } else {
    const auto key_types = WEIR_TRY(NativeTypes(select->input, keys));
    Stage all;
    all.kind = BlockKind::kUnion;
    all.ports.resize(sets.size());
    std::vector<Item> items;
    for (size_t s = 0; s < sets.size(); ++s) {
      items.clear();
      for (size_t i = 0; i < keys.size(); ++i) {
        const auto at = std::find(sets[s].begin(), sets[s].end(), i);
        items.push_back(
            {fmt::format("_k{}", i),
             at == sets[s].end()
                 ? WEIR_TRY(ast_.ParseExpr(fmt::format("CAST(NULL AS {})", key_types[i])))
                 : parts[s].keys[static_cast<size_t>(at - sets[s].begin())]});
      }
      for (size_t i = 0; i < calls.calls.size(); ++i)
        items.push_back({fmt::format("_a{}", i), parts[s].calls[i]});
      for (size_t i = 0; i < calls.groupings.size(); ++i) {
        items.push_back(
            {fmt::format("_g{}", i), WEIR_TRY(grouping(calls.groupings[i], sets[s]))});
      }
      WEIR_TRY(SetPort(parts[s].input, Json(), items, &all.ports[s]));
      if (all.ports[s].schema != all.ports[0].schema)
        return Invalid("its grouping sets differ in their types");
    }
    const auto natives = WEIR_TRY(NativeTypes(all.ports[0].sql, items.size()));
    all.output = all.ports[0].schema;
    for (size_t i = 0; i < items.size(); ++i) {
      columns[items[i].name] =
          WEIR_TRY(StoredColumn(items[i].name, all.output.fields[i].type, natives[i]));
    }
    select->input = WEIR_TRY(AddStage(std::move(all)));
    select->input.few = true;
  }
  select->where = Json();
  select->ForEachExpr([&](Json& expr) { expr = Substitute(std::move(expr), columns); });
  return {};
}

Result<QueryPlanner::Grouped> QueryPlanner::GroupStage(const std::vector<Json>& keys,
                                                       const std::vector<Json>& calls,
                                                       const Select& select) {
  if (keys.empty() && calls.empty()) return Invalid("it has neither keys nor aggregates");
  auto native = NativeGroups(keys, calls, select);
  if (native.ok() || native.error().code != Code::kInvalid) return native;
  return RecomputedGroups(keys, calls, select, native.error().message);
}

Result<QueryPlanner::Grouped> QueryPlanner::NativeGroups(const std::vector<Json>& keys,
                                                         const std::vector<Json>& calls,
                                                         const Select& select) {
  Stage stage;
  stage.ports.resize(1);
  Port& port = stage.ports[0];
  PortColumns columns;
  for (const Json& key : keys) port.exchange_keys.push_back(columns.Add(key, "k"));
  for (const Json& call : calls)
    stage.aggregate.calls.push_back(WEIR_TRY(PlanCall(call, &columns)));
  if (columns.items().empty())  // count(*)
    columns.Add(WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)")), "c");
  WEIR_TRY(SetPort(select.input, select.where, columns.items(), &port));
  WEIR_TRY(CheckCalls(stage));
  auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  Grouped out;
  std::vector<std::string> key_names;
  std::vector<int>
      key_columns;  // a column may be a key twice: GROUP BY ALL of `a, a AS b`
  for (const int key : port.exchange_keys) {
    const data::Field& field = port.schema.fields[static_cast<size_t>(key)];
    out.keys.push_back(WEIR_TRY(
        StoredColumn(field.name, field.type, natives[static_cast<size_t>(key)])));
    if (std::find(key_columns.begin(), key_columns.end(), key) != key_columns.end())
      continue;
    key_columns.push_back(key);
    stage.output.fields.push_back(field);
    key_names.push_back(field.name);
  }
  port.exchange_keys = std::move(key_columns);
  stage.append_only = calls.empty() && select.input.append_only;
  if (calls.empty()) {
    stage.kind = BlockKind::kDistinct;
  } else {
    stage.kind = BlockKind::kAggregate;
    std::vector<Item> results;
    for (size_t i = 0; i < calls.size(); ++i)
      results.push_back({fmt::format("a{}", i), calls[i]});
    const std::string sql =
        fmt::format("SELECT {}0 AS _end FROM {}", WEIR_TRY(SelectList(results)),
                    duck::QuoteTable(select.input.name));
    const data::Schema stored = WEIR_TRY(pieces_.Describe(sql));
    natives = WEIR_TRY(NativeTypes(sql, calls.size()));
    for (size_t i = 0; i < calls.size(); ++i) {
      ops::AggregateCall& call = stage.aggregate.calls[i];
      const bool counts =
          call.kind == AggregateKind::kCountStar || call.kind == AggregateKind::kCount;
      call.result = counts ? data::Simple(Kind::kInt64) : stored.fields[i].type;
      stage.output.fields.push_back({results[i].name, call.result});
      out.calls.push_back(
          WEIR_TRY(StoredColumn(results[i].name, call.result, natives[i])));
    }
    stage.aggregate.keys = port.exchange_keys;
    stage.aggregate.output = stage.output;
    stage.aggregate.input_retracts = !select.input.append_only;
    WEIR_TRY(CheckOperator(&stage, calls));
  }
  stage.one_group = keys.empty();
  out.input = WEIR_TRY(AddStage(std::move(stage)));
  if (!keys.empty()) out.input.keys = {key_names};
  out.input.few = true;
  return out;
}

// Whether the operator takes all calls, now that their types are known.
Status QueryPlanner::CheckOperator(Stage* stage, const std::vector<Json>& calls) {
  for (size_t i = 0; i < calls.size(); ++i) {
    if (CallName(calls[i]) != "median") continue;
    // The value in the middle, where none can be between.
    ops::AggregateCall& call = stage->aggregate.calls[i];
    const data::Type& type =
        stage->ports[0].schema.fields[static_cast<size_t>(call.argument)].type;
    if (type.kind == Kind::kString || type.kind == Kind::kBool ||
        type.kind == Kind::kBinary || type.is_nested())
      call.kind = AggregateKind::kQuantileDisc;
  }
  const auto op =
      ops::NewAggregate(stage->aggregate, stage->ports[0].schema, nullptr, "check", 1);
  if (!op.ok()) return Invalid(op.error().message);
  return {};
}

// Aggregates that need all rows of the group: GROUP BY by DuckDB over the groups that
// changed.
Result<QueryPlanner::Grouped> QueryPlanner::RecomputedGroups(
    const std::vector<Json>& keys, const std::vector<Json>& calls, const Select& select,
    const std::string& why) {
  if (keys.empty() && !select.input.few) return Invalid(why);
  Stage stage;
  stage.kind = BlockKind::kRecompute;
  stage.why = why;
  stage.one_group = keys.empty();
  stage.ports.resize(1);
  Port& port = stage.ports[0];
  PortColumns columns;
  for (const Json& key : keys) port.exchange_keys.push_back(columns.Add(key, "k"));
  for (const Json& call : calls) {  // what it computes row by row
    Json copy = call;
    ForEachArgument(AggregateIn(copy),
                    [&](Json& argument) { columns.Add(argument, "c"); });
  }
  if (columns.items().empty())
    columns.Add(WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)")), "c");
  WEIR_TRY(SetPort(select.input, select.where, columns.items(), &port));
  const auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  std::vector<Json> stored;
  for (size_t i = 0; i < natives.size(); ++i) {
    const data::Field& field = port.schema.fields[i];
    stored.push_back(WEIR_TRY(StoredColumn(field.name, field.type, natives[i])));
  }
  std::vector<Item> results;
  std::string group_by;
  for (size_t i = 0; i < keys.size(); ++i) {
    const int column = port.exchange_keys[i];
    if (port.schema.fields[static_cast<size_t>(column)].type.is_nested())
      return Invalid("it groups by a nested column: " + why);
    results.push_back({fmt::format("g{}", i), stored[static_cast<size_t>(column)]});
    group_by += fmt::format("{}{}", i == 0 ? " GROUP BY " : ", ", columns.name(column));
  }
  for (size_t i = 0; i < calls.size(); ++i) {
    Json call = calls[i];
    ForEachArgument(AggregateIn(call), [&](Json& argument) {
      argument = stored[static_cast<size_t>(columns.Add(argument, "c"))];
    });
    results.push_back({fmt::format("a{}", i), std::move(call)});
  }
  std::string list = WEIR_TRY(SelectList(results));
  list.resize(list.size() - 2);
  stage.recompute_sql = fmt::format("SELECT {} FROM {}{}", list, PortName(0), group_by);
  WEIR_TRY(pieces_.DeclareInput(PortName(0), port.schema));
  stage.output = WEIR_TRY(pieces_.Describe(stage.recompute_sql));
  const auto types = WEIR_TRY(NativeTypes(stage.recompute_sql, results.size()));
  Grouped out;
  std::vector<std::string> key_names;
  for (size_t i = 0; i < results.size(); ++i) {
    const data::Field& field = stage.output.fields[i];
    Json column = WEIR_TRY(StoredColumn(field.name, field.type, types[i]));
    if (i < keys.size()) key_names.push_back(field.name);
    (i < keys.size() ? out.keys : out.calls).push_back(std::move(column));
  }
  out.input = WEIR_TRY(AddStage(std::move(stage)));
  if (!keys.empty()) out.input.keys = {key_names};
  out.input.few = true;
  return out;
}

// How the call is kept from changes. kInvalid: why it is not.
Result<ops::AggregateCall> QueryPlanner::PlanCall(const Json& call,
                                                  PortColumns* columns) {
  const std::string name = CallName(call);
  const Json& arguments = call["children"];
  static const std::map<std::string, AggregateKind> kSimple = {
      {"count", AggregateKind::kCount},      {"sum", AggregateKind::kSum},
      {"avg", AggregateKind::kAvg},          {"mean", AggregateKind::kAvg},
      {"min", AggregateKind::kMin},          {"max", AggregateKind::kMax},
      {"bool_and", AggregateKind::kBoolAnd}, {"bool_or", AggregateKind::kBoolOr}};
  static const std::map<std::string, AggregateKind> kSpreads = {
      {"stddev", AggregateKind::kStddevSamp},
      {"stddev_samp", AggregateKind::kStddevSamp},
      {"variance", AggregateKind::kVarSamp},
      {"var_samp", AggregateKind::kVarSamp},
      {"stddev_pop", AggregateKind::kStddevPop},
      {"var_pop", AggregateKind::kVarPop}};
  static const std::set<std::string> kLists = {"list", "array_agg"},
                                     kTexts = {"string_agg", "group_concat", "listagg"};
  static const std::set<std::string> kIgnoreDistinct = {"min", "max", "bool_and",
                                                        "bool_or"};
  static const std::set<std::string> kOfDistinct = {"count", "sum", "avg", "mean"};
  ops::AggregateCall out;
  if (WEIR_TRY(IsLogSum(call))) {
    const Json& terms = AggregateIn(call);
    out.kind = AggregateKind::kLogSum;
    out.argument = columns->Add(terms["children"][0], "c");
    if (!terms["filter"].is_null()) out.filter = columns->Add(terms["filter"], "c");
    return out;
  }
  const auto orders = call["order_bys"]["orders"].get<std::vector<Json>>();
  const bool list = kLists.contains(name), text = kTexts.contains(name);
  out.distinct = call["distinct"] == true && !kIgnoreDistinct.contains(name);
  if (out.distinct && !list && !text && !kOfDistinct.contains(name))
    return Invalid(fmt::format("{}(DISTINCT …) needs all rows of its group", name));
  std::vector<Json> filters;
  SplitAnd(call["filter"], &filters);
  if (name == "count_star" ||
      (name == "count" && (arguments.empty() || IsNonNullConstant(arguments[0])))) {
    out.kind = AggregateKind::kCountStar;
  } else if ((name == "count_if" || name == "countif") && arguments.size() == 1) {
    // DuckDB's count_if is a sum: NULL where the condition is NULL for all rows.
    out.kind = AggregateKind::kSum;
    out.argument = columns->Add(
        WEIR_TRY(ast_.ParseExpr(fmt::format("CAST(CAST({} AS BOOLEAN) AS INTEGER)",
                                            WEIR_TRY(ast_.PrintExpr(arguments[0]))))),
        "c");
  } else if (kSimple.contains(name) && arguments.size() == 1) {
    out.kind = kSimple.at(name);
    out.argument = columns->Add(arguments[0], "c");
  } else if (const auto extreme = AsArgExtreme(name); extreme && arguments.size() == 2) {
    std::vector<Json> orders = {arguments[1]};
    if (IsCall(arguments[1]) && CallName(arguments[1]) == "row") {
      // As order completion writes it: (order, ties …) where the order is not NULL.
      orders = arguments[1]["children"].get<std::vector<Json>>();
      const auto present = std::find_if(
          filters.begin(), filters.end(),
          [&](const Json& f) { return Same(f, IsNotNull(Plain(orders[0]))); });
      if (present == filters.end()) return Invalid("it orders by a nested column");
      filters.erase(present);
    }
    out.kind = extreme->is_max ? AggregateKind::kArgMax : AggregateKind::kArgMin;
    if (extreme->keeps_null) {  // first and last take NULL for a value
      out.kind = extreme->is_max ? AggregateKind::kLast : AggregateKind::kFirst;
      filters.push_back(IsNotNull(orders[0]));
    }
    out.argument = columns->Add(arguments[0], "c");
    for (Json& order : orders) order = OrderTerm(std::move(order));
    SetOrder(orders, columns, &out);
    out.descending.clear();
  } else if ((name == "first" || name == "arbitrary" || name == "last" ||
              name == "any_value") &&
             arguments.size() == 1) {
    out.kind = name == "last" ? AggregateKind::kLast : AggregateKind::kFirst;
    out.argument = columns->Add(arguments[0], "c");
    if (name == "any_value") filters.push_back(IsNotNull(arguments[0]));
    if (orders.empty()) return Invalid(fmt::format("{}() has no order", name));
    SetOrder(orders, columns, &out);
  } else if (list || text) {
    if (arguments.size() != 1 && !(text && arguments.size() == 2))
      return Invalid(fmt::format("{}() has other arguments", name));
    out.kind = list ? AggregateKind::kList : AggregateKind::kStringAgg;
    out.argument = columns->Add(arguments[0], "c");
    if (text) {
      const Json separator = arguments.size() == 1
                                 ? Json{{"is_null", false}, {"value", ","}}
                                 : arguments[1].value("value", Json::object());
      if (separator.value("is_null", true) || !separator["value"].is_string())
        return Invalid(fmt::format("{}() has a separator that is no plain text", name));
      out.separator = separator["value"];
    }
    if (out.distinct) {
      // By its own value, as order completion has it when nothing else is said.
      if (orders.size() != 1 || !Same(orders[0]["expression"], arguments[0]) ||
          orders[0]["type"] != "ASCENDING" || orders[0]["null_order"] != "NULLS LAST")
        return Invalid(fmt::format("{}(DISTINCT …) has an order of its own", name));
    } else {
      SetOrder(orders, columns, &out);
    }
  } else if (name == "mode" && arguments.size() == 1) {
    if (orders.size() != 1 || !Same(orders[0]["expression"], arguments[0]) ||
        orders[0]["type"] != "ASCENDING")
      return Invalid("mode() has an order of its own");
    out.kind = AggregateKind::kMode;
    out.argument = columns->Add(arguments[0], "c");
  } else if (kSpreads.contains(name) && arguments.size() == 1) {
    out.kind = kSpreads.at(name);
    out.argument = columns->Add(WEIR_TRY(Cast(arguments[0], "DOUBLE")), "c");
  } else if (name == "median" && arguments.size() == 1 && orders.empty()) {
    out.kind = AggregateKind::kQuantileCont;
    out.argument = columns->Add(arguments[0], "c");
  } else if ((name == "quantile_cont" || name == "quantile_disc" || name == "quantile") &&
             arguments.size() == 2 && orders.empty()) {
    out.kind = name == "quantile_cont" ? AggregateKind::kQuantileCont
                                       : AggregateKind::kQuantileDisc;
    out.argument = columns->Add(arguments[0], "c");
    out.fraction = WEIR_TRY(FractionOf(arguments[1]));
  } else {
    return Invalid(fmt::format("{}() needs all rows of its group", name));
  }
  Json filter;
  for (Json& condition : filters) filter = And(std::move(filter), std::move(condition));
  if (!filter.is_null()) out.filter = columns->Add(filter, "c");
  return out;
}

void QueryPlanner::SetOrder(const std::vector<Json>& orders, PortColumns* columns,
                            ops::AggregateCall* out) {
  const OperatorOrder order = ForOperator(orders);
  for (const Json& expr : order.exprs) out->order.push_back(columns->Add(expr, "c"));
  if (std::find(order.descending.begin(), order.descending.end(), true) !=
      order.descending.end())
    out->descending = order.descending;
}

// What the operator can take, now that the types are known.
Status QueryPlanner::CheckCalls(const Stage& stage) {
  const auto type = [&](int column) -> const data::Type& {
    return stage.ports[0].schema.fields[static_cast<size_t>(column)].type;
  };
  for (const ops::AggregateCall& call : stage.aggregate.calls) {
    const bool adds =
        call.kind == AggregateKind::kSum || call.kind == AggregateKind::kAvg;
    if (adds && (type(call.argument).kind < Kind::kInt32 ||
                 type(call.argument).kind > Kind::kDecimal)) {
      return Invalid(fmt::format("it adds up values of type {}",
                                 data::TypeName(type(call.argument))));
    }
    const bool is_extreme =
        call.kind == AggregateKind::kMin || call.kind == AggregateKind::kMax;
    if (is_extreme && type(call.argument).is_nested()) {
      return Invalid(fmt::format("it compares values of type {}",
                                 data::TypeName(type(call.argument))));
    }
    for (const int column : call.order) {
      if (type(column).is_nested()) return Invalid("it orders by a nested column");
    }
    if (call.filter >= 0 && type(call.filter).kind != Kind::kBool)
      return Invalid("a FILTER is not a condition");
  }
  return {};
}

// Subqueries in HAVING and in the select list of groups.
Status QueryPlanner::AttachPending(const Json& ctes, Select* select) {
  std::set<std::string> names;
  select->ForEachExpr([&](Json& expr) {
    Visit(expr, [&](const Json& json) {
      if (IsClass(json, "COLUMN_REF") && pending_.contains(NamesOf(json)[0]))
        names.insert(NamesOf(json)[0]);
      return true;
    });
  });
  if (names.empty()) return {};
  Source source;
  source.input = select->input;
  ScopeTable groups;
  groups.ours = true;
  for (const data::Field& field : source.input.schema.fields)
    groups.columns.push_back({field.name, ColumnRef({field.name})});
  source.tables.push_back(groups);
  std::map<std::string, Json> columns;
  for (const std::string& name : names) {
    Json subquery = pending_.at(name);
    pending_.erase(name);
    WEIR_TRY(JoinSubqueries(&subquery, ctes, &source));
    columns[name] = std::move(subquery);
  }
  for (auto& [name, expr] : columns) expr = WEIR_TRY(Resolve(expr, source));
  for (size_t i = 0; i < groups.columns.size(); ++i)
    columns[groups.columns[i].name] = source.tables.front().columns[i].expr;
  select->ForEachExpr([&](Json& expr) { expr = Substitute(std::move(expr), columns); });
  select->input = source.input;
  select->where = source.where;
  return {};
}

}  // namespace weir::plan
