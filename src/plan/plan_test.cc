#include "plan/plan.h"

#include <arrow/api.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "data/arrow.h"
#include "data/batch.h"

namespace weir::plan {
namespace {

using data::Kind;
using data::Simple;
using testing::ElementsAre;
using testing::HasSubstr;

InputTable RideEvents() {
  const auto text = [](const char* name) {
    return data::Field{name, Simple(Kind::kString)};
  };
  const auto real = [](const char* name) {
    return data::Field{name, Simple(Kind::kDouble)};
  };
  const auto whole = [](const char* name) {
    return data::Field{name, Simple(Kind::kInt64)};
  };
  InputTable table;
  table.name = "bronze.ride_events";
  table.schema.fields = {text("event_id"),
                         text("event_name"),
                         {"event_timestamp", Simple(Kind::kTimestampTz)},
                         text("schema_version"),
                         text("trip_id"),
                         text("rider_id"),
                         text("driver_id"),
                         whole("pickup_location_id"),
                         whole("dropoff_location_id"),
                         real("trip_distance"),
                         real("fare_amount"),
                         real("tip_amount"),
                         real("total_amount"),
                         whole("payment_type"),
                         real("surge_amount"),
                         text("_extra"),
                         {"_absent", data::ListOf(Simple(Kind::kString))},
                         {"_partition", Simple(Kind::kInt32)},
                         whole("_offset"),
                         {"_received_at", Simple(Kind::kTimestampTz)}};
  table.key = {"event_id"};
  table.order = {"event_id"};
  table.append_only = true;
  return table;
}

// A table with rows that come and go, NULLs in every column and no tie columns.
InputTable Changing() {
  InputTable table;
  table.name = "silver.changing";
  table.schema.fields = {
      {"id", Simple(Kind::kInt64)},
      {"k", Simple(Kind::kString)},
      {"n", Simple(Kind::kInt32)},
      {"d", data::Decimal(9, 2)},
      {"x", Simple(Kind::kDouble)},
      {"ok", Simple(Kind::kBool)},
      {"ts", Simple(Kind::kTimestampTz)},
      {"s", data::StructOf({{"a", Simple(Kind::kInt32)}, {"b", Simple(Kind::kString)}})},
      {"l", data::ListOf(Simple(Kind::kInt32))}};
  table.key = {"id"};
  return table;
}

constexpr const char* kTrips = R"(CREATE MATERIALIZED VIEW silver.trips AS
SELECT trip_id,
       arg_max(rider_id, event_timestamp) AS rider_id,
       arg_max(driver_id, event_timestamp) AS driver_id,
       arg_max(pickup_location_id, event_timestamp) AS pickup_location_id,
       arg_max(dropoff_location_id, event_timestamp) AS dropoff_location_id,
       min(event_timestamp) FILTER (WHERE event_name = 'trip_requested') AS requested_at,
       min(event_timestamp) FILTER (WHERE event_name = 'trip_started') AS started_at,
       min(event_timestamp) FILTER (WHERE event_name = 'trip_completed') AS completed_at,
       arg_max(trip_distance, event_timestamp) AS trip_distance,
       arg_max(fare_amount, event_timestamp) AS fare_amount,
       arg_max(total_amount, event_timestamp) AS total_amount,
       arg_max(surge_amount, event_timestamp) AS surge_amount
  FROM bronze.ride_events GROUP BY trip_id)";

constexpr const char* kCityHourly = R"(CREATE MATERIALIZED VIEW gold.city_hourly AS
SELECT pickup_location_id, date_trunc('hour', requested_at) AS hour,
       count(*) AS trips_requested,
       count(*) FILTER (WHERE completed_at IS NOT NULL) AS trips_completed,
       count(*) FILTER (WHERE completed_at IS NULL) AS trips_open,
       sum(total_amount) AS revenue,
       avg(fare_amount) AS average_fare,
       avg(date_diff('second', requested_at, started_at)) AS average_wait_seconds,
       max(surge_amount) AS surge,
       round(100.0 * count_if(surge_amount > 0) / count(*), 1) AS percent_surge
  FROM silver.trips WHERE requested_at IS NOT NULL GROUP BY ALL)";

std::string Text(const std::vector<PlanProblem>& problems) {
  std::string out;
  for (const PlanProblem& p : problems) {
    out += fmt::format("{}:{}:{}: {}{}\n", p.file, p.problem.place.line,
                       p.problem.place.column, p.problem.message,
                       p.problem.fix.empty() ? "" : " [" + p.problem.fix + "]");
  }
  return out;
}

std::optional<Plan> TryPlan(const std::vector<std::string>& models,
                            std::string* problems_text) {
  std::vector<sql::Model> parsed;
  std::vector<PlanProblem> problems;
  for (size_t i = 0; i < models.size(); ++i) {
    std::vector<sql::SqlProblem> faults;
    auto model = sql::ParseModel(fmt::format("m{}.sql", i), models[i], &faults);
    for (auto& fault : faults) problems.push_back({fmt::format("m{}.sql", i), fault});
    if (model) parsed.push_back(*std::move(model));
  }
  auto plan = MakePlan({RideEvents(), Changing()}, std::move(parsed), &problems);
  *problems_text = Text(problems);
  return plan;
}

Plan MustPlan(const std::vector<std::string>& models) {
  std::string problems;
  auto plan = TryPlan(models, &problems);
  EXPECT_EQ(problems, "");
  return plan.value_or(Plan());
}

std::string Faults(const std::vector<std::string>& models) {
  std::string problems;
  EXPECT_FALSE(TryPlan(models, &problems).has_value());
  return problems;
}

ModelPlan PlanBody(const std::string& body) {
  const Plan plan = MustPlan({"CREATE MATERIALIZED VIEW t.m AS " + body});
  return plan.models.empty() ? ModelPlan() : plan.models.back();
}

// ---- order completion

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
                       "BY changing.id ASC NULLS LAST) AS b, \"mode\"(k ORDER BY "
                       "changing.id ASC NULLS LAST) AS c, list(DISTINCT n ORDER BY n ASC "
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
            "NULLS LAST, weir_1.f ASC NULLS LAST) AS f, (SELECT \"last\"(trip_id ORDER "
            "BY ride_events.event_id ASC NULLS LAST) AS \"\"\"last\"\"(trip_id)\" FROM "
            "bronze.ride_events) AS l FROM (SELECT * FROM a) AS weir_1 LIMIT 1"}),
    [](const auto& info) { return info.param.name; });

// ---- pieces against the whole

// Random rows in few values, so that groups, ties and NULLs are frequent.
class Rows {
 public:
  explicit Rows(uint64_t seed) : random_(seed) {}

  // `ties`: times may be equal or NULL.
  std::shared_ptr<arrow::RecordBatch> Make(const InputTable& table, int64_t rows,
                                           bool ties) {
    arrow::ArrayVector columns;
    std::vector<int64_t> ids(static_cast<size_t>(rows));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
    for (const data::Field& field : table.schema.fields) {
      const bool unique =
          std::find(table.key.begin(), table.key.end(), field.name) != table.key.end() ||
          field.name == "_offset";
      const bool is_time = field.type.kind == Kind::kTimestampTz;
      std::shuffle(ids.begin(), ids.end(), random_);
      std::unique_ptr<arrow::ArrayBuilder> builder;
      EXPECT_TRUE(arrow::MakeBuilder(arrow::default_memory_pool(),
                                     data::ToArrow(field.type), &builder)
                      .ok());
      for (const int64_t id : ids) {
        Append(field.type,
               unique || (is_time && !ties) ? id : static_cast<int64_t>(random_() % 5),
               !unique && (ties || !is_time), *builder);
      }
      columns.push_back(*builder->Finish());
    }
    return arrow::RecordBatch::Make(data::ToArrow(table.schema), rows, columns);
  }

  std::shared_ptr<arrow::RecordBatch> Shuffled(
      const std::shared_ptr<arrow::RecordBatch>& batch) {
    std::vector<int32_t> order(static_cast<size_t>(batch->num_rows()));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    std::shuffle(order.begin(), order.end(), random_);
    return data::Take({batch, {}}, order)->rows;
  }

 private:
  void Append(const data::Type& type, int64_t v, bool nullable, arrow::ArrayBuilder& b) {
    if (nullable && random_() % 4 == 0) return (void)b.AppendNull();
    static const char* kNames[] = {"trip_requested", "driver_assigned", "trip_started",
                                   "trip_completed", "payment_processed"};
    switch (type.kind) {
      case Kind::kBool:
        return (void)static_cast<arrow::BooleanBuilder&>(b).Append(v % 2 == 0);
      case Kind::kInt32:
        return (void)static_cast<arrow::Int32Builder&>(b).Append(static_cast<int32_t>(v));
      case Kind::kInt64:
        return (void)static_cast<arrow::Int64Builder&>(b).Append(v);
      case Kind::kDouble:
        return (void)static_cast<arrow::DoubleBuilder&>(b).Append(static_cast<double>(v) /
                                                                  8);
      case Kind::kDecimal:
        return (void)static_cast<arrow::Decimal128Builder&>(b).Append(
            arrow::Decimal128(v * 25));
      case Kind::kTimestampTz:
        return (void)static_cast<arrow::TimestampBuilder&>(b).Append(1500000000000000 +
                                                                     v * 1700000000);
      case Kind::kString:
        return (void)static_cast<arrow::StringBuilder&>(b).Append(
            v < 5 && nullable ? kNames[v] : fmt::format("id-{}", v));
      case Kind::kList:
        return (void)static_cast<arrow::ListBuilder&>(b).AppendEmptyValue();
      case Kind::kStruct: {
        auto& builder = static_cast<arrow::StructBuilder&>(b);
        (void)builder.Append();
        Append(type.fields[0].type, v, true, *builder.field_builder(0));
        return Append(type.fields[1].type, v, true, *builder.field_builder(1));
      }
      default:
        FAIL() << "no random values of this type";
    }
  }

  std::mt19937_64 random_;
};

std::shared_ptr<arrow::RecordBatch> WithWeights(
    const std::shared_ptr<arrow::RecordBatch>& batch) {
  arrow::Int32Builder weights;
  for (int64_t i = 0; i < batch->num_rows(); ++i) (void)weights.Append(1);
  return *batch->AddColumn(batch->num_columns(), "_weight", *weights.Finish());
}

data::Schema WithWeights(data::Schema schema) {
  schema.fields.push_back({"_weight", Simple(Kind::kInt32)});
  return schema;
}

std::vector<std::string> Sorted(const duck::RowBatches& batches) {
  std::vector<std::string> rows;
  for (const auto& batch : batches) {
    for (int64_t i = 0; i < batch->num_rows(); ++i)
      rows.push_back(data::RowText(*batch, i));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

duck::RowBatches Query(duck::Session& session, const std::string& sql) {
  auto rows = session.Query(sql, nullptr);
  EXPECT_TRUE(rows.ok()) << rows.error().message << "\n" << sql;
  return rows.ok() ? *rows : duck::RowBatches();
}

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

// One session for the pieces and one for whole queries, as opening them takes longer than
// all else here. They are never closed: at exit DuckDB's own statics are gone before
// ours.
duck::Session& SessionFor(bool pieces) {
  static duck::Session* const sessions[2] = {duck::Session::Open({})->release(),
                                             duck::Session::Open({})->release()};
  return *sessions[pieces ? 1 : 0];
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

// ---- what is not a piece

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

struct RefreshCase {
  const char *name, *body, *why;
};
class FullRefreshTest : public testing::TestWithParam<RefreshCase> {};
TEST_P(FullRefreshTest, SaysWhyInWords) {
  const ModelPlan plan = PlanBody(GetParam().body);
  EXPECT_EQ(plan.kind, BlockKind::kFullRefresh);
  EXPECT_EQ(plan.why_not_better, GetParam().why);
  EXPECT_EQ(plan.pre_sql, "");
  EXPECT_FALSE(plan.append_only);
}
INSTANTIATE_TEST_SUITE_P(
    , FullRefreshTest,
    testing::Values(
        RefreshCase{"Join",
                    "SELECT c.k FROM silver.changing c JOIN bronze.ride_events e ON c.k "
                    "= e.trip_id",
                    "it joins tables"},
        RefreshCase{"Union",
                    "SELECT k FROM silver.changing UNION SELECT k FROM silver.changing",
                    "it combines queries with UNION, INTERSECT, EXCEPT or recursion"},
        RefreshCase{"Window",
                    "SELECT k, lag(n) OVER (ORDER BY ts) AS p FROM silver.changing",
                    "it uses the window function lag()"},
        RefreshCase{"Limit", "SELECT k FROM silver.changing LIMIT 3",
                    "it has LIMIT over the whole table"},
        RefreshCase{"CountDistinct", "SELECT count(DISTINCT k) AS c FROM silver.changing",
                    "count(DISTINCT …) is not kept incrementally yet"},
        RefreshCase{"Median", "SELECT median(n) AS m FROM silver.changing",
                    "the aggregate median() is not kept incrementally yet"},
        RefreshCase{"List", "SELECT k, list(n) AS m FROM silver.changing GROUP BY k",
                    "the aggregate list() is not kept incrementally yet"},
        RefreshCase{"Rollup",
                    "SELECT k, count(*) AS c FROM silver.changing GROUP BY ROLLUP (k)",
                    "it has GROUPING SETS, ROLLUP or CUBE"},
        RefreshCase{"TwoLevels",
                    "SELECT max(c) AS m FROM (SELECT count(*) AS c FROM silver.changing "
                    "GROUP BY k)",
                    "it aggregates in a subquery"},
        RefreshCase{"ScalarSubquery",
                    "SELECT k FROM silver.changing WHERE n > (SELECT avg(n) FROM "
                    "silver.changing)",
                    "it has a subquery in an expression"},
        RefreshCase{"Rank",
                    "SELECT k FROM silver.changing QUALIFY rank() OVER (PARTITION BY k "
                    "ORDER BY n) = 1",
                    "its QUALIFY is not row_number() OVER (…) <= n"},
        RefreshCase{"NestedMax", "SELECT max(s) AS m FROM silver.changing",
                    "it compares values of type struct<a: int, b: string>"},
        RefreshCase{"AverageTime", "SELECT avg(ts) AS m FROM silver.changing",
                    "it adds up values of type timestamptz"},
        RefreshCase{"Values", "SELECT * FROM (VALUES (1)) t(a)",
                    "it does not read a table"},
        RefreshCase{"Columns", "SELECT COLUMNS('k|n') FROM silver.changing",
                    "it uses COLUMNS(…), REPLACE or RENAME"}),
    [](const auto& info) { return info.param.name; });

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
  EXPECT_FALSE(plan.Find("silver.d")->aggregate.input_retracts);
  EXPECT_TRUE(PlanBody("SELECT k, count(*) AS n FROM silver.changing GROUP BY k")
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
  EXPECT_EQ(trips.aggregate.calls.size(), 11u);
  // trip_id, eight arguments, event_timestamp, event_id and three conditions.
  EXPECT_EQ(trips.pre_schema.fields.size(), 14u) << trips.pre_sql;
  EXPECT_TRUE(trips.post_is_projection);
  EXPECT_FALSE(trips.pre_is_projection);
  EXPECT_THAT(trips.exchange_keys, ElementsAre(0));
  EXPECT_EQ(trips.aggregate.calls[0].order.size(), 2u);
  EXPECT_THAT(plan.models[1].inputs, ElementsAre("silver.trips"));
  EXPECT_THAT(plan.models[1].key, ElementsAre("pickup_location_id", "hour"));
  EXPECT_TRUE(plan.models[1].aggregate.input_retracts);
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
  EXPECT_EQ(gold->completed_sql,
            "SELECT b.k, sum(nn) AS s FROM (SELECT * FROM (SELECT k, (n * 2) AS nn FROM "
            "silver.changing WHERE ok) AS good WHERE (nn > 2)) AS b GROUP BY "
            "b.k");
  EXPECT_EQ(gold->pre_sql,
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
                  {"CREATE VIEW t.m CONSTRAINT a EXPECT (n) CONSTRAINT b EXPECT (z > 0) "
                   "AS SELECT n FROM silver.changing"},
                  "m0.sql:1:28: constraint a is not a condition but of type int [compare "
                  "it with something]\n"
                  "m0.sql:1:52: constraint b: Referenced column \"z\" not found in FROM "
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
            "m1.sql:1:1: there is another table named t.m\n"},
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
