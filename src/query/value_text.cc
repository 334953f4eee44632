#include <arrow/api.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/time.h"
#include "query/print.h"

namespace weir::query {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void AppendHex(std::string_view bytes, std::string* out) {
  for (const char c : bytes) {
    *out += kHex[static_cast<unsigned char>(c) >> 4];
    *out += kHex[static_cast<unsigned char>(c) & 15];
  }
}

// Bytes as DuckDB shows a BLOB, and reads it back: printable characters as they are,
// others as \\xHH.
void AppendBlob(std::string_view bytes, std::string* out) {
  constexpr char kUpperHex[] = "0123456789ABCDEF";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte <= 126 && c != '\\' && c != '\'' && c != '"') {
      *out += c;
      continue;
    }
    *out += "\\x";
    *out += kUpperHex[byte >> 4];
    *out += kUpperHex[byte & 15];
  }
}

void AppendUuid(std::string_view bytes, std::string* out) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out += '-';
    AppendHex(bytes.substr(i, 1), out);
  }
}

// The shortest text that reads back as the same number.
template <class T>
void AppendFloating(T value, std::string* out) {
  if (std::isnan(value)) {
    *out += "NaN";
  } else if (std::isinf(value)) {
    *out += value < 0 ? "-Infinity" : "Infinity";
  } else {
    char text[40];
    const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
    out->append(text, end);
    // "1" would read as an integer.
    if (std::string_view(text, static_cast<size_t>(end - text)).find_first_of(".e") ==
        std::string_view::npos)
      *out += ".0";
  }
}

void AppendTime(int64_t micros, std::string* out) {
  const std::string stamp = FormatTimestamp(micros);  // 1970-01-01T18:24:44.5Z
  *out += stamp.substr(11, stamp.size() - 12);
}

void AppendQuoted(std::string_view text, std::string* out) {
  *out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\r':
        *out += "\\r";
        break;
      case '\t':
        *out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          *out += fmt::format("\\u{:04x}", static_cast<int>(c));
        } else {
          *out += c;
        }
    }
  }
  *out += '"';
}

// Leaves as bare text; false: the value is nested. `quoted` says whether JSON wants
// quotes around it.
bool AppendLeaf(const arrow::Array& column, int64_t row, bool* quoted, std::string* out) {
  const arrow::ArrayData& array = *column.data();
  *quoted = false;
  switch (column.type_id()) {
    case arrow::Type::BOOL:
      *out +=
          static_cast<const arrow::BooleanArray&>(column).Value(row) ? "true" : "false";
      return true;
    case arrow::Type::INT32:
      *out += std::to_string(array.GetValues<int32_t>(1)[row]);
      return true;
    case arrow::Type::INT64:
      *out += std::to_string(array.GetValues<int64_t>(1)[row]);
      return true;
    case arrow::Type::FLOAT:
      *quoted = !std::isfinite(array.GetValues<float>(1)[row]);
      AppendFloating(array.GetValues<float>(1)[row], out);
      return true;
    case arrow::Type::DOUBLE:
      *quoted = !std::isfinite(array.GetValues<double>(1)[row]);
      AppendFloating(array.GetValues<double>(1)[row], out);
      return true;
    case arrow::Type::DECIMAL128:
      *out += static_cast<const arrow::Decimal128Array&>(column).FormatValue(row);
      return true;
    default:
      break;
  }
  *quoted = true;
  switch (column.type_id()) {
    case arrow::Type::STRING:
      *out += static_cast<const arrow::StringArray&>(column).GetView(row);
      return true;
    case arrow::Type::BINARY:
      AppendBlob(static_cast<const arrow::BinaryArray&>(column).GetView(row), out);
      return true;
    case arrow::Type::FIXED_SIZE_BINARY:
      AppendUuid(static_cast<const arrow::FixedSizeBinaryArray&>(column).GetView(row),
                 out);
      return true;
    case arrow::Type::DATE32:
      *out += FormatDate(array.GetValues<int32_t>(1)[row]);
      return true;
    case arrow::Type::TIME64:
      AppendTime(array.GetValues<int64_t>(1)[row], out);
      return true;
    case arrow::Type::TIMESTAMP: {
      std::string stamp = FormatTimestamp(array.GetValues<int64_t>(1)[row]);
      if (static_cast<const arrow::TimestampType&>(*column.type()).timezone().empty())
        stamp.pop_back();
      *out += stamp;
      return true;
    }
    default:
      return false;
  }
}

// Lists, structs and maps; `append` writes a part.
template <class F>
void AppendNested(const arrow::Array& column, int64_t row, bool json, F append,
                  std::string* out) {
  const char* separator = json ? "," : ", ";
  switch (column.type_id()) {
    case arrow::Type::LIST: {
      const auto& list = static_cast<const arrow::ListArray&>(column);
      *out += '[';
      for (int64_t i = list.value_offset(row); i < list.value_offset(row + 1); ++i) {
        if (i > list.value_offset(row)) *out += separator;
        append(*list.values(), i, out);
      }
      *out += ']';
      return;
    }
    case arrow::Type::STRUCT: {
      const auto& nested = static_cast<const arrow::StructArray&>(column);
      *out += '{';
      for (int i = 0; i < nested.num_fields(); ++i) {
        if (i > 0) *out += separator;
        const std::string& name = nested.struct_type()->field(i)->name();
        if (json)
          AppendQuoted(name, out);
        else
          *out += name;
        *out += json ? ":" : ": ";
        append(*nested.field(i), row, out);
      }
      *out += '}';
      return;
    }
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapArray&>(column);
      *out += '{';
      for (int64_t i = map.value_offset(row); i < map.value_offset(row + 1); ++i) {
        if (i > map.value_offset(row)) *out += separator;
        append(*map.keys(), i, out);
        *out += json ? ":" : ": ";
        append(*map.items(), i, out);
      }
      *out += '}';
      return;
    }
    default:
      *out += '?';
  }
}

}  // namespace

void AppendText(const arrow::Array& column, int64_t row, std::string* out) {
  bool quoted = false;
  if (column.IsNull(row)) {
    *out += "NULL";
  } else if (!AppendLeaf(column, row, &quoted, out)) {
    AppendNested(column, row, /*json=*/false, AppendText, out);
  }
}

void AppendJson(const arrow::Array& column, int64_t row, std::string* out) {
  if (column.IsNull(row)) {
    *out += "null";
    return;
  }
  std::string leaf;
  bool quoted = false;
  if (!AppendLeaf(column, row, &quoted, &leaf)) {
    AppendNested(column, row, /*json=*/true, AppendJson, out);
  } else if (quoted) {
    AppendQuoted(leaf, out);
  } else {
    *out += leaf;
  }
}

}  // namespace weir::query
