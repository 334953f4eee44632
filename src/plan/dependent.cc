// Subqueries that name columns of the rows outside (correlated ones, LATERAL): rewritten
// into queries that stand by themselves, whose rows carry the outer values they belong
// to. Grouping, windows, DISTINCT and LIMIT are then by these values, too.
//
//   (SELECT u.id FROM u WHERE u.k = t.k ORDER BY u.n LIMIT 1)
//
// becomes SELECT u.id, u.k AS _key0 FROM u QUALIFY row_number() OVER (PARTITION BY u.k
// ORDER BY u.n) <= 1, joined by _key0 = t.k. Where the outer columns stand elsewhere than
// in such an equality, the query reads the different outer values as one more table,
// `_outerN`, and the rows are joined by them.
#include <fmt/format.h>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {

using ops::JoinKind;

std::string KeyName(size_t key) { return fmt::format("_key{}", key); }

const Json* ModifierOf(const Json& node, std::string_view type) {
  for (const Json& modifier : node["modifiers"]) {
    if (IsType(modifier, type)) return &modifier;
  }
  return nullptr;
}

void EraseModifier(Json* node, std::string_view type) {
  Json kept = Json::array();
  for (const Json& modifier : (*node)["modifiers"]) {
    if (!IsType(modifier, type)) kept.push_back(modifier);
  }
  (*node)["modifiers"] = std::move(kept);
}

// What an ORDER BY term of a query means inside a window of the same query.
Json WindowOrder(Json term, const Json& select_list) {
  Json& expr = term["expression"];
  if (const auto ordinal = AsInteger(expr);
      ordinal && *ordinal >= 1 && *ordinal <= static_cast<int64_t>(select_list.size()))
    expr = select_list[static_cast<size_t>(*ordinal - 1)];
  if (IsColumn(expr)) {
    for (const Json& item : select_list) {
      if (data::SameName(AliasOf(item), NamesOf(expr)[0])) expr = item;
    }
  }
  expr["alias"] = "";
  return term;
}

}  // namespace

// Calls `visit` for each column in `part` of a query over `inside` that means one of
// `outside`. `own`: names that its select list gives.
void QueryPlanner::ForOuterColumns(Json& part, const Source& inside,
                                   const Source& outside,
                                   const std::set<std::string>& own,
                                   const std::function<void(Json&)>& visit) {
  std::set<std::string> parameters;
  const std::function<void(Json&, bool)> walk = [&](Json& json, bool nested) {
    if (!json.is_structured()) return;
    if (IsClass(json, "COLUMN_REF")) {
      const std::vector<std::string> names = NamesOf(json);
      const std::string first = data::LowerName(names[0]);
      if (parameters.contains(first)) return;
      // A bare name in a query further in may be one of that query's tables.
      if (names.size() == 1 && (nested || own.contains(first))) return;
      if (nested && aliases_.back().contains(first)) return;
      if (!Resolve(json, inside).ok() && Resolve(json, outside).ok()) visit(json);
      return;
    }
    if (IsClass(json, "LAMBDA")) {
      const std::set<std::string> before = parameters;
      Visit(json["lhs"], [&](Json& name) {
        if (IsClass(name, "COLUMN_REF"))
          parameters.insert(data::LowerName(NamesOf(name)[0]));
        return true;
      });
      walk(json["expr"], nested);
      parameters = before;
      return;
    }
    if (IsClass(json, "SUBQUERY")) {
      if (json.contains("child")) walk(json["child"], nested);
      Json& query = json["subquery"]["node"];
      if (!IsType(query, "SELECT_NODE")) return walk(query, true);
      const Inside in(*this, query);
      return walk(query, true);
    }
    for (auto& [key, child] : json.items()) walk(child, nested);
  };
  walk(part, false);
}

// Gives a query's rows the columns `keys`, so that they are counted, ordered and cut off
// for each of their values.
Status QueryPlanner::CarryKeys(const std::vector<Json>& keys, Json* node,
                               Dependent* out) {
  if (keys.empty()) {
    if (const Json* limit = ModifierOf(*node, "LIMIT_MODIFIER"))
      out->at_most_one = AsInteger((*limit)["limit"]) == 1;
    if (IsType(*node, "SELECT_NODE") && IsAggregated(*node, functions_) &&
        (*node)["group_expressions"].empty() && (*node)["having"].is_null() &&
        (*node)["aggregate_handling"] != "FORCE_AGGREGATES")
      out->always_one = true;
    return {};
  }
  if (!(*node)["having"].is_null() && (*node)["group_expressions"].empty())
    return Invalid("its subquery has HAVING without groups");
  const bool aggregated = IsAggregated(*node, functions_);
  if (aggregated && (*node)["aggregate_handling"] != "FORCE_AGGREGATES") {
    Json& groups = (*node)["group_expressions"];
    Json& sets = (*node)["group_sets"];
    out->always_one = groups.empty();
    if (sets.empty()) sets.push_back(Json::array());
    for (const Json& key : keys) {
      for (Json& set : sets) set.push_back(groups.size());
      groups.push_back(key);
    }
  }
  const auto by_keys = [&](Json& window) {
    if (!IsClass(window, "WINDOW")) return true;
    for (const Json& key : keys) window["partitions"].push_back(key);
    return false;
  };
  Visit((*node)["select_list"], by_keys);
  if (!(*node)["qualify"].is_null()) Visit((*node)["qualify"], by_keys);
  if (const Json* limit = ModifierOf(*node, "LIMIT_MODIFIER")) {
    const auto part = [&](const char* name) -> std::optional<int64_t> {
      const Json value = limit->value(name, Json());
      return value.is_null() ? std::optional<int64_t>(-1) : AsInteger(value);
    };
    const auto rows = part("limit"), offset = part("offset");
    if (!rows || !offset || *rows < 1)
      return Invalid("its subquery's LIMIT is not a plain number");
    if (ModifierOf(*node, "DISTINCT_MODIFIER") != nullptr ||
        !(*node)["qualify"].is_null())
      return Invalid("its subquery has LIMIT beside DISTINCT or QUALIFY");
    const Json* order = ModifierOf(*node, "ORDER_MODIFIER");
    if (order == nullptr) return Invalid("its subquery has LIMIT without ORDER BY");
    Json number = WEIR_TRY(ast_.ParseExpr("row_number() OVER ()"));
    number["partitions"] = keys;
    number["orders"] = Json::array();
    for (const Json& term : (*order)["orders"])
      number["orders"].push_back(WindowOrder(term, (*node)["select_list"]));
    MakeExplicit(&number["orders"]);
    const int64_t first = std::max<int64_t>(*offset, 0);
    Json condition = WEIR_TRY(ast_.ParseExpr(
        first == 0 ? fmt::format("n <= {}", *rows)
                   : fmt::format("n <= {} AND n > {}", first + *rows, first)));
    Visit(condition, [&](Json& json) {
      if (IsClass(json, "COLUMN_REF")) {
        json = number;
        return false;
      }
      return true;
    });
    (*node)["qualify"] = std::move(condition);
    EraseModifier(node, "LIMIT_MODIFIER");
    out->at_most_one = *rows == 1;
  }
  EraseModifier(node, "ORDER_MODIFIER");
  for (Json& modifier : (*node)["modifiers"]) {
    if (!IsType(modifier, "DISTINCT_MODIFIER") || modifier["distinct_on_targets"].empty())
      continue;
    return Invalid("its subquery has DISTINCT ON");
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    Json key = keys[i];
    key["alias"] = KeyName(i);
    (*node)["select_list"].push_back(std::move(key));
  }
  return {};
}

// Equalities of WHERE that name nothing else outside: the inner side is the key then.
// False: the outer columns are needed elsewhere, too.
Result<bool> QueryPlanner::TakeOuterEqualities(Json* node, const Source& inside,
                                               const Source& outside,
                                               const std::set<std::string>& own,
                                               std::vector<Json>* inner_keys,
                                               std::vector<Json>* outer_keys) {
  const auto depends = [&](Json& json) {
    bool any = false;
    ForOuterColumns(json, inside, outside, own, [&](Json&) { any = true; });
    return any;
  };
  std::vector<Json> conditions;
  SplitAnd((*node)["where_clause"], &conditions);
  Json rest;
  for (Json& condition : conditions) {
    if (!depends(condition)) {
      rest = And(std::move(rest), condition);
      continue;
    }
    if (!IsType(condition, "COMPARE_EQUAL") || HasSubquery(condition)) return false;
    Json a = condition["left"], b = condition["right"];
    if (depends(a)) std::swap(a, b);
    if (depends(a) || !HasColumn(a) || !Resolve(a, inside).ok()) return false;
    auto outer = Resolve(b, outside);
    if (!outer.ok()) return false;
    // The outer side may not mix in what is inside.
    bool mixed = false;
    Visit(b, [&](Json& json) {
      if (IsClass(json, "COLUMN_REF") && Resolve(json, inside).ok()) mixed = true;
      return true;
    });
    if (mixed) return false;
    inner_keys->push_back(std::move(a));
    outer_keys->push_back(*std::move(outer));
  }
  Json others = *node;
  others["where_clause"] = rest;
  others["from_table"] = Json();
  others["cte_map"] = Json();
  if (depends(others)) return false;
  Json from = (*node)["from_table"];
  if (depends(from)) return false;
  (*node)["where_clause"] = std::move(rest);
  return true;
}

// The different values outside that the subquery names, as a table.
Status QueryPlanner::ReadOuterValues(Json* node, const Source& inside,
                                     const Source& outside,
                                     const std::set<std::string>& own,
                                     std::vector<Json>* inner_keys,
                                     std::vector<Json>* outer_keys) {
  const std::string name = fmt::format("_outer{}", ++subqueries_);
  Status status;
  const auto column = [&](size_t i) { return fmt::format("{}_{}", name, i); };
  const auto replace = [&](Json& json) {
    auto resolved = Resolve(json, outside);
    if (!resolved.ok()) {
      status = resolved.error();
      return;
    }
    const Json plain = Plain(*resolved);
    auto found = std::find(outer_keys->begin(), outer_keys->end(), plain);
    if (found == outer_keys->end()) found = outer_keys->insert(found, plain);
    const std::string alias = AliasOf(json);
    json = ColumnRef({name, column(static_cast<size_t>(found - outer_keys->begin()))});
    json["alias"] = alias;
  };
  Json from = (*node)["from_table"];
  (*node)["from_table"] = Json();
  for (Json& item : (*node)["select_list"]) {  // a column is named by what it was
    if (IsClass(item, "COLUMN_REF") && AliasOf(item).empty())
      item["alias"] = NamesOf(item).back();
  }
  ForOuterColumns(*node, inside, outside, own, replace);
  ForOuterColumns(from, inside, outside, own, replace);
  WEIR_TRY(std::move(status));
  Select values;
  values.input = outside.input;
  values.where = outside.where;
  for (size_t i = 0; i < outer_keys->size(); ++i) {
    values.items.push_back({column(i), (*outer_keys)[i]});
    inner_keys->push_back(ColumnRef({name, column(i)}));
  }
  WEIR_TRY(DistinctRows(&values));
  outer_values_[name] = WEIR_TRY(Finish(std::move(values)));
  Json both =
      WEIR_TRY(ast_.Parse(fmt::format("SELECT 1 FROM a, {}", name)))["from_table"];
  if (IsType(from, "EMPTY")) {
    (*node)["from_table"] = Json(both["right"]);
  } else {
    both["left"] = std::move(from);
    (*node)["from_table"] = std::move(both);
  }
  return {};
}

Result<QueryPlanner::Dependent> QueryPlanner::DependentRows(Json node, const Json& ctes,
                                                            const Source& outside) {
  if (!IsType(node, "SELECT_NODE"))
    return Invalid("its subquery depends on the query and is a set operation");
  Json all = ctes;
  for (const Json& entry : node["cte_map"]["map"]) all.push_back(entry);
  // What its own names mean.
  Source inside;
  if (!IsType(node["from_table"], "EMPTY")) {
    Attempt probe(*this);
    const Inside in(*this, node);
    std::vector<Json> none;
    inside = WEIR_TRY(From(node["from_table"], all, &none));
  }
  std::set<std::string> own;
  for (const Json& item : node["select_list"]) {
    if (!AliasOf(item).empty()) own.insert(data::LowerName(AliasOf(item)));
  }
  Dependent out;
  std::vector<Json> inner_keys, outer_keys;
  const size_t columns = node["select_list"].size();
  bool stars = false;
  for (const Json& item : node["select_list"]) stars |= IsClass(item, "STAR");
  Json simple = node;
  const bool equalities = [&] {
    const Inside in(*this, node);
    auto taken =
        TakeOuterEqualities(&simple, inside, outside, own, &inner_keys, &outer_keys);
    return taken.ok() && *taken;
  }();
  if (equalities) {
    node = std::move(simple);
  } else {
    inner_keys.clear();
    outer_keys.clear();
    const Inside in(*this, node);
    WEIR_TRY(ReadOuterValues(&node, inside, outside, own, &inner_keys, &outer_keys));
    if (outer_keys.empty()) return Invalid("it names columns that there are not");
  }
  WEIR_TRY(CarryKeys(inner_keys, &node, &out));
  out.rows = WEIR_TRY(Query(node, ctes));
  if (out.rows.has_unnest) out.rows = WEIR_TRY(Materialize(std::move(out.rows)));
  if (!stars && out.rows.items.size() != columns + inner_keys.size())
    return Invalid("its subquery has columns of its own kind");
  const size_t first = out.rows.items.size() - inner_keys.size();
  for (size_t i = 0; i < inner_keys.size(); ++i)
    out.keys.push_back({outer_keys[i], out.rows.items[first + i].expr, !equalities});
  out.rows.items.resize(first);
  // One row a key at most when the keys contain a key of the rows.
  for (const auto& key : out.rows.input.keys) {
    out.at_most_one |= std::all_of(key.begin(), key.end(), [&](const auto& name) {
      return std::any_of(out.keys.begin(), out.keys.end(), [&](const JoinKey& k) {
        return IsColumn(k.right) && data::SameName(NamesOf(k.right)[0], name);
      });
    });
  }
  return out;
}

// The rows as something to join with: their columns, and whether there is a row.
Result<Source> QueryPlanner::DependentSource(const Dependent& rows,
                                             std::vector<Item> columns) {
  Source source;
  source.input = rows.rows.input;
  source.where = rows.rows.where;
  ScopeTable table;
  table.ours = true;
  table.columns = std::move(columns);
  source.tables.push_back(std::move(table));
  return source;
}

Result<Json> QueryPlanner::DependentValue(const Json& node, const Json& ctes,
                                          Source* source) {
  Dependent rows = WEIR_TRY(DependentRows(node, ctes, *source));
  if (rows.rows.items.size() != 1)
    return Invalid("its subquery has more than one column");
  if (!rows.always_one && !rows.at_most_one) {
    return Invalid(
        "its subquery may give several rows for one outside; LIMIT 1 or an aggregate "
        "makes them one");
  }
  const int number = ++subqueries_;
  const std::string value = fmt::format("_value{}", number),
                    there = fmt::format("_there{}", number);
  Source inner = WEIR_TRY(DependentSource(
      rows, {{value, rows.rows.items[0].expr},
             {there, WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)"))}}));
  const bool keyed = !rows.keys.empty();
  *source =
      WEIR_TRY(Join(rows.always_one && !keyed ? JoinKind::kInner : JoinKind::kLeft,
                    std::move(*source), std::move(inner), std::move(rows.keys), {}));
  if (!rows.always_one || !keyed) return ColumnRef({value});
  return OverNothing(node["select_list"][0], there, value);
}

// FROM left, LATERAL (…). `on`: what joins them beside.
Result<Source> QueryPlanner::LateralJoin(JoinKind kind, Source left, const Json& ref,
                                         const Json& ctes, const std::vector<Json>& on) {
  const Json& node = ref["subquery"]["node"];
  Dependent rows = WEIR_TRY(DependentRows(node, ctes, left));
  if (rows.keys.empty()) return Invalid("its LATERAL names nothing outside");
  ScopeTable table;
  if (const std::string alias = AliasOf(ref); !alias.empty())
    table.qualifiers = {{alias}};
  table.columns = std::move(rows.rows.items);
  const Json names = ref.value("column_name_alias", Json::array());
  for (size_t i = 0; i < std::min(names.size(), table.columns.size()); ++i)
    table.columns[i].name = names[i];
  std::vector<Item> over_nothing;
  const std::string there = fmt::format("_there{}", ++subqueries_);
  ScopeTable mark;
  mark.ours = true;
  if (rows.always_one) {  // one row also for those that have none
    if (!on.empty()) return Invalid("its LATERAL of one row has a condition");
    kind = JoinKind::kLeft;
    table.ours = true;
    for (size_t i = 0; i < table.columns.size(); ++i) {
      const std::string value = fmt::format("{}_{}", there, i);
      over_nothing.push_back(
          {table.columns[i].name,
           WEIR_TRY(OverNothing(node["select_list"][i], there, value))});
      mark.columns.push_back({value, table.columns[i].expr});
    }
    mark.columns.push_back({there, WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)"))});
    table.columns.clear();
  }
  Source right;
  right.input = rows.rows.input;
  right.where = rows.rows.where;
  right.tables = {std::move(table)};
  if (!mark.columns.empty()) right.tables.push_back(std::move(mark));
  Source joined =
      WEIR_TRY(Join(kind, std::move(left), std::move(right), std::move(rows.keys), on));
  if (over_nothing.empty()) return joined;
  ScopeTable& named = joined.tables[joined.tables.size() - 2];
  for (Item& item : over_nothing)
    named.columns.push_back({item.name, WEIR_TRY(Resolve(item.expr, joined))});
  named.ours = false;
  return joined;
}

// EXISTS and IN over rows that depend on the query: whether its keys are among theirs.
Result<Source> QueryPlanner::DependentSemiJoin(const Json& subquery, bool anti,
                                               const Json& ctes, Source source) {
  const bool is_in = subquery["subquery_type"] == "ANY";
  Json child;
  if (is_in) {
    if (anti) return Invalid("its NOT IN depends on the query");
    if (HasSubquery(subquery["child"])) return Invalid("it has a subquery in an IN");
    child = WEIR_TRY(Resolve(subquery["child"], source));
  }
  Dependent rows = WEIR_TRY(DependentRows(subquery["subquery"]["node"], ctes, source));
  if (rows.always_one) return Invalid("its EXISTS is over one row that is always there");
  if (is_in) {
    if (rows.rows.items.size() != 1)
      return Invalid("its IN does not compare with one column");
    rows.keys.push_back({child, rows.rows.items[0].expr, false});
  }
  Source inner = WEIR_TRY(DependentSource(rows, {}));
  inner.tables.clear();
  return Join(anti ? JoinKind::kAnti : JoinKind::kSemi, std::move(source),
              std::move(inner), std::move(rows.keys), {});
}

// IN as a value, over rows that depend on the query: by whether an equal one is there,
// how many there are, and how many are not NULL.
Result<Json> QueryPlanner::DependentIn(const Json& subquery, const Json& ctes,
                                       Source* source) {
  const Json& node = subquery["subquery"]["node"];
  if (HasSubquery(subquery["child"])) return Invalid("it has a subquery in an IN");
  // Under a name that means nothing inside the subquery.
  const std::string child = fmt::format("_child{}", ++subqueries_);
  ScopeTable own;
  own.ours = true;
  own.columns.push_back({child, WEIR_TRY(Resolve(subquery["child"], *source))});
  source->tables.push_back(std::move(own));
  Json out = WEIR_TRY(ast_.ParseExpr(fmt::format(
      "CASE WHEN EXISTS (SELECT 1) THEN true WHEN r = 0 THEN false WHEN {} IS "
      "NULL OR c < r THEN NULL ELSE false END",
      child)));
  const Json rows = WEIR_TRY(ScalarOver(node, "count(*)")),
             values = WEIR_TRY(ScalarOver(node, "count(v)")),
             equal = WEIR_TRY(WithEqual(node, child));
  Visit(out, [&](Json& json) {
    if (IsClass(json, "SUBQUERY")) {
      json["subquery"]["node"] = equal;
      return false;
    }
    if (!IsClass(json, "COLUMN_REF")) return true;
    const std::string name = NamesOf(json)[0];
    if (name == "r") json = rows;
    if (name == "c") json = values;
    return false;
  });
  WEIR_TRY(JoinSubqueries(&out, ctes, source));
  return out;
}

// The rows of a query whose one column equals the outer column `name`.
Result<Json> QueryPlanner::WithEqual(const Json& node, const std::string& name) {
  const Json equal = WEIR_TRY(ast_.ParseExpr("v = " + name));
  if (IsSimple(node) && node["modifiers"].empty() && node["select_list"].size() == 1 &&
      !IsClass(node["select_list"][0], "STAR")) {
    Json out = node;
    Json condition = equal;
    condition["left"] = Plain(node["select_list"][0]);
    out["where_clause"] = And(out["where_clause"], condition);
    return out;
  }
  Json derived = WEIR_TRY(
      ast_.Parse(fmt::format("SELECT 1 FROM (SELECT 1) AS q(v) WHERE v = {}", name)));
  derived["from_table"]["subquery"]["node"] = node;
  return derived;
}

// The aggregate `call` of the query's one column `v`, as a scalar subquery.
Result<Json> QueryPlanner::ScalarOver(const Json& node, const std::string& call) {
  Json scalar = WEIR_TRY(ast_.ParseExpr(fmt::format("(SELECT {} FROM q)", call)));
  Json& query = scalar["subquery"]["node"];
  const bool one_column =
      !IsType(node, "SELECT_NODE") ||
      (node["select_list"].size() == 1 && !IsClass(node["select_list"][0], "STAR"));
  if (IsSimple(node) && node["modifiers"].empty() && one_column) {
    Json plain = node;
    const Json item = Plain(node["select_list"][0]);
    Json list = query["select_list"];
    Visit(list, [&](Json& json) {
      if (!IsClass(json, "COLUMN_REF")) return true;
      json = item;
      return false;
    });
    plain["select_list"] = std::move(list);
    query = std::move(plain);
    return scalar;
  }
  Json derived = WEIR_TRY(ast_.Parse(one_column ? "SELECT 1 FROM (SELECT 1) AS q(v)"
                                                : "SELECT 1 FROM (SELECT 1) AS q"));
  query["from_table"] = derived["from_table"];
  query["from_table"]["subquery"]["node"] = node;
  return scalar;
}

// `x < ANY (…)` by how many values there are, how many are not NULL, and the one that
// decides: of `<` the largest.
Result<Json> QueryPlanner::AnyComparison(const Json& subquery) {
  static const std::map<std::string, std::pair<const char*, const char*>> kDeciding = {
      {"COMPARE_LESSTHAN", {"<", "max"}},
      {"COMPARE_LESSTHANOREQUALTO", {"<=", "max"}},
      {"COMPARE_GREATERTHAN", {">", "min"}},
      {"COMPARE_GREATERTHANOREQUALTO", {">=", "min"}}};
  const std::string type = subquery["comparison_type"];
  const Json& node = subquery["subquery"]["node"];
  if (HasSubquery(subquery["child"])) return Invalid("it has a subquery in an ANY");
  Json out;
  if (type == "COMPARE_NOTEQUAL") {
    out = WEIR_TRY(ast_.ParseExpr(
        "CASE WHEN r = 0 THEN false WHEN x <> lo OR x <> hi THEN true WHEN "
        "x IS NULL OR c < r THEN NULL ELSE false END"));
  } else if (const auto found = kDeciding.find(type); found != kDeciding.end()) {
    out = WEIR_TRY(ast_.ParseExpr(
        fmt::format("CASE WHEN r = 0 THEN false WHEN x {} {} THEN true WHEN x IS NULL OR "
                    "c < r THEN NULL ELSE false END",
                    found->second.first,
                    found->second.second == std::string_view("max") ? "hi" : "lo")));
  } else {
    return Invalid("it compares with ANY of a subquery");
  }
  const std::map<std::string, Json> parts = {
      {"x", subquery["child"]},
      {"r", WEIR_TRY(ScalarOver(node, "count(*)"))},
      {"c", WEIR_TRY(ScalarOver(node, "count(v)"))},
      {"lo", WEIR_TRY(ScalarOver(node, "min(v)"))},
      {"hi", WEIR_TRY(ScalarOver(node, "max(v)"))}};
  Visit(out, [&](Json& json) {
    if (!IsClass(json, "COLUMN_REF")) return true;
    json = parts.at(NamesOf(json)[0]);
    return false;
  });
  return out;
}

}  // namespace weir::plan
