// The rows of anybody's Parquet file as JSON records.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/io.h"

namespace weir::codec {

struct RowTexts {
  std::shared_ptr<std::string> storage;  // what the rows point into
  std::vector<std::string_view> rows;
  int64_t next = 0;  // row after the last
  bool end = false;  // of the file
};

// Each row becomes one JSON object with all columns: numbers and decimals as
// numbers, binary in base64, UUIDs in their usual form, stamps as ISO 8601 (with
// Z when they are adjusted to UTC, cut to microseconds), lists, structs and maps
// as JSON has them. What JSON cannot say (NaN) is a string. Used by one thread.
//
// Some rows are decoded at a time: 4,096, or 16 MiB of them by what the footer
// says, so memory is bounded by that and a page of each column.
class ParquetRows {
 public:
  virtual ~ParquetRows() = default;
  // From row `from` on; of the file the first `stored_bytes`. kCorrupt: it is
  // not Parquet, or broken, or wants more than 1 GiB of memory; kInvalid,
  // kNotFound.
  static Result<std::unique_ptr<ParquetRows>> Open(io::Io& io, const std::string& path,
                                                   int64_t from, uint64_t stored_bytes);
  // At most so many rows and about so many bytes of text; at least one unless
  // the file ends.
  virtual Result<RowTexts> Next(int64_t rows_max, int64_t bytes_max) = 0;
};

}  // namespace weir::codec
