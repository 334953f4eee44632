#include "plan/utc_internal.h"

#include <arrow/api.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "data/batch.h"

namespace weir::plan {
namespace {

using data::Kind;
using data::Simple;

class UtcTest : public testing::Test {
 protected:
  UtcTest() {
    auto session = duck::Session::Open({});
    EXPECT_TRUE(session.ok());
    session_ = *std::move(session);
    columns_.fields = {{"a", Simple(Kind::kTimestampTz)},
                       {"b", Simple(Kind::kTimestampTz)},
                       {"plain", Simple(Kind::kTimestamp)}};
  }
  std::string Rewritten(const std::string& text) {
    Ast ast(*session_);
    auto expr = ast.ParseExpr(text);
    EXPECT_TRUE(expr.ok()) << text;
    auto out = InUtc(ast, *expr, columns_);
    EXPECT_TRUE(out.ok()) << out.error().message;
    auto printed = ast.PrintExpr(*out);
    EXPECT_TRUE(printed.ok()) << printed.error().message;
    return *printed;
  }
  std::string One(const std::string& sql) {
    auto rows = session_->Query(sql, nullptr);
    EXPECT_TRUE(rows.ok()) << rows.error().message;
    return rows.ok() ? data::RowText(**rows->begin(), 0) : "";
  }

  std::unique_ptr<duck::Session> session_;
  data::Schema columns_;
};

// Every pair of these stamps, through DuckDB both ways.
constexpr const char* kStamps =
    "(SELECT x.v AS a, y.v AS b, CAST(NULL AS TIMESTAMP) AS plain FROM s x, s y)";
constexpr const char* kValues =
    "WITH s AS (SELECT CAST(v AS TIMESTAMPTZ) AS v FROM (VALUES (NULL), ('infinity'), "
    "('-infinity'), ('1970-01-01 00:00:00Z'), ('1969-12-31 23:59:59.999999Z'), "
    "('2024-02-29 23:59:59.999999Z'), ('2024-12-30 00:00:00Z'), ('2023-01-01 "
    "12:34:56.789012Z'), ('9999-12-31 23:59:59.999999Z'), ('0001-01-01 00:00:00Z'), "
    "('1582-10-10 00:00:00Z'), ('1500-02-28 06:00:00Z'), ('0044-03-15 (BC) "
    "12:00:00Z'), ('1900-02-28 00:00:00Z')) t(v)) ";

TEST_F(UtcTest, MeansTheSameAsDuckDbsOwnCalls) {
  std::vector<std::string> exprs = {"CAST(a AS DATE)", "CAST(a AS TIMESTAMP)",
                                    "a::DATE + 1",
                                    "date_trunc('hour', a) = date_trunc('hour', b)"};
  for (const char* part : {"microsecond", "milliseconds", "second", "minute", "Hour",
                           "day", "week", "month", "quarter", "year"}) {
    exprs.push_back(fmt::format("date_trunc('{}', a)", part));
    if (std::string_view(part) != "quarter")
      exprs.push_back(fmt::format("date_diff('{}', a, b)", part));
  }
  for (const std::string& expr : exprs) {
    const std::string rewritten = Rewritten(expr);
    EXPECT_NE(rewritten.find("isfinite"), std::string::npos) << rewritten;
    EXPECT_EQ(One(fmt::format("{}SELECT count(*), count(*) FILTER (WHERE typeof({}) <> "
                              "typeof({}) OR ({}) IS DISTINCT FROM ({})) FROM {}",
                              kValues, expr, rewritten, expr, rewritten, kStamps)),
              "196 | 0")
        << expr << " as " << rewritten;
  }
}

TEST_F(UtcTest, LeavesAloneWhatItCannotTell) {
  for (const char* expr :
       {"date_trunc('decade', a)", "date_diff('quarter', a, b)",
        "date_trunc('hour', plain)", "CAST(plain AS DATE)", "date_trunc(x, a)",
        "date_diff('hour', a, plain)", "CAST(a AS VARCHAR)", "TRY_CAST(a AS DATE)",
        "date_trunc('hour', a + INTERVAL 1 HOUR)"}) {
    EXPECT_EQ(Rewritten(expr).find("isfinite"), std::string::npos) << expr;
  }
}

// DuckDB's own call ends the session: "Unable to subtract ICU calendar part".
TEST_F(UtcTest, AHugeDifferenceIsANumber) {
  EXPECT_EQ(One(fmt::format("SELECT {} FROM (SELECT CAST('290309-12-22 (BC) 00:00:00Z' "
                            "AS TIMESTAMPTZ) AS a, CAST('294247-01-10 04:00:54Z' AS "
                            "TIMESTAMPTZ) AS b)",
                            Rewritten("date_diff('hour', a, b)"))),
            "5124095572");
}

}  // namespace
}  // namespace weir::plan
