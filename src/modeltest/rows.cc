#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "codec/json.h"
#include "data/arrow.h"
#include "duck/duck.h"
#include "modeltest/rows_internal.h"

namespace weir::modeltest {
namespace {

using data::Kind;

// The cells of one CSV record (RFC 4180), from `at` on, which is moved behind its line
// end. A cell without quotes and without text is NULL.
struct CsvCell {
  std::string text;
  bool quoted = false;
};
std::vector<CsvCell> CsvRecord(std::string_view text, size_t* at, int* lines) {
  std::vector<CsvCell> cells(1);
  bool in_quotes = false;
  for (; *at < text.size(); ++*at) {
    const char c = text[*at];
    if (in_quotes) {
      if (c != '"') {
        if (c == '\n') ++*lines;
        cells.back().text += c;
      } else if (*at + 1 < text.size() && text[*at + 1] == '"') {
        cells.back().text += '"';
        ++*at;
      } else {
        in_quotes = false;
      }
    } else if (c == '"') {
      in_quotes = cells.back().quoted = true;
    } else if (c == ',') {
      cells.emplace_back();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      cells.back().text += c;
    }
  }
  ++*at;
  ++*lines;
  for (CsvCell& cell : cells) {
    if (!cell.quoted) cell.text = std::string(contract::Trimmed(cell.text));
  }
  return cells;
}

std::vector<TextRow> ReadCsv(const YAML::Node& node, std::string_view what,
                             contract::Report& report) {
  std::vector<TextRow> out;
  const std::string& text = node.Scalar();
  // A block of text begins on the line behind its '|'.
  const bool is_block = text.find('\n') != std::string::npos;
  int line = contract::LineOf(node) + (is_block ? 1 : 0);
  size_t at = 0;
  std::vector<CsvCell> header;
  while (at < text.size()) {
    const int begin = line;
    std::vector<CsvCell> cells = CsvRecord(text, &at, &line);
    if (cells.size() == 1 && cells[0].text.empty() && !cells[0].quoted) continue;
    if (header.empty()) {
      header = std::move(cells);
      continue;
    }
    if (cells.size() != header.size()) {
      report.Add(begin,
                 fmt::format("{}: a record of {} fields under {} column names", what,
                             cells.size(), header.size()),
                 "write a field for each column; put fields with commas in quotes");
      continue;
    }
    TextRow row{begin, {}};
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool is_null = cells[i].text.empty() && !cells[i].quoted;
      row.cells.emplace_back(header[i].text,
                             is_null ? YAML::Node() : YAML::Node(cells[i].text));
    }
    out.push_back(std::move(row));
  }
  if (header.empty())
    report.Add(node, fmt::format("{}: CSV without column names", what),
               "begin with a line of column names");
  return out;
}

bool IsJsonNumber(const std::string& text) {
  return !text.empty() &&
         (text[0] == '-' || std::isdigit(static_cast<unsigned char>(text[0])) != 0) &&
         nlohmann::json::accept(text);
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false,
                                   nlohmann::json::error_handler_t::replace);
}

// "2026-01-01", "2026-01-01 10:00" and stamps with or without zone, as RFC 3339.
std::string Stamp(std::string text, bool with_zone) {
  if (text.size() == 10) text += "T00:00:00";
  if (text.size() == 16) text += ":00";
  if (with_zone || !text.ends_with('Z')) return text;
  text.pop_back();
  return text;
}

// A value as the JSON that the decoder of events reads for this type.
std::string ToJson(const YAML::Node& node, const data::Type& type) {
  if (!node.IsDefined() || node.IsNull()) return "null";
  if (node.IsScalar() && type.is_nested()) {  // a cell of CSV
    try {
      const YAML::Node inner = YAML::Load(node.Scalar());
      if (!inner.IsScalar()) return ToJson(inner, type);
    } catch (const YAML::Exception&) {  // told as a value of the wrong type
    }
    return Quoted(node.Scalar());
  }
  if (node.IsSequence()) {
    std::string out;
    for (const YAML::Node& item : node) {
      out += (out.empty() ? "" : ",") + ToJson(item, type.kind == Kind::kList
                                                         ? type.fields[0].type
                                                         : data::Simple(Kind::kString));
    }
    return "[" + out + "]";
  }
  if (node.IsMap()) {
    std::string out;
    for (const auto& entry : node) {
      const std::string& name = entry.first.Scalar();
      data::Type inner = data::Simple(Kind::kString);
      if (type.kind == Kind::kMap) inner = type.fields[1].type;
      for (const data::Field& field : type.fields) {
        if (type.kind == Kind::kStruct && field.name == name) inner = field.type;
      }
      out += (out.empty() ? "" : ",") + Quoted(name) + ":" + ToJson(entry.second, inner);
    }
    return "{" + out + "}";
  }
  const std::string& text = node.Scalar();
  switch (type.kind) {
    case Kind::kBool:
      return text == "true" || text == "false" ? text : Quoted(text);
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kFloat:
    case Kind::kDouble:
      return IsJsonNumber(text) ? text : Quoted(text);
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      return Quoted(Stamp(text, type.kind == Kind::kTimestampTz));
    default:
      return Quoted(text);
  }
}

std::string Example(const data::Type& type) {
  switch (type.kind) {
    case Kind::kBool:
      return "true or false";
    case Kind::kInt32:
    case Kind::kInt64:
      return "a whole number";
    case Kind::kFloat:
    case Kind::kDouble:
    case Kind::kDecimal:
      return "a number";
    case Kind::kDate:
      return "2026-01-31";
    case Kind::kTime:
      return "10:00:00";
    case Kind::kTimestamp:
      return "2026-01-31T10:00:00";
    case Kind::kTimestampTz:
      return "2026-01-31T10:00:00Z";
    case Kind::kList:
      return "[a, b]";
    case Kind::kStruct:
    case Kind::kMap:
      return "{name: value}";
    default:
      return "a text";
  }
}

}  // namespace

std::vector<TextRow> ReadRows(const YAML::Node& rows, const YAML::Node& format,
                              std::string_view what, contract::Report& report) {
  const std::string kind = report.Text(format, "format").value_or("dict");
  if (kind == "csv") {
    if (rows.IsDefined() && rows.IsScalar()) return ReadCsv(rows, what, report);
    report.Add(rows.IsDefined() ? rows : format, fmt::format("{} are not CSV", what),
               "write 'rows: |' and below it, indented, a line of names and the records");
    return {};
  }
  if (kind != "dict") {
    report.Add(format, fmt::format("no format '{}'", kind), "write dict or csv");
    return {};
  }
  if (!rows.IsDefined() || !rows.IsSequence()) {
    report.Add(rows, fmt::format("{} are not a list", what),
               "write 'rows:' and below it lines like '- {column: value}'; [] for none");
    return {};
  }
  std::vector<TextRow> out;
  for (const YAML::Node& row : rows) {
    if (!row.IsMap()) {
      report.Add(row, fmt::format("{}: a row is no map", what),
                 "write '- {column: value}'");
      continue;
    }
    TextRow read{contract::LineOf(row), {}};
    for (const auto& entry : row)
      read.cells.emplace_back(entry.first.IsScalar() ? entry.first.Scalar() : "?",
                              entry.second);
    out.push_back(std::move(read));
  }
  return out;
}

std::vector<std::string> NamedColumns(const std::vector<TextRow>& rows,
                                      const data::Schema& schema, std::string_view what,
                                      contract::Report& report) {
  std::vector<bool> named(schema.fields.size());
  std::vector<std::string> unknown;
  for (const TextRow& row : rows) {
    for (const auto& [name, _] : row.cells) {
      const int column = schema.IndexOf(name);
      if (column >= 0) {
        named[static_cast<size_t>(column)] = true;
        continue;
      }
      if (std::find(unknown.begin(), unknown.end(), name) != unknown.end()) continue;
      unknown.push_back(name);
      std::vector<std::string_view> known;
      for (const data::Field& field : schema.fields) known.push_back(field.name);
      report.Add(row.line, fmt::format("{}: there is no column '{}'", what, name),
                 contract::Suggest(name, known));
    }
  }
  std::vector<std::string> out;
  for (size_t i = 0; i < named.size(); ++i) {
    if (named[i]) out.push_back(schema.fields[i].name);
  }
  return out;
}

Result<data::Batch> TypedRows(const std::vector<TextRow>& rows,
                              const data::Schema& columns, std::string_view what,
                              contract::Report& report) {
  // The decoder knows the columns by their number: it keeps names like _extra to itself.
  data::Schema numbered = columns;
  data::ClearFieldIds(numbered);
  for (size_t i = 0; i < numbered.fields.size(); ++i) {
    numbered.fields[i].name = std::to_string(i);
    numbered.fields[i].required = false;
  }
  std::vector<std::string> records;
  for (const TextRow& row : rows) {
    std::string record;
    for (const auto& [name, node] : row.cells) {
      const int column = columns.IndexOf(name);
      if (column < 0) continue;
      record +=
          fmt::format("{}\"{}\":{}", record.empty() ? "" : ",", column,
                      ToJson(node, columns.fields[static_cast<size_t>(column)].type));
    }
    records.push_back("{" + record + "}");
  }
  const auto decoder =
      WEIR_TRY(codec::NewJsonDecoder(numbered, {.zoneless_allowed = true}));
  const std::vector<std::string_view> views(records.begin(), records.end());
  const codec::DecodedRows decoded = WEIR_TRY(decoder->Decode(views));
  for (const codec::RowFault& fault : decoded.faults) {
    const int line = rows[static_cast<size_t>(fault.row)].line;
    const int column =
        numbered.IndexOf(fault.field.substr(0, fault.field.find_first_of(".[")));
    if (column < 0) {
      report.Add(line, fmt::format("{}: {}", what, fault.actual),
                 "write each column once");
      continue;
    }
    const data::Field& field = columns.fields[static_cast<size_t>(column)];
    const std::string inside = fault.field.substr(std::to_string(column).size());
    report.Add(line,
               fmt::format("{}: {} is no value of {}{}, which is {}", what, fault.actual,
                           field.name, inside, duck::TypeInSql(field.type)),
               fmt::format("write {}, or null", Example(field.type)));
  }
  // Members of structs that the type does not have would be lost in silence.
  const auto& extra =
      static_cast<const arrow::StringArray&>(*decoded.rows->GetColumnByName("_extra"));
  for (int64_t i = 0; i < extra.length(); ++i) {
    if (extra.IsNull(i)) continue;
    const auto unknown = nlohmann::json::parse(extra.GetView(i));
    for (const auto& [column, members] : unknown.items()) {
      const data::Field& field = columns.fields[static_cast<size_t>(std::stoi(column))];
      report.Add(
          rows[static_cast<size_t>(i)].line,
          fmt::format("{}: {} has no such member: {}", what, field.name, members.dump()),
          fmt::format("it is {}", duck::TypeInSql(field.type)));
    }
  }
  arrow::ArrayVector arrays;
  for (size_t i = 0; i < columns.fields.size(); ++i)
    arrays.push_back(decoded.rows->column(static_cast<int>(i)));
  return data::Batch{arrow::RecordBatch::Make(data::ToArrow(columns),
                                              static_cast<int64_t>(rows.size()), arrays),
                     {}};
}

}  // namespace weir::modeltest
