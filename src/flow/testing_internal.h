// A small project whose answer is known, and a run of it on a simulated disk.
#pragma once

#include <arrow/api.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "flow/flow.h"
#include "flow/frontier.h"
#include "iceberg/catalog.h"
#include "io/sim_io.h"
#include "scan/scan.h"

namespace weir::flow {

inline constexpr const char* kContract = R"(apiVersion: v3.1.0
kind: DataContract
id: orders
name: orders
version: 1.0.0
servers:
  - {server: files, type: local, path: data, format: ndjson}
customProperties:
  - {property: weir.eventTime, value: placed}
  - {property: weir.lateness, value: PT1H}
  - {property: weir.identity, value: [id]}
schema:
  - name: orders
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: placed, logicalType: timestamp, required: true}
      - {name: customer, logicalType: string, required: true}
      - {name: amount, logicalType: number}
)";

inline constexpr const char* kSilver = R"(CREATE MATERIALIZED VIEW silver.customers AS
SELECT customer, count(*) AS orders, sum(amount) AS spent, arg_max(id, placed) AS latest FROM bronze.orders GROUP BY customer;)";

inline constexpr const char* kGold = R"(CREATE MATERIALIZED VIEW gold.by_orders AS
SELECT orders, count(*) AS customers, max(spent) AS most FROM silver.customers GROUP BY orders;)";

// Updates, a duplicate, a conflicting duplicate, a late record, a broken one, a second
// file.
inline constexpr const char* kFirstFile =
    R"({"id":"o1","placed":"2026-01-01T00:00:00Z","customer":"ann","amount":1.5}
{"id":"o2","placed":"2026-01-01T00:10:00Z","customer":"bob","amount":2}
{"id":"o1","placed":"2026-01-01T00:00:00Z","customer":"ann","amount":1.5}
{"id":"o3","placed":"2026-01-01T03:00:00Z","customer":"ann","amount":4}
{"id":"o4","placed":"2026-01-01T00:30:00Z","customer":"cid","amount":8}
{"id":"o5","customer":"cid"}
)";
inline constexpr const char* kSecondFile =
    R"({"id":"o3","placed":"2026-01-01T03:00:00Z","customer":"ann","amount":5}
{"id":"o6","placed":"2026-01-01T03:30:00Z","customer":"bob","amount":16}
{"id":"o7","placed":"2026-01-01T04:00:00Z","customer":"dan","amount":32}
)";

inline constexpr const char* kAnswer =
    "bronze.orders: ann o1, ann o3, bob o2, bob o6, dan o7\n"
    "bronze.orders$rejected: missing_field\n"
    "bronze.orders$late: cid o4\n"
    "bronze.orders$duplicate: ann o3\n"
    "silver.customers: ann 2 5.5 o3, bob 2 18 o6, dan 1 32 o7\n"
    "gold.by_orders: 1 1 32, 2 2 18\n"
    "received 9 accepted 5 rejected 1 duplicate 2 late 1";

inline void WriteInput(io::Io& io) {
  const std::pair<const char*, const char*> files[] = {
      {"/p/weir.yml",
       "name: orders\nconfiguration:\n  weir.step.rows: 3\n  weir.epoch.steps: 1\n"},
      {"/p/contracts/orders.odcs.yaml", kContract},
      {"/p/models/silver/customers.sql", kSilver},
      {"/p/models/gold/by_orders.sql", kGold},
      {"/p/data/a.ndjson", kFirstFile},
      {"/p/data/b.ndjson", kSecondFile}};
  for (const auto& [path, text] : files) {
    const std::string dir(io::DirName(path));
    ASSERT_TRUE(io.CreateDirs(dir).ok());
    ASSERT_TRUE(io.WriteNew(path, text).ok());
    ASSERT_TRUE(io.SyncDir(dir).ok());
  }
}

// Planning costs more than a whole run here, so it is done once.
struct Planned {
  project::Project project;
  plan::Plan plan;
};
inline Planned PlanOf(io::Io& io) {
  std::vector<contract::Problem> problems;
  auto project = project::LoadProject(io, "/p", {}, &problems);
  WEIR_CHECK(project.has_value());
  std::vector<plan::PlanProblem> plan_problems;
  auto plan =
      plan::MakePlan(SourceInputs(project->contracts), project->models, &plan_problems);
  WEIR_CHECK(plan.has_value());
  return {*std::move(project), *std::move(plan)};
}
inline const Planned& ThePlan() {
  static const Planned planned = [] {
    io::SimIo io;
    WriteInput(io);
    return PlanOf(io);
  }();
  return planned;
}

// As `weir run --once` does it: a state that turns out damaged is rebuilt.
inline Status RunFlow(io::Io& io, bool again = true) {
  FlowOptions options;
  options.data_dir = "/lake";
  options.store.deterministic = true;
  options.store.write_buffer_bytes = 1 << 16;
  options.store.block_cache_bytes = 1 << 16;
  ManualClock clock(1'767'300'000'000'000);
  auto flow = WEIR_TRY(Flow::Open(io, clock, ThePlan().project, ThePlan().plan, options));
  const auto report = flow->Run(CancelToken(), nullptr);
  if (!report.ok() && flow->state_is_damaged() && again) {
    flow.reset();
    return RunFlow(io, false);
  }
  if (!report.ok()) return report.error();
  if (!report->halted.empty()) return Internal(report->halted.begin()->second);
  return {};
}

// The rows of a table as "a b, c d", sorted.
inline Result<std::string> Rows(io::Io& io, iceberg::Catalog& catalog,
                                const std::string& table,
                                const std::vector<std::string>& columns) {
  const auto ref = WEIR_TRY(catalog.Find(table));
  if (!ref) return NotFound(table);
  const auto metadata = WEIR_TRY(iceberg::ReadMetadata(io, ref->metadata_location));
  std::vector<std::string> rows;
  if (metadata.current() != nullptr) {
    scan::ScanOptions options;
    options.field_ids.emplace();
    for (const std::string& column : columns)
      options.field_ids->push_back(metadata.schema().Find(column)->id);
    const auto scan = WEIR_TRY(
        scan::ScanTable(io, metadata, *metadata.current(), metadata.schema(), options));
    while (const auto batch = WEIR_TRY(scan->Next())) {
      for (int64_t i = 0; i < batch->num_rows(); ++i) {
        std::string text = data::RowText(*batch, i);
        for (size_t at; (at = text.find(" | ")) != std::string::npos;)
          text.replace(at, 3, " ");
        rows.push_back(text);
      }
    }
  }
  std::sort(rows.begin(), rows.end());
  return fmt::format("{}: {}", table, fmt::join(rows, ", "));
}

inline Result<std::string> Answer(io::Io& io) {
  const auto catalog =
      WEIR_TRY(iceberg::Catalog::Open(io, "/lake/catalog.db", "weir", true));
  std::string out;
  for (const auto& [table, columns] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"bronze.orders", {"customer", "id"}},
           {"bronze.orders$rejected", {"reason"}},
           {"bronze.orders$late", {"customer", "id"}},
           {"bronze.orders$duplicate", {"customer", "id"}},
           {"silver.customers", {"customer", "orders", "spent", "latest"}},
           {"gold.by_orders", {"orders", "customers", "most"}}}) {
    out += WEIR_TRY(Rows(io, *catalog, table, columns)) + "\n";
  }
  const auto ledger = WEIR_TRY(catalog->Sql("SELECT line FROM weir_ledger"));
  const auto counts = WEIR_TRY(ParseLedger(std::get<std::string>(ledger.at(0).at(0))));
  out += fmt::format("received {} accepted {} rejected {} duplicate {} late {}",
                     counts.received, counts.accepted, counts.rejected, counts.duplicate,
                     counts.late);
  return out;
}

}  // namespace weir::flow
