#include "codec/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "codec/json_text_internal.h"

namespace weir::codec {
namespace {

using data::Kind;

struct CsvField {
  std::string_view text;
  bool quoted = false;
};

// Cuts a record into its fields. What quotes hide is resolved into `scratch`, which the
// fields may point into until the next call.
class CsvSplitter {
 public:
  explicit CsvSplitter(const CsvDialect& dialect)
      : delimiter_(dialect.delimiter), quote_(dialect.quote) {}

  // False: the record breaks the grammar, and fault() says how.
  bool Split(std::string_view record) {
    fields_.clear();
    scratch_.clear();
    scratch_.reserve(record.size());  // so that it never moves
    for (size_t at = 0;;) {
      if (quote_ != 0 && at < record.size() && record[at] == quote_) {
        if (!Quoted(record, &at)) return false;
      } else {
        const size_t end = std::min(record.find(delimiter_, at), record.size());
        fields_.push_back({record.substr(at, end - at), false});
        at = end;
      }
      if (at == record.size()) return true;
      ++at;  // the delimiter
    }
  }
  const std::vector<CsvField>& fields() const { return fields_; }
  const std::string& fault() const { return fault_; }

 private:
  // `at` is at the opening quote, and then behind the field.
  bool Quoted(std::string_view record, size_t* at) {
    const size_t opened = *at;
    size_t from = opened + 1;
    const size_t kept = scratch_.size();
    for (;;) {
      const size_t quote = record.find(quote_, from);
      if (quote == std::string_view::npos) {
        fault_ = fmt::format("the quote at byte {} is not closed", opened);
        return false;
      }
      const bool doubled = quote + 1 < record.size() && record[quote + 1] == quote_;
      if (doubled) {
        scratch_.append(record.substr(from, quote + 1 - from));
        from = quote + 2;
        continue;
      }
      *at = quote + 1;
      if (*at < record.size() && record[*at] != delimiter_) {
        fault_ = fmt::format("text stands behind the closing quote at byte {}", quote);
        return false;
      }
      if (scratch_.size() == kept) {
        fields_.push_back({record.substr(from, quote - from), true});
      } else {
        scratch_.append(record.substr(from, quote - from));
        fields_.push_back({std::string_view(scratch_).substr(kept), true});
      }
      return true;
    }
  }

  const char delimiter_, quote_;
  std::vector<CsvField> fields_;
  std::string scratch_, fault_;
};

// By the grammar of RFC 8259.
bool IsJsonNumber(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t first = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - first;
  };
  if (at < text.size() && text[at] == '-') ++at;
  const size_t whole = at;
  const size_t count = digits();
  if (count == 0 || (count > 1 && text[whole] == '0')) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

std::string_view BoolText(std::string_view text) {
  for (const std::string_view word : {"true", "True", "TRUE"}) {
    if (text == word) return "true";
  }
  for (const std::string_view word : {"false", "False", "FALSE"}) {
    if (text == word) return "false";
  }
  return {};
}

enum class Form : uint8_t { kText, kNumber, kBool, kJson };

Form FormOf(const data::Type& type) {
  switch (type.kind) {
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kFloat:
    case Kind::kDouble:
    case Kind::kDecimal:
      return Form::kNumber;
    case Kind::kBool:
      return Form::kBool;
    case Kind::kStruct:
    case Kind::kList:
    case Kind::kMap:
      return Form::kJson;
    default:
      return Form::kText;
  }
}

class Decoder final : public CsvDecoder {
 public:
  Decoder(const CsvDialect& dialect, const JsonOptions& options,
          std::unique_ptr<JsonDecoder> json)
      : dialect_(dialect),
        record_bytes_max_(options.record_bytes_max),
        splitter_(dialect),
        json_(std::move(json)) {}

  void Declare(const data::Schema& declared) {
    for (const data::Field& field : declared.fields)
      forms_[field.name] = FormOf(field.type);
  }

  Result<DecodedRows> Decode(std::span<const std::string_view> records,
                             const CsvColumns& columns) override {
    Prepare(columns);
    texts_.clear();
    ends_.clear();
    std::vector<RowFault> faults;  // of records that never become JSON
    for (size_t i = 0; i < records.size(); ++i) {
      const size_t begin = texts_.size();
      if (auto fault = Write(records[i], columns)) {
        texts_.resize(begin);
        fault->row = static_cast<int32_t>(i);
        faults.push_back(*std::move(fault));
      }
      ends_.push_back(texts_.size());
    }
    std::vector<std::string_view> json(records.size());
    size_t begin = 0;
    for (size_t i = 0; i < json.size(); ++i) {
      json[i] = std::string_view(texts_).substr(begin, ends_[i] - begin);
      begin = ends_[i];
    }
    DecodedRows out = WEIR_TRY(json_->Decode(json));
    for (RowFault& fault : out.faults) {
      if (fault.fault == Fault::kNotJson) fault.fault = Fault::kNotCsv;
    }
    // An empty text is no JSON, so each of ours has exactly one fault there.
    auto ours = faults.begin();
    for (RowFault& fault : out.faults) {
      if (ours != faults.end() && fault.row == ours->row) fault = std::move(*ours++);
    }
    if (texts_.capacity() > kKeptBytes) texts_ = {};
    return out;
  }

 private:
  static constexpr size_t kKeptBytes = 64 << 20;

  struct Column {
    std::string key;  // ,"name":
    Form form = Form::kText;
    bool declared = false;
  };

  void Prepare(const CsvColumns& columns) {
    if (columns.names == prepared_) return;
    prepared_ = columns.names;
    columns_.clear();
    for (const std::string& name : columns.names) {
      Column column;
      column.key = columns_.empty() ? "{" : ",";
      AppendJsonString(name, &column.key);
      column.key += ':';
      const auto found = forms_.find(name);
      column.declared = found != forms_.end();
      if (column.declared) column.form = found->second;
      columns_.push_back(std::move(column));
    }
  }

  // Appends the record to texts_ as a JSON object.
  std::optional<RowFault> Write(std::string_view record, const CsvColumns& columns) {
    if (record.size() > record_bytes_max_) {
      return RowFault{
          0, Fault::kTooLarge, "",
          fmt::format("more than {} bytes (weir.record.bytes)", record_bytes_max_)};
    }
    if (!columns.fault.empty()) return RowFault{0, Fault::kNotCsv, "", columns.fault};
    if (!splitter_.Split(record))
      return RowFault{0, Fault::kNotCsv, "", splitter_.fault()};
    const std::vector<CsvField>& fields = splitter_.fields();
    if (fields.size() != columns_.size()) {
      return RowFault{0, Fault::kNotCsv, "",
                      fmt::format("{} field{}; there are {} columns", fields.size(),
                                  fields.size() == 1 ? "" : "s", columns_.size())};
    }
    for (size_t i = 0; i < fields.size(); ++i) {
      texts_ += columns_[i].key;
      WriteValue(fields[i], columns_[i].form);
    }
    texts_ += '}';
    return std::nullopt;
  }

  void WriteValue(const CsvField& field, Form form) {
    if (!field.quoted && field.text == dialect_.null_text) {
      texts_ += "null";
      return;
    }
    switch (form) {
      case Form::kNumber:
        if (IsJsonNumber(field.text)) {
          texts_ += field.text;
          return;
        }
        break;
      case Form::kBool:
        if (const std::string_view word = BoolText(field.text); !word.empty()) {
          texts_ += word;
          return;
        }
        break;
      case Form::kJson:
        if (nlohmann::json::accept(field.text)) {
          texts_ += field.text;
          return;
        }
        break;
      case Form::kText:
        break;
    }
    AppendJsonString(field.text, &texts_);  // of another type, which the decoder tells
  }

  const CsvDialect dialect_;
  const size_t record_bytes_max_;
  CsvSplitter splitter_;
  const std::unique_ptr<JsonDecoder> json_;
  std::unordered_map<std::string, Form> forms_;  // of the declared fields
  std::vector<std::string> prepared_;            // the names that columns_ are made of
  std::vector<Column> columns_;
  std::string texts_;
  std::vector<size_t> ends_;
};

}  // namespace

size_t CsvFramer::FindEnd(std::string_view bytes) {
  if (state_ != State::kQuoted && state_ != State::kQuoteInQuoted) {
    // Most records are one line without a quote.
    const size_t newline = bytes.find('\n');
    const std::string_view line = bytes.substr(0, newline);
    if (newline != std::string_view::npos &&
        (quote_ == 0 || line.find(quote_) == std::string_view::npos)) {
      Reset();
      return newline;
    }
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (state_ == State::kQuoted) {
      at = bytes.find(quote_, at);
      if (at == std::string_view::npos) return at;
      state_ = State::kQuoteInQuoted;
      continue;
    }
    const char c = bytes[at];
    if (c == '\n') {
      Reset();
      return at;
    }
    if (c == delimiter_) {
      state_ = State::kFieldBegins;
    } else if (c == quote_ && quote_ != 0 && state_ != State::kPlain) {
      state_ = State::kQuoted;  // a field begins, or a quote is doubled
    } else {
      state_ = State::kPlain;
    }
  }
  return std::string_view::npos;
}

Result<CsvColumns> ReadCsvHeader(std::string_view record, const CsvDialect& dialect) {
  CsvSplitter splitter(dialect);
  if (!splitter.Split(record))
    return Invalid(fmt::format("the header is not CSV: {}", splitter.fault()));
  CsvDialect named = dialect;
  named.names.clear();
  for (const CsvField& field : splitter.fields()) {
    // Else all of the file would be its header.
    if (!field.quoted && field.text.find('\r') != std::string_view::npos)
      return Invalid(
          "lines end in CR alone, as old Macs have them; write LF or CRLF instead");
    named.names.push_back(field.text.empty()
                              ? fmt::format("column{}", named.names.size() + 1)
                              : std::string(field.text));
  }
  return CsvColumnsOf(named);
}

CsvColumns CsvColumnsOf(const CsvDialect& dialect) {
  CsvColumns out{dialect.names, ""};
  std::set<std::string_view> seen;
  for (const std::string& name : out.names) {
    if (seen.insert(name).second || !out.fault.empty()) continue;
    out.fault = fmt::format("the header names '{}' twice", name);
  }
  return out;
}

Result<std::unique_ptr<CsvDecoder>> NewCsvDecoder(const data::Schema& declared,
                                                  const CsvDialect& dialect,
                                                  const JsonOptions& options) {
  JsonOptions json = options;
  // A record of CSV grows when it becomes JSON: by the names, and by escapes.
  json.record_bytes_max =
      std::min(options.record_bytes_max * 8 + (1 << 20), size_t{1} << 30);
  auto out = std::make_unique<Decoder>(dialect, options,
                                       WEIR_TRY(NewJsonDecoder(declared, json)));
  out->Declare(declared);
  return std::unique_ptr<CsvDecoder>(std::move(out));
}

}  // namespace weir::codec
