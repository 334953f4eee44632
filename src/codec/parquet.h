// Parquet over io: files with Iceberg field ids, and what a manifest wants to know about
// them.
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
  int64_t row_group_bytes_max =
      256 << 20;  // of the Arrow columns; encoded they take a quarter to a half of it
  int64_t page_bytes = 1 << 20;
};

// Statistics by Iceberg field id, of primitive columns not under lists or maps for
// bounds. Bounds in Iceberg's single-value binary, strings cut to 16 code points (upper
// bound rounded up, or left out).
struct ParquetStats {
  int64_t rows = 0, file_bytes = 0;
  std::map<int, int64_t> column_bytes, value_counts, null_counts, nan_counts;
  std::map<int, std::string> lower, upper;
  std::vector<int64_t> split_offsets;
};

// Writes one file. The file is durable only after Close (its folder is the caller's to
// sync). Destroyed without Close it leaves an unfinished file behind, to be removed by
// whoever knows its name. Used by one thread.
class ParquetWriter {
 public:
  virtual ~ParquetWriter() = default;
  // The first batch also serves as the sample that decides which columns get a
  // dictionary. kInvalid: the batch's columns are not the schema's, or a required column
  // holds a null.
  virtual Status Write(const arrow::RecordBatch& rows) = 0;
  virtual Result<ParquetStats> Close() = 0;
  virtual int64_t bytes_written()
      const = 0;  // so far, including what is buffered (estimate)
};
Result<std::unique_ptr<ParquetWriter>> NewParquetWriter(io::Io& io,
                                                        const std::string& path,
                                                        const data::Schema& schema,
                                                        const ParquetOptions& options);

// Reads columns by field id, whatever the file calls them; a column the file lacks is
// null, narrower types are widened. Rows come in file order. Errors: kNotFound, kCorrupt
// (not a Parquet file, a page that cannot be decoded). Used by one thread.
class ParquetReader {
 public:
  virtual ~ParquetReader() = default;
  // Positions of the next batch's first row in the file, then the batch; null at the end.
  virtual Result<std::shared_ptr<arrow::RecordBatch>> Next(int64_t* first_position) = 0;
  virtual int64_t rows() const = 0;  // of the whole file
  virtual int row_groups() const = 0;
  virtual int row_groups_kept() const = 0;  // after `keep`
};
struct ParquetReadOptions {
  std::vector<int>
      field_ids;  // top-level columns of `schema` wanted, in order; empty: all
  // Keeps a row group when this says so, by its statistics (field id -> binary bounds,
  // null count); empty: all.
  std::function<bool(const ParquetStats& row_group)> keep;
  int64_t batch_rows = 64 << 10;
};
Result<std::unique_ptr<ParquetReader>> OpenParquet(io::Io& io, const std::string& path,
                                                   const data::Schema& schema,
                                                   const ParquetReadOptions& options);

}  // namespace weir::codec
