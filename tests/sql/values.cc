#include "values.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "base/time.h"
#include "data/arrow.h"
#include "duck/duck.h"

namespace weir::sqltest {
namespace {

using data::Kind;

constexpr int64_t kDay = 86'400'000'000;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Reads a text from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  void SkipBlanks() {
    while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
  }
  bool AtEnd() {
    SkipBlanks();
    return at_ == text_.size();
  }
  char Peek() {
    SkipBlanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool Take(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  std::string_view Word(std::string_view ends) {
    SkipBlanks();
    const size_t begin = at_;
    while (at_ < text_.size() && !IsBlank(text_[at_]) &&
           ends.find(text_[at_]) == ends.npos)
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  // Behind the opening quote.
  Result<std::string> Quoted() {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '\'') {
        if (at_ == text_.size() || text_[at_] != '\'') return out;
        ++at_;
        out += '\'';
      } else if (c == '\\' && at_ < text_.size()) {
        const char e = text_[at_++];
        if (e == 'x' && at_ + 2 <= text_.size()) {
          int byte = 0;
          std::from_chars(text_.data() + at_, text_.data() + at_ + 2, byte, 16);
          out += static_cast<char>(byte);
          at_ += 2;
        } else {
          out += e == 'n' ? '\n' : e == 't' ? '\t' : e;
        }
      } else {
        out += c;
      }
    }
    return Invalid("a quoted text without its end");
  }
  std::string_view Rest() {
    SkipBlanks();
    return text_.substr(at_);
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

Error NoValue(std::string_view word, const data::Type& type) {
  return Invalid(fmt::format("'{}' is no {}", word, duck::TypeInSql(type)));
}

template <class T>
Result<T> Number(std::string_view word, const data::Type& type) {
  T value{};
  const auto [end, error] =
      std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size())
    return NoValue(word, type);
  return value;
}

Result<double> Float(std::string_view word, const data::Type& type) {
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (word == "inf") return std::numeric_limits<double>::infinity();
  if (word == "-inf") return -std::numeric_limits<double>::infinity();
  return Number<double>(word, type);
}

// "10:00", "10:00:05.25"
Result<int64_t> Time(std::string_view word, const data::Type& type) {
  bool zone = false;
  std::string text = "1970-01-01T" + std::string(word);
  if (std::count(word.begin(), word.end(), ':') == 1) text += ":00";
  const auto micros = ParseTimestamp(text, &zone);
  if (!micros || zone) return NoValue(word, type);
  return *micros;
}

// "2024-01-05", "2024-01-05T10:00", "…T10:00:05.25"; Z may stand behind.
Result<int64_t> Stamp(std::string_view word, const data::Type& type) {
  std::string text(word);
  if (text.ends_with('Z')) text.pop_back();
  const size_t t = text.find('T');
  if (t == text.npos) {
    const auto day = ParseDate(text);
    if (!day) return NoValue(word, type);
    return *day * kDay;
  }
  if (std::count(text.begin(), text.end(), ':') == 1) text += ":00";
  bool zone = false;
  const auto micros = ParseTimestamp(text, &zone);
  if (!micros || zone) return NoValue(word, type);
  return *micros;
}

Status AppendScalar(const std::string& word, const data::Type& type,
                    arrow::ArrayBuilder& b) {
  switch (type.kind) {
    case Kind::kBool:
      if (word != "true" && word != "false") return NoValue(word, type);
      WEIR_ARROW_OK(static_cast<arrow::BooleanBuilder&>(b).Append(word == "true"));
      return {};
    case Kind::kInt32:
      WEIR_ARROW_OK(static_cast<arrow::Int32Builder&>(b).Append(
          WEIR_TRY(Number<int32_t>(word, type))));
      return {};
    case Kind::kInt64:
      WEIR_ARROW_OK(static_cast<arrow::Int64Builder&>(b).Append(
          WEIR_TRY(Number<int64_t>(word, type))));
      return {};
    case Kind::kFloat:
      WEIR_ARROW_OK(static_cast<arrow::FloatBuilder&>(b).Append(
          static_cast<float>(WEIR_TRY(Float(word, type)))));
      return {};
    case Kind::kDouble:
      WEIR_ARROW_OK(
          static_cast<arrow::DoubleBuilder&>(b).Append(WEIR_TRY(Float(word, type))));
      return {};
    case Kind::kDecimal: {
      arrow::Decimal128 value;
      int32_t precision = 0, scale = 0;
      if (!arrow::Decimal128::FromString(word, &value, &precision, &scale).ok())
        return NoValue(word, type);
      auto scaled = value.Rescale(scale, type.scale);
      if (!scaled.ok() || !scaled->FitsInPrecision(type.precision))
        return NoValue(word, type);
      WEIR_ARROW_OK(static_cast<arrow::Decimal128Builder&>(b).Append(*scaled));
      return {};
    }
    case Kind::kDate: {
      const auto day = ParseDate(word);
      if (!day) return NoValue(word, type);
      WEIR_ARROW_OK(static_cast<arrow::Date32Builder&>(b).Append(*day));
      return {};
    }
    case Kind::kTime:
      WEIR_ARROW_OK(
          static_cast<arrow::Time64Builder&>(b).Append(WEIR_TRY(Time(word, type))));
      return {};
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      WEIR_ARROW_OK(
          static_cast<arrow::TimestampBuilder&>(b).Append(WEIR_TRY(Stamp(word, type))));
      return {};
    case Kind::kString:
      WEIR_ARROW_OK(static_cast<arrow::StringBuilder&>(b).Append(word));
      return {};
    case Kind::kBinary:
      WEIR_ARROW_OK(static_cast<arrow::BinaryBuilder&>(b).Append(word));
      return {};
    default:
      return Invalid(fmt::format("no text form for {}", duck::TypeInSql(type)));
  }
}

Status AppendValue(Reader& in, const data::Type& type, arrow::ArrayBuilder& b,
                   std::string_view ends);

Status AppendList(Reader& in, const data::Type& type, arrow::ListBuilder& b) {
  if (!in.Take('[')) return NoValue(in.Rest(), type);
  WEIR_ARROW_OK(b.Append());
  while (!in.Take(']')) {
    WEIR_TRY(AppendValue(in, type.fields[0].type, *b.value_builder(), ",]"));
    if (!in.Take(',') && in.Peek() != ']') return NoValue(in.Rest(), type);
  }
  return {};
}

Status AppendStruct(Reader& in, const data::Type& type, arrow::StructBuilder& b) {
  if (!in.Take('{')) return NoValue(in.Rest(), type);
  WEIR_ARROW_OK(b.Append());
  for (size_t i = 0; i < type.fields.size(); ++i) {
    if (i > 0 && !in.Take(',')) return NoValue(in.Rest(), type);
    if (in.Word(":") != type.fields[i].name || !in.Take(':'))
      return NoValue(in.Rest(), type);
    WEIR_TRY(AppendValue(in, type.fields[i].type, *b.field_builder(static_cast<int>(i)),
                         ",}"));
  }
  if (!in.Take('}')) return NoValue(in.Rest(), type);
  return {};
}

Status AppendMap(Reader& in, const data::Type& type, arrow::MapBuilder& b) {
  if (!in.Take('{')) return NoValue(in.Rest(), type);
  WEIR_ARROW_OK(b.Append());
  while (!in.Take('}')) {
    WEIR_TRY(AppendValue(in, type.fields[0].type, *b.key_builder(), ":"));
    if (!in.Take(':')) return NoValue(in.Rest(), type);
    WEIR_TRY(AppendValue(in, type.fields[1].type, *b.item_builder(), ",}"));
    if (!in.Take(',') && in.Peek() != '}') return NoValue(in.Rest(), type);
  }
  return {};
}

Status AppendValue(Reader& in, const data::Type& type, arrow::ArrayBuilder& b,
                   std::string_view ends) {
  if (in.Rest().starts_with("NULL") && (in.Rest().size() == 4 || IsBlank(in.Rest()[4]) ||
                                        ends.find(in.Rest()[4]) != ends.npos)) {
    in.Word(ends);
    WEIR_ARROW_OK(b.AppendNull());
    return {};
  }
  switch (type.kind) {
    case Kind::kList:
      return AppendList(in, type, static_cast<arrow::ListBuilder&>(b));
    case Kind::kStruct:
      return AppendStruct(in, type, static_cast<arrow::StructBuilder&>(b));
    case Kind::kMap:
      return AppendMap(in, type, static_cast<arrow::MapBuilder&>(b));
    default:
      break;
  }
  if (in.Take('\'')) return AppendScalar(WEIR_TRY(in.Quoted()), type, b);
  const std::string word(in.Word(ends));
  if (word.empty()) return Invalid("a value is missing");
  return AppendScalar(word, type, b);
}

// ---- printing

std::string QuotedText(std::string_view text, bool binary) {
  bool plain = !text.empty() && text != "NULL";
  for (const char c : text)
    plain &= std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' ||
             c == '.' || c == '@' || c == '/' || (!binary && (c & 0x80) != 0);
  if (plain) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "''";
    } else if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 32 || (binary && (c & 0x80) != 0)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string FloatText(double value) {
  return std::isnan(value) ? "nan" : fmt::format("{}", value);
}

std::string ValueText(const arrow::Array& array, int64_t row, const data::Type& type) {
  if (array.IsNull(row)) return "NULL";
  switch (type.kind) {
    case Kind::kBool:
      return static_cast<const arrow::BooleanArray&>(array).Value(row) ? "true" : "false";
    case Kind::kInt32:
      return std::to_string(static_cast<const arrow::Int32Array&>(array).Value(row));
    case Kind::kInt64:
      return std::to_string(static_cast<const arrow::Int64Array&>(array).Value(row));
    case Kind::kFloat: {
      const float value = static_cast<const arrow::FloatArray&>(array).Value(row);
      return std::isnan(value) ? "nan" : fmt::format("{}", value);
    }
    case Kind::kDouble:
      return FloatText(static_cast<const arrow::DoubleArray&>(array).Value(row));
    case Kind::kDecimal:
      return static_cast<const arrow::Decimal128Array&>(array).FormatValue(row);
    case Kind::kDate:
      return FormatDate(static_cast<const arrow::Date32Array&>(array).Value(row));
    case Kind::kTime: {
      const std::string text =
          FormatTimestamp(static_cast<const arrow::Time64Array&>(array).Value(row));
      return text.substr(11, text.size() - 12);  // 1970-01-01T10:00:00Z
    }
    case Kind::kTimestamp:
    case Kind::kTimestampTz: {
      std::string text =
          FormatTimestamp(static_cast<const arrow::TimestampArray&>(array).Value(row));
      if (type.kind == Kind::kTimestamp && text.ends_with('Z')) text.pop_back();
      return text;
    }
    case Kind::kString:
      return QuotedText(static_cast<const arrow::StringArray&>(array).GetView(row),
                        false);
    case Kind::kBinary:
      return QuotedText(static_cast<const arrow::BinaryArray&>(array).GetView(row), true);
    case Kind::kUuid: {
      const auto bytes =
          static_cast<const arrow::FixedSizeBinaryArray&>(array).GetView(row);
      std::string out;
      for (const char c : bytes)
        out += fmt::format("{:02x}", static_cast<unsigned char>(c));
      return out;
    }
    case Kind::kList: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      std::string out;
      for (int64_t i = list.value_offset(row); i < list.value_offset(row + 1); ++i)
        out +=
            (out.empty() ? "" : ", ") + ValueText(*list.values(), i, type.fields[0].type);
      return "[" + out + "]";
    }
    case Kind::kStruct: {
      const auto& rows = static_cast<const arrow::StructArray&>(array);
      std::string out;
      for (size_t i = 0; i < type.fields.size(); ++i)
        out += (i == 0 ? "" : ", ") + type.fields[i].name + ": " +
               ValueText(*rows.field(static_cast<int>(i)), row, type.fields[i].type);
      return "{" + out + "}";
    }
    case Kind::kMap: {
      const auto& map = static_cast<const arrow::MapArray&>(array);
      std::string out;
      for (int64_t i = map.value_offset(row); i < map.value_offset(row + 1); ++i)
        out += (out.empty() ? "" : ", ") +
               ValueText(*map.keys(), i, type.fields[0].type) + ": " +
               ValueText(*map.items(), i, type.fields[1].type);
      return "{" + out + "}";
    }
  }
  return "?";
}

std::string RowText(const data::Schema& schema, const arrow::RecordBatch& rows,
                    int64_t row) {
  std::string out;
  for (int i = 0; i < rows.num_columns(); ++i)
    out += (i == 0 ? "" : " ") +
           ValueText(*rows.column(i), row, schema.fields[static_cast<size_t>(i)].type);
  return out;
}

// ---- types

Result<data::Type> TypeAt(Reader& in) {
  std::string name(in.Word("(),[]"));
  for (char& c : name) c = static_cast<char>(std::toupper(c));
  static const std::map<std::string, Kind> kKinds = {
      {"BOOLEAN", Kind::kBool},        {"INTEGER", Kind::kInt32},
      {"INT", Kind::kInt32},           {"BIGINT", Kind::kInt64},
      {"FLOAT", Kind::kFloat},         {"DOUBLE", Kind::kDouble},
      {"DATE", Kind::kDate},           {"TIME", Kind::kTime},
      {"TIMESTAMP", Kind::kTimestamp}, {"TIMESTAMPTZ", Kind::kTimestampTz},
      {"VARCHAR", Kind::kString},      {"TEXT", Kind::kString},
      {"BLOB", Kind::kBinary},         {"UUID", Kind::kUuid}};
  data::Type type;
  if (name == "DECIMAL") {
    if (!in.Take('(')) return Invalid("DECIMAL without its digits");
    type = data::Decimal(0, 0);
    type.precision = WEIR_TRY(Number<int>(in.Word(",)"), type));
    if (in.Take(',')) type.scale = WEIR_TRY(Number<int>(in.Word(")"), type));
    if (!in.Take(')')) return Invalid("DECIMAL( without )");
  } else if (name == "STRUCT") {
    if (!in.Take('(')) return Invalid("STRUCT without its fields");
    std::vector<data::Field> fields;
    do {
      std::string field(in.Word("(),"));
      fields.push_back({std::move(field), WEIR_TRY(TypeAt(in))});
    } while (in.Take(','));
    if (!in.Take(')')) return Invalid("STRUCT( without )");
    type = data::StructOf(std::move(fields));
  } else if (const auto kind = kKinds.find(name); kind != kKinds.end()) {
    type = data::Simple(kind->second);
  } else {
    return Invalid(fmt::format("{} is no type of a table", name));
  }
  while (in.Take('[')) {
    if (!in.Take(']')) return Invalid("[ without ]");
    type = data::ListOf(std::move(type));
  }
  return type;
}

}  // namespace

Result<data::Type> ParseType(std::string_view text) {
  Reader in(text);
  auto type = TypeAt(in);
  if (type.ok() && !in.AtEnd())
    return Invalid(fmt::format("'{}' behind the type", in.Rest()));
  return type;
}

Result<data::Schema> ParseColumns(std::string_view text) {
  Reader in(text);
  data::Schema schema;
  do {
    std::string name(in.Word(",()"));
    if (name.empty()) return Invalid("a column's name is missing");
    schema.fields.push_back({std::move(name), WEIR_TRY(TypeAt(in))});
  } while (in.Take(','));
  if (!in.AtEnd()) return Invalid(fmt::format("'{}' behind the columns", in.Rest()));
  return schema;
}

std::string ColumnsText(const data::Schema& schema) {
  std::string out;
  for (const data::Field& field : schema.fields) {
    std::string type = duck::TypeInSql(field.type);
    std::erase(type, '"');
    if (type == "TIMESTAMP WITH TIME ZONE") type = "TIMESTAMPTZ";
    out += (out.empty() ? "" : ", ") + field.name + " " + type;
  }
  return out;
}

Result<data::Batch> ParseRows(const data::Schema& schema,
                              const std::vector<RowLine>& lines, bool weights) {
  std::vector<std::unique_ptr<arrow::ArrayBuilder>> builders;
  for (const data::Field& field : schema.fields) {
    std::unique_ptr<arrow::ArrayBuilder> builder;
    WEIR_ARROW_OK(arrow::MakeBuilder(arrow::default_memory_pool(),
                                     data::ToArrow(field.type), &builder));
    builders.push_back(std::move(builder));
  }
  data::Batch out;
  bool only_plus = true;
  for (const RowLine& line : lines) {
    const auto fail = [&](std::string message) {
      return Invalid(fmt::format("line {}: {}", line.line, message));
    };
    Reader in(line.text);
    int32_t weight = 1;
    if (weights) {
      const std::string_view sign = in.Word("");
      if (sign == "-") {
        weight = -1;
      } else if (sign != "+") {
        const auto number = Number<int32_t>(sign.starts_with('+') ? sign.substr(1) : sign,
                                            data::Simple(Kind::kInt32));
        if (!number.ok() || (sign[0] != '+' && sign[0] != '-') || *number == 0)
          return fail("a row of a change begins with + or - or a signed weight");
        weight = *number;
      }
    }
    out.weights.push_back(weight);
    only_plus &= weight == 1;
    for (size_t i = 0; i < builders.size(); ++i) {
      const Status status = AppendValue(in, schema.fields[i].type, *builders[i], "");
      if (!status.ok())
        return fail(fmt::format("{}: {}", schema.fields[i].name, status.error().message));
    }
    if (!in.AtEnd())
      return fail(
          fmt::format("'{}' is more than the {} columns", in.Rest(), builders.size()));
  }
  if (only_plus) out.weights.clear();
  arrow::ArrayVector columns;
  for (auto& builder : builders) columns.push_back(WEIR_ARROW(builder->Finish()));
  out.rows = arrow::RecordBatch::Make(data::ToArrow(schema),
                                      static_cast<int64_t>(lines.size()), columns);
  return out;
}

std::vector<std::string> RowTexts(const data::Schema& schema, const data::Batch& batch,
                                  WeightText weights) {
  std::vector<std::string> out;
  for (int64_t row = 0; row < batch.num_rows(); ++row) {
    const int32_t weight = batch.weight(row);
    const std::string text = RowText(schema, *batch.rows, row);
    if (weights == WeightText::kSign) {
      out.push_back((weight == 1    ? "+"
                     : weight == -1 ? "-"
                                    : fmt::format("{:+}", weight)) +
                    " " + text);
    } else {
      for (int32_t i = 0; i < weight; ++i) out.push_back(text);
    }
  }
  return out;
}

Result<std::string> Difference(const data::Schema& schema, const data::Batch& a,
                               std::string_view a_name, const data::Batch& b,
                               std::string_view b_name, const Approximate& approximate) {
  constexpr double kTolerance = 1e-9;
  std::vector<double> tolerances(schema.fields.size());
  for (size_t i = 0; i < approximate.size(); ++i)
    tolerances[i] = approximate[i] ? kTolerance : 0;
  const auto unequal = WEIR_TRY(modeltest::Compare(schema, a, b, tolerances));
  std::string out;
  const auto show = [&](const data::Batch& rows, std::string_view name) {
    constexpr int64_t kShown = 12;
    for (int64_t row = 0; row < std::min(rows.num_rows(), kShown); ++row) {
      out += fmt::format(
          "  only in {}: {}{}\n", name, RowText(schema, *rows.rows, row),
          rows.weight(row) > 1 ? fmt::format("  ({} times)", rows.weight(row)) : "");
    }
    if (rows.num_rows() > kShown)
      out += fmt::format("  … and {} more\n", rows.num_rows() - kShown);
  };
  show(unequal.only_a, a_name);
  show(unequal.only_b, b_name);
  return out;
}

}  // namespace weir::sqltest
