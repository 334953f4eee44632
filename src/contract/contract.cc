#include "contract/contract.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "contract/contract_yaml_internal.h"
#include "contract/gate_internal.h"
#include "contract/property_internal.h"

namespace weir::contract {
namespace {

constexpr std::string_view kRootKeys[] = {"apiVersion",
                                          "kind",
                                          "id",
                                          "name",
                                          "version",
                                          "tenant",
                                          "tags",
                                          "status",
                                          "servers",
                                          "dataProduct",
                                          "description",
                                          "domain",
                                          "schema",
                                          "support",
                                          "price",
                                          "team",
                                          "roles",
                                          "slaDefaultElement",
                                          "slaProperties",
                                          "authoritativeDefinitions",
                                          "customProperties",
                                          "contractCreatedTs",
                                          "workgroup",
                                          "context",
                                          "synonyms"};
constexpr std::string_view kObjectKeys[] = {"id",
                                            "name",
                                            "physicalName",
                                            "physicalType",
                                            "logicalType",
                                            "description",
                                            "businessName",
                                            "tags",
                                            "quality",
                                            "authoritativeDefinitions",
                                            "customProperties",
                                            "dataGranularityDescription",
                                            "properties",
                                            "relationships",
                                            "synonyms",
                                            "context",
                                            "deprecated",
                                            "semanticType"};
constexpr std::string_view kCustom[] = {
    "weir.eventTime",     "weir.lateness",     "weir.identity", "weir.identityMemory",
    "weir.identityScope", "weir.partitionKey", "weir.order",    "weir.futureAllowance",
    "weir.idleAfter",     "weir.raw",          "weir.timeZone", "weir.partitionBy",
    "weir.kind",          "weir.files",        "weir.expects"};
constexpr std::string_view kServerCustom[] = {"weir.csv.delimiter", "weir.csv.header",
                                              "weir.csv.null", "weir.csv.quote"};
constexpr std::string_view kFileFormats[] = {"ndjson", "csv", "parquet"};
constexpr std::string_view kServerTypes[] = {"http", "local", "kafka",    "s3",
                                             "gcs",  "azure", "postgres", "postgresql"};
constexpr std::string_view kTransforms[] = {"identity", "year",   "month",    "day",
                                            "hour",     "bucket", "truncate", "void"};
constexpr Micros kDay = 86'400'000'000;

bool IsTableName(std::string_view name) {
  return !name.empty() && std::isalpha(static_cast<unsigned char>(name[0])) != 0 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
         });
}

// "Ride Events!" -> "ride_events".
std::string AsTableName(std::string_view name) {
  std::string out;
  for (const char c : data::LowerName(name)) {
    const bool fine = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (fine) out += c;
    if (!fine && !out.empty() && out.back() != '_') out += '_';
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return IsTableName(out) ? out : "events";
}

class ContractReader {
 public:
  ContractReader(const std::string& file, std::vector<Problem>* problems)
      : report_(file, problems) {
    out_.file = file;
  }

  std::optional<Contract> Read(std::string_view yaml) {
    const bool fine = ReadText(yaml);
    report_.SortByLine();
    if (!fine || report_.count() > 0) return std::nullopt;
    return std::move(out_);
  }

 private:
  bool ReadText(std::string_view yaml) {
    YAML::Node root;
    try {
      root = YAML::Load(std::string(yaml));
      if (!root.IsMap()) {
        report_.Add(0, "this is not a data contract",
                    "begin with 'apiVersion: v3.1.0' and 'kind: DataContract'");
        return false;
      }
      ReadAll(root);
      return true;
    } catch (const YAML::Exception& error) {
      const bool tab = error.msg.find("tab") != std::string::npos;
      report_.Add(error.mark.is_null() ? 0 : error.mark.line + 1,
                  fmt::format("this is not YAML: {}", error.msg),
                  tab ? "indent with spaces, not with tabs"
                      : "check indentation and quotes on this line and the one before");
      return false;
    }
  }

  void ReadAll(const YAML::Node& root) {
    if (!report_.DistinctKeys(root)) return;
    report_.KnownKeys(root, "a contract", kRootKeys);
    ReadHead(root);
    ReadServers(Child(root, "servers"));
    const YAML::Node object = ReadSchema(root);
    ReadCustom(Child(root, "customProperties"));
    ReadCustom(Child(object, "customProperties"));
    CheckNames();
    CheckFiles();
    CheckUnique();
    CheckRequiredWhen();
    if (out_.identity_memory < 0) out_.identity_memory = out_.lateness + kDay;
    if (out_.partition_key.empty()) out_.partition_key = out_.identity;
  }

  void ReadHead(const YAML::Node& root) {
    const YAML::Node api = Child(root, "apiVersion");
    const std::string version = report_.Text(api, "apiVersion").value_or("");
    if (!version.starts_with("v3.1") && !version.starts_with("v3.2")) {
      report_.Add(api,
                  version.empty() ? std::string("apiVersion is missing")
                                  : fmt::format("apiVersion '{}' is not read", version),
                  "write apiVersion: v3.1.0 (or v3.2.0)");
    }
    const YAML::Node kind = Child(root, "kind");
    if (report_.Text(kind, "kind").value_or("") != "DataContract") {
      report_.Add(kind, "kind is not DataContract", "write kind: DataContract");
    }
    out_.id = Needed(root, "id", "any text that stays the same, such as a UUID");
    out_.version = Needed(root, "version", "1.0.0");
    const YAML::Node description = Child(root, "description");
    const YAML::Node purpose = description.IsDefined() && description.IsMap()
                                   ? Child(description, "purpose")
                                   : description;
    out_.description = report_.Text(purpose, "description").value_or("");
  }

  std::string Needed(const YAML::Node& root, const char* key, std::string_view example) {
    const YAML::Node node = Child(root, key);
    std::string text = report_.Text(node, key).value_or("");
    if (text.empty())
      report_.Add(node, fmt::format("{} is missing", key),
                  fmt::format("add {}: {}", key, example));
    return text;
  }

  // Returns the one schema object; undefined when there is none.
  YAML::Node ReadSchema(const YAML::Node& root) {
    const YAML::Node schema = Child(root, "schema");
    YAML::Node none(YAML::NodeType::Undefined);
    if (!schema.IsDefined() || !schema.IsSequence() || schema.size() == 0) {
      report_.Add(schema, "the contract has no schema",
                  "add schema: with one object, '- name: …' and its properties");
      ReadName(root, none);
      return none;
    }
    if (schema.size() > 1) {
      report_.Add(schema[1],
                  fmt::format("the contract has {} schema objects", schema.size()),
                  "one source is one kind of record: write one contract for each");
    }
    const YAML::Node object = schema[0];
    report_.KnownKeys(object, "a schema object", kObjectKeys);
    ReadName(root, object);
    if (const YAML::Node type = Child(object, "logicalType");
        report_.Text(type, "logicalType").value_or("object") != "object") {
      report_.Add(type, "the schema is not an object", "write logicalType: object");
    }
    for (const YAML::Node& rule : Child(object, "quality")) {
      if (report_.Text(Child(rule, "type"), "type").value_or("library") == "text")
        continue;
      if (IsFileGate(rule, report_)) {
        if (auto gate = ReadFileGate(rule, "", report_))
          out_.gates.push_back(*std::move(gate));
        continue;
      }
      report_.Add(rule,
                  "a quality rule on the whole schema cannot be held record by record",
                  "write it as CONSTRAINT … EXPECT (…) in a model, or as type: text to "
                  "keep it as documentation");
    }
    const YAML::Node properties = Child(object, "properties");
    if (!properties.IsDefined() || properties.size() == 0) {
      report_.Add(object, "the schema declares no properties",
                  "add properties: with '- name: …' and 'logicalType: …'");
      return object;
    }
    properties_ = ReadProperties(properties, report_);
    out_.schema.fields = properties_.fields;
    data::AssignFieldIds(out_.schema, 0);
    out_.conditions = properties_.conditions;
    out_.zoneless_allowed = properties_.utc_by_default;
    out_.gates.insert(out_.gates.end(), properties_.gates.begin(),
                      properties_.gates.end());
    return object;
  }

  // The source's name: the contract's, or that of the schema object.
  void ReadName(const YAML::Node& root, const YAML::Node& object) {
    YAML::Node node = Child(root, "name");
    if (!node.IsDefined()) node = Child(object, "name");
    out_.name = report_.Text(node, "name").value_or("");
    if (out_.name.empty()) {
      report_.Add(node, "the contract has no name",
                  "add name: the source's, as in name: ride_events");
    } else if (!IsTableName(out_.name)) {
      report_.Add(node, fmt::format("'{}' cannot name a table", out_.name),
                  fmt::format("write name: {}; its table is bronze.{} then",
                              AsTableName(out_.name), AsTableName(out_.name)));
    }
  }

  void ReadServers(const YAML::Node& servers) {
    if (!servers.IsDefined()) return;
    if (!servers.IsSequence()) {
      report_.Add(servers, "servers is not a list",
                  "write each server as '- server: …' with its type");
      return;
    }
    for (const YAML::Node& node : servers) {
      Server server;
      server.name = report_.Text(Child(node, "server"), "server").value_or("");
      if (server.name.empty())
        report_.Add(node, "a server has no name", "add server: files");
      const YAML::Node type = Child(node, "type");
      server.type = report_.Text(type, "type").value_or("");
      if (std::find(std::begin(kServerTypes), std::end(kServerTypes), server.type) ==
          std::end(kServerTypes)) {
        report_.Add(type.IsDefined() ? type : node,
                    fmt::format("the server type '{}' is not read", server.type),
                    Suggest(server.type, kServerTypes));
      }
      ReadLocation(node, &server);
      out_.servers.push_back(std::move(server));
    }
  }

  void ReadLocation(const YAML::Node& node, Server* server) {
    for (const char* key : {"path", "location", "url"}) {
      if (server->location.empty())
        server->location = report_.Text(Child(node, key), key).value_or("");
    }
    if (server->type == "local" && server->location.empty()) {
      report_.Add(node, "a local server without path",
                  "add path: data/*.ndjson, relative to the project");
    }
    const YAML::Node format = Child(node, "format");
    server->format = data::LowerName(report_.Text(format, "format").value_or("ndjson"));
    if (server->format == "json" || server->format == "jsonl") server->format = "ndjson";
    if (server->type == "http" && server->format != "ndjson") {
      report_.Add(format,
                  fmt::format("the format '{}' is not read over HTTP", server->format),
                  "write format: ndjson, one JSON object a line");
    }
    if (server->type == "local" &&
        std::find(std::begin(kFileFormats), std::end(kFileFormats), server->format) ==
            std::end(kFileFormats)) {
      report_.Add(format, fmt::format("the format '{}' is not read", server->format),
                  "write format: ndjson (one JSON object a line), csv or parquet");
    }
    ReadCsvDialect(node, server);
  }

  void ReadCsvDialect(const YAML::Node& node, Server* server) {
    for (const YAML::Node& custom : Child(node, "customProperties")) {
      const YAML::Node name_node = Child(custom, "property"),
                       value = Child(custom, "value");
      const auto name = report_.Text(name_node, "property");
      if (!name || !name->starts_with("weir.")) continue;
      if (std::find(std::begin(kServerCustom), std::end(kServerCustom), *name) ==
          std::end(kServerCustom)) {
        report_.Add(name_node, fmt::format("{} is not known on a server", *name),
                    Suggest(*name, kServerCustom));
        continue;
      }
      if (server->format != "csv") {
        report_.Add(name_node, fmt::format("{} without format: csv", *name),
                    "add format: csv to the server, or remove it");
        continue;
      }
      codec::CsvDialect& csv = server->csv;
      if (*name == "weir.csv.delimiter")
        csv.delimiter = Byte(value, *name, csv.delimiter);
      if (*name == "weir.csv.quote") csv.quote = Byte(value, *name, csv.quote);
      if (*name == "weir.csv.header")
        csv.header = report_.Flag(value, *name).value_or(true);
      if (*name == "weir.csv.null") {
        if (value.IsNull())
          report_.Add(value, "weir.csv.null is YAML's null",
                      "write the text in quotes, as in 'NULL'");
        csv.null_text = report_.Text(value, *name).value_or("");
      }
    }
    if (server->csv.delimiter == server->csv.quote) {
      report_.Add(node, "the delimiter is the quote, too",
                  "set weir.csv.quote to another character, or to none");
    }
  }

  // One byte, also by name; `none` for no quote at all.
  char Byte(const YAML::Node& value, const std::string& name, char otherwise) {
    const std::string text = report_.Text(value, name).value_or("");
    if (text == "tab" || text == "\\t") return '\t';
    if (text == "none" && name == "weir.csv.quote") return 0;
    const bool fine = text.size() == 1 && text[0] != '\n' && text[0] != '\r';
    if (fine) return text[0];
    report_.Add(value, fmt::format("{} is '{}'", name, text),
                "write one ASCII character in quotes, as in ';', or tab");
    return otherwise;
  }

  void ReadCustom(const YAML::Node& customs) {
    if (!customs.IsDefined()) return;
    if (!customs.IsSequence()) {
      report_.Add(customs, "customProperties is not a list",
                  "write each as '- {property: weir.eventTime, value: …}'");
      return;
    }
    for (const YAML::Node& custom : customs) {
      const YAML::Node name_node = Child(custom, "property"),
                       value = Child(custom, "value");
      const auto name = report_.Text(name_node, "property");
      if (!name || !name->starts_with("weir.")) continue;
      if (std::find(std::begin(kCustom), std::end(kCustom), *name) == std::end(kCustom)) {
        report_.Add(name_node, fmt::format("{} is not known", *name),
                    *name == "weir.requiredWhen" ? "it stands on a property"
                                                 : Suggest(*name, kCustom));
        continue;
      }
      if (!value.IsDefined() || value.IsNull()) {
        report_.Add(custom, fmt::format("{} has no value", *name), "add value:");
        continue;
      }
      if (lines_.contains(*name)) {
        report_.Add(name_node, fmt::format("{} is set twice", *name), "keep one");
        continue;
      }
      lines_[*name] = LineOf(value);
      Apply(*name, value);
    }
  }

  void Apply(const std::string& name, const YAML::Node& value) {
    if (name == "weir.kind")
      out_.kind = static_cast<SourceKind>(OneOf(value, name, {"events", "reference"}));
    if (name == "weir.files")
      out_.newest_file = OneOf(value, name, {"all", "newest"}) == 1;
    if (name == "weir.expects") ReadExpects(value);
    if (name == "weir.eventTime")
      out_.event_time = report_.Text(value, name).value_or("");
    if (name == "weir.lateness") out_.lateness = Duration(value, name).value_or(0);
    if (name == "weir.identityMemory")
      out_.identity_memory = Duration(value, name).value_or(0);
    if (name == "weir.identity") out_.identity = report_.Texts(value, name);
    if (name == "weir.partitionKey") out_.partition_key = report_.Texts(value, name);
    if (name == "weir.order") out_.order = report_.Texts(value, name);
    if (name == "weir.partitionBy") ReadPartitionBy(value);
    if (name == "weir.identityScope") {
      out_.identity_across_partitions =
          OneOf(value, name, {"partition", "contract"}) == 1;
    }
    if (name == "weir.raw")
      out_.raw = static_cast<RawPolicy>(OneOf(value, name, {"keep", "archive", "drop"}));
    if (name == "weir.timeZone") {
      const std::string zone = report_.Text(value, name).value_or("");
      out_.zoneless_allowed = zone == "UTC" || zone == "Etc/UTC";
      if (!out_.zoneless_allowed) {
        report_.Add(value, fmt::format("the time zone '{}' is not known", zone),
                    "write UTC, or send stamps with their zone");
      }
    }
    if (name == "weir.futureAllowance") {
      out_.future_allowance = DurationOrOff(value, name);
      out_.future_allowance_declared = true;
    }
    if (name == "weir.idleAfter") out_.idle_after = DurationOrOff(value, name);
  }

  // {every: PT1H, pattern: 'conv-{yyyyMMddHH}.csv'}
  void ReadExpects(const YAML::Node& value) {
    constexpr std::string_view kKeys[] = {"every", "pattern"};
    constexpr std::string_view kFix =
        "write {every: PT1H, pattern: 'conv-{yyyyMMddHH}.csv'}";
    if (!value.IsMap()) {
      report_.Add(value, "weir.expects is not a map", std::string(kFix));
      return;
    }
    report_.KnownKeys(value, "weir.expects", kKeys);
    ExpectedFiles expects;
    expects.every = Duration(Child(value, "every"), "weir.expects every").value_or(0);
    const YAML::Node pattern = Child(value, "pattern");
    expects.pattern = report_.Text(pattern, "weir.expects pattern").value_or("");
    if (expects.every <= 0 || expects.pattern.empty()) {
      report_.Add(value, "weir.expects says not what is expected, or how often",
                  std::string(kFix));
      return;
    }
    const size_t open = expects.pattern.find('{'), close = expects.pattern.find('}');
    const std::string_view stamp =
        open == std::string::npos || close == std::string::npos || close < open
            ? std::string_view()
            : std::string_view(expects.pattern).substr(open + 1, close - open - 1);
    constexpr std::string_view kStamps[] = {"yyyyMMdd", "yyyyMMddHH", "yyyyMMddHHmm",
                                            "yyyy-MM-dd", "yyyy-MM-dd-HH"};
    if (std::find(std::begin(kStamps), std::end(kStamps), stamp) == std::end(kStamps)) {
      report_.Add(pattern,
                  fmt::format("'{}' does not say where the time stands", expects.pattern),
                  fmt::format("write the beginning of the interval as one of {{{}}}",
                              fmt::join(kStamps, "}, {")));
      return;
    }
    out_.expects = std::move(expects);
  }

  std::optional<Micros> Duration(const YAML::Node& value, const std::string& name) {
    const auto text = report_.Text(value, name);
    if (!text) return std::nullopt;
    const auto duration = ParseDuration(*text);
    if (duration.ok() && *duration >= 0) return *duration;
    report_.Add(value, fmt::format("{} '{}' is not a duration", name, *text),
                "write ISO 8601 as in PT48H, P2D or PT30S");
    return std::nullopt;
  }

  std::optional<Micros> DurationOrOff(const YAML::Node& value, const std::string& name) {
    if (value.IsScalar() && (value.Scalar() == "off" || value.Scalar() == "false"))
      return std::nullopt;
    return Duration(value, name);
  }

  size_t OneOf(const YAML::Node& value, const std::string& name,
               const std::vector<std::string_view>& choices) {
    const std::string text = report_.Text(value, name).value_or("");
    const auto found = std::find(choices.begin(), choices.end(), text);
    if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
    report_.Add(value, fmt::format("{} is '{}'", name, text),
                fmt::format("write one of {}", fmt::join(choices, ", ")));
    return 0;
  }

  // "day(event_timestamp)", "bucket(16, trip_id)", "city".
  void ReadPartitionBy(const YAML::Node& value) {
    out_.partition_by = report_.Texts(value, "weir.partitionBy");
    for (const std::string& part : out_.partition_by) {
      const size_t open = part.find('(');
      std::string column = part;
      if (open != std::string::npos) {
        const std::string transform =
            data::LowerName(Trimmed(std::string_view(part).substr(0, open)));
        const std::vector<std::string> arguments =
            part.back() == ')' ? SplitList(std::string_view(part).substr(
                                     open + 1, part.size() - open - 2))
                               : std::vector<std::string>{};
        const bool known = std::find(std::begin(kTransforms), std::end(kTransforms),
                                     transform) != std::end(kTransforms);
        const size_t wanted = transform == "bucket" || transform == "truncate" ? 2 : 1;
        if (!known || arguments.size() != wanted) {
          report_.Add(value, fmt::format("the partition '{}' cannot be read", part),
                      known
                          ? "write day(column), bucket(16, column) or truncate(4, column)"
                          : Suggest(transform, kTransforms));
          continue;
        }
        column = arguments.back();
      }
      CheckField("weir.partitionBy", column);
    }
  }

  int LineOfCustom(const std::string& name) const {
    const auto line = lines_.find(name);
    return line == lines_.end() ? 0 : line->second;
  }

  // The named top-level field, reported when it does not exist.
  const data::Field* CheckField(const std::string& custom, const std::string& name) {
    for (const data::Field& field : out_.schema.fields) {
      if (field.name == name) return &field;
    }
    std::vector<std::string_view> names;
    for (const data::Field& field : out_.schema.fields) names.push_back(field.name);
    const bool nested = FieldAt(out_.schema.fields, name) != nullptr;
    report_.Add(
        LineOfCustom(custom),
        fmt::format("{} names {}, which is no {}field", custom, name,
                    nested ? "top-level " : ""),
        nested ? "only fields at the top level can be used here" : Suggest(name, names));
    return nullptr;
  }

  void CheckNames() {
    if (out_.schema.fields.empty()) return;
    if (!out_.event_time.empty()) {
      const data::Field* field = CheckField("weir.eventTime", out_.event_time);
      if (field != nullptr && field->type.kind != data::Kind::kTimestampTz &&
          field->type.kind != data::Kind::kTimestamp) {
        report_.Add(LineOfCustom("weir.eventTime"),
                    fmt::format("weir.eventTime names {}, a {}", field->name,
                                data::TypeName(field->type)),
                    "it is a field of logicalType: timestamp");
      } else if (field != nullptr && !field->required) {
        report_.Add(LineOfCustom("weir.eventTime"),
                    fmt::format("{} is the event time but not required", field->name),
                    "add required: true to it: without a time no record can be called "
                    "late or in time");
      }
    } else if (lines_.contains("weir.lateness")) {
      report_.Add(LineOfCustom("weir.lateness"), "weir.lateness without weir.eventTime",
                  "add weir.eventTime, the field that says when");
    }
    for (const std::string& name : out_.identity) {
      const data::Field* field = CheckField("weir.identity", name);
      if (field == nullptr) continue;
      if (field->type.is_nested()) {
        report_.Add(LineOfCustom("weir.identity"),
                    fmt::format("{} is a {}", name, data::TypeName(field->type)),
                    "the identity is made of simple fields");
      } else if (!field->required) {
        report_.Add(
            LineOfCustom("weir.identity"),
            fmt::format("{} is part of the identity but not required", name),
            "add required: true to it: records without it would all be one event");
      }
    }
    if (lines_.contains("weir.identityMemory") && out_.identity.empty()) {
      report_.Add(LineOfCustom("weir.identityMemory"),
                  "weir.identityMemory without weir.identity", "add weir.identity");
    }
    for (const std::string& name : out_.partition_key) {
      const data::Field* field = CheckField("weir.partitionKey", name);
      if (field != nullptr && field->type.is_nested()) {
        report_.Add(LineOfCustom("weir.partitionKey"),
                    fmt::format("{} is a {}", name, data::TypeName(field->type)),
                    "the partition key is made of simple fields");
      }
    }
    for (const std::string& name : out_.order) CheckField("weir.order", name);
  }

  // What only files have, and what reference data need.
  void CheckFiles() {
    const auto local =
        std::count_if(out_.servers.begin(), out_.servers.end(),
                      [](const Server& server) { return server.type == "local"; });
    if (local == 0 && !out_.servers.empty()) {
      if (!out_.gates.empty())
        report_.Add(0, "weir.gate: file, but no server of the contract has files",
                    "add a server of type: local, or leave the rule out");
      if (out_.expects)
        report_.Add(LineOfCustom("weir.expects"),
                    "weir.expects, but no server of the contract has files",
                    "add a server of type: local, or remove it");
    }
    for (Server& server : out_.servers) {
      if (server.csv.header) continue;
      for (const data::Field& field : out_.schema.fields)
        server.csv.names.push_back(field.name);
    }
    if (out_.kind != SourceKind::kReference) {
      if (lines_.contains("weir.files"))
        report_.Add(LineOfCustom("weir.files"), "weir.files without weir.kind: reference",
                    "of events every file is read: remove it");
      return;
    }
    const int line = LineOfCustom("weir.kind");
    if (out_.identity.empty())
      report_.Add(line, "reference data without weir.identity",
                  "add weir.identity: the columns that name a row, once each");
    if (local != 1 || out_.servers.size() != 1)
      report_.Add(line, "reference data are the content of files",
                  "write one server with type: local");
    for (const char* name : {"weir.eventTime", "weir.lateness", "weir.identityMemory",
                             "weir.futureAllowance", "weir.idleAfter",
                             "weir.partitionKey", "weir.expects"}) {
      if (lines_.contains(name))
        report_.Add(LineOfCustom(name), fmt::format("{} of reference data", name),
                    "remove it: reference data have no time, the newest content counts");
    }
  }

  void CheckUnique() {
    for (const Properties::Place& place : properties_.unique) {
      if (out_.identity.size() == 1 && out_.identity[0] == place.path) continue;
      // Part of a composite key says nothing that the identity does not.
      if (std::find(out_.identity.begin(), out_.identity.end(), place.path) !=
              out_.identity.end() &&
          out_.identity.size() > 1)
        continue;
      report_.Add(
          place.line,
          fmt::format("{} is declared unique, which one record alone cannot show",
                      place.path),
          fmt::format("if it names the event, add {{property: weir.identity, value: "
                      "[{0}]}}; otherwise check it downstream: "
                      "SELECT {0} FROM bronze.{1} GROUP BY {0} HAVING count(*) > 1",
                      place.path, out_.name));
    }
  }

  void CheckRequiredWhen() {
    size_t next = 0;
    for (const Condition& condition : out_.conditions) {
      if (condition.when_field.empty()) continue;
      const int line = next < properties_.requires_when.size()
                           ? properties_.requires_when[next++].line
                           : 0;
      const data::Field* field = FieldAt(out_.schema.fields, condition.when_field);
      if (field == nullptr) {
        const std::vector<std::string> paths = FieldPaths(out_.schema.fields);
        report_.Add(line,
                    fmt::format("weir.requiredWhen of {} names {}, which is no field",
                                condition.path, condition.when_field),
                    Suggest(condition.when_field,
                            std::vector<std::string_view>(paths.begin(), paths.end())));
        continue;
      }
      if (field->type.kind != data::Kind::kString) {
        report_.Add(
            line,
            fmt::format("weir.requiredWhen of {} asks for {}, a {}", condition.path,
                        condition.when_field, data::TypeName(field->type)),
            "it can ask for strings only");
        continue;
      }
      CheckWhenValues(condition, line);
    }
  }

  void CheckWhenValues(const Condition& condition, int line) {
    const auto asked =
        std::find_if(out_.conditions.begin(), out_.conditions.end(),
                     [&](const Condition& c) { return c.path == condition.when_field; });
    if (asked == out_.conditions.end() || asked->allowed.empty()) return;
    const std::vector<std::string_view> allowed(asked->allowed.begin(),
                                                asked->allowed.end());
    for (const std::string& value : condition.when_values) {
      if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) continue;
      report_.Add(line,
                  fmt::format("weir.requiredWhen of {}: {} is never '{}'", condition.path,
                              condition.when_field, value),
                  Suggest(value, allowed));
    }
  }

  Report report_;
  Contract out_ = [] {
    Contract contract;
    contract.identity_memory = -1;  // until it is declared or lateness is known
    return contract;
  }();
  Properties properties_;
  std::map<std::string, int> lines_;  // of the weir.* properties that are set
};

}  // namespace

std::optional<Contract> ParseContract(const std::string& file, std::string_view yaml,
                                      std::vector<Problem>* problems) {
  return ContractReader(file, problems).Read(yaml);
}

std::string_view ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kNotJson:
      return "not_json";
    case Reason::kNotCsv:
      return "not_csv";
    case Reason::kTooLarge:
      return "too_large";
    case Reason::kMissingField:
      return "missing_field";
    case Reason::kWrongType:
      return "wrong_type";
    case Reason::kUnknownValue:
      return "unknown_value";
    case Reason::kOutOfRange:
      return "out_of_range";
    case Reason::kPatternMismatch:
      return "pattern_mismatch";
    case Reason::kWrongLength:
      return "wrong_length";
    case Reason::kDuplicateKey:
      return "duplicate_key";
  }
  return "not_json";
}

}  // namespace weir::contract
