// What DuckDB and the operators do piece by piece adds up to the whole query.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "plan/plan.h"
#include "plan/testing_internal.h"
#include "sql/decay.h"
#include "sql/resolve.h"

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
  const std::string distinct = call.distinct ? "DISTINCT " : "";
  const auto ordered = [&](const std::string& function, const std::string& more) {
    const std::vector<int> by =
        call.distinct ? std::vector<int>{call.argument} : call.order;
    return fmt::format("{}({}{}{} ORDER BY {})", function, distinct, argument, more,
                       OrderList(input, by, call.descending, false));
  };
  const auto quantile = [&](const std::string& function) {
    return call.fraction.scaling == 0
               ? fmt::format("{}({}, {}::DOUBLE)", function, argument,
                             call.fraction.value)
               : fmt::format("{}({}, {})", function, argument, call.fraction.value);
  };
  switch (call.kind) {
    case K::kList:
      text = ordered("list", "");
      break;
    case K::kStringAgg:
      text = ordered("string_agg", fmt::format(", '{}'", call.separator));
      break;
    case K::kQuantileCont:
      text = quantile("quantile_cont");
      break;
    case K::kQuantileDisc:
      text = quantile("quantile_disc");
      break;
    case K::kMode:
      text = fmt::format("mode({0} ORDER BY {0})", argument);
      break;
    case K::kVarPop:
      text = fmt::format("var_pop({})", argument);
      break;
    case K::kVarSamp:
      text = fmt::format("var_samp({})", argument);
      break;
    case K::kStddevPop:
      text = fmt::format("stddev_pop({})", argument);
      break;
    case K::kStddevSamp:
      text = fmt::format("stddev_samp({})", argument);
      break;
    case K::kLogSum:
      return fmt::format(
          "CAST(list_reduce(list_sort(list({0}) FILTER (WHERE {1} AND {0} IS NOT NULL), "
          "'DESC'), {2}) AS {3})",
          argument, filter, sql::kLogSumLambda, duck::TypeInSql(call.result));
    case K::kCountStar:
      text = "count(*)";
      break;
    case K::kCount:
      text = fmt::format("count({}{})", distinct, argument);
      break;
    case K::kSum:
      text = fmt::format("sum({}{})", distinct, argument);
      break;
    case K::kMin:
      text = fmt::format("min({})", argument);
      break;
    case K::kMax:
      text = fmt::format("max({})", argument);
      break;
    case K::kAvg:
      text = fmt::format("avg({}{})", distinct, argument);
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

std::string WindowSql(const ops::WindowSpec& spec, const ops::WindowCall& call,
                      const data::Schema& input) {
  using K = ops::WindowKind;
  static const char* const kNames[] = {
      "row_number", "rank",  "dense_rank", "lag", "lead", "first_value", "last_value",
      "count",      "count", "sum",        "avg", "min",  "max"};
  const bool places = call.kind == K::kRowNumber || call.kind == K::kLag ||
                      call.kind == K::kLead || call.rows_frame;
  std::string partition, order;
  for (const int key : spec.keys)
    partition += (partition.empty() ? "PARTITION BY " : ", ") + Name(input, key);
  const size_t columns = places ? spec.order.size() : static_cast<size_t>(spec.peers);
  for (size_t i = 0; i < columns; ++i) {
    const bool descending = i < spec.descending.size() && spec.descending[i];
    order += fmt::format("{}{}{} NULLS LAST", i == 0 ? "" : ", ",
                         Name(input, spec.order[i]), descending ? " DESC" : "");
  }
  std::string arguments = call.argument < 0 ? "" : Name(input, call.argument), frame;
  if (call.kind == K::kLag || call.kind == K::kLead) {
    arguments +=
        fmt::format(", {}, {}", call.offset,
                    call.default_column < 0 ? "NULL" : Name(input, call.default_column));
  } else if (call.kind > K::kLead) {
    std::string from = "UNBOUNDED";
    if (call.preceding >= 0) from = std::to_string(call.preceding);
    if (call.preceding >= 0 && !call.rows_frame &&
        input.fields[static_cast<size_t>(spec.order[0])].type.kind >= data::Kind::kDate)
      from = fmt::format("to_microseconds({})", from);
    frame = fmt::format(" {} BETWEEN {} PRECEDING AND CURRENT ROW",
                        call.rows_frame ? "ROWS" : "RANGE", from);
  }
  return fmt::format("CAST({}({}{}) OVER ({} ORDER BY {}{}) AS {})",
                     kNames[static_cast<size_t>(call.kind)], arguments,
                     call.ignore_nulls ? " IGNORE NULLS" : "", partition, order, frame,
                     duck::TypeInSql(call.result));
}

// DuckDB in the place of the operator: from the relations `_in0`, `_in1` … (what the
// ports give, with weights where the stage only hands rows on) to the stage's rows and
// their weights.
std::string OperatorSql(const Stage& stage, size_t number) {
  static const data::Schema kNone;  // constant rows have no port
  const data::Schema& input = stage.ports.empty() ? kNone : stage.ports[0].schema;
  std::string keys, select;
  switch (stage.kind) {
    case BlockKind::kRowWise:
    case BlockKind::kUnion: {
      std::string sql;
      for (size_t i = 0; i < stage.ports.size(); ++i)
        sql += fmt::format("{}FROM _in{}", i == 0 ? "" : " UNION ALL ", i);
      return sql;
    }
    case BlockKind::kDistinct:
      return "SELECT DISTINCT *, 1 AS _weight FROM _in0";
    case BlockKind::kTop:
      for (const int key : stage.top.keys)
        keys += (keys.empty() ? "PARTITION BY " : ", ") + Name(input, key);
      return fmt::format(
          "SELECT *, 1 AS _weight FROM _in0 QUALIFY row_number() OVER ({} ORDER BY {}) "
          "<= {}",
          keys, OrderList(input, stage.top.order, stage.top.descending, false),
          stage.top.n);
    case BlockKind::kJoin: {
      static const char* const kNames[] = {"INNER", "LEFT", "RIGHT",
                                           "FULL",  "SEMI", "ANTI"};
      std::string on = "true";
      for (size_t i = 0; i < stage.join.left_keys.size(); ++i) {
        on += fmt::format(" AND _in0.{} {} _in1.{}", Name(input, stage.join.left_keys[i]),
                          stage.join.null_safe[i] ? "IS NOT DISTINCT FROM" : "=",
                          Name(stage.ports[1].schema, stage.join.right_keys[i]));
      }
      return fmt::format("SELECT *, 1 AS _weight FROM _in0 {} JOIN _in1 ON {}",
                         kNames[static_cast<size_t>(stage.join.kind)], on);
    }
    case BlockKind::kAsof: {
      static const char* const kSigns[] = {">=", ">", "<=", "<"};
      std::string on =
          fmt::format("_in0.{} {} _in1.{}", Name(input, stage.asof.left_time),
                      kSigns[static_cast<size_t>(stage.asof.match)],
                      Name(stage.ports[1].schema, stage.asof.right_time));
      for (size_t i = 0; i < stage.asof.left_keys.size(); ++i) {
        on += fmt::format(" AND _in0.{} = _in1.{}", Name(input, stage.asof.left_keys[i]),
                          Name(stage.ports[1].schema, stage.asof.right_keys[i]));
      }
      return fmt::format("SELECT *, 1 AS _weight FROM _in0 ASOF {} JOIN _in1 ON {}",
                         stage.asof.outer ? "LEFT" : "", on);
    }
    case BlockKind::kTemporal: {
      const auto bound = [&](int column, const char* sign) {
        return column < 0 ? std::string("true")
                          : fmt::format("{} {} watermark()", Name(input, column), sign);
      };
      return fmt::format("SELECT *, 1 AS _weight FROM _in0 WHERE {} AND {}",
                         bound(stage.temporal.from, "<="), bound(stage.temporal.to, ">"));
    }
    case BlockKind::kWindow:
      for (size_t i = 0; i < stage.window.calls.size(); ++i)
        select += fmt::format("{} AS w{}, ",
                              WindowSql(stage.window, stage.window.calls[i], input), i);
      return "SELECT *, " + select + "1 AS _weight FROM _in0";
    case BlockKind::kComponents: {
      const ops::ComponentsSpec& spec = stage.components;
      const auto add = [&](int column, const std::string& name) {
        select += fmt::format("{}{} AS {}", select.empty() ? "" : ", ",
                              Name(input, column), name);
      };
      for (size_t i = 0; i < spec.record.size(); ++i)
        add(spec.record[i], fmt::format("r{}", i));
      for (size_t i = 0; i < spec.values.size(); ++i)
        add(spec.values[i], fmt::format("v{}", i));
      if (spec.sequence >= 0) add(spec.sequence, "s");
      if (spec.from >= 0) add(spec.from, "since");
      if (spec.to >= 0) add(spec.to, "until");
      const sql::ResolveShape shape{spec.record.size(), spec.values.size(),
                                    spec.sequence >= 0, spec.from >= 0, spec.most};
      return fmt::format(
          "WITH RECURSIVE weir_rows AS (SELECT {} FROM _in0){} SELECT *, 1 AS _weight "
          "FROM weir_components",
          select, sql::ResolveQueries(shape));
    }
    case BlockKind::kRecompute: {
      std::string with;
      for (size_t i = 0; i < stage.ports.size(); ++i)
        with += fmt::format("{}_p{}_{} AS (FROM _in{})", i == 0 ? "WITH " : ", ", number,
                            i, i);
      return fmt::format("{} SELECT *, 1 AS _weight FROM ({})", with,
                         stage.recompute_sql);
    }
    case BlockKind::kAggregate:
      break;
    case BlockKind::kFullRefresh:
      ADD_FAILURE() << "not a stage";
      return "";
  }
  for (const int key : stage.aggregate.keys) {
    keys += (keys.empty() ? " GROUP BY " : ", ") + Name(input, key);
    select += Name(input, key) + ", ";
  }
  for (size_t i = 0; i < stage.aggregate.calls.size(); ++i)
    select += fmt::format("{} AS a{}, ", CallSql(stage.aggregate.calls[i], input), i);
  return "SELECT " + select + "1 AS _weight FROM _in0" + keys;
}

using Tables = std::map<std::string, std::shared_ptr<arrow::RecordBatch>>;

std::map<std::string, data::Schema> SchemasOf(const Plan& plans) {
  std::map<std::string, data::Schema> out = {{"silver.changing", Changing().schema},
                                             {"bronze.ride_events", RideEvents().schema}};
  for (const ModelPlan& model : plans.models) out[model.model.name] = model.output;
  return out;
}

// The rows without their weights, which are all 1.
duck::RowBatches Inserted(duck::RowBatches rows) {
  for (auto& batch : rows) {
    const int last = batch->num_columns() - 1;
    const auto& weights = static_cast<const arrow::Int32Array&>(*batch->column(last));
    for (int64_t i = 0; i < weights.length(); ++i) EXPECT_EQ(weights.Value(i), 1);
    batch = *batch->RemoveColumn(last);
  }
  return rows;
}

// Drops rows whose weights cancel; each row as often as its weight.
std::vector<std::string> Counted(const duck::RowBatches& weighted) {
  std::map<std::string, int64_t> counts;
  for (const auto& batch : weighted) {
    const auto rows = *batch->RemoveColumn(batch->num_columns() - 1);
    const auto& weights =
        static_cast<const arrow::Int32Array&>(*batch->column(batch->num_columns() - 1));
    for (int64_t i = 0; i < rows->num_rows(); ++i)
      counts[data::RowText(*rows, i)] += weights.Value(i);
  }
  std::vector<std::string> out;
  for (const auto& [text, count] : counts) {
    EXPECT_GE(count, 0) << text;
    for (int64_t i = 0; i < count; ++i) out.push_back(text);
  }
  return out;
}

// What `sql` computes, with the columns that the port passes on of the rows it names.
std::vector<std::string> WithPassed(duck::Session& session, const Port& port,
                                    const std::string& relation,
                                    const std::shared_ptr<arrow::RecordBatch>& input,
                                    const std::string& sql) {
  arrow::Int32Builder counter;
  for (int32_t i = 0; i < input->num_rows(); ++i) (void)counter.Append(i);
  EXPECT_TRUE(session
                  .SetInput(relation, {*input->AddColumn(input->num_columns(), "_weight",
                                                         *counter.Finish())})
                  .ok());
  duck::RowBatches out;
  for (const auto& computed : Query(session, sql)) {
    const auto numbers = computed->column(computed->num_columns() - 1);
    const auto* first = static_cast<const arrow::Int32Array&>(*numbers).raw_values();
    const data::Batch rows =
        *data::Take({input, {}}, {first, static_cast<size_t>(computed->num_rows())});
    int next = 0;
    arrow::ArrayVector columns;
    for (const int column : port.passed)
      columns.push_back(column < 0 ? computed->column(next++)
                                   : rows.rows->column(column));
    EXPECT_EQ(next + 1, computed->num_columns()) << sql;
    out.push_back(arrow::RecordBatch::Make(data::ToArrow(port.schema),
                                           computed->num_rows(), columns));
  }
  EXPECT_TRUE(session.SetInput(relation, {WithWeights(input)}).ok());
  return Sorted(out);
}

std::vector<std::string> RunPieces(const ModelPlan& plan,
                                   const std::map<std::string, data::Schema>& schemas,
                                   const Tables& tables) {
  duck::Session* session = &SessionFor(true);
  for (const std::string& table : plan.inputs) {
    EXPECT_TRUE(session->DeclareInput(table, WithWeights(schemas.at(table))).ok());
    EXPECT_TRUE(session->SetInput(table, {WithWeights(tables.at(table))}).ok());
  }
  std::vector<duck::RowBatches> outputs;
  for (size_t number = 0; number < plan.stages.size(); ++number) {
    const Stage& stage = plan.stages[number];
    for (size_t p = 0; p < stage.ports.size(); ++p) {
      const Port& port = stage.ports[p];
      duck::RowBatches rows = Query(*session, port.sql);
      if (port.is_projection && port.stage < 0) {
        data::Batch picked =
            data::SelectColumns({tables.at(port.table), {}}, port.columns);
        EXPECT_EQ(Sorted({WithWeights(picked.rows)}), Sorted(rows));
      }
      if (!port.passed.empty() && port.stage < 0) {
        EXPECT_EQ(WithPassed(*session, port, port.table, tables.at(port.table),
                             port.computed_sql),
                  Sorted(Inserted(rows)))
            << port.computed_sql;
      }
      const std::string name = fmt::format("_in{}", p);
      const bool weighted =
          stage.kind == BlockKind::kRowWise || stage.kind == BlockKind::kUnion;
      if (!weighted) rows = Inserted(rows);
      EXPECT_TRUE(
          session->DeclareInput(name, weighted ? WithWeights(port.schema) : port.schema)
              .ok());
      EXPECT_TRUE(session->SetInput(name, rows).ok());
    }
    data::Schema schema;
    auto out = session->Query(OperatorSql(stage, number), &schema);
    if (!out.ok()) {
      ADD_FAILURE() << out.error().message << "\n" << OperatorSql(stage, number);
      return {};
    }
    for (size_t i = 0; i < stage.output.fields.size(); ++i)
      EXPECT_EQ(schema.fields[i], stage.output.fields[i]) << "stage " << number;
    const std::string name = fmt::format("_s{}", number);
    EXPECT_TRUE(session->DeclareInput(name, WithWeights(stage.output)).ok());
    EXPECT_TRUE(session->SetInput(name, *out).ok());
    outputs.push_back(*out);
  }
  return Counted(outputs[static_cast<size_t>(plan.rows_stage)]);
}

std::vector<std::string> RunWhole(const std::string& sql, const ModelPlan& plan,
                                  const std::map<std::string, data::Schema>& schemas,
                                  const Tables& tables) {
  duck::Session* session = &SessionFor(false);
  for (const std::string& table : plan.inputs) {
    EXPECT_TRUE(session->DeclareInput(table, schemas.at(table)).ok());
    EXPECT_TRUE(session->SetInput(table, {tables.at(table)}).ok());
  }
  return Sorted(Query(*session, sql));
}

std::string Text(const ModelPlan& plan) {
  std::string out = plan.completed_sql + "\n";
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    out += fmt::format("{} {} {}\n", i, BlockKindName(plan.stages[i].kind),
                       plan.stages[i].recompute_sql);
    for (const Port& port : plan.stages[i].ports)
      out += fmt::format("    {}\n", port.sql);
  }
  return out;
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
  ASSERT_NE(plans.Find("t.m"), nullptr);
  const ModelPlan& plan = *plans.Find("t.m");
  ASSERT_EQ(BlockKindName(plan.kind), BlockKindName(GetParam().kind))
      << plan.why_not_better;
  const auto schemas = SchemasOf(plans);
  const auto make = [&](int64_t rows, bool ties) {
    Tables tables;
    for (const std::string& name : plan.inputs) {
      InputTable table = name == "silver.changing" ? Changing() : RideEvents();
      if (name == "silver.trips")
        table = {
            "silver.trips", plans.Find("silver.trips")->output, {"trip_id"}, {}, false};
      tables[name] = random.Make(table, rows, ties);
    }
    return tables;
  };
  for (const int64_t size : {0, 1, 40, 300}) {
    const Tables tied = make(size, true);
    const auto whole = RunWhole(plan.completed_sql, plan, schemas, tied);
    EXPECT_EQ(RunPieces(plan, schemas, tied), whole) << Text(plan);
    Tables shuffled;
    for (const auto& [name, rows] : tied) shuffled[name] = random.Shuffled(rows);
    EXPECT_EQ(RunWhole(plan.completed_sql, plan, schemas, shuffled), whole)
        << plan.completed_sql;
    if (GetParam().leaves_order_open) continue;
    const Tables untied = make(size, false);
    EXPECT_EQ(RunWhole(plan.model.body, plan, schemas, untied),
              RunWhole(plan.completed_sql, plan, schemas, untied))
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
        PieceCase{
            "DistinctCalls", BlockKind::kAggregate,
            "SELECT k, count(DISTINCT n) AS c, sum(DISTINCT n) AS s, avg(DISTINCT d) "
            "AS a, list(DISTINCT n) AS l, string_agg(DISTINCT k, '-') AS t, "
            "min(DISTINCT n) AS m FROM silver.changing GROUP BY k",
            true},
        PieceCase{
            "Values", BlockKind::kAggregate,
            "SELECT n, list(k ORDER BY x DESC) AS l, string_agg(k ORDER BY id) AS t, "
            "median(x) AS m, median(k) AS mk, quantile_cont(n, 0.25) AS q, "
            "quantile_disc(d, 0.9) AS qd, mode(k) AS mo FROM silver.changing GROUP "
            "BY n",
            true},
        PieceCase{"Spread", BlockKind::kAggregate,
                  "SELECT k, count(stddev) AS c FROM (SELECT k, n AS stddev FROM "
                  "silver.changing) GROUP BY k"},
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

// Constructs that take several stages. `kinds`: of all stages but row-wise ones.
struct GraphCase {
  const char *name, *kinds, *body;
};
class GraphTest : public testing::TestWithParam<GraphCase> {};
TEST_P(GraphTest, StagesAddUpToTheWhole) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Rows random(seed);
  const Plan plans =
      MustPlan({fmt::format("CREATE MATERIALIZED VIEW t.m AS {}", GetParam().body)});
  ASSERT_NE(plans.Find("t.m"), nullptr);
  const ModelPlan& plan = *plans.Find("t.m");
  std::string kinds;
  for (const Stage& stage : plan.stages) {
    if (stage.kind == BlockKind::kRowWise || !stage.of_rows) continue;
    kinds += (kinds.empty() ? "" : ", ") + std::string(BlockKindName(stage.kind));
  }
  ASSERT_EQ(kinds, GetParam().kinds) << plan.why_not_better;
  const auto schemas = SchemasOf(plans);
  for (const int64_t size : {0, 1, 20, 60}) {
    Tables tables;
    for (const std::string& name : plan.inputs)
      tables[name] =
          random.Make(name == "silver.changing" ? Changing() : RideEvents(), size, true);
    EXPECT_EQ(RunPieces(plan, schemas, tables),
              RunWhole(plan.completed_sql, plan, schemas, tables))
        << Text(plan);
  }
}
INSTANTIATE_TEST_SUITE_P(
    , GraphTest,
    testing::Values(
        GraphCase{"InnerJoin", "join",
                  "SELECT c.id, c.n, e.fare_amount FROM silver.changing c JOIN "
                  "bronze.ride_events e ON c.k = e.trip_id WHERE e.fare_amount > 0.1 AND "
                  "c.n > 0"},
        GraphCase{"CommaJoin", "join",
                  "SELECT c.id, e.event_id FROM silver.changing c, bronze.ride_events e "
                  "WHERE c.n = e.payment_type AND c.x < e.fare_amount"},
        GraphCase{
            "LeftJoin", "join",
            "SELECT c.id, e.event_id, coalesce(e.event_name, 'none') AS name FROM "
            "silver.changing c LEFT JOIN bronze.ride_events e ON c.k = e.event_name "
            "AND e.payment_type > 2 WHERE c.ok"},
        GraphCase{"LeftJoinResidual", "join, join, union",
                  "SELECT c.id, e.event_id FROM silver.changing c LEFT JOIN "
                  "bronze.ride_events e ON c.k = e.event_name AND c.x < e.fare_amount"},
        GraphCase{"FullJoinByInequality", "join, join, join, union",
                  "SELECT c.id, c.k, e.event_id FROM silver.changing c FULL JOIN "
                  "bronze.ride_events e ON c.x < e.fare_amount AND c.n > 2"},
        GraphCase{
            "RightJoinResidual", "aggregate, join, join, union",
            "SELECT c.id, e.event_id FROM (SELECT k, id, sum(n) AS s FROM "
            "silver.changing GROUP BY ALL) c RIGHT JOIN bronze.ride_events e ON c.k "
            "= e.event_name AND c.s <> e.payment_type"},
        GraphCase{"AntiJoinResidual", "join, join",
                  "SELECT c.id FROM silver.changing c ANTI JOIN bronze.ride_events e ON "
                  "c.n = e.payment_type AND c.x <= e.fare_amount"},
        GraphCase{
            "RightAndFull", "join, join",
            "SELECT c.id, e.event_id, f.n FROM silver.changing c RIGHT JOIN "
            "bronze.ride_events e ON c.k = e.event_name FULL JOIN silver.changing f "
            "ON f.n = e.payment_type"},
        GraphCase{"Using", "join",
                  "SELECT * FROM (SELECT id, k, n FROM silver.changing) a FULL JOIN "
                  "(SELECT n, x, d FROM silver.changing WHERE ok) b USING (n)"},
        GraphCase{
            "SelfJoin", "join",
            "SELECT a.id, b.id AS other FROM silver.changing a JOIN silver.changing "
            "b ON a.n = b.n AND a.id < b.id"},
        GraphCase{
            "SemiAndAnti", "join, join",
            "SELECT id FROM silver.changing c SEMI JOIN bronze.ride_events e ON c.k "
            "= e.event_name ANTI JOIN (SELECT payment_type AS p FROM "
            "bronze.ride_events) q ON c.n = q.p"},
        GraphCase{
            "NumericKeys", "join",
            "SELECT c.id, e.event_id FROM silver.changing c JOIN bronze.ride_events "
            "e ON c.n = e.pickup_location_id AND c.x = e.fare_amount"},
        GraphCase{"TwoLevels", "aggregate, aggregate",
                  "SELECT max(c) AS most, avg(s) AS mean FROM (SELECT k, count(*) AS c, "
                  "sum(n) AS s FROM silver.changing GROUP BY k)"},
        GraphCase{"HugeIntegersBetweenStages", "aggregate, aggregate",
                  "SELECT s // 2 AS half, count(*) AS c, sum(s) AS t FROM (SELECT k, "
                  "sum(n) AS s FROM silver.changing GROUP BY k) GROUP BY s // 2"},
        GraphCase{"AggregateOfJoin", "join, aggregate",
                  "SELECT c.k, count(*) AS n, sum(e.fare_amount) AS fare FROM "
                  "silver.changing c JOIN bronze.ride_events e ON c.n = e.payment_type "
                  "GROUP BY c.k HAVING count(*) > 1"},
        GraphCase{
            "JoinOfAggregates", "aggregate, aggregate, join",
            "WITH a AS (SELECT k, count(*) AS c FROM silver.changing GROUP BY k), b "
            "AS (SELECT event_name AS k, max(fare_amount) AS m FROM "
            "bronze.ride_events GROUP BY ALL) SELECT a.k, c, m FROM a JOIN b ON a.k "
            "= b.k"},
        GraphCase{"WithTwice", "aggregate, join",
                  "WITH a AS (SELECT n, count(*) AS c FROM silver.changing GROUP BY n) "
                  "SELECT x.n, y.c FROM a x JOIN a y ON x.n = y.n"},
        GraphCase{
            "UnionAll", "union",
            "SELECT id, n FROM silver.changing UNION ALL SELECT payment_type, 7 FROM "
            "bronze.ride_events"},
        GraphCase{"Union", "union, distinct",
                  "SELECT k FROM silver.changing UNION SELECT event_name FROM "
                  "bronze.ride_events"},
        GraphCase{"Except", "distinct, join",
                  "SELECT n FROM silver.changing EXCEPT SELECT payment_type FROM "
                  "bronze.ride_events"},
        GraphCase{"IntersectAll", "recompute by key",
                  "SELECT k, n FROM silver.changing INTERSECT ALL SELECT event_name, "
                  "payment_type FROM bronze.ride_events"},
        GraphCase{"Resolve", "components",
                  "SELECT id, unified_id AS u FROM RESOLVE(TABLE silver.changing, RECORD "
                  "(id, k), BY (n, x, d), SEQUENCE BY ts, MAX 5)"},
        GraphCase{
            "ResolveHistory", "components",
            "SELECT id, unified_id AS u, valid_from, valid_to FROM "
            "RESOLVE_HISTORY(TABLE silver.changing, RECORD (id), BY (n, x), SEQUENCE "
            "BY ts, MAX 5)"},
        GraphCase{
            "DecaySum", "aggregate",
            "SELECT k, decay_sum(abs(n), ts, INTERVAL 12 HOUR) FILTER (WHERE n > 1) "
            "> 100 AS s FROM silver.changing GROUP BY k"},
        GraphCase{"Limit", "top", "SELECT k, n FROM silver.changing ORDER BY x LIMIT 3"},
        GraphCase{"LimitOffset", "top, top, union",
                  "SELECT k, n FROM silver.changing ORDER BY x DESC LIMIT 3 OFFSET 2"},
        GraphCase{"LimitGroups", "aggregate, top",
                  "SELECT k, count(*) AS c FROM silver.changing GROUP BY ALL ORDER BY c "
                  "DESC LIMIT 2"},
        GraphCase{"DistinctLimit", "distinct, top",
                  "SELECT DISTINCT n FROM silver.changing ORDER BY n DESC LIMIT 2"},
        GraphCase{"Windows", "recompute by key",
                  "SELECT id, k, lag(n) OVER (PARTITION BY k ORDER BY ts) AS before, "
                  "sum(n) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND "
                  "CURRENT ROW) AS s, x - avg(x) OVER (PARTITION BY k) AS off FROM "
                  "silver.changing WHERE ok"},
        GraphCase{
            "WindowsOverTwoPartitions", "window, recompute by key",
            "SELECT id, rank() OVER (PARTITION BY k ORDER BY n) AS a, count(*) OVER "
            "(PARTITION BY n) AS b FROM silver.changing"},
        GraphCase{
            "WindowOverGroups", "aggregate, window, window",
            "SELECT k, n, sum(x) AS s, sum(sum(x)) OVER (PARTITION BY k ORDER BY n) "
            "AS running, rank() OVER (PARTITION BY k ORDER BY count(*) DESC) AS r "
            "FROM silver.changing GROUP BY k, n"},
        GraphCase{"QualifyRank", "window",
                  "SELECT id, k FROM silver.changing QUALIFY rank() OVER (PARTITION BY k "
                  "ORDER BY n) <= 2"},
        GraphCase{"NumberedRows", "window",
                  "SELECT id, row_number() OVER (PARTITION BY k ORDER BY ts) AS r FROM "
                  "silver.changing QUALIFY r <= 3"},
        GraphCase{
            "WindowsOfOneOrder", "window",
            "SELECT id, k, lag(n, 2, 7) OVER w AS l, lead(ts) OVER w AS d, "
            "row_number() OVER w AS r, first_value(n) OVER w AS f, last_value(x "
            "IGNORE NULLS) OVER w AS v, sum(n) OVER (w ROWS BETWEEN 2 PRECEDING AND "
            "CURRENT ROW) AS s, max(n) FILTER (WHERE ok) OVER (w ROWS UNBOUNDED "
            "PRECEDING) AS m FROM silver.changing WHERE n > 0 WINDOW w AS (PARTITION "
            "BY k ORDER BY ts DESC NULLS FIRST, id)"},
        GraphCase{
            "WindowsOfPeers", "window",
            "SELECT id, rank() OVER w AS r, dense_rank() OVER w AS d, sum(n) OVER w "
            "AS s, avg(n) OVER w AS a, count(x) OVER w AS c, min(k) OVER w AS m, "
            "row_number() OVER w AS o FROM silver.changing WINDOW w AS (PARTITION BY "
            "k ORDER BY n DESC)"},
        GraphCase{
            "FramesByValue", "window",
            "SELECT id, sum(n) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN "
            "INTERVAL 1 HOUR PRECEDING AND CURRENT ROW) AS s, count(*) FILTER (WHERE "
            "ok) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL 2 HOURS "
            "PRECEDING AND CURRENT ROW) AS c FROM silver.changing"},
        GraphCase{
            "FramesByNumber", "window",
            "SELECT id, max(n) OVER (PARTITION BY k ORDER BY n DESC RANGE BETWEEN 2 "
            "PRECEDING AND CURRENT ROW) AS s FROM silver.changing"},
        GraphCase{
            "FramesAhead", "window",
            "SELECT id, sum(n) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN "
            "CURRENT ROW AND UNBOUNDED FOLLOWING) AS s, count(n) OVER (PARTITION BY k "
            "ORDER BY ts ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING) AS c FROM "
            "silver.changing"},
        GraphCase{"FramesOnBothSides", "recompute by key",
                  "SELECT id, sum(n) OVER (PARTITION BY k ORDER BY ts, id ROWS BETWEEN 1 "
                  "PRECEDING AND 1 FOLLOWING) AS s FROM silver.changing"},
        GraphCase{"FramesWithout", "recompute by key",
                  "SELECT id, sum(n) OVER (PARTITION BY k ORDER BY ts, id ROWS BETWEEN 1 "
                  "PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) AS s FROM "
                  "silver.changing"},
        GraphCase{
            "FramesOfMonths", "recompute by key",
            "SELECT id, sum(n) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN "
            "INTERVAL 1 MONTH PRECEDING AND CURRENT ROW) AS s FROM silver.changing"},
        GraphCase{"OtherAggregates", "recompute by key",
                  "SELECT k, count(DISTINCT n) AS c, product(n) AS p, list(n ORDER BY x) "
                  "FILTER (WHERE ok) AS l, sum(n) AS s FROM silver.changing GROUP BY k"},
        GraphCase{"Rollup", "aggregate, aggregate, aggregate, union",
                  "SELECT k, n, count(*) AS c, sum(x) AS s, grouping(k, n) AS g FROM "
                  "silver.changing GROUP BY ROLLUP (k, n)"},
        GraphCase{
            "Exists", "join",
            "SELECT id FROM silver.changing c WHERE n > 0 AND EXISTS (SELECT 1 FROM "
            "bronze.ride_events e WHERE e.event_name = c.k AND e.fare_amount > 0.1)"},
        GraphCase{
            "NotExistsResidual", "join, join",
            "SELECT id FROM silver.changing c WHERE NOT EXISTS (SELECT 1 FROM "
            "bronze.ride_events e WHERE e.event_name = c.k AND e.fare_amount > c.x)"},
        GraphCase{
            "In", "join",
            "SELECT id, k FROM silver.changing WHERE n IN (SELECT payment_type FROM "
            "bronze.ride_events WHERE fare_amount > 0.1)"},
        GraphCase{"InGroups", "aggregate, join",
                  "SELECT id FROM silver.changing WHERE k IN (SELECT event_name FROM "
                  "bronze.ride_events GROUP BY event_name HAVING count(*) > 2)"},
        GraphCase{
            "NotIn", "aggregate, join, distinct, join",
            "SELECT id FROM silver.changing WHERE n NOT IN (SELECT payment_type FROM "
            "bronze.ride_events WHERE fare_amount > 0.4)"},
        GraphCase{"ScalarSubquery", "aggregate, join",
                  "SELECT id FROM silver.changing WHERE n > (SELECT avg(n) FROM "
                  "silver.changing)"},
        GraphCase{"CorrelatedScalar", "aggregate, join, aggregate, join",
                  "SELECT id, (SELECT count(*) FROM bronze.ride_events e WHERE "
                  "e.event_name = c.k) AS events, (SELECT max(fare_amount) FROM "
                  "bronze.ride_events e WHERE e.event_name = c.k) AS m FROM "
                  "silver.changing c"},
        GraphCase{"CorrelatedByInequality", "distinct, join, aggregate, join",
                  "SELECT id, (SELECT count(*) FROM bronze.ride_events e WHERE "
                  "e.fare_amount > c.x AND e.event_name = c.k) AS more FROM "
                  "silver.changing c"},
        GraphCase{
            "InnerNamesComeFirst", "join, join",
            "SELECT id, x FROM silver.changing WHERE EXISTS (SELECT 1 FROM (SELECT n, "
            "x, ts AS t FROM silver.changing WHERE ok) i WHERE n > 1 AND x < "
            "changing.x AND t >= ts)"},
        GraphCase{"HavingSubquery", "aggregate, aggregate, join",
                  "SELECT k, sum(n) AS s FROM silver.changing GROUP BY k HAVING sum(n) > "
                  "(SELECT avg(n) FROM silver.changing)"},
        GraphCase{"ExistsAsValue", "distinct, join",
                  "SELECT id, EXISTS (SELECT 1 FROM bronze.ride_events e WHERE "
                  "e.payment_type = c.n) AS paid FROM silver.changing c"},
        GraphCase{
            "InAsValue", "aggregate, join, distinct, join",
            "SELECT id, n IN (SELECT payment_type FROM bronze.ride_events) AS known "
            "FROM silver.changing"},
        GraphCase{"UnnestInFrom", "",
                  "SELECT id, u FROM silver.changing c, unnest([c.n, c.n + 1]) AS q(u) "
                  "WHERE u > 2"},
        GraphCase{"UnnestThenGroup", "aggregate",
                  "SELECT u, count(*) AS c FROM (SELECT unnest([n, 1]) AS u FROM "
                  "silver.changing) GROUP BY u"},
        GraphCase{"ByName", "union",
                  "SELECT id, n FROM silver.changing UNION ALL BY NAME SELECT event_name "
                  "AS k, payment_type AS n FROM bronze.ride_events"},
        GraphCase{
            "ConstantRows", "recompute by key, join",
            "SELECT c.id, v.name FROM silver.changing c JOIN (VALUES (1, 'one'), (2, "
            "'two')) v(n, name) ON c.n = v.n"},
        GraphCase{"ConstantInUnion", "recompute by key, union",
                  "SELECT k FROM silver.changing UNION ALL SELECT 'total'"},
        GraphCase{"RollingWindow", "temporal filter, aggregate",
                  "SELECT k, count(*) AS c FROM silver.changing WHERE ts > watermark() - "
                  "INTERVAL '1700 seconds' AND ts <= watermark() AND n > 0 GROUP BY k"},
        GraphCase{"WatermarkBetween", "temporal filter",
                  "SELECT id, ts FROM silver.changing WHERE ts BETWEEN watermark() - "
                  "INTERVAL '1700 seconds' AND watermark()"},
        GraphCase{"WatermarkBefore", "temporal filter",
                  "SELECT id, ts FROM silver.changing WHERE watermark() + INTERVAL 1700 "
                  "SECOND < "
                  "ts"},
        GraphCase{
            "Asof", "top, as-of join",
            "SELECT e.event_id, c.x FROM bronze.ride_events e ASOF LEFT JOIN (SELECT "
            "k, ts, x FROM silver.changing QUALIFY row_number() OVER (PARTITION BY "
            "k, ts ORDER BY id) = 1) c ON e.event_name = c.k AND e.event_timestamp "
            ">= c.ts"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weir::plan
