// Which version of a table a query means.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "iceberg/table.h"

namespace weir::query {

// A point in a table's past.
struct AsOf {
  std::optional<Micros> time;
  std::optional<int64_t> version;  // snapshot id or sequence number
  std::optional<std::string> tag;
  std::string text;  // as the user wrote it

  friend auto operator<=>(const AsOf&, const AsOf&) = default;
};

// "2018-01-11T18:24:44Z", "2018-01-11 18:24", "2018-01-11" (UTC where no zone stands).
Result<AsOf> ParseAsOfTime(std::string_view text);
// A stamp, a number for a version, or "tag:NAME".
Result<AsOf> ParseAsOf(std::string_view text);

// The snapshot; nullptr: the table has no snapshot at all and the present is meant.
// kNotFound: no such past.
Result<const iceberg::Snapshot*> Resolve(const std::string& table,
                                         const iceberg::Metadata& metadata,
                                         const std::optional<AsOf>& as_of);

// `t AS OF TIMESTAMP '…' [AS] x` -> `t x AT (TIMESTAMP => TIMESTAMP '…')`, which DuckDB
// parses; `AS OF TAG 'a'` -> `AT (VERSION => 'tag:a')`. Other text is unchanged.
std::string RewriteAsOf(std::string_view sql);

}  // namespace weir::query
