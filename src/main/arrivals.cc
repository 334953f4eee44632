// weir show arrivals: the files of a source, and the intervals that have none yet.
#include <fmt/format.h>

#include "commit/committer.h"
#include "iceberg/catalog.h"
#include "main/inspect_internal.h"

namespace weir::main {
namespace {

// Intervals are looked for between the first and the last that any file is for: that none
// came for the next one is not known to be wrong.
constexpr const char* kSql = R"(
WITH files AS (SELECT * FROM {0}),
     intervals AS (SELECT unnest(generate_series(min(interval_start), max(interval_start),
                                                 any_value(interval_end - interval_start))) AS interval_start
                     FROM files WHERE interval_start IS NOT NULL)
SELECT interval_start, path, state, rows, accepted, rejected, duplicate, late,
       first_event_time, last_event_time, discovered_at, reason
  FROM files
UNION ALL
SELECT interval_start, NULL, 'incomplete', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       'no file of this interval was read'
  FROM intervals
 WHERE interval_start NOT IN (SELECT interval_start FROM files
                               WHERE state = 'read' AND interval_start IS NOT NULL)
 ORDER BY 1 NULLS FIRST, 11, 2)";

}  // namespace

int ShowArrivals(io::Io& io, const Options& options, const std::string& source) {
  if (source.empty())
    return Fail("show arrivals needs a source: weir show arrivals conversions",
                kWrongCall);
  auto catalog = OpenCatalog(io, options);
  if (!catalog.ok()) return Fail(catalog.error());
  const std::string table = fmt::format("bronze.{}$arrivals", data::LowerName(source));
  const auto found = (*catalog)->Find(table);
  if (!found.ok()) return Fail(found.error());
  if (!*found)
    return Fail(fmt::format("there is no table {}: {} is no source, or has no files",
                            table, source),
                kWrongCall);
  std::string quoted = fmt::format("bronze.\"{}$arrivals\"", data::LowerName(source));
  return RunQuery(io, options, fmt::format(kSql, quoted), "");
}

}  // namespace weir::main
