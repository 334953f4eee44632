#include "base/json.h"
#include "iceberg/schema_json_internal.h"
#include "iceberg/table.h"

namespace weir::iceberg {
namespace {

constexpr int64_t kMicrosPerMilli = 1000;

constexpr std::string_view kTableMembers[] = {
    "format-version",
    "table-uuid",
    "location",
    "last-sequence-number",
    "last-updated-ms",
    "last-column-id",
    "schemas",
    "current-schema-id",
    "partition-specs",
    "default-spec-id",
    "last-partition-id",
    "sort-orders",
    "default-sort-order-id",
    "properties",
    "current-snapshot-id",
    "snapshots",
    "snapshot-log",
    "metadata-log",
    "next-row-id",
    "refs",
};
constexpr std::string_view kSnapshotMembers[] = {
    "snapshot-id",  "parent-snapshot-id", "sequence-number",
    "timestamp-ms", "manifest-list",      "summary",
    "schema-id",    "first-row-id",       "added-rows",
};

template <size_t n>
Json Unknown(const Json& object, const std::string_view (&known)[n]) {
  Json out = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (std::find(std::begin(known), std::end(known), key) == std::end(known))
      out[key] = value;
  }
  return out;
}

bool HasValue(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

std::optional<int64_t> OptionalLong(const Json& object, const char* key) {
  if (!HasValue(object, key)) return std::nullopt;
  return IntegerOf<int64_t>(object.at(key));
}

// Throws as IntegerOf does.
Micros MicrosOf(const Json& millis) {
  Micros out = 0;
  if (__builtin_mul_overflow(IntegerOf<int64_t>(millis), kMicrosPerMilli, &out))
    throw Json::out_of_range::create(406, "time out of range", &millis);
  return out;
}

Snapshot SnapshotFromJson(const Json& json, int schema_id) {
  Snapshot snapshot;
  snapshot.id = {IntegerOf<int64_t>(json.at("snapshot-id"))};
  if (const auto parent = OptionalLong(json, "parent-snapshot-id"))
    snapshot.parent = SnapshotId{*parent};
  snapshot.sequence_number = IntegerOr(json, "sequence-number", int64_t{0});
  snapshot.timestamp = MicrosOf(json.at("timestamp-ms"));
  snapshot.manifest_list = json.at("manifest-list").get<std::string>();
  if (HasValue(json, "summary"))
    snapshot.summary = json.at("summary").get<std::map<std::string, std::string>>();
  snapshot.schema_id =
      HasValue(json, "schema-id") ? IntegerOf<int>(json.at("schema-id")) : schema_id;
  snapshot.first_row_id = OptionalLong(json, "first-row-id");
  snapshot.added_rows = OptionalLong(json, "added-rows");
  return snapshot;
}

Status ParseSchemas(const Json& json, Metadata* metadata, Json* unknown) {
  for (const Json& item : json.at("schemas")) {
    const int id = IntegerOf<int>(item.at("schema-id"));
    metadata->schemas[id] = WEIR_TRY(SchemaFromJson(item));
    if (item.contains("identifier-field-ids")) {
      std::vector<int>& identifier = metadata->identifier_field_ids[id];
      identifier.clear();
      for (const Json& field : item["identifier-field-ids"])
        identifier.push_back(IntegerOf<int>(field));
    }
    if (HasUnknownMembers(item)) (*unknown)["schemas"][std::to_string(id)] = item;
  }
  return {};
}

Status ParseSpecsAndOrders(const Json& json, Metadata* metadata) {
  for (const Json& item : json.at("partition-specs")) {
    PartitionSpec spec = WEIR_TRY(SpecFromJson(item));
    metadata->specs[spec.id] = std::move(spec);
  }
  for (const Json& item : json.at("sort-orders")) {
    SortOrder order = WEIR_TRY(SortOrderFromJson(item));
    metadata->sort_orders[order.id] = std::move(order);
  }
  return {};
}

void ParseHistory(const Json& json, Metadata* metadata, Json* unknown) {
  const auto current = OptionalLong(json, "current-snapshot-id");
  if (current && *current != -1) metadata->current_snapshot = SnapshotId{*current};
  for (const Json& item : json.value("snapshots", Json::array())) {
    metadata->snapshots.push_back(SnapshotFromJson(item, metadata->current_schema_id));
    Json rest = Unknown(item, kSnapshotMembers);
    if (!rest.empty())
      (*unknown)["snapshots"][std::to_string(metadata->snapshots.back().id.value)] =
          std::move(rest);
  }
  for (const Json& item : json.value("snapshot-log", Json::array())) {
    metadata->snapshot_log.push_back({MicrosOf(item.at("timestamp-ms")),
                                      {IntegerOf<int64_t>(item.at("snapshot-id"))}});
  }
  for (const Json& item : json.value("metadata-log", Json::array())) {
    metadata->metadata_log.push_back(
        {MicrosOf(item.at("timestamp-ms")), item.at("metadata-file").get<std::string>()});
  }
  if (HasValue(json, "refs")) {
    if (!json["refs"].is_object())
      throw Json::type_error::create(302, "refs is no object", &json);
    metadata->refs_json = json["refs"].dump();
  }
}

Status Validate(const Metadata& metadata) {
  if (!metadata.schemas.contains(metadata.current_schema_id))
    return Corrupt("metadata: the current schema is missing");
  if (!metadata.specs.contains(metadata.default_spec_id))
    return Corrupt("metadata: the default partition spec is missing");
  if (metadata.current_snapshot && metadata.current() == nullptr)
    return Corrupt("metadata: the current snapshot is missing");
  // The branch main is the current snapshot (spec "Snapshot References"). A table of
  // which only one of the two is known must not read as empty.
  if (metadata.refs_json.empty()) return {};
  const Json refs = Json::parse(metadata.refs_json);
  if (const auto main = refs.find("main"); main != refs.end()) {
    const auto id = OptionalLong(*main, "snapshot-id");
    if (!id || !metadata.current_snapshot || *id != metadata.current_snapshot->value)
      return Corrupt("metadata: the current snapshot is not that of the branch main");
  }
  return {};
}

Result<Metadata> FromJson(const Json& json) {
  Metadata metadata;
  Json unknown = Json::object();
  metadata.format_version = IntegerOf<int>(json.at("format-version"));
  if (metadata.format_version != 2 && metadata.format_version != 3) {
    return Invalid(fmt::format("Iceberg format version {} is not supported (2 and 3 are)",
                               metadata.format_version));
  }
  metadata.uuid = json.at("table-uuid").get<std::string>();
  metadata.location = json.at("location").get<std::string>();
  metadata.last_sequence_number = IntegerOf<int64_t>(json.at("last-sequence-number"));
  metadata.last_updated = MicrosOf(json.at("last-updated-ms"));
  metadata.last_column_id = IntegerOf<int>(json.at("last-column-id"));
  metadata.current_schema_id = IntegerOf<int>(json.at("current-schema-id"));
  metadata.default_spec_id = IntegerOf<int>(json.at("default-spec-id"));
  metadata.last_partition_id = IntegerOf<int>(json.at("last-partition-id"));
  metadata.default_sort_order_id = IntegerOf<int>(json.at("default-sort-order-id"));
  metadata.next_row_id = OptionalLong(json, "next-row-id").value_or(0);
  if (HasValue(json, "properties"))
    metadata.properties = json["properties"].get<std::map<std::string, std::string>>();
  WEIR_TRY(ParseSchemas(json, &metadata, &unknown));
  WEIR_TRY(ParseSpecsAndOrders(json, &metadata));
  ParseHistory(json, &metadata, &unknown);
  Json rest = Unknown(json, kTableMembers);
  if (!rest.empty()) unknown["table"] = std::move(rest);
  if (!unknown.empty()) metadata.unknown_json = unknown.dump();
  WEIR_TRY(Validate(metadata));
  return metadata;
}

Json RefsToJson(const Metadata& metadata) {
  Json refs =
      metadata.refs_json.empty() ? Json::object() : Json::parse(metadata.refs_json);
  if (metadata.current_snapshot) {
    Json& main = refs["main"];
    if (!main.is_object()) main = {{"type", "branch"}};
    main["snapshot-id"] = metadata.current_snapshot->value;
  }
  return refs;
}

// A JSON object as text. A table that commits every few seconds has hundreds of snapshots
// in its metadata, so they are written without building a tree first.
class ObjectText {
 public:
  explicit ObjectText(std::string* out) : out_(out) { out_->push_back('{'); }
  void Close() { out_->push_back('}'); }

  void Key(std::string_view key) {
    if (out_->back() != '{') out_->push_back(',');
    Quote(key);
    out_->push_back(':');
  }
  void Add(std::string_view key, int64_t value) {
    Key(key);
    fmt::format_to(std::back_inserter(*out_), "{}", value);
  }
  void Add(std::string_view key, std::string_view value) {
    Key(key);
    Quote(value);
  }
  void AddJson(std::string_view key, std::string_view json) {
    Key(key);
    *out_ += json;
  }

 private:
  void Quote(std::string_view text) {
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
      return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
    });
    if (!plain) {
      *out_ += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
      return;
    }
    out_->push_back('"');
    *out_ += text;
    out_->push_back('"');
  }

  std::string* out_;
};

// `extra`: members of this snapshot that Weir does not know, or null.
void PutSnapshot(const Snapshot& snapshot, const Json* extra, std::string* out) {
  ObjectText object(out);
  object.Add("snapshot-id", snapshot.id.value);
  if (snapshot.parent) object.Add("parent-snapshot-id", snapshot.parent->value);
  object.Add("sequence-number", snapshot.sequence_number);
  object.Add("timestamp-ms", snapshot.timestamp / kMicrosPerMilli);
  object.Add("manifest-list", snapshot.manifest_list);
  object.Key("summary");
  ObjectText summary(out);
  for (const auto& [key, value] : snapshot.summary) summary.Add(key, value);
  summary.Close();
  object.Add("schema-id", snapshot.schema_id);
  if (snapshot.first_row_id) object.Add("first-row-id", *snapshot.first_row_id);
  if (snapshot.added_rows) object.Add("added-rows", *snapshot.added_rows);
  if (extra != nullptr) {
    for (const auto& [key, value] : extra->items()) object.AddJson(key, value.dump());
  }
  object.Close();
}

// Writes `items` as an array, each by `put`.
template <class Items, class F>
void PutArray(std::string_view key, const Items& items, std::string* out, F put) {
  fmt::format_to(std::back_inserter(*out), ",\"{}\":[", key);
  for (const auto& item : items) {
    if (out->back() != '[') out->push_back(',');
    put(item);
  }
  out->push_back(']');
}

void PutHistory(const Metadata& metadata, const Json& unknown, std::string* out) {
  const Json extras = unknown.value("snapshots", Json::object());
  PutArray("snapshots", metadata.snapshots, out, [&](const Snapshot& snapshot) {
    const auto extra =
        extras.empty() ? extras.end() : extras.find(std::to_string(snapshot.id.value));
    PutSnapshot(snapshot, extra == extras.end() ? nullptr : &*extra, out);
  });
  PutArray("snapshot-log", metadata.snapshot_log, out,
           [&](const Metadata::LogEntry& entry) {
             ObjectText object(out);
             object.Add("timestamp-ms", entry.time / kMicrosPerMilli);
             object.Add("snapshot-id", entry.snapshot.value);
             object.Close();
           });
  PutArray("metadata-log", metadata.metadata_log, out,
           [&](const Metadata::MetadataLogEntry& entry) {
             ObjectText object(out);
             object.Add("timestamp-ms", entry.time / kMicrosPerMilli);
             object.Add("metadata-file", entry.file);
             object.Close();
           });
}

Json SchemasToJson(const Metadata& metadata, const Json& unknown) {
  Json out = Json::array();
  const Json& kept = unknown.contains("schemas") ? unknown["schemas"] : Json::object();
  for (const auto& [id, schema] : metadata.schemas) {
    const auto raw = kept.find(std::to_string(id));
    const auto identifier = metadata.identifier_field_ids.find(id);
    out.push_back(raw != kept.end()
                      ? *raw
                      : SchemaToJson(schema, id,
                                     identifier == metadata.identifier_field_ids.end()
                                         ? std::vector<int>{}
                                         : identifier->second));
  }
  return out;
}

// All but the history.
Json TableToJson(const Metadata& metadata, const Json& unknown) {
  Json out = unknown.contains("table") ? unknown["table"] : Json::object();
  out["format-version"] = metadata.format_version;
  out["table-uuid"] = metadata.uuid;
  out["location"] = metadata.location;
  out["last-sequence-number"] = metadata.last_sequence_number;
  out["last-updated-ms"] = metadata.last_updated / kMicrosPerMilli;
  out["last-column-id"] = metadata.last_column_id;
  out["current-schema-id"] = metadata.current_schema_id;
  out["schemas"] = SchemasToJson(metadata, unknown);
  out["default-spec-id"] = metadata.default_spec_id;
  out["last-partition-id"] = metadata.last_partition_id;
  out["partition-specs"] = Json::array();
  for (const auto& [id, spec] : metadata.specs) {
    out["partition-specs"].push_back(
        {{"spec-id", id}, {"fields", SpecFieldsToJson(spec)}});
  }
  out["default-sort-order-id"] = metadata.default_sort_order_id;
  out["sort-orders"] = Json::array();
  for (const auto& [id, order] : metadata.sort_orders)
    out["sort-orders"].push_back(SortOrderToJson(order));
  out["properties"] = metadata.properties;
  if (metadata.current_snapshot)
    out["current-snapshot-id"] = metadata.current_snapshot->value;
  if (metadata.format_version >= 3) out["next-row-id"] = metadata.next_row_id;
  out["refs"] = RefsToJson(metadata);
  return out;
}

}  // namespace

const Snapshot* Metadata::Find(SnapshotId id) const {
  for (auto it = snapshots.rbegin(); it != snapshots.rend(); ++it) {
    if (it->id == id) return &*it;
  }
  return nullptr;
}

const Snapshot* Metadata::current() const {
  return current_snapshot ? Find(*current_snapshot) : nullptr;
}

const Snapshot* Metadata::AsOf(Micros time) const {
  const LogEntry* found = nullptr;
  for (const LogEntry& entry : snapshot_log) {
    if (entry.time <= time) found = &entry;
  }
  return found == nullptr ? nullptr : Find(found->snapshot);
}

Result<Metadata> ReadMetadata(io::Io& io, std::string_view uri) {
  auto metadata = ParseMetadata(WEIR_TRY(io.ReadAll(WEIR_TRY(PathOf(uri)))));
  if (!metadata.ok()) return std::move(metadata).error().Within(std::string(uri));
  return metadata;
}

Result<Metadata> ParseMetadata(std::string_view json) {
  try {
    return FromJson(ParseJsonOrThrow(json));
  } catch (const Json::exception& e) {
    return Corrupt(std::string("metadata: ") + e.what());
  }
}

std::string MetadataToJson(const Metadata& metadata) {
  const Json unknown =
      metadata.unknown_json.empty() ? Json::object() : Json::parse(metadata.unknown_json);
  std::string out =
      TableToJson(metadata, unknown).dump(-1, ' ', false, Json::error_handler_t::replace);
  out.pop_back();  // the closing brace
  PutHistory(metadata, unknown, &out);
  out.push_back('}');
  return out;
}

}  // namespace weir::iceberg
