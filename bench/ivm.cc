// What an epoch costs while history grows: models of every incremental kind, driven as
// the flow drives them (changes in, operators, checkpoint, delta, state store on disk),
// without sources and tables. Used by bench_ivm.py; prints a line of JSON for each
// measurement.
//
//   ivm_bench --dir DIR [--kind NAME]… [--rows N] [--rows-per-key N] [--seconds S]
//
// `wide`: ten rows a key, ever more keys; rows that change are anywhere. `end`, `middle`:
// 1,000 keys with ever more rows each; the row that changes is the last of its key, or
// the middle one. A change is always 1,000 changed rows: 500 are taken back and come
// again with other values.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <unordered_map>

#include "data/arrow.h"
#include "duck/duck.h"
#include "flow/model_runner.h"
#include "plan/plan.h"
#include "sql/model.h"

namespace weir {
namespace {

constexpr int kUpdates = 500;
constexpr int64_t kRowsPerKey = 10, kKeys = 1000, kLoadRows = 100'000;
constexpr int kWarmEpochs = 2;

// Of all measurements.
struct Setting {
  int epochs = 9;
  int64_t operator_bytes = 256 << 20;
};

struct Kind {
  const char* name;
  const char* sql;
  bool deep;  // also measured with rows per key
};
constexpr Kind kKinds[] = {
    {"row-wise", "SELECT id, n * 2 AS m, lower(s) AS l FROM b.t WHERE n % 10 <> 0",
     false},
    {"distinct", "SELECT DISTINCT k, n % 100 AS c FROM b.t", false},
    {"aggregate",
     "SELECT k, count(*) AS c, sum(n) AS s, avg(x) AS a, max(n) AS m FROM b.t GROUP BY k",
     true},
    {"count-distinct", "SELECT k, count(DISTINCT n) AS c FROM b.t GROUP BY k", true},
    {"tumble",
     "SELECT k % 100 AS g, window_start, count(*) AS c FROM TUMBLE(TABLE b.t, "
     "DESCRIPTOR(ts), INTERVAL '1 minute') GROUP BY ALL",
     false},
    {"top",
     "SELECT id, k, n FROM b.t QUALIFY row_number() OVER (PARTITION BY k ORDER BY ts "
     "DESC, id) <= 3",
     true},
    {"join", "SELECT t.id, t.n, d.m FROM b.t AS t JOIN b.d AS d ON t.k = d.k", true},
    {"outer-join",
     "SELECT t.id, t.n, d.m FROM b.t AS t LEFT JOIN b.d AS d ON t.k = d.k AND t.n > "
     "d.m",
     true},
    {"as-of",
     "SELECT t.id, d.m FROM b.t AS t ASOF LEFT JOIN b.d AS d ON t.k = d.k AND t.ts >= "
     "d.ts",
     true},
    {"temporal", "SELECT id, k FROM b.t WHERE ts > watermark() - INTERVAL '400 days'",
     false},
    {"row-number",
     "SELECT id, row_number() OVER (PARTITION BY k ORDER BY ts, id) AS r "
     "FROM b.t",
     true},
    {"lag", "SELECT id, lag(n) OVER (PARTITION BY k ORDER BY ts, id) AS p FROM b.t",
     true},
    {"moving-frame",
     "SELECT id, sum(n) OVER (PARTITION BY k ORDER BY ts, id ROWS BETWEEN 5 PRECEDING "
     "AND CURRENT ROW) AS s FROM b.t",
     true},
    {"session",
     "SELECT k, window_start, window_end, count(*) AS c FROM SESSION(TABLE b.t "
     "PARTITION BY k, DESCRIPTOR(ts), INTERVAL '30 minutes') GROUP BY ALL",
     true},
    {"correlated-top",
     "SELECT d.k, (SELECT t.id FROM b.t AS t WHERE t.k = d.k ORDER BY t.ts DESC, t.id "
     "LIMIT 1) AS newest FROM b.d AS d",
     true},
    {"recompute", "SELECT k, bit_xor(n) AS b FROM b.t GROUP BY k", true},
};

data::Schema TableSchema() {
  using data::Kind;
  data::Schema schema;
  for (const auto& [name, kind] : {std::pair("id", Kind::kInt64),
                                   {"k", Kind::kInt64},
                                   {"ts", Kind::kTimestamp},
                                   {"n", Kind::kInt32},
                                   {"x", Kind::kDouble},
                                   {"s", Kind::kString}})
    schema.fields.push_back({name, data::Simple(kind)});
  return schema;
}
data::Schema SideSchema() {
  using data::Kind;
  data::Schema schema;
  for (const auto& [name, kind] :
       {std::pair("k", Kind::kInt64), {"ts", Kind::kTimestamp}, {"m", Kind::kInt32}})
    schema.fields.push_back({name, data::Simple(kind)});
  return schema;
}

// Makes rows from their number and version, by SQL.
class Rows {
 public:
  static Result<std::unique_ptr<Rows>> New(bool deep) {
    auto out = std::unique_ptr<Rows>(new Rows(deep));
    out->session_ = WEIR_TRY(duck::Session::Open({}));
    return out;
  }
  Result<std::vector<data::Batch>> Range(int64_t from, int64_t to) {
    return Make(fmt::format("(SELECT range AS i, 0 AS v FROM range({}, {}))", from, to),
                1);
  }
  // Rows of these numbers and versions.
  Result<std::vector<data::Batch>> Some(const std::vector<std::pair<int64_t, int>>& rows,
                                        int weight) {
    std::string values;
    for (const auto& [i, v] : rows)
      values += fmt::format("{}({}, {})", values.empty() ? "" : ", ", i, v);
    return Make(fmt::format("(SELECT * FROM (VALUES {}) AS r(i, v))", values), weight);
  }
  // The one row that each key has on the other side of joins.
  Result<std::vector<data::Batch>> Side(int64_t from, int64_t to) {
    return Run(fmt::format("SELECT CAST(range AS BIGINT) AS k, TIMESTAMP '2024-01-01' + "
                           "to_minutes(CAST(range % 1000 * 60 + 30 AS BIGINT)) AS ts, "
                           "CAST(range % 1000 AS INTEGER) AS m FROM range({}, {})",
                           from, to),
               SideSchema(), 1);
  }

 private:
  explicit Rows(bool deep) : deep_(deep) {}
  Result<std::vector<data::Batch>> Make(const std::string& numbers, int weight) {
    const std::string key = deep_ ? "i % 1000" : "i // 10",
                      place = deep_ ? "i // 1000" : "i % 10";
    return Run(
        fmt::format("SELECT CAST(i AS BIGINT) AS id, CAST({0} AS BIGINT) AS k, TIMESTAMP "
                    "'2024-01-01' + to_minutes(CAST(({0}) % 1000 * 60 AS BIGINT)) + "
                    "to_seconds(CAST(({1}) * 1200 + hash(i) % 900 + v % 200 AS BIGINT)) "
                    "AS ts, CAST(hash(i * 31 + v) % 1000 AS INTEGER) AS n, CAST(hash(i * "
                    "17 + v) % 1000 AS DOUBLE) / 8 AS x, 'V' || CAST(hash(i + v) % 100 "
                    "AS VARCHAR) AS s FROM {2}",
                    key, place, numbers),
        TableSchema(), weight);
  }
  Result<std::vector<data::Batch>> Run(const std::string& sql, const data::Schema& schema,
                                       int weight) {
    std::vector<data::Batch> out;
    for (const auto& rows : WEIR_TRY(session_->Query(sql, nullptr))) {
      if (rows->num_rows() == 0) continue;
      data::Batch batch{arrow::RecordBatch::Make(data::ToArrow(schema), rows->num_rows(),
                                                 rows->columns()),
                        {}};
      if (weight != 1)
        batch.weights.assign(static_cast<size_t>(batch.num_rows()), weight);
      out.push_back(std::move(batch));
    }
    return out;
  }

  const bool deep_;
  std::unique_ptr<duck::Session> session_;
};

double SecondsOf(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}
// Of the thread that does an epoch's work: the runner has one shard.
double ThreadSeconds() { return SecondsOf(CLOCK_THREAD_CPUTIME_ID); }
// Of all others: RocksDB's flushes and compactions.
double BackgroundSeconds() {
  return SecondsOf(CLOCK_PROCESS_CPUTIME_ID) - ThreadSeconds();
}
double WallSeconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Cost {
  double wall, cpu;
  size_t bytes;  // of the delta
  int64_t rows_out;
};

// A model over a store on disk.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Open(io::Io& io, const std::string& dir,
                                              const Kind& kind, int64_t operator_bytes) {
    auto out = std::unique_ptr<Engine>(new Engine(io, dir));
    std::vector<sql::SqlProblem> faults;
    auto model = sql::ParseModel(
        "m.sql", fmt::format("CREATE MATERIALIZED VIEW g.m AS {}", kind.sql), &faults);
    if (!model) return Invalid(faults.empty() ? "no model" : faults[0].message);
    std::vector<plan::PlanProblem> problems;
    std::vector<sql::Model> models;
    models.push_back(*std::move(model));
    auto planned = plan::MakePlan({{"b.t", TableSchema(), {"id"}, {}, false},
                                   {"b.d", SideSchema(), {"k"}, {}, false}},
                                  std::move(models), &problems);
    if (!planned) return Invalid(problems[0].problem.message);
    out->plan_ = *std::move(planned);
    const plan::ModelPlan& plan = out->plan_.models[0];
    if (plan.stages.empty())
      return Invalid(fmt::format("it is a full refresh: {}", plan.why_not_better));
    WEIR_TRY(io.CreateDirs(dir));
    out->store_ = WEIR_TRY(state::Store::Open(io, dir, Epoch{0}, {}));
    out->runner_ = WEIR_TRY(flow::ModelRunner::New(
        plan, {{"b.t", TableSchema()}, {"b.d", SideSchema()}}, out->pool_, *out->store_,
        {}, operator_bytes, out->clock_));
    return out;
  }

  void SetWatermark(Micros time) { runner_->SetWatermark(time); }

  // One epoch, as CloseEpoch has it, up to the state's being durable and readable.
  Result<Cost> Run(const flow::Changes& changes) {
    WEIR_TRY(store_->Flush());  // what the epoch before left behind is not this one's
    const double wall = WallSeconds(), cpu = ThreadSeconds();
    flow::Changes out;
    WEIR_TRY(runner_->Process(changes, &out));
    state::Delta delta;
    WEIR_TRY(runner_->Checkpoint(delta));
    const Epoch epoch = Next(store_->applied());
    WEIR_TRY(delta.Write(io_, dir_, epoch));
    Cost cost{0, 0, delta.bytes(), 0};
    WEIR_TRY(store_->Apply(delta, epoch));
    runner_->Committed();
    cost.wall = WallSeconds() - wall;
    cost.cpu = ThreadSeconds() - cpu;
    for (const data::Batch& batch : out["g.m"]) cost.rows_out += batch.num_rows();
    return cost;
  }
  Status Flush() { return store_->Flush(); }
  int64_t state_bytes() const { return runner_->state_bytes(); }

 private:
  Engine(io::Io& io, std::string dir) : io_(io), dir_(std::move(dir)), pool_(1) {}
  io::Io& io_;
  const std::string dir_;
  SystemClock clock_;
  flow::ShardPool pool_;
  plan::Plan plan_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<flow::ModelRunner> runner_;
};

enum class Place { kWide, kEnd, kMiddle };

class Measurement {
 public:
  Measurement(io::Io& io, std::string dir, const Kind& kind, bool deep,
              const Setting& setting)
      : io_(io), dir_(std::move(dir)), kind_(kind), deep_(deep), setting_(setting) {}

  Status Run(const std::vector<int64_t>& sizes, double seconds) {
    WEIR_TRY(state::RemoveTree(io_, dir_));
    rows_ = WEIR_TRY(Rows::New(deep_));
    engine_ = WEIR_TRY(Engine::Open(io_, dir_, kind_, setting_.operator_bytes));
    const double began = WallSeconds();
    for (const int64_t size : sizes) {
      WEIR_TRY(Grow(size));
      if (deep_) {
        WEIR_TRY(Measure(Place::kEnd));
        WEIR_TRY(Measure(Place::kMiddle));
      } else {
        WEIR_TRY(Measure(Place::kWide));
      }
      if (WallSeconds() - began > seconds) break;
    }
    engine_.reset();
    return state::RemoveTree(io_, dir_);
  }

 private:
  Status Grow(int64_t size) {
    if (deep_ && size_ == 0) {
      static_cast<void>(
          WEIR_TRY(engine_->Run({{"b.d", WEIR_TRY(rows_->Side(0, kKeys))}})));
    }
    while (size_ < size) {
      const int64_t to = std::min(size, size_ + kLoadRows);
      flow::Changes changes{{"b.t", WEIR_TRY(rows_->Range(size_, to))}};
      if (!deep_)
        changes["b.d"] = WEIR_TRY(rows_->Side(size_ / kRowsPerKey, to / kRowsPerKey));
      static_cast<void>(WEIR_TRY(engine_->Run(changes)));
      size_ = to;
    }
    return {};
  }

  // The row that update number `i` takes.
  int64_t Target(Place place, int64_t i) const {
    if (place == Place::kWide)
      return static_cast<int64_t>(static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u >> 1) %
             size_;
    const int64_t per_key = size_ / kKeys, key = i % kKeys;
    return (place == Place::kEnd ? per_key - 1 : per_key / 2) * kKeys + key;
  }

  Status Measure(Place place) {
    std::vector<Cost> costs;
    double background = 0;
    for (int epoch = 0; epoch < setting_.epochs; ++epoch) {
      if (epoch == kWarmEpochs) background = -BackgroundSeconds();
      std::vector<std::pair<int64_t, int>> before, after;
      std::unordered_map<int64_t, int> now;
      while (before.size() < kUpdates) {
        const int64_t row = Target(place, next_++);
        if (!now.emplace(row, 0).second) continue;
        int& version = versions_[row];
        before.emplace_back(row, version);
        after.emplace_back(row, ++version);
      }
      std::vector<data::Batch> rows = WEIR_TRY(rows_->Some(before, -1));
      for (data::Batch& batch : WEIR_TRY(rows_->Some(after, 1)))
        rows.push_back(std::move(batch));
      // Time passes; nothing is old enough to leave.
      engine_->SetWatermark(kBegin + (++epochs_) * 1'000'000);
      costs.push_back(WEIR_TRY(engine_->Run({{"b.t", std::move(rows)}})));
    }
    WEIR_TRY(engine_->Flush());
    background += BackgroundSeconds();
    costs.erase(costs.begin(), costs.begin() + kWarmEpochs);
    const auto median = [&](auto of) {
      std::vector<double> values;
      for (const Cost& cost : costs) values.push_back(static_cast<double>(of(cost)));
      std::sort(values.begin(), values.end());
      return values[values.size() / 2];
    };
    static constexpr const char* kPlaces[] = {"wide", "end", "middle"};
    fmt::print(
        "{{\"kind\": \"{}\", \"place\": \"{}\", \"rows\": {}, \"rows_per_key\": {}, "
        "\"wall_ms\": {:.3f}, \"cpu_ms\": {:.3f}, \"background_ms\": {:.3f}, "
        "\"delta_bytes\": {:.0f}, "
        "\"rows_out\": {:.0f}, \"memory_bytes\": {}}}\n",
        kind_.name, kPlaces[static_cast<int>(place)], size_,
        deep_ ? size_ / kKeys : kRowsPerKey,
        median([](const Cost& c) { return c.wall * 1e3; }),
        median([](const Cost& c) { return c.cpu * 1e3; }),
        background * 1e3 / static_cast<double>(costs.size()),
        median([](const Cost& c) { return c.bytes; }),
        median([](const Cost& c) { return c.rows_out; }), engine_->state_bytes());
    std::fflush(stdout);
    return {};
  }

  static constexpr Micros kBegin = 1'704'067'200'000'000;  // 2024-01-01
  io::Io& io_;
  const std::string dir_;
  const Kind& kind_;
  const bool deep_;
  const Setting setting_;
  std::unique_ptr<Rows> rows_;
  std::unique_ptr<Engine> engine_;
  int64_t size_ = 0, next_ = 0, epochs_ = 0;
  std::unordered_map<int64_t, int> versions_;  // of rows that changed
};

std::vector<int64_t> Sizes(int64_t first, int64_t last) {
  std::vector<int64_t> sizes;
  for (int64_t size = first; size <= last; size *= 10) {
    sizes.push_back(size);
    if (size * 3 <= last) sizes.push_back(size * 3);
  }
  return sizes;
}

int Main(int argc, char** argv) {
  std::string dir;
  std::vector<std::string> wanted;
  int64_t first_rows = 10'000, rows = 1'000'000, rows_per_key = 1000, operator_mb = 256;
  Setting setting;
  double seconds = 1e9;
  CLI::App app("what an epoch costs while history grows");
  app.add_option("--dir", dir)->required();
  app.add_option("--kind", wanted);
  app.add_option("--rows", rows);
  app.add_option("--rows-per-key", rows_per_key);
  app.add_option("--seconds", seconds, "of growing, for each kind and shape");
  app.add_option("--first-rows", first_rows, "of `wide`: where measuring begins");
  app.add_option("--epochs", setting.epochs,
                 "of each measurement, two of them unmeasured");
  app.add_option("--operator-mb", operator_mb, "memory of the operators");
  CLI11_PARSE(app, argc, argv);
  setting.operator_bytes = operator_mb << 20;
  const auto io = io::NewPosixIo();
  for (const Kind& kind : kKinds) {
    if (!wanted.empty() &&
        std::find(wanted.begin(), wanted.end(), kind.name) == wanted.end())
      continue;
    for (const bool deep : {false, true}) {
      if (deep && !kind.deep) continue;
      std::vector<int64_t> sizes =
          deep ? Sizes(10 * kKeys, rows_per_key * kKeys) : Sizes(first_rows, rows);
      const Status done = Measurement(*io, io::Join(dir, kind.name), kind, deep, setting)
                              .Run(sizes, seconds);
      if (!done.ok()) {
        fmt::print(stderr, "ivm_bench: {}: {}\n", kind.name, done.error().message);
        return 1;
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::Main(argc, argv); }
