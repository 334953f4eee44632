// For tests: two input tables, plans over them, random rows of them, and DuckDB to run
// the plans' SQL.
#pragma once

#include <arrow/api.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "data/arrow.h"
#include "data/batch.h"
#include "plan/plan.h"

namespace weir::plan {

using data::Kind;
using data::Simple;

inline InputTable RideEvents() {
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
inline InputTable Changing() {
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

inline constexpr const char* kTrips = R"(CREATE MATERIALIZED VIEW silver.trips AS
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

inline constexpr const char* kCityHourly = R"(CREATE MATERIALIZED VIEW gold.city_hourly AS
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

inline std::string Text(const std::vector<PlanProblem>& problems) {
  std::string out;
  for (const PlanProblem& p : problems) {
    out += fmt::format("{}:{}:{}: {}{}\n", p.file, p.problem.place.line,
                       p.problem.place.column, p.problem.message,
                       p.problem.fix.empty() ? "" : " [" + p.problem.fix + "]");
  }
  return out;
}

inline std::optional<Plan> TryPlan(const std::vector<std::string>& models,
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

inline Plan MustPlan(const std::vector<std::string>& models) {
  std::string problems;
  auto plan = TryPlan(models, &problems);
  EXPECT_EQ(problems, "");
  return plan.value_or(Plan());
}

inline std::string Faults(const std::vector<std::string>& models) {
  std::string problems;
  EXPECT_FALSE(TryPlan(models, &problems).has_value());
  return problems;
}

inline ModelPlan PlanBody(const std::string& body) {
  const Plan plan = MustPlan({"CREATE MATERIALIZED VIEW t.m AS " + body});
  return plan.models.empty() ? ModelPlan() : *plan.Find("t.m");
}

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

inline std::shared_ptr<arrow::RecordBatch> WithWeights(
    const std::shared_ptr<arrow::RecordBatch>& batch) {
  arrow::Int32Builder weights;
  for (int64_t i = 0; i < batch->num_rows(); ++i) (void)weights.Append(1);
  return *batch->AddColumn(batch->num_columns(), "_weight", *weights.Finish());
}

inline data::Schema WithWeights(data::Schema schema) {
  schema.fields.push_back({"_weight", Simple(Kind::kInt32)});
  return schema;
}

inline std::vector<std::string> Sorted(const duck::RowBatches& batches) {
  std::vector<std::string> rows;
  for (const auto& batch : batches) {
    for (int64_t i = 0; i < batch->num_rows(); ++i)
      rows.push_back(data::RowText(*batch, i));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

inline duck::RowBatches Query(duck::Session& session, const std::string& sql) {
  auto rows = session.Query(sql, nullptr);
  EXPECT_TRUE(rows.ok()) << rows.error().message << "\n" << sql;
  return rows.ok() ? *rows : duck::RowBatches();
}

// One session for the pieces and one for whole queries, as opening them takes longer than
// all else here. They are closed after the last test: at exit DuckDB's own statics are
// gone before ours, and what lives then is a leak to a sanitizer.
class Sessions : public testing::Environment {
 public:
  duck::Session& Get(size_t i) {
    if (open_[i] == nullptr) {
      open_[i] = std::move(*duck::Session::Open({}));
      // In the middle of the random times, at one of them.
      EXPECT_TRUE(open_[i]
                      ->Execute("CREATE MACRO watermark() AS TIMESTAMPTZ "
                                "'2017-07-14 03:36:40+00'")
                      .ok());
    }
    return *open_[i];
  }
  void TearDown() override {
    for (auto& session : open_) session.reset();
  }

 private:
  std::unique_ptr<duck::Session> open_[2];
};

inline Sessions* const sessions =
    static_cast<Sessions*>(testing::AddGlobalTestEnvironment(new Sessions));

inline duck::Session& SessionFor(bool pieces) { return sessions->Get(pieces ? 1 : 0); }

}  // namespace weir::plan
