// Subqueries in expressions, as joins. One that names columns of the query around it is
// joined by the equalities that do so.
#include <fmt/format.h>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {
using ops::JoinKind;
}  // namespace

// A SELECT that only filters, so that its FROM and WHERE may be joined as they are.
bool QueryPlanner::IsSimple(const Json& node) const {
  if (!IsType(node, "SELECT_NODE") || IsAggregated(node, functions_) ||
      !node["qualify"].is_null() || HasWindow(node["select_list"]))
    return false;
  for (const Json& modifier : node["modifiers"]) {
    if (!IsType(modifier, "ORDER_MODIFIER") && !IsType(modifier, "DISTINCT_MODIFIER"))
      return false;
    if (IsType(modifier, "DISTINCT_MODIFIER") && !modifier["distinct_on_targets"].empty())
      return false;
  }
  return true;
}

// FROM and WHERE of a subquery; conditions that name the outer query become keys and
// residual.
Result<QueryPlanner::Inner> QueryPlanner::OpenInner(const Json& node, const Json& ctes,
                                                    const Source& outer) {
  Inner inner;
  if (IsType(node["from_table"], "EMPTY")) return Invalid("its subquery reads no table");
  std::vector<Json> conditions, rest;
  SplitAnd(node["where_clause"], &conditions);
  for (const Json& condition : conditions) {
    if (HasSubquery(condition)) return Invalid("it has a subquery in a subquery's WHERE");
  }
  inner.source = WEIR_TRY(Conditions(node, ctes, &rest));
  std::erase_if(rest, [&](const Json& condition) {  // constants
    if (HasColumn(condition)) return false;
    inner.source.where = And(std::move(inner.source.where), condition);
    return true;
  });
  TakeKeys(outer, inner.source, &rest, &inner.keys);
  // Beside the outer columns, names of the inner query still mean its own.
  ScopeTable own;
  own.ours = true;
  for (Json& condition : rest) {
    Visit(condition, [&](Json& json) {
      if (!IsClass(json, "COLUMN_REF")) return true;
      auto resolved = Resolve(json, inner.source);
      if (!resolved.ok()) return true;
      own.columns.push_back(
          {fmt::format("_inner{}", ++subqueries_), *std::move(resolved)});
      json = ColumnRef({own.columns.back().name});
      return false;
    });
  }
  if (!own.columns.empty()) inner.source.tables.push_back(std::move(own));
  inner.residual = std::move(rest);
  return inner;
}

// For a subquery that depends on the query by more than equality: its rows beside each
// different set of the outer values that it names. These values are its keys then.
Status QueryPlanner::JoinOuterValues(const Source& outer, Inner* inner) {
  std::set<std::string> names;
  for (const Json& condition : inner->residual) {
    Visit(condition, [&](const Json& json) {
      if (IsClass(json, "COLUMN_REF")) {
        for (const std::string& name : NamesOf(json)) names.insert(data::LowerName(name));
      }
      return true;
    });
  }
  Select select;
  select.input = outer.input;
  select.where = outer.where;
  Source values;
  for (const ScopeTable& table : outer.tables) {
    ScopeTable named = table;
    std::erase_if(named.columns, [&](const Item& column) {
      return !names.contains(data::LowerName(column.name));
    });
    for (const Item& column : named.columns) select.items.push_back(column);
    named.ours = true;  // not pruned
    values.tables.push_back(std::move(named));
  }
  const size_t named = select.items.size();
  for (const JoinKey& key : inner->keys) select.items.push_back({"_key", key.left});
  if (select.items.empty())
    return Invalid("its subquery has a condition of its own kind");
  const std::vector<Item> outer_values = select.items;
  WEIR_TRY(DistinctRows(&select));
  values.input = select.input;
  size_t next = 0;
  for (ScopeTable& table : values.tables) {
    for (Item& column : table.columns) column.expr = select.items[next++].expr;
  }
  ScopeTable keys;
  keys.ours = true;
  for (size_t i = 0; i < outer_values.size(); ++i)
    keys.columns.push_back({fmt::format("_outer{}", i), select.items[i].expr});
  values.tables.push_back(keys);
  const size_t place = values.tables.size() - 1;
  std::vector<JoinKey> equal;
  for (size_t i = 0; i < inner->keys.size(); ++i) {
    equal.push_back(
        {select.items[named + i].expr, inner->keys[i].right, inner->keys[i].null_safe});
  }
  // Names of the inner query come first.
  Source joined =
      WEIR_TRY(Join(ops::JoinKind::kInner, std::move(values), std::move(inner->source),
                    std::move(equal), inner->residual));
  inner->keys.clear();
  for (size_t i = 0; i < outer_values.size(); ++i) {
    inner->keys.push_back(
        {outer_values[i].expr, joined.tables[place].columns[i].expr, true});
  }
  std::rotate(joined.tables.begin(),
              joined.tables.begin() + static_cast<std::ptrdiff_t>(place + 1),
              joined.tables.end());
  inner->source = std::move(joined);
  return {};
}

Status QueryPlanner::SemiJoin(const Json& subquery, bool anti, const Json& ctes,
                              Source* source) {
  auto joined = PlainSemiJoin(subquery, anti, ctes, *source);
  if (!joined.ok() && joined.error().code == Code::kInvalid)
    joined = DependentSemiJoin(subquery, anti, ctes, *source);
  *source = WEIR_TRY(std::move(joined));
  return {};
}

Result<Source> QueryPlanner::PlainSemiJoin(const Json& subquery, bool anti,
                                           const Json& ctes, Source source) {
  Attempt attempt(*this);
  Json node = subquery["subquery"]["node"];
  Json all = ctes;
  for (const Json& entry : node["cte_map"]["map"]) all.push_back(entry);
  const bool is_in = subquery["subquery_type"] == "ANY";
  Inner inner;
  // `x IN (SELECT y …)` is EXISTS (… y = x).
  Json child;
  if (is_in) {
    if (HasSubquery(subquery["child"])) return Invalid("it has a subquery in an IN");
    child = WEIR_TRY(Resolve(subquery["child"], source));
  }
  if (IsSimple(node)) {
    const Inside inside(*this, node);
    inner = WEIR_TRY(OpenInner(node, all, source));
    if (is_in) {
      if (node["select_list"].size() != 1 || IsClass(node["select_list"][0], "STAR"))
        return Invalid("its IN does not compare with one column");
      inner.keys.push_back(
          {child, WEIR_TRY(Resolve(node["select_list"][0], inner.source)), false});
    }
  } else {
    Rows rows = WEIR_TRY(Query(node, all));
    if (rows.has_unnest) rows = WEIR_TRY(Materialize(std::move(rows)));
    if (is_in) {
      if (rows.items.size() != 1)
        return Invalid("its IN does not compare with one column");
      inner.keys.push_back({child, rows.items[0].expr, false});
    }
    inner.source.input = std::move(rows.input);
    inner.source.where = std::move(rows.where);
  }
  if (inner.residual.empty()) inner.source.tables.clear();
  Source joined =
      WEIR_TRY(Join(anti ? JoinKind::kAnti : JoinKind::kSemi, std::move(source),
                    std::move(inner.source), std::move(inner.keys), inner.residual));
  attempt.Keep();
  return joined;
}

Status QueryPlanner::JoinSubqueries(Json* expr, const Json& ctes, Source* source) {
  Status status;
  const std::function<void(Json&)> walk = [&](Json& json) {
    if (!status.ok() || !json.is_structured()) return;
    if (IsClass(json, "SUBQUERY")) {
      const std::string type = json["subquery_type"], alias = AliasOf(json);
      auto column = type == "SCALAR"
                        ? ScalarSubquery(json["subquery"]["node"], ctes, source)
                        : MarkSubquery(json, ctes, source);
      if (!column.ok()) {
        status = column.error();
        return;
      }
      json = *std::move(column);
      json["alias"] = alias;
      return;
    }
    for (Json& child : json) walk(child);
  };
  walk(*expr);
  return status;
}

Result<Json> QueryPlanner::ScalarSubquery(const Json& node, const Json& ctes,
                                          Source* source) {
  bool one_aggregate = IsType(node, "SELECT_NODE") && node["select_list"].size() == 1 &&
                       node["group_expressions"].empty() && node["having"].is_null() &&
                       node["qualify"].is_null() &&
                       functions_.HasAggregate(node["select_list"][0]) &&
                       !HasWindow(node["select_list"]);
  for (const Json& modifier : node["modifiers"])
    one_aggregate &= IsType(modifier, "ORDER_MODIFIER");
  if (one_aggregate) {
    Attempt attempt(*this);
    Source tried = *source;
    auto value = AggregateValue(node, ctes, &tried);
    if (value.ok()) {
      attempt.Keep();
      *source = std::move(tried);
      return value;
    }
    if (value.error().code != Code::kInvalid) return value;
  }
  return DependentValue(node, ctes, source);
}

// An aggregate without GROUP BY: there is exactly one row for each row outside.
Result<Json> QueryPlanner::AggregateValue(const Json& node, const Json& ctes,
                                          Source* source) {
  Json all = ctes;
  for (const Json& entry : node["cte_map"]["map"]) all.push_back(entry);
  const auto group = [&]() -> Result<std::pair<Select, std::vector<JoinKey>>> {
    const Inside inside(*this, node);
    Inner inner = WEIR_TRY(OpenInner(node, all, *source));
    if (!inner.residual.empty()) WEIR_TRY(JoinOuterValues(*source, &inner));
    for (const JoinKey& key : inner.keys) {
      if (key.null_safe && inner.residual.empty())
        return Invalid("its subquery depends by IS NOT DISTINCT FROM");
    }
    Select select;
    select.input = inner.source.input;
    select.where = inner.source.where;
    select.items.push_back(
        {"_value", WEIR_TRY(Resolve(node["select_list"][0], inner.source))});
    std::vector<Json> keys;
    std::vector<size_t> set;
    for (const JoinKey& key : inner.keys) {
      set.push_back(keys.size());
      keys.push_back(key.right);
      select.items.push_back({fmt::format("_key{}", keys.size() - 1), key.right});
    }
    WEIR_TRY(Group(keys, {set}, &select));
    return std::pair(std::move(select), std::move(inner.keys));
  };
  auto [select, keys] = WEIR_TRY(group());
  const int number = ++subqueries_;
  const std::string value = fmt::format("_value{}", number),
                    there = fmt::format("_there{}", number);
  Source inner;
  inner.input = select.input;
  inner.where = select.where;
  ScopeTable table;
  table.ours = true;
  table.columns.push_back({value, select.items[0].expr});
  Json result = ColumnRef({value});
  if (keys.empty()) {
    inner.tables.push_back(std::move(table));
    *source =
        WEIR_TRY(Join(JoinKind::kInner, std::move(*source), std::move(inner), {}, {}));
    return result;
  }
  table.columns.push_back({there, WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)"))});
  inner.tables.push_back(std::move(table));
  for (size_t i = 0; i < keys.size(); ++i) keys[i].right = select.items[i + 1].expr;
  *source = WEIR_TRY(
      Join(JoinKind::kLeft, std::move(*source), std::move(inner), std::move(keys), {}));
  return OverNothing(node["select_list"][0], there, value);
}

// Over no rows aggregate calls are 0 or NULL.
Result<Json> QueryPlanner::OverNothing(const Json& expr, const std::string& there,
                                       const std::string& value) {
  bool counts = false;
  Visit(expr, [&](const Json& json) {
    counts |= functions_.IsAggregate(json) && CallName(json).starts_with("count") &&
              !CallName(json).starts_with("count_if") &&
              !CallName(json).starts_with("countif");
    return true;
  });
  Json over_nothing = expr;
  over_nothing["alias"] = "";
  const std::function<void(Json&)> empty = [&](Json& json) {
    if (functions_.IsAggregate(json)) {
      const std::string name = CallName(json);
      const bool zero = name == "count" || name == "count_star";
      json = *ast_.ParseExpr(zero ? "CAST(0 AS BIGINT)" : "NULL");
      return;
    }
    for (Json& child : json) {
      if (child.is_structured()) empty(child);
    }
  };
  empty(over_nothing);
  if (HasColumn(over_nothing))
    return Invalid("its subquery names a column beside an aggregate");
  if (!counts && over_nothing == *ast_.ParseExpr("NULL")) return ColumnRef({value});
  return ast_.ParseExpr(fmt::format("CASE WHEN {} IS NULL THEN {} ELSE {} END", there,
                                    WEIR_TRY(ast_.PrintExpr(over_nothing)), value));
}

// Whether the outer row's keys are among the distinct ones that `select` gives: `there`
// is not NULL.
Status QueryPlanner::MarkKeys(Select select, std::vector<JoinKey> keys,
                              const std::string& there, Source* source) {
  WEIR_TRY(DistinctRows(&select));
  Source inner;
  inner.input = select.input;
  ScopeTable table;
  table.ours = true;
  table.columns.push_back({there, WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)"))});
  inner.tables.push_back(std::move(table));
  for (size_t i = 0; i < keys.size(); ++i) keys[i].right = select.items[i].expr;
  *source = WEIR_TRY(
      Join(JoinKind::kLeft, std::move(*source), std::move(inner), std::move(keys), {}));
  return {};
}

// EXISTS as a value.
Result<Json> QueryPlanner::ExistsValue(const Json& subquery, const Json& ctes,
                                       Source* source) {
  const Json& node = subquery["subquery"]["node"];
  const bool exists = subquery["subquery_type"] == "EXISTS";
  Dependent rows = WEIR_TRY(DependentRows(node, ctes, *source));
  if (rows.always_one) return ast_.ParseExpr(exists ? "true" : "false");
  if (rows.keys.empty()) {
    Json count = WEIR_TRY(ast_.ParseExpr(exists ? "n > 0" : "n = 0"));
    count["left"] = WEIR_TRY(ScalarOver(node, "count(*)"));
    WEIR_TRY(JoinSubqueries(&count, ctes, source));
    return count;
  }
  const std::string there = fmt::format("_there{}", ++subqueries_);
  Select select;
  select.input = rows.rows.input;
  select.where = rows.rows.where;
  for (const JoinKey& key : rows.keys) select.items.push_back({"k", key.right});
  WEIR_TRY(MarkKeys(std::move(select), std::move(rows.keys), there, source));
  return ast_.ParseExpr(fmt::format("({} IS {} NULL)", there, exists ? "NOT" : ""));
}

// IN as a value: NULL where the value is NULL or a NULL is among the rows, and there is a
// row but no equal one.
Result<Json> QueryPlanner::MarkSubquery(const Json& subquery, const Json& ctes,
                                        Source* source) {
  const Json& node = subquery["subquery"]["node"];
  const std::string type = subquery["subquery_type"];
  if (type == "EXISTS" || type == "NOT_EXISTS")
    return ExistsValue(subquery, ctes, source);
  if (type != "ANY")
    return Invalid("it has a subquery that is none of a value, EXISTS and IN");
  if (subquery["comparison_type"] != "COMPARE_EQUAL") {
    Json comparison = WEIR_TRY(AnyComparison(subquery));
    WEIR_TRY(JoinSubqueries(&comparison, ctes, source));
    return comparison;
  }
  Json all = ctes;
  for (const Json& entry : node["cte_map"]["map"]) all.push_back(entry);
  auto query = [&] {
    Attempt attempt(*this);
    auto made = Query(node, all);
    if (made.ok()) attempt.Keep();
    return made;
  }();
  if (!query.ok() && query.error().code == Code::kInvalid)
    return DependentIn(subquery, ctes, source);
  Rows rows = WEIR_TRY(std::move(query));
  const int number = ++subqueries_;
  const std::string there = fmt::format("_there{}", number);
  const Json child = WEIR_TRY(Resolve(subquery["child"], *source));
  if (rows.items.size() != 1 || rows.has_unnest)
    return Invalid("its IN compares with more than one column");
  // How many rows there are, and how many are not NULL.
  Select counts;
  counts.input = rows.input;
  counts.where = rows.where;
  counts.items.push_back({"rows", WEIR_TRY(ast_.ParseExpr("count(*)"))});
  counts.items.push_back({"values", Call("count", {rows.items[0].expr})});
  WEIR_TRY(Group({}, {{}}, &counts));
  const std::string child_name = fmt::format("_child{}", number),
                    row_count = fmt::format("_rows{}", number),
                    value_count = fmt::format("_values{}", number);
  ScopeTable own;
  own.ours = true;
  own.columns.push_back({child_name, child});
  source->tables.push_back(std::move(own));
  Source one;
  one.input = counts.input;
  ScopeTable table;
  table.ours = true;
  table.columns.push_back({row_count, counts.items[0].expr});
  table.columns.push_back({value_count, counts.items[1].expr});
  one.tables.push_back(std::move(table));
  *source = WEIR_TRY(Join(JoinKind::kInner, std::move(*source), std::move(one), {}, {}));
  Select values;
  values.input = rows.input;
  values.where = rows.where;
  values.items = {{"v", rows.items[0].expr}};
  const Json outer = WEIR_TRY(Resolve(ColumnRef({child_name}), *source));
  WEIR_TRY(
      MarkKeys(std::move(values), {{outer, rows.items[0].expr, false}}, there, source));
  return ast_.ParseExpr(fmt::format(
      "CASE WHEN {0} IS NOT NULL THEN true WHEN {1} = 0 THEN false WHEN {2} IS NULL OR "
      "{3} < {1} THEN NULL ELSE false END",
      there, row_count, child_name, value_count));
}

}  // namespace weir::plan
