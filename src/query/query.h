// SQL over the lake's tables: `weir query`.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "base/time.h"
#include "data/type.h"
#include "duck/duck.h"
#include "io/io.h"
#include "scan/scan.h"

namespace weir::query {

struct QueryOptions {
  std::string catalog_path;  // "<data>/catalog.db"
  std::string catalog_name = "weir";
  std::string as_of;  // stamp, version or "tag:NAME" for all tables that name none;
                      // empty: now
  duck::InstanceOptions duck;
  Micros lease = 600'000'000;  // of the reader; renewed while rows come
};

// What one table of the query cost.
struct TableRead {
  std::string table;
  int64_t snapshot = 0;  // 0: the table has none yet
  scan::ScanStatistics scan;
};

struct QueryReport {
  std::vector<TableRead> tables;
  int64_t rows = 0;
  std::vector<std::string>
      notes;  // for the user, such as a lease that could not be taken
};

// Runs one SELECT. All its tables are pinned in one read of the catalog; files that a
// running `weir up` no longer needs stay until the query is over. After a table's name,
// `AS OF TIMESTAMP '…'`, `AS OF '…'`, `AS OF VERSION n` (a snapshot id or sequence
// number) or `AS OF TAG '…'` read its past, also DuckDB's own `AT (TIMESTAMP => …)`.
// Comparisons of WHERE with constants leave out files and row groups. `visit` returning
// false ends the query. kInvalid: the SQL is wrong; kNotFound: no lake, or no such table
// (the message says which one was meant), or no such past.
Result<QueryReport> RunQuery(
    io::Io& io, Clock& clock, std::string_view sql, const QueryOptions& options,
    const CancelToken& cancel, const std::function<Status(const data::Schema&)>& begin,
    const std::function<Result<bool>(std::shared_ptr<arrow::RecordBatch>)>& visit);

}  // namespace weir::query
