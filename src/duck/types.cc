#include "duck/types_internal.h"

#include <fmt/format.h>

#include "duck/duck.h"

namespace weir::duck {
namespace {

using data::Kind;
using data::Simple;

duckdb_type SimpleDuck(Kind kind) {
  switch (kind) {
    case Kind::kBool:
      return DUCKDB_TYPE_BOOLEAN;
    case Kind::kInt32:
      return DUCKDB_TYPE_INTEGER;
    case Kind::kInt64:
      return DUCKDB_TYPE_BIGINT;
    case Kind::kFloat:
      return DUCKDB_TYPE_FLOAT;
    case Kind::kDouble:
      return DUCKDB_TYPE_DOUBLE;
    case Kind::kDate:
      return DUCKDB_TYPE_DATE;
    case Kind::kTime:
      return DUCKDB_TYPE_TIME;
    case Kind::kTimestamp:
      return DUCKDB_TYPE_TIMESTAMP;
    case Kind::kTimestampTz:
      return DUCKDB_TYPE_TIMESTAMP_TZ;
    case Kind::kBinary:
      return DUCKDB_TYPE_BLOB;
    case Kind::kUuid:
      return DUCKDB_TYPE_UUID;
    default:
      return DUCKDB_TYPE_VARCHAR;
  }
}

LogicalType StructDuck(const data::Type& type) {
  std::vector<LogicalType> owned;
  std::vector<duckdb_logical_type> members;
  std::vector<const char*> names;
  for (const data::Field& field : type.fields) {
    owned.push_back(ToDuck(field.type));
    members.push_back(owned.back().get());
    names.push_back(field.name.c_str());
  }
  return LogicalType(
      duckdb_create_struct_type(members.data(), names.data(), members.size()));
}

Error NoPlace(const std::string& column, std::string_view duck_type,
              std::string_view cast) {
  return Invalid(
      fmt::format("column {} is {}, which an Iceberg table cannot hold: write {}", column,
                  duck_type, cast));
}

OutputType As(data::Type type, bool needs_cast) { return {std::move(type), needs_cast}; }

Result<OutputType> ListFromDuck(LogicalType child, bool is_array,
                                const std::string& column) {
  OutputType element = WEIR_TRY(FromDuck(child.get(), column));
  return As(data::ListOf(std::move(element.type)), element.needs_cast || is_array);
}

Result<OutputType> MapFromDuck(duckdb_logical_type type, const std::string& column) {
  const LogicalType key_type(duckdb_map_type_key_type(type)),
      value_type(duckdb_map_type_value_type(type));
  const OutputType key = WEIR_TRY(FromDuck(key_type.get(), column));
  if (key.type.kind != Kind::kString) {
    return NoPlace(column, "a MAP with keys that are not strings",
                   fmt::format("map_from_entries(list_transform(map_entries({0}), lambda "
                               "e: (e.key::VARCHAR, e.value))), or map_entries({0})",
                               column));
  }
  const OutputType value = WEIR_TRY(FromDuck(value_type.get(), column));
  data::Type out = Simple(Kind::kMap);
  out.fields.push_back({"key", key.type, true});
  out.fields.push_back({"value", value.type});
  return As(std::move(out), key.needs_cast || value.needs_cast);
}

Result<OutputType> StructFromDuck(duckdb_logical_type type, const std::string& column) {
  std::vector<data::Field> fields;
  bool needs_cast = false;
  for (idx_t i = 0; i < duckdb_struct_type_child_count(type); ++i) {
    std::string name = TakeText(duckdb_struct_type_child_name(type, i));
    if (name.empty())
      return NoPlace(column, "a STRUCT without field names",
                     "struct_pack(name := value, …)");
    const LogicalType child(duckdb_struct_type_child_type(type, i));
    OutputType member = WEIR_TRY(FromDuck(child.get(), column + "." + name));
    needs_cast |= member.needs_cast;
    fields.push_back({std::move(name), std::move(member.type)});
  }
  return As(data::StructOf(std::move(fields)), needs_cast);
}

}  // namespace

std::string TakeText(char* text) {
  std::string out(text == nullptr ? "" : text);
  duckdb_free(text);
  return out;
}

LogicalType ToDuck(const data::Type& type) {
  switch (type.kind) {
    case Kind::kDecimal:
      return LogicalType(duckdb_create_decimal_type(static_cast<uint8_t>(type.precision),
                                                    static_cast<uint8_t>(type.scale)));
    case Kind::kStruct:
      return StructDuck(type);
    case Kind::kList:
      return LogicalType(duckdb_create_list_type(ToDuck(type.fields[0].type).get()));
    case Kind::kMap:
      return LogicalType(duckdb_create_map_type(ToDuck(type.fields[0].type).get(),
                                                ToDuck(type.fields[1].type).get()));
    default:
      return LogicalType(duckdb_create_logical_type(SimpleDuck(type.kind)));
  }
}

Result<OutputType> FromDuck(duckdb_logical_type type, const std::string& column) {
  const auto cast = [&](std::string_view to) {
    return fmt::format("CAST({} AS {})", column, to);
  };
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_BOOLEAN:
      return As(Simple(Kind::kBool), false);
    case DUCKDB_TYPE_INTEGER:
      return As(Simple(Kind::kInt32), false);
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_SQLNULL:
      return As(Simple(Kind::kInt32), true);
    case DUCKDB_TYPE_BIGINT:
      return As(Simple(Kind::kInt64), false);
    case DUCKDB_TYPE_UINTEGER:
      return As(Simple(Kind::kInt64), true);
    case DUCKDB_TYPE_UBIGINT:
      return As(data::Decimal(20, 0), true);
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT:
      return As(data::Decimal(38, 0), true);
    case DUCKDB_TYPE_FLOAT:
      return As(Simple(Kind::kFloat), false);
    case DUCKDB_TYPE_DOUBLE:
      return As(Simple(Kind::kDouble), false);
    case DUCKDB_TYPE_DECIMAL:
      return As(data::Decimal(duckdb_decimal_width(type), duckdb_decimal_scale(type)),
                false);
    case DUCKDB_TYPE_DATE:
      return As(Simple(Kind::kDate), false);
    case DUCKDB_TYPE_TIME:
      return As(Simple(Kind::kTime), false);
    case DUCKDB_TYPE_TIME_NS:
      return As(Simple(Kind::kTime), true);
    case DUCKDB_TYPE_TIMESTAMP:
      return As(Simple(Kind::kTimestamp), false);
    case DUCKDB_TYPE_TIMESTAMP_S:
    case DUCKDB_TYPE_TIMESTAMP_MS:
    case DUCKDB_TYPE_TIMESTAMP_NS:
      return As(Simple(Kind::kTimestamp), true);
    case DUCKDB_TYPE_TIMESTAMP_TZ:
      return As(Simple(Kind::kTimestampTz), false);
    case DUCKDB_TYPE_VARCHAR:
      return As(Simple(Kind::kString), false);
    case DUCKDB_TYPE_BLOB:
      return As(Simple(Kind::kBinary), false);
    case DUCKDB_TYPE_UUID:
      return As(Simple(Kind::kUuid), true);
    case DUCKDB_TYPE_STRUCT:
      return StructFromDuck(type, column);
    case DUCKDB_TYPE_LIST:
      return ListFromDuck(LogicalType(duckdb_list_type_child_type(type)), false, column);
    case DUCKDB_TYPE_ARRAY:
      return ListFromDuck(LogicalType(duckdb_array_type_child_type(type)), true, column);
    case DUCKDB_TYPE_MAP:
      return MapFromDuck(type, column);
    case DUCKDB_TYPE_INTERVAL:
      return NoPlace(
          column, "an INTERVAL",
          fmt::format("date_diff('second', start, end), or {}", cast("VARCHAR")));
    case DUCKDB_TYPE_ENUM:
      return NoPlace(column, "an ENUM", cast("VARCHAR"));
    case DUCKDB_TYPE_UNION:
      return NoPlace(column, "a UNION", fmt::format("union_extract({}, 'tag')", column));
    case DUCKDB_TYPE_BIT:
      return NoPlace(column, "a BIT string", cast("VARCHAR"));
    case DUCKDB_TYPE_TIME_TZ:
      return NoPlace(column, "a TIME WITH TIME ZONE", cast("TIME"));
    case DUCKDB_TYPE_BIGNUM:
      return NoPlace(column, "a BIGNUM", cast("DECIMAL(38,0)"));
    case DUCKDB_TYPE_GEOMETRY:
      return NoPlace(column, "a GEOMETRY", fmt::format("ST_AsWKB({})", column));
    case DUCKDB_TYPE_VARIANT:
      return NoPlace(column, "a VARIANT", cast("JSON"));
    default:
      return NoPlace(column, "of a type unknown to Weir", cast("VARCHAR"));
  }
}

std::string TypeInSql(const data::Type& type) {
  switch (type.kind) {
    case Kind::kBool:
      return "BOOLEAN";
    case Kind::kInt32:
      return "INTEGER";
    case Kind::kInt64:
      return "BIGINT";
    case Kind::kFloat:
      return "FLOAT";
    case Kind::kDouble:
      return "DOUBLE";
    case Kind::kDecimal:
      return fmt::format("DECIMAL({},{})", type.precision, type.scale);
    case Kind::kDate:
      return "DATE";
    case Kind::kTime:
      return "TIME";
    case Kind::kTimestamp:
      return "TIMESTAMP";
    case Kind::kTimestampTz:
      return "TIMESTAMP WITH TIME ZONE";
    case Kind::kString:
      return "VARCHAR";
    case Kind::kBinary:
      return "BLOB";
    case Kind::kUuid:
      return "UUID";
    case Kind::kList:
      return TypeInSql(type.fields[0].type) + "[]";
    case Kind::kMap:
      return fmt::format("MAP({}, {})", TypeInSql(type.fields[0].type),
                         TypeInSql(type.fields[1].type));
    case Kind::kStruct: {
      std::string out = "STRUCT(";
      for (const data::Field& field : type.fields) {
        if (out.back() != '(') out += ", ";
        out += QuoteName(field.name) + " " + TypeInSql(field.type);
      }
      return out + ")";
    }
  }
  return "VARCHAR";
}

std::string QuoteName(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace weir::duck
