#include "iceberg/manifest_schema_internal.h"

#include "iceberg/literal_internal.h"

namespace weir::iceberg {
namespace {

using data::Field;
using data::Kind;
using data::Simple;

Field Required(int id, std::string name, data::Type type) {
  return {std::move(name), std::move(type), true, id};
}
Field Optional(int id, std::string name, data::Type type) {
  return {std::move(name), std::move(type), false, id};
}

data::Type IntKeyed(int key_id, int value_id, Kind value) {
  data::Type type = Simple(Kind::kMap);
  type.fields = {Required(key_id, "key", Simple(Kind::kInt32)),
                 Required(value_id, "value", Simple(value))};
  return type;
}

data::Type ListWithId(int id, data::Type element) {
  data::Type type = data::ListOf(std::move(element));
  type.fields[0].id = id;
  type.fields[0].required = true;
  return type;
}

std::vector<Field> DataFileFields(int format_version, data::Type partition) {
  std::vector<Field> fields = {
      Required(file_id::kContent, "content", Simple(Kind::kInt32)),
      Required(file_id::kPath, "file_path", Simple(Kind::kString)),
      Required(file_id::kFormat, "file_format", Simple(Kind::kString)),
      Required(file_id::kPartition, "partition", std::move(partition)),
      Required(file_id::kRecords, "record_count", Simple(Kind::kInt64)),
      Required(file_id::kBytes, "file_size_in_bytes", Simple(Kind::kInt64)),
      Optional(file_id::kColumnBytes, "column_sizes", IntKeyed(117, 118, Kind::kInt64)),
      Optional(file_id::kValueCounts, "value_counts", IntKeyed(119, 120, Kind::kInt64)),
      Optional(file_id::kNullCounts, "null_value_counts",
               IntKeyed(121, 122, Kind::kInt64)),
      Optional(file_id::kNanCounts, "nan_value_counts", IntKeyed(138, 139, Kind::kInt64)),
      Optional(file_id::kLower, "lower_bounds", IntKeyed(126, 127, Kind::kBinary)),
      Optional(file_id::kUpper, "upper_bounds", IntKeyed(129, 130, Kind::kBinary)),
      Optional(file_id::kKeyMetadata, "key_metadata", Simple(Kind::kBinary)),
      Optional(file_id::kSplitOffsets, "split_offsets",
               ListWithId(133, Simple(Kind::kInt64))),
      Optional(file_id::kEqualityIds, "equality_ids",
               ListWithId(136, Simple(Kind::kInt32))),
      Optional(file_id::kSortOrder, "sort_order_id", Simple(Kind::kInt32)),
  };
  if (format_version >= 3)
    fields.push_back(
        Optional(file_id::kFirstRowId, "first_row_id", Simple(Kind::kInt64)));
  fields.push_back(
      Optional(file_id::kReferencedFile, "referenced_data_file", Simple(Kind::kString)));
  if (format_version >= 3) {
    fields.push_back(
        Optional(file_id::kContentOffset, "content_offset", Simple(Kind::kInt64)));
    fields.push_back(
        Optional(file_id::kContentBytes, "content_size_in_bytes", Simple(Kind::kInt64)));
  }
  return fields;
}

}  // namespace

Result<data::Schema> ManifestEntrySchema(const Metadata& metadata,
                                         const PartitionSpec& spec) {
  data::Type partition = Simple(Kind::kStruct);
  for (const PartitionField& field : spec.fields) {
    partition.fields.push_back(
        Optional(field.field_id, field.name, WEIR_TRY(PartitionType(metadata, field))));
  }
  return data::Schema{{
      Required(entry_id::kStatus, "status", Simple(Kind::kInt32)),
      Optional(entry_id::kSnapshot, "snapshot_id", Simple(Kind::kInt64)),
      Optional(entry_id::kSequence, "sequence_number", Simple(Kind::kInt64)),
      Optional(entry_id::kFileSequence, "file_sequence_number", Simple(Kind::kInt64)),
      Required(
          entry_id::kDataFile, "data_file",
          data::StructOf(DataFileFields(metadata.format_version, std::move(partition)))),
  }};
}

data::Schema ManifestListSchema(int format_version) {
  const data::Type summary = data::StructOf({
      Required(list_id::kContainsNull, "contains_null", Simple(Kind::kBool)),
      Optional(list_id::kContainsNan, "contains_nan", Simple(Kind::kBool)),
      Optional(list_id::kLower, "lower_bound", Simple(Kind::kBinary)),
      Optional(list_id::kUpper, "upper_bound", Simple(Kind::kBinary)),
  });
  data::Schema schema{{
      Required(list_id::kPath, "manifest_path", Simple(Kind::kString)),
      Required(list_id::kBytes, "manifest_length", Simple(Kind::kInt64)),
      Required(list_id::kSpec, "partition_spec_id", Simple(Kind::kInt32)),
      Required(list_id::kContent, "content", Simple(Kind::kInt32)),
      Required(list_id::kSequence, "sequence_number", Simple(Kind::kInt64)),
      Required(list_id::kMinSequence, "min_sequence_number", Simple(Kind::kInt64)),
      Required(list_id::kAddedBy, "added_snapshot_id", Simple(Kind::kInt64)),
      Required(list_id::kAddedFiles, "added_files_count", Simple(Kind::kInt32)),
      Required(list_id::kExistingFiles, "existing_files_count", Simple(Kind::kInt32)),
      Required(list_id::kDeletedFiles, "deleted_files_count", Simple(Kind::kInt32)),
      Required(list_id::kAddedRows, "added_rows_count", Simple(Kind::kInt64)),
      Required(list_id::kExistingRows, "existing_rows_count", Simple(Kind::kInt64)),
      Required(list_id::kDeletedRows, "deleted_rows_count", Simple(Kind::kInt64)),
      Optional(list_id::kPartitions, "partitions",
               ListWithId(list_id::kSummary, summary)),
      Optional(list_id::kKeyMetadata, "key_metadata", Simple(Kind::kBinary)),
  }};
  if (format_version >= 3)
    schema.fields.push_back(
        Optional(list_id::kFirstRowId, "first_row_id", Simple(Kind::kInt64)));
  return schema;
}

}  // namespace weir::iceberg
