#include "iceberg/literal_internal.h"
#include "iceberg/table.h"

namespace weir::iceberg {
namespace {

using data::Field;
using data::Kind;
using data::Type;

int LargestId(const std::vector<Field>& fields) {
  int largest = 0;
  for (const Field& field : fields)
    largest = std::max({largest, field.id, LargestId(field.type.fields)});
  return largest;
}

std::string DefaultName(const std::string& column, TransformKind kind) {
  switch (kind) {
    case TransformKind::kIdentity:
      return column;
    case TransformKind::kBucket:
      return column + "_bucket";
    case TransformKind::kTruncate:
      return column + "_trunc";
    case TransformKind::kYear:
      return column + "_year";
    case TransformKind::kMonth:
      return column + "_month";
    case TransformKind::kDay:
      return column + "_day";
    case TransformKind::kHour:
      return column + "_hour";
    case TransformKind::kVoid:
      return column + "_null";
  }
  return column;
}

bool IsWidening(const Type& from, const Type& to) {
  if (from.kind == Kind::kInt32 && to.kind == Kind::kInt64) return true;
  if (from.kind == Kind::kFloat && to.kind == Kind::kDouble) return true;
  return from.kind == Kind::kDecimal && to.kind == Kind::kDecimal &&
         from.scale == to.scale && from.precision <= to.precision;
}

// Gives `wanted` the ids of `existing`; what is new keeps or gets the id 0.
class SchemaMerge {
 public:
  explicit SchemaMerge(bool has_rows) : has_rows_(has_rows) {}

  Status Fields(const std::vector<Field>& existing, std::vector<Field>* wanted,
                const std::string& path) {
    for (const Field& old : existing) {
      if (Named(*wanted, old.name) == nullptr)
        return Invalid("a column cannot be removed: " + path + old.name);
    }
    for (Field& field : *wanted) {
      if (Named(*wanted, field.name) != &field)
        return Invalid("two columns have the same name: " + path + field.name);
      const Field* old = Named(existing, field.name);
      if (old == nullptr) {
        if (field.required && has_rows_)
          return Invalid("a new column must be optional: " + path + field.name);
        field.id = 0;
        ClearIds(&field.type);
        continue;
      }
      WEIR_TRY(One(*old, &field, path));
    }
    return {};
  }

 private:
  static const Field* Named(const std::vector<Field>& fields, const std::string& name) {
    for (const Field& field : fields) {
      if (data::SameName(field.name, name)) return &field;
    }
    return nullptr;
  }

  static void ClearIds(Type* type) {
    for (Field& child : type->fields) {
      child.id = 0;
      ClearIds(&child.type);
    }
  }

  Status One(const Field& old, Field* field, const std::string& path) {
    const std::string here = path + old.name;
    field->id = old.id;
    if (field->required && !old.required)
      return Invalid("a column cannot become required: " + here);
    if (field->type.kind == old.type.kind && old.type.is_nested())
      return Fields(old.type.fields, &field->type.fields, here + ".");
    if (field->type == old.type || IsWidening(old.type, field->type)) return {};
    return Invalid(fmt::format("column {} cannot change from {} to {}", here,
                               data::TypeName(old.type), data::TypeName(field->type)));
  }

  const bool has_rows_;
};

bool SameFields(const std::vector<Field>& a, const std::vector<Field>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(a[i] == b[i]) || a[i].doc != b[i].doc ||
        !SameFields(a[i].type.fields, b[i].type.fields))
      return false;
  }
  return true;
}

// The ids of the key columns, or none: Iceberg allows only required columns that are not
// floating point as identifiers.
std::vector<int> IdentifierIds(const data::Schema& schema,
                               const std::vector<std::string>& names) {
  std::vector<int> ids;
  for (const std::string& name : names) {
    const Field* field = schema.Find(name);
    WEIR_CHECK(field != nullptr);
    const Kind kind = field->type.kind;
    if (!field->required || kind == Kind::kFloat || kind == Kind::kDouble ||
        field->type.is_nested())
      return {};
    ids.push_back(field->id);
  }
  return ids;
}

}  // namespace

Metadata MakeMetadata(const NewTable& table, Micros now) {
  Metadata metadata;
  metadata.format_version = table.format_version;
  metadata.uuid = NewUuid();
  metadata.location = table.location;
  metadata.last_updated = now / 1000 * 1000;
  metadata.properties = {{"write.metadata.delete-after-commit.enabled", "true"},
                         {"write.metadata.previous-versions-max",
                          std::to_string(MaintenanceOptions{}.metadata_files_max)}};
  for (const auto& [key, value] : table.properties) metadata.properties[key] = value;

  data::Schema& schema = metadata.schemas[0];
  schema = table.schema;
  metadata.last_column_id = data::AssignFieldIds(schema, LargestId(schema.fields));
  const std::vector<int> identifier = IdentifierIds(schema, table.identifier);
  if (!identifier.empty()) metadata.identifier_field_ids[0] = identifier;

  PartitionSpec& spec = metadata.specs[0];
  spec.fields = table.partition;
  for (PartitionField& field : spec.fields) {
    const Field* source = FindField(schema.fields, field.source_id);
    WEIR_CHECK(source != nullptr);
    if (field.name.empty()) field.name = DefaultName(source->name, field.transform.kind);
    if (field.field_id == 0) field.field_id = metadata.last_partition_id + 1;
    metadata.last_partition_id = std::max(metadata.last_partition_id, field.field_id);
  }

  metadata.sort_orders[0] = {};
  if (!table.sort.empty()) {
    metadata.sort_orders[1] = {1, table.sort};
    metadata.default_sort_order_id = 1;
  }
  return metadata;
}

Result<Metadata> WithSchema(const Metadata& metadata, const data::Schema& wanted) {
  if (metadata.unknown_json.find("\"schemas\"") != std::string::npos) {
    return Invalid(
        "the table's schema has attributes that Weir does not know; change it with the "
        "program that wrote them");
  }
  data::Schema merged = wanted;
  WEIR_TRY(SchemaMerge(!metadata.snapshots.empty())
               .Fields(metadata.schema().fields, &merged.fields, ""));
  if (SameFields(merged.fields, metadata.schema().fields)) return metadata;

  Metadata changed = metadata;
  changed.last_column_id = std::max(
      metadata.last_column_id, data::AssignFieldIds(merged, metadata.last_column_id));
  const int id = metadata.schemas.rbegin()->first + 1;
  changed.schemas[id] = std::move(merged);
  const auto identifier = metadata.identifier_field_ids.find(metadata.current_schema_id);
  if (identifier != metadata.identifier_field_ids.end())
    changed.identifier_field_ids[id] = identifier->second;
  changed.current_schema_id = id;
  return changed;
}

Metadata WithSortOrder(const Metadata& metadata, const std::vector<SortField>& fields) {
  Metadata changed = metadata;
  int id = 0;  // the format's own name for no order
  changed.sort_orders.try_emplace(0);
  for (const auto& [known, order] : metadata.sort_orders) {
    if (!fields.empty() && order.fields == fields) id = known;
  }
  if (id == 0 && !fields.empty()) {
    id = metadata.sort_orders.empty() ? 1 : metadata.sort_orders.rbegin()->first + 1;
    changed.sort_orders[id] = {id, fields};
  }
  changed.default_sort_order_id = id;
  return changed;
}

}  // namespace weir::iceberg
