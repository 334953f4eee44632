#include "query/print.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>

namespace weir::query {
namespace {

constexpr size_t kRowsToMeasure =
    10'000;  // columns are as wide as their widest cell among the first so many rows

// Characters, not bytes; wide characters count as one.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

void AppendCell(std::string_view text, size_t width, bool right, std::string* out) {
  const size_t length = Width(text), pad = width > length ? width - length : 0;
  if (right) out->append(pad, ' ');
  *out += text;
  if (!right) out->append(pad, ' ');
}

// Line breaks inside a cell would tear the table.
std::string OneLine(std::string text) {
  for (const auto& [what, shown] :
       {std::pair{'\n', "\\n"}, {'\r', "\\r"}, {'\t', "\\t"}}) {
    for (size_t at = text.find(what); at != std::string::npos;
         at = text.find(what, at + 2))
      text.replace(at, 1, shown);
  }
  return text;
}

using Cells = std::vector<std::string>;

class TextTable {
 public:
  TextTable(const Cells& header, std::vector<bool> right)
      : header_(header), right_(std::move(right)), width_(header.size()) {
    Measure(header);
  }
  void Measure(const Cells& row) {
    for (size_t i = 0; i < row.size(); ++i)
      width_[i] = std::max(width_[i], Width(row[i]));
  }
  void AppendHeader(std::string* out) const {
    AppendRow(header_, out);
    for (size_t i = 0; i < width_.size(); ++i) {
      if (i > 0) *out += "  ";
      out->append(width_[i], '-');
    }
    *out += '\n';
  }
  void AppendRow(const Cells& row, std::string* out) const {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) *out += "  ";
      AppendCell(row[i], width_[i], right_[i], out);
    }
    out->erase(out->find_last_not_of(' ') + 1);
    *out += '\n';
  }

 private:
  const Cells header_;
  const std::vector<bool> right_;
  std::vector<size_t> width_;
};

bool IsNumber(const data::Type& type) {
  return type.kind >= data::Kind::kInt32 && type.kind <= data::Kind::kDecimal;
}

class TextPrinter final : public Printer {
 public:
  explicit TextPrinter(Sink sink) : sink_(std::move(sink)) {}

  Status Begin(const data::Schema& schema) override {
    Cells header;
    std::vector<bool> right;
    for (const data::Field& field : schema.fields) {
      header.push_back(OneLine(field.name));
      right.push_back(IsNumber(field.type));
    }
    table_ = std::make_unique<TextTable>(header, std::move(right));
    return {};
  }

  Status Rows(const arrow::RecordBatch& rows) override {
    for (int64_t row = 0; row < rows.num_rows(); ++row) {
      Cells cells(static_cast<size_t>(rows.num_columns()));
      for (int c = 0; c < rows.num_columns(); ++c) {
        AppendText(*rows.column(c), row, &cells[static_cast<size_t>(c)]);
        cells[static_cast<size_t>(c)] = OneLine(std::move(cells[static_cast<size_t>(c)]));
      }
      ++rows_;
      if (measured_) {
        table_->AppendRow(cells, &out_);
        continue;
      }
      table_->Measure(cells);
      waiting_.push_back(std::move(cells));
      if (waiting_.size() == kRowsToMeasure) Measured();
    }
    return Drain();
  }

  Status End() override {
    Measured();
    out_ += fmt::format("({} row{})\n", rows_, rows_ == 1 ? "" : "s");
    return Drain();
  }

 private:
  void Measured() {
    if (measured_) return;
    measured_ = true;
    table_->AppendHeader(&out_);
    for (const Cells& row : waiting_) table_->AppendRow(row, &out_);
    waiting_.clear();
  }
  Status Drain() {
    if (out_.empty()) return {};
    WEIR_TRY(sink_(out_));
    out_.clear();
    return {};
  }

  const Sink sink_;
  std::unique_ptr<TextTable> table_;
  std::vector<Cells> waiting_;
  bool measured_ = false;
  int64_t rows_ = 0;
  std::string out_;
};

class JsonPrinter final : public Printer {
 public:
  explicit JsonPrinter(Sink sink) : sink_(std::move(sink)) {}

  Status Begin(const data::Schema& schema) override {
    for (const data::Field& field : schema.fields) {
      arrow::StringBuilder name;
      if (!name.Append(field.name).ok()) return Unavailable("out of memory");
      std::string key;
      AppendJson(**name.Finish(), 0, &key);
      keys_.push_back(key + ":");
    }
    return sink_("[");
  }

  Status Rows(const arrow::RecordBatch& rows) override {
    std::string out;
    for (int64_t row = 0; row < rows.num_rows(); ++row) {
      out += first_ ? "\n {" : ",\n {";
      first_ = false;
      for (int c = 0; c < rows.num_columns(); ++c) {
        if (c > 0) out += ',';
        out += keys_[static_cast<size_t>(c)];
        AppendJson(*rows.column(c), row, &out);
      }
      out += '}';
    }
    return sink_(out);
  }

  Status End() override { return sink_(first_ ? "]\n" : "\n]\n"); }

 private:
  const Sink sink_;
  std::vector<std::string> keys_;
  bool first_ = true;
};

class CsvPrinter final : public Printer {
 public:
  explicit CsvPrinter(Sink sink) : sink_(std::move(sink)) {}

  Status Begin(const data::Schema& schema) override {
    std::string out;
    for (size_t i = 0; i < schema.fields.size(); ++i) {
      if (i > 0) out += ',';
      AppendField(schema.fields[i].name, &out);
    }
    return sink_(out + "\r\n");
  }

  Status Rows(const arrow::RecordBatch& rows) override {
    std::string out, cell;
    for (int64_t row = 0; row < rows.num_rows(); ++row) {
      for (int c = 0; c < rows.num_columns(); ++c) {
        if (c > 0) out += ',';
        const arrow::Array& column = *rows.column(c);
        if (column.IsNull(row)) continue;
        cell.clear();
        const bool nested = column.type()->num_fields() > 0;
        nested ? AppendJson(column, row, &cell) : AppendText(column, row, &cell);
        AppendField(cell, &out);
      }
      out += "\r\n";
    }
    return sink_(out);
  }

  Status End() override { return {}; }

 private:
  static void AppendField(std::string_view text, std::string* out) {
    if (!text.empty() && text.find_first_of("\",\r\n") == std::string_view::npos) {
      *out += text;
      return;
    }
    *out += '"';
    for (const char c : text) {
      if (c == '"') *out += '"';
      *out += c;
    }
    *out += '"';
  }

  const Sink sink_;
};

}  // namespace

std::unique_ptr<Printer> NewPrinter(Format format, Sink sink) {
  switch (format) {
    case Format::kJson:
      return std::make_unique<JsonPrinter>(std::move(sink));
    case Format::kCsv:
      return std::make_unique<CsvPrinter>(std::move(sink));
    default:
      return std::make_unique<TextPrinter>(std::move(sink));
  }
}

std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows) {
  std::vector<bool> right(header.size(), !rows.empty());
  for (const Cells& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool number = !row[i].empty() &&
                          row[i].find_first_not_of("0123456789.-") == std::string::npos;
      if (!number) right[i] = false;
    }
  }
  TextTable table(header, std::move(right));
  for (const Cells& row : rows) table.Measure(row);
  std::string out;
  table.AppendHeader(&out);
  for (const Cells& row : rows) table.AppendRow(row, &out);
  return out;
}

}  // namespace weir::query
