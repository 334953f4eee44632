// Weir's type system: Iceberg's types, and nothing else. No Arrow here; see data/arrow.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::data {

enum class Kind : uint8_t {
  kBool,
  kInt32,
  kInt64,
  kFloat,
  kDouble,
  kDecimal,      // precision, scale
  kDate,         // days
  kTime,         // microseconds of a day
  kTimestamp,    // microseconds, without zone
  kTimestampTz,  // microseconds, UTC
  kString,
  kBinary,
  kUuid,
  kStruct,  // fields
  kList,    // fields[0] is the element, named "element"
  kMap,     // fields[0] is "key" (required), fields[1] is "value"
};

struct Field;

struct Type {
  Kind kind = Kind::kString;
  int precision = 0, scale = 0;
  std::vector<Field> fields;

  bool is_nested() const { return kind >= Kind::kStruct; }
  friend bool operator==(const Type&, const Type&);
};

struct Field {
  std::string name;
  Type type;
  bool required = false;
  int id = 0;  // Iceberg field id; 0 = not assigned yet
  std::string doc;

  friend bool operator==(const Field&, const Field&);
};

// The columns of a table or batch, in order. Names are unique ignoring case.
struct Schema {
  std::vector<Field> fields;

  int IndexOf(std::string_view name) const;  // ignoring case; -1 if missing
  const Field* Find(std::string_view name) const;
  friend bool operator==(const Schema&, const Schema&);
};

inline Type Simple(Kind kind) { return Type{kind, 0, 0, {}}; }
inline Type Decimal(int precision, int scale) {
  return Type{Kind::kDecimal, precision, scale, {}};
}
Type ListOf(Type element);
Type StructOf(std::vector<Field> fields);

// Iceberg's spelling: "long", "decimal(10,2)", "timestamptz", "list<string>", "struct<a:
// int>".
std::string TypeName(const Type& type);

// Gives every field without an id the next one, depth first, starting after `last_id`;
// returns the last id used.
int AssignFieldIds(Schema& schema, int last_id);

// Takes all ids away, on every level.
void ClearFieldIds(Schema& schema);

// Case-insensitive (ASCII) comparison used for all column and table names.
bool SameName(std::string_view a, std::string_view b);
std::string LowerName(std::string_view name);

}  // namespace weir::data
