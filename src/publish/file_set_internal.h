// The data files an epoch writes: one open file per partition, rolled at their target
// size.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "codec/parquet.h"
#include "data/type.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "publish/partition_internal.h"

namespace weir::publish {

// Where a row went: the how-manieth file of the set, and its position there.
struct Placement {
  int32_t file = 0;
  int64_t position = 0;
};

struct FileSetOptions {
  std::string location;     // of the table, as URI
  std::string name_prefix;  // of the files
  int spec_id = 0;
  std::optional<int> sort_order_id;  // in which rows are added; see EndFiles
  int64_t file_bytes_target = 0, open_bytes_max = 0;
  codec::ParquetOptions parquet;
};

class FileSet {
 public:
  FileSet(io::Io& io, const data::Schema& schema, FileSetOptions options)
      : io_(io), schema_(schema), options_(std::move(options)) {}

  // Rows of one partition, in order. Small batches wait in memory until there are enough
  // for an efficient page; `placements`, if not null, gets one entry a row, valid at
  // once.
  Status Add(const std::shared_ptr<arrow::RecordBatch>& rows, const Tuple& partition,
             std::vector<Placement>* placements);

  // Rows that are added from now on stand in other files: a sorted run is over.
  Status EndFiles();

  // Finishes and syncs all files and their folder. In the order of Placement::file.
  Result<std::vector<iceberg::DataFile>> Close();

  // Removes what was written; errors are of no use to anybody then.
  void Discard();

  int64_t open_bytes() const;

 private:
  struct OpenFile {
    int32_t number = 0;
    int64_t rows = 0;  // placed, written or waiting
    std::vector<std::shared_ptr<arrow::RecordBatch>> waiting;
    int64_t waiting_rows = 0, waiting_bytes = 0;
    std::unique_ptr<codec::ParquetWriter> writer;
  };
  Status Flush(OpenFile& file);
  Status Finish(OpenFile& file, const Tuple& partition);
  Status CloseLargest();
  Result<OpenFile*> FileFor(const Tuple& partition);

  io::Io& io_;
  const data::Schema schema_;
  const FileSetOptions options_;
  std::map<Tuple, OpenFile> open_;
  std::vector<iceberg::DataFile> files_;  // by number; complete once finished
};

}  // namespace weir::publish
