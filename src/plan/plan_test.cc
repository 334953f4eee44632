// Keys, append-only tables, shared columns, plain views and fingerprints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/plan.h"
#include "plan/testing_internal.h"

namespace weir::plan {
namespace {

using testing::ElementsAre;

TEST(PlanTest, KeysComeFromGroupsCarriedColumnsAndPartitions) {
  const auto key = [](const std::string& body) { return PlanBody(body).key; };
  EXPECT_THAT(key("SELECT n, k AS kk, count(*) AS c FROM silver.changing GROUP BY k, n"),
              ElementsAre("kk", "n"));
  EXPECT_THAT(
      key("SELECT upper(k) AS k, count(*) AS c FROM silver.changing GROUP BY changing.k"),
      ElementsAre());
  EXPECT_THAT(key("SELECT count(*) AS c FROM silver.changing"), ElementsAre());
  EXPECT_THAT(key("SELECT id AS i, k FROM silver.changing WHERE ok"), ElementsAre("i"));
  EXPECT_THAT(key("SELECT id + 1 AS id, k FROM silver.changing"), ElementsAre());
  EXPECT_THAT(key("SELECT id, unnest([1, 2]) AS u FROM silver.changing"), ElementsAre());
  EXPECT_THAT(key("SELECT DISTINCT k, n FROM silver.changing"), ElementsAre("k", "n"));
  EXPECT_THAT(key("SELECT k, n, id FROM silver.changing QUALIFY row_number() OVER "
                  "(PARTITION BY k ORDER BY n) = 1"),
              ElementsAre("k"));
  EXPECT_THAT(key("SELECT k, n, id FROM silver.changing QUALIFY row_number() OVER "
                  "(PARTITION BY k ORDER BY n) <= 2"),
              ElementsAre("id"));
  EXPECT_THAT(key("SELECT c.k, count(*) AS n FROM silver.changing c JOIN "
                  "bronze.ride_events e ON c.k = e.trip_id GROUP BY c.k"),
              ElementsAre("k"));
  EXPECT_THAT(
      MustPlan(
          {"CREATE MATERIALIZED VIEW t.m KEY (N) AS SELECT k, n FROM silver.changing"})
          .models[0]
          .key,
      ElementsAre("n"));
}

TEST(PlanTest, OnlyRowsOverAppendOnlyInputsAreAppendOnly) {
  const Plan plan = MustPlan(
      {"CREATE STREAMING TABLE silver.a AS SELECT trip_id, event_id FROM STREAM "
       "bronze.ride_events WHERE event_name = 'x'",
       "CREATE STREAMING TABLE silver.b AS SELECT DISTINCT trip_id FROM STREAM silver.a",
       "CREATE MATERIALIZED VIEW silver.c AS SELECT k FROM silver.changing",
       "CREATE MATERIALIZED VIEW silver.d AS SELECT trip_id, count(*) AS n FROM silver.b "
       "GROUP BY trip_id"});
  EXPECT_TRUE(plan.Find("silver.a")->append_only);
  EXPECT_TRUE(plan.Find("silver.b")->append_only);
  EXPECT_FALSE(plan.Find("silver.c")->append_only);
  EXPECT_FALSE(plan.Find("silver.d")->append_only);
  EXPECT_FALSE(plan.Find("silver.d")->stages[0].aggregate.input_retracts);
  EXPECT_TRUE(PlanBody("SELECT k, count(*) AS n FROM silver.changing GROUP BY k")
                  .stages[0]
                  .aggregate.input_retracts);
}

TEST(PlanTest, AKeyThatIsOnlyDeclaredIsToBeVerified) {
  const Plan plan = MustPlan(
      {"CREATE MATERIALIZED VIEW silver.a KEY (trip_id) AS SELECT trip_id, event_id FROM "
       "bronze.ride_events",
       "CREATE MATERIALIZED VIEW silver.b KEY (event_id) AS SELECT trip_id, event_id "
       "FROM "
       "bronze.ride_events",
       "CREATE MATERIALIZED VIEW silver.c KEY (trip_id) AS SELECT trip_id, count(*) AS n "
       "FROM bronze.ride_events GROUP BY trip_id"});
  EXPECT_TRUE(plan.Find("silver.a")->verify_key);
  EXPECT_TRUE(plan.Find("silver.a")->append_only);
  EXPECT_FALSE(plan.Find("silver.b")->verify_key);  // the identity of the source
  EXPECT_FALSE(plan.Find("silver.c")->verify_key);  // GROUP BY makes it one
}

TEST(PlanTest, TripsAreOneAggregateSharingColumns) {
  const Plan plan = MustPlan({kCityHourly, kTrips});
  ASSERT_EQ(plan.models.size(), 2u);
  const ModelPlan& trips = plan.models[0];  // the model that is read comes first
  EXPECT_EQ(trips.model.name, "silver.trips");
  EXPECT_EQ(trips.kind, BlockKind::kAggregate);
  EXPECT_THAT(trips.key, ElementsAre("trip_id"));
  ASSERT_EQ(trips.stages.size(), 2u);
  const Stage& groups = trips.stages[0];
  const Port& port = groups.ports[0];
  EXPECT_EQ(groups.aggregate.calls.size(), 11u);
  // trip_id, eight arguments, event_timestamp, event_id and three conditions.
  EXPECT_EQ(port.schema.fields.size(), 14u) << port.sql;
  EXPECT_TRUE(trips.stages[1].ports[0].is_projection);
  EXPECT_FALSE(port.is_projection);
  EXPECT_THAT(port.exchange_keys, ElementsAre(0));
  EXPECT_EQ(groups.aggregate.calls[0].order.size(), 2u);
  EXPECT_THAT(plan.models[1].inputs, ElementsAre("silver.trips"));
  EXPECT_THAT(plan.models[1].key, ElementsAre("pickup_location_id", "hour"));
  EXPECT_TRUE(plan.models[1].stages[0].aggregate.input_retracts);
}

TEST(PlanTest, ColumnsThatStayWhatTheyAreAreNotComputed) {
  const auto port = [](const std::string& body) {
    return PlanBody(body).stages.at(0).ports.at(0);
  };
  const Port some = port(
      "SELECT upper(k) AS u, K AS kk, k, s.a AS a, l, CAST(id AS BIGINT) AS i FROM "
      "silver.changing WHERE ok");
  EXPECT_THAT(some.passed, ElementsAre(-1, 1, 1, -1, 8, -1));
  EXPECT_EQ(some.computed_sql,
            "SELECT upper(k) AS \"u\", s.a AS \"a\", CAST(id AS "
            "BIGINT) AS \"i\", _weight FROM \"silver\".\"changing\" WHERE ok");
  EXPECT_EQ(some.computed_fast_sql, "");

  const Port filtered = port("SELECT n, k FROM silver.changing WHERE ok");
  EXPECT_THAT(filtered.passed, ElementsAre(2, 1));
  EXPECT_EQ(filtered.computed_sql,
            "SELECT _weight FROM \"silver\".\"changing\" WHERE ok");
  EXPECT_FALSE(filtered.is_projection);

  const Port picked = port("SELECT n, k FROM silver.changing");
  EXPECT_TRUE(picked.is_projection);
  EXPECT_THAT(picked.columns, ElementsAre(2, 1));
  EXPECT_THAT(picked.passed, ElementsAre());

  EXPECT_THAT(port("SELECT upper(k) AS u, 1 AS one FROM silver.changing").passed,
              ElementsAre());
}

TEST(PlanTest, ColumnsThatStayWhatTheyAreStandBesideThoseThatFail) {
  const ModelPlan plan = PlanBody(
      "SELECT id, n * 2 AS twice, k FROM silver.changing WHERE CAST(k AS INTEGER) > 3");
  const Port& port = plan.stages.at(0).ports.at(0);
  EXPECT_THAT(port.passed, ElementsAre(0, -1, 1));
  EXPECT_EQ(
      port.computed_sql,
      "SELECT TRY((n * 2)) AS \"twice\", _weight FROM \"silver\".\"changing\" WHERE "
      "((TRY(CAST(k AS INTEGER)) > 3) AND (TRY(struct_pack(v := (n * 2))) IS NOT "
      "NULL))");
  EXPECT_EQ(port.computed_fast_sql,
            "SELECT (n * 2) AS \"twice\", _weight FROM \"silver\".\"changing\" WHERE "
            "(TRY(CAST(k AS INTEGER)) > 3)");
}

// Rows that are taken away have other weights than those they are made of.
TEST(PlanTest, RowsTakenAwayAreComputedWhole) {
  const ModelPlan plan =
      PlanBody("SELECT k, n FROM silver.changing ORDER BY id LIMIT 3 OFFSET 2");
  for (const Stage& stage : plan.stages) {
    for (const Port& port : stage.ports) {
      if (port.sql.find("-_weight") == std::string::npos) continue;
      EXPECT_THAT(port.passed, ElementsAre());
      EXPECT_FALSE(port.is_projection);
      return;
    }
  }
  FAIL() << "no port takes rows away";
}

TEST(PlanTest, PlainViewsStandInTheirReadersQueries) {
  const Plan plan = MustPlan(
      {"CREATE VIEW silver.good AS SELECT k, n * 2 AS nn FROM silver.changing WHERE ok",
       "CREATE VIEW silver.better AS SELECT * FROM silver.good WHERE nn > 2",
       "CREATE MATERIALIZED VIEW gold.g AS SELECT b.k, sum(nn) AS s FROM silver.better b "
       "GROUP BY b.k"});
  const ModelPlan* gold = plan.Find("gold.g");
  ASSERT_NE(gold, nullptr);
  EXPECT_EQ(gold->kind, BlockKind::kAggregate) << gold->why_not_better;
  EXPECT_THAT(gold->inputs, ElementsAre("silver.changing"));
  EXPECT_EQ(
      gold->completed_sql,
      "SELECT b.k, sum(nn) AS s FROM (SELECT * FROM (SELECT k, TRY((n * 2)) AS nn FROM "
      "silver.changing WHERE (ok AND (TRY(struct_pack(v := (n * 2))) IS NOT NULL))) "
      "AS good WHERE (nn > 2)) AS b GROUP BY b.k");
  EXPECT_EQ(gold->stages[0].ports[0].fast_sql,
            "SELECT k AS \"k0\", (n * 2) AS \"c0\", _weight FROM \"silver\".\"changing\" "
            "WHERE (ok AND ((n * 2) > 2))");
}

TEST(PlanTest, FingerprintsTellMeaningsApart) {
  const auto print = [](const std::string& body) { return PlanBody(body).fingerprint; };
  EXPECT_EQ(print("SELECT k FROM silver.changing"),
            print("select  k  -- the same\nfrom silver.changing"));
  EXPECT_NE(print("SELECT k FROM silver.changing"),
            print("SELECT k FROM silver.changing WHERE ok"));
  EXPECT_EQ(print("SELECT k FROM silver.changing").size(), 32u);
}

TEST(PlanTest, NondeterministicModelsAreAllowedWhenTheySaySo) {
  const Plan plan =
      MustPlan({"CREATE MATERIALIZED VIEW t.m NONDETERMINISTIC AS SELECT k, now() AS at "
                "FROM silver.changing"});
  EXPECT_EQ(plan.models[0].kind, BlockKind::kRowWise);
}

}  // namespace
}  // namespace weir::plan
