// Models that cannot be: the message and its place in the file.
#include <gtest/gtest.h>

#include "plan/plan.h"
#include "plan/testing_internal.h"

namespace weir::plan {
namespace {

struct FaultCase {
  const char* name;
  std::vector<std::string> models;
  const char* problems;
};
class PlanFaultTest : public testing::TestWithParam<FaultCase> {};
TEST_P(PlanFaultTest, PointsIntoTheFile) {
  EXPECT_EQ(Faults(GetParam().models), GetParam().problems);
}
INSTANTIATE_TEST_SUITE_P(
    , PlanFaultTest,
    testing::Values(
        FaultCase{"Table",
                  {"CREATE VIEW t.m AS\nSELECT 1 FROM silver.changin"},
                  "m0.sql:2:15: there is no table silver.changin [did you mean "
                  "silver.changing?]\n"},
        FaultCase{
            "Schema",
            {"CREATE VIEW t.m AS SELECT 1 FROM changing"},
            "m0.sql:1:34: there is no table changing [did you mean silver.changing?]\n"},
        FaultCase{"Column",
                  {"CREATE VIEW t.m AS SELECT k,\n  nn FROM silver.changing"},
                  "m0.sql:2:3: Referenced column \"nn\" not found in FROM clause! [did "
                  "you mean n?]\n"},
        FaultCase{"Syntax",
                  {"CREATE VIEW t.m AS SELECT k FRM silver.changing"},
                  "m0.sql:1:33: syntax error at or near \"silver\"\n"},
        FaultCase{"Stream",
                  {"CREATE STREAMING TABLE t.m AS SELECT nope FROM STREAM "
                   "bronze.ride_events e WHERE e.nothing"},
                  "m0.sql:1:82: Table \"e\" does not have a column named \"nothing\"\n"},
        FaultCase{"ClusterByNothing",
                  {"CREATE MATERIALIZED VIEW t.m\nCLUSTER BY (kk) AS SELECT k FROM "
                   "silver.changing"},
                  "m0.sql:2:1: CLUSTER BY names kk, which is not a column of the query "
                  "[did you mean k?]\n"},
        FaultCase{"ClusterByTwice",
                  {"CREATE MATERIALIZED VIEW t.m CLUSTER BY (k, ts, K) AS SELECT k, ts "
                   "FROM silver.changing"},
                  "m0.sql:1:30: CLUSTER BY names K twice [leave one out]\n"},
        FaultCase{
            "ClusterByNested",
            {"CREATE MATERIALIZED VIEW t.m CLUSTER BY (l) AS SELECT k, [n] AS l "
             "FROM silver.changing"},
            "m0.sql:1:30: CLUSTER BY names l, which is list<int>: rows of a file "
            "cannot be in the order of a nested type [name columns of simple types; "
            "a part of a struct becomes one in the query]\n"},
        FaultCase{"Now",
                  {"CREATE MATERIALIZED VIEW t.m AS SELECT k FROM silver.changing WHERE "
                   "ts > now() - INTERVAL 1 DAY"},
                  "m0.sql:1:74: now() gives another value at another time, so the table "
                  "could not stay equal to its query [compare with a time column of the "
                  "rows, or say NONDETERMINISTIC before AS]\n"},
        FaultCase{
            "Random",
            {"CREATE VIEW t.m AS SELECT random() AS r, current_date AS d, "
             "approx_count_distinct(k) AS c FROM silver.changing"},
            "m0.sql:1:27: random() gives another value at another time, so the table "
            "could not stay equal to its query [take the row's hash: hash(key) / "
            "18446744073709551615, or say NONDETERMINISTIC before AS]\n"
            "m0.sql:1:42: current_date gives another value at another time, so the table "
            "could not stay equal to its query [compare with a time column of "
            "the rows, or say NONDETERMINISTIC before AS]\n"
            "m0.sql:1:61: approx_count_distinct() is approximate: its value depends on "
            "the order of the rows [count(DISTINCT …) is exact, or say "
            "NONDETERMINISTIC before AS]\n"},
        FaultCase{"Sample",
                  {"CREATE VIEW t.m AS SELECT k FROM silver.changing USING SAMPLE 10"},
                  "m0.sql:1:20: a sample takes other rows each time [filter by hash(key) "
                  "% 100 < 10, or say NONDETERMINISTIC before AS]\n"},
        FaultCase{"Key",
                  {"CREATE VIEW t.m KEY (kk) AS SELECT k FROM silver.changing"},
                  "m0.sql:1:17: KEY names kk, which is not a column of the query [did "
                  "you mean k?]\n"},
        FaultCase{
            "Partition",
            {"CREATE VIEW t.m PARTITIONED BY (day(t)) AS SELECT ts FROM silver.changing"},
            "m0.sql:1:17: PARTITIONED BY names t, which is not a column of the query "
            "[did you mean ts?]\n"},
        FaultCase{"Constraint",
                  {"CREATE MATERIALIZED VIEW t.m CONSTRAINT a EXPECT (n) CONSTRAINT b "
                   "EXPECT (z > 0) AS SELECT n FROM silver.changing"},
                  "m0.sql:1:41: constraint a is not a condition but of type int [compare "
                  "it with something]\n"
                  "m0.sql:1:65: constraint b: Referenced column \"z\" not found in FROM "
                  "clause! [did you mean n?]\n"},
        FaultCase{"TwoColumns",
                  {"CREATE VIEW t.m AS SELECT k, n AS K FROM silver.changing"},
                  "m0.sql:1:20: two columns are named K [rename one with AS]\n"},
        FaultCase{"OurColumn",
                  {"CREATE VIEW t.m AS SELECT k AS _k FROM silver.changing"},
                  "m0.sql:1:20: the column name _k begins with _, which is Weir's own "
                  "[rename it with AS]\n"},
        FaultCase{"Interval",
                  {"CREATE VIEW t.m AS SELECT ts - ts AS i FROM silver.changing"},
                  "m0.sql:1:20: column i is an INTERVAL, which an Iceberg table cannot "
                  "hold: write date_diff('second', start, end), or CAST(i AS VARCHAR)\n"},
        FaultCase{
            "Twice",
            {"CREATE VIEW t.m AS SELECT 1 AS a", "CREATE VIEW t.m AS SELECT 1 AS a"},
            "m1.sql:1:13: there is another table named t.m\n"},
        FaultCase{"Circle",
                  {"CREATE VIEW t.a AS SELECT * FROM t.b",
                   "CREATE VIEW t.b AS SELECT * FROM t.c",
                   "CREATE VIEW t.c AS SELECT * FROM t.a"},
                  "m0.sql:1:20: models read each other in a circle: t.a → t.b → t.c → "
                  "t.a [a model cannot read what is made from it]\n"},
        FaultCase{"StreamOfChanging",
                  {"CREATE STREAMING TABLE t.m AS SELECT k FROM STREAM silver.changing"},
                  "m0.sql:1:31: silver.changing is not append-only, so it cannot be read "
                  "as a stream [make this a MATERIALIZED VIEW]\n"},
        FaultCase{"StreamingAggregate",
                  {"CREATE STREAMING TABLE t.m AS SELECT count(*) AS c FROM STREAM "
                   "bronze.ride_events"},
                  "m0.sql:1:31: a streaming table only adds rows, but this query's rows "
                  "can change: its kind is aggregate [make this a MATERIALIZED VIEW]\n"},
        FaultCase{
            "Asof",
            {"CREATE VIEW t.m AS SELECT e.trip_id FROM bronze.ride_events e ASOF JOIN "
             "silver.changing c ON e.trip_id = c.k AND e.event_timestamp >= c.ts"},
            "m0.sql:1:63: ASOF JOIN may find several rows with the same time on its "
            "right side [make key and time there unique (QUALIFY row_number() …), or "
            "say NONDETERMINISTIC before AS]\n"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weir::plan
