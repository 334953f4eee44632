#include "codec/parquet_rows.h"

#include <arrow/api.h>
#include <arrow/extension_type.h>
#include <arrow/util/float16.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <cmath>

#include "base/time.h"
#include "codec/json_text_internal.h"
#include "codec/parquet_internal.h"
#include "data/arrow.h"

namespace weir::codec {
namespace {

constexpr int64_t kDayMillis = 86'400'000;
constexpr int64_t kBatchRows = 4096;
// Of the rows that are decoded at a time, as the footer counts them.
constexpr int64_t kBatchBytes = 16 << 20;
// Of all that is in memory of a file; broken ones may ask for anything.
constexpr int64_t kMemoryMax = 1 << 30;

void AppendBase64(std::string_view bytes, std::string* out) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k)
      three = three << 8 | (k < left ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k)
      out->push_back(k <= left ? kDigits[three >> (18 - 6 * k) & 63] : '=');
  }
}

std::optional<Micros> MicrosOf(int64_t value, arrow::TimeUnit::type unit) {
  int64_t out = value;
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return __builtin_mul_overflow(value, 1'000'000, &out) ? std::nullopt
                                                            : std::optional(out);
    case arrow::TimeUnit::MILLI:
      return __builtin_mul_overflow(value, 1000, &out) ? std::nullopt
                                                       : std::optional(out);
    case arrow::TimeUnit::MICRO:
      return value;
    case arrow::TimeUnit::NANO:
      return value / 1000 - (value % 1000 < 0 ? 1 : 0);
  }
  return std::nullopt;
}

// Writes values of one batch.
class RowWriter {
 public:
  explicit RowWriter(std::string* out) : out_(*out) {}

  void Object(const arrow::RecordBatch& batch, int64_t row) {
    out_ += '{';
    for (int c = 0; c < batch.num_columns(); ++c) {
      if (c > 0) out_ += ',';
      AppendJsonString(batch.column_name(c), &out_);
      out_ += ':';
      Value(*batch.column(c), row);
    }
    out_ += '}';
  }

 private:
  template <class To, class From>
  static const To& As(const From& from) {
    return static_cast<const To&>(from);
  }
  template <class Array>
  void Whole(const arrow::Array& array, int64_t row) {
    fmt::format_to(std::back_inserter(out_), "{}", As<Array>(array).Value(row));
  }

  void Fraction(double value) {
    if (std::isfinite(value)) {
      fmt::format_to(std::back_inserter(out_), "{}", value);
    } else {
      out_ += std::isnan(value) ? "\"NaN\""
              : value > 0       ? "\"Infinity\""
                                : "\"-Infinity\"";
    }
  }

  void Binary(std::string_view bytes) {
    out_ += '"';
    AppendBase64(bytes, &out_);
    out_ += '"';
  }

  void Stamp(const arrow::Array& array, int64_t row) {
    const auto& type = As<arrow::TimestampType>(*array.type());
    const int64_t value = As<arrow::TimestampArray>(array).Value(row);
    const auto time = MicrosOf(value, type.unit());
    std::string text = time ? FormatTimestamp(*time) : std::to_string(value);
    if (time && type.timezone().empty()) text.pop_back();  // the Z
    out_ += '"' + text + '"';
  }

  void TimeOfDay(int64_t value, arrow::TimeUnit::type unit) {
    const auto time = MicrosOf(value, unit);
    if (!time || *time < 0 || *time >= 86'400'000'000) {
      fmt::format_to(std::back_inserter(out_), "\"{}\"", value);
      return;
    }
    const std::string text = FormatTimestamp(*time);  // of 1970-01-01
    out_ += '"' + text.substr(11, text.size() - 12) + '"';
  }

  template <class List>
  void Elements(const arrow::Array& array, int64_t row) {
    const auto& list = As<List>(array);
    out_ += '[';
    for (int64_t i = 0; i < list.value_length(row); ++i) {
      if (i > 0) out_ += ',';
      Value(*list.values(), list.value_offset(row) + i);
    }
    out_ += ']';
  }

  void Struct(const arrow::StructArray& array, int64_t row) {
    out_ += '{';
    for (int i = 0; i < array.num_fields(); ++i) {
      if (i > 0) out_ += ',';
      AppendJsonString(array.struct_type()->field(i)->name(), &out_);
      out_ += ':';
      Value(*array.field(i), row);
    }
    out_ += '}';
  }

  void Map(const arrow::MapArray& array, int64_t row) {
    out_ += '{';
    std::string key;
    for (int64_t i = 0; i < array.value_length(row); ++i) {
      if (i > 0) out_ += ',';
      const int64_t at = array.value_offset(row) + i;
      key.clear();
      RowWriter(&key).Value(*array.keys(), at);
      if (key[0] == '"') {
        out_ += key;
      } else {
        AppendJsonString(key, &out_);
      }
      out_ += ':';
      Value(*array.items(), at);
    }
    out_ += '}';
  }

  // Bytes as 123e4567-e89b-12d3-a456-426614174000.
  void Uuid(std::string_view bytes) {
    out_ += '"';
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (i == 4 || i == 6 || i == 8 || i == 10) out_ += '-';
      fmt::format_to(std::back_inserter(out_), "{:02x}", static_cast<uint8_t>(bytes[i]));
    }
    out_ += '"';
  }

  void Extension(const arrow::ExtensionArray& array, int64_t row) {
    const std::string name = array.extension_type()->extension_name();
    const arrow::Array& storage = *array.storage();
    if (name == "arrow.uuid" && storage.type_id() == arrow::Type::FIXED_SIZE_BINARY)
      return Uuid(As<arrow::FixedSizeBinaryArray>(storage).GetView(row));
    if (name == "arrow.bool8" && storage.type_id() == arrow::Type::INT8) {
      out_ += As<arrow::Int8Array>(storage).Value(row) != 0 ? "true" : "false";
      return;
    }
    Value(storage, row);
  }

  void Value(const arrow::Array& array, int64_t row) {
    using Type = arrow::Type;
    if (array.IsNull(row)) {
      out_ += "null";
      return;
    }
    switch (array.type_id()) {
      case Type::BOOL:
        out_ += As<arrow::BooleanArray>(array).Value(row) ? "true" : "false";
        return;
      case Type::INT8:
        return Whole<arrow::Int8Array>(array, row);
      case Type::INT16:
        return Whole<arrow::Int16Array>(array, row);
      case Type::INT32:
        return Whole<arrow::Int32Array>(array, row);
      case Type::INT64:
        return Whole<arrow::Int64Array>(array, row);
      case Type::UINT8:
        return Whole<arrow::UInt8Array>(array, row);
      case Type::UINT16:
        return Whole<arrow::UInt16Array>(array, row);
      case Type::UINT32:
        return Whole<arrow::UInt32Array>(array, row);
      case Type::UINT64:
        return Whole<arrow::UInt64Array>(array, row);
      case Type::HALF_FLOAT:
        return Fraction(
            arrow::util::Float16::FromBits(As<arrow::HalfFloatArray>(array).Value(row))
                .ToDouble());
      case Type::FLOAT:
        return Fraction(static_cast<double>(As<arrow::FloatArray>(array).Value(row)));
      case Type::DOUBLE:
        return Fraction(As<arrow::DoubleArray>(array).Value(row));
      case Type::DECIMAL32:
        out_ += As<arrow::Decimal32Array>(array).FormatValue(row);
        return;
      case Type::DECIMAL64:
        out_ += As<arrow::Decimal64Array>(array).FormatValue(row);
        return;
      case Type::DECIMAL128:
        out_ += As<arrow::Decimal128Array>(array).FormatValue(row);
        return;
      case Type::DECIMAL256:
        out_ += As<arrow::Decimal256Array>(array).FormatValue(row);
        return;
      case Type::STRING:
        return AppendJsonString(As<arrow::StringArray>(array).GetView(row), &out_);
      case Type::LARGE_STRING:
        return AppendJsonString(As<arrow::LargeStringArray>(array).GetView(row), &out_);
      case Type::STRING_VIEW:
        return AppendJsonString(As<arrow::StringViewArray>(array).GetView(row), &out_);
      case Type::BINARY_VIEW:
        return Binary(As<arrow::BinaryViewArray>(array).GetView(row));
      case Type::BINARY:
        return Binary(As<arrow::BinaryArray>(array).GetView(row));
      case Type::LARGE_BINARY:
        return Binary(As<arrow::LargeBinaryArray>(array).GetView(row));
      case Type::FIXED_SIZE_BINARY:
        return Binary(As<arrow::FixedSizeBinaryArray>(array).GetView(row));
      case Type::DATE32:
        out_ += '"' + FormatDate(As<arrow::Date32Array>(array).Value(row)) + '"';
        return;
      case Type::DATE64: {
        const int64_t millis = As<arrow::Date64Array>(array).Value(row);
        const int64_t days = millis / kDayMillis - (millis % kDayMillis < 0 ? 1 : 0);
        out_ += '"' + FormatDate(static_cast<int32_t>(days)) + '"';
        return;
      }
      case Type::DURATION:  // the number that stands in the file
        return Whole<arrow::DurationArray>(array, row);
      case Type::TIME32:
        return TimeOfDay(As<arrow::Time32Array>(array).Value(row),
                         As<arrow::Time32Type>(*array.type()).unit());
      case Type::TIME64:
        return TimeOfDay(As<arrow::Time64Array>(array).Value(row),
                         As<arrow::Time64Type>(*array.type()).unit());
      case Type::TIMESTAMP:
        return Stamp(array, row);
      case Type::LIST:
        return Elements<arrow::ListArray>(array, row);
      case Type::LARGE_LIST:
        return Elements<arrow::LargeListArray>(array, row);
      case Type::FIXED_SIZE_LIST:
        return Elements<arrow::FixedSizeListArray>(array, row);
      case Type::STRUCT:
        return Struct(As<arrow::StructArray>(array), row);
      case Type::MAP:
        return Map(As<arrow::MapArray>(array), row);
      case Type::DICTIONARY: {
        const auto& coded = As<arrow::DictionaryArray>(array);
        return Value(*coded.dictionary(), coded.GetValueIndex(row));
      }
      case Type::EXTENSION:
        return Extension(As<arrow::ExtensionArray>(array), row);
      default:
        throw parquet::ParquetException("a column has the type " +
                                        array.type()->ToString() +
                                        ", which no JSON stands for");
    }
  }

  std::string& out_;
};

class Rows final : public ParquetRows {
 public:
  explicit Rows(std::string path) : path_(std::move(path)) {}

  Status Open(std::unique_ptr<io::File> file, int64_t from, uint64_t stored_bytes) {
    const uint64_t size = std::min(WEIR_TRY(file->Size()), stored_bytes);
    return Guarded([&]() -> Status {
      source_ = std::make_shared<FileSource>(std::move(file), static_cast<int64_t>(size));
      parquet::ReaderProperties checked(&memory_);
      checked.set_page_checksum_verification(true);
      checked.enable_buffered_stream();  // else a column of a row group is read whole
      checked.set_buffer_size(1 << 18);
      auto parquet_reader = parquet::ParquetFileReader::Open(source_, checked);
      parquet::ArrowReaderProperties properties(/*use_threads=*/false);
      properties.set_pre_buffer(false);
      properties.set_arrow_extensions_enabled(true);  // UUIDs
      // Nanoseconds hold the years 1678 to 2262 alone, and others wrap around.
      properties.set_coerce_int96_timestamp_unit(arrow::TimeUnit::MICRO);
      const auto metadata = parquet_reader->metadata();
      rows_ = metadata->num_rows();
      properties.set_batch_size(WEIR_TRY(BatchRows(*metadata)));
      reader_ = WEIR_ARROW(parquet::arrow::FileReader::Make(
          &memory_, std::move(parquet_reader), properties));
      if (from > rows_)
        return Corrupt("it has fewer rows than what was read of it before");
      next_ = from;
      while (group_ < metadata->num_row_groups() &&
             group_end_ + metadata->RowGroup(group_)->num_rows() <= from)
        group_end_ += metadata->RowGroup(group_++)->num_rows();
      skip_ = from - group_end_;
      return {};
    });
  }

  Result<RowTexts> Next(int64_t rows_max, int64_t bytes_max) override {
    RowTexts out;
    out.storage = std::make_shared<std::string>();
    std::vector<size_t> ends;
    Status filled = Guarded([&]() -> Status {
      while (next_ < rows_ && static_cast<int64_t>(ends.size()) < rows_max &&
             static_cast<int64_t>(out.storage->size()) < bytes_max) {
        WEIR_TRY(Fill());
        RowWriter(out.storage.get()).Object(*batch_, row_++);
        ends.push_back(out.storage->size());
        ++next_;
      }
      return {};
    });
    // The rows before a fault are handed out first; it comes again.
    if (!filled.ok() && ends.empty()) return std::move(filled).error();
    out.storage->resize(ends.empty() ? 0 : ends.back());
    size_t begin = 0;
    for (const size_t end : ends) {
      out.rows.push_back(std::string_view(*out.storage).substr(begin, end - begin));
      begin = end;
    }
    out.next = next_;
    out.end = next_ == rows_;
    return out;
  }

 private:
  // How many rows are decoded at a time. kCorrupt: the footer contradicts itself.
  Result<int64_t> BatchRows(const parquet::FileMetaData& metadata) const {
    int64_t sum = 0, out = kBatchRows;
    for (int i = 0; i < metadata.num_row_groups(); ++i) {
      const auto group = metadata.RowGroup(i);
      const int64_t rows = group->num_rows(), bytes = group->total_byte_size();
      if (rows < 0 || rows > rows_ - sum) {
        sum = -1;
        break;
      }
      sum += rows;
      if (bytes > 0 && rows > 0)
        out = std::clamp<int64_t>(kBatchBytes / (bytes / rows + 1), 1, out);
    }
    if (sum == rows_) return out;
    return Corrupt(
        fmt::format("its footer says {} rows, and its row groups others", rows_));
  }

  // A batch that has a row left. No batch is of two row groups: of a broken file the same
  // rows come whatever row reading begins with.
  Status Fill() {
    while (batch_ == nullptr || row_ >= batch_->num_rows()) {
      const auto& metadata = *reader_->parquet_reader()->metadata();
      if (batches_ == nullptr && group_ < metadata.num_row_groups()) {
        batches_ = WEIR_ARROW(reader_->GetRecordBatchReader({group_}));
        group_end_ += metadata.RowGroup(group_++)->num_rows();
      }
      if (batches_ != nullptr) batch_ = WEIR_ARROW(batches_->Next());
      row_ = 0;
      if (batch_ == nullptr) {
        if (batches_ == nullptr || next_ + skip_ != group_end_)
          return Corrupt(
              fmt::format("it ends at row {} and should end at {}", next_, rows_));
        batches_.reset();
        continue;
      }
      row_ = std::min(skip_, batch_->num_rows());
      skip_ -= row_;
    }
    return {};
  }

  // Arrow throws at broken files, or says that reading them failed; unless the disk said
  // so, it is the file's fault.
  template <class F>
  Status Guarded(F&& work) {
    if (fault_) return *fault_;
    std::string message;
    try {
      Status status = work();
      if (status.ok()) return {};
      message = status.error().message;
    } catch (const std::exception& e) {
      message = e.what();
    }
    if (source_ != nullptr && source_->error()) return *source_->error();
    fault_ = Corrupt(fmt::format("{}: {}", path_, message));
    return *fault_;
  }

  const std::string path_;
  arrow::ProxyMemoryPool counted_{arrow::default_memory_pool()};
  arrow::CappedMemoryPool memory_{&counted_, kMemoryMax};
  std::shared_ptr<FileSource> source_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;  // of the row group before group_
  int group_ = 0;
  int64_t group_end_ = 0;  // the first row of group_
  std::shared_ptr<arrow::RecordBatch> batch_;
  int64_t row_ = 0, skip_ = 0;  // of the batch; rows still to be passed over
  int64_t next_ = 0, rows_ = 0;
  std::optional<Error> fault_;
};

}  // namespace

Result<std::unique_ptr<ParquetRows>> ParquetRows::Open(io::Io& io,
                                                       const std::string& path,
                                                       int64_t from,
                                                       uint64_t stored_bytes) {
  std::unique_ptr<io::File> file = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  auto rows = std::make_unique<Rows>(path);
  WEIR_TRY(rows->Open(std::move(file), from, stored_bytes));
  return std::unique_ptr<ParquetRows>(std::move(rows));
}

}  // namespace weir::codec
