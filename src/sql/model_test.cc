#include "sql/model.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "sql/token.h"

namespace weir::sql {
namespace {

std::string Problems(const std::vector<SqlProblem>& problems) {
  std::string out;
  for (const SqlProblem& p : problems) {
    out += fmt::format("{}:{}: {}{}\n", p.place.line, p.place.column, p.message,
                       p.fix.empty() ? "" : " [" + p.fix + "]");
  }
  return out;
}

std::string Fault(std::string_view text) {
  std::vector<SqlProblem> problems;
  const auto model = ParseModel("m.sql", text, &problems);
  EXPECT_EQ(model.has_value(), problems.empty());
  return Problems(problems);
}

Model Parse(std::string_view text) {
  std::vector<SqlProblem> problems;
  auto model = ParseModel("m.sql", text, &problems);
  EXPECT_EQ(Problems(problems), "");
  return model.value_or(Model());
}

TEST(ModelTest, FaultsOfTagsAndOfDecayOutsideOfQueriesHaveTheirPlace) {
  const auto faults = [](std::string_view text) {
    std::vector<FileProblem> problems;
    ParseModels({{"m.sql", std::string(text)}}, &problems);
    std::string out;
    for (const auto& [file, problem] : problems)
      out += fmt::format("{}:{}: {} [{}]\n", problem.place.line, problem.place.column,
                         problem.message, problem.fix);
    return out;
  };
  EXPECT_EQ(faults("CREATE VIEW t.m WITH TAG (a = 'x', A = 'y') AS SELECT 1"),
            "1:36: tag a is there twice [leave one out]\n");
  EXPECT_EQ(faults("CREATE VIEW t.m TAG (a = 7) AS SELECT 1"),
            "1:26: expected a text in quotes, found '7' []\n");
  EXPECT_EQ(faults("CREATE VIEW t.m (a) AS SELECT 1 AS a"),
            "1:17: a model's columns are listed only to comment and tag them [name them "
            "in the SELECT, with AS; here column COMMENT 'text' or column WITH TAG (name "
            "= 'value')]\n");
  EXPECT_EQ(faults("CREATE MACRO heat(v, t) AS decay_sum(v, t, INTERVAL 1 HOUR)"),
            "1:28: a macro that is an expression does not call decay_sum [call it in the "
            "query, or in a macro AS TABLE]\n");
  EXPECT_EQ(
      faults("CREATE VIEW t.m CONSTRAINT hot EXPECT (decayed(h, t, INTERVAL 1 HOUR) > "
             "1) AS SELECT 1"),
      "1:40: a constraint does not call decayed [make its value a column of the "
      "query]\n");
}

TEST(ModelTest, TagsAreProperties) {
  const Model m = Parse(
      "CREATE MATERIALIZED VIEW t.m (email COMMENT 'of whom' WITH TAG (Pii = 'email'), "
      "fare TAG (unit = 'USD', \"Cost Centre\" = 'it''s 7')) WITH TAG (owner = 'city "
      "team') TBLPROPERTIES ('x' = 'y') AS WITH q AS (SELECT 1) SELECT * FROM q");
  EXPECT_THAT(m.properties,
              testing::ElementsAre(
                  testing::Pair("weir.column-tag.email.pii", "email"),
                  testing::Pair("weir.column-tag.fare.unit", "USD"),
                  testing::Pair("weir.column-tag.fare.cost centre", "it's 7"),
                  testing::Pair("weir.tag.owner", "city team"), testing::Pair("x", "y")));
  ASSERT_EQ(m.column_comments.size(), 2u);
  EXPECT_EQ(m.column_comments[0].second, "of whom");
  EXPECT_EQ(m.column_comments[1].second, "");
}

TEST(ModelTest, ReadsEveryClause) {
  const Model m = Parse(R"(-- One row a trip.
CREATE OR REFRESH MATERIALIZED VIEW Silver.Trips
  KEY (trip_id, "Odd ""name""")
  PARTITIONED BY (day(requested_at), bucket(16, trip_id), city, hours(paid_at))
  CLUSTER BY (rider_id)
  CONSTRAINT fare_sane EXPECT (fare BETWEEN 0 AND (10 * 100) AND note <> ')') ON VIOLATION QUARANTINE
  CONSTRAINT counted EXPECT (fare > 0)
  CONSTRAINT dropped EXPECT (a) ON VIOLATION DROP ROW CONSTRAINT failed EXPECT (b) ON VIOLATION FAIL UPDATE
  TARGET_LAG = '1 minute 30 seconds'
  COMMENT 'it''s trips'
  TBLPROPERTIES ('owner' = 'ann', weir.tags = 'ops')
  NONDETERMINISTIC
AS SELECT trip_id -- AS SELECT; )
     FROM bronze.ride_events /* ; */ GROUP BY trip_id;
)");
  EXPECT_EQ(m.name, "silver.trips");
  EXPECT_EQ(m.verb, ModelVerb::kMaterializedView);
  EXPECT_THAT(m.key, testing::ElementsAre("trip_id", "Odd \"name\""));
  ASSERT_EQ(m.partitioned_by.size(), 4u);
  EXPECT_EQ(m.partitioned_by[0].transform, "day");
  EXPECT_EQ(m.partitioned_by[1].transform, "bucket");
  EXPECT_EQ(m.partitioned_by[1].parameter, 16);
  EXPECT_EQ(m.partitioned_by[1].column, "trip_id");
  EXPECT_EQ(m.partitioned_by[2].transform, "identity");
  EXPECT_EQ(m.partitioned_by[3].transform, "hour");
  EXPECT_THAT(m.cluster_by, testing::ElementsAre("rider_id"));
  ASSERT_EQ(m.constraints.size(), 4u);
  EXPECT_EQ(m.constraints[0].condition, "fare BETWEEN 0 AND (10 * 100) AND note <> ')'");
  EXPECT_EQ(m.constraints[0].on_violation, OnViolation::kQuarantine);
  EXPECT_EQ(m.constraints[1].on_violation, OnViolation::kCount);
  EXPECT_EQ(m.constraints[2].on_violation, OnViolation::kDropRow);
  EXPECT_EQ(m.constraints[3].on_violation, OnViolation::kFailUpdate);
  EXPECT_EQ(m.target_lag, 90000000);
  EXPECT_EQ(m.comment, "it's trips");
  EXPECT_THAT(m.properties, testing::ElementsAre(testing::Pair("owner", "ann"),
                                                 testing::Pair("weir.tags", "ops")));
  EXPECT_TRUE(m.nondeterministic);
  EXPECT_EQ(m.body,
            "SELECT trip_id -- AS SELECT; )\n     FROM bronze.ride_events /* ; */ GROUP "
            "BY trip_id");
  EXPECT_EQ(m.PlaceInFile(0).line, 13);
  EXPECT_EQ(m.PlaceInFile(0).column, 4);
}

TEST(ModelTest, TakesStreamMarkersOutAndKeepsPlaces) {
  const Model m = Parse(
      "create streaming table silver.s as\n"
      "select a.x, 'FROM STREAM no' as \"FROM STREAM\"\n"
      "  from STREAM Bronze.A a\n"
      "  join STREAM ( bronze.\"B$late\" ) b on a.k = b.k");
  EXPECT_EQ(m.body,
            "select a.x, 'FROM STREAM no' as \"FROM STREAM\"\n"
            "  from Bronze.A a\n"
            "  join bronze.\"B$late\"  b on a.k = b.k");
  EXPECT_THAT(m.stream_inputs, testing::ElementsAre("bronze.a", "bronze.b$late"));
  const std::string words[] = {"a.x", "Bronze.A", "join", "bronze.\"B", "on a.k", "b.k"};
  for (const std::string& word : words) {
    const Place place = m.PlaceInFile(m.body.rfind(word));
    const Place expected = PlaceOf(m.text, m.text.rfind(word));
    EXPECT_EQ(fmt::format("{}:{}", place.line, place.column),
              fmt::format("{}:{}", expected.line, expected.column))
        << word;
  }
}

TEST(ModelTest, ATableNamedStreamIsATable) {
  EXPECT_EQ(Parse("CREATE VIEW a.b AS SELECT 1 FROM stream").body,
            "SELECT 1 FROM stream");
  EXPECT_EQ(Parse("CREATE VIEW a.b AS SELECT 1 FROM stream WHERE x").body,
            "SELECT 1 FROM stream WHERE x");
}

TEST(ModelTest, BodiesMayBeginWithAnyQueryWord) {
  EXPECT_EQ(Parse("CREATE VIEW a.b AS WITH c AS (SELECT 1) FROM c;").body,
            "WITH c AS (SELECT 1) FROM c");
  EXPECT_EQ(Parse("CREATE VIEW a.b AS FROM t").body, "FROM t");
  EXPECT_EQ(Parse("CREATE VIEW a.b AS (SELECT $$a;b$$)\n;\n-- end").body,
            "(SELECT $$a;b$$)");
}

TEST(ModelTest, ColumnsMayHaveComments) {
  const Model m = Parse(
      "CREATE VIEW a.b (y COMMENT 'why', CONSTRAINT x EXPECT (y > 0), \"Z z\" COMMENT "
      "'it''s z') AS SELECT 1");
  ASSERT_EQ(m.column_comments.size(), 2u);
  EXPECT_EQ(m.column_comments[1].first.text, "Z z");
  EXPECT_EQ(m.column_comments[1].second, "it's z");
  EXPECT_EQ(m.constraints.size(), 1u);
}

TEST(ModelTest, ConstraintsMayStandInParenthesesAfterTheName) {
  const Model m = Parse(
      "CREATE VIEW a.b (CONSTRAINT x EXPECT (y > 0), CONSTRAINT z EXPECT (w) ON "
      "VIOLATION DROP ROW) AS SELECT 1");
  ASSERT_EQ(m.constraints.size(), 2u);
  EXPECT_EQ(m.constraints[1].name, "z");
}

struct FaultCase {
  const char *name, *text, *problem;
};
class ModelFaultTest : public testing::TestWithParam<FaultCase> {};
TEST_P(ModelFaultTest, PointsToThePlaceAndSaysWhatToWrite) {
  EXPECT_EQ(Fault(GetParam().text), std::string(GetParam().problem) + "\n");
}
INSTANTIATE_TEST_SUITE_P(
    , ModelFaultTest,
    testing::Values(
        FaultCase{"Empty", "  -- nothing\n",
                  "1:1: this file holds no model [CREATE MATERIALIZED VIEW schema.name "
                  "AS SELECT …]"},
        FaultCase{"Select", "SELECT 1",
                  "1:1: expected CREATE, found 'SELECT' [put CREATE MATERIALIZED VIEW "
                  "schema.name AS before the query]"},
        FaultCase{"Verb", "CREATE MATERIALISED VIEW a.b AS SELECT 1",
                  "1:8: expected MATERIALIZED VIEW, STREAMING TABLE, VIEW or FLOW, found "
                  "'MATERIALISED' [did you mean MATERIALIZED?]"},
        FaultCase{"Create", "CRATE VIEW a.b AS SELECT 1",
                  "1:1: expected CREATE, found 'CRATE' [did you mean CREATE?]"},
        FaultCase{"Table", "CREATE TABLE a.b AS SELECT 1",
                  "1:8: expected MATERIALIZED VIEW, STREAMING TABLE, VIEW or FLOW, found "
                  "'TABLE' [a table is either kept equal to its query (MATERIALIZED "
                  "VIEW) or fed row by row (STREAMING TABLE)]"},
        FaultCase{"StreamingView", "CREATE STREAMING VIEW a.b AS SELECT 1",
                  "1:18: expected TABLE, found 'VIEW'"},
        FaultCase{"Replace", "CREATE OR REPLACE VIEW a.b AS SELECT 1",
                  "1:11: expected REFRESH, found 'REPLACE' [models replace themselves: "
                  "CREATE, or CREATE OR REFRESH]"},
        FaultCase{"FlowWithoutSource", "CREATE FLOW f AS AUTO CDC INTO a.t",
                  "1:35: expected FROM, found the end of the file"},
        FaultCase{"OnePart", "CREATE VIEW trips AS SELECT 1",
                  "1:13: the model's name has two parts [for example silver.trips]"},
        FaultCase{"OurName", "CREATE VIEW a._b AS SELECT 1",
                  "1:13: '_b' cannot be a name: _ in front and the characters $ . / \\ "
                  "are Weir's own"},
        FaultCase{
            "Columns", "CREATE VIEW a.b (x, y) AS SELECT 1",
            "1:17: a model's columns are listed only to comment and tag them [name them "
            "in the SELECT, with AS; here column COMMENT 'text' or column WITH TAG (name "
            "= "
            "'value')]"},
        FaultCase{
            "Clause", "CREATE VIEW a.b\n  PARTITIONNED BY (x) AS SELECT 1",
            "2:3: expected a clause, found 'PARTITIONNED' [did you mean PARTITIONED?]"},
        FaultCase{"Primary", "CREATE VIEW a.b PRIMARY KEY (x) AS SELECT 1",
                  "1:17: expected a clause, found 'PRIMARY' [write KEY (…)]"},
        FaultCase{"Twice", "CREATE VIEW a.b KEY (x) KEY (y) AS SELECT 1",
                  "1:25: KEY is written twice"},
        FaultCase{"NoAs", "CREATE VIEW a.b SELECT 1",
                  "1:17: expected AS before the query, found 'SELECT' [AS SELECT …]"},
        FaultCase{"NoBody", "CREATE VIEW a.b",
                  "1:16: expected AS SELECT …, found the end of the file"},
        FaultCase{"Selct", "CREATE VIEW a.b AS SELCT 1",
                  "1:20: expected SELECT, found 'SELCT' [did you mean SELECT?]"},
        FaultCase{"Transform", "CREATE VIEW a.b PARTITIONED BY (dya(x)) AS SELECT 1",
                  "1:33: dya is not a partition transform [did you mean day?]"},
        FaultCase{"Bucket", "CREATE VIEW a.b PARTITIONED BY (bucket(x)) AS SELECT 1",
                  "1:41: expected a number, found ')' [bucket(16, x)]"},
        FaultCase{
            "Violation",
            "CREATE VIEW a.b CONSTRAINT c EXPECT (x) ON VIOLATION QUARANTEEN AS SELECT 1",
            "1:54: expected QUARANTINE, DROP ROW or FAIL UPDATE, found 'QUARANTEEN' [did "
            "you mean QUARANTINE?]"},
        FaultCase{"Check", "CREATE VIEW a.b CONSTRAINT c CHECK (x) AS SELECT 1",
                  "1:30: expected EXPECT, found 'CHECK' [write EXPECT (condition)]"},
        FaultCase{
            "Lag", "CREATE VIEW a.b TARGET_LAG = 'soon' AS SELECT 1",
            "1:30: 'soon' is not a duration [for example '30 seconds' or '1 hour']"},
        FaultCase{"Quote", "CREATE VIEW a.b AS SELECT 'x",
                  "1:27: this quote is never closed"},
        FaultCase{"Comment", "CREATE VIEW a.b /* AS SELECT 1",
                  "1:17: this comment never ends"},
        FaultCase{"TwoModels",
                  "CREATE VIEW a.b AS SELECT 1;\nCREATE VIEW a.c AS SELECT 2",
                  "2:13: this file makes 2 tables [one is expected here]"},
        FaultCase{"StreamInView",
                  "CREATE MATERIALIZED VIEW a.b AS SELECT 1 FROM STREAM t",
                  "1:33: only a streaming table reads FROM STREAM t [write CREATE "
                  "STREAMING TABLE, or leave STREAM out]"},
        FaultCase{"NoStream", "CREATE STREAMING TABLE a.b AS SELECT 1 FROM t",
                  "1:31: a streaming table reads at least one table as a stream [write "
                  "FROM STREAM table, or make it a MATERIALIZED VIEW]"},
        FaultCase{"EmitNotLast",
                  "CREATE VIEW a.b AS SELECT 1 EMIT ON WINDOW CLOSE LIMIT 1",
                  "1:50: expected the end of the file, found 'LIMIT' [EMIT ON WINDOW "
                  "CLOSE comes last]"},
        FaultCase{"TumbleByMonths",
                  "CREATE VIEW a.b AS SELECT 1 FROM TUMBLE(TABLE t, DESCRIPTOR(ts), "
                  "INTERVAL '1 month')",
                  "1:66: TUMBLE: a month has no fixed length [group by "
                  "date_trunc('month', …)]"},
        FaultCase{"TumbleWithoutSize",
                  "CREATE VIEW a.b AS SELECT 1 FROM TUMBLE(TABLE t, DESCRIPTOR(ts))",
                  "1:65: TUMBLE: 0 intervals are given [write TUMBLE(TABLE t, "
                  "DESCRIPTOR(ts), size)]"},
        FaultCase{"HopByNumber",
                  "CREATE VIEW a.b AS SELECT 1 FROM HOP(TABLE t, DESCRIPTOR(ts), 5, 10)",
                  "1:63: HOP: its sizes are intervals [write INTERVAL '10 minutes']"},
        FaultCase{
            "WindowOfNothing",
            "CREATE VIEW a.b AS SELECT 1 FROM SESSION(TABLE (SELECT 1))",
            "1:48: SESSION: expected a table [write SESSION(TABLE t PARTITION BY k, "
            "DESCRIPTOR(ts), gap, MAX length)]"}),
    [](const auto& info) { return info.param.name; });

TEST(ModelTest, PlacesCountCharactersAndExcerptsAreLines) {
  std::vector<SqlProblem> problems;
  EXPECT_FALSE(ParseModel("m.sql", "CREATE VIEW a.b\n  /* größe */ WRONG 1", &problems)
                   .has_value());
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].place.column, 15);
  EXPECT_EQ(problems[0].excerpt, "/* größe */ WRONG 1");
}

TEST(ModelTest, AnyTextIsParsedOrRefusedWithAPlace) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string good =
      "CREATE STREAMING TABLE a.b KEY (x) PARTITIONED BY (day(t)) CONSTRAINT c EXPECT (x "
      "> 'a' AND \"y\" < 1.5e-3) "
      "TARGET_LAG = '1 hour' AS SELECT $$x$$, /* c */ y FROM STREAM(bronze.t) -- z\n;";
  for (int i = 0; i < 5000; ++i) {
    std::string text = good.substr(0, random() % (good.size() + 1));
    for (uint64_t n = random() % 4; n > 0 && !text.empty(); --n)
      text[random() % text.size()] = "'\"$(),;/*-. a\n\xff"[random() % 15];
    std::vector<SqlProblem> problems;
    const auto model = ParseModel("m.sql", text, &problems);
    ASSERT_NE(model.has_value(), !problems.empty()) << text;
    if (model) {
      ASSERT_LE(model->body.size(), text.size());
    }
  }
}

TEST(TokenTest, ValuesAreWithoutQuotes) {
  const std::string text = R"('it''s' e'a\'b' "q""q" $$a$b$$ $t$x$$y$t$ 1.5e-3 a$b)";
  std::vector<std::string> values;
  for (const Token& token : Tokenize(text)) values.push_back(TokenValue(token, text));
  EXPECT_THAT(values, testing::ElementsAre("it's", "a'b", "q\"q", "a$b", "x$$y", "1.5e-3",
                                           "a$b", ""));
}

}  // namespace
}  // namespace weir::sql
