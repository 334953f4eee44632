#include <arrow/compute/cast.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <charconv>

#include "codec/parquet_internal.h"
#include "data/arrow.h"

namespace weir::codec {
namespace {

int FieldId(const arrow::Field& field) {
  if (field.metadata() == nullptr) return -1;
  const int at = field.metadata()->FindKey("PARQUET:field_id");
  if (at < 0) return -1;
  const std::string& text = field.metadata()->value(at);
  int id = -1;
  std::from_chars(text.data(), text.data() + text.size(), id);
  return id;
}

Result<std::shared_ptr<arrow::Array>> Conform(const std::shared_ptr<arrow::Array>& array,
                                              const data::Type& type);

// The wanted fields out of a struct's children, by id; what the file lacks is null.
Result<std::shared_ptr<arrow::Array>> ConformStruct(const arrow::StructArray& array,
                                                    const data::Type& type) {
  std::vector<std::shared_ptr<arrow::ArrayData>> children;
  for (const data::Field& wanted : type.fields) {
    std::shared_ptr<arrow::Array> child;
    for (int i = 0; i < array.num_fields() && child == nullptr; ++i) {
      if (FieldId(*array.struct_type()->field(i)) == wanted.id)
        child = WEIR_TRY(Conform(array.field(i), wanted.type));
    }
    if (child == nullptr)
      child =
          WEIR_ARROW(arrow::MakeArrayOfNull(data::ToArrow(wanted.type), array.length()));
    children.push_back(child->data());
  }
  // StructArray::field() has applied the offset to the children, so it must not be
  // applied again.
  std::shared_ptr<arrow::Buffer> validity = array.null_bitmap();
  if (validity != nullptr && array.offset() != 0) {
    validity = WEIR_ARROW(arrow::internal::CopyBitmap(
        arrow::default_memory_pool(), validity->data(), array.offset(), array.length()));
  }
  return arrow::MakeArray(arrow::ArrayData::Make(data::ToArrow(type), array.length(),
                                                 {validity}, std::move(children),
                                                 array.null_count()));
}

// An array of the file as the type that is wanted: narrower numbers widened, nested
// fields matched by id.
Result<std::shared_ptr<arrow::Array>> Conform(const std::shared_ptr<arrow::Array>& array,
                                              const data::Type& type) {
  const std::shared_ptr<arrow::DataType> wanted = data::ToArrow(type);
  switch (type.kind) {
    case data::Kind::kStruct:
      if (array->type_id() != arrow::Type::STRUCT) break;
      return ConformStruct(static_cast<const arrow::StructArray&>(*array), type);
    case data::Kind::kList: {
      if (array->type_id() != arrow::Type::LIST) break;
      auto copy = array->data()->Copy();
      copy->child_data[0] =
          WEIR_TRY(Conform(static_cast<const arrow::ListArray&>(*array).values(),
                           type.fields[0].type))
              ->data();
      copy->type = wanted;
      return arrow::MakeArray(copy);
    }
    case data::Kind::kMap: {
      if (array->type_id() != arrow::Type::MAP) break;
      const auto& map = static_cast<const arrow::MapArray&>(*array);
      const auto keys = WEIR_TRY(Conform(map.keys(), type.fields[0].type));
      const auto values = WEIR_TRY(Conform(map.items(), type.fields[1].type));
      auto copy = array->data()->Copy();
      auto entries = arrow::ArrayData::Make(wanted->field(0)->type(), keys->length(),
                                            {nullptr}, {keys->data(), values->data()}, 0);
      copy->child_data[0] = std::move(entries);
      copy->type = wanted;
      return arrow::MakeArray(copy);
    }
    default:
      if (array->type()->Equals(*wanted)) return array;
      return WEIR_ARROW(arrow::compute::Cast(*array, wanted));
  }
  return Error{Code::kCorrupt,
               fmt::format("a column is {} in the file and {} in the table",
                           array->type()->ToString(), wanted->ToString())};
}

void AddLeaves(const parquet::schema::Node& node, const parquet::SchemaDescriptor& schema,
               std::vector<int>* leaves) {
  if (node.is_primitive()) {
    leaves->push_back(schema.ColumnIndex(node));
    return;
  }
  const auto& group = static_cast<const parquet::schema::GroupNode&>(node);
  for (int i = 0; i < group.field_count(); ++i)
    AddLeaves(*group.field(i), schema, leaves);
}

class FileReaderImpl final : public ParquetReader {
 public:
  FileReaderImpl(std::string path, const ParquetReadOptions& options)
      : path_(std::move(path)), batch_rows_(options.batch_rows) {}

  Status Open(std::unique_ptr<io::File> file, const data::Schema& schema,
              const ParquetReadOptions& options) {
    const auto size = static_cast<int64_t>(WEIR_TRY(file->Size()));
    if (Status sound = CheckFooter(*file, static_cast<uint64_t>(size)); !sound.ok())
      return std::move(sound).error().Within(path_);
    auto source = std::make_shared<FileSource>(std::move(file), size);
    try {
      parquet::ReaderProperties checked;
      checked.set_page_checksum_verification(true);
      auto parquet_reader = parquet::ParquetFileReader::Open(std::move(source), checked);
      parquet::ArrowReaderProperties properties(/*use_threads=*/false);
      properties.set_pre_buffer(false);
      properties.set_batch_size(batch_rows_);
      reader_ = WEIR_TRY(Checked(parquet::arrow::FileReader::Make(
          arrow::default_memory_pool(), std::move(parquet_reader), properties)));
      metadata_ = reader_->parquet_reader()->metadata();
      Select(schema, options);
      Prune(options);
    } catch (const std::exception& e) {
      return Error{Code::kCorrupt, fmt::format("{}: {}", path_, e.what())};
    }
    return {};
  }

  Result<std::shared_ptr<arrow::RecordBatch>> Next(int64_t* first_position) override {
    while (true) {
      if (batches_ == nullptr) {
        if (next_group_ == groups_.size()) return std::shared_ptr<arrow::RecordBatch>();
        position_ = groups_[next_group_].first_row;
        group_end_ =
            position_ + metadata_->RowGroup(groups_[next_group_].index)->num_rows();
        if (!leaves_.empty())
          batches_ = WEIR_TRY(Checked(OpenGroup(groups_[next_group_].index)));
        ++next_group_;
        if (leaves_.empty()) return CountOnly(first_position);
      }
      std::shared_ptr<arrow::RecordBatch> raw;
      WEIR_TRY(Checked(ReadNext(&raw)));
      if (raw == nullptr) {
        // Headers of pages have no checksums: one that lies about its values ends its
        // column early.
        if (position_ != group_end_)
          return Corrupt(
              fmt::format("{}: row group {} ends at row {} and should end at {}", path_,
                          groups_[next_group_ - 1].index, position_, group_end_));
        batches_.reset();
        continue;
      }
      *first_position = position_;
      position_ += raw->num_rows();
      return Conformed(*raw);
    }
  }

  int64_t rows() const override { return metadata_->num_rows(); }
  int row_groups() const override { return metadata_->num_row_groups(); }
  int row_groups_kept() const override { return static_cast<int>(groups_.size()); }

 private:
  struct Group {
    int index;
    int64_t first_row;
  };

  void Select(const data::Schema& schema, const ParquetReadOptions& options) {
    std::vector<const data::Field*> wanted;
    for (const data::Field& field : schema.fields) {
      if (options.field_ids.empty()) wanted.push_back(&field);
    }
    for (const int id : options.field_ids) {
      const auto field = std::find_if(schema.fields.begin(), schema.fields.end(),
                                      [&](const data::Field& f) { return f.id == id; });
      WEIR_CHECK(field != schema.fields.end());
      wanted.push_back(&*field);
    }
    arrow::FieldVector fields;
    for (const data::Field* field : wanted) {
      fields_.push_back(*field);
      fields.push_back(data::ToArrow(*field));
      if (!HasField(field->id)) fields.back() = fields.back()->WithNullable(true);
    }
    output_ = arrow::schema(std::move(fields));
  }

  bool HasField(int id) {
    const parquet::schema::GroupNode& root = *metadata_->schema()->group_node();
    for (int i = 0; i < root.field_count(); ++i) {
      if (root.field(i)->field_id() != id) continue;
      AddLeaves(*root.field(i), *metadata_->schema(), &leaves_);
      return true;
    }
    return false;
  }

  void Prune(const ParquetReadOptions& options) {
    int64_t first_row = 0;
    for (int group = 0; group < metadata_->num_row_groups(); ++group) {
      if (!options.keep || options.keep(StatsOf(*metadata_, group, 1)))
        groups_.push_back({group, first_row});
      first_row += metadata_->RowGroup(group)->num_rows();
    }
  }

  arrow::Result<std::unique_ptr<arrow::RecordBatchReader>> OpenGroup(int group) {
    try {
      return reader_->GetRecordBatchReader({group}, leaves_);
    } catch (const std::exception& e) {
      return arrow::Status::IOError(e.what());
    }
  }

  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) {
    try {
      return batches_->ReadNext(out);
    } catch (const std::exception& e) {
      return arrow::Status::IOError(e.what());
    }
  }

  // None of the wanted columns is in the file: its rows are all nulls (or have no columns
  // at all).
  Result<std::shared_ptr<arrow::RecordBatch>> CountOnly(int64_t* first_position) {
    *first_position = position_;
    std::vector<std::shared_ptr<arrow::Array>> columns;
    for (const auto& field : output_->fields())
      columns.push_back(
          WEIR_ARROW(arrow::MakeArrayOfNull(field->type(), group_end_ - position_)));
    return arrow::RecordBatch::Make(output_, group_end_ - position_, std::move(columns));
  }

  Result<std::shared_ptr<arrow::RecordBatch>> Conformed(const arrow::RecordBatch& raw) {
    std::vector<std::shared_ptr<arrow::Array>> columns;
    for (size_t f = 0; f < fields_.size(); ++f) {
      std::shared_ptr<arrow::Array> column;
      for (int c = 0; c < raw.num_columns() && column == nullptr; ++c) {
        if (FieldId(*raw.schema()->field(c)) != fields_[f].id) continue;
        Result<std::shared_ptr<arrow::Array>> conformed =
            Conform(raw.column(c), fields_[f].type);
        if (!conformed.ok())
          return Error{conformed.error().code, path_ + ": " + conformed.error().message};
        column = *std::move(conformed);
      }
      if (column == nullptr)
        column = WEIR_ARROW(arrow::MakeArrayOfNull(
            output_->field(static_cast<int>(f))->type(), raw.num_rows()));
      columns.push_back(std::move(column));
    }
    return arrow::RecordBatch::Make(output_, raw.num_rows(), std::move(columns));
  }

  template <class T>
  Result<T> Checked(arrow::Result<T> result) {
    if (result.ok()) return std::move(result).ValueUnsafe();
    return Error{Code::kCorrupt, path_ + ": " + result.status().message()};
  }
  Status Checked(const arrow::Status& status) {
    if (status.ok()) return {};
    return Error{Code::kCorrupt, path_ + ": " + status.message()};
  }

  const std::string path_;
  const int64_t batch_rows_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::shared_ptr<parquet::FileMetaData> metadata_;
  std::vector<data::Field> fields_;
  std::shared_ptr<arrow::Schema> output_;
  std::vector<int> leaves_;
  std::vector<Group> groups_;
  size_t next_group_ = 0;
  int64_t position_ = 0, group_end_ = 0;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
};

}  // namespace

Result<std::unique_ptr<ParquetReader>> OpenParquet(io::Io& io, const std::string& path,
                                                   const data::Schema& schema,
                                                   const ParquetReadOptions& options) {
  std::unique_ptr<io::File> file = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  auto reader = std::make_unique<FileReaderImpl>(path, options);
  WEIR_TRY(reader->Open(std::move(file), schema, options));
  return std::unique_ptr<ParquetReader>(std::move(reader));
}

}  // namespace weir::codec
