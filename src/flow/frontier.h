// Frontiers, watermarks and the ledger: values, and their JSON in catalog.db and snapshot
// summaries (docs/formats/frontier.md).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ingest/judged.h"

namespace weir::flow {

// How far the live lane has taken in its sources.
struct Frontier {
  std::map<std::string, std::map<int, ingest::PartitionPosition>> sources;
  Micros watermark = kNoTime;  // global; never falls
  int64_t marker = 0;          // number of the markers that cut the epoch
  int64_t steps = 0;           // taken since the beginning of the data directory
};
std::string FrontierJson(const Frontier& frontier);
Result<Frontier> ParseFrontier(std::string_view json);

// The short form for a table's snapshot summary: {"ride_events/0": 1234, …, "watermark":
// "…"}.
std::string FrontierSummary(const Frontier& frontier);
// The watermark in it; kNoTime: there is none.
Micros SummaryWatermark(std::string_view summary);

// Files of a source that were not read whole. Their number, and the newest of them.
struct BrokenFiles {
  static constexpr size_t kNamedMax = 100;
  int64_t count = 0;
  std::vector<ingest::FileFault> newest;
  void Add(ingest::FileFault fault);
};

// One line of the ledger, by source. `rows`: of reference data, how many the newest
// content has.
std::string LedgerJson(const std::string& source, const ingest::Counts& counts,
                       const BrokenFiles& broken = {},
                       std::optional<int64_t> rows = std::nullopt);
Result<ingest::Counts> ParseLedger(std::string_view json);
Result<BrokenFiles> ParseBrokenFiles(std::string_view ledger_json);
int64_t ParseReferenceRows(std::string_view ledger_json);  // 0 of events

// The global watermark: the minimum over active partitions of all sources; it never
// falls. A partition that is active and has no watermark yet holds it where it is; when
// all are idle it stands still.
class Watermarks {
 public:
  void Update(const std::string& source, const ingest::PartitionPosition& position);
  Micros global() const { return global_; }
  void Restore(const Frontier& frontier);

 private:
  struct One {
    Micros watermark = kNoTime;
    bool idle = true;
  };

  void Advance();

  std::map<std::pair<std::string, int>, One> partitions_;
  Micros global_ = kNoTime;
};

}  // namespace weir::flow
