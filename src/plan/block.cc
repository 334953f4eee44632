#include "plan/block_internal.h"

#include <fmt/format.h>

#include <arrow/api.h>

#include "data/batch.h"
#include "data/type.h"
#include "plan/utc_internal.h"

namespace weir::plan {
namespace {

using data::Kind;
using data::SameName;
using ops::AggregateKind;

bool IsColumn(const Json& expr) {
  return IsClass(expr, "COLUMN_REF") && expr["column_names"].size() == 1;
}

// The columns that pre_sql computes; equal expressions share one.
class PreColumns {
 public:
  int Add(const Json& expr, std::string_view prefix) {
    const std::string text = Plain(expr).dump();
    for (size_t i = 0; i < exprs_.size(); ++i) {
      if (texts_[i] == text) return static_cast<int>(i);
    }
    const size_t n = counts_[std::string(prefix)]++;
    exprs_.push_back({fmt::format("{}{}", prefix, n), expr});
    texts_.push_back(text);
    return static_cast<int>(exprs_.size() - 1);
  }
  const std::vector<Item>& items() const { return exprs_; }

 private:
  std::vector<Item> exprs_;
  std::vector<std::string> texts_;
  std::map<std::string, size_t> counts_;
};

// Ascending and NULLS LAST is how operators order; what differs gets a column "is NULL"
// in front, so that only values are reversed.
struct OperatorOrder {
  std::vector<Json> exprs;
  std::vector<bool> descending;
};
OperatorOrder ForOperator(const std::vector<Json>& orders) {
  OperatorOrder out;
  for (const Json& order : orders) {
    const bool descending = order["type"] == "DESCENDING",
               nulls_first = order["null_order"] == "NULLS FIRST";
    if (descending || nulls_first) {
      out.exprs.push_back(IsNull(order["expression"]));
      out.descending.push_back(nulls_first);
    }
    out.exprs.push_back(order["expression"]);
    out.descending.push_back(descending);
  }
  return out;
}

class BlockPlanner {
 public:
  BlockPlanner(duck::Session& pieces, const Tables& tables, const Functions& functions,
               ModelPlan* plan)
      : ast_(pieces),
        pieces_(pieces),
        functions_(functions),
        flattener_(ast_, tables, functions),
        plan_(*plan) {}

  // kInvalid: why this query is a full refresh.
  Status Plan(const Json& query) {
    block_ = WEIR_TRY(flattener_.Flatten(query));
    const Json& select = block_.select;
    WEIR_TRY(CheckModifiers(select));
    if (block_.items.size() != plan_.output.fields.size())
      return Invalid("its columns could not be told apart");
    for (size_t i = 0; i < block_.items.size(); ++i)
      block_.items[i].name = plan_.output.fields[i].name;
    if (IsAggregated(select, functions_))
      return distinct_ ? Invalid("it has DISTINCT over groups") : Aggregate();
    if (!select["having"].is_null()) return Invalid("it has HAVING without groups");
    if (!distinct_on_.empty()) return DistinctOn();
    if (!select["qualify"].is_null())
      return distinct_ ? Invalid("it has DISTINCT beside QUALIFY") : Qualify();
    if (const std::string window = WindowIn(select["select_list"]); !window.empty())
      return Invalid("it uses the window function " + window);
    return distinct_ ? Distinct() : RowWise();
  }

 private:
  // An ORDER BY alone means nothing for a table.
  Status CheckModifiers(const Json& select) {
    for (const Json& modifier : select["modifiers"]) {
      if (IsType(modifier, "DISTINCT_MODIFIER")) {
        distinct_on_ = modifier["distinct_on_targets"].get<std::vector<Json>>();
        distinct_ = distinct_on_.empty();
      } else if (!IsType(modifier, "ORDER_MODIFIER")) {
        return Invalid("it has LIMIT over the whole table");
      }
    }
    return {};
  }

  static std::string WindowIn(const Json& json) {
    std::string name;
    Visit(json, [&](const Json& part) {
      if (IsClass(part, "WINDOW")) name = CallName(part) + "()";
      return name.empty();
    });
    return name;
  }

  std::vector<Relation> Relations() const { return {RelationOf(*block_.input, "")}; }

  // `orders` (resolved terms) with what makes them total.
  std::vector<Json> Completed(std::vector<Json> orders) const {
    Json list(std::move(orders));
    MakeExplicit(&list);
    orders = list.get<std::vector<Json>>();
    for (const Json& column : MissingOrder(Relations(), orders))
      orders.push_back(OrderTerm(ColumnRef({NamesOf(column).back()})));
    return orders;
  }

  // ---- SQL pieces

  Result<std::string> SelectList(const std::vector<Item>& items) {
    std::string out;
    for (const Item& item : items) {
      out += fmt::format("{} AS {}, ", WEIR_TRY(ast_.PrintExpr(item.expr)),
                         duck::QuoteName(item.name));
    }
    return out;
  }

  // Takes over `items` as pre_sql's columns.
  Status SetPre(const std::vector<Item>& items) {
    std::vector<Item> shorter;
    for (const Item& item : items) {
      shorter.push_back(
          {item.name, WEIR_TRY(InUtc(ast_, item.expr, block_.input->schema))});
    }
    const std::string list = WEIR_TRY(SelectList(shorter));
    plan_.pre_sql = fmt::format("SELECT {}_weight FROM {}", list,
                                duck::QuoteTable(block_.input->name));
    if (!block_.where.is_null())
      plan_.pre_sql += " WHERE " + WEIR_TRY(ast_.PrintExpr(WEIR_TRY(
                                       InUtc(ast_, block_.where, block_.input->schema))));
    plan_.pre_schema = WEIR_TRY(pieces_.Describe(plan_.pre_sql));
    plan_.pre_schema.fields.pop_back();
    plan_.pre_columns.clear();
    plan_.pre_is_projection = block_.where.is_null();
    for (const Item& item : items) {
      if (!IsColumn(item.expr)) {
        plan_.pre_is_projection = false;
        continue;
      }
      plan_.pre_columns.push_back(block_.input->schema.IndexOf(NamesOf(item.expr)[0]));
    }
    if (!plan_.pre_is_projection) plan_.pre_columns.clear();
    return {};
  }

  // Declares `_groups` as the operator's output and takes over `items` as post_sql.
  Status SetPost(const std::vector<Item>& items, const Json& having,
                 data::Schema groups) {
    groups.fields.push_back({"_weight", data::Simple(Kind::kInt32)});
    WEIR_TRY(pieces_.DeclareInput("_groups", groups));
    const std::string list = WEIR_TRY(SelectList(items));
    plan_.post_sql = fmt::format("SELECT {}_weight FROM _groups", list);
    if (!having.is_null()) plan_.post_sql += " WHERE " + WEIR_TRY(ast_.PrintExpr(having));
    plan_.post_columns.clear();
    for (const Item& item : items) {
      if (having.is_null() && IsColumn(item.expr))
        plan_.post_columns.push_back(groups.IndexOf(NamesOf(item.expr)[0]));
    }
    plan_.post_is_projection = plan_.post_columns.size() == items.size();
    if (!plan_.post_is_projection) plan_.post_columns.clear();
    return CheckOutput(plan_.post_sql);
  }

  // The pieces must give exactly the columns of the whole query.
  Status CheckOutput(const std::string& sql) {
    data::Schema schema = WEIR_TRY(pieces_.Describe(sql));
    schema.fields.pop_back();
    if (schema == plan_.output) return {};
    return Internal("the query in pieces gives other columns than the query as a whole");
  }

  // ---- row by row

  Status RowWise() {
    WEIR_TRY(SetPre(block_.items));
    WEIR_TRY(CheckOutput(plan_.pre_sql));
    plan_.kind = BlockKind::kRowWise;
    if (!block_.has_unnest) plan_.key = Carried(block_.input->key);
    return {};
  }

  // The output columns that these input columns reach unchanged; empty if one does not.
  std::vector<std::string> Carried(const std::vector<std::string>& columns) const {
    std::vector<std::string> names;
    for (const std::string& column : columns) {
      for (const Item& item : block_.items) {
        if (!IsColumn(item.expr) || !SameName(NamesOf(item.expr)[0], column)) continue;
        names.push_back(item.name);
        break;
      }
    }
    return names.size() == columns.size() ? names : std::vector<std::string>();
  }

  Status Distinct() {
    WEIR_TRY(SetPre(block_.items));
    std::vector<Item> out;
    for (size_t i = 0; i < block_.items.size(); ++i) {
      out.push_back({block_.items[i].name, ColumnRef({block_.items[i].name})});
      plan_.exchange_keys.push_back(static_cast<int>(i));
      plan_.key.push_back(block_.items[i].name);
    }
    plan_.kind = BlockKind::kDistinct;
    return SetPost(out, Json(), plan_.pre_schema);
  }

  // ---- first rows of a key

  // QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) <= n
  Status Qualify() {
    const Json qualify = WEIR_TRY(flattener_.Resolve(block_.select["qualify"], block_));
    const std::string unsupported = "its QUALIFY is not row_number() OVER (…) <= n";
    if (!IsClass(qualify, "COMPARISON")) return Invalid(unsupported);
    std::string type = qualify["type"];
    const Json* window = &qualify["left"];
    const Json* limit = &qualify["right"];
    if (AsInteger(*window)) {
      std::swap(window, limit);
      type = type == "COMPARE_GREATERTHANOREQUALTO" ? "COMPARE_LESSTHANOREQUALTO"
             : type == "COMPARE_GREATERTHAN"        ? "COMPARE_LESSTHAN"
                                                    : type;
    }
    const auto n = AsInteger(*limit);
    const bool counts = IsType(*window, "WINDOW_ROW_NUMBER") &&
                        (*window)["arg_orders"].empty() &&
                        (*window)["filter_expr"].is_null();
    if (!n || !counts) return Invalid(unsupported);
    int64_t rows = *n;
    if (type == "COMPARE_LESSTHAN") {
      rows = *n - 1;
    } else if (type != "COMPARE_LESSTHANOREQUALTO" &&
               (type != "COMPARE_EQUAL" || *n != 1)) {
      return Invalid(unsupported);
    }
    if (rows < 1) return Invalid(unsupported);
    const Json top = *window;
    for (Item& item : block_.items) {
      if (rows == 1 && Plain(item.expr) == Plain(top))
        item.expr = WEIR_TRY(ast_.ParseExpr("CAST(1 AS BIGINT)"));
      if (!WindowIn(item.expr).empty())
        return Invalid("it gives out the row number itself");
    }
    return Top(top["partitions"].get<std::vector<Json>>(),
               top["orders"].get<std::vector<Json>>(), rows);
  }

  Status DistinctOn() {
    if (!block_.select["qualify"].is_null())
      return Invalid("it has DISTINCT ON beside QUALIFY");
    if (const std::string window = WindowIn(block_.select["select_list"]);
        !window.empty()) {
      return Invalid("it uses the window function " + window);
    }
    std::vector<Json> keys, orders;
    for (const Json& target : distinct_on_) keys.push_back(WEIR_TRY(Target(target)));
    for (const Json& modifier : block_.select["modifiers"]) {
      if (!IsType(modifier, "ORDER_MODIFIER")) continue;
      for (Json order : modifier["orders"]) {
        if (IsClass(order["expression"], "STAR")) return Invalid("it has ORDER BY ALL");
        order["expression"] = WEIR_TRY(Target(order["expression"]));
        const bool is_key = std::any_of(keys.begin(), keys.end(), [&](const Json& key) {
          return Plain(key) == Plain(order["expression"]);
        });
        if (!is_key) orders.push_back(std::move(order));
      }
    }
    return Top(keys, orders, 1);
  }

  // An ORDER BY or DISTINCT ON expression: an ordinal, an alias or an expression.
  Result<Json> Target(const Json& expr) {
    const auto ordinal = AsInteger(expr);
    if (ordinal && *ordinal >= 1 &&
        *ordinal <= static_cast<int64_t>(block_.items.size())) {
      return block_.items[static_cast<size_t>(*ordinal - 1)].expr;
    }
    return flattener_.Resolve(expr, block_, IsColumn(expr));
  }

  Status Top(const std::vector<Json>& keys, const std::vector<Json>& orders, int64_t n) {
    if (block_.has_unnest) return Invalid("it unnests and takes the first rows at once");
    PreColumns pre;
    for (const Json& key : keys) plan_.top.keys.push_back(pre.Add(key, "k"));
    const OperatorOrder order = ForOperator(Completed(orders));
    for (const Json& expr : order.exprs) plan_.top.order.push_back(pre.Add(expr, "c"));
    plan_.top.descending = order.descending;
    plan_.top.n = n;
    plan_.top.input_retracts = !block_.input->append_only;
    std::vector<Item> out;
    std::vector<int> positions;
    for (const Item& item : block_.items) positions.push_back(pre.Add(item.expr, "c"));
    WEIR_TRY(SetPre(pre.items()));
    for (const int c : plan_.top.order) {
      if (plan_.pre_schema.fields[static_cast<size_t>(c)].type.is_nested())
        return Invalid("it orders by a nested column");
    }
    for (size_t i = 0; i < positions.size(); ++i) {
      out.push_back({block_.items[i].name,
                     ColumnRef({pre.items()[static_cast<size_t>(positions[i])].name})});
    }
    plan_.exchange_keys = plan_.top.keys;
    plan_.kind = BlockKind::kTop;
    plan_.key = n == 1 ? KeyOf(keys) : Carried(block_.input->key);
    return SetPost(out, Json(), plan_.pre_schema);
  }

  // The output columns that are these expressions; empty if one is missing.
  std::vector<std::string> KeyOf(const std::vector<Json>& keys) const {
    std::vector<std::string> names;
    for (const Json& key : keys) {
      for (const Item& item : block_.items) {
        if (Plain(item.expr) != Plain(key)) continue;
        names.push_back(item.name);
        break;
      }
    }
    return names.size() == keys.size() ? names : std::vector<std::string>();
  }

  // ---- GROUP BY

  Status Aggregate() {
    const Json& select = block_.select;
    if (select["group_sets"].size() > 1)
      return Invalid("it has GROUPING SETS, ROLLUP or CUBE");
    if (!select["qualify"].is_null()) return Invalid("it has QUALIFY over groups");
    if (block_.has_unnest) return Invalid("it unnests and groups at once");
    if (const std::string window = WindowIn(select["select_list"]); !window.empty())
      return Invalid("it uses the window function " + window);
    keys_ = WEIR_TRY(GroupKeys());
    for (const Json& key : keys_) plan_.exchange_keys.push_back(pre_.Add(key, "k"));
    std::vector<Item> out;
    for (const Item& item : block_.items) {
      Json expr = WEIR_TRY(OverGroups(item.expr));
      out.push_back({item.name, std::move(expr)});
    }
    Json having;
    if (!select["having"].is_null())
      having = WEIR_TRY(OverGroups(WEIR_TRY(ResolveHaving(select["having"]))));
    if (pre_.items().empty() && calls_.empty())
      return Invalid("it has neither keys nor aggregates");
    WEIR_TRY(SetPre(pre_.items()));
    plan_.key = KeyOf(keys_);
    if (plan_.aggregate.calls.empty()) {
      plan_.kind = BlockKind::kDistinct;
    } else {
      plan_.kind = BlockKind::kAggregate;
      WEIR_TRY(CheckCalls());
    }
    data::Schema groups;
    for (const int key : plan_.exchange_keys)
      groups.fields.push_back(plan_.pre_schema.fields[static_cast<size_t>(key)]);
    WEIR_TRY(AddResults(&groups));
    plan_.aggregate.keys = plan_.exchange_keys;
    plan_.aggregate.output = groups;
    plan_.aggregate.input_retracts = !block_.input->append_only;
    for (size_t i = 0; i < out.size(); ++i) {
      const data::Field* same =
          IsColumn(out[i].expr) ? groups.Find(NamesOf(out[i].expr)[0]) : nullptr;
      if (same == nullptr || same->type != plan_.output.fields[i].type)
        out[i].expr = WithNativeTypes(std::move(out[i].expr));
    }
    return SetPost(out, WithNativeTypes(std::move(having)), groups);
  }

  Result<std::vector<Json>> GroupKeys() {
    const Json& select = block_.select;
    std::vector<Json> keys;
    if (select["aggregate_handling"] == "FORCE_AGGREGATES") {
      for (const Item& item : block_.items) {
        if (!functions_.HasAggregate(item.expr)) keys.push_back(item.expr);
      }
      return keys;
    }
    for (const Json& group : select["group_expressions"]) {
      const auto ordinal = AsInteger(group);
      if (ordinal && *ordinal >= 1 &&
          *ordinal <= static_cast<int64_t>(block_.items.size())) {
        keys.push_back(block_.items[static_cast<size_t>(*ordinal - 1)].expr);
      } else {
        keys.push_back(WEIR_TRY(flattener_.Resolve(group, block_)));
      }
    }
    return keys;
  }

  // In HAVING a name is a grouped column before it is an alias, and a column again inside
  // aggregates.
  Result<Json> ResolveHaving(const Json& expr) {
    if (IsClass(expr, "COLUMN_REF")) {
      const auto column = flattener_.Resolve(expr, block_);
      const bool grouped =
          column.ok() && std::any_of(keys_.begin(), keys_.end(), [&](const Json& key) {
            return Plain(key) == Plain(*column);
          });
      return grouped ? column : flattener_.Resolve(expr, block_, true);
    }
    if (IsClass(expr, "SUBQUERY") || IsClass(expr, "WINDOW") ||
        functions_.IsAggregate(expr))
      return flattener_.Resolve(expr, block_);
    const auto whole = flattener_.Resolve(expr, block_);
    if (whole.ok() && std::any_of(keys_.begin(), keys_.end(), [&](const Json& key) {
          return Plain(key) == Plain(*whole);
        }))
      return whole;
    Json out = expr;
    WEIR_TRY(ResolveHavingChildren(out));
    return out;
  }

  Status ResolveHavingChildren(Json& json) {
    for (Json& child : json) {
      if (IsExpr(child)) {
        child = WEIR_TRY(ResolveHaving(child));
      } else if (child.is_structured()) {
        WEIR_TRY(ResolveHavingChildren(child));
      }
    }
    return {};
  }

  // The expression over the columns of `_groups`: keys as k…, aggregates as a….
  Result<Json> OverGroups(const Json& expr) {
    const Json plain = Plain(expr);
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (Plain(keys_[i]) == plain) return ColumnRef({KeyName(i)});
    }
    if (functions_.IsAggregate(expr))
      return ColumnRef({fmt::format("a{}", WEIR_TRY(CallNumber(plain)))});
    if (IsClass(expr, "COLUMN_REF"))
      return Invalid(
          fmt::format("column {} is neither grouped nor aggregated", NamesOf(expr)[0]));
    Json out = expr;
    WEIR_TRY(ChildrenOverGroups(out));
    return out;
  }

  Status ChildrenOverGroups(Json& json) {
    for (Json& child : json) {
      if (IsExpr(child)) {
        const std::string alias = AliasOf(child);
        child = WEIR_TRY(OverGroups(child));
        child["alias"] = alias;
      } else if (child.is_structured()) {
        WEIR_TRY(ChildrenOverGroups(child));
      }
    }
    return {};
  }

  std::string KeyName(size_t key) const {
    return pre_.items()[static_cast<size_t>(plan_.exchange_keys[key])].name;
  }

  // The number of this aggregate call; equal calls share one.
  Result<size_t> CallNumber(const Json& call) {
    const auto found = std::find(calls_.begin(), calls_.end(), call);
    if (found != calls_.end()) return static_cast<size_t>(found - calls_.begin());
    plan_.aggregate.calls.push_back(WEIR_TRY(PlanCall(call)));
    calls_.push_back(call);
    return calls_.size() - 1;
  }

  Result<ops::AggregateCall> PlanCall(const Json& call) {
    const std::string name = CallName(call);
    const Json& arguments = call["children"];
    static const std::map<std::string, AggregateKind> kSimple = {
        {"count", AggregateKind::kCount},      {"sum", AggregateKind::kSum},
        {"avg", AggregateKind::kAvg},          {"mean", AggregateKind::kAvg},
        {"min", AggregateKind::kMin},          {"max", AggregateKind::kMax},
        {"bool_and", AggregateKind::kBoolAnd}, {"bool_or", AggregateKind::kBoolOr}};
    static const std::set<std::string> kIgnoreDistinct = {"min", "max", "bool_and",
                                                          "bool_or"};
    if (call["distinct"] == true && !kIgnoreDistinct.contains(name))
      return Invalid(fmt::format("{}(DISTINCT …) is not kept incrementally yet", name));
    ops::AggregateCall out;
    Json filter = call["filter"];
    if (name == "count_star" ||
        (name == "count" && (arguments.empty() || IsNonNullConstant(arguments[0])))) {
      out.kind = AggregateKind::kCountStar;
    } else if ((name == "count_if" || name == "countif") && arguments.size() == 1) {
      // DuckDB's count_if is a sum: NULL where the condition is NULL for all rows.
      out.kind = AggregateKind::kSum;
      out.argument = pre_.Add(
          WEIR_TRY(ast_.ParseExpr(fmt::format("CAST(CAST({} AS BOOLEAN) AS INTEGER)",
                                              WEIR_TRY(ast_.PrintExpr(arguments[0]))))),
          "c");
    } else if (kSimple.contains(name) && arguments.size() == 1) {
      out.kind = kSimple.at(name);
      out.argument = pre_.Add(arguments[0], "c");
    } else if (AsArgExtreme(name) && arguments.size() == 2) {
      PlanArgExtreme(*AsArgExtreme(name), arguments, &filter, &out);
    } else if ((name == "first" || name == "arbitrary" || name == "last" ||
                name == "any_value") &&
               arguments.size() == 1) {
      out.kind = name == "last" ? AggregateKind::kLast : AggregateKind::kFirst;
      out.argument = pre_.Add(arguments[0], "c");
      if (name == "any_value") filter = And(std::move(filter), IsNotNull(arguments[0]));
      SetOrder(call["order_bys"]["orders"].get<std::vector<Json>>(), &out);
    } else {
      return Invalid(
          fmt::format("the aggregate {}() is not kept incrementally yet", name));
    }
    if (!filter.is_null()) out.filter = pre_.Add(filter, "c");
    return out;
  }

  static bool IsNonNullConstant(const Json& expr) {
    return IsClass(expr, "CONSTANT") && !expr["value"].value("is_null", true);
  }

  void PlanArgExtreme(ArgExtreme extreme, const Json& arguments, Json* filter,
                      ops::AggregateCall* out) {
    out->kind = extreme.is_max ? AggregateKind::kArgMax : AggregateKind::kArgMin;
    if (extreme.keeps_null) {  // first and last take NULL for a value
      out->kind = extreme.is_max ? AggregateKind::kLast : AggregateKind::kFirst;
      *filter = And(std::move(*filter), IsNotNull(arguments[1]));
    }
    out->argument = pre_.Add(arguments[0], "c");
    SetOrder({OrderTerm(arguments[1])}, out);
    out->descending.clear();
  }

  void SetOrder(const std::vector<Json>& orders, ops::AggregateCall* out) {
    const OperatorOrder order = ForOperator(Completed(orders));
    for (const Json& expr : order.exprs) out->order.push_back(pre_.Add(expr, "c"));
    if (std::find(order.descending.begin(), order.descending.end(), true) !=
        order.descending.end())
      out->descending = order.descending;
  }

  // What the operator can take, now that the types are known.
  Status CheckCalls() {
    const auto type = [&](int column) -> const data::Type& {
      return plan_.pre_schema.fields[static_cast<size_t>(column)].type;
    };
    for (const ops::AggregateCall& call : plan_.aggregate.calls) {
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

  // Adds the call results a0, a1 … to the schema of `_groups`, and finds out which DuckDB
  // type each column of it has in the query as written.
  Status AddResults(data::Schema* groups) {
    std::vector<Item> natives;
    std::string list, types;
    for (size_t i = 0; i < keys_.size(); ++i) {
      types += fmt::format("typeof(any_value({})), ", WEIR_TRY(ast_.PrintExpr(keys_[i])));
    }
    for (size_t i = 0; i < calls_.size(); ++i) {
      const std::string text = WEIR_TRY(ast_.PrintExpr(calls_[i]));
      list += fmt::format("{} AS a{}, ", text, i);
      types += fmt::format("typeof({}), ", text);
    }
    const std::string from = "0 AS _end FROM " + duck::QuoteTable(block_.input->name);
    const data::Schema results = WEIR_TRY(pieces_.Describe("SELECT " + list + from));
    for (size_t i = 0; i < calls_.size(); ++i) {
      ops::AggregateCall& call = plan_.aggregate.calls[i];
      const bool counts =
          call.kind == AggregateKind::kCountStar || call.kind == AggregateKind::kCount;
      call.result = counts ? data::Simple(Kind::kInt64) : results.fields[i].type;
      groups->fields.push_back({fmt::format("a{}", i), call.result});
    }
    const auto rows = WEIR_TRY(pieces_.Query("SELECT " + types + from, nullptr));
    for (size_t i = 0; i < groups->fields.size(); ++i) {
      const std::string native =
          data::RowText(*rows[0]->SelectColumns({static_cast<int>(i)}).ValueOrDie(), 0);
      if (native != duck::TypeInSql(groups->fields[i].type))
        natives_[groups->fields[i].name] = native;
    }
    return {};
  }

  // References to columns of `_groups` whose type was changed for storage (HUGEINT) are
  // cast back, so that expressions over them mean the same.
  Json WithNativeTypes(Json expr) {
    if (IsColumn(expr)) {
      const auto native = natives_.find(NamesOf(expr)[0]);
      if (native == natives_.end()) return expr;
      auto cast = ast_.ParseExpr(
          fmt::format("CAST({} AS {})", duck::QuoteName(native->first), native->second));
      return cast.ok() ? *std::move(cast) : expr;
    }
    if (expr.is_structured()) {
      for (Json& child : expr) {
        const std::string alias = AliasOf(child);
        child = WithNativeTypes(std::move(child));
        if (IsExpr(child)) child["alias"] = alias;
      }
    }
    return expr;
  }

  Ast ast_;
  duck::Session& pieces_;
  const Functions& functions_;
  Flattener flattener_;
  ModelPlan& plan_;
  Block block_;
  bool distinct_ = false;
  std::vector<Json> distinct_on_;
  PreColumns pre_;
  std::vector<Json> keys_, calls_;
  std::map<std::string, std::string>
      natives_;  // column of `_groups` -> its type in the query as written
};

}  // namespace

Status PlanBlock(const Json& query, duck::Session& pieces, const Tables& tables,
                 const Functions& functions, ModelPlan* plan) {
  ModelPlan planned = *plan;
  const Status status = BlockPlanner(pieces, tables, functions, &planned).Plan(query);
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
