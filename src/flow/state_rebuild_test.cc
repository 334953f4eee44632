// A lake whose state is lost before every run, beside one that never loses it: tables,
// verdicts and what is remembered of identities are the same.
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "base/event.h"
#include "flow/testing_internal.h"
#include "state/identities.h"

namespace weir::flow {
namespace {

constexpr const char* kPartitioned = R"(apiVersion: v3.1.0
kind: DataContract
id: orders
name: orders
version: 1.0.0
servers:
  - {server: files, type: local, path: 'data/p{partition}-*.ndjson', format: ndjson}
customProperties:
  - {property: weir.eventTime, value: placed}
  - {property: weir.lateness, value: PT1H}
  - {property: weir.identityMemory, value: PT3H}
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

// One of each kind of state.
const std::pair<const char*, const char*> kModels[] = {
    {"silver/customers", kSilver},
    {"gold/by_orders", kGold},
    {"silver/latest",
     "CREATE MATERIALIZED VIEW silver.latest AS SELECT id, customer FROM bronze.orders "
     "QUALIFY row_number() OVER (PARTITION BY customer ORDER BY placed DESC, id) <= 2;"},
    {"silver/steps",
     "CREATE MATERIALIZED VIEW silver.steps AS SELECT id, lag(amount) OVER (PARTITION BY "
     "customer ORDER BY placed, id) AS before FROM bronze.orders;"},
    {"silver/recent",
     "CREATE MATERIALIZED VIEW silver.recent AS SELECT id, amount FROM bronze.orders "
     "WHERE placed > watermark() - INTERVAL '2 hours';"},
    {"gold/joined",
     "CREATE MATERIALIZED VIEW gold.joined AS SELECT o.id, c.spent FROM bronze.orders AS "
     "o JOIN silver.customers AS c ON o.customer = c.customer;"},
    {"gold/lagging",
     "CREATE MATERIALIZED VIEW gold.lagging TARGET_LAG = '1 hour' AS SELECT DISTINCT "
     "customer, amount FROM bronze.orders;"},
    {"gold/all",
     "CREATE MATERIALIZED VIEW gold.all AS SELECT count(*) AS n, sum(amount) AS s FROM "
     "bronze.orders;"}};
const std::pair<const char*, std::vector<std::string>> kTables[] = {
    {"bronze.orders", {"id", "customer", "amount", "_partition", "_offset"}},
    {"bronze.orders$late", {"id", "_partition", "_offset"}},
    {"bronze.orders$duplicate", {"id", "_partition", "_offset"}},
    {"silver.customers", {"customer", "orders", "spent", "latest"}},
    {"gold.by_orders", {"orders", "customers", "most"}},
    {"silver.latest", {"id", "customer"}},
    {"silver.steps", {"id", "before"}},
    {"silver.recent", {"id", "amount"}},
    {"gold.joined", {"id", "spent"}},
    {"gold.lagging", {"customer", "amount"}},
    {"gold.all", {"n", "s"}}};

void Write(io::Io& io, const std::string& path, const std::string& text) {
  const std::string dir(io::DirName(path));
  ASSERT_TRUE(io.CreateDirs(dir).ok());
  ASSERT_TRUE(io.WriteNew(path, text).ok());
  ASSERT_TRUE(io.SyncDir(dir).ok());
}

void WriteProject(io::Io& io) {
  Write(io, "/p/weir.yml",
        "name: orders\nconfiguration:\n  weir.step.rows: 5\n  weir.epoch.steps: 2\n");
  Write(io, "/p/contracts/orders.odcs.yaml", kPartitioned);
  for (const auto& [name, sql] : kModels)
    Write(io, fmt::format("/p/models/{}.sql", name), sql);
}

const Planned& Partitioned() {
  static const Planned planned = [] {
    io::SimIo io;
    WriteProject(io);
    return PlanOf(io);
  }();
  return planned;
}

Status RunPartitioned(io::Io& io) {
  FlowOptions options;
  options.data_dir = "/lake";
  options.store.deterministic = true;
  ManualClock clock(1'767'300'000'000'000);
  const auto flow =
      WEIR_TRY(Flow::Open(io, clock, Partitioned().project, Partitioned().plan, options));
  const RunReport report = WEIR_TRY(flow->Run(CancelToken(), nullptr));
  if (!report.halted.empty()) return Internal(report.halted.begin()->second);
  return {};
}

Result<std::string> Contents(io::Io& io) {
  const auto catalog =
      WEIR_TRY(iceberg::Catalog::Open(io, "/lake/catalog.db", "weir", true));
  std::string out;
  for (const auto& [table, columns] : kTables)
    out += WEIR_TRY(Rows(io, *catalog, table, columns)) + "\n";
  for (const auto& row :
       WEIR_TRY(catalog->Sql("SELECT line FROM weir_ledger ORDER BY 1")))
    out += std::get<std::string>(row.at(0)) + "\n";
  return out;
}

// What is remembered and not forgotten, by identity.
using Memory = std::map<std::pair<uint64_t, uint64_t>, state::IdentityEntry>;
Result<Memory> Remembered(io::Io& io, int partition) {
  const auto catalog =
      WEIR_TRY(iceberg::Catalog::Open(io, "/lake/catalog.db", "weir", true));
  const auto committed = [&]() -> Result<Epoch> {
    return Epoch{std::get<int64_t>(
        WEIR_TRY(catalog->Sql("SELECT max(epoch) FROM weir_epochs")).at(0).at(0))};
  };
  const auto lane =
      WEIR_TRY(catalog->Sql("SELECT frontier FROM weir_lanes WHERE lane = 'live'"));
  const Frontier frontier =
      WEIR_TRY(ParseFrontier(std::get<std::string>(lane.at(0).at(0))));
  const auto& positions = frontier.sources.at("orders");
  const auto position = positions.find(partition);
  Memory out;
  if (position == positions.end()) return out;
  WEIR_TRY(state::RemoveTree(io, "/copy"));
  const auto store = WEIR_TRY(state::Store::OpenCopy(io, "/lake/state", "/copy",
                                                     committed, {.deterministic = true}));
  const state::Identities rule(3LL * 3'600'000'000);
  WEIR_TRY(store->Scan(fmt::format("ids/orders/{}", partition), "g",
                       [&](std::string_view, std::string_view value) {
                         for (size_t at = 0; at < value.size();
                              at += sizeof(state::IdentityEntry)) {
                           state::IdentityEntry entry;
                           std::memcpy(&entry, value.data() + at, sizeof entry);
                           out[{entry.id.low, entry.id.high}] = entry;
                         }
                         return true;
                       }));
  std::erase_if(out, [&](const auto& entry) {
    return rule.Forgotten(entry.second.judged_at_watermark, entry.second.event_time,
                          position->second.watermark);
  });
  return out;
}

// WEIR_REBUILD_SEED=n replays one history.
TEST(StateRebuildTest, ALakeThatLosesItsStateBeforeEveryRunIsLikeOneThatNeverDoes) {
  SetEventSeverity(Severity::kError);
  const char* only = std::getenv("WEIR_REBUILD_SEED");
  const uint64_t first = only == nullptr ? 1 : std::strtoull(only, nullptr, 10);
  int64_t compared = 0;
  for (uint64_t seed = first; seed < first + (only == nullptr ? 4 : 1); ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
    io::SimIo safe, losing;
    WriteProject(safe);
    WriteProject(losing);
    int64_t now = 0;                    // minutes
    std::vector<int64_t> delivered[3];  // by partition: when each event was
    for (int run = 0; run < 6; ++run) {
      const std::string where = fmt::format("WEIR_REBUILD_SEED={}, run {}", seed, run);
      // Some partitions sleep, so that they wake with a floor.
      for (int partition = 0; partition < 3; ++partition) {
        if (run > 0 && below(3) == 0) continue;
        std::string text;
        for (int64_t i = below(25); i >= 0; --i) {
          now += below(8);
          // An event that came before, maybe with other content, or a new one.
          auto& events = delivered[partition];
          if (events.empty() || below(3) > 0) {
            const int64_t age = below(below(4) == 0 ? 200 : 30);
            events.push_back(std::max<int64_t>(0, now - age));
          }
          const auto id = static_cast<size_t>(
              below(4) == 0 ? below(events.size())
                            : static_cast<int64_t>(events.size()) - 1);
          text += fmt::format(
              R"({{"id":"o{}-{}","placed":"2026-01-0{}T{:02}:{:02}:00Z","customer":"c{}",)"
              R"("amount":{}{}}})"
              "\n",
              partition, id, 1 + events[id] / 1440, events[id] / 60 % 24, events[id] % 60,
              id % 6, below(3), below(5) == 0 ? R"(,"more":{"a":1})" : "");
        }
        const std::string path = fmt::format("/p/data/p{}-{}.ndjson", partition, run);
        Write(safe, path, text);
        Write(losing, path, text);
      }
      const Status removed = state::RemoveTree(losing, "/lake/state");
      ASSERT_TRUE(removed.ok()) << removed.error().message;
      const Status kept = RunPartitioned(safe), lost = RunPartitioned(losing);
      ASSERT_TRUE(kept.ok()) << kept.error().message << "; " << where;
      ASSERT_TRUE(lost.ok()) << lost.error().message << "; " << where;
      const auto want = Contents(safe), got = Contents(losing);
      ASSERT_TRUE(want.ok()) << want.error().message << "; " << where;
      ASSERT_TRUE(got.ok()) << got.error().message << "; " << where;
      ASSERT_EQ(*got, *want) << where;
      for (int partition = 0; partition < 3; ++partition) {
        const auto should = Remembered(safe, partition),
                   does = Remembered(losing, partition);
        ASSERT_TRUE(should.ok()) << should.error().message << "; " << where;
        ASSERT_TRUE(does.ok()) << does.error().message << "; " << where;
        ASSERT_EQ(does->size(), should->size()) << where << ", partition " << partition;
        for (const auto& [id, entry] : *should) {
          const auto found = does->find(id);
          ASSERT_NE(found, does->end()) << where;
          EXPECT_EQ(found->second.content, entry.content) << where;
          EXPECT_EQ(found->second.judged_at_watermark, entry.judged_at_watermark)
              << where;
          EXPECT_EQ(found->second.event_time, entry.event_time) << where;
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, only == nullptr ? 150 : 0);
}

}  // namespace
}  // namespace weir::flow
