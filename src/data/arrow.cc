#include "data/arrow.h"

#include <arrow/api.h>
#include <arrow/extension/uuid.h>
#include <arrow/util/key_value_metadata.h>

namespace weir::data {

Error ArrowError(const arrow::Status& status) {
  if (status.IsOutOfMemory()) return Unavailable(status.ToString());
  if (status.IsIOError()) return Unavailable(status.message());
  return Internal(status.ToString());
}

std::shared_ptr<arrow::DataType> ToArrow(const Type& type) {
  switch (type.kind) {
    case Kind::kBool:
      return arrow::boolean();
    case Kind::kInt32:
      return arrow::int32();
    case Kind::kInt64:
      return arrow::int64();
    case Kind::kFloat:
      return arrow::float32();
    case Kind::kDouble:
      return arrow::float64();
    case Kind::kDecimal:
      return arrow::decimal128(type.precision, type.scale);
    case Kind::kDate:
      return arrow::date32();
    case Kind::kTime:
      return arrow::time64(arrow::TimeUnit::MICRO);
    case Kind::kTimestamp:
      return arrow::timestamp(arrow::TimeUnit::MICRO);
    case Kind::kTimestampTz:
      return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case Kind::kString:
      return arrow::utf8();
    case Kind::kBinary:
      return arrow::binary();
    case Kind::kUuid:
      return arrow::fixed_size_binary(16);
    case Kind::kStruct: {
      arrow::FieldVector fields;
      for (const Field& field : type.fields) fields.push_back(ToArrow(field));
      return arrow::struct_(std::move(fields));
    }
    case Kind::kList:
      return arrow::list(ToArrow(type.fields[0]));
    case Kind::kMap: {
      const auto key = ToArrow(type.fields[0]), value = ToArrow(type.fields[1]);
      return std::make_shared<arrow::MapType>(key->WithNullable(false), value);
    }
  }
  return arrow::null();
}

std::shared_ptr<arrow::Field> ToArrow(const Field& field) {
  auto out = arrow::field(field.name, ToArrow(field.type), !field.required);
  if (field.id == 0) return out;
  return out->WithMetadata(
      arrow::key_value_metadata({"PARQUET:field_id"}, {std::to_string(field.id)}));
}

std::shared_ptr<arrow::Schema> ToArrow(const Schema& schema) {
  arrow::FieldVector fields;
  for (const Field& field : schema.fields) fields.push_back(ToArrow(field));
  return arrow::schema(std::move(fields));
}

namespace {

Result<Field> FieldFromArrow(const arrow::Field& field) {
  Type type = WEIR_TRY(FromArrow(*field.type()));
  Field out{field.name(), std::move(type), !field.nullable()};
  if (field.metadata() != nullptr) {
    const auto id = field.metadata()->Get("PARQUET:field_id");
    if (id.ok()) out.id = std::atoi(id->c_str());
  }
  return out;
}

}  // namespace

Result<Type> FromArrow(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return Simple(Kind::kBool);
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
      return Simple(Kind::kInt32);
    case arrow::Type::INT64:
      return Simple(Kind::kInt64);
    case arrow::Type::FLOAT:
      return Simple(Kind::kFloat);
    case arrow::Type::DOUBLE:
      return Simple(Kind::kDouble);
    case arrow::Type::DECIMAL128: {
      const auto& decimal = static_cast<const arrow::Decimal128Type&>(type);
      return Decimal(decimal.precision(), decimal.scale());
    }
    case arrow::Type::DATE32:
      return Simple(Kind::kDate);
    case arrow::Type::TIME64:
      return Simple(Kind::kTime);
    case arrow::Type::TIMESTAMP: {
      const auto& stamp = static_cast<const arrow::TimestampType&>(type);
      if (stamp.unit() != arrow::TimeUnit::MICRO) break;
      return Simple(stamp.timezone().empty() ? Kind::kTimestamp : Kind::kTimestampTz);
    }
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return Simple(Kind::kString);
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
      return Simple(Kind::kBinary);
    case arrow::Type::FIXED_SIZE_BINARY:
      if (static_cast<const arrow::FixedSizeBinaryType&>(type).byte_width() == 16) {
        return Simple(Kind::kUuid);
      }
      break;
    case arrow::Type::EXTENSION:
      if (static_cast<const arrow::ExtensionType&>(type).extension_name() ==
          "arrow.uuid") {
        return Simple(Kind::kUuid);
      }
      break;
    case arrow::Type::LIST: {
      Field element = WEIR_TRY(
          FieldFromArrow(*static_cast<const arrow::ListType&>(type).value_field()));
      element.name = "element";
      Type out = Simple(Kind::kList);
      out.fields.push_back(std::move(element));
      return out;
    }
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(type);
      Type out = Simple(Kind::kMap);
      out.fields.push_back(WEIR_TRY(FieldFromArrow(*map.key_field())));
      out.fields.push_back(WEIR_TRY(FieldFromArrow(*map.item_field())));
      out.fields[0].name = "key";
      out.fields[0].required = true;
      out.fields[1].name = "value";
      return out;
    }
    case arrow::Type::STRUCT: {
      std::vector<Field> fields;
      for (const auto& field : type.fields())
        fields.push_back(WEIR_TRY(FieldFromArrow(*field)));
      return StructOf(std::move(fields));
    }
    default:
      break;
  }
  return Invalid("type " + type.ToString() +
                 " has no counterpart in an Iceberg table; cast it");
}

Result<Schema> FromArrow(const arrow::Schema& schema) {
  Schema out;
  for (const auto& field : schema.fields()) {
    auto converted = FieldFromArrow(*field);
    if (!converted.ok())
      return std::move(converted).error().Within("column " + field->name());
    out.fields.push_back(*std::move(converted));
  }
  return out;
}

}  // namespace weir::data
