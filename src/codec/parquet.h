// Parquet over io: files with Iceberg field ids, and what a manifest wants to know about them.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/type.h"
#include "io/io.h"

namespace weir::codec {

struct ParquetOptions {
  int zstd_level = 1;
  int64_t row_group_rows_max = 1 << 20;
  int64_t page_bytes = 1 << 20;
};

// Statistics by Iceberg field id, of primitive columns not under lists or maps for bounds. Bounds in Iceberg's single-value binary, strings
// cut to 16 code points (upper bound rounded up, or left out).
struct ParquetStats {
  int64_t rows = 0, file_bytes = 0;
  std::map<int, int64_t> column_bytes, value_counts, null_counts, nan_counts;
  std::map<int, std::string> lower, upper;
  std::vector<int64_t> split_offsets;
};

// Writes one file. The file is durable only after Close (its folder is the caller's to sync).
class ParquetWriter {
 public:
  virtual ~ParquetWriter() = default;
  virtual Status Write(const arrow::RecordBatch& rows) = 0;
  virtual Result<ParquetStats> Close() = 0;
  virtual int64_t bytes_written() const = 0;  // so far, including what is buffered (estimate)
};
Result<std::unique_ptr<ParquetWriter>> NewParquetWriter(io::Io& io, const std::string& path, const data::Schema& schema, const ParquetOptions& options);

// Reads columns by field id; a column the file lacks is null (or `_row_id`-like columns, if asked for by id). Rows come in file order.
class ParquetReader {
 public:
  virtual ~ParquetReader() = default;
  // Positions of the next batch's first row in the file, then the batch; null at the end.
  virtual Result<std::shared_ptr<arrow::RecordBatch>> Next(int64_t* first_position) = 0;
};
struct ParquetReadOptions {
  std::vector<int> field_ids;  // top-level columns of `schema` wanted, in order; empty: all
  // Keeps a row group when this says so, by its statistics (field id -> binary bounds, null count); empty: all.
  std::function<bool(const ParquetStats& row_group)> keep;
  int64_t batch_rows = 64 << 10;
};
Result<std::unique_ptr<ParquetReader>> OpenParquet(io::Io& io, const std::string& path, const data::Schema& schema, const ParquetReadOptions& options);

}  // namespace weir::codec
