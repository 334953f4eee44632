// From a completed query to stages: names resolved, subqueries and WITH compiled in
// place, each construct that needs the memory of rows a stage of its own.
//
// Between two stages rows are only filtered and projected. That part is kept as
// expressions (`Rows`) until the next stage, or the end, makes SQL of it: a port.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plan/completion_internal.h"
#include "plan/constraints_internal.h"
#include "plan/row_errors_internal.h"
#include "plan/stage.h"
#include "sql/resolve.h"

namespace weir::plan {

// A named expression over plain columns of an input: columns are
// ColumnRef({column, struct fields…}).
struct Item {
  std::string name;
  Json expr;
};

// What a port reads: a table, or an earlier stage.
struct Input {
  const InputTable* table = nullptr;
  int stage = -1;
  std::string name;  // in SQL
  data::Schema schema;
  std::vector<std::vector<std::string>> keys;  // column sets that are unique together
  bool append_only = false;
  bool few = false;  // its rows are groups, so that all of them may be looked at again
};

// Rows of an input, filtered, with these columns.
struct Rows {
  Input input;
  Json where;  // null: all
  std::vector<Item> items;
  bool has_unnest = false;
};

// What can be named in a SELECT: the tables of its FROM, as columns of one input.
struct ScopeTable {
  std::vector<std::vector<std::string>> qualifiers;  // {"r"}, {"bronze", "rides"}
  std::vector<Item> columns;
  bool ours = false;  // made by the planner: no name of the query reaches it but its own
};
struct Source {
  Input input;
  Json where;
  std::vector<ScopeTable> tables;
  std::vector<Item> merged;  // by USING: what the bare name means
};

// One SELECT on its way: every expression is over the columns of `input`.
struct Select {
  Input input;
  Json where;
  std::vector<Item> items;
  Json having, qualify;
  std::vector<Json> orders, distinct_on;  // order terms; expressions
  bool has_unnest = false;
  void ForEachExpr(const std::function<void(Json&)>& visit);
};

// The columns that a port computes; equal expressions share one.
class PortColumns {
 public:
  int Add(const Json& expr, std::string_view prefix);
  const std::vector<Item>& items() const { return items_; }
  const std::string& name(int column) const {
    return items_[static_cast<size_t>(column)].name;
  }

 private:
  std::vector<Item> items_;
  std::vector<std::string> texts_;
  std::map<std::string, size_t> counts_;
};

// Ascending and NULLS LAST is how operators order; what differs gets a column "is NULL"
// in front, so that only values are reversed.
struct OperatorOrder {
  std::vector<Json> exprs;
  std::vector<bool> descending;
};
OperatorOrder ForOperator(const std::vector<Json>& orders);

bool IsColumn(const Json& expr);  // by one name
bool HasSubquery(const Json& expr);
bool HasWatermark(const Json& expr);
bool HasWindow(const Json& expr);
void SplitAnd(const Json& condition, std::vector<Json>* conjuncts);
// Replaces columns by what they became. A name that is not in the map stays.
Json Substitute(Json expr, const std::map<std::string, Json>& columns);

// All errors of kInvalid say why the query is a full refresh.
class QueryPlanner {
 public:
  QueryPlanner(duck::Session& pieces, const Tables& tables, const Functions& functions,
               ModelPlan* plan)
      : ast_(pieces),
        pieces_(pieces),
        tables_(tables),
        functions_(functions),
        plan_(*plan) {}
  Status Plan(const Checked& checked, const std::vector<Expectation>& expectations);

 private:
  struct JoinKey {
    Json left, right;  // resolved in either source
    bool null_safe = false;
  };
  struct Names;  // what may be named where an expression stands

  // While it lives, names are those of this SELECT.
  class Inside {
   public:
    Inside(QueryPlanner& planner, const Json& select);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    QueryPlanner& planner_;
  };

  // Forgets the stages that were added since, unless they are kept.
  class Attempt {
   public:
    explicit Attempt(QueryPlanner& planner)
        : planner_(planner), stages_(planner.stages_.size()) {}
    ~Attempt() {
      if (kept_) return;
      planner_.stages_.resize(stages_);
      planner_.signatures_.resize(stages_);
      planner_.inputs_.resize(stages_);
    }
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    void Keep() { kept_ = true; }

   private:
    QueryPlanner& planner_;
    const size_t stages_;
    bool kept_ = false;
  };

  // ---- query.cc: SELECT and set operations
  Result<Rows> Query(const Json& node, Json ctes);
  Result<Rows> SelectQuery(const Json& node, const Json& ctes);
  Result<Rows> SetOperation(const Json& node, const Json& ctes);
  Result<Source> Conditions(const Json& node, const Json& ctes, std::vector<Json>* rest);
  Status Items(const Json& node, const Source& source, Select* out);
  Result<Json> Target(const Json& expr, const Source& source, const Select& select);
  Status Orders(const Json& node, const Source& source, Select* out);
  Status DistinctRows(Select* select);
  Status AfterRows(const Json& node, Select* select);
  Status Limit(const Json& modifier, Select* select);
  Result<Rows> Finish(Select select);
  Result<Rows> Materialize(Rows rows);
  Status Judge(const Rows& rows, const std::vector<Expectation>& expectations,
               Stage* rejected);
  Status Failed(const std::vector<Json>& queries, Stage* rejected);
  Status Align(Rows* left, Rows* right);
  Status MatchNames(Rows* left, Rows* right);

  // ---- from.cc: FROM
  // `conjuncts`: conditions that hold for all rows of the SELECT; those that fit are
  // taken.
  Result<Source> From(const Json& ref, const Json& ctes, std::vector<Json>* conjuncts);
  Result<Source> Leaf(const Json& ref, const Json& ctes);
  Result<Source> Constant(const Json& ref);
  Result<Source> SourceOf(Rows rows, const std::string& alias, const Json& column_names);
  Result<Source> JoinRef(const Json& ref, const Json& ctes, std::vector<Json>* conjuncts);
  Result<Source> AsofJoin(const Json& ref, Source left, Source right,
                          const std::vector<JoinKey>& using_keys);
  Result<Source> Unnest(Source left, const Json& ref);
  void TakeConditions(Source* source, std::vector<Json>* conjuncts);
  void TakeKeys(const Source& left, const Source& right, std::vector<Json>* conjuncts,
                std::vector<JoinKey>* keys);
  // `residual`: further conditions over both, as written. `asof`: the last key is what
  // an as-of join compares.
  Result<Source> Join(ops::JoinKind kind, Source left, Source right,
                      std::vector<JoinKey> keys, const std::vector<Json>& residual,
                      std::optional<ops::AsofMatch> asof = std::nullopt);
  // An outer, semi or anti join with conditions beside equality: the pairs of the inner
  // join, and the rows of a side that are in none.
  Result<Source> ConditionalJoin(ops::JoinKind kind, Source left, Source right,
                                 std::vector<JoinKey> keys,
                                 const std::vector<Json>& residual);
  // The rows of `source` as the output of a stage; `exprs` follow. Its columns get a
  // table of their own at the end.
  Status Settle(Source* source, std::vector<Json>* exprs);
  Status UnifyKeys(const Source& left, const Source& right, std::vector<JoinKey>* keys,
                   std::vector<size_t>* not_equal);

  // ---- resolve.cc: names
  Result<Json> Resolve(const Json& expr, const Source& source,
                       const std::vector<Item>* aliases = nullptr,
                       bool aliases_first = false);
  Result<Json> ResolveIn(const Json& expr, const Names& names);
  Status ResolveChildren(Json& json, const Names& names);
  Result<Json> ResolveColumn(const Json& column, const Names& names);
  Result<std::vector<Item>> ExpandStar(const Json& star, const Source& source);
  bool IsUsed(std::string_view name) const;

  // ---- groups.cc: GROUP BY
  Status GroupBy(const Json& node, const Json& ctes, const Source& source,
                 Select* select);
  // Puts groups in the place of rows. `sets`: which of the keys each grouping set has.
  Status Group(const std::vector<Json>& keys,
               const std::vector<std::vector<size_t>>& sets, Select* select);
  struct Calls;    // aggregate calls that stand in a SELECT's expressions
  struct Grouped;  // a stage of groups
  Result<Grouped> GroupStage(const std::vector<Json>& keys,
                             const std::vector<Json>& calls, const Select& select);
  Result<Grouped> NativeGroups(const std::vector<Json>& keys,
                               const std::vector<Json>& calls, const Select& select);
  Result<Grouped> RecomputedGroups(const std::vector<Json>& keys,
                                   const std::vector<Json>& calls, const Select& select,
                                   const std::string& why);
  Result<std::vector<Json>> GroupKeys(const Json& node, const Source& source,
                                      const Select& select);
  Result<Json> ResolveHaving(const Json& expr, const Source& source, const Select& select,
                             const std::vector<Json>& keys);
  Status ResolveHavingChildren(Json& json, const Source& source, const Select& select,
                               const std::vector<Json>& keys);
  Result<ops::AggregateCall> PlanCall(const Json& call, PortColumns* columns);
  Result<bool> IsLogSum(const Json& expr);
  static Status CheckCalls(const Stage& stage);
  static Status CheckOperator(Stage* stage, const std::vector<Json>& calls);
  static void SetOrder(const std::vector<Json>& orders, PortColumns* columns,
                       ops::AggregateCall* out);
  Status AttachPending(const Json& ctes, Select* select);

  // ---- windows.cc: OVER (…), QUALIFY, DISTINCT ON, LIMIT
  Status Windows(Select* select);
  Status OneWindowStage(Select* select);
  struct WindowPlan;   // a window of the operator
  struct WindowStage;  // those of one stage
  Result<WindowPlan> PlanWindow(const Json& window, const Input& input);
  Result<int64_t> RangeOf(const Json& expr, const data::Type& order);
  Result<WindowStage> StageOf(const std::vector<Json>& windows, const Input& input);
  Status OperatorStage(const WindowStage& windows, Select* select);
  Result<bool> FirstRows(Select* select);  // QUALIFY row_number() OVER (…) <= n
  Status Top(const std::vector<Json>& keys, const std::vector<Json>& orders, int64_t n,
             Select* select);

  // ---- components.cc: RESOLVE
  struct Resolved {
    size_t rows = 0;  // which WITH query gives the rows
    sql::ResolveShape shape;
  };
  // Of the WITH query number `result`; nullopt: it is another.
  Result<std::optional<Resolved>> FindResolve(const Json& ctes, size_t result);
  Result<Rows> Components(const Resolved& resolve, const Json& ctes);

  // ---- temporal.cc: conditions on watermark()
  Status WhileInTime(const std::vector<Json>& conditions, Source* source);
  // Puts in the place of each column of `source` what it is in the output of `stage`,
  // whose port computes `columns`.
  Status Remap(const PortColumns& columns, const Stage& stage,
               const std::vector<std::string>& natives, Source* source);

  // ---- dependent.cc: subqueries that name columns of the rows outside
  // Their rows, as a query that stands by itself.
  struct Dependent {
    Rows rows;
    std::vector<JoinKey> keys;  // left: outside, right: of the rows
    bool always_one = false;    // there is one row outside of all keys, too
    bool at_most_one = false;   // for each key
  };
  Result<Dependent> DependentRows(Json node, const Json& ctes, const Source& outside);
  void ForOuterColumns(Json& part, const Source& inside, const Source& outside,
                       const std::set<std::string>& own,
                       const std::function<void(Json&)>& visit);
  Status CarryKeys(const std::vector<Json>& keys, Json* node, Dependent* out);
  Result<bool> TakeOuterEqualities(Json* node, const Source& inside,
                                   const Source& outside,
                                   const std::set<std::string>& own,
                                   std::vector<Json>* inner_keys,
                                   std::vector<Json>* outer_keys);
  Status ReadOuterValues(Json* node, const Source& inside, const Source& outside,
                         const std::set<std::string>& own, std::vector<Json>* inner_keys,
                         std::vector<Json>* outer_keys);
  Result<Source> DependentSource(const Dependent& rows, std::vector<Item> columns);
  Result<Json> DependentValue(const Json& node, const Json& ctes, Source* source);
  Result<Source> LateralJoin(ops::JoinKind kind, Source left, const Json& ref,
                             const Json& ctes, const std::vector<Json>& on);
  Result<Source> DependentSemiJoin(const Json& subquery, bool anti, const Json& ctes,
                                   Source source);
  Result<Json> AnyComparison(const Json& subquery);
  Result<Json> DependentIn(const Json& subquery, const Json& ctes, Source* source);
  Result<Json> WithEqual(const Json& node, const std::string& name);
  Result<Json> ScalarOver(const Json& node, const std::string& call);

  // ---- subqueries.cc
  Status SemiJoin(const Json& subquery, bool anti, const Json& ctes, Source* source);
  Result<Source> PlainSemiJoin(const Json& subquery, bool anti, const Json& ctes,
                               Source source);
  // Replaces the subqueries in `expr` by columns that are joined to `source`.
  Status JoinSubqueries(Json* expr, const Json& ctes, Source* source);
  Result<Json> ScalarSubquery(const Json& node, const Json& ctes, Source* source);
  Result<Json> AggregateValue(const Json& node, const Json& ctes, Source* source);
  // What an aggregate is where there are no rows: `value` where `there` is not NULL.
  Result<Json> OverNothing(const Json& expr, const std::string& there,
                           const std::string& value);
  Result<Json> MarkSubquery(const Json& subquery, const Json& ctes, Source* source);
  Result<Json> ExistsValue(const Json& subquery, const Json& ctes, Source* source);
  Status MarkKeys(Select select, std::vector<JoinKey> keys, const std::string& there,
                  Source* source);
  struct Inner {
    Source source;
    std::vector<JoinKey> keys;   // left: outer, right: inner
    std::vector<Json> residual;  // other correlated conditions
  };
  Result<Inner> OpenInner(const Json& node, const Json& ctes, const Source& outer);
  Status JoinOuterValues(const Source& outer, Inner* inner);
  bool IsSimple(const Json& node) const;

  // ---- pieces.cc: SQL
  Result<Input> TableInput(const InputTable& table);
  Status SetPort(const Input& input, const Json& where, const std::vector<Item>& items,
                 Port* port, bool negate = false);
  // The DuckDB types of a query's columns, as DuckDB spells them.
  Result<std::vector<std::string>> NativeTypes(const std::string& sql, size_t columns);
  Result<std::vector<std::string>> NativeTypes(const Input& input,
                                               const std::vector<Json>& exprs);
  // The column of a stage, cast back to the type it had before it was stored.
  Result<Json> StoredColumn(const std::string& name, const data::Type& stored,
                            const std::string& native);
  Result<Json> Cast(const Json& expr, const std::string& type);
  Status SetFastSql(const Input& input, const Json& where, const std::vector<Item>& items,
                    Port* port);
  void SkipEmptyPorts();
  // How the next stage's recompute_sql calls its ports.
  std::string PortName(size_t port) const {
    return "_p" + std::to_string(stages_.size()) + "_" + std::to_string(port);
  }
  // Adds the stage, or finds one that does the same.
  Result<Input> AddStage(Stage stage);
  Result<std::string> SelectList(const std::vector<Item>& items);
  // The items, which are in UTC, and the weight of the input's rows for which `where` is
  // true.
  Result<std::string> PortSql(const Input& input, const Json& where,
                              const std::vector<Item>& items, std::string_view weight);
  static std::vector<std::string> Carried(const std::vector<std::string>& key,
                                          const std::vector<Item>& items);

  Ast ast_;
  duck::Session& pieces_;
  const Tables& tables_;
  const Functions& functions_;
  ModelPlan& plan_;
  std::vector<Stage> stages_;
  std::vector<std::string> signatures_;
  std::vector<Input> inputs_;  // of the stages
  // Of the SELECTs around the present one, innermost last: aliases of FROM, and names
  // that are used (nothing for "all").
  std::vector<std::set<std::string>> aliases_;
  std::vector<std::optional<std::set<std::string>>> used_;
  std::map<std::string, Json>
      pending_;  // subqueries over groups, by what stands for them
  int subqueries_ = 0;
  Json log_sum_lambda_;  // once it was asked for
  // By name: the values of outer columns that a subquery reads as a table.
  std::map<std::string, Rows> outer_values_;
  // Of ports whose WHERE checks rows, or asks for those that fail, by their sql: the
  // checks (those that fast_sql makes by itself), and the WHERE without them.
  struct CheckedPort {
    bool failing = false;
    std::set<std::string> checks;
    std::set<std::string> rest;
  };
  std::map<std::string, CheckedPort> checked_ports_;
};

// Fills the stages of `plan` from its query, as it is without constraints, and from
// those. Leaves kFullRefresh and says why where nothing better is possible. `pieces`
// has the input tables declared with `_weight`.
Status PlanQuery(const Checked& checked, const std::vector<Expectation>& expectations,
                 duck::Session& pieces, const Tables& tables, const Functions& functions,
                 ModelPlan* plan);

}  // namespace weir::plan
