#include <fmt/format.h>

#include <algorithm>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {

using data::SameName;

bool HasUnnest(const Json& expr) {
  bool has = false;
  Visit(expr, [&](const Json& json) {
    has |= IsCall(json) && CallName(json) == "unnest";
    return !has;
  });
  return has;
}

// EXISTS and IN as a condition of their own, with their sign.
const Json* ExistsOrIn(const Json& condition, bool* negated) {
  const Json* at = &condition;
  *negated = false;
  while (IsType(*at, "OPERATOR_NOT")) {
    *negated = !*negated;
    at = &(*at)["children"][0];
  }
  if (!IsClass(*at, "SUBQUERY")) return nullptr;
  const std::string type = (*at)["subquery_type"];
  if (type == "NOT_EXISTS") *negated = !*negated;
  if (type == "EXISTS" || type == "NOT_EXISTS") return at;
  if (type == "ANY" && !*negated && (*at)["comparison_type"] == "COMPARE_EQUAL")
    return at;
  return nullptr;
}

}  // namespace

void Select::ForEachExpr(const std::function<void(Json&)>& visit) {
  for (Item& item : items) visit(item.expr);
  if (!having.is_null()) visit(having);
  if (!qualify.is_null()) visit(qualify);
  for (Json& order : orders) visit(order["expression"]);
  for (Json& target : distinct_on) visit(target);
}

Result<Rows> QueryPlanner::Query(const Json& node, Json ctes) {
  for (const Json& entry : node["cte_map"]["map"]) ctes.push_back(entry);
  if (IsType(node, "SELECT_NODE")) return SelectQuery(node, ctes);
  if (IsType(node, "SET_OPERATION_NODE")) return SetOperation(node, ctes);
  return Invalid("it has a recursive query");
}

// FROM and WHERE. `rest`: conditions that name the select list.
Result<Source> QueryPlanner::Conditions(const Json& node, const Json& ctes,
                                        std::vector<Json>* rest) {
  std::vector<Json> conditions, plain, timed, checks;
  SplitAnd(node["where_clause"], &conditions);
  for (const Json& condition : conditions) {
    if (HasWatermark(condition)) {
      timed.push_back(condition);
    } else if (IsRowCheck(condition)) {
      // Not put below joins: rows that fail are taken from the same join.
      checks.push_back(condition);
    } else if (!HasSubquery(condition)) {
      plain.push_back(condition);
    }
  }
  Source source = WEIR_TRY(From(node["from_table"], ctes, &plain));
  for (Json& condition : conditions) {
    if (!HasSubquery(condition) || HasWatermark(condition)) continue;
    bool negated = false;
    if (const Json* subquery = ExistsOrIn(condition, &negated)) {
      WEIR_TRY(SemiJoin(*subquery, negated, ctes, &source));
      continue;
    }
    WEIR_TRY(JoinSubqueries(&condition, ctes, &source));
    plain.push_back(std::move(condition));
  }
  TakeConditions(&source, &plain);
  if (!timed.empty()) WEIR_TRY(WhileInTime(timed, &source));
  TakeConditions(&source, &checks);
  *rest = std::move(plain);
  rest->insert(rest->end(), checks.begin(), checks.end());
  return source;
}

// The select list, stars spelled out. A window or aggregate stays inside its item, its
// arguments resolved.
Status QueryPlanner::Items(const Json& node, const Source& source, Select* out) {
  for (const Json& item : node["select_list"]) {
    if (IsClass(item, "STAR")) {
      std::vector<Item> columns = WEIR_TRY(ExpandStar(item, source));
      out->items.insert(out->items.end(), columns.begin(), columns.end());
      continue;
    }
    std::string name = AliasOf(item);
    if (name.empty())
      name = IsClass(item, "COLUMN_REF") ? NamesOf(item).back()
                                         : WEIR_TRY(ast_.PrintExpr(item));
    Json expr = WEIR_TRY(Resolve(item, source, &out->items));
    out->has_unnest |= HasUnnest(expr);
    out->items.push_back({std::move(name), std::move(expr)});
  }
  return {};
}

// An ORDER BY or DISTINCT ON expression: an ordinal, an alias or an expression.
Result<Json> QueryPlanner::Target(const Json& expr, const Source& source,
                                  const Select& select) {
  const auto ordinal = AsInteger(expr);
  if (ordinal && *ordinal >= 1 && *ordinal <= static_cast<int64_t>(select.items.size()))
    return select.items[static_cast<size_t>(*ordinal - 1)].expr;
  return Resolve(expr, source, &select.items, IsColumn(expr));
}

// ORDER BY where it decides which rows there are, and DISTINCT ON.
Status QueryPlanner::Orders(const Json& node, const Source& source, Select* out) {
  bool matters = false;
  for (const Json& modifier : node["modifiers"]) {
    if (IsType(modifier, "LIMIT_MODIFIER")) matters = true;
    if (!IsType(modifier, "DISTINCT_MODIFIER")) continue;
    for (const Json& target : modifier["distinct_on_targets"])
      out->distinct_on.push_back(WEIR_TRY(Target(target, source, *out)));
    matters |= !out->distinct_on.empty();
  }
  if (!matters) return {};
  for (const Json& modifier : node["modifiers"]) {
    if (!IsType(modifier, "ORDER_MODIFIER")) continue;
    for (Json order : modifier["orders"]) {
      if (IsClass(order["expression"], "STAR")) {  // ORDER BY ALL
        for (const Item& item : out->items) {
          Json term = order;
          term["expression"] = item.expr;
          out->orders.push_back(std::move(term));
        }
        continue;
      }
      order["expression"] = WEIR_TRY(Target(order["expression"], source, *out));
      out->orders.push_back(std::move(order));
    }
  }
  Json list(std::move(out->orders));
  MakeExplicit(&list);
  out->orders = list.get<std::vector<Json>>();
  return {};
}

Result<Rows> QueryPlanner::SelectQuery(const Json& node, const Json& ctes) {
  if (!node["sample"].is_null()) return Invalid("it takes a sample");
  const Inside inside(*this, node);
  std::vector<Json> rest;
  Source source = WEIR_TRY(Conditions(node, ctes, &rest));
  const bool aggregated = IsAggregated(node, functions_);
  Json present = node;
  for (const char* part : {"select_list", "qualify", "modifiers", "having"}) {
    if (!HasSubquery(present[part])) continue;
    if (!aggregated) {
      WEIR_TRY(JoinSubqueries(&present[part], ctes, &source));
      continue;
    }
    Visit(present[part], [&](Json& json) {  // they are looked at beside the groups
      if (!IsClass(json, "SUBQUERY")) return true;
      const std::string name = fmt::format("_pending{}", ++subqueries_);
      const std::string alias = AliasOf(json);
      pending_[name] = json;
      json = ColumnRef({name});
      json["alias"] = alias;
      return false;
    });
  }
  Select select;
  WEIR_TRY(Items(present, source, &select));
  select.input = source.input;
  select.where = source.where;
  for (const Json& condition : rest) {
    select.where =
        And(std::move(select.where), WEIR_TRY(Resolve(condition, source, &select.items)));
  }
  WEIR_TRY(Orders(present, source, &select));
  if (aggregated) {
    if (select.has_unnest) return Invalid("it unnests and groups at once");
    WEIR_TRY(GroupBy(present, ctes, source, &select));
  } else {
    if (!present["having"].is_null()) return Invalid("it has HAVING without groups");
    if (!present["qualify"].is_null())
      select.qualify = WEIR_TRY(Resolve(present["qualify"], source, &select.items));
  }
  if (!WEIR_TRY(FirstRows(&select))) WEIR_TRY(Windows(&select));
  if (!select.qualify.is_null()) {
    select.where = And(std::move(select.where), std::move(select.qualify));
    select.qualify = Json();
  }
  WEIR_TRY(AfterRows(present, &select));
  return Finish(std::move(select));
}

// DISTINCT and LIMIT. An ORDER BY alone means nothing for a table.
Status QueryPlanner::AfterRows(const Json& node, Select* select) {
  if (!select->distinct_on.empty()) {
    std::vector<Json> orders;
    for (const Json& order : select->orders) {
      const bool is_key = std::any_of(
          select->distinct_on.begin(), select->distinct_on.end(),
          [&](const Json& key) { return Plain(key) == Plain(order["expression"]); });
      if (!is_key) orders.push_back(order);
    }
    const std::vector<Json> keys = select->distinct_on;
    WEIR_TRY(Top(keys, orders, 1, select));
  }
  for (const Json& modifier : node["modifiers"]) {
    if (IsType(modifier, "DISTINCT_MODIFIER") && modifier["distinct_on_targets"].empty())
      WEIR_TRY(DistinctRows(select));
  }
  for (const Json& modifier : node["modifiers"]) {
    if (IsType(modifier, "LIMIT_MODIFIER")) {
      WEIR_TRY(Limit(modifier, select));
    } else if (!IsType(modifier, "DISTINCT_MODIFIER") &&
               !IsType(modifier, "ORDER_MODIFIER")) {
      return Invalid("it has LIMIT by percent");
    }
  }
  return {};
}

Status QueryPlanner::DistinctRows(Select* select) {
  Stage stage;
  stage.kind = BlockKind::kDistinct;
  stage.ports.resize(1);
  PortColumns columns;
  std::vector<int> positions;
  for (const Item& item : select->items) positions.push_back(columns.Add(item.expr, "c"));
  Port& port = stage.ports[0];
  WEIR_TRY(SetPort(select->input, select->where, columns.items(), &port));
  const auto natives = WEIR_TRY(NativeTypes(port.sql, columns.items().size()));
  std::vector<std::string> key;
  for (size_t i = 0; i < columns.items().size(); ++i) {
    port.exchange_keys.push_back(static_cast<int>(i));
    key.push_back(columns.items()[i].name);
  }
  stage.output = port.schema;
  stage.append_only = select->input.append_only;
  const data::Schema schema = stage.output;
  std::vector<Json> stored;
  for (size_t i = 0; i < columns.items().size(); ++i) {
    stored.push_back(
        WEIR_TRY(StoredColumn(schema.fields[i].name, schema.fields[i].type, natives[i])));
  }
  for (Json& order : select->orders) {
    const auto found = std::find_if(
        columns.items().begin(), columns.items().end(),
        [&](const Item& item) { return Plain(item.expr) == Plain(order["expression"]); });
    if (found == columns.items().end())
      return Invalid("it orders distinct rows by what they do not have");
    order["expression"] = stored[static_cast<size_t>(found - columns.items().begin())];
  }
  for (size_t i = 0; i < select->items.size(); ++i)
    select->items[i].expr = stored[static_cast<size_t>(positions[i])];
  const bool few = select->input.few;
  select->input = WEIR_TRY(AddStage(std::move(stage)));
  select->input.few = few;
  select->input.keys = {key};
  select->where = Json();
  select->has_unnest = false;
  return {};
}

Status QueryPlanner::Limit(const Json& modifier, Select* select) {
  const auto number = [&](const char* part) -> std::optional<int64_t> {
    const Json value = modifier.value(part, Json());
    if (value.is_null()) return -1;
    return AsInteger(value);
  };
  const auto limit = number("limit"), offset = number("offset");
  if (!limit || !offset || *limit < 1) return Invalid("its LIMIT is not a plain number");
  if (select->orders.empty() && !select->items.empty()) {
    for (const Item& item : select->items) select->orders.push_back(OrderTerm(item.expr));
  }
  if (*offset <= 0) return Top({}, select->orders, *limit, select);
  // The first limit + offset rows without the first offset ones.
  Select all = *select, skipped = *select;
  WEIR_TRY(Top({}, select->orders, *limit + *offset, &all));
  WEIR_TRY(Top({}, select->orders, *offset, &skipped));
  Stage stage;
  stage.kind = BlockKind::kUnion;
  stage.ports.resize(2);
  std::vector<Item> columns;
  for (const data::Field& field : all.input.schema.fields)
    columns.push_back({field.name, ColumnRef({field.name})});
  WEIR_TRY(SetPort(all.input, Json(), columns, &stage.ports[0]));
  WEIR_TRY(SetPort(skipped.input, Json(), columns, &stage.ports[1], true));
  stage.output = all.input.schema;
  *select = std::move(all);
  const auto keys = select->input.keys;
  select->input = WEIR_TRY(AddStage(std::move(stage)));
  select->input.keys = keys;
  select->input.few = true;
  return {};
}

Result<Rows> QueryPlanner::Finish(Select select) {
  Rows rows;
  rows.input = std::move(select.input);
  rows.where = std::move(select.where);
  rows.items = std::move(select.items);
  rows.has_unnest = select.has_unnest;
  return rows;
}

// The same rows as the output of a stage.
Result<Rows> QueryPlanner::Materialize(Rows rows) {
  PortColumns columns;
  std::vector<int> positions;
  for (const Item& item : rows.items) positions.push_back(columns.Add(item.expr, "c"));
  Stage stage;
  stage.ports.resize(1);
  WEIR_TRY(SetPort(rows.input, rows.where, columns.items(), &stage.ports[0]));
  const auto natives = WEIR_TRY(NativeTypes(stage.ports[0].sql, columns.items().size()));
  stage.output = stage.ports[0].schema;
  stage.append_only = rows.input.append_only;
  const data::Schema schema = stage.output;
  Rows out;
  out.input = WEIR_TRY(AddStage(std::move(stage)));
  out.input.few = rows.input.few;
  for (const auto& key : rows.input.keys) {
    auto carried = Carried(key, columns.items());
    if (!carried.empty() && !rows.has_unnest)
      out.input.keys.push_back(std::move(carried));
  }
  for (size_t i = 0; i < rows.items.size(); ++i) {
    const size_t c = static_cast<size_t>(positions[i]);
    out.items.push_back(
        {rows.items[i].name, WEIR_TRY(StoredColumn(schema.fields[c].name,
                                                   schema.fields[c].type, natives[c]))});
  }
  return out;
}

// Casts the columns of both to their common types.
Status QueryPlanner::Align(Rows* left, Rows* right) {
  if (left->items.size() != right->items.size())
    return Invalid("its parts differ in their columns");
  const auto exprs = [](const Rows& rows) {
    std::vector<Json> out;
    for (const Item& item : rows.items) out.push_back(item.expr);
    return out;
  };
  const auto a = WEIR_TRY(NativeTypes(left->input, exprs(*left))),
             b = WEIR_TRY(NativeTypes(right->input, exprs(*right)));
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    const auto rows = WEIR_TRY(pieces_.Query(
        fmt::format("SELECT typeof(c) FROM (SELECT CAST(NULL AS {}) AS c UNION ALL "
                    "SELECT CAST(NULL AS {}))",
                    a[i], b[i]),
        nullptr));
    const std::string type = data::RowText(*rows[0], 0);
    if (a[i] != type) left->items[i].expr = WEIR_TRY(Cast(left->items[i].expr, type));
    if (b[i] != type) right->items[i].expr = WEIR_TRY(Cast(right->items[i].expr, type));
  }
  return {};
}

// The same columns in the same order on both sides; NULL where one has none.
Status QueryPlanner::MatchNames(Rows* left, Rows* right) {
  const Json null = WEIR_TRY(ast_.ParseExpr("NULL"));
  const auto find = [](const Rows& rows, const std::string& name) {
    return std::find_if(rows.items.begin(), rows.items.end(),
                        [&](const Item& item) { return SameName(item.name, name); });
  };
  std::vector<Item> matched;
  for (const Item& item : left->items) {
    const auto same = find(*right, item.name);
    matched.push_back({item.name, same == right->items.end() ? null : same->expr});
  }
  for (const Item& item : right->items) {
    if (find(*left, item.name) != left->items.end()) continue;
    left->items.push_back({item.name, null});
    matched.push_back(item);
  }
  right->items = std::move(matched);
  return {};
}

Result<Rows> QueryPlanner::SetOperation(const Json& node, const Json& ctes) {
  std::string type = node["setop_type"];
  const bool all = node["setop_all"] == true, by_name = type == "UNION_BY_NAME";
  if (by_name) type = "UNION";
  if (type != "UNION" && type != "EXCEPT" && type != "INTERSECT")
    return Invalid(fmt::format("it has {}", type));
  Rows sides[2] = {WEIR_TRY(Query(node["left"], ctes)),
                   WEIR_TRY(Query(node["right"], ctes))};
  for (Rows& rows : sides) {
    if (rows.has_unnest) rows = WEIR_TRY(Materialize(std::move(rows)));
  }
  if (by_name) WEIR_TRY(MatchNames(&sides[0], &sides[1]));
  WEIR_TRY(Align(&sides[0], &sides[1]));
  std::vector<Item> items = sides[0].items;  // the result's
  Select select;
  Stage stage;
  stage.ports.resize(2);
  std::vector<std::string> natives;
  std::vector<int> every;
  for (size_t side = 0; side < 2; ++side) {
    std::vector<Item> columns = sides[side].items;
    for (size_t i = 0; i < columns.size(); ++i) columns[i].name = fmt::format("c{}", i);
    WEIR_TRY(SetPort(sides[side].input, sides[side].where, columns, &stage.ports[side]));
    if (side == 0) natives = WEIR_TRY(NativeTypes(stage.ports[0].sql, columns.size()));
  }
  if (stage.ports[0].schema != stage.ports[1].schema)
    return Invalid("its parts differ in their columns");
  for (size_t i = 0; i < items.size(); ++i) {
    every.push_back(static_cast<int>(i));
    const data::Field& field = stage.ports[0].schema.fields[i];
    if (type != "UNION" && field.type.is_nested())
      return Invalid("it compares whole rows with nested columns");
    items[i].expr = WEIR_TRY(StoredColumn(field.name, field.type, natives[i]));
  }
  stage.output = stage.ports[0].schema;
  const bool appends = sides[0].input.append_only && sides[1].input.append_only;
  const bool few = sides[0].input.few && sides[1].input.few;
  if (type == "UNION") {
    stage.kind = BlockKind::kUnion;
    stage.append_only = appends;
    select.input = WEIR_TRY(AddStage(std::move(stage)));
  } else if (all) {
    stage.kind = BlockKind::kRecompute;
    for (Port& port : stage.ports) port.exchange_keys = every;
    stage.recompute_sql = fmt::format("SELECT * FROM {} {} ALL SELECT * FROM {}",
                                      PortName(0), type, PortName(1));
    stage.why = fmt::format("{} ALL counts equal rows of both sides", type);
    select.input = WEIR_TRY(AddStage(std::move(stage)));
  } else {
    // The distinct rows of the left side that are, or are not, on the right side.
    Stage distinct;
    distinct.kind = BlockKind::kDistinct;
    distinct.ports = {stage.ports[0]};
    distinct.ports[0].exchange_keys = every;
    distinct.output = stage.output;
    distinct.append_only = sides[0].input.append_only;
    const Input left = WEIR_TRY(AddStage(std::move(distinct)));
    std::vector<Item> columns;
    for (const data::Field& field : stage.output.fields)
      columns.push_back({field.name, ColumnRef({field.name})});
    WEIR_TRY(SetPort(left, Json(), columns, &stage.ports[0]));
    for (Port& port : stage.ports) port.exchange_keys = every;
    stage.kind = BlockKind::kJoin;
    stage.join.kind = type == "EXCEPT" ? ops::JoinKind::kAnti : ops::JoinKind::kSemi;
    stage.join.left_keys = stage.join.right_keys = every;
    stage.join.null_safe.assign(every.size(), true);
    stage.join.left_retracts = !left.append_only;
    stage.join.right_retracts = !sides[1].input.append_only;
    stage.append_only = appends && type == "INTERSECT";
    std::vector<std::string> key;
    for (const Item& column : columns) key.push_back(column.name);
    select.input = WEIR_TRY(AddStage(std::move(stage)));
    select.input.keys = {key};
  }
  select.input.few = few;
  select.items = std::move(items);
  if (type == "UNION" && !all) WEIR_TRY(DistinctRows(&select));
  Source source;
  source.input = select.input;
  source.tables.push_back({{}, select.items, false});
  WEIR_TRY(Orders(node, source, &select));
  WEIR_TRY(AfterRows(node, &select));
  return Finish(std::move(select));
}

// The rows that violate a constraint, with what they violate; of these the rejected ones
// get a port of `rejected`.
Status QueryPlanner::Judge(const Rows& rows, const std::vector<Expectation>& expectations,
                           Stage* rejected) {
  const Judged judged(ast_, plan_.model, expectations);
  std::vector<Item> columns;
  Json any;
  for (size_t i = 0; i < rows.items.size(); ++i)
    columns.push_back({fmt::format("c{}", i), rows.items[i].expr});
  std::vector<Json> violated;
  for (size_t i = 0; i < expectations.size(); ++i) {
    const std::string name = fmt::format("v{}", i);
    columns.push_back({name, expectations[i].Violated()});
    violated.push_back(ColumnRef({name}));
    any = And(std::move(any), expectations[i].condition);
  }
  any = Expectation{"", "", sql::OnViolation::kCount, std::move(any)}.Violated();
  Stage all;
  all.ports.resize(1);
  WEIR_TRY(SetPort(rows.input, And(rows.where, std::move(any)), columns, &all.ports[0]));
  all.output = all.ports[0].schema;
  all.append_only = rows.input.append_only;
  const Input violations = WEIR_TRY(AddStage(std::move(all)));
  plan_.violations_stage = violations.stage;
  if (judged.Rejects().is_null()) return {};
  Json where;  // some constraint that rejects is violated
  for (size_t i = 0; i < expectations.size(); ++i) {
    if (expectations[i].on_violation != sql::OnViolation::kQuarantine) continue;
    where = where.is_null() ? violated[i] : Or(std::move(where), violated[i]);
  }
  std::vector<Item> items;
  for (size_t i = 0; i < rows.items.size(); ++i)
    items.push_back({rows.items[i].name, ColumnRef({columns[i].name})});
  const std::vector<Json> reasons = WEIR_TRY(judged.Reasons(violated));
  for (size_t i = 0; i < reasons.size(); ++i)
    items.push_back({RejectedColumns()[i], reasons[i]});
  rejected->append_only &= violations.append_only;
  return SetPort(violations, where, items, &rejected->ports.emplace_back());
}

// The rows for which an expression fails, as ports of `rejected`.
Status QueryPlanner::Failed(const std::vector<Json>& queries, Stage* rejected) {
  for (const Json& query : queries) {
    Rows rows = WEIR_TRY(Query(query, Json::array()));
    if (rows.has_unnest) rows = WEIR_TRY(Materialize(std::move(rows)));
    for (size_t i = 0; i < plan_.output.fields.size(); ++i)
      rows.items[i].name = plan_.output.fields[i].name;
    rejected->append_only &= rows.input.append_only;
    WEIR_TRY(
        SetPort(rows.input, rows.where, rows.items, &rejected->ports.emplace_back()));
  }
  return {};
}

Status QueryPlanner::Plan(const Checked& checked,
                          const std::vector<Expectation>& expectations) {
  Rows rows = WEIR_TRY(Query(checked.query, Json::array()));
  if (rows.items.size() != plan_.output.fields.size())
    return Invalid("its columns could not be told apart");
  if (rows.has_unnest && !expectations.empty())
    rows = WEIR_TRY(Materialize(std::move(rows)));
  for (size_t i = 0; i < rows.items.size(); ++i)
    rows.items[i].name = plan_.output.fields[i].name;
  std::vector<Expectation> inner = expectations;  // over what the columns stand for
  Source columns;
  columns.tables.push_back(
      {{{Judged(ast_, plan_.model, expectations).alias()}}, rows.items, false});
  for (Expectation& expectation : inner)
    expectation.condition = WEIR_TRY(Resolve(expectation.condition, columns));
  Stage last;
  last.ports.resize(1);
  WEIR_TRY(SetPort(rows.input, And(rows.where, Judged(ast_, plan_.model, inner).Keeps()),
                   rows.items, &last.ports[0]));
  last.output = last.ports[0].schema;
  last.append_only = rows.input.append_only;
  if (last.output != plan_.output)
    return Invalid("the query in pieces gives other columns than the query as a whole");
  for (const auto& key : rows.input.keys) {
    plan_.key = Carried(key, rows.items);
    if (!plan_.key.empty() && !rows.has_unnest) break;
    plan_.key.clear();
  }
  plan_.append_only = last.append_only;
  Stage rejected;
  rejected.append_only = true;
  if (!inner.empty()) WEIR_TRY(Judge(rows, inner, &rejected));
  WEIR_TRY(Failed(checked.failed, &rejected));
  plan_.rows_stage = static_cast<int>(stages_.size());
  stages_.push_back(std::move(last));
  if (!rejected.ports.empty()) {
    if (rejected.ports.size() > 1) rejected.kind = BlockKind::kUnion;
    rejected.output = rejected.ports[0].schema;
    for (const Port& port : rejected.ports) {
      if (port.schema != rejected.output)
        return Invalid("the rows it rejects have different columns");
    }
    plan_.rejected_stage = static_cast<int>(stages_.size());
    stages_.push_back(std::move(rejected));
  }
  SkipEmptyPorts();
  // Stages that nothing reads: tried, and left for a better way.
  const auto read_by = [&](std::initializer_list<int> outputs) {
    std::vector<bool> read(stages_.size(), false);
    for (const int output : outputs) {
      if (output >= 0) read[static_cast<size_t>(output)] = true;
    }
    for (size_t i = stages_.size(); i-- > 0;) {
      if (!read[i]) continue;
      for (const Port& port : stages_[i].ports) {
        if (port.stage >= 0) read[static_cast<size_t>(port.stage)] = true;
      }
    }
    return read;
  };
  const auto read =
      read_by({plan_.rows_stage, plan_.rejected_stage, plan_.violations_stage});
  if (std::find(read.begin(), read.end(), false) != read.end())
    return Internal("a stage that nothing reads");
  const auto of_rows = read_by({plan_.rows_stage});
  plan_.kind = BlockKind::kRowWise;
  for (size_t i = 0; i < stages_.size(); ++i) {
    stages_[i].of_rows = of_rows[i];
    if (of_rows[i] && stages_[i].kind != BlockKind::kRowWise)
      plan_.kind = stages_[i].kind;
  }
  plan_.stages = std::move(stages_);
  return {};
}

Status PlanQuery(const Checked& checked, const std::vector<Expectation>& expectations,
                 duck::Session& pieces, const Tables& tables, const Functions& functions,
                 ModelPlan* plan) {
  ModelPlan planned = *plan;
  const Status status =
      QueryPlanner(pieces, tables, functions, &planned).Plan(checked, expectations);
  if (status.ok()) {
    *plan = std::move(planned);
    return {};
  }
  if (status.error().code != Code::kInvalid) return status;
  plan->kind = BlockKind::kFullRefresh;
  plan->why_not_better = status.error().message;
  return {};
}

}  // namespace weir::plan
