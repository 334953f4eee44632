#include "plan/completion_internal.h"

#include <fmt/format.h>

#include "data/type.h"

namespace weir::plan {
namespace {

using data::SameName;

const std::set<std::string> kOrderedAggregates = {
    "first",     "last",       "any_value",    "arbitrary", "list",
    "array_agg", "string_agg", "group_concat", "listagg",   "mode"};
const std::set<std::string> kOrderedWindows = {
    "WINDOW_ROW_NUMBER",  "WINDOW_NTILE",      "WINDOW_LEAD",      "WINDOW_LAG",
    "WINDOW_FIRST_VALUE", "WINDOW_LAST_VALUE", "WINDOW_NTH_VALUE", "WINDOW_FILL"};

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& n) { return SameName(n, name); });
}

// The relation and column a plain column reference means; nullopt if that is not clear.
std::optional<std::pair<size_t, std::string>> ColumnOf(
    const std::vector<Relation>& relations, const Json& expr) {
  if (!IsClass(expr, "COLUMN_REF")) return std::nullopt;
  const std::vector<std::string> names = NamesOf(expr);
  std::optional<std::pair<size_t, std::string>> found;
  for (size_t r = 0; r < relations.size(); ++r) {
    const bool qualified =
        names.size() > 1 && SameName(names[names.size() - 2], relations[r].alias);
    if ((!qualified && names.size() != 1) ||
        !Contains(relations[r].columns, names.back()))
      continue;
    if (found) return std::nullopt;
    found = {r, data::LowerName(names.back())};
  }
  return found;
}

bool HasKey(const Relation& relation, const std::set<std::string>& ordered) {
  return std::any_of(relation.keys.begin(), relation.keys.end(),
                     [&](const std::vector<std::string>& key) {
                       return !key.empty() &&
                              std::all_of(key.begin(), key.end(),
                                          [&](const std::string& c) {
                                            return ordered.contains(data::LowerName(c));
                                          });
                     });
}

// What a SELECT's expressions can be ordered by.
struct Rows {
  std::vector<Relation> relations;
  std::vector<Json> groups;  // the query is grouped: windows and LIMIT see groups
  bool is_aggregated = false;
  // Of several grouping sets: groups of different ones may look alike.
  bool has_sets = false;
};

class Completer {
 public:
  Completer(duck::Session& session, const Tables& tables, const Functions& functions,
            std::vector<Fault>* faults)
      : ast_(session),
        session_(session),
        tables_(tables),
        functions_(functions),
        faults_(faults) {}

  // `ctes`: the WITH entries in scope.
  Status Query(Json& node, Json ctes) {
    for (Json& entry : node["cte_map"]["map"]) {
      WEIR_TRY(Query(entry["value"]["query"]["node"], ctes));
      ctes.push_back(entry);
    }
    if (IsType(node, "SELECT_NODE")) return Select(node, ctes);
    for (const char* side : {"left", "right"}) {
      if (node.contains(side)) WEIR_TRY(Query(node[side], ctes));
    }
    return LimitByPosition(node, ctes);
  }

 private:
  Status Select(Json& node, const Json& ctes) {
    WEIR_TRY(From(node["from_table"], node["from_table"], ctes));
    if (TellsEqualRowsApart(node)) WEIR_TRY(NumberCopies(node, ctes));
    Rows rows;
    WEIR_TRY(
        FindRelations(node["from_table"], node["from_table"], ctes, &rows.relations));
    rows.is_aggregated = IsAggregated(node, functions_);
    if (rows.is_aggregated) {
      rows.groups = GroupExpressions(node, functions_, [&](const std::string& name) {
        return std::any_of(rows.relations.begin(), rows.relations.end(),
                           [&](const Relation& r) { return Contains(r.columns, name); });
      });
      rows.has_sets = node["group_sets"].size() > 1;
    }
    for (Json& item : node["select_list"]) {
      const Json before = item;
      WEIR_TRY(Expr(item, rows, ctes));
      // The column keeps the name that its text as written gives it.
      if (item != before && AliasOf(item).empty())
        item["alias"] = WEIR_TRY(ast_.PrintExpr(before));
    }
    for (const char* part : {"where_clause", "group_expressions", "having", "qualify"})
      WEIR_TRY(Expr(node[part], rows, ctes));
    WEIR_TRY(Expr(node["modifiers"], rows, ctes));
    return Modifiers(node, rows, ctes);
  }

  // Whether what this SELECT makes of equal rows must fit together: the values of windows
  // of different orders, or those of a window and a place in an order.
  bool TellsEqualRowsApart(const Json& node) const {
    if (IsAggregated(node, functions_)) return false;
    std::set<std::string> orders;
    const auto find = [&](const Json& json) {
      if (IsClass(json, "SUBQUERY")) return false;
      if (IsClass(json, "WINDOW") && OrdersEqualRows(json))
        orders.insert(Json{Plain(json["partitions"]), Plain(json["orders"])}.dump());
      return true;
    };
    Visit(node["select_list"], find);
    Visit(node["qualify"], find);
    Visit(node["modifiers"], find);
    if (orders.empty()) return false;
    return orders.size() > 1 ||
           std::any_of(
               node["modifiers"].begin(), node["modifiers"].end(),
               [](const Json& modifier) {
                 return modifier["type"].get<std::string>().starts_with("LIMIT") ||
                        (IsType(modifier, "DISTINCT_MODIFIER") &&
                         !modifier["distinct_on_targets"].empty());
               });
  }

  // Equal rows of a relation without a key are numbered, by a column that is part of no
  // `*`: which of them has which number does not matter, but then they stay apart.
  Status NumberCopies(Json& node, const Json& ctes) {
    const Json whole = node["from_table"];
    std::vector<std::pair<std::string, std::string>> added;  // alias, column
    WEIR_TRY(NumberCopiesOf(node["from_table"], whole, ctes, &added));
    if (added.empty()) return {};
    for (const char* part : {"select_list", "qualify", "modifiers"}) {
      Visit(node[part], [&](Json& json) {
        if (IsClass(json, "SUBQUERY")) return false;
        if (!IsClass(json, "STAR")) return true;
        for (const auto& [alias, column] : added) {
          const std::string of = json.value("relation_name", "");
          if (of.empty() || SameName(of, alias)) json["exclude_list"].push_back(column);
        }
        return true;
      });
    }
    return {};
  }

  Status NumberCopiesOf(Json& ref, const Json& whole, const Json& ctes,
                        std::vector<std::pair<std::string, std::string>>* added) {
    if (IsType(ref, "JOIN")) {
      const std::string type = ref.value("join_type", "");
      WEIR_TRY(NumberCopiesOf(ref["left"], whole, ctes, added));
      if (type == "SEMI" || type == "ANTI") return {};
      return NumberCopiesOf(ref["right"], whole, ctes, added);
    }
    if (!IsType(ref, "BASE_TABLE") && !IsType(ref, "SUBQUERY")) return {};
    std::vector<Relation> relations;
    WEIR_TRY(FindRelations(ref, whole, ctes, &relations));
    const Relation& relation = relations[0];
    if (!relation.is_known || relation.columns.empty() || !relation.keys.empty())
      return {};
    const std::string column = fmt::format("weir_copy_{}", ++copies_);
    Json query = WEIR_TRY(ast_.Parse(fmt::format(
        "SELECT *, row_number() OVER (PARTITION BY 1) AS {} FROM x", column)));
    Json& partitions = query["select_list"][1]["partitions"];
    partitions = Json::array();
    for (const std::string& name : relation.columns)
      partitions.push_back(ColumnRef({relation.alias, name}));
    query["from_table"] = std::move(ref);
    Json wrapped = WEIR_TRY(ast_.Parse("SELECT * FROM (SELECT 1) AS x"))["from_table"];
    wrapped["alias"] = relation.alias;
    wrapped["subquery"]["node"] = std::move(query);
    ref = std::move(wrapped);
    added->emplace_back(relation.alias, column);
    return {};
  }

  // Queries inside FROM. A subquery without a name gets one, so that its columns can be
  // named.
  Status From(Json& ref, const Json& whole, const Json& ctes) {
    if (IsType(ref, "SUBQUERY")) {
      if (AliasOf(ref).empty()) ref["alias"] = fmt::format("weir_{}", ++aliases_);
      return Query(ref["subquery"]["node"], ctes);
    }
    if (!IsType(ref, "JOIN")) return {};
    if (ref.value("ref_type", "") != "CROSS") {
      for (const char* side : {"left", "right"}) WEIR_TRY(SpellOutCrossJoins(ref[side]));
    }
    WEIR_TRY(From(ref["left"], whole, ctes));
    WEIR_TRY(From(ref["right"], whole, ctes));
    if (ref.value("ref_type", "") == "ASOF") {
      std::vector<Relation> right;
      WEIR_TRY(FindRelations(ref["right"], whole, ctes, &right));
      if (!AsofIsUnique(ref, right)) {
        faults_->push_back(
            {LocationOf(ref),
             "ASOF JOIN may find several rows with the same time on its right side",
             "make key and time there unique (QUALIFY row_number() …), or say "
             "NONDETERMINISTIC before AS"});
      }
    }
    return {};
  }

  // A side of a join that is a CROSS JOIN: DuckDB prints it as a comma, which binds less.
  Status SpellOutCrossJoins(Json& ref) {
    if (!IsType(ref, "JOIN") || ref.value("ref_type", "") != "CROSS") return {};
    ref["ref_type"] = "REGULAR";
    ref["condition"] = WEIR_TRY(ast_.ParseExpr("TRUE"));
    return {};
  }

  // Whether the columns compared by an ASOF JOIN contain a key of the right side.
  bool AsofIsUnique(const Json& join, const std::vector<Relation>& right) const {
    if (right.size() != 1) return false;
    std::set<std::string> compared;
    for (const Json& name : join["using_columns"])
      compared.insert(data::LowerName(name.get<std::string>()));
    Visit(join["condition"], [&](const Json& json) {
      if (const auto column = ColumnOf(right, json)) compared.insert(column->second);
      return true;
    });
    return HasKey(right[0], compared);
  }

  Status FindRelations(const Json& ref, const Json& whole, const Json& ctes,
                       std::vector<Relation>* out) {
    if (IsType(ref, "EMPTY")) return {};
    if (IsType(ref, "JOIN")) {
      WEIR_TRY(FindRelations(ref["left"], whole, ctes, out));
      const std::string type = ref.value("join_type", "");
      if (type == "SEMI" || type == "ANTI") return {};
      return FindRelations(ref["right"], whole, ctes, out);
    }
    const bool renames = !ref.value("column_name_alias", Json::array()).empty();
    if (IsType(ref, "BASE_TABLE") && !renames) {
      const InputTable* table = IsCte(ref, ctes) ? nullptr : tables_.Find(ref);
      if (table != nullptr) {
        out->push_back(RelationOf(*table, AliasOf(ref).empty()
                                              ? ref["table_name"].get<std::string>()
                                              : AliasOf(ref)));
        return {};
      }
    }
    std::string alias = AliasOf(ref);
    if (alias.empty() && IsType(ref, "BASE_TABLE")) alias = ref["table_name"];
    if (alias.empty() && IsType(ref, "TABLE_FUNCTION"))
      alias = ref["function"].value("function_name", "");
    out->push_back(WEIR_TRY(Described(alias, whole, ctes)));
    if (!renames) out->back().keys = KeysOfRef(ref, ctes);
    return {};
  }

  using Keys = std::vector<std::vector<std::string>>;

  // Columns that are unique together in a table reference.
  Keys KeysOfRef(const Json& ref, const Json& ctes) const {
    if (IsType(ref, "SUBQUERY")) return KeysOfQuery(ref["subquery"]["node"], ctes);
    if (!IsType(ref, "BASE_TABLE")) return {};
    if (ref["schema_name"] == "") {
      for (size_t i = ctes.size(); i-- > 0;) {
        if (!SameName(ctes[i]["key"].get<std::string>(),
                      ref["table_name"].get<std::string>()))
          continue;
        if (!ctes[i]["value"]["aliases"].empty()) return {};
        const Json before(std::vector<Json>(
            ctes.begin(), ctes.begin() + static_cast<std::ptrdiff_t>(i)));
        return KeysOfQuery(ctes[i]["value"]["query"]["node"], before);
      }
    }
    const InputTable* table = tables_.Find(ref);
    return table == nullptr ? Keys() : RelationOf(*table, "").keys;
  }

  // Those of a SELECT's output: its groups, its first rows, or the keys of the one table
  // it reads. Nothing where that is not plain to see.
  Keys KeysOfQuery(const Json& node, Json ctes) const {
    if (!IsType(node, "SELECT_NODE")) return {};
    for (const Json& entry : node["cte_map"]["map"]) ctes.push_back(entry);
    const Json& items = node["select_list"];
    bool unnests = false;
    Visit(items, [&](const Json& json) {
      unnests |= IsCall(json) && CallName(json) == "unnest";
      return !unnests;
    });
    if (unnests) return {};
    // The output columns that are these expressions or columns.
    const auto outputs = [&](const std::vector<Json>& exprs) {
      std::vector<std::string> names;
      for (const Json& expr : exprs) {
        for (const Json& item : items) {
          const bool column = IsClass(item, "COLUMN_REF") && IsClass(expr, "COLUMN_REF");
          if (IsClass(item, "STAR") && IsClass(expr, "COLUMN_REF")) {
            const auto has = [&](const char* part) {
              return item.contains(part) && !item[part].empty();
            };
            if (has("exclude_list") || has("replace_list") || has("rename_list") ||
                has("qualified_exclude_list") || item.value("columns", false))
              continue;
            names.push_back(NamesOf(expr).back());
            break;
          }
          if (column ? !SameName(NamesOf(item).back(), NamesOf(expr).back())
                     : Plain(item) != Plain(expr))
            continue;
          names.push_back(AliasOf(item).empty()
                              ? (column ? NamesOf(item).back() : std::string())
                              : AliasOf(item));
          break;
        }
      }
      const bool all = names.size() == exprs.size() &&
                       std::find(names.begin(), names.end(), "") == names.end();
      return all ? names : std::vector<std::string>();
    };
    Keys keys;
    const auto add = [&](std::vector<std::string> key) {
      if (!key.empty()) keys.push_back(std::move(key));
    };
    if (IsAggregated(node, functions_)) {
      if (node["group_sets"].size() <= 1)
        add(outputs(GroupExpressions(node, functions_,
                                     [](const std::string&) { return false; })));
      return keys;
    }
    const Json& qualify = node["qualify"];
    if (IsType(qualify, "COMPARE_EQUAL") &&
        IsType(qualify["left"], "WINDOW_ROW_NUMBER") && AsInteger(qualify["right"]) == 1)
      add(outputs(qualify["left"]["partitions"].get<std::vector<Json>>()));
    for (const Json& modifier : node["modifiers"]) {
      if (IsType(modifier, "DISTINCT_MODIFIER"))
        add(outputs(modifier["distinct_on_targets"].get<std::vector<Json>>()));
    }
    if (IsType(node["from_table"], "JOIN")) return keys;
    for (const auto& key : KeysOfRef(node["from_table"], ctes)) {
      std::vector<Json> columns;
      for (const std::string& name : key) columns.push_back(ColumnRef({name}));
      add(outputs(columns));
    }
    return keys;
  }

  static bool IsCte(const Json& table, const Json& ctes) {
    if (table["schema_name"] != "") return false;
    return std::any_of(ctes.begin(), ctes.end(), [&](const Json& entry) {
      return SameName(entry["key"].get<std::string>(),
                      table["table_name"].get<std::string>());
    });
  }

  // The columns of one relation of a FROM clause, by asking DuckDB.
  Result<Relation> Described(const std::string& alias, const Json& whole,
                             const Json& ctes) {
    Relation relation{alias, {}, {}, false};
    if (alias.empty()) return relation;
    Json query = WEIR_TRY(ast_.Parse("SELECT * FROM x"));
    query["select_list"][0]["relation_name"] = alias;
    query["from_table"] = whole;
    query["cte_map"]["map"] = ctes;
    const auto schema = session_.Describe(WEIR_TRY(ast_.Print(query)));
    if (!schema.ok()) return relation;
    relation.is_known = true;
    for (const data::Field& field : schema->fields) {
      if (!SameName(field.name, "_received_at")) relation.columns.push_back(field.name);
    }
    return relation;
  }

  // Expressions, from the inside out.
  Status Expr(Json& json, const Rows& rows, const Json& ctes) {
    if (!json.is_structured()) return {};
    if (IsClass(json, "SUBQUERY")) WEIR_TRY(Query(json["subquery"]["node"], ctes));
    for (auto& [name, child] : json.items()) {
      if (name != "subquery") WEIR_TRY(Expr(child, rows, ctes));
    }
    if (IsCall(json)) Aggregate(json, rows);
    if (IsClass(json, "WINDOW")) Window(json, rows);
    return {};
  }

  void Aggregate(Json& call, const Rows& rows) {
    const std::string name = CallName(call);
    if (AsArgExtreme(name)) return ArgMinMax(call, rows);
    if (!kOrderedAggregates.contains(name)) return;
    Json& orders = call["order_bys"]["orders"];
    // Only the argument itself can tell distinct values apart, and mode() looks at
    // nothing else.
    if (call["distinct"] == true || (name == "mode" && orders.empty())) {
      // DuckDB takes a constant order of mode() for the share of a percentile.
      if (orders.empty() && HasColumn(call["children"][0]))
        orders.push_back(OrderTerm(call["children"][0]));
      return MakeExplicit(&orders);
    }
    Append(&orders, Missing(call, rows.relations, orders));
  }

  // arg_min(a, b) with ties t: the least of (b, t), where b is not NULL, as DuckDB skips
  // rows whose b is NULL.
  void ArgMinMax(Json& call, const Rows& rows) {
    Json& arguments = call["children"];
    if (arguments.size() < 2 || Plain(arguments[0]) == Plain(arguments[1])) return;
    const std::vector<Json> missing =
        Missing(call, rows.relations, Json::array({OrderTerm(arguments[1])}));
    if (missing.empty()) return;
    Json by = arguments[1];
    std::vector<Json> parts = {by};
    parts.insert(parts.end(), missing.begin(), missing.end());
    arguments[1] = Call("row", std::move(parts));
    arguments[1]["schema"] = "main";
    call["filter"] = And(call["filter"], IsNotNull(std::move(by)));
  }

  // Which orders of a window call decide its value among peers: that of the window, that
  // of the arguments.
  struct Deciding {
    bool order = false, inner = false;
  };

  static Deciding DecidingOrders(const Json& window) {
    const std::string type = window["type"];
    const bool aggregate = type == "WINDOW_AGGREGATE";
    const bool ordered_aggregate =
        aggregate &&
        (kOrderedAggregates.contains(CallName(window)) || AsArgExtreme(CallName(window)));
    const bool counts_rows =
        Ends(window["start"], "_ROWS") || Ends(window["end"], "_ROWS");
    if (!aggregate && !kOrderedWindows.contains(type))
      return {};  // ranks depend on peers, not on their order
    if (aggregate && !ordered_aggregate && !counts_rows) return {};
    // A frame by value takes one order column only, and rows with equal values stay
    // together in it.
    const bool by_value =
        (Ends(window["start"], "_RANGE") && window["start_expr"].is_object()) ||
        (Ends(window["end"], "_RANGE") && window["end_expr"].is_object());
    const bool inner =
        !window["arg_orders"].empty() || by_value || (ordered_aggregate && !counts_rows);
    return {!inner || counts_rows, inner};
  }

  // Whether equal rows can get different values from this call.
  static bool OrdersEqualRows(const Json& window) { return DecidingOrders(window).order; }

  void Window(Json& window, const Rows& rows) {
    Json& orders = window["orders"];
    Json& inner = window["arg_orders"];
    MakeExplicit(&orders);
    MakeExplicit(&inner);
    const Deciding deciding = DecidingOrders(window);
    if (deciding.inner) {
      if (inner.empty()) inner = orders;
      Append(&inner, MissingIn(window, rows, inner));
    }
    if (deciding.order) Append(&orders, MissingIn(window, rows, orders));
  }

  static bool Ends(const Json& text, std::string_view suffix) {
    return text.get<std::string>().ends_with(suffix);
  }

  // What a window or a LIMIT of this SELECT lacks.
  std::vector<Json> MissingIn(const Json& construct, const Rows& rows,
                              const Json& orders) {
    if (!rows.is_aggregated) return Missing(construct, rows.relations, orders);
    std::vector<Json> missing;
    for (const Json& group : rows.groups) {
      const bool there = std::any_of(orders.begin(), orders.end(), [&](const Json& o) {
        return Plain(o["expression"]) == Plain(group);
      });
      if (!there && !IsClass(group, "CONSTANT")) missing.push_back(Plain(group));
    }
    if (rows.has_sets) {  // a NULL of the rows and one that stands for all of them
      for (const Json& group : rows.groups) {
        Json grouping = *ast_.ParseExpr("GROUPING(x)");
        grouping["children"][0] = Plain(group);
        missing.push_back(std::move(grouping));
      }
    }
    return missing;
  }

  std::vector<Json> Missing(const Json& construct, const std::vector<Relation>& relations,
                            const Json& orders) {
    for (const Relation& relation : relations) {
      if (relation.is_known) continue;
      faults_->push_back(
          {LocationOf(construct),
           fmt::format("the order of the rows of {} cannot be completed here",
                       relation.alias),
           "put that part into a query of its own (WITH …), or say NONDETERMINISTIC "
           "before AS"});
      return {};
    }
    return MissingOrder(relations, orders.get<std::vector<Json>>());
  }

  static void Append(Json* orders, std::vector<Json> columns) {
    MakeExplicit(orders);
    for (Json& column : columns) orders->push_back(OrderTerm(std::move(column)));
  }

  Status Modifiers(Json& node, const Rows& rows, const Json& ctes) {
    bool limited = false, distinct = false, distinct_on = false;
    for (const Json& modifier : node["modifiers"]) {
      limited |= IsType(modifier, "LIMIT_MODIFIER") ||
                 IsType(modifier, "LIMIT_PERCENT_MODIFIER");
      distinct |= IsType(modifier, "DISTINCT_MODIFIER");
      distinct_on |= IsType(modifier, "DISTINCT_MODIFIER") &&
                     !modifier["distinct_on_targets"].empty();
    }
    if (distinct && !distinct_on) return LimitByPosition(node, ctes);
    if (!limited && !distinct_on) return {};
    Json& orders = Orders(node);
    if (!OrdersByAll(orders)) Append(&orders, MissingIn(node, rows, orders));
    DropEmptyOrder(node);
    return {};
  }

  // One row needs no order, and ORDER BY cannot be empty.
  static void DropEmptyOrder(Json& node) {
    Json& modifiers = node["modifiers"];
    for (size_t i = 0; i < modifiers.size(); ++i) {
      if (IsType(modifiers[i], "ORDER_MODIFIER") && modifiers[i]["orders"].empty())
        return modifiers.erase(i);
    }
  }

  static bool OrdersByAll(const Json& orders) {
    return orders.size() == 1 && IsClass(orders[0]["expression"], "STAR");
  }

  // The ORDER BY of a query that has a LIMIT or DISTINCT ON; put in before the LIMIT
  // where there is none.
  static Json& Orders(Json& node) {
    Json& modifiers = node["modifiers"];
    for (Json& modifier : modifiers) {
      if (IsType(modifier, "ORDER_MODIFIER")) return modifier["orders"];
    }
    auto at = modifiers.begin();
    while (at != modifiers.end() && IsType(*at, "DISTINCT_MODIFIER")) ++at;
    at =
        modifiers.insert(at, Json{{"type", "ORDER_MODIFIER"}, {"orders", Json::array()}});
    return (*at)["orders"];
  }

  // Rows of UNION, DISTINCT and the like are told apart by their values only: all output
  // columns, by position.
  Status LimitByPosition(Json& node, const Json& ctes) {
    bool limited = false;
    for (const Json& modifier : node["modifiers"])
      limited |= modifier["type"].get<std::string>().starts_with("LIMIT");
    if (!limited) return {};
    Json query = node;
    Json all = ctes;
    for (const Json& entry : node["cte_map"]["map"]) {
      if (std::find(all.begin(), all.end(), entry) == all.end()) all.push_back(entry);
    }
    query["cte_map"]["map"] = all;
    const auto schema = session_.Describe(WEIR_TRY(ast_.Print(query)));
    Json& orders = Orders(node);
    if (OrdersByAll(orders)) return {};
    if (!schema.ok()) {
      faults_->push_back({LocationOf(node),
                          "the order before this LIMIT cannot be completed",
                          "put ORDER BY ALL before it"});
      return {};
    }
    MakeExplicit(&orders);
    for (size_t i = 0; i < schema->fields.size(); ++i)
      orders.push_back(OrderTerm(IntegerConstant(static_cast<int64_t>(i + 1))));
    return {};
  }

  Ast ast_;
  duck::Session& session_;
  const Tables& tables_;
  const Functions& functions_;
  std::vector<Fault>* faults_;
  int aliases_ = 0;  // names given to subqueries without one
  int copies_ = 0;   // columns that number equal rows
};

// Select items by alias, for GROUP BY's aliases and ordinals.
const Json* ItemNamed(const Json& select, std::string_view name) {
  for (const Json& item : select["select_list"]) {
    if (!AliasOf(item).empty() && SameName(AliasOf(item), name)) return &item;
  }
  return nullptr;
}

}  // namespace

Relation RelationOf(const InputTable& table, std::string alias) {
  Relation relation{std::move(alias), table.order, {}, true};
  const auto add = [&](const std::string& name) {
    if (!Contains(relation.columns, name)) relation.columns.push_back(name);
  };
  for (const data::Field& field : table.schema.fields) {
    if (!field.name.starts_with('_')) add(field.name);
  }
  for (const char* name : {"_partition", "_offset"}) {
    if (table.schema.IndexOf(name) >= 0) add(name);
  }
  const bool has_place =
      Contains(relation.columns, "_partition") && Contains(relation.columns, "_offset");
  for (const data::Field& field : table.schema.fields) {
    if (!SameName(field.name, "_received_at") && !has_place) add(field.name);
  }
  if (!table.key.empty()) relation.keys.push_back(table.key);
  if (has_place) relation.keys.push_back({"_partition", "_offset"});
  return relation;
}

std::vector<Json> MissingOrder(const std::vector<Relation>& relations,
                               const std::vector<Json>& orders) {
  std::vector<std::set<std::string>> ordered(relations.size());
  for (const Json& order : orders) {
    if (const auto column = ColumnOf(relations, order["expression"]))
      ordered[column->first].insert(column->second);
  }
  std::vector<Json> missing;
  for (size_t r = 0; r < relations.size(); ++r) {
    for (const std::string& column : relations[r].columns) {
      if (HasKey(relations[r], ordered[r])) break;
      if (ordered[r].insert(data::LowerName(column)).second)
        missing.push_back(ColumnRef({relations[r].alias, column}));
    }
  }
  return missing;
}

void MakeExplicit(Json* orders) {
  for (Json& order : *orders) {
    if (order["type"] == "ORDER_DEFAULT") order["type"] = "ASCENDING";
    if (order["null_order"] == "ORDER_DEFAULT") order["null_order"] = "NULLS LAST";
  }
}

std::optional<ArgExtreme> AsArgExtreme(const std::string& function) {
  static const std::set<std::string> kMin = {"arg_min", "argmin", "min_by"},
                                     kMax = {"arg_max", "argmax", "max_by"};
  if (kMin.contains(function)) return ArgExtreme{false, false};
  if (kMax.contains(function)) return ArgExtreme{true, false};
  if (function == "arg_min_null") return ArgExtreme{false, true};
  if (function == "arg_max_null") return ArgExtreme{true, true};
  return std::nullopt;
}

bool IsAggregated(const Json& select, const Functions& functions) {
  if (!select["group_expressions"].empty() || !select["group_sets"].empty() ||
      select["aggregate_handling"] == "FORCE_AGGREGATES") {
    return true;
  }
  if (functions.HasAggregate(select["having"])) return true;
  const Json& items = select["select_list"];
  return std::any_of(items.begin(), items.end(),
                     [&](const Json& item) { return functions.HasAggregate(item); });
}

std::vector<Json> GroupExpressions(
    const Json& select, const Functions& functions,
    const std::function<bool(const std::string&)>& is_column) {
  std::vector<Json> groups;
  if (select["aggregate_handling"] == "FORCE_AGGREGATES") {
    for (const Json& item : select["select_list"]) {
      if (!functions.HasAggregate(item) && !IsClass(item, "WINDOW"))
        groups.push_back(Plain(item));
    }
    return groups;
  }
  for (const Json& group : select["group_expressions"]) {
    const auto ordinal = AsInteger(group);
    if (ordinal && *ordinal >= 1 &&
        *ordinal <= static_cast<int64_t>(select["select_list"].size())) {
      groups.push_back(Plain(select["select_list"][static_cast<size_t>(*ordinal - 1)]));
      continue;
    }
    const bool is_alias = IsClass(group, "COLUMN_REF") &&
                          group["column_names"].size() == 1 &&
                          !is_column(NamesOf(group)[0]);
    const Json* item = is_alias ? ItemNamed(select, NamesOf(group)[0]) : nullptr;
    groups.push_back(Plain(item != nullptr ? *item : group));
  }
  return groups;
}

Status CompleteOrder(Json& query, duck::Session& session, const Tables& tables,
                     const Functions& functions, std::vector<Fault>* faults) {
  return Completer(session, tables, functions, faults).Query(query, Json::array());
}

}  // namespace weir::plan
