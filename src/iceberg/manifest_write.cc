#include <cmath>

#include "avro/avro.h"
#include "iceberg/literal_internal.h"
#include "iceberg/manifest_internal.h"
#include "iceberg/manifest_schema_internal.h"
#include "iceberg/schema_json_internal.h"

namespace weir::iceberg {
namespace {

using avro::Encoder;
using data::Kind;

void PutOptional(Encoder& out, const std::optional<int64_t>& value) {
  out.Long(value ? 1 : 0);
  if (value) out.Long(*value);
}

void PutOptional(Encoder& out, const std::optional<std::string>& value) {
  out.Long(value ? 1 : 0);
  if (value) out.Bytes(*value);
}

// An optional array of `items`: null when it is empty.
template <class Items, class F>
void PutItems(Encoder& out, const Items& items, F item) {
  out.Long(items.empty() ? 0 : 1);
  if (items.empty()) return;
  out.Long(static_cast<int64_t>(items.size()));
  for (const auto& each : items) item(each);
  out.Long(0);
}

void PutCounts(Encoder& out, const std::map<int, int64_t>& counts) {
  PutItems(out, counts, [&](const auto& entry) {
    out.Int(entry.first);
    out.Long(entry.second);
  });
}

void PutBounds(Encoder& out, const std::map<int, std::string>& bounds) {
  PutItems(out, bounds, [&](const auto& entry) {
    out.Int(entry.first);
    out.Bytes(entry.second);
  });
}

void PutPartitionValue(Encoder& out, const data::Type& type, const Literal& value) {
  if (std::holds_alternative<std::monostate>(value)) return out.Long(0);
  out.Long(1);
  if (const auto* v = std::get_if<bool>(&value)) return out.Bool(*v);
  if (const auto* v = std::get_if<int32_t>(&value)) return out.Int(*v);
  if (const auto* v = std::get_if<int64_t>(&value)) return out.Long(*v);
  if (const auto* v = std::get_if<float>(&value)) return out.Float(*v);
  if (const auto* v = std::get_if<double>(&value)) return out.Double(*v);
  const std::string& bytes = std::get<std::string>(value);
  if (type.kind == Kind::kUuid) return out.Raw(bytes);
  if (type.kind != Kind::kDecimal) return out.Bytes(bytes);
  const char sign = !bytes.empty() && (bytes[0] & 0x80) != 0 ? '\xff' : '\0';
  out.Raw(std::string(DecimalSize(type.precision) - bytes.size(), sign) + bytes);
}

// The Literal alternative that values of this type use.
bool Fits(const data::Type& type, const Literal& value) {
  switch (type.kind) {
    case Kind::kBool:
      return std::holds_alternative<bool>(value);
    case Kind::kInt32:
    case Kind::kDate:
      return std::holds_alternative<int32_t>(value);
    case Kind::kInt64:
    case Kind::kTime:
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      return std::holds_alternative<int64_t>(value);
    case Kind::kFloat:
      return std::holds_alternative<float>(value);
    case Kind::kDouble:
      return std::holds_alternative<double>(value);
    case Kind::kDecimal: {
      const auto* bytes = std::get_if<std::string>(&value);
      return bytes != nullptr && !bytes->empty() &&
             bytes->size() <= DecimalSize(type.precision);
    }
    case Kind::kUuid:
      return std::holds_alternative<std::string>(value) &&
             std::get<std::string>(value).size() == 16;
    case Kind::kString:
    case Kind::kBinary:
      return std::holds_alternative<std::string>(value);
    case Kind::kStruct:
    case Kind::kList:
    case Kind::kMap:
      break;
  }
  return false;
}

Status CheckPartition(const PartitionSpec& spec, const std::vector<data::Type>& types,
                      const DataFile& file) {
  if (file.partition.size() != types.size()) {
    return Invalid(fmt::format("{} partition values for the {} fields of spec {}: {}",
                               file.partition.size(), types.size(), spec.id, file.path));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (std::holds_alternative<std::monostate>(file.partition[i]) ||
        Fits(types[i], file.partition[i]))
      continue;
    return Invalid(fmt::format("partition value {} is not a {}: {}", spec.fields[i].name,
                               data::TypeName(types[i]), file.path));
  }
  return {};
}

bool IsNan(const Literal& value) {
  if (const auto* v = std::get_if<float>(&value)) return std::isnan(*v);
  if (const auto* v = std::get_if<double>(&value)) return std::isnan(*v);
  return false;
}

// The least and the largest value of each partition field, over the files of one
// manifest.
class PartitionSummary {
 public:
  explicit PartitionSummary(const std::vector<data::Type>& types)
      : types_(types), ranges_(types.size()) {}

  void Add(const std::vector<Literal>& partition) {
    for (size_t i = 0; i < types_.size(); ++i) {
      const Literal& value = partition[i];
      Range& range = ranges_[i];
      if (std::holds_alternative<std::monostate>(value)) {
        range.null = true;
      } else if (IsNan(value)) {
        range.nan = true;
      } else {
        if (!range.low || Compare(types_[i], value, *range.low) < 0) range.low = value;
        if (!range.high || Compare(types_[i], value, *range.high) > 0) range.high = value;
      }
    }
  }

  std::vector<FieldSummary> Finish() const {
    std::vector<FieldSummary> out;
    for (size_t i = 0; i < types_.size(); ++i) {
      FieldSummary summary{ranges_[i].null, ranges_[i].nan, {}, {}};
      if (ranges_[i].low) summary.lower = BinaryValue(types_[i], *ranges_[i].low);
      if (ranges_[i].high) summary.upper = BinaryValue(types_[i], *ranges_[i].high);
      out.push_back(std::move(summary));
    }
    return out;
  }

 private:
  struct Range {
    bool null = false, nan = false;
    std::optional<Literal> low, high;
  };
  const std::vector<data::Type>& types_;
  std::vector<Range> ranges_;
};

// In the order of ManifestEntrySchema. `inherits`: the entry's sequence numbers are those
// of the manifest.
void PutEntry(Encoder out, int format_version, const std::vector<data::Type>& types,
              const ManifestEntry& entry, bool inherits) {
  const DataFile& file = entry.file;
  out.Int(static_cast<int>(entry.status));
  PutOptional(out, entry.snapshot.value);
  PutOptional(out, inherits ? std::nullopt : std::optional(file.data_sequence_number));
  PutOptional(out, inherits ? std::nullopt : std::optional(file.file_sequence_number));
  out.Int(static_cast<int>(entry.content));
  out.Bytes(file.path);
  out.Bytes(entry.format);
  for (size_t i = 0; i < types.size(); ++i)
    PutPartitionValue(out, types[i], file.partition[i]);
  out.Long(file.record_count);
  out.Long(file.file_bytes);
  PutCounts(out, file.column_bytes);
  PutCounts(out, file.value_counts);
  PutCounts(out, file.null_counts);
  PutCounts(out, file.nan_counts);
  PutBounds(out, file.lower);
  PutBounds(out, file.upper);
  PutOptional(out, entry.key_metadata);
  PutItems(out, file.split_offsets, [&](int64_t offset) { out.Long(offset); });
  PutItems(out, entry.equality_ids, [&](int id) { out.Int(id); });
  PutOptional(out, file.sort_order_id ? std::optional<int64_t>(*file.sort_order_id)
                                      : std::nullopt);
  if (format_version >= 3) PutOptional(out, file.first_row_id);
  PutOptional(out, file.referenced_data_file.empty()
                       ? std::nullopt
                       : std::optional(file.referenced_data_file));
  if (format_version < 3) return;
  PutOptional(
      out, file.is_deletion_vector ? std::optional(file.content_offset) : std::nullopt);
  PutOptional(out,
              file.is_deletion_vector ? std::optional(file.content_bytes) : std::nullopt);
}

void Count(const ManifestEntry& entry, ManifestFile* manifest) {
  const int64_t rows = entry.file.record_count;
  switch (entry.status) {
    case EntryStatus::kAdded:
      ++manifest->added_files;
      manifest->added_rows += rows;
      break;
    case EntryStatus::kExisting:
      ++manifest->existing_files;
      manifest->existing_rows += rows;
      break;
    case EntryStatus::kDeleted:
      ++manifest->deleted_files;
      manifest->deleted_rows += rows;
      break;
  }
}

std::map<std::string, std::string> ManifestHeader(const Metadata& metadata, int schema_id,
                                                  const PartitionSpec& spec,
                                                  bool is_deletes,
                                                  const data::Schema& entry_schema) {
  const auto identifier = metadata.identifier_field_ids.find(schema_id);
  const std::vector<int> ids = identifier == metadata.identifier_field_ids.end()
                                   ? std::vector<int>{}
                                   : identifier->second;
  return {{"schema", SchemaToJson(metadata.schemas.at(schema_id), schema_id, ids).dump()},
          {"schema-id", std::to_string(schema_id)},
          {"partition-spec", SpecFieldsToJson(spec).dump()},
          {"partition-spec-id", std::to_string(spec.id)},
          {"format-version", std::to_string(metadata.format_version)},
          {"content", is_deletes ? "deletes" : "data"},
          {"iceberg.schema", SchemaToJson(entry_schema, 0, {}).dump()}};
}

class ManifestEncoder {
 public:
  static Result<ManifestEncoder> New(const Metadata& metadata, int schema_id, int spec_id,
                                     bool is_deletes) {
    const PartitionSpec& spec = metadata.specs.at(spec_id);
    std::vector<data::Type> types;
    for (const PartitionField& field : spec.fields)
      types.push_back(WEIR_TRY(PartitionType(metadata, field)));
    const data::Schema schema = WEIR_TRY(ManifestEntrySchema(metadata, spec));
    avro::FileWriter file(AvroRecord("manifest_entry", schema.fields).dump(),
                          ManifestHeader(metadata, schema_id, spec, is_deletes, schema),
                          avro::Codec::kDeflate);
    return ManifestEncoder(metadata.format_version, spec, std::move(types),
                           std::move(file));
  }

  Status Add(const ManifestEntry& entry, bool inherits) {
    WEIR_TRY(CheckPartition(spec_, types_, entry.file));
    PutEntry(file_.record(), format_version_, types_, entry, inherits);
    file_.EndRecord();
    return {};
  }
  std::string Finish() && { return std::move(file_).Finish(); }
  const std::vector<data::Type>& types() const { return types_; }

 private:
  ManifestEncoder(int format_version, const PartitionSpec& spec,
                  std::vector<data::Type> types, avro::FileWriter file)
      : format_version_(format_version),
        spec_(spec),
        types_(std::move(types)),
        file_(std::move(file)) {}

  int format_version_;
  const PartitionSpec& spec_;
  std::vector<data::Type> types_;
  avro::FileWriter file_;
};

// In the order of ManifestListSchema.
void PutManifestFile(Encoder out, int format_version, const ManifestFile& manifest) {
  out.Bytes(manifest.path);
  out.Long(manifest.bytes);
  out.Int(manifest.spec_id);
  out.Int(manifest.is_deletes ? 1 : 0);
  out.Long(manifest.sequence_number);
  out.Long(manifest.min_sequence_number);
  out.Long(manifest.added_by.value);
  out.Int(manifest.added_files);
  out.Int(manifest.existing_files);
  out.Int(manifest.deleted_files);
  out.Long(manifest.added_rows);
  out.Long(manifest.existing_rows);
  out.Long(manifest.deleted_rows);
  PutItems(out, manifest.partitions, [&](const FieldSummary& summary) {
    out.Bool(summary.contains_null);
    out.Long(summary.contains_nan ? 1 : 0);
    if (summary.contains_nan) out.Bool(*summary.contains_nan);
    PutOptional(out, summary.lower);
    PutOptional(out, summary.upper);
  });
  PutOptional(out, manifest.key_metadata);
  if (format_version >= 3) PutOptional(out, manifest.first_row_id);
}

}  // namespace

std::string ManifestListBytes(const Metadata& metadata, const Snapshot& snapshot,
                              const std::vector<ManifestFile>& manifests) {
  const data::Schema schema = ManifestListSchema(metadata.format_version);
  std::map<std::string, std::string> header = {
      {"snapshot-id", std::to_string(snapshot.id.value)},
      {"parent-snapshot-id",
       snapshot.parent ? std::to_string(snapshot.parent->value) : "null"},
      {"sequence-number", std::to_string(snapshot.sequence_number)},
      {"format-version", std::to_string(metadata.format_version)},
      {"iceberg.schema", SchemaToJson(schema, 0, {}).dump()}};
  if (snapshot.first_row_id)
    header["first-row-id"] = std::to_string(*snapshot.first_row_id);
  avro::FileWriter file(AvroRecord("manifest_file", schema.fields).dump(), header,
                        avro::Codec::kDeflate);
  for (const ManifestFile& manifest : manifests) {
    PutManifestFile(file.record(), metadata.format_version, manifest);
    file.EndRecord();
  }
  return std::move(file).Finish();
}

Result<std::string> ManifestBytes(const Metadata& metadata, const Snapshot& snapshot,
                                  const std::vector<ManifestEntry>& entries,
                                  ManifestFile* manifest) {
  ManifestEncoder file = WEIR_TRY(ManifestEncoder::New(
      metadata, snapshot.schema_id, manifest->spec_id, manifest->is_deletes));
  PartitionSummary summary(file.types());
  manifest->sequence_number = snapshot.sequence_number;
  manifest->min_sequence_number = snapshot.sequence_number;
  manifest->added_by = snapshot.id;
  for (const ManifestEntry& entry : entries) {
    WEIR_TRY(file.Add(entry, /*inherits=*/entry.status == EntryStatus::kAdded));
    Count(entry, manifest);
    summary.Add(entry.file.partition);
    if (entry.status == EntryStatus::kExisting) {
      manifest->min_sequence_number =
          std::min(manifest->min_sequence_number, entry.file.data_sequence_number);
    }
  }
  manifest->partitions = summary.Finish();
  std::string bytes = std::move(file).Finish();
  manifest->bytes = static_cast<int64_t>(bytes.size());
  return bytes;
}

Result<std::string> RewrittenManifestBytes(const Metadata& metadata, int schema_id,
                                           const ManifestFile& manifest,
                                           const std::vector<ManifestEntry>& entries) {
  ManifestEncoder file = WEIR_TRY(
      ManifestEncoder::New(metadata, schema_id, manifest.spec_id, manifest.is_deletes));
  for (const ManifestEntry& entry : entries) {
    const bool inherits = entry.status == EntryStatus::kAdded &&
                          entry.file.data_sequence_number == manifest.sequence_number &&
                          entry.file.file_sequence_number == manifest.sequence_number;
    WEIR_TRY(file.Add(entry, inherits));
  }
  return std::move(file).Finish();
}

}  // namespace weir::iceberg
