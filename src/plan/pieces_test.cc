// What DuckDB and the operators do piece by piece adds up to the whole query.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "plan/plan.h"
#include "plan/testing_internal.h"

namespace weir::plan {
namespace {

std::string Name(const data::Schema& schema, int column) {
  return duck::QuoteName(schema.fields[static_cast<size_t>(column)].name);
}

std::string OrderList(const data::Schema& schema, const std::vector<int>& order,
                      const std::vector<bool>& descending, bool reversed) {
  std::string out;
  for (size_t i = 0; i < order.size(); ++i) {
    const bool desc = (!descending.empty() && descending[i]) != reversed;
    out += fmt::format("{}{} {} NULLS {}", i == 0 ? "" : ", ", Name(schema, order[i]),
                       desc ? "DESC" : "ASC", desc ? "FIRST" : "LAST");
  }
  return out;
}

// One aggregate call as DuckDB would write it over the operator's input, by the words of
// ops/aggregate.h.
std::string CallSql(const ops::AggregateCall& call, const data::Schema& input) {
  using K = ops::AggregateKind;
  const std::string argument = call.argument < 0 ? "" : Name(input, call.argument);
  std::string filter = call.filter < 0 ? "true" : Name(input, call.filter);
  std::string text;
  switch (call.kind) {
    case K::kCountStar:
      text = "count(*)";
      break;
    case K::kCount:
      text = fmt::format("count({})", argument);
      break;
    case K::kSum:
      text = fmt::format("sum({})", argument);
      break;
    case K::kMin:
      text = fmt::format("min({})", argument);
      break;
    case K::kMax:
      text = fmt::format("max({})", argument);
      break;
    case K::kAvg:
      text = fmt::format("avg({})", argument);
      break;
    case K::kBoolAnd:
      text = fmt::format("bool_and({})", argument);
      break;
    case K::kBoolOr:
      text = fmt::format("bool_or({})", argument);
      break;
    case K::kAnyValue:
      text = fmt::format("any_value({})", argument);
      break;
    case K::kArgMin:
    case K::kArgMax:
      filter += fmt::format(" AND {} IS NOT NULL AND {} IS NOT NULL", argument,
                            Name(input, call.order[0]));
      [[fallthrough]];
    case K::kFirst:
    case K::kLast: {
      const bool last = call.kind == K::kLast || call.kind == K::kArgMax;
      text = fmt::format("first({} ORDER BY {})", argument,
                         OrderList(input, call.order, call.descending, last));
    }
  }
  return fmt::format("CAST({} FILTER (WHERE {}) AS {})", text, filter,
                     duck::TypeInSql(call.result));
}

// DuckDB in the place of the operator: from the relation `_pre` to the operator's rows.
std::string OperatorSql(const ModelPlan& plan) {
  const data::Schema& input = plan.pre_schema;
  std::string keys;
  if (plan.kind == BlockKind::kDistinct)
    return "SELECT DISTINCT * EXCLUDE (_weight) FROM _pre";
  if (plan.kind == BlockKind::kTop) {
    for (const int key : plan.top.keys)
      keys += (keys.empty() ? "PARTITION BY " : ", ") + Name(input, key);
    return fmt::format(
        "SELECT * EXCLUDE (_weight) FROM _pre QUALIFY row_number() OVER ({} ORDER BY {}) "
        "<= {}",
        keys, OrderList(input, plan.top.order, plan.top.descending, false), plan.top.n);
  }
  std::string select;
  for (const int key : plan.aggregate.keys) {
    keys += (keys.empty() ? " GROUP BY " : ", ") + Name(input, key);
    select += Name(input, key) + ", ";
  }
  for (size_t i = 0; i < plan.aggregate.calls.size(); ++i)
    select += fmt::format("{} AS a{}, ", CallSql(plan.aggregate.calls[i], input), i);
  return "SELECT " + select.substr(0, select.size() - 2) + " FROM _pre" + keys;
}

std::vector<std::string> RunPieces(const ModelPlan& plan, const data::Schema& input,
                                   const std::shared_ptr<arrow::RecordBatch>& rows) {
  duck::Session* session = &SessionFor(true);
  const std::string& table = plan.inputs[0];
  EXPECT_TRUE(session->DeclareInput(table, WithWeights(input)).ok());
  EXPECT_TRUE(session->SetInput(table, {WithWeights(rows)}).ok());
  duck::RowBatches pre = Query(*session, plan.pre_sql);
  if (plan.pre_is_projection) {
    data::Batch picked = data::SelectColumns({rows, {}}, plan.pre_columns);
    EXPECT_EQ(Sorted({WithWeights(picked.rows)}), Sorted(pre));
  }
  data::Schema out = plan.output;
  if (plan.kind != BlockKind::kRowWise) {
    EXPECT_TRUE(session->DeclareInput("_pre", WithWeights(plan.pre_schema)).ok());
    EXPECT_TRUE(session->SetInput("_pre", pre).ok());
    duck::RowBatches operated = Query(*session, OperatorSql(plan));
    for (auto& batch : operated) batch = WithWeights(batch);
    const data::Schema& groups =
        plan.kind == BlockKind::kAggregate ? plan.aggregate.output : plan.pre_schema;
    EXPECT_TRUE(session->DeclareInput("_groups", WithWeights(groups)).ok());
    const Status set = session->SetInput("_groups", operated);
    EXPECT_TRUE(set.ok()) << set.error().message;
    data::Schema schema;
    auto post = session->Query(plan.post_sql, &schema);
    EXPECT_TRUE(post.ok()) << post.error().message;
    pre = *post;
    EXPECT_EQ(schema, WithWeights(plan.output));
  }
  for (auto& batch : pre) batch = *batch->RemoveColumn(batch->num_columns() - 1);
  return Sorted(pre);
}

std::vector<std::string> RunWhole(const std::string& sql, const ModelPlan& plan,
                                  const data::Schema& input,
                                  const std::shared_ptr<arrow::RecordBatch>& rows) {
  duck::Session* session = &SessionFor(false);
  EXPECT_TRUE(session->DeclareInput(plan.inputs[0], input).ok());
  EXPECT_TRUE(session->SetInput(plan.inputs[0], {rows}).ok());
  return Sorted(Query(*session, sql));
}

struct PieceCase {
  const char* name;
  BlockKind kind;
  const char* body;
  bool leaves_order_open =
      false;  // as written, DuckDB may answer differently even without ties
};
class PieceTest : public testing::TestWithParam<PieceCase> {};
TEST_P(PieceTest, AddUpToTheWholeAndDecideTies) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Rows random(seed);
  const Plan plans = MustPlan(
      {kTrips, fmt::format("CREATE MATERIALIZED VIEW t.m AS {}", GetParam().body)});
  ASSERT_EQ(plans.models.size(), 2u);
  const ModelPlan& plan = plans.models[1];
  ASSERT_EQ(BlockKindName(plan.kind), BlockKindName(GetParam().kind))
      << plan.why_not_better;
  ASSERT_EQ(plan.inputs.size(), 1u);
  InputTable input = plan.inputs[0] == "silver.changing" ? Changing() : RideEvents();
  if (plan.inputs[0] == "silver.trips")
    input = {"silver.trips", plans.models[0].output, {"trip_id"}, {}, false};
  for (const int64_t size : {0, 1, 40, 300}) {
    const auto tied = random.Make(input, size, true);
    const auto whole = RunWhole(plan.completed_sql, plan, input.schema, tied);
    EXPECT_EQ(RunPieces(plan, input.schema, tied), whole) << plan.pre_sql << "\n"
                                                          << plan.post_sql << "\n"
                                                          << plan.completed_sql;
    EXPECT_EQ(RunWhole(plan.completed_sql, plan, input.schema, random.Shuffled(tied)),
              whole)
        << plan.completed_sql;
    if (GetParam().leaves_order_open) continue;
    const auto untied = random.Make(input, size, false);
    EXPECT_EQ(RunWhole(plan.model.body, plan, input.schema, untied),
              RunWhole(plan.completed_sql, plan, input.schema, untied))
        << plan.completed_sql;
  }
}
INSTANTIATE_TEST_SUITE_P(
    , PieceTest,
    testing::Values(
        PieceCase{"Trips", BlockKind::kAggregate, kTrips + 41},
        PieceCase{"CityHourly", BlockKind::kAggregate, kCityHourly + 44},
        PieceCase{"Star", BlockKind::kRowWise, "SELECT * FROM bronze.ride_events"},
        PieceCase{"StarExclude", BlockKind::kRowWise,
                  "SELECT r.* EXCLUDE (_extra, event_name), 1 AS one FROM "
                  "bronze.ride_events r"},
        PieceCase{"Filter", BlockKind::kRowWise,
                  "SELECT id, n + 1 AS m, m * 2 AS mm, s.a, changing.s.b AS b FROM "
                  "silver.changing WHERE ok AND mm > 2 ORDER BY id"},
        PieceCase{
            "WithAndSubquery", BlockKind::kRowWise,
            "WITH a AS (SELECT id AS i, n, x FROM silver.changing WHERE n IS NOT NULL) "
            "SELECT b.i, y FROM (SELECT i, n * x AS y FROM a WHERE x > 0) b WHERE y < 1"},
        PieceCase{"Lambda", BlockKind::kRowWise,
                  "SELECT id, list_transform([n, 1], lambda x: x + 1) AS l FROM "
                  "silver.changing"},
        PieceCase{"Unnest", BlockKind::kRowWise,
                  "SELECT k, unnest([n, 1]) AS v FROM silver.changing"},
        PieceCase{"StructPack", BlockKind::kRowWise,
                  "SELECT {'first': n, 'second': k} AS st FROM silver.changing"},
        PieceCase{
            "Distinct", BlockKind::kDistinct,
            "SELECT DISTINCT k, n % 2 AS odd FROM silver.changing WHERE x IS NOT NULL"},
        PieceCase{
            "GroupsOnly", BlockKind::kDistinct,
            "SELECT upper(k) AS u, n FROM silver.changing GROUP BY k, n HAVING n > 1"},
        PieceCase{"Global", BlockKind::kAggregate,
                  "SELECT count(*) AS c, sum(n) AS s, avg(x) AS a, min(k) AS lo, max(d) "
                  "AS hi FROM silver.changing WHERE n > 1"},
        PieceCase{"Having", BlockKind::kAggregate,
                  "SELECT k, sum(n) AS n FROM silver.changing GROUP BY k HAVING n > 3 "
                  "AND max(n) > 1 AND k <> 'trip_started'"},
        PieceCase{"HavingExpression", BlockKind::kAggregate,
                  "SELECT n % 2 AS k, count(*) AS c FROM silver.changing GROUP BY n % 2 "
                  "HAVING n % 2 = 0 OR c > 2"},
        PieceCase{"GroupByOrdinalAndAlias", BlockKind::kAggregate,
                  "SELECT date_trunc('hour', ts) AS hour, k || '!' AS kk, sum(x) * 2 AS "
                  "s FROM silver.changing GROUP BY 1, kk"},
        PieceCase{
            "ColumnBeforeAlias", BlockKind::kAggregate,
            "SELECT upper(k) AS n, count(*) AS c FROM silver.changing GROUP BY k, n"},
        PieceCase{"SumArithmetic", BlockKind::kAggregate,
                  "SELECT k, sum(n) // 2 AS half, sum(n) * 1.5 AS more, sum(d) / "
                  "count(*) AS mean, sum(n) % 3 AS m FROM silver.changing GROUP BY k"},
        PieceCase{"LateralAggregate", BlockKind::kAggregate,
                  "SELECT k, sum(n) AS total, total + 1 AS more FROM silver.changing "
                  "GROUP BY k"},
        PieceCase{"BoolAndCounts", BlockKind::kAggregate,
                  "SELECT n, bool_and(ok) AS every, bool_or(ok) FILTER (WHERE x > 0) AS "
                  "some, count(ok) AS c, count(1) AS one, count_if(ok) AS yes FROM "
                  "silver.changing GROUP BY n"},
        PieceCase{"ArgMinMax", BlockKind::kAggregate,
                  "SELECT k, arg_min(x, ts) AS a, arg_max(x, ts) AS b, min_by(n, ts) "
                  "FILTER (WHERE ok) AS c, max_by(k, id) AS d, arg_min_null(x, ts) AS e, "
                  "arg_max_null(x, id) AS f FROM silver.changing GROUP BY k"},
        PieceCase{"FirstLast", BlockKind::kAggregate,
                  "SELECT k, first(x) AS a, last(x) AS b, any_value(x) AS c, first(x "
                  "ORDER BY ts DESC) AS d, last(x ORDER BY ts DESC NULLS FIRST) AS e, "
                  "first(x ORDER BY n NULLS FIRST, ts) AS f, any_value(x ORDER BY ts "
                  "DESC, n) FILTER (WHERE ok) AS g FROM silver.changing GROUP BY k",
                  true},
        PieceCase{"BronzeFirst", BlockKind::kAggregate,
                  "SELECT trip_id, first(driver_id) AS a, last(driver_id ORDER BY "
                  "event_timestamp) AS b FROM bronze.ride_events GROUP BY trip_id",
                  true},
        PieceCase{"UnsignedKey", BlockKind::kAggregate,
                  "SELECT hash(k) AS h, hash(k) % 7 AS h7, count(*) AS c FROM "
                  "silver.changing GROUP BY k, hash(k)"},
        PieceCase{"StructKey", BlockKind::kAggregate,
                  "SELECT s.a AS a, count(*) AS c FROM silver.changing GROUP BY s.a"},
        PieceCase{"NestedArguments", BlockKind::kAggregate,
                  "SELECT k, arg_max(s, id) AS a, first(l ORDER BY id) AS b FROM "
                  "silver.changing GROUP BY k"},
        PieceCase{"CaseAggregate", BlockKind::kAggregate,
                  "SELECT k, CASE WHEN count(*) > 2 THEN sum(x) ELSE -1 END AS v, {'lo': "
                  "min(n), 'hi': max(n)} AS r FROM silver.changing GROUP BY ALL"},
        PieceCase{"SubqueryThenGroup", BlockKind::kAggregate,
                  "WITH t AS (SELECT *, n * 2 AS nn FROM silver.changing WHERE ok) "
                  "SELECT k, max(nn) AS m, arg_min(nn, t.ts) AS f FROM t GROUP BY k"},
        PieceCase{
            "DistinctOn", BlockKind::kTop,
            "SELECT DISTINCT ON (k) k, x, n FROM silver.changing ORDER BY k, ts DESC"},
        PieceCase{
            "DistinctOnBronze", BlockKind::kTop,
            "SELECT DISTINCT ON (trip_id) trip_id, rider_id FROM bronze.ride_events",
            true},
        PieceCase{"QualifyFirst", BlockKind::kTop,
                  "SELECT k AS kk, x, row_number() OVER (PARTITION BY k ORDER BY ts DESC "
                  "NULLS LAST) AS r FROM silver.changing WHERE n > 0 QUALIFY r = 1"},
        PieceCase{"QualifyThree", BlockKind::kTop,
                  "SELECT id, k FROM silver.changing QUALIFY 4 > row_number() OVER "
                  "(PARTITION BY k ORDER BY n NULLS FIRST)",
                  true},
        PieceCase{"QualifyGlobal", BlockKind::kTop,
                  "SELECT id, k FROM silver.changing QUALIFY row_number() OVER (ORDER BY "
                  "ts) <= 5"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weir::plan
