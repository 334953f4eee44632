// What operators cost on one thread.
//   ops_bench [ROWS [STEP_ROWS]]        the aggregate that examples/rides needs: 6
//   min(ts)
//                                       FILTER and 11 arg_max(v, ts, event_id) per trip
//   ops_bench join [ROWS [STEP_ROWS]]   an inner and a left join of ROWS with ROWS on
//   keys
//                                       that each side has once
//   ops_bench change                    one row that comes and goes at the end and in the
//                                       middle of a key, against the rows of the key
#include <fmt/format.h>

#include <time.h>

#include <random>

#include "data/arrow.h"
#include "ops/aggregate.h"
#include "ops/asof.h"
#include "ops/cells.h"
#include "ops/join.h"
#include "ops/testing.h"
#include "ops/window.h"

namespace weir::ops {
namespace {

constexpr int kKinds = 6, kFields = 11, kFirstField = 3 + kKinds;

data::Schema RideColumns() {
  std::string columns = "trip_id string, ts stamp, event_id string";
  for (int i = 0; i < kKinds; ++i) columns += fmt::format(", is_{} bool", i);
  columns +=
      ", rider string, driver string, pickup int32, dropoff int32, distance double, fare "
      "double, tip double, total double, "
      "payment string, surge double, wait double";
  return SchemaFromText(columns);
}

// Which of the fields an event of each kind carries.
constexpr uint32_t kCarries[kKinds] = {0b10000000101, 0b00000000010, 0b00000000010,
                                       0b01000000000, 0b00000111010, 0b00111100000};

// Trips begin one after the other; the six events of one are spread over some 2,000
// others.
std::vector<data::Batch> Rides(const data::Schema& schema, int64_t rows,
                               int64_t step_rows) {
  std::mt19937_64 random(7);
  std::vector<std::pair<int64_t, int>> events;
  for (int64_t trip = 0; trip * kKinds < rows; ++trip) {
    for (int kind = 0; kind < kKinds; ++kind)
      events.emplace_back(
          trip * 100 + kind * 30'000 + static_cast<int64_t>(random() % 20'000), kind);
  }
  std::vector<size_t> order(events.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return events[a].first < events[b].first; });

  std::vector<data::Batch> batches;
  for (size_t from = 0; from < order.size(); from += static_cast<size_t>(step_rows)) {
    std::vector<CellColumn> columns;
    for (const auto& field : schema.fields) columns.emplace_back(field.type);
    for (size_t i = from;
         i < std::min(order.size(), from + static_cast<size_t>(step_rows)); ++i) {
      const auto trip = static_cast<int64_t>(order[i] / kKinds);
      const auto [ts, kind] = events[order[i]];
      columns[0].Append(fmt::format("t-2018-01-{:07}", trip));
      columns[1].AppendFixed(ts);
      columns[2].Append(fmt::format("2018-01-{:07}-payment_event_{}", trip, kind));
      for (int k = 0; k < kKinds; ++k)
        columns[static_cast<size_t>(3 + k)].AppendFixed(static_cast<uint8_t>(k == kind));
      for (size_t f = 0; f < kFields; ++f) {
        CellColumn& column = columns[kFirstField + f];
        if ((kCarries[kind] >> f & 1) == 0)
          column.AppendNull();
        else if (CellWidth(column.type()) == 0)
          column.Append(fmt::format("rider-{}", random() % 100'000));
        else if (CellWidth(column.type()) == 4)
          column.AppendFixed(static_cast<int32_t>(random() % 265));
        else
          column.AppendFixed(static_cast<double>(random() % 10'000) / 100);
      }
    }
    batches.push_back({*FinishRows(data::ToArrow(schema), columns), {}});
  }
  return batches;
}

AggregateSpec RidesSpec(const data::Schema& schema) {
  AggregateSpec spec;
  spec.keys = {0};
  for (int k = 0; k < kKinds; ++k)
    spec.calls.push_back({AggregateKind::kMin, 1, {}, {}, 3 + k, schema.fields[1].type});
  for (int f = 0; f < kFields; ++f) {
    spec.calls.push_back({AggregateKind::kArgMax,
                          kFirstField + f,
                          {1, 2},
                          {},
                          -1,
                          schema.fields[static_cast<size_t>(kFirstField + f)].type});
  }
  spec.output.fields.push_back(schema.fields[0]);
  for (size_t i = 0; i < spec.calls.size(); ++i)
    spec.output.fields.push_back({fmt::format("a{}", i), spec.calls[i].result});
  return spec;
}

class CountRows final : public Emitter {
 public:
  Status Emit(data::Batch changes) override {
    rows += changes.num_rows();
    return {};
  }
  int64_t rows = 0;
};

// Of this thread: a busy machine does not change the figures much.
double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double Seconds(auto&& work) {
  const double begin = CpuSeconds();
  work();
  return CpuSeconds() - begin;
}

void Run(int64_t rows, int64_t step_rows) {
  const data::Schema schema = RideColumns();
  const std::vector<data::Batch> batches = Rides(schema, rows, step_rows);
  auto op =
      *NewAggregate(RidesSpec(schema), schema, nullptr, "op/bench", int64_t{1} << 40);
  CountRows out;
  double process = 0, flush = 0;
  for (const data::Batch& batch : batches) {
    process += Seconds([&] { WEIR_CHECK(op->Process(0, batch, out).ok()); });
    flush += Seconds([&] { WEIR_CHECK(op->Flush(out).ok()); });
  }
  state::Delta delta;
  const double checkpoint = Seconds([&] { WEIR_CHECK(op->Checkpoint(delta).ok()); });
  const auto groups = static_cast<double>(op->state_keys());
  fmt::print(
      "{{\"rows\": {}, \"step_rows\": {}, \"rows_per_s\": {:.0f}, "
      "\"process_ns_per_row\": {:.0f}, \"flush_ns_per_row\": {:.0f}, "
      "\"emitted\": {}, \"groups\": {:.0f}, \"bytes_per_group\": {:.0f}, "
      "\"checkpoint_ns_per_group\": {:.0f}, \"delta_bytes_per_group\": {:.0f}}}\n",
      rows, step_rows, static_cast<double>(rows) / (process + flush),
      process / static_cast<double>(rows) * 1e9, flush / static_cast<double>(rows) * 1e9,
      out.rows, groups, static_cast<double>(op->state_bytes()) / groups,
      checkpoint / groups * 1e9, static_cast<double>(delta.bytes()) / groups);
}

// Every key once, in an order that has nothing to do with the key.
std::vector<data::Batch> Keyed(const data::Schema& schema, int64_t rows,
                               int64_t step_rows, uint64_t seed) {
  std::vector<int64_t> keys(static_cast<size_t>(rows));
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int64_t>(i);
  std::shuffle(keys.begin(), keys.end(), std::mt19937_64(seed));
  std::vector<data::Batch> batches;
  for (int64_t from = 0; from < rows; from += step_rows) {
    std::vector<CellColumn> columns;
    for (const auto& field : schema.fields) columns.emplace_back(field.type);
    for (int64_t i = from; i < std::min(rows, from + step_rows); ++i) {
      const int64_t key = keys[static_cast<size_t>(i)];
      columns[0].AppendFixed(key);
      columns[1].AppendFixed(static_cast<double>(key) / 7);
      columns[2].Append(fmt::format("name-{}", key % 1000));
    }
    batches.push_back({*FinishRows(data::ToArrow(schema), columns), {}});
  }
  return batches;
}

void RunJoin(JoinKind kind, int64_t rows, int64_t step_rows) {
  const data::Schema schema = SchemaFromText("k int, amount double, name string");
  const std::vector<data::Batch> ports[2] = {Keyed(schema, rows, step_rows, 1),
                                             Keyed(schema, rows, step_rows, 2)};
  auto op = *NewJoin({.kind = kind, .left_keys = {0}, .right_keys = {0}}, schema, schema,
                     nullptr, "op/bench", int64_t{1} << 40);
  CountRows out;
  double process = 0, flush = 0;
  for (size_t i = 0; i < ports[0].size(); ++i) {
    for (int port = 0; port < 2; ++port) {
      process +=
          Seconds([&] { WEIR_CHECK(op->Process(port, ports[port][i], out).ok()); });
    }
    flush += Seconds([&] { WEIR_CHECK(op->Flush(out).ok()); });
  }
  state::Delta delta;
  const double checkpoint = Seconds([&] { WEIR_CHECK(op->Checkpoint(delta).ok()); });
  const auto all = static_cast<double>(2 * rows);
  fmt::print(
      "{{\"join\": \"{}\", \"rows\": {:.0f}, \"step_rows\": {}, "
      "\"process_ns_per_row\": {:.0f}, \"flush_ns_per_row\": {:.0f}, \"emitted\": {}, "
      "\"bytes_per_row\": {:.0f}, \"checkpoint_ns_per_row\": {:.0f}, "
      "\"delta_bytes_per_row\": {:.0f}}}\n",
      kind == JoinKind::kInner ? "inner" : "left", all, 2 * step_rows,
      process / all * 1e9, flush / all * 1e9, out.rows,
      static_cast<double>(op->state_bytes()) / all, checkpoint / all * 1e9,
      static_cast<double>(delta.bytes()) / all);
}

// Microseconds for a row that comes in one step and goes in the next, on port `port`.
void RunChange(std::string_view name, auto&& make, int port, bool two_ports) {
  const data::Schema schema = SchemaFromText("k int, o int, id int");
  const auto rows = [&](int64_t from, int64_t count, int64_t step, int64_t id) {
    std::vector<CellColumn> columns;
    for (const auto& field : schema.fields) columns.emplace_back(field.type);
    for (int64_t i = 0; i < count; ++i) {
      columns[0].AppendFixed(int64_t{1});
      columns[1].AppendFixed(from + i * step);
      columns[2].AppendFixed(id + i);
    }
    return data::Batch{*FinishRows(data::ToArrow(schema), columns), {}};
  };
  for (const int64_t n : {10, 100, 1000, 10'000, 30'000}) {
    std::unique_ptr<Operator> op = make(schema);
    CountRows out;
    for (int p = 0; p < (two_ports ? 2 : 1); ++p)
      WEIR_CHECK(op->Process(p, rows(0, n, 10, 0), out).ok());
    WEIR_CHECK(op->Flush(out).ok());
    double micros[2];
    for (const bool middle : {false, true}) {
      constexpr int kTimes = 200;
      const double seconds = Seconds([&] {
        for (int i = 0; i < 2 * kTimes; ++i) {
          data::Batch change = rows(middle ? n / 2 * 10 + 5 : n * 10, 1, 1, -7);
          if (i % 2 == 1) change.weights = {-1};
          WEIR_CHECK(op->Process(port, std::move(change), out).ok());
          WEIR_CHECK(op->Flush(out).ok());
        }
      });
      micros[middle] = seconds / (2 * kTimes) * 1e6;
    }
    fmt::print(
        "{{\"change\": \"{}\", \"rows_of_key\": {}, \"us_at_end\": {:.1f}, "
        "\"us_in_middle\": {:.1f}}}\n",
        name, n, micros[0], micros[1]);
  }
}

void RunChanges() {
  const int64_t memory = int64_t{1} << 40;
  const data::Type number = data::Simple(data::Kind::kInt64);
  const auto aggregate = [&](AggregateCall call) {
    return [=](const data::Schema& schema) {
      AggregateSpec spec{.keys = {0}, .calls = {call}, .input_retracts = true};
      spec.output.fields = {schema.fields[0], {"a", call.result}};
      return *NewAggregate(spec, schema, nullptr, "op/bench", memory);
    };
  };
  const auto window = [&](WindowCall call) {
    return [=](const data::Schema& schema) {
      data::Schema output = schema;
      output.fields.push_back({"w", call.result});
      return *NewWindow({.keys = {0}, .order = {1, 2}, .calls = {call}}, schema, output,
                        nullptr, "op/bench", memory);
    };
  };
  RunChange(
      "left join, its own side",
      [&](const data::Schema& schema) {
        return *NewJoin(
            {.kind = JoinKind::kLeft, .left_keys = {0, 1}, .right_keys = {0, 1}}, schema,
            schema, nullptr, "op/bench", memory);
      },
      0, true);
  RunChange(
      "ASOF join, right side",
      [&](const data::Schema& schema) {
        return *NewAsofJoin({.left_keys = {0},
                             .right_keys = {0},
                             .left_time = 1,
                             .right_time = 1,
                             .right_ties = {2}},
                            schema, schema, nullptr, "op/bench", memory);
      },
      1, true);
  RunChange("count(DISTINCT)",
            aggregate({.kind = AggregateKind::kCount,
                       .argument = 1,
                       .result = number,
                       .distinct = true}),
            0, false);
  RunChange(
      "quantile_disc",
      aggregate({.kind = AggregateKind::kQuantileDisc, .argument = 1, .result = number}),
      0, false);
  RunChange("mode",
            aggregate({.kind = AggregateKind::kMode, .argument = 1, .result = number}), 0,
            false);
  RunChange("lag", window({.kind = WindowKind::kLag, .argument = 1, .result = number}), 0,
            false);
  RunChange("running min",
            window({.kind = WindowKind::kMin, .argument = 1, .result = number}), 0,
            false);
  RunChange("running max",
            window({.kind = WindowKind::kMax, .argument = 1, .result = number}), 0,
            false);
  RunChange("row_number", window({.kind = WindowKind::kRowNumber, .result = number}), 0,
            false);
}

}  // namespace
}  // namespace weir::ops

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "change") {
    weir::ops::RunChanges();
    return 0;
  }
  const bool join = argc > 1 && std::string_view(argv[1]) == "join";
  if (join) {
    --argc;
    ++argv;
  }
  const int64_t rows = argc > 1 ? std::stoll(argv[1]) : 1'000'000;
  if (!join) {
    weir::ops::Run(rows, argc > 2 ? std::stoll(argv[2]) : 100'000);
    return 0;
  }
  for (const auto kind : {weir::ops::JoinKind::kInner, weir::ops::JoinKind::kLeft})
    weir::ops::RunJoin(kind, rows, argc > 2 ? std::stoll(argv[2]) : 64 << 10);
}
