#include "iceberg/schema_json_internal.h"

#include <cstdio>

#include "base/json.h"
#include "iceberg/literal_internal.h"

namespace weir::iceberg {
namespace {

using data::Kind;

struct NamedKind {
  std::string_view name;
  Kind kind;
};
constexpr NamedKind kNames[] = {
    {"boolean", Kind::kBool},
    {"int", Kind::kInt32},
    {"long", Kind::kInt64},
    {"float", Kind::kFloat},
    {"double", Kind::kDouble},
    {"date", Kind::kDate},
    {"time", Kind::kTime},
    {"timestamp", Kind::kTimestamp},
    {"timestamptz", Kind::kTimestampTz},
    {"string", Kind::kString},
    {"binary", Kind::kBinary},
    {"uuid", Kind::kUuid},
};

Result<data::Type> Primitive(const std::string& name) {
  for (const NamedKind& named : kNames) {
    if (named.name == name) return data::Simple(named.kind);
  }
  int precision = 0, scale = 0;
  if (std::sscanf(name.c_str(), "decimal ( %d , %d )", &precision, &scale) == 2) {
    if (precision < 1 || precision > 38 || scale < 0 || scale > precision)
      return Invalid("not a type: " + name);
    return data::Decimal(precision, scale);
  }
  return Invalid("column type " + name + " is not supported");
}

Result<std::vector<data::Field>> FieldsFromJson(const Json& json) {
  std::vector<data::Field> fields;
  for (const Json& item : json) {
    data::Field field;
    field.name = item.at("name").get<std::string>();
    field.id = IntegerOf<int>(item.at("id"));
    field.required = item.at("required").get<bool>();
    field.type = WEIR_TRY(TypeFromJson(item.at("type")));
    field.doc = item.value("doc", "");
    fields.push_back(std::move(field));
  }
  return fields;
}

Json TypeToJson(const data::Type& type);

Json FieldsToJson(const std::vector<data::Field>& fields) {
  Json out = Json::array();
  for (const data::Field& field : fields) {
    Json item = {{"id", field.id},
                 {"name", field.name},
                 {"required", field.required},
                 {"type", TypeToJson(field.type)}};
    if (!field.doc.empty()) item["doc"] = field.doc;
    out.push_back(std::move(item));
  }
  return out;
}

Json TypeToJson(const data::Type& type) {
  switch (type.kind) {
    case Kind::kStruct:
      return {{"type", "struct"}, {"fields", FieldsToJson(type.fields)}};
    case Kind::kList:
      return {{"type", "list"},
              {"element-id", type.fields[0].id},
              {"element", TypeToJson(type.fields[0].type)},
              {"element-required", type.fields[0].required}};
    case Kind::kMap:
      return {{"type", "map"},
              {"key-id", type.fields[0].id},
              {"key", TypeToJson(type.fields[0].type)},
              {"value-id", type.fields[1].id},
              {"value", TypeToJson(type.fields[1].type)},
              {"value-required", type.fields[1].required}};
    case Kind::kDecimal:
      return fmt::format("decimal({}, {})", type.precision, type.scale);
    default:
      return data::TypeName(type);
  }
}

bool OnlyHas(const Json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) return false;
  }
  return true;
}

bool TypeHasUnknown(const Json& type) {
  if (!type.is_object()) return false;
  const std::string kind = type.value("type", "");
  if (kind == "list")
    return !OnlyHas(type, {"type", "element-id", "element", "element-required"}) ||
           TypeHasUnknown(type.at("element"));
  if (kind == "map") {
    return !OnlyHas(type,
                    {"type", "key-id", "key", "value-id", "value", "value-required"}) ||
           TypeHasUnknown(type.at("key")) || TypeHasUnknown(type.at("value"));
  }
  for (const Json& field : type.at("fields")) {
    if (!OnlyHas(field, {"id", "name", "required", "type", "doc"}) ||
        TypeHasUnknown(field.at("type")))
      return true;
  }
  return false;
}

// Avro names are letters, digits and underscores; others are escaped as Java does it.
std::string AvroName(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    if (letter || (digit && i > 0)) {
      out.push_back(static_cast<char>(c));
    } else if (digit) {
      out += fmt::format("_{}", static_cast<char>(c));
    } else {
      out += fmt::format("_x{:X}", c);
    }
  }
  return out;
}

Json AvroType(const data::Field& field);

// `hint` makes the names of records and fixed types unique within one schema.
Json AvroPlainType(const data::Type& type, int hint) {
  switch (type.kind) {
    case Kind::kBool:
      return "boolean";
    case Kind::kInt32:
      return "int";
    case Kind::kInt64:
      return "long";
    case Kind::kFloat:
      return "float";
    case Kind::kDouble:
      return "double";
    case Kind::kString:
      return "string";
    case Kind::kBinary:
      return "bytes";
    case Kind::kDate:
      return {{"type", "int"}, {"logicalType", "date"}};
    case Kind::kTime:
      return {{"type", "long"}, {"logicalType", "time-micros"}};
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      return {{"type", "long"},
              {"logicalType", "timestamp-micros"},
              {"adjust-to-utc", type.kind == Kind::kTimestampTz}};
    case Kind::kUuid:
      return {{"type", "fixed"},
              {"name", fmt::format("uuid_{}", hint)},
              {"size", 16},
              {"logicalType", "uuid"}};
    case Kind::kDecimal:
      return {{"type", "fixed"},
              {"name", fmt::format("decimal_{}", hint)},
              {"size", DecimalSize(type.precision)},
              {"logicalType", "decimal"},
              {"precision", type.precision},
              {"scale", type.scale}};
    case Kind::kStruct:
      return AvroRecord(fmt::format("r{}", hint), type.fields);
    case Kind::kList:
      return {{"type", "array"},
              {"items", AvroType(type.fields[0])},
              {"element-id", type.fields[0].id}};
    case Kind::kMap:
      return {{"type", "array"},
              {"logicalType", "map"},
              {"items",
               AvroRecord(fmt::format("k{}_v{}", type.fields[0].id, type.fields[1].id),
                          type.fields)}};
  }
  return "null";
}

Json AvroType(const data::Field& field) {
  Json plain = AvroPlainType(field.type, field.id);
  if (field.required) return plain;
  return Json::array({"null", std::move(plain)});
}

}  // namespace

Result<data::Type> TypeFromJson(const Json& json) {
  if (json.is_string()) return Primitive(json.get<std::string>());
  const std::string kind = json.at("type").get<std::string>();
  if (kind == "struct")
    return data::StructOf(WEIR_TRY(FieldsFromJson(json.at("fields"))));
  if (kind == "list") {
    data::Type type = data::ListOf(WEIR_TRY(TypeFromJson(json.at("element"))));
    type.fields[0].id = IntegerOf<int>(json.at("element-id"));
    type.fields[0].required = json.at("element-required").get<bool>();
    return type;
  }
  if (kind == "map") {
    data::Type type = data::Simple(Kind::kMap);
    type.fields.push_back({"key", WEIR_TRY(TypeFromJson(json.at("key"))), true,
                           IntegerOf<int>(json.at("key-id"))});
    type.fields.push_back({"value", WEIR_TRY(TypeFromJson(json.at("value"))),
                           json.at("value-required").get<bool>(),
                           IntegerOf<int>(json.at("value-id"))});
    return type;
  }
  return Invalid("column type " + kind + " is not supported");
}

Result<data::Schema> SchemaFromJson(const Json& json) {
  return data::Schema{WEIR_TRY(FieldsFromJson(json.at("fields")))};
}

Json SchemaToJson(const data::Schema& schema, int schema_id,
                  const std::vector<int>& identifier) {
  Json out = {{"type", "struct"},
              {"schema-id", schema_id},
              {"fields", FieldsToJson(schema.fields)}};
  if (!identifier.empty()) out["identifier-field-ids"] = identifier;
  return out;
}

bool HasUnknownMembers(const Json& schema) {
  return !OnlyHas(schema, {"type", "schema-id", "fields", "identifier-field-ids"}) ||
         TypeHasUnknown(schema);
}

Json SpecFieldsToJson(const PartitionSpec& spec) {
  Json out = Json::array();
  for (const PartitionField& field : spec.fields) {
    out.push_back({{"source-id", field.source_id},
                   {"field-id", field.field_id},
                   {"name", field.name},
                   {"transform", TransformName(field.transform)}});
  }
  return out;
}

Result<PartitionSpec> SpecFromJson(const Json& json) {
  PartitionSpec spec;
  spec.id = IntegerOf<int>(json.at("spec-id"));
  for (const Json& item : json.at("fields")) {
    const Transform transform =
        WEIR_TRY(ParseTransform(item.at("transform").get<std::string>()));
    spec.fields.push_back({IntegerOf<int>(item.at("source-id")),
                           IntegerOf<int>(item.at("field-id")),
                           item.at("name").get<std::string>(), transform});
  }
  return spec;
}

Json SortOrderToJson(const SortOrder& order) {
  Json fields = Json::array();
  for (const SortField& field : order.fields) {
    fields.push_back({{"transform", TransformName(field.transform)},
                      {"source-id", field.source_id},
                      {"direction", field.descending ? "desc" : "asc"},
                      {"null-order", field.nulls_last ? "nulls-last" : "nulls-first"}});
  }
  return {{"order-id", order.id}, {"fields", std::move(fields)}};
}

Result<SortOrder> SortOrderFromJson(const Json& json) {
  SortOrder order;
  order.id = IntegerOf<int>(json.at("order-id"));
  for (const Json& item : json.at("fields")) {
    order.fields.push_back(
        {IntegerOf<int>(item.at("source-id")),
         WEIR_TRY(ParseTransform(item.at("transform").get<std::string>())),
         item.at("direction").get<std::string>() == "desc",
         item.at("null-order").get<std::string>() == "nulls-last"});
  }
  return order;
}

Json AvroRecord(const std::string& name, const std::vector<data::Field>& fields) {
  Json out = {{"type", "record"}, {"name", name}, {"fields", Json::array()}};
  for (const data::Field& field : fields) {
    const std::string legal = AvroName(field.name);
    Json item = {{"name", legal}, {"type", AvroType(field)}, {"field-id", field.id}};
    if (legal != field.name) item["iceberg-field-name"] = field.name;
    if (!field.required) item["default"] = nullptr;
    if (!field.doc.empty()) item["doc"] = field.doc;
    out["fields"].push_back(std::move(item));
  }
  return out;
}

}  // namespace weir::iceberg
