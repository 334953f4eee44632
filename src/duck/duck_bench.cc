// What a small and a large batch cost on their way through DuckDB.
#include <benchmark/benchmark.h>

#include "data/arrow.h"
#include "duck/duck.h"

namespace weir::duck {
namespace {

std::shared_ptr<arrow::RecordBatch> Rows(const data::Schema& schema, int64_t rows) {
  arrow::Int64Builder k;
  arrow::StringBuilder s;
  arrow::DoubleBuilder d;
  arrow::TimestampBuilder ts(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
                             arrow::default_memory_pool());
  uint64_t random = 88172645463325252ull;
  for (int64_t i = 0; i < rows; ++i) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    (void)k.Append(static_cast<int64_t>(random % 10000));
    (void)s.Append("key-" + std::to_string(random % 10000));
    (void)d.Append(static_cast<double>(random % 10000) / 100);
    (void)ts.Append(1700000000000000 + i);
  }
  return arrow::RecordBatch::Make(data::ToArrow(schema), rows,
                                  {*k.Finish(), *s.Finish(), *d.Finish(), *ts.Finish()});
}

void Statement(benchmark::State& state, const char* sql) {
  const data::Schema schema{{{"k", data::Simple(data::Kind::kInt64)},
                             {"s", data::Simple(data::Kind::kString)},
                             {"d", data::Simple(data::Kind::kDouble)},
                             {"ts", data::Simple(data::Kind::kTimestampTz)}}};
  auto session = *Session::Open({});
  (void)session->DeclareInput("t", schema);
  const auto prepared = *session->Prepare(sql);
  const auto batch = Rows(schema, state.range(0));
  for (auto _ : state) {
    if (!session->SetInput("t", {batch}).ok() || !session->Run(*prepared).ok())
      state.SkipWithError("failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK_CAPTURE(Statement, filter, "SELECT k, s, d * 2 AS d2, ts FROM t WHERE d > 50")
    ->Arg(10)
    ->Arg(100000);
BENCHMARK_CAPTURE(Statement, group_by,
                  "SELECT k, count(*) AS c, sum(d) AS s, max(ts) AS m FROM t GROUP BY k")
    ->Arg(10)
    ->Arg(100000);
BENCHMARK_CAPTURE(Statement, count, "SELECT count(*) AS n FROM t")->Arg(10)->Arg(100000);

}  // namespace
}  // namespace weir::duck
