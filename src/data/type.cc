#include "data/type.h"

#include <fmt/format.h>

namespace weir::data {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int AssignIn(Field& field, int last) {
  if (field.id == 0) field.id = ++last;
  return last;
}

void ClearIds(Field& field) {
  field.id = 0;
  for (Field& child : field.type.fields) ClearIds(child);
}

int AssignChildren(Type& type, int last) {
  for (Field& child : type.fields) last = AssignIn(child, last);
  for (Field& child : type.fields) last = AssignChildren(child.type, last);
  return last;
}

}  // namespace

bool operator==(const Type& a, const Type& b) {
  return a.kind == b.kind && a.precision == b.precision && a.scale == b.scale &&
         a.fields == b.fields;
}

bool operator==(const Field& a, const Field& b) {
  return a.name == b.name && a.type == b.type && a.required == b.required && a.id == b.id;
}

bool operator==(const Schema& a, const Schema& b) { return a.fields == b.fields; }

bool SameName(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

std::string LowerName(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = Lower(c);
  return out;
}

int Schema::IndexOf(std::string_view name) const {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (SameName(fields[i].name, name)) return static_cast<int>(i);
  }
  return -1;
}

const Field* Schema::Find(std::string_view name) const {
  const int i = IndexOf(name);
  return i < 0 ? nullptr : &fields[static_cast<size_t>(i)];
}

Type ListOf(Type element) {
  Type type = Simple(Kind::kList);
  type.fields.push_back({"element", std::move(element)});
  return type;
}

Type StructOf(std::vector<Field> fields) {
  Type type = Simple(Kind::kStruct);
  type.fields = std::move(fields);
  return type;
}

std::string TypeName(const Type& type) {
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
    case Kind::kDecimal:
      return fmt::format("decimal({},{})", type.precision, type.scale);
    case Kind::kDate:
      return "date";
    case Kind::kTime:
      return "time";
    case Kind::kTimestamp:
      return "timestamp";
    case Kind::kTimestampTz:
      return "timestamptz";
    case Kind::kString:
      return "string";
    case Kind::kBinary:
      return "binary";
    case Kind::kUuid:
      return "uuid";
    case Kind::kList:
      return "list<" + TypeName(type.fields[0].type) + ">";
    case Kind::kMap:
      return "map<" + TypeName(type.fields[0].type) + ", " +
             TypeName(type.fields[1].type) + ">";
    case Kind::kStruct: {
      std::string out = "struct<";
      for (const Field& field : type.fields) {
        if (out.back() != '<') out += ", ";
        out += field.name + ": " + TypeName(field.type);
      }
      return out + ">";
    }
  }
  return "?";
}

void ClearFieldIds(Schema& schema) {
  for (Field& field : schema.fields) ClearIds(field);
}

int AssignFieldIds(Schema& schema, int last) {
  for (Field& field : schema.fields) last = AssignIn(field, last);
  for (Field& field : schema.fields) last = AssignChildren(field.type, last);
  return last;
}

}  // namespace weir::data
