// What the append-only and the keyed writer share.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "publish/file_set_internal.h"
#include "publish/partition_internal.h"
#include "publish/table_writer.h"

namespace weir::publish {

Result<std::unique_ptr<TableWriter>> OpenAppendWriter(io::Io& io,
                                                      TableWriterOptions options);
Result<std::unique_ptr<TableWriter>> OpenKeyedWriter(io::Io& io,
                                                     TableWriterOptions options);

// Files of the current spec, whose names begin with `prefix`.
FileSetOptions FilesOptions(const TableWriterOptions& options,
                            const iceberg::Metadata& metadata, std::string_view prefix);

// Rows of weight n as n rows.
Result<data::Batch> Repeated(const data::Batch& batch);

// Splits rows by partition and adds them in order; `placements` (if not null) gets the
// place of row i at index i.
Status AddByPartition(Partitioner& partitioner, FileSet& files, const data::Batch& batch,
                      std::vector<Placement>* placements);

void RemoveFiles(io::Io& io, std::span<const iceberg::DataFile> files);

}  // namespace weir::publish
