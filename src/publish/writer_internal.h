// What the append-only and the keyed writer share.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "publish/file_set_internal.h"
#include "publish/merge_internal.h"
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

// How rows of this table are copied from file to file.
CopyOrder OrderedCopy(const TableWriterOptions& options,
                      const iceberg::Metadata& metadata);

// How large a file of `rows` live rows in so many bytes counts when files are chosen for
// a merge: what a sorted copy would not make larger is not small.
int64_t SizeForMerge(const TableWriterOptions& options, const iceberg::Metadata& metadata,
                     int64_t bytes, int64_t rows);

// Rows of weight n as n rows.
Result<data::Batch> Repeated(const data::Batch& batch);

// Splits rows by partition and adds them in order; `placements` (if not null) gets the
// place of row i at index i.
Status AddByPartition(Partitioner& partitioner, FileSet& files, const data::Batch& batch,
                      std::vector<Placement>* placements);

void RemoveFiles(io::Io& io, std::span<const iceberg::DataFile> files);

}  // namespace weir::publish
