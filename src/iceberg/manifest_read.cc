#include "avro/avro.h"
#include "iceberg/literal_internal.h"
#include "iceberg/manifest_internal.h"
#include "iceberg/manifest_schema_internal.h"

namespace weir::iceberg {
namespace {

using avro::Decoder;
using avro::Node;
using data::Kind;

constexpr int kKey = 0, kValue = 1;  // of the records that stand for map entries

// Values as the writer's schema has them: the field may be optional or not, an int or a
// long.
std::optional<int64_t> GetLong(Decoder& in, const Node& type) {
  const Node& branch = in.Branch(type);
  if (branch.kind == avro::Kind::kInt || branch.kind == avro::Kind::kLong)
    return in.Long();
  in.Skip(branch);
  return std::nullopt;
}

std::optional<std::string_view> GetBytes(Decoder& in, const Node& type) {
  const Node& branch = in.Branch(type);
  if (branch.kind == avro::Kind::kString || branch.kind == avro::Kind::kBytes)
    return in.Bytes();
  if (branch.kind == avro::Kind::kFixed) return in.Raw(branch.size);
  in.Skip(branch);
  return std::nullopt;
}

std::optional<bool> GetBool(Decoder& in, const Node& type) {
  const Node& branch = in.Branch(type);
  if (branch.kind == avro::Kind::kBool) return in.Bool();
  in.Skip(branch);
  return std::nullopt;
}

std::optional<std::string> GetString(Decoder& in, const Node& type) {
  const auto bytes = GetBytes(in, type);
  return bytes ? std::optional(std::string(*bytes)) : std::nullopt;
}

// Calls `item` with the type of the items once per item; for a null, never.
template <class F>
void ForEachItem(Decoder& in, const Node& type, F item) {
  const Node& branch = in.Branch(type);
  if (branch.kind != avro::Kind::kArray) return in.Skip(branch);
  for (int64_t count = in.BlockCount(); count > 0; count = in.BlockCount()) {
    for (; count > 0 && in.ok(); --count) item(*branch.items);
  }
}

template <class Map, class F>
void GetIntKeyed(Decoder& in, const Node& type, Map* out, F value_of) {
  ForEachItem(in, type, [&](const Node& item) {
    if (item.kind != avro::Kind::kRecord || item.fields.size() != 2) return in.Skip(item);
    const int64_t key = GetLong(in, *item.fields[kKey].type).value_or(-1);
    (*out)[static_cast<int>(key)] = value_of(*item.fields[kValue].type);
  });
}

void GetCounts(Decoder& in, const Node& type, std::map<int, int64_t>* out) {
  GetIntKeyed(in, type, out,
              [&](const Node& value) { return GetLong(in, value).value_or(0); });
}

void GetBounds(Decoder& in, const Node& type, std::map<int, std::string>* out) {
  GetIntKeyed(in, type, out, [&](const Node& value) {
    return std::string(GetBytes(in, value).value_or(""));
  });
}

// A partition value as `wanted`, whose type the column may have been widened to since.
Literal GetPartitionValue(Decoder& in, const Node& type, const data::Type& wanted) {
  const Node& branch = in.Branch(type);
  switch (branch.kind) {
    case avro::Kind::kBool:
      return in.Bool();
    case avro::Kind::kInt:
    case avro::Kind::kLong: {
      const int64_t value = in.Long();
      if (wanted.kind == Kind::kInt32 || wanted.kind == Kind::kDate)
        return static_cast<int32_t>(value);
      return value;
    }
    case avro::Kind::kFloat: {
      const float value = in.Float();
      if (wanted.kind == Kind::kDouble) return double{value};
      return value;
    }
    case avro::Kind::kDouble:
      return in.Double();
    case avro::Kind::kString:
    case avro::Kind::kBytes:
    case avro::Kind::kFixed: {
      const std::string_view bytes =
          branch.kind == avro::Kind::kFixed ? in.Raw(branch.size) : in.Bytes();
      if (wanted.kind != Kind::kDecimal) return std::string(bytes);
      const Result<Int128> unscaled = DecimalFromBytes(bytes);
      return unscaled.ok() ? Literal(DecimalBytes(*unscaled)) : Literal();
    }
    default:
      in.Skip(branch);
      return {};
  }
}

// Decodes the entries of one manifest; fields are found by id, whatever their order.
class EntryReader {
 public:
  EntryReader(const ManifestFile& manifest, const PartitionSpec& spec,
              std::vector<data::Type> types)
      : manifest_(manifest),
        spec_(spec),
        types_(std::move(types)),
        next_row_id_(manifest.first_row_id) {}

  Result<ManifestEntry> Read(Decoder& in, const Node& record) {
    ManifestEntry entry;
    std::optional<int64_t> snapshot, sequence, file_sequence;
    for (const avro::Field& field : record.fields) {
      switch (field.id) {
        case entry_id::kStatus:
          entry.status = static_cast<EntryStatus>(GetLong(in, *field.type).value_or(0));
          break;
        case entry_id::kSnapshot:
          snapshot = GetLong(in, *field.type);
          break;
        case entry_id::kSequence:
          sequence = GetLong(in, *field.type);
          break;
        case entry_id::kFileSequence:
          file_sequence = GetLong(in, *field.type);
          break;
        case entry_id::kDataFile:
          ReadFile(in, in.Branch(*field.type), &entry);
          break;
        default:
          in.Skip(*field.type);
      }
    }
    entry.snapshot = snapshot ? SnapshotId{*snapshot} : manifest_.added_by;
    DataFile& file = entry.file;
    file.data_sequence_number = sequence.value_or(manifest_.sequence_number);
    file.file_sequence_number = file_sequence.value_or(manifest_.sequence_number);
    file.added_by = entry.snapshot;
    file.spec_id = spec_.id;
    file.is_deletion_vector = entry.content == FileContent::kPositionDeletes &&
                              data::SameName(entry.format, "puffin");
    if (!in.ok()) return Corrupt("an entry is cut short");
    if (entry.status > EntryStatus::kDeleted ||
        entry.content > FileContent::kEqualityDeletes)
      return Corrupt("an entry of unknown status or content: " + file.path);
    if (file.record_count < 0 || file.file_bytes < 0)
      return Corrupt("a file of a negative size: " + file.path);
    WEIR_TRY(InheritRowId(&entry));
    return entry;
  }

 private:
  void ReadFile(Decoder& in, const Node& record, ManifestEntry* entry) {
    DataFile& file = entry->file;
    for (const avro::Field& field : record.fields) {
      const Node& type = *field.type;
      switch (field.id) {
        case file_id::kContent:
          entry->content = static_cast<FileContent>(GetLong(in, type).value_or(0));
          break;
        case file_id::kPath:
          file.path = GetString(in, type).value_or("");
          break;
        case file_id::kFormat:
          entry->format = GetString(in, type).value_or("");
          break;
        case file_id::kPartition:
          ReadPartition(in, in.Branch(type), &file);
          break;
        case file_id::kRecords:
          file.record_count = GetLong(in, type).value_or(0);
          break;
        case file_id::kBytes:
          file.file_bytes = GetLong(in, type).value_or(0);
          break;
        case file_id::kColumnBytes:
          GetCounts(in, type, &file.column_bytes);
          break;
        case file_id::kValueCounts:
          GetCounts(in, type, &file.value_counts);
          break;
        case file_id::kNullCounts:
          GetCounts(in, type, &file.null_counts);
          break;
        case file_id::kNanCounts:
          GetCounts(in, type, &file.nan_counts);
          break;
        case file_id::kLower:
          GetBounds(in, type, &file.lower);
          break;
        case file_id::kUpper:
          GetBounds(in, type, &file.upper);
          break;
        case file_id::kKeyMetadata:
          entry->key_metadata = GetString(in, type);
          break;
        case file_id::kSplitOffsets:
          ForEachItem(in, type, [&](const Node& item) {
            file.split_offsets.push_back(GetLong(in, item).value_or(0));
          });
          break;
        case file_id::kEqualityIds:
          ForEachItem(in, type, [&](const Node& item) {
            entry->equality_ids.push_back(
                static_cast<int>(GetLong(in, item).value_or(0)));
          });
          break;
        case file_id::kSortOrder:
          if (const auto id = GetLong(in, type))
            file.sort_order_id = static_cast<int>(*id);
          break;
        case file_id::kFirstRowId:
          file.first_row_id = GetLong(in, type);
          break;
        case file_id::kReferencedFile:
          file.referenced_data_file = GetString(in, type).value_or("");
          break;
        case file_id::kContentOffset:
          file.content_offset = GetLong(in, type).value_or(0);
          break;
        case file_id::kContentBytes:
          file.content_bytes = GetLong(in, type).value_or(0);
          break;
        default:
          in.Skip(type);
      }
    }
  }

  void ReadPartition(Decoder& in, const Node& record, DataFile* file) {
    file->partition.resize(spec_.fields.size());
    for (const avro::Field& field : record.fields) {
      const auto found =
          std::find_if(spec_.fields.begin(), spec_.fields.end(),
                       [&](const PartitionField& f) { return f.field_id == field.id; });
      if (found == spec_.fields.end()) {
        in.Skip(*field.type);
        continue;
      }
      const auto i = static_cast<size_t>(found - spec_.fields.begin());
      file->partition[i] = GetPartitionValue(in, *field.type, types_[i]);
    }
  }

  // Files without a row id of their own take theirs from the manifest, in order.
  Status InheritRowId(ManifestEntry* entry) {
    if (!entry->is_live() || entry->content != FileContent::kData ||
        entry->file.first_row_id || !next_row_id_)
      return {};
    entry->file.first_row_id = *next_row_id_;
    if (__builtin_add_overflow(*next_row_id_, entry->file.record_count, &*next_row_id_))
      return Corrupt("row ids beyond 64 bits: " + entry->file.path);
    return {};
  }

  const ManifestFile& manifest_;
  const PartitionSpec& spec_;
  const std::vector<data::Type> types_;
  std::optional<int64_t> next_row_id_;
};

FieldSummary ReadSummary(Decoder& in, const Node& record) {
  FieldSummary summary;
  for (const avro::Field& field : record.fields) {
    switch (field.id) {
      case list_id::kContainsNull:
        summary.contains_null = GetBool(in, *field.type).value_or(true);
        break;
      case list_id::kContainsNan:
        summary.contains_nan = GetBool(in, *field.type);
        break;
      case list_id::kLower:
        summary.lower = GetString(in, *field.type);
        break;
      case list_id::kUpper:
        summary.upper = GetString(in, *field.type);
        break;
      default:
        in.Skip(*field.type);
    }
  }
  return summary;
}

ManifestFile ReadManifestFile(Decoder& in, const Node& record) {
  ManifestFile out;
  for (const avro::Field& field : record.fields) {
    const Node& type = *field.type;
    const auto number = [&] { return GetLong(in, type).value_or(0); };
    const auto count = [&] { return static_cast<int>(number()); };
    switch (field.id) {
      case list_id::kPath:
        out.path = GetString(in, type).value_or("");
        break;
      case list_id::kBytes:
        out.bytes = number();
        break;
      case list_id::kSpec:
        out.spec_id = count();
        break;
      case list_id::kContent:
        out.is_deletes = number() == 1;
        break;
      case list_id::kSequence:
        out.sequence_number = number();
        break;
      case list_id::kMinSequence:
        out.min_sequence_number = number();
        break;
      case list_id::kAddedBy:
        out.added_by = {number()};
        break;
      case list_id::kAddedFiles:
        out.added_files = count();
        break;
      case list_id::kExistingFiles:
        out.existing_files = count();
        break;
      case list_id::kDeletedFiles:
        out.deleted_files = count();
        break;
      case list_id::kAddedRows:
        out.added_rows = number();
        break;
      case list_id::kExistingRows:
        out.existing_rows = number();
        break;
      case list_id::kDeletedRows:
        out.deleted_rows = number();
        break;
      case list_id::kPartitions:
        ForEachItem(in, type, [&](const Node& item) {
          out.partitions.push_back(ReadSummary(in, in.Branch(item)));
        });
        break;
      case list_id::kKeyMetadata:
        out.key_metadata = GetString(in, type);
        break;
      case list_id::kFirstRowId:
        out.first_row_id = GetLong(in, type);
        break;
      default:
        in.Skip(type);
    }
  }
  return out;
}

// A field that is missed would read as 0, and a manifest that counts 0 files is left out.
// So what formats 2 and 3 require must be there.
Status RequireFields(const Node& record, std::initializer_list<int> ids) {
  for (const int id : ids) {
    if (std::none_of(record.fields.begin(), record.fields.end(),
                     [&](const avro::Field& field) { return field.id == id; }))
      return Corrupt(fmt::format("its schema lacks field {}", id));
  }
  return {};
}

Status CheckListSchema(const Node& root) {
  return RequireFields(
      root, {list_id::kPath, list_id::kBytes, list_id::kSpec, list_id::kContent,
             list_id::kSequence, list_id::kMinSequence, list_id::kAddedBy,
             list_id::kAddedFiles, list_id::kExistingFiles, list_id::kDeletedFiles,
             list_id::kAddedRows, list_id::kExistingRows, list_id::kDeletedRows});
}

Status CheckEntrySchema(const Node& root) {
  WEIR_TRY(
      RequireFields(root, {entry_id::kStatus, entry_id::kSnapshot, entry_id::kSequence,
                           entry_id::kFileSequence, entry_id::kDataFile}));
  const auto file =
      std::find_if(root.fields.begin(), root.fields.end(),
                   [](const avro::Field& f) { return f.id == entry_id::kDataFile; });
  return RequireFields(*file->type,
                       {file_id::kContent, file_id::kPath, file_id::kFormat,
                        file_id::kPartition, file_id::kRecords, file_id::kBytes});
}

// Calls `record` once per record of an Avro file.
template <class F>
Status ForEachRecord(io::Io& io, std::string_view uri, Status (*check)(const Node&),
                     F record) {
  avro::FileReader file =
      WEIR_TRY(avro::FileReader::Open(WEIR_TRY(io.ReadAll(WEIR_TRY(PathOf(uri))))));
  const Node& root = file.schema().root();
  if (root.kind != avro::Kind::kRecord)
    return Corrupt("not records: " + std::string(uri));
  WEIR_TRY(check(root));
  while (const auto block = WEIR_TRY(file.Next())) {
    Decoder in(block->bytes);
    for (int64_t i = 0; i < block->records; ++i) {
      WEIR_TRY(record(in, root));
      if (!in.ok()) return Corrupt("a record is cut short: " + std::string(uri));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<ManifestFile>> ReadManifestList(io::Io& io, std::string_view uri) {
  std::vector<ManifestFile> out;
  const Status read = ForEachRecord(io, uri, CheckListSchema,
                                    [&](Decoder& in, const Node& record) -> Status {
                                      out.push_back(ReadManifestFile(in, record));
                                      return {};
                                    });
  if (!read.ok()) return Error(read.error()).Within("manifest list " + std::string(uri));
  return out;
}

Result<std::vector<ManifestEntry>> ReadManifest(io::Io& io, const Metadata& metadata,
                                                const ManifestFile& manifest) {
  const auto spec = metadata.specs.find(manifest.spec_id);
  if (spec == metadata.specs.end())
    return Corrupt("unknown partition spec of manifest " + manifest.path);
  std::vector<data::Type> types;
  for (const PartitionField& field : spec->second.fields)
    types.push_back(WEIR_TRY(PartitionType(metadata, field)));

  std::vector<ManifestEntry> out;
  EntryReader reader(manifest, spec->second, std::move(types));
  const Status read = ForEachRecord(io, manifest.path, CheckEntrySchema,
                                    [&](Decoder& in, const Node& record) -> Status {
                                      out.push_back(WEIR_TRY(reader.Read(in, record)));
                                      return {};
                                    });
  if (!read.ok()) return Error(read.error()).Within("manifest " + manifest.path);
  return out;
}

}  // namespace weir::iceberg
