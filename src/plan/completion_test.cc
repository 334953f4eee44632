// Order completion: what decides ties, and that the order of the input does not.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "plan/plan.h"
#include "plan/testing_internal.h"

namespace weir::plan {
namespace {

struct CompletionCase {
  const char *name, *body, *completed;
};
class OrderCompletionTest : public testing::TestWithParam<CompletionCase> {};
TEST_P(OrderCompletionTest, DecidesEveryTie) {
  EXPECT_EQ(PlanBody(GetParam().body).completed_sql, GetParam().completed);
}
INSTANTIATE_TEST_SUITE_P(
    , OrderCompletionTest,
    testing::Values(
        CompletionCase{
            "ArgMin",
            "SELECT arg_min(rider_id, event_timestamp) AS r FROM bronze.ride_events",
            "SELECT arg_min(rider_id, main.\"row\"(event_timestamp, "
            "ride_events.event_id)) FILTER (WHERE (event_timestamp IS NOT NULL)) AS r "
            "FROM bronze.ride_events"},
        CompletionCase{
            "ArgMaxFilterAndName",
            "SELECT trip_id, argmax(rider_id, event_timestamp) FILTER (WHERE event_name "
            "= 'a') FROM bronze.ride_events e GROUP BY trip_id",
            "SELECT trip_id, argmax(rider_id, main.\"row\"(event_timestamp, e.event_id)) "
            "FILTER (WHERE ((event_name = 'a') AND (event_timestamp IS NOT NULL))) AS "
            "\"argmax(rider_id, event_timestamp) FILTER (WHERE (event_name = 'a'))\" "
            "FROM bronze.ride_events AS e GROUP BY trip_id"},
        CompletionCase{"ArgMinByKeyIsTotal",
                       "SELECT arg_min(rider_id, event_id) AS r FROM bronze.ride_events",
                       "SELECT arg_min(rider_id, event_id) AS r FROM bronze.ride_events"},
        CompletionCase{
            "NoTieColumns",
            "SELECT k, last(n ORDER BY x DESC) AS l FROM silver.changing GROUP BY k",
            "SELECT k, \"last\"(n ORDER BY x DESC NULLS LAST, changing.id ASC NULLS "
            "LAST) AS l FROM silver.changing GROUP BY k"},
        CompletionCase{"Ranks",
                       "SELECT rank() OVER (ORDER BY n) AS r, sum(n) OVER (ORDER BY n) "
                       "AS s FROM silver.changing",
                       "SELECT rank() OVER (ORDER BY n ASC NULLS LAST) AS r, sum(n) OVER "
                       "(ORDER BY n ASC NULLS LAST) AS s FROM silver.changing"},
        CompletionCase{
            "RowsFrame",
            "SELECT sum(n) OVER (ORDER BY ts ROWS 2 PRECEDING) AS s FROM silver.changing",
            "SELECT sum(n) OVER (ORDER BY ts ASC NULLS LAST, changing.id ASC NULLS LAST "
            "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS s FROM silver.changing"},
        CompletionCase{"RangeFrame",
                       "SELECT first_value(n) OVER (ORDER BY ts RANGE INTERVAL 1 HOUR "
                       "PRECEDING) AS f FROM silver.changing",
                       "SELECT first_value(n ORDER BY ts ASC NULLS LAST, changing.id ASC "
                       "NULLS LAST) OVER (ORDER BY ts ASC NULLS LAST RANGE BETWEEN "
                       "to_hours(CAST(trunc(CAST(1 AS DOUBLE)) AS BIGINT)) PRECEDING AND "
                       "CURRENT ROW) AS f FROM silver.changing"},
        CompletionCase{"Lag",
                       "SELECT lag(n) OVER (PARTITION BY k ORDER BY ts DESC) AS p FROM "
                       "silver.changing",
                       "SELECT lag(n) OVER (PARTITION BY k ORDER BY ts DESC NULLS LAST, "
                       "changing.id ASC NULLS LAST) AS p FROM silver.changing"},
        CompletionCase{"WindowList",
                       "SELECT list(n) OVER (PARTITION BY k) AS l FROM silver.changing",
                       "SELECT list(n ORDER BY changing.id ASC NULLS LAST) OVER "
                       "(PARTITION BY k) AS l FROM silver.changing"},
        CompletionCase{"WindowOverGroups",
                       "SELECT k, row_number() OVER (ORDER BY count(*) DESC) AS r FROM "
                       "silver.changing GROUP BY k",
                       "SELECT k, row_number() OVER (ORDER BY count_star() DESC NULLS "
                       "LAST, k ASC NULLS LAST) AS r FROM silver.changing GROUP BY k"},
        CompletionCase{"List",
                       "SELECT list(n ORDER BY n) AS a, string_agg(k, ',') AS b, mode(k) "
                       "AS c, list(DISTINCT n) AS d FROM silver.changing",
                       "SELECT list_sort(list(n ORDER BY changing.id ASC NULLS LAST), "
                       "'ORDER_DEFAULT', 'ORDER_DEFAULT') AS a, string_agg(k, ',' ORDER "
                       "BY changing.id ASC NULLS LAST) AS b, \"mode\"(k ORDER BY k "
                       "ASC NULLS LAST) AS c, list(DISTINCT n ORDER BY n ASC "
                       "NULLS LAST) AS d FROM silver.changing"},
        CompletionCase{"Limit", "SELECT k FROM silver.changing ORDER BY n LIMIT 3",
                       "SELECT k FROM silver.changing ORDER BY n ASC NULLS LAST, "
                       "changing.id ASC NULLS LAST LIMIT 3"},
        CompletionCase{"LimitGroups",
                       "SELECT k, count(*) AS c FROM silver.changing GROUP BY ALL ORDER "
                       "BY c DESC LIMIT 3",
                       "SELECT k, count_star() AS c FROM silver.changing GROUP BY ALL "
                       "ORDER BY c DESC NULLS LAST, k ASC NULLS LAST LIMIT 3"},
        CompletionCase{"LimitDistinct",
                       "SELECT DISTINCT k, n FROM silver.changing ORDER BY n LIMIT 3",
                       "SELECT DISTINCT k, n FROM silver.changing ORDER BY n ASC NULLS "
                       "LAST, 1 ASC NULLS LAST, 2 ASC NULLS LAST LIMIT 3"},
        CompletionCase{"LimitUnion",
                       "SELECT k FROM silver.changing UNION ALL SELECT trip_id FROM "
                       "bronze.ride_events LIMIT 3",
                       "(SELECT k FROM silver.changing) UNION ALL (SELECT trip_id FROM "
                       "bronze.ride_events) ORDER BY 1 ASC NULLS LAST LIMIT 3"},
        CompletionCase{
            "Join",
            "SELECT e.trip_id, first(c.n) AS f FROM bronze.ride_events e JOIN "
            "silver.changing c ON e.trip_id = c.k GROUP BY 1",
            "SELECT e.trip_id, \"first\"(c.n ORDER BY e.event_id ASC NULLS LAST, c.id "
            "ASC NULLS LAST) AS f FROM bronze.ride_events AS e INNER JOIN "
            "silver.changing AS c ON ((e.trip_id = c.k)) GROUP BY 1"},
        CompletionCase{
            "Subqueries",
            "WITH a AS (SELECT k, first(n) AS f FROM silver.changing GROUP BY k) SELECT "
            "first(f) AS f, (SELECT last(trip_id) FROM bronze.ride_events) AS l FROM "
            "(SELECT * FROM a) LIMIT 1",
            "WITH a AS (SELECT k, \"first\"(n ORDER BY changing.id ASC NULLS LAST) AS f "
            "FROM silver.changing GROUP BY k)SELECT \"first\"(f ORDER BY weir_1.k ASC "
            "NULLS LAST) AS f, (SELECT \"last\"(trip_id ORDER "
            "BY ride_events.event_id ASC NULLS LAST) AS \"\"\"last\"\"(trip_id)\" FROM "
            "bronze.ride_events) AS l FROM (SELECT * FROM a) AS weir_1 LIMIT 1"}),
    [](const auto& info) { return info.param.name; });

TEST_P(OrderCompletionTest, GivesTheSameForAnyOrderOfTheInput) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Rows random(seed);
  const ModelPlan plan = PlanBody(GetParam().body);
  duck::Session& session = SessionFor(false);
  std::vector<std::pair<InputTable, std::shared_ptr<arrow::RecordBatch>>> tables;
  for (const InputTable& table : {RideEvents(), Changing()}) {
    tables.emplace_back(table, random.Make(table, 60, true));
    ASSERT_TRUE(session.DeclareInput(table.name, table.schema).ok());
  }
  std::vector<std::string> first;
  for (int round = 0; round < 3; ++round) {
    for (auto& [table, rows] : tables)
      ASSERT_TRUE(session.SetInput(table.name, {random.Shuffled(rows)}).ok());
    const auto rows = Sorted(Query(session, plan.completed_sql));
    if (round == 0) first = rows;
    EXPECT_EQ(rows, first) << plan.completed_sql;
  }
}

}  // namespace
}  // namespace weir::plan
