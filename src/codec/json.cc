#include "codec/json.h"

#include <arrow/api.h>
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <new>
#include <stdexcept>

#include "codec/json_absent_internal.h"
#include "codec/json_node_internal.h"
#include "codec/json_reader_internal.h"
#include "data/arrow.h"

namespace weir::codec {
namespace {

// Between records stands a byte that no JSON has: inside a string it is an error of stage
// 1, outside it is a token that ends whatever a broken record left open. So records can
// share one pass of stage 1 without ever flowing together.
constexpr std::string_view kSeparator = "\n\x01\n";
constexpr size_t kBlockBytes = 32 << 10;
constexpr size_t kKeptBytes = 1 << 20;
constexpr int kDepthMax = 1000;

data::Field Optional(data::Field field) {
  field.required = false;
  for (size_t i = 0; i < field.type.fields.size(); ++i) {
    data::Field& child = field.type.fields[i];
    const bool map_key = field.type.kind == data::Kind::kMap && i == 0;
    child = Optional(std::move(child));
    child.required = map_key;
  }
  return field;
}

class Decoder final : public JsonDecoder {
 public:
  Decoder(const JsonOptions& options, const data::Schema& declared,
          std::unique_ptr<Node> root, std::unique_ptr<std::vector<uint64_t>> seen,
          size_t static_words)
      : options_(options),
        schema_(data::ToArrow(WithExtraColumns(declared))),
        seen_(std::move(seen)),
        root_(std::move(root)),
        reader_(options, root_.get(), std::span(seen_->data(), static_words)),
        absent_(root_.get(), std::span(seen_->data(), static_words)) {}

  Result<DecodedRows> Decode(std::span<const std::string_view> records) override {
    try {
      return DecodeAll(records);
    } catch (const std::bad_alloc&) {
      Discard();
      return Unavailable("no memory left to decode a batch of records");
    } catch (const std::length_error& error) {
      Discard();
      return Invalid(fmt::format("decode {} records: {}; take fewer at once",
                                 records.size(), error.what()));
    }
  }

 private:
  Result<DecodedRows> DecodeAll(std::span<const std::string_view> records) {
    const auto rows = static_cast<int64_t>(records.size());
    for (auto& child : root_->children) child->column.Reserve(rows);
    DecodedRows out;
    for (size_t i = 0; i < records.size();) i = DecodeBlock(records, i, &out.faults);

    std::vector<std::shared_ptr<arrow::ArrayData>> columns;
    for (size_t i = 0; i < root_->children.size(); ++i) {
      columns.push_back(FinishNode(*root_->children[i], rows,
                                   schema_->field(static_cast<int>(i))->type()));
    }
    columns.push_back(extra_.Finish(rows, arrow::utf8()));
    columns.push_back(absent_.Finish(rows, schema_->fields().back()->type()));
    out.rows = arrow::RecordBatch::Make(schema_, rows, std::move(columns));
    return out;
  }

  // Decodes records from `first` on, as many as fit a block. Returns the first it did not
  // take.
  size_t DecodeBlock(std::span<const std::string_view> records, size_t first,
                     std::vector<RowFault>* faults) {
    starts_.clear();
    size_t used = 0, next = first;
    for (; next < records.size() && (next == first || used < kBlockBytes); ++next) {
      std::string_view record = records[next];
      if (record.size() > options_.record_bytes_max) record = {};
      if (next > first && used + record.size() > kBlockBytes) break;
      Reserve(used + record.size() + kSeparator.size());
      starts_.push_back(used);
      if (!record.empty())
        std::memcpy(block_.data() + used, record.data(), record.size());
      used += record.size();
      std::memcpy(block_.data() + used, kSeparator.data(), kSeparator.size());
      used += kSeparator.size();
    }
    starts_.push_back(used);
    if (const auto error = Stage1(0, used); error == simdjson::SUCCESS) {
      reader_.BeginBlock(block_.data(), 0, used, parser_->structural_indexes.get());
      for (size_t i = first; i < next; ++i)
        DecodeRecord(records[i], i, starts_[i - first], starts_[i - first + 1], faults);
    } else {
      DecodeOneByOne(records, first, next, faults);
    }
    if (used > kKeptBytes) Shrink();
    return next;
  }

  // A record of the block breaks the lexical rules: find out which, and decode the
  // others.
  void DecodeOneByOne(std::span<const std::string_view> records, size_t first,
                      size_t next, std::vector<RowFault>* faults) {
    for (size_t i = first; i < next; ++i) {
      const size_t start = starts_[i - first], end = starts_[i - first + 1];
      if (const auto error = Stage1(start, end); error != simdjson::SUCCESS) {
        faults->push_back({static_cast<int32_t>(i), Fault::kNotJson, "",
                           LexicalMessage(error, records[i])});
        continue;
      }
      reader_.BeginBlock(block_.data(), start, end, parser_->structural_indexes.get());
      DecodeRecord(records[i], i, start, end, faults);
    }
  }

  // A reader of lines keeps one byte more than the limit of a record that is longer.
  std::string TooLargeText(size_t bytes) const {
    const size_t most = options_.record_bytes_max;
    return bytes == most + 1
               ? fmt::format("more than {} bytes (weir.record.bytes)", most)
               : fmt::format("{} bytes; the limit is {} (weir.record.bytes)", bytes,
                             most);
  }

  static std::string LexicalMessage(simdjson::error_code error, std::string_view record) {
    if (record.starts_with("\x1f\x8b"))
      return "gzip data: a file of it must be named .gz";
    if (record.starts_with("\x28\xb5\x2f\xfd"))
      return "zstd data: a file of it must be named .zst";
    if (record.starts_with("\xff\xfe") || record.starts_with("\xfe\xff"))
      return "UTF-16 text: JSON is read as UTF-8";
    switch (error) {
      case simdjson::UTF8_ERROR:
        return "not valid UTF-8";
      case simdjson::UNCLOSED_STRING:
        return "a string is not closed";
      case simdjson::UNESCAPED_CHARS:
        return "a control character stands in a string, or the string is not closed";
      default:
        return simdjson::error_message(error);
    }
  }

  void DecodeRecord(std::string_view record, size_t index, size_t start, size_t end,
                    std::vector<RowFault>* faults) {
    const auto row = static_cast<int64_t>(index);
    const size_t record_end = end - kSeparator.size();
    if (record.size() > options_.record_bytes_max) {
      reader_.SkipRecord(record_end);
      faults->push_back(
          {static_cast<int32_t>(row), Fault::kTooLarge, "", TooLargeText(record.size())});
      return;
    }
    const size_t faults_before = faults->size();
    if (!reader_.ReadRecord(row, start, record_end, faults)) {
      for (auto& child : root_->children) TruncateNode(*child, row, row + 1);
      faults->resize(faults_before);
      faults->push_back(
          {static_cast<int32_t>(row), Fault::kNotJson, "", reader_.Complaint()});
      return;
    }
    const std::string_view extra = reader_.extra();
    if (!extra.empty()) {
      const auto size = static_cast<int64_t>(extra.size());
      std::memcpy(extra_.BeginBytes(row, size), extra.data(), extra.size());
      extra_.EndBytes(row, size);
    }
    absent_.Add(row, reader_.absent_elements());
  }

  simdjson::error_code Stage1(size_t start, size_t end) {
    const size_t size = end - start;
    if (parser_ == nullptr || parser_->capacity() < size) {
      const size_t capacity = std::max(size, 2 * kBlockBytes);
      parser_ = nullptr;
      if (simdjson::get_active_implementation()->create_dom_parser_implementation(
              capacity, 1, parser_) != simdjson::SUCCESS) {
        throw std::bad_alloc();
      }
    }
    return parser_->stage1(reinterpret_cast<const uint8_t*>(block_.data()) + start, size,
                           simdjson::stage1_mode::regular);
  }

  // Readers look a little past what they read: at a guessed key, at 32 bytes of a short
  // string.
  void Reserve(size_t bytes) {
    const size_t size = bytes + reader_.look_ahead();
    if (block_.size() >= size) return;
    block_.resize(std::max(size, block_.size() * 2));
  }

  // One huge record must not keep its scratch memory for ever.
  void Shrink() {
    block_ = {};
    parser_ = nullptr;
    reader_.Shrink();
  }

  void Discard() {
    for (size_t i = 0; i < root_->children.size(); ++i) {
      FinishNode(*root_->children[i], 0, schema_->field(static_cast<int>(i))->type());
    }
    extra_.Finish(0, arrow::utf8());
    absent_.Finish(0, schema_->fields().back()->type());
    Shrink();
  }

  const JsonOptions options_;
  const std::shared_ptr<arrow::Schema> schema_;
  const std::unique_ptr<std::vector<uint64_t>> seen_;
  const std::unique_ptr<Node> root_;
  JsonReader reader_;
  AbsentColumn absent_;
  Column extra_{Column::Layout::kBytes, 0};
  std::vector<char> block_;
  std::vector<size_t> starts_;  // of the block's records, then its end
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
};

}  // namespace

data::Schema WithExtraColumns(const data::Schema& declared) {
  data::Schema schema;
  for (const data::Field& field : declared.fields)
    schema.fields.push_back(Optional(field));
  schema.fields.push_back({"_extra", data::Simple(data::Kind::kString)});
  schema.fields.push_back({"_absent", data::ListOf(data::Simple(data::Kind::kString))});
  return schema;
}

Result<std::unique_ptr<JsonDecoder>> NewJsonDecoder(const data::Schema& declared,
                                                    JsonOptions options) {
  if (options.depth_max < 1 || options.depth_max > kDepthMax) {
    return Invalid(
        fmt::format("depth_max is {}; write 1 to {}", options.depth_max, kDepthMax));
  }
  if (options.record_bytes_max > size_t{1} << 30)
    return Invalid("record_bytes_max is more than 1 GiB");
  auto seen = std::make_unique<std::vector<uint64_t>>();
  size_t static_words = 0;
  std::unique_ptr<Node> root = WEIR_TRY(BuildNodes(declared, seen.get(), &static_words));
  return std::unique_ptr<JsonDecoder>(
      new Decoder(options, declared, std::move(root), std::move(seen), static_words));
}

}  // namespace weir::codec
