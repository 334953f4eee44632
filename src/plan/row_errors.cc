#include "plan/row_errors_internal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>

#include "data/batch.h"
#include "data/type.h"
#include "plan/completion_internal.h"
#include "plan/constraints_internal.h"
#include "plan/query_internal.h"

namespace weir::plan {
namespace {

// What else the SELECT that a query of failed rows is made from names: so that both take
// the same columns from their joins, which are then the same.
constexpr const char* kUses = "weir_uses";

// Functions that fail for some arguments, whatever their types.
bool FailsByName(std::string_view name) {
  static const std::set<std::string, std::less<>> kNames = {"strptime",
                                                            "make_date",
                                                            "make_time",
                                                            "make_timestamp",
                                                            "sqrt",
                                                            "ln",
                                                            "log",
                                                            "log2",
                                                            "log10",
                                                            "acos",
                                                            "asin",
                                                            "factorial",
                                                            "gamma",
                                                            "lgamma",
                                                            "from_base64",
                                                            "unhex",
                                                            "from_hex",
                                                            "decode",
                                                            "chr",
                                                            "json",
                                                            "json_extract",
                                                            "json_extract_string",
                                                            "json_transform",
                                                            "json_transform_strict",
                                                            "from_json",
                                                            "from_json_strict",
                                                            "->",
                                                            "->>",
                                                            "epoch_ms",
                                                            "make_timestamp_ns",
                                                            "to_timestamp",
                                                            "unbin",
                                                            "from_binary",
                                                            "json_array_length",
                                                            "json_keys",
                                                            "json_type",
                                                            "json_value",
                                                            "bitstring"};
  return kNames.contains(name);
}

// Operators that fail when the result does not fit, unless it is a float or a time.
bool IsArithmetic(const Json& json) {
  static const std::set<std::string, std::less<>> kNames = {
      "+", "-", "*", "//", "<<", "**", "^", "add", "subtract", "multiply", "abs"};
  return IsCall(json) && kNames.contains(CallName(json));
}

bool IsCheckedCast(const Json& json) {
  return IsClass(json, "CAST") && !json.value("try_cast", false) &&
         json["cast_type"]["id"] != "VARCHAR" && HasColumn(json);
}

bool IsInteger(const std::string& type) {
  return type.find("INT") != type.npos && !type.starts_with("INTERVAL");
}

// What a value of a type becomes without ever failing.
bool CastFails(const std::string& from, const std::string& to) {
  const auto is_time = [](const std::string& type) {
    return type.starts_with("TIMESTAMP") || type == "DATE";
  };
  static const std::array<std::string, 5> kWidening = {"TINYINT", "SMALLINT", "INTEGER",
                                                       "BIGINT", "HUGEINT"};
  if (from == to || from == "\"NULL\"") return false;
  if (is_time(from) && is_time(to)) return false;
  const bool to_float = to == "DOUBLE" || to == "FLOAT";
  if (to_float && (IsInteger(from) || from == "FLOAT" || from.starts_with("DECIMAL")))
    return false;
  if (from == "BOOLEAN") return !IsInteger(to) && !to_float;
  const auto a = std::find(kWidening.begin(), kWidening.end(), from),
             b = std::find(kWidening.begin(), kWidening.end(), to);
  return a == kWidening.end() || b == kWidening.end() || a > b;
}

bool ArithmeticFails(const std::string& type) {
  return IsInteger(type) || type.starts_with("DECIMAL");
}

// Sums have the widest types there are, so that what is computed of them does, too;
// that 38 digits are not enough is nothing to make every percentage a check for.
bool HasAllDigits(const std::string& type) {
  return type == "HUGEINT" || type.starts_with("DECIMAL(38,");
}

bool HasCall(const Json& expr, std::string_view name) {
  bool has = false;
  Visit(expr, [&](const Json& json) {
    has |= IsCall(json) && CallName(json) == name;
    return !has;
  });
  return has;
}
bool HasUnnestCall(const Json& expr) { return HasCall(expr, "unnest"); }

bool HasStar(const Json& expr) {
  bool has = false;
  Visit(expr, [&](const Json& json) {
    has |= IsClass(json, "STAR");
    return !has;
  });
  return has;
}

std::string Literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

// Types that a text is cast to where `=` or IN compares it with one of them.
bool IsCastTo(const std::string& type) {
  return IsInteger(type) || type.starts_with("DECIMAL") || type.starts_with("TIME") ||
         type == "DOUBLE" || type == "FLOAT" || type == "BOOLEAN" || type == "DATE" ||
         type == "INTERVAL" || type == "UUID" || type == "BLOB";
}

class Checker {
 public:
  Checker(const data::Schema& output, duck::Session& bodies, const Functions& functions)
      : output_(output), bodies_(bodies), ast_(bodies), functions_(functions) {}

  Status Query(Json& node, const Json& outer, bool is_root) {
    Json ctes = outer;
    for (Json& entry : node["cte_map"]["map"]) {
      WEIR_TRY(Query(entry["value"]["query"]["node"], ctes, false));
      ctes.push_back(entry);
    }
    if (IsType(node, "SET_OPERATION_NODE")) {
      WEIR_TRY(Query(node["left"], ctes, false));
      return Query(node["right"], ctes, false);
    }
    if (!IsType(node, "SELECT_NODE")) return {};
    WEIR_TRY(From(node["from_table"], ctes));
    if (IsType(node["from_table"], "EMPTY") || !node["sample"].is_null()) return {};
    const FromColumns from = {
        [&](const std::string& name) { return IsColumnOf(node, name, ctes); },
        [&] { return ColumnsOf(node, ctes); }};
    const Json spelled = WEIR_TRY(SpellAliases(node, ast_, from.has));
    std::optional<LiftedSelect> lifted;
    if (MayFailOverWindows(spelled))
      lifted = WEIR_TRY(LiftWindows(spelled, from, ast_, functions_));
    else if (MayFailOverGroups(spelled))
      lifted = WEIR_TRY(LiftGroups(spelled, from, ast_, functions_));
    if (lifted && WEIR_TRY(Lifted(*std::move(lifted), &node, ctes, is_root))) return {};
    WEIR_TRY(Select(spelled, &node, ctes, is_root));
    return {};
  }

  std::vector<Json> TakeFailed() { return std::move(failed_); }

 private:
  Status From(Json& ref, const Json& ctes) {
    if (IsType(ref, "JOIN")) {
      WEIR_TRY(From(ref["left"], ctes));
      return From(ref["right"], ctes);
    }
    if (!IsType(ref, "SUBQUERY")) return {};
    return Query(ref["subquery"]["node"], ctes, false);
  }

  bool IsColumnOf(const Json& node, const std::string& name, const Json& ctes) {
    auto bare = Bare(node, ctes);
    if (!bare.ok()) return true;
    (*bare)["where_clause"] = nullptr;
    (*bare)["select_list"].push_back(ColumnRef({name}));
    const auto sql = ast_.Print(*bare);
    return !sql.ok() || bodies_.Describe(*sql).ok();
  }

  std::vector<std::string> ColumnsOf(const Json& node, const Json& ctes) {
    std::vector<std::string> names;
    auto bare = Bare(node, ctes);
    auto star = ast_.Parse("SELECT * FROM t");
    if (!bare.ok() || !star.ok()) return names;
    (*bare)["where_clause"] = nullptr;
    (*bare)["select_list"] = (*star)["select_list"];
    const auto sql = ast_.Print(*bare);
    if (!sql.ok()) return names;
    const auto schema = bodies_.Describe(*sql);
    if (!schema.ok()) return names;
    for (const data::Field& field : schema->fields) names.push_back(field.name);
    return names;
  }

  // Whether something that may fail is computed of what `is_below` names.
  bool MayFailOver(const Json& expr, const std::function<bool(const Json&)>& is_below,
                   const std::function<bool(const Json&)>& has_below) const {
    bool may = false;
    const std::function<void(const Json&)> look = [&](const Json& json) {
      if (may || !json.is_structured() || is_below(json) || IsClass(json, "SUBQUERY") ||
          IsClass(json, "LAMBDA"))
        return;
      const bool fails = (IsClass(json, "CAST") && !json.value("try_cast", false)) ||
                         IsArithmetic(json) ||
                         (IsCall(json) && FailsByName(CallName(json)));
      may |= fails && has_below(json);
      for (const Json& child : json) look(child);
    };
    look(expr);
    return may;
  }

  bool MayFailOverGroups(const Json& node) const {
    if (!IsAggregated(node, functions_)) return false;
    const auto is_below = [&](const Json& json) { return functions_.IsAggregate(json); };
    const auto has_below = [&](const Json& json) {
      return functions_.HasAggregate(json);
    };
    return MayFailOver(node["select_list"], is_below, has_below) ||
           MayFailOver(node["having"], is_below, has_below);
  }

  // QUALIFY is of rows that have their windows, whatever it says.
  bool MayFailOverWindows(const Json& node) const {
    const auto is_below = [&](const Json& json) { return IsClass(json, "WINDOW"); };
    return MayFailOver(node["select_list"], is_below, HasWindow) ||
           MayFailOver(node["qualify"], is_below, HasColumn);
  }

  // Both SELECTs checked, in the place of `*node`, if something over the inner one can
  // fail.
  Result<bool> Lifted(LiftedSelect lifted, Json* node, const Json& ctes, bool is_root) {
    const size_t failed_before = failed_.size();
    WEIR_TRY(Select(Json(lifted.inner), &lifted.inner, ctes, false));
    lifted.rows["from_table"]["subquery"]["node"] = std::move(lifted.inner);
    over_lifted_ = true;
    const bool may_fail =
        WEIR_TRY(Select(Json(lifted.rows), &lifted.rows, ctes, is_root));
    over_lifted_ = false;
    if (may_fail) {
      *node = std::move(lifted.rows);
      return true;
    }
    failed_.resize(failed_before);
    return false;
  }

  // A SELECT whose FROM is checked: `*out` becomes `node` with checks, if something in it
  // can fail; returns whether.
  Result<bool> Select(const Json& node, Json* out, const Json& ctes, bool is_root) {
    auto types = Types(node, ctes);
    if (!types) return false;  // it cannot be judged apart from what stands around it
    types_ = *std::move(types);
    checks_.clear();
    Json checked = node;
    std::vector<FailingRows> failing = TryConditions(
        &checked,
        [&](const Json& expr, const Json* compared) { return Part(expr, compared); },
        [&](const Json& expr, const Json& ref) { return BindsIn(expr, ref, ctes); });
    // As a key of GROUP BY ALL, TRY ends DuckDB's binder (1.5.5); it is computed behind
    // WHERE anyway.
    const bool all_keys = node.value("aggregate_handling", "") == "FORCE_AGGREGATES";
    for (Json& item : checked["select_list"]) {
      Json key = item;
      Collect(item);
      if (all_keys && !functions_.HasAggregate(key)) item = std::move(key);
    }
    for (Json& key : checked["group_expressions"]) Collect(key);
    SpeakOfTriedKeys(&checked);
    for (const char* part : {"having", "qualify"}) {
      if (checked[part].is_object()) CollectInside(checked[part]);
    }
    for (Json& modifier : checked["modifiers"]) {
      if (modifier.contains("orders")) {
        for (Json& order : modifier["orders"]) Collect(order["expression"]);
      }
      if (modifier.contains("distinct_on_targets")) {
        for (Json& target : modifier["distinct_on_targets"]) Collect(target);
      }
    }
    if (checks_.empty() && failing.empty()) return false;
    if (failing.empty()) failing.push_back({{}, checked["where_clause"], {}});
    for (const Json& check : checks_) failing[0].conditions.push_back({{}, {}, {check}});
    std::vector<Json> failed;
    for (const FailingRows& rows : failing) {
      if (rows.conditions.empty()) continue;
      failed.push_back(WEIR_TRY(Failed(checked, rows, ctes, is_root)));
      // Lateral subqueries and the like see more than what they read.
      if (!bodies_.Describe(WEIR_TRY(ast_.Print(WithoutUses(failed.back())))).ok())
        return false;
    }
    for (const Json& check : checks_)
      checked["where_clause"] = And(std::move(checked["where_clause"]), RowCheck(check));
    *out = std::move(checked);
    failed_.insert(failed_.end(), failed.begin(), failed.end());
    return true;
  }

  // The types of what casts and arithmetic operators of the SELECT work on, by the text
  // of their trees.
  std::optional<std::map<std::string, std::string>> Types(const Json& node,
                                                          const Json& ctes) {
    std::map<std::string, Json> asked;
    const std::function<void(const Json&)> ask = [&](const Json& json) {
      if (!json.is_structured() || IsClass(json, "SUBQUERY") || IsClass(json, "LAMBDA"))
        return;
      if (IsClass(json, "CAST") && IsCheckedCast(json) &&
          !functions_.HasAggregate(json) && !HasWindow(json) && !HasSubquery(json)) {
        asked.emplace(Plain(json["child"]).dump(), json["child"]);
      }
      if (IsArithmetic(json) && HasColumn(json) && !functions_.HasAggregate(json) &&
          !HasWindow(json) && !HasSubquery(json))
        asked.emplace(Plain(json).dump(), json);
      for (const Json* operand : Compared(json)) {
        if (!HasSubquery(json) && !HasWatermark(json) && !functions_.HasAggregate(json) &&
            !HasWindow(json))
          asked.emplace(Plain(*operand).dump(), *operand);
      }
      for (const Json& child : json) ask(child);
    };
    for (const char* part : {"select_list", "group_expressions", "where_clause"})
      ask(node[part]);
    AskOn(node["from_table"], ask);
    std::map<std::string, std::string> types;
    if (asked.empty()) return types;
    auto bare = Bare(node, ctes);
    if (!bare.ok()) return std::nullopt;
    Json select = *std::move(bare);
    std::string list, names;
    for (const auto& [text, expr] : asked) {
      const size_t i = select["select_list"].size();
      Json column = expr;
      column["alias"] = "";
      select["select_list"].push_back(std::move(column));
      list += fmt::format("{}typeof(any_value(t{}))", i == 0 ? "" : ", ", i);
      names += fmt::format("{}t{}", i == 0 ? "" : ", ", i);
    }
    const auto sql = ast_.Print(select);
    if (!sql.ok()) return std::nullopt;
    const auto rows = bodies_.Query(
        fmt::format("SELECT {} FROM ({}) AS q({})", list, *sql, names), nullptr);
    if (!rows.ok() || rows->empty()) return std::nullopt;
    int i = 0;
    for (const auto& [text, expr] : asked)
      types[text] = data::RowText(*(*rows)[0]->SelectColumns({i++}).ValueOrDie(), 0);
    return types;
  }

  // Of joins whose two sides can both be named.
  static void AskOn(const Json& ref, const std::function<void(const Json&)>& ask) {
    if (!IsType(ref, "JOIN")) return;
    AskOn(ref["left"], ask);
    const std::string type = ref.value("join_type", "");
    if (type == "SEMI" || type == "ANTI") return;
    AskOn(ref["right"], ask);
    ask(ref["condition"]);
  }

  // What is cast to one type to be compared.
  static std::vector<const Json*> Compared(const Json& json) {
    std::vector<const Json*> out;
    for (const char* type : {"COMPARE_EQUAL", "COMPARE_NOTEQUAL", "COMPARE_DISTINCT_FROM",
                             "COMPARE_NOT_DISTINCT_FROM"}) {
      if (IsType(json, type)) out = {&json["left"], &json["right"]};
    }
    if (IsType(json, "COMPARE_IN") || IsType(json, "COMPARE_NOT_IN")) {
      for (const Json& child : json["children"]) out.push_back(&child);
    }
    return out;
  }

  std::string TypeOf(const Json& expr) const {
    const auto type = types_.find(Plain(expr).dump());
    return type == types_.end() ? "" : type->second;
  }

  // Of a condition: see FailingPart.
  std::optional<Json> Part(const Json& expr, const Json* compared) {
    if (compared != nullptr && TypeOf(expr) == "VARCHAR" && HasColumn(expr) &&
        IsCastTo(TypeOf(*compared))) {
      auto cast = Cast(expr, TypeOf(*compared));
      if (cast.ok()) return *std::move(cast);
    }
    if (Fails(expr)) return Plain(expr);
    return std::nullopt;
  }

  Result<Json> Cast(const Json& expr, const std::string& type) {
    return Plain(WEIR_TRY(ast_.ParseExpr(
        fmt::format("CAST({} AS {})", WEIR_TRY(ast_.PrintExpr(expr)), type))));
  }

  bool BindsIn(const Json& expr, const Json& ref, const Json& ctes) {
    auto select = ast_.Parse("SELECT 1 FROM t");
    if (!select.ok()) return false;
    Json column = expr;
    column["alias"] = "";
    (*select)["select_list"] = Json::array({std::move(column)});
    (*select)["from_table"] = ref;
    (*select)["cte_map"]["map"] = ctes;
    const auto sql = ast_.Print(*select);
    return sql.ok() && bodies_.Describe(*sql).ok();
  }

  bool Fails(const Json& expr) const {
    if (HasCall(expr, "error")) return false;  // DuckDB takes none into TRY
    bool fails = false;
    const std::function<void(const Json&)> look = [&](const Json& json) {
      if (fails || !json.is_structured() || IsType(json, "OPERATOR_TRY")) return;
      if (IsExpr(json) && !HasColumn(json)) return;
      const std::vector<const Json*> compared = Compared(json);
      const auto is = [&](const auto& test) {
        return std::any_of(compared.begin(), compared.end(), test);
      };
      fails |=
          is([&](const Json* e) { return HasColumn(*e) && TypeOf(*e) == "VARCHAR"; }) &&
          is([&](const Json* e) { return IsCastTo(TypeOf(*e)); });
      if (IsCheckedCast(json)) {
        const auto type = types_.find(Plain(json["child"]).dump());
        fails |= type == types_.end() ||
                 CastFails(type->second, json["cast_type"]["id"].get<std::string>());
      } else if (IsArithmetic(json)) {
        const auto type = types_.find(Plain(json).dump());
        fails |= type == types_.end() || (ArithmeticFails(type->second) &&
                                          !(over_lifted_ && HasAllDigits(type->second)));
      } else if (IsCall(json)) {
        fails |= FailsByName(CallName(json));
      }
      for (const Json& child : json) look(child);
    };
    look(expr);
    return fails;
  }

  // Notes what can fail in `expr`, and puts TRY around it.
  void Collect(Json& expr) {
    if (!IsExpr(expr)) return;
    if (functions_.HasAggregate(expr) || HasWindow(expr) || HasUnnestCall(expr) ||
        HasStar(expr))
      return CollectInside(expr);
    if (HasSubquery(expr) || !Fails(expr)) return;
    Json plain = Plain(expr);
    if (std::find(checks_.begin(), checks_.end(), plain) == checks_.end())
      checks_.push_back(plain);
    const std::string alias = AliasOf(expr);
    expr = Try(std::move(plain));
    expr["alias"] = alias;
  }

  // What aggregates, windows and unnest work on, and what a star replaces.
  void CollectInside(Json& json) {
    if (IsClass(json, "SUBQUERY")) return;
    const bool rows = (IsExpr(json) && functions_.IsAggregate(json)) ||
                      IsClass(json, "WINDOW") ||
                      (IsCall(json) && CallName(json) == "unnest");
    if (IsClass(json, "STAR")) {
      if (json.contains("replace_list")) {
        for (Json& entry : json["replace_list"]) Collect(entry["value"]);
      }
      return;
    }
    if (!rows) {
      for (Json& child : json) {
        if (child.is_structured()) CollectInside(child);
      }
      return;
    }
    for (const char* part : {"children", "partitions"}) {
      if (!json.contains(part)) continue;
      for (Json& child : json[part]) Collect(child);
    }
    for (const char* part : {"filter", "filter_expr"}) {
      if (json.contains(part) && json[part].is_object()) Collect(json[part]);
    }
    if (json.contains("orders")) {
      for (Json& order : json["orders"]) Collect(order["expression"]);
    }
    if (json.contains("order_bys") && json["order_bys"].is_object()) {
      for (Json& order : json["order_bys"]["orders"]) Collect(order["expression"]);
    }
  }

  // Whether `part` is somewhere in `expr`.
  static bool Stands(const Json& part, const Json& expr) {
    bool stands = false;
    Visit(expr, [&](const Json& json) {
      stands |= IsExpr(json) && Plain(json) == part;
      return !stands;
    });
    return stands;
  }

  // A key that can fail stands in GROUP BY as TRY(e): so it must wherever else it stands,
  // alone or in another expression. That one needs no TRY then, which DuckDB (1.5.5) does
  // not look into for keys: the rows for which it fails are in no group.
  void SpeakOfTriedKeys(Json* checked) const {
    for (const Json& key : (*checked)["group_expressions"]) {
      const Json* tried = TriedExpr(key);
      if (tried == nullptr) continue;
      const Json expr = *tried;
      const std::function<void(Json&)> replace = [&](Json& json) {
        if (!json.is_structured() || IsClass(json, "SUBQUERY")) return;
        const Json* inside = TriedExpr(json);
        if (inside != nullptr && *inside == expr) return;
        if (inside != nullptr && Stands(expr, *inside) &&
            std::find(checks_.begin(), checks_.end(), *inside) != checks_.end()) {
          const std::string alias = AliasOf(json);
          json = Json(*inside);
          json["alias"] = alias;
        }
        if (IsExpr(json) && Plain(json) == expr) {
          const std::string alias = AliasOf(json);
          json = Try(expr);
          json["alias"] = alias;
          return;
        }
        for (Json& child : json) replace(child);
      };
      for (const char* part : {"select_list", "having", "qualify", "modifiers"})
        replace((*checked)[part]);
    }
  }

  // SELECT FROM … WHERE … of a SELECT, without a list.
  Result<Json> Bare(const Json& node, const Json& ctes) {
    Json out = WEIR_TRY(ast_.Parse("SELECT 1 FROM t"));
    out["select_list"] = Json::array();
    out["from_table"] = node["from_table"];
    out["where_clause"] = node["where_clause"];
    out["cte_map"]["map"] = ctes;
    return out;
  }

  // The SELECT of `rows`, whose SELECT is `checked`.
  Result<Json> Failed(const Json& checked, const FailingRows& rows, const Json& ctes,
                      bool is_root) {
    std::string texts;
    std::map<std::string, Json> inputs;
    std::set<std::string> told;
    for (const TriedCondition& condition : rows.conditions) {
      for (const Json& part : condition.parts) {
        CollectColumns(part, &inputs);
        Json fails = Not(RowCheck(part));
        // Where others decide, a part that fails means nothing.
        if (!condition.plain)
          fails = And(Not(OrFalse(condition.holds)), std::move(fails));
        const std::string text =
            fmt::format(", CASE WHEN {} THEN {} END", WEIR_TRY(ast_.PrintExpr(fails)),
                        Literal(WEIR_TRY(ast_.PrintExpr(part))));
        if (told.insert(text).second) texts += text;
      }
    }
    std::string fields;
    for (const auto& [name, column] : inputs) {
      fields += fmt::format("{}{}: {}", fields.empty() ? "" : ", ", Literal(name),
                            WEIR_TRY(ast_.PrintExpr(column)));
    }
    const std::vector<std::string> names = RejectedColumns();
    const std::string expression = fmt::format("concat_ws(', '{})", texts);
    const std::string values[] = {
        "'error'", "CAST(NULL AS VARCHAR)", expression,
        "concat(" + expression + ", ' cannot be computed')",
        fields.empty() ? std::string("'{}'")
                       : fmt::format("CAST(to_json({{{}}}) AS VARCHAR)", fields)};
    Json inner = WEIR_TRY(Bare(checked, ctes));
    inner["where_clause"] = And(rows.where, Not(NothingFails(rows.conditions)));
    std::set<std::string> known;  // columns of the query that they have
    if (is_root && !IsAggregated(checked, functions_) &&
        !HasWindow(checked["select_list"]) && !HasUnnestCall(checked["select_list"])) {
      WEIR_TRY(Values(checked["select_list"], rows, ctes, &inner, &known));
    }
    if (!rows.from.is_null()) inner["from_table"] = rows.from;
    inner[kUses] = {
        {"list", checked["select_list"]},    {"where", checked["where_clause"]},
        {"on", OnOf(checked["from_table"])}, {"groups", checked["group_expressions"]},
        {"having", checked["having"]},       {"qualify", checked["qualify"]},
        {"modifiers", checked["modifiers"]}};
    for (size_t i = 0; i < names.size(); ++i) {
      Json item = WEIR_TRY(ast_.ParseExpr(values[i]));
      item["alias"] = names[i];
      inner["select_list"].push_back(PlainNamed(std::move(item)));
    }
    std::string list;
    for (const data::Field& field : output_.fields) {
      list += fmt::format("CAST({} AS {}) AS {}, ",
                          known.contains(data::LowerName(field.name))
                              ? duck::QuoteName(field.name)
                              : "NULL",
                          duck::TypeInSql(field.type), duck::QuoteName(field.name));
    }
    for (const std::string& name : names)
      list += fmt::format("{}{}", name, &name == &names.back() ? "" : ", ");
    Json out = WEIR_TRY(ast_.Parse(fmt::format("SELECT {} FROM (SELECT 1) AS f", list)));
    out["from_table"]["subquery"]["node"] = std::move(inner);
    return out;
  }

  // What of the query's list the rows have.
  Status Values(const Json& items, const FailingRows& rows, const Json& ctes, Json* inner,
                std::set<std::string>* known) {
    if (rows.from.is_null()) {
      (*inner)["select_list"] = items;
      for (const data::Field& field : output_.fields)
        known->insert(data::LowerName(field.name));
      return {};
    }
    for (const Json& item : items) {
      if (HasStar(item) || HasSubquery(item) || !BindsIn(item, rows.from, ctes)) continue;
      const std::string name = !AliasOf(item).empty() ? AliasOf(item)
                               : IsClass(item, "COLUMN_REF")
                                   ? NamesOf(item).back()
                                   : WEIR_TRY(ast_.PrintExpr(item));
      if (!known->insert(data::LowerName(name)).second) continue;
      (*inner)["select_list"].push_back(item);
      (*inner)["select_list"].back()["alias"] = name;
    }
    return {};
  }

  static Json OnOf(const Json& ref) {
    if (!IsType(ref, "JOIN")) return Json();
    return Json::array({OnOf(ref["left"]), OnOf(ref["right"]), ref["condition"]});
  }

  static Json PlainNamed(Json item) {
    const std::string alias = AliasOf(item);
    item = Plain(std::move(item));
    item["alias"] = alias;
    return item;
  }

  // By the names they get in _inputs; those of lambdas are none.
  static void CollectColumns(const Json& expr, std::map<std::string, Json>* out) {
    if (IsClass(expr, "COLUMN_REF")) {
      const std::vector<std::string> names = NamesOf(expr);
      std::string name = names.back();
      const auto known = out->find(name);
      if (known != out->end() && known->second != Plain(expr))
        name = fmt::format("{}", fmt::join(names, "."));
      out->emplace(name, Plain(expr));
      return;
    }
    if (IsClass(expr, "LAMBDA")) return;
    if (!expr.is_structured()) return;
    for (const Json& child : expr) CollectColumns(child, out);
  }

  const data::Schema& output_;
  duck::Session& bodies_;
  Ast ast_;
  const Functions& functions_;
  std::vector<Json> failed_;
  std::map<std::string, std::string> types_;  // of the present SELECT
  std::vector<Json> checks_;                  // of the present SELECT
  bool over_lifted_ = false;  // the present SELECT is one that Lifted made
};

}  // namespace

Result<Checked> CheckRows(const Json& completed, const data::Schema& output,
                          duck::Session& bodies, const Functions& functions) {
  Checked out;
  out.query = completed;
  Checker checker(output, bodies, functions);
  WEIR_TRY(checker.Query(out.query, Json::array(), true));
  out.failed = checker.TakeFailed();
  return out;
}

Json WithoutUses(Json query) {
  Visit(query, [](Json& json) {
    json.erase(kUses);
    return true;
  });
  return query;
}

const Json* TriedExpr(const Json& expr) {
  return IsType(expr, "OPERATOR_TRY") ? &expr["children"][0] : nullptr;
}

std::vector<const Json*> FailingChecks(const Json& condition) {
  std::vector<const Json*> out;
  if (!IsType(condition, "OPERATOR_NOT")) return out;
  const Json& inside = condition["children"][0];
  const std::function<bool(const Json&)> add = [&](const Json& check) {
    if (IsType(check, "CONJUNCTION_AND"))
      return std::all_of(check["children"].begin(), check["children"].end(), add);
    out.push_back(CheckedExpr(check));
    return out.back() != nullptr;
  };
  return add(inside) ? out : std::vector<const Json*>();
}

const Json* CheckedExpr(const Json& condition) {
  if (!IsType(condition, "OPERATOR_IS_NOT_NULL")) return nullptr;
  const Json* tried = TriedExpr(condition["children"][0]);
  if (tried == nullptr || !IsCall(*tried) || CallName(*tried) != "struct_pack" ||
      (*tried)["children"].size() != 1 || AliasOf((*tried)["children"][0]) != "v")
    return nullptr;
  return &(*tried)["children"][0];
}

}  // namespace weir::plan
