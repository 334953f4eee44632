#include <arrow/extension/uuid.h>
#include <arrow/util/byte_size.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/properties.h>

#include <cmath>
#include <unordered_set>

#include "base/hash.h"
#include "codec/parquet_internal.h"
#include "data/arrow.h"

namespace weir::codec {
namespace {

constexpr int64_t kSampleRows = 2048;
constexpr double kGuessedRatio =
    0.4;  // encoded bytes per Arrow byte, until the first row group says better

// Weir's Arrow types as they are written: a uuid carries its logical type.
std::shared_ptr<arrow::DataType> FileType(const data::Type& type);

std::shared_ptr<arrow::Field> FileField(const data::Field& field) {
  return data::ToArrow(field)->WithType(FileType(field.type));
}

std::shared_ptr<arrow::DataType> FileType(const data::Type& type) {
  switch (type.kind) {
    case data::Kind::kUuid:
      return arrow::extension::uuid();
    case data::Kind::kStruct: {
      arrow::FieldVector fields;
      for (const data::Field& field : type.fields) fields.push_back(FileField(field));
      return arrow::struct_(std::move(fields));
    }
    case data::Kind::kList:
      return arrow::list(FileField(type.fields[0]));
    case data::Kind::kMap:
      return std::make_shared<arrow::MapType>(FileField(type.fields[0]),
                                              FileField(type.fields[1]));
    default:
      return data::ToArrow(type);
  }
}

// The same values under another type of the same layout: field names, ids and nullability
// of nested types are the schema's, not the batch's. nullptr if the layouts differ.
std::shared_ptr<arrow::ArrayData> Relabel(const std::shared_ptr<arrow::ArrayData>& array,
                                          const std::shared_ptr<arrow::DataType>& type) {
  const arrow::DataType& storage =
      type->id() == arrow::Type::EXTENSION
          ? *static_cast<const arrow::ExtensionType&>(*type).storage_type()
          : *type;
  if (array->type->id() != storage.id() && array->type->id() != type->id())
    return nullptr;
  if (storage.num_fields() != static_cast<int>(array->child_data.size())) return nullptr;
  if (storage.num_fields() == 0 && array->type->id() == storage.id() &&
      !array->type->Equals(storage))
    return nullptr;
  auto relabelled = array->Copy();
  relabelled->type = type;
  for (int i = 0; i < storage.num_fields(); ++i) {
    relabelled->child_data[i] = Relabel(array->child_data[i], storage.field(i)->type());
    if (relabelled->child_data[i] == nullptr) return nullptr;
  }
  return relabelled;
}

template <class T>
int64_t CountNansOf(const arrow::ArrayData& array) {
  const T* values = array.GetValues<T>(1);
  int64_t nans = 0;
  for (int64_t i = 0; i < array.length; ++i) nans += std::isnan(values[i]);
  if (nans == 0 || array.GetNullCount() == 0) return nans;
  nans = 0;
  for (int64_t i = 0; i < array.length; ++i)
    nans += std::isnan(values[i]) && array.IsValid(i);
  return nans;
}

void CountNans(const data::Field& field, const arrow::ArrayData& array,
               std::map<int, int64_t>* counts) {
  switch (field.type.kind) {
    case data::Kind::kFloat:
      (*counts)[field.id] += CountNansOf<float>(array);
      return;
    case data::Kind::kDouble:
      (*counts)[field.id] += CountNansOf<double>(array);
      return;
    case data::Kind::kStruct:
      for (size_t i = 0; i < field.type.fields.size(); ++i) {
        const auto child = array.child_data[i]->Slice(array.offset, array.length);
        CountNans(field.type.fields[i], *child, counts);
      }
      return;
    default:
      return;
  }
}

// Whether most of the sampled values are different, so that a dictionary would only be
// built to be thrown away.
bool MostlyDistinct(const arrow::Array& column) {
  const int64_t rows = column.length(), step = std::max<int64_t>(1, rows / kSampleRows);
  std::unordered_set<uint64_t> seen;
  int64_t sampled = 0;
  const arrow::ArrayData& array = *column.data();
  const auto* fixed = dynamic_cast<const arrow::FixedWidthType*>(column.type().get());
  const int width = fixed != nullptr ? fixed->bit_width() / 8 : 0;
  const bool text =
      column.type_id() == arrow::Type::STRING || column.type_id() == arrow::Type::BINARY;
  if (!text && width == 0) return false;
  for (int64_t row = 0; row < rows; row += step) {
    if (column.IsNull(row)) continue;
    ++sampled;
    std::string_view value;
    if (text) {
      value = static_cast<const arrow::BinaryArray&>(column).GetView(row);
    } else {
      value = {reinterpret_cast<const char*>(array.buffers[1]->data()) +
                   (array.offset + row) * width,
               static_cast<size_t>(width)};
    }
    seen.insert(HashBytes64(value));
  }
  return sampled >= 32 && static_cast<int64_t>(seen.size()) * 2 > sampled;
}

std::shared_ptr<parquet::WriterProperties> Properties(const ParquetOptions& options,
                                                      const arrow::RecordBatch* sample) {
  parquet::WriterProperties::Builder builder;
  builder.compression(parquet::Compression::ZSTD)
      ->compression_level(options.zstd_level)
      ->data_pagesize(options.page_bytes)
      ->max_row_group_length(options.row_group_rows_max)
      ->enable_store_decimal_as_integer()
      ->enable_write_page_index()
      ->enable_page_checksum()
      ->created_by("Weir");
  for (int c = 0; sample != nullptr && c < sample->num_columns(); ++c) {
    const arrow::Array& column = *sample->column(c);
    if (column.type()->num_fields() > 0 || column.type_id() == arrow::Type::EXTENSION ||
        !MostlyDistinct(column))
      continue;
    const std::string& name = sample->schema()->field(c)->name();
    builder.disable_dictionary(name);
    switch (column.type_id()) {
      case arrow::Type::INT32:
      case arrow::Type::INT64:
      case arrow::Type::DATE32:
      case arrow::Type::TIME64:
      case arrow::Type::TIMESTAMP:
        builder.encoding(name, parquet::Encoding::DELTA_BINARY_PACKED);
        break;
      default:
        break;
    }
  }
  return builder.build();
}

class FileWriterImpl final : public ParquetWriter {
 public:
  FileWriterImpl(std::string path, std::unique_ptr<io::File> file,
                 const data::Schema& schema, const ParquetOptions& options)
      : path_(std::move(path)),
        schema_(schema),
        options_(options),
        sink_(std::make_shared<FileSink>(std::move(file))) {
    arrow::FieldVector fields;
    for (const data::Field& field : schema.fields) fields.push_back(FileField(field));
    arrow_schema_ = arrow::schema(std::move(fields));
  }

  Status Write(const arrow::RecordBatch& rows) override {
    const std::shared_ptr<arrow::RecordBatch> batch = WEIR_TRY(Conform(rows));
    if (writer_ == nullptr) WEIR_TRY(Open(batch.get()));
    for (size_t c = 0; c < schema_.fields.size(); ++c)
      CountNans(schema_.fields[c], *batch->column_data(static_cast<int>(c)),
                &nan_counts_);
    const int64_t bytes = WEIR_ARROW(arrow::util::ReferencedBufferSize(*batch));
    if (group_bytes_ > 0 && group_bytes_ + bytes > options_.row_group_bytes_max)
      WEIR_TRY(StartRowGroup());
    group_bytes_ += bytes;
    WEIR_TRY(Checked(writer_->WriteRecordBatch(*batch)));
    return {};
  }

  Result<ParquetStats> Close() override {
    if (writer_ == nullptr) WEIR_TRY(Open(nullptr));
    WEIR_TRY(Checked(writer_->Close()));
    const std::shared_ptr<parquet::FileMetaData> metadata = writer_->metadata();
    ParquetStats stats = StatsOf(*metadata, 0, metadata->num_row_groups());
    for (int group = 0; group < metadata->num_row_groups(); ++group) {
      stats.split_offsets.push_back(metadata->RowGroup(group)->file_offset());
    }
    stats.nan_counts = std::move(nan_counts_);
    sink_->SealFooter();
    stats.file_bytes = sink_->position();
    WEIR_TRY(sink_->SyncAndClose());
    return stats;
  }

  int64_t bytes_written() const override {
    const int64_t flushed = sink_->position();
    const double ratio = flushed_input_ > 0 ? static_cast<double>(flushed) /
                                                  static_cast<double>(flushed_input_)
                                            : kGuessedRatio;
    return flushed + static_cast<int64_t>(static_cast<double>(group_bytes_) * ratio);
  }

 private:
  Result<std::shared_ptr<arrow::RecordBatch>> Conform(const arrow::RecordBatch& rows) {
    if (rows.num_columns() != arrow_schema_->num_fields()) {
      return Error{Code::kInvalid,
                   fmt::format("{}: {} columns for a file of {}", path_,
                               rows.num_columns(), arrow_schema_->num_fields())};
    }
    std::vector<std::shared_ptr<arrow::ArrayData>> columns;
    for (int c = 0; c < rows.num_columns(); ++c) {
      const std::shared_ptr<arrow::Field>& field = arrow_schema_->field(c);
      columns.push_back(Relabel(rows.column_data(c), field->type()));
      if (columns.back() == nullptr) {
        return Error{
            Code::kInvalid,
            fmt::format("{}: column {} is {}, the file's is {}", path_, field->name(),
                        rows.column(c)->type()->ToString(), field->type()->ToString())};
      }
      if (!field->nullable() && columns.back()->GetNullCount() > 0) {
        return Error{Code::kInvalid,
                     fmt::format("{}: column {} is required and holds a null", path_,
                                 field->name())};
      }
    }
    return arrow::RecordBatch::Make(arrow_schema_, rows.num_rows(), std::move(columns));
  }

  Status Open(const arrow::RecordBatch* sample) {
    const auto arrow_properties = parquet::ArrowWriterProperties::Builder()
                                      .enable_compliant_nested_types()
                                      ->build();
    writer_ = WEIR_ARROW(parquet::arrow::FileWriter::Open(
        *arrow_schema_, arrow::default_memory_pool(), sink_, Properties(options_, sample),
        arrow_properties));
    return {};
  }

  Status StartRowGroup() {
    flushed_input_ += group_bytes_;
    group_bytes_ = 0;
    return Checked(writer_->NewBufferedRowGroup());
  }

  Status Checked(const arrow::Status& status) {
    if (status.ok()) return {};
    if (sink_->error()) return *sink_->error();
    Error error = data::ArrowError(status);
    error.message = path_ + ": " + error.message;
    return error;
  }

  const std::string path_;
  const data::Schema schema_;
  const ParquetOptions options_;
  std::shared_ptr<FileSink> sink_;
  std::shared_ptr<arrow::Schema> arrow_schema_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::map<int, int64_t> nan_counts_;
  int64_t group_bytes_ = 0, flushed_input_ = 0;
};

}  // namespace

Result<std::unique_ptr<ParquetWriter>> NewParquetWriter(io::Io& io,
                                                        const std::string& path,
                                                        const data::Schema& schema,
                                                        const ParquetOptions& options) {
  std::unique_ptr<io::File> file = WEIR_TRY(io.Open(path, io::OpenMode::kCreateNew));
  return std::unique_ptr<ParquetWriter>(
      std::make_unique<FileWriterImpl>(path, std::move(file), schema, options));
}

}  // namespace weir::codec
