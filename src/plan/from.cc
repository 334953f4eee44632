// FROM: tables, queries in their places, joins.
#include <fmt/format.h>

#include "plan/query_internal.h"

namespace weir::plan {
namespace {

using data::SameName;
using ops::JoinKind;

bool IsNumeric(const std::string& type) {
  static const std::set<std::string> kTypes = {
      "TINYINT",   "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT",
      "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT",  "DOUBLE"};
  return kTypes.contains(type) || type.starts_with("DECIMAL(");
}

// Types whose values can be keys of the exchange and of state.
bool IsKeyType(const std::string& type) {
  return type.find('[') == type.npos && !type.starts_with("STRUCT") &&
         !type.starts_with("MAP") && !type.starts_with("UNION");
}

// The literal, which is a cast of 't'.
bool IsTrue(const Json& condition) {
  return IsType(condition, "OPERATOR_CAST") && IsClass(condition["child"], "CONSTANT") &&
         condition["child"]["value"]["value"] == "t";
}

std::optional<bool> EqualityOf(const Json& condition) {  // whether NULL equals NULL
  if (IsType(condition, "COMPARE_EQUAL")) return false;
  if (IsType(condition, "COMPARE_NOT_DISTINCT_FROM")) return true;
  return std::nullopt;
}

}  // namespace

Result<Source> QueryPlanner::From(const Json& ref, const Json& ctes,
                                  std::vector<Json>* conjuncts) {
  if (IsType(ref, "JOIN")) return JoinRef(ref, ctes, conjuncts);
  Source source = WEIR_TRY(Leaf(ref, ctes));
  TakeConditions(&source, conjuncts);
  return source;
}

Result<Source> QueryPlanner::Leaf(const Json& ref, const Json& ctes) {
  if (!ref.value("sample", Json()).is_null()) return Invalid("it takes a sample");
  const std::string alias = AliasOf(ref);
  const Json column_names = ref.value("column_name_alias", Json::array());
  if (IsType(ref, "SUBQUERY"))
    return SourceOf(WEIR_TRY(Query(ref["subquery"]["node"], ctes)), alias, column_names);
  if (IsType(ref, "EXPRESSION_LIST") || IsType(ref, "EMPTY")) return Constant(ref);
  if (!IsType(ref, "BASE_TABLE")) return Invalid("it does not read a table");
  const std::string table_name = ref["table_name"];
  if (const auto values = outer_values_.find(table_name); values != outer_values_.end()) {
    Source source = WEIR_TRY(SourceOf(values->second, table_name, Json::array()));
    source.tables[0].ours = true;
    return source;
  }
  if (ref["schema_name"] == "") {
    for (size_t i = ctes.size(); i-- > 0;) {
      if (!SameName(ctes[i]["key"].get<std::string>(), table_name)) continue;
      const Json before(
          std::vector<Json>(ctes.begin(), ctes.begin() + static_cast<std::ptrdiff_t>(i)));
      const auto resolve = WEIR_TRY(FindResolve(ctes, i));
      Rows rows = WEIR_TRY(resolve ? Components(*resolve, ctes)
                                   : Query(ctes[i]["value"]["query"]["node"], before));
      const Json& renamed = ctes[i]["value"]["aliases"];
      for (size_t c = 0; c < std::min(renamed.size(), rows.items.size()); ++c)
        rows.items[c].name = renamed[c];
      return SourceOf(std::move(rows), alias.empty() ? table_name : alias, column_names);
    }
  }
  const InputTable* table = tables_.Find(ref);
  if (table == nullptr) return Invalid("it does not read a table");
  Source source;
  source.input = WEIR_TRY(TableInput(*table));
  ScopeTable columns;
  for (size_t i = 0; i < table->schema.fields.size(); ++i) {
    const std::string& name = table->schema.fields[i].name;
    columns.columns.push_back(
        {i < column_names.size() ? column_names[i].get<std::string>() : name,
         ColumnRef({name})});
  }
  if (alias.empty()) {
    columns.qualifiers = {{ref["schema_name"], table_name}, {table_name}};
  } else {
    columns.qualifiers = {{alias}};
  }
  source.tables.push_back(std::move(columns));
  return source;
}

// VALUES, and the one row of a SELECT without FROM: rows that are there from the first
// change of any input on.
Result<Source> QueryPlanner::Constant(const Json& ref) {
  if (plan_.inputs.empty()) return Invalid("it does not read a table");
  Stage stage;
  stage.kind = BlockKind::kRecompute;
  stage.one_group = true;
  stage.why = "constant rows";
  Json select = WEIR_TRY(
      ast_.Parse(IsType(ref, "EMPTY") ? "SELECT true AS c0" : "SELECT * FROM t"));
  if (!IsType(ref, "EMPTY")) select["from_table"] = ref;
  stage.recompute_sql = WEIR_TRY(ast_.Print(select));
  stage.output = WEIR_TRY(pieces_.Describe(stage.recompute_sql));
  const auto natives =
      WEIR_TRY(NativeTypes(stage.recompute_sql, stage.output.fields.size()));
  ScopeTable table;
  for (size_t i = 0; i < natives.size(); ++i) {
    const data::Field& field = stage.output.fields[i];
    table.columns.push_back(
        {field.name, WEIR_TRY(StoredColumn(field.name, field.type, natives[i]))});
  }
  if (IsType(ref, "EMPTY")) table.columns.clear();
  if (const std::string alias = AliasOf(ref); !alias.empty())
    table.qualifiers = {{alias}};
  Source source;
  source.tables.push_back(std::move(table));
  source.input = WEIR_TRY(AddStage(std::move(stage)));
  source.input.few = true;
  return source;
}

Result<Source> QueryPlanner::SourceOf(Rows rows, const std::string& alias,
                                      const Json& column_names) {
  if (rows.has_unnest) rows = WEIR_TRY(Materialize(std::move(rows)));
  Source source;
  source.input = std::move(rows.input);
  source.where = std::move(rows.where);
  ScopeTable table;
  table.columns = std::move(rows.items);
  for (size_t i = 0; i < std::min(column_names.size(), table.columns.size()); ++i)
    table.columns[i].name = column_names[i];
  if (!alias.empty()) table.qualifiers = {{alias}};
  source.tables.push_back(std::move(table));
  return source;
}

// Moves conditions whose columns are all in `source` into its WHERE.
void QueryPlanner::TakeConditions(Source* source, std::vector<Json>* conjuncts) {
  std::erase_if(*conjuncts, [&](const Json& condition) {
    if (!HasColumn(condition)) return false;
    auto resolved = Resolve(condition, *source);
    if (!resolved.ok()) return false;
    source->where = And(std::move(source->where), *std::move(resolved));
    return true;
  });
}

// Moves equalities between the two into `keys`.
void QueryPlanner::TakeKeys(const Source& left, const Source& right,
                            std::vector<Json>* conjuncts, std::vector<JoinKey>* keys) {
  std::erase_if(*conjuncts, [&](const Json& condition) {
    const auto null_safe = EqualityOf(condition);
    if (!null_safe) return false;
    for (const bool swapped : {false, true}) {
      const Json& a = condition[swapped ? "right" : "left"];
      const Json& b = condition[swapped ? "left" : "right"];
      if (!HasColumn(a) || !HasColumn(b)) return false;
      auto in_left = Resolve(a, left), in_right = Resolve(b, right);
      if (!in_left.ok() || !in_right.ok()) continue;
      keys->push_back({*std::move(in_left), *std::move(in_right), *null_safe});
      return true;
    }
    return false;
  });
}

Result<Source> QueryPlanner::JoinRef(const Json& ref, const Json& ctes,
                                     std::vector<Json>* conjuncts) {
  const std::string how = ref.value("ref_type", ""), type = ref.value("join_type", "");
  if (how == "POSITIONAL" || how == "DEPENDENT")
    return Invalid(fmt::format("it has a {} join", how));
  static const std::map<std::string, JoinKind> kKinds = {
      {"INNER", JoinKind::kInner}, {"LEFT", JoinKind::kLeft}, {"RIGHT", JoinKind::kRight},
      {"OUTER", JoinKind::kFull},  {"FULL", JoinKind::kFull}, {"SEMI", JoinKind::kSemi},
      {"ANTI", JoinKind::kAnti}};
  const auto found = kKinds.find(type);
  if (found == kKinds.end()) return Invalid(fmt::format("it has a {} join", type));
  const JoinKind kind = found->second;
  std::vector<Json> on;
  SplitAnd(ref["condition"], &on);
  for (const Json& condition : on) {
    bool has = false;
    Visit(condition, [&](const Json& json) {
      has |= IsClass(json, "SUBQUERY");
      return !has;
    });
    if (has) return Invalid("it has a subquery in ON");
  }
  std::vector<Json> none;
  const bool inner = kind == JoinKind::kInner && how != "ASOF";
  if (inner) {
    conjuncts->insert(conjuncts->end(), on.begin(), on.end());
    on.clear();
  }
  const bool keeps_left = kind == JoinKind::kLeft || kind == JoinKind::kSemi ||
                          kind == JoinKind::kAnti || how == "ASOF";
  Source left = WEIR_TRY(From(ref["left"], ctes,
                              inner || keeps_left        ? conjuncts
                              : kind == JoinKind::kRight ? &on
                                                         : &none));
  if (IsType(ref["right"], "TABLE_FUNCTION")) {
    if (!inner) return Invalid("it has an outer join with a table function");
    Source source = WEIR_TRY(Unnest(std::move(left), ref["right"]));
    TakeConditions(&source, conjuncts);
    return source;
  }
  std::optional<Attempt> attempt(std::in_place, *this);
  auto alone = From(ref["right"], ctes,
                    inner || kind == JoinKind::kRight ? conjuncts
                    : keeps_left && how != "ASOF"     ? &on
                                                      : &none);
  if (!alone.ok() && alone.error().code == Code::kInvalid &&
      IsType(ref["right"], "SUBQUERY") && (inner || kind == JoinKind::kLeft) &&
      how != "ASOF" && how != "NATURAL" && ref["using_columns"].empty()) {
    attempt.reset();
    std::erase_if(on, [](const Json& condition) { return IsTrue(condition); });
    Source joined = WEIR_TRY(LateralJoin(kind, std::move(left), ref["right"], ctes, on));
    if (inner) TakeConditions(&joined, conjuncts);
    return joined;
  }
  Source right = WEIR_TRY(std::move(alone));
  attempt->Keep();
  // USING and NATURAL.
  std::vector<std::string> names;
  for (const Json& name : ref["using_columns"]) names.push_back(name);
  if (how == "NATURAL") {
    for (const ScopeTable& table : left.tables) {
      for (const Item& column : table.columns) {
        for (const ScopeTable& other : right.tables) {
          for (const Item& same : other.columns) {
            if (SameName(same.name, column.name)) names.push_back(column.name);
          }
        }
      }
    }
    if (names.empty()) return Invalid("its NATURAL JOIN shares no column");
  }
  std::vector<JoinKey> keys;
  for (const std::string& name : names)
    keys.push_back({WEIR_TRY(Resolve(ColumnRef({name}), left)),
                    WEIR_TRY(Resolve(ColumnRef({name}), right)), false});
  if (how == "ASOF") return AsofJoin(ref, std::move(left), std::move(right), keys);
  if (!inner && kind != JoinKind::kFull) {  // ON true
    Source& other = kind == JoinKind::kRight ? left : right;
    std::erase_if(on, [&](const Json& condition) {
      if (HasColumn(condition)) return false;
      other.where = And(std::move(other.where), condition);
      return true;
    });
  }
  const std::vector<JoinKey> shared = keys;
  TakeKeys(left, right, inner ? conjuncts : &on, &keys);
  Source joined =
      WEIR_TRY(Join(kind, std::move(left), std::move(right), std::move(keys), on));
  if (inner) TakeConditions(&joined, conjuncts);
  for (size_t i = 0; i < shared.size(); ++i) {
    if (kind == JoinKind::kSemi || kind == JoinKind::kAnti) break;
    // The columns again, as columns of the join: those of that name.
    std::vector<Json> both;
    for (const ScopeTable& table : joined.tables) {
      for (const Item& column : table.columns) {
        if (SameName(column.name, names[i])) both.push_back(column.expr);
      }
    }
    if (both.size() < 2) continue;
    Json merged = kind == JoinKind::kRight ? both.back() : both.front();
    if (kind == JoinKind::kFull) {
      merged = Json{{"class", "OPERATOR"},
                    {"type", "OPERATOR_COALESCE"},
                    {"alias", ""},
                    {"children", {both.front(), both.back()}}};
    }
    std::erase_if(joined.merged,
                  [&](const Item& item) { return SameName(item.name, names[i]); });
    joined.merged.push_back({names[i], std::move(merged)});
  }
  return joined;
}

// Makes the two sides of each key one type. Keys that cannot be compared by equality of
// bytes are listed in `not_equal`.
Status QueryPlanner::UnifyKeys(const Source& left, const Source& right,
                               std::vector<JoinKey>* keys,
                               std::vector<size_t>* not_equal) {
  std::vector<Json> lefts, rights;
  for (const JoinKey& key : *keys) {
    lefts.push_back(key.left);
    rights.push_back(key.right);
  }
  const auto left_types = WEIR_TRY(NativeTypes(left.input, lefts));
  const auto right_types = WEIR_TRY(NativeTypes(right.input, rights));
  for (size_t i = 0; i < keys->size(); ++i) {
    if (!IsKeyType(left_types[i]) || !IsKeyType(right_types[i])) {
      not_equal->push_back(i);
      continue;
    }
    if (left_types[i] == right_types[i]) continue;
    if (!IsNumeric(left_types[i]) || !IsNumeric(right_types[i])) {
      not_equal->push_back(i);
      continue;
    }
    const auto rows = WEIR_TRY(pieces_.Query(
        fmt::format("SELECT typeof(coalesce(CAST(NULL AS {}), CAST(NULL AS {})))",
                    left_types[i], right_types[i]),
        nullptr));
    const std::string type = data::RowText(*rows[0], 0);
    if (left_types[i] != type) (*keys)[i].left = WEIR_TRY(Cast((*keys)[i].left, type));
    if (right_types[i] != type) (*keys)[i].right = WEIR_TRY(Cast((*keys)[i].right, type));
  }
  return {};
}

Result<Source> QueryPlanner::Join(JoinKind kind, Source left, Source right,
                                  std::vector<JoinKey> keys,
                                  const std::vector<Json>& residual,
                                  std::optional<ops::AsofMatch> asof) {
  const bool one_side = kind == JoinKind::kSemi || kind == JoinKind::kAnti;
  std::vector<size_t> odd;
  WEIR_TRY(UnifyKeys(left, right, &keys, &odd));
  if (kind != JoinKind::kInner && !asof && (!residual.empty() || !odd.empty()))
    return ConditionalJoin(kind, std::move(left), std::move(right), std::move(keys),
                           residual);
  // Columns of either side: what the query uses, and the keys.
  Stage stage;
  stage.ports.resize(2);
  PortColumns columns[2];
  Source* const sides[2] = {&left, &right};
  const char* const prefixes[2] = {"l", "r"};
  struct Place {
    int column;
    Json native;
  };
  for (int side = 0; side < 2; ++side) {
    for (ScopeTable& table : sides[side]->tables) {
      const bool needed = side == 0 || !one_side || !residual.empty();
      std::erase_if(table.columns, [&](const Item& column) {
        return !needed || (!table.ours && !IsUsed(column.name));
      });
      for (const Item& column : table.columns)
        columns[side].Add(column.expr, prefixes[side]);
    }
    for (const Item& column : sides[side]->merged)
      columns[side].Add(column.expr, prefixes[side]);
  }
  std::vector<int> key_columns[2];
  std::vector<Json> odd_conditions;
  for (size_t i = 0; i < keys.size(); ++i) {
    const int l = columns[0].Add(keys[i].left, "l"),
              r = columns[1].Add(keys[i].right, "r");
    if (std::find(odd.begin(), odd.end(), i) == odd.end()) {
      key_columns[0].push_back(l);
      key_columns[1].push_back(r);
      stage.join.null_safe.push_back(keys[i].null_safe);
    }
  }
  if (asof) {
    if (!odd.empty()) return Invalid("its ASOF JOIN compares nested or unlike columns");
    stage.asof.left_time = key_columns[0].back();
    stage.asof.right_time = key_columns[1].back();
    for (auto& list : key_columns) list.pop_back();
    stage.join.null_safe.pop_back();
  }
  for (int side = 0; side < 2; ++side) {
    // EXISTS over any row, CROSS JOIN for its number.
    if (!columns[side].items().empty()) continue;
    columns[side].Add(WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)")), prefixes[side]);
  }
  std::vector<std::string> natives[2];
  for (int side = 0; side < 2; ++side) {
    Port& port = stage.ports[static_cast<size_t>(side)];
    WEIR_TRY(
        SetPort(sides[side]->input, sides[side]->where, columns[side].items(), &port));
    port.exchange_keys = key_columns[side];
    natives[side] = WEIR_TRY(NativeTypes(port.sql, columns[side].items().size()));
    if (side == 1 && one_side) continue;
    for (const data::Field& field : port.schema.fields)
      stage.output.fields.push_back(field);
  }
  // From expressions over the inputs to columns of the join.
  const auto map = [&](int side, const Json& expr) -> Result<Json> {
    const int column = columns[side].Add(expr, prefixes[side]);
    const data::Field& field =
        stage.ports[static_cast<size_t>(side)].schema.fields[static_cast<size_t>(column)];
    return StoredColumn(field.name, field.type,
                        natives[side][static_cast<size_t>(column)]);
  };
  Source out;
  const size_t left_tables = left.tables.size(), left_merged = left.merged.size();
  for (int side = 0; side < 2; ++side) {
    for (ScopeTable& table : sides[side]->tables) {
      for (Item& column : table.columns) column.expr = WEIR_TRY(map(side, column.expr));
      out.tables.push_back(std::move(table));
    }
    for (Item& column : sides[side]->merged) {
      column.expr = WEIR_TRY(map(side, column.expr));
      out.merged.push_back(std::move(column));
    }
  }
  // What equality of keys does not say.
  Json rest;
  for (const Json& condition : residual)
    rest = And(std::move(rest), WEIR_TRY(Resolve(condition, out)));
  for (const size_t i : odd) {
    rest = And(
        std::move(rest),
        Json{{"class", "COMPARISON"},
             {"type", keys[i].null_safe ? "COMPARE_NOT_DISTINCT_FROM" : "COMPARE_EQUAL"},
             {"alias", ""},
             {"left", WEIR_TRY(map(0, keys[i].left))},
             {"right", WEIR_TRY(map(1, keys[i].right))}});
  }
  if (one_side) {  // the other side's columns are not there any more
    out.tables.resize(left_tables);
    out.merged.resize(left_merged);
  }
  const Input inputs[2] = {left.input, right.input};
  const bool appends = inputs[0].append_only && inputs[1].append_only;
  if (asof) {
    stage.kind = BlockKind::kAsof;
    stage.asof.match = *asof;
    stage.asof.outer = kind == JoinKind::kLeft;
    stage.asof.left_keys = key_columns[0];
    stage.asof.right_keys = key_columns[1];
    stage.one_group = key_columns[0].empty();
    const auto op = ops::NewAsofJoin(stage.asof, stage.ports[0].schema,
                                     stage.ports[1].schema, nullptr, "check", 1);
    if (!op.ok()) return Invalid(op.error().message);
  } else {
    stage.kind = BlockKind::kJoin;
    stage.join.kind = kind;
    stage.join.left_keys = key_columns[0];
    stage.join.right_keys = key_columns[1];
    stage.join.left_retracts = !inputs[0].append_only;
    stage.join.right_retracts = !inputs[1].append_only;
    stage.one_group = key_columns[0].empty();
    stage.append_only = appends && (kind == JoinKind::kInner || kind == JoinKind::kSemi);
  }
  const std::vector<Item> items[2] = {columns[0].items(), columns[1].items()};
  out.input = WEIR_TRY(AddStage(std::move(stage)));
  out.input.few = inputs[0].few && (one_side || inputs[1].few);
  out.where = std::move(rest);
  // A side's keys stay keys when each of its rows meets at most one row of the other.
  const auto unique = [&](int side) {
    for (const auto& key : inputs[side].keys) {
      const bool covered = std::all_of(key.begin(), key.end(), [&](const auto& name) {
        return std::any_of(key_columns[side].begin(), key_columns[side].end(),
                           [&](int c) {
                             const Json& expr = items[side][static_cast<size_t>(c)].expr;
                             return IsColumn(expr) && SameName(NamesOf(expr)[0], name);
                           });
      });
      if (covered) return true;
    }
    return false;
  };
  const bool left_once = one_side || asof || unique(1), right_once = !asof && unique(0);
  for (int side = 0; side < (one_side ? 1 : 2); ++side) {
    if (!(side == 0 ? left_once : right_once)) continue;
    const bool extended = side == 0 ? kind == JoinKind::kRight || kind == JoinKind::kFull
                                    : kind == JoinKind::kLeft || kind == JoinKind::kFull;
    if (extended) continue;  // its columns are NULL in more than one row
    for (const auto& key : inputs[side].keys) {
      auto carried = Carried(key, items[side]);
      if (!carried.empty()) out.input.keys.push_back(std::move(carried));
    }
  }
  return out;
}

Status QueryPlanner::Settle(Source* source, std::vector<Json>* exprs) {
  PortColumns columns;
  for (ScopeTable& table : source->tables) {
    std::erase_if(table.columns,
                  [&](const Item& c) { return !table.ours && !IsUsed(c.name); });
    for (const Item& column : table.columns) columns.Add(column.expr, "c");
  }
  for (const Item& column : source->merged) columns.Add(column.expr, "c");
  std::vector<size_t> places;
  for (const Json& expr : *exprs)
    places.push_back(static_cast<size_t>(columns.Add(expr, "c")));
  if (columns.items().empty())
    columns.Add(WEIR_TRY(ast_.ParseExpr("CAST(true AS BOOLEAN)")), "c");
  Stage stage;
  stage.ports.resize(1);
  WEIR_TRY(SetPort(source->input, source->where, columns.items(), &stage.ports[0]));
  const auto natives = WEIR_TRY(NativeTypes(stage.ports[0].sql, columns.items().size()));
  stage.output = stage.ports[0].schema;
  stage.append_only = source->input.append_only;
  WEIR_TRY(Remap(columns, stage, natives, source));
  ScopeTable row;
  row.ours = true;
  for (size_t i = 0; i < natives.size(); ++i) {
    const data::Field& field = stage.output.fields[i];
    row.columns.push_back(
        {field.name, WEIR_TRY(StoredColumn(field.name, field.type, natives[i]))});
  }
  for (size_t i = 0; i < places.size(); ++i) (*exprs)[i] = row.columns[places[i]].expr;
  source->tables.push_back(std::move(row));
  const bool few = source->input.few;
  source->input = WEIR_TRY(AddStage(std::move(stage)));
  source->input.few = few;
  return {};
}

Result<Source> QueryPlanner::ConditionalJoin(JoinKind kind, Source left, Source right,
                                             std::vector<JoinKey> keys,
                                             const std::vector<Json>& residual) {
  Source sides[2] = {std::move(left), std::move(right)};
  std::vector<Json> exprs[2];
  for (const JoinKey& key : keys) {
    exprs[0].push_back(key.left);
    exprs[1].push_back(key.right);
  }
  std::vector<Item> rows[2];
  std::vector<std::string> types[2];
  for (int side = 0; side < 2; ++side) {
    WEIR_TRY(Settle(&sides[side], &exprs[side]));
    rows[side] = sides[side].tables.back().columns;
    for (const data::Field& field : sides[side].input.schema.fields) {
      if (field.type.is_nested())
        return Invalid("its join compares whole rows with nested columns");
    }
    std::vector<Json> columns;
    for (const Item& column : rows[side]) columns.push_back(column.expr);
    types[side] = WEIR_TRY(NativeTypes(sides[side].input, columns));
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i].left = exprs[0][i];
    keys[i].right = exprs[1][i];
  }
  const size_t left_tables = sides[0].tables.size();
  const Source pairs =
      WEIR_TRY(Join(JoinKind::kInner, sides[0], sides[1], keys, residual));
  const std::vector<Item> paired[2] = {pairs.tables[left_tables - 1].columns,
                                       pairs.tables.back().columns};
  // The rows of a side that are, or are not, among the pairs.
  const auto among = [&](int side, JoinKind how) -> Result<Source> {
    std::vector<JoinKey> whole;
    for (size_t i = 0; i < rows[side].size(); ++i)
      whole.push_back({rows[side][i].expr, paired[side][i].expr, true});
    Source found;
    found.input = pairs.input;
    found.where = pairs.where;
    return Join(how, sides[side], std::move(found), std::move(whole), {});
  };
  const auto without_row = [](Source source) {
    source.tables.pop_back();
    return source;
  };
  if (kind == JoinKind::kSemi || kind == JoinKind::kAnti)
    return without_row(WEIR_TRY(among(0, kind)));
  Stage stage;
  stage.kind = BlockKind::kUnion;
  const auto add_port = [&](const Input& input, const Json& where,
                            const std::vector<Item>* lefts,
                            const std::vector<Item>* rights) -> Status {
    std::vector<Item> items;
    const std::vector<Item>* const given[2] = {lefts, rights};
    for (int side = 0; side < 2; ++side) {
      for (size_t i = 0; i < rows[side].size(); ++i) {
        items.push_back(
            {fmt::format("{}{}", side == 0 ? "l" : "r", i),
             given[side] != nullptr
                 ? (*given[side])[i].expr
                 : WEIR_TRY(ast_.ParseExpr(fmt::format(
                       "CAST(NULL AS {})",
                       types[side][i] == "\"NULL\"" ? "INTEGER" : types[side][i])))});
      }
    }
    stage.ports.emplace_back();
    return SetPort(input, where, items, &stage.ports.back());
  };
  WEIR_TRY(add_port(pairs.input, pairs.where, &paired[0], &paired[1]));
  for (int side = 0; side < 2; ++side) {
    if (kind != JoinKind::kFull &&
        kind != (side == 0 ? JoinKind::kLeft : JoinKind::kRight))
      continue;
    const Source alone = WEIR_TRY(among(side, JoinKind::kAnti));
    const std::vector<Item>& own = alone.tables.back().columns;
    WEIR_TRY(add_port(alone.input, alone.where, side == 0 ? &own : nullptr,
                      side == 1 ? &own : nullptr));
  }
  for (const Port& port : stage.ports) {
    if (port.schema != stage.ports[0].schema)
      return Invalid("its join could not be put together");
  }
  stage.output = stage.ports[0].schema;
  Source out;
  for (int side = 0; side < 2; ++side) {
    std::map<std::string, Json> columns;
    const data::Schema& schema = sides[side].input.schema;
    for (size_t i = 0; i < schema.fields.size(); ++i) {
      columns[schema.fields[i].name] =
          ColumnRef({fmt::format("{}{}", side == 0 ? "l" : "r", i)});
    }
    const Source source = without_row(sides[side]);
    for (ScopeTable table : source.tables) {
      for (Item& column : table.columns)
        column.expr = Substitute(std::move(column.expr), columns);
      out.tables.push_back(std::move(table));
    }
    for (Item column : source.merged) {
      column.expr = Substitute(std::move(column.expr), columns);
      out.merged.push_back(std::move(column));
    }
  }
  out.input = WEIR_TRY(AddStage(std::move(stage)));
  out.input.few = sides[0].input.few && sides[1].input.few;
  return out;
}

// The latest row of the right side, of the same key, that is not after the left row.
Result<Source> QueryPlanner::AsofJoin(const Json& ref, Source left, Source right,
                                      const std::vector<JoinKey>& using_keys) {
  const bool is_left = ref.value("join_type", "") == "LEFT";
  if (!is_left && ref.value("join_type", "") != "INNER")
    return Invalid("it has an ASOF join that is neither inner nor left");
  if (!using_keys.empty()) return Invalid("its ASOF JOIN has USING");
  std::vector<Json> on;
  SplitAnd(ref["condition"], &on);
  std::vector<JoinKey> keys;
  TakeKeys(left, right, &on, &keys);
  static const std::map<std::string, std::pair<ops::AsofMatch, ops::AsofMatch>> kMatches =
      {{"COMPARE_GREATERTHANOREQUALTO",
        {ops::AsofMatch::kAtOrBefore, ops::AsofMatch::kAtOrAfter}},
       {"COMPARE_GREATERTHAN", {ops::AsofMatch::kBefore, ops::AsofMatch::kAfter}},
       {"COMPARE_LESSTHANOREQUALTO",
        {ops::AsofMatch::kAtOrAfter, ops::AsofMatch::kAtOrBefore}},
       {"COMPARE_LESSTHAN", {ops::AsofMatch::kAfter, ops::AsofMatch::kBefore}}};
  const auto match =
      on.size() == 1 ? kMatches.find(on[0]["type"].get<std::string>()) : kMatches.end();
  if (match == kMatches.end())
    return Invalid("its ASOF JOIN has conditions beside equalities and one comparison");
  for (const bool swapped : {false, true}) {
    auto a = Resolve(on[0][swapped ? "right" : "left"], left);
    auto b = Resolve(on[0][swapped ? "left" : "right"], right);
    if (!a.ok() || !b.ok()) continue;
    keys.push_back({*std::move(a), *std::move(b), false});
    return Join(is_left ? JoinKind::kLeft : JoinKind::kInner, std::move(left),
                std::move(right), std::move(keys), {},
                swapped ? match->second.second : match->second.first);
  }
  return Invalid("its ASOF JOIN compares other things than its two sides");
}

// FROM t, UNNEST(t.list) AS u(x): each row with each element of its list.
Result<Source> QueryPlanner::Unnest(Source left, const Json& ref) {
  const Json& function = ref["function"];
  if (CallName(function) != "unnest" || function["children"].size() != 1 ||
      ref.value("with_ordinality", "") == "WITH_ORDINALITY")
    return Invalid("it reads a table function");
  Json element = WEIR_TRY(Resolve(function, left));
  PortColumns columns;
  for (ScopeTable& table : left.tables) {
    std::erase_if(table.columns,
                  [&](const Item& c) { return !table.ours && !IsUsed(c.name); });
    for (const Item& column : table.columns) columns.Add(column.expr, "l");
  }
  for (const Item& column : left.merged) columns.Add(column.expr, "l");
  std::vector<Item> items = columns.items();
  items.push_back({"u0", std::move(element)});
  Stage stage;
  stage.ports.resize(1);
  WEIR_TRY(SetPort(left.input, left.where, items, &stage.ports[0]));
  stage.output = stage.ports[0].schema;
  stage.append_only = left.input.append_only;
  const auto natives = WEIR_TRY(NativeTypes(stage.ports[0].sql, items.size()));
  WEIR_TRY(Remap(columns, stage, natives, &left));
  ScopeTable elements;
  const Json names = ref.value("column_name_alias", Json::array());
  const std::string alias = AliasOf(ref);
  if (!alias.empty()) elements.qualifiers = {{alias}};
  elements.columns.push_back(
      {names.empty() ? "unnest" : names[0].get<std::string>(),
       WEIR_TRY(StoredColumn("u0", stage.output.fields.back().type, natives.back()))});
  left.tables.push_back(std::move(elements));
  left.input = WEIR_TRY(AddStage(std::move(stage)));
  return left;
}

}  // namespace weir::plan
