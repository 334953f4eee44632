#include "contract/gate_internal.h"
#include "contract/property_internal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace weir::contract {
namespace {

using data::Kind;
using data::Type;

constexpr std::string_view kPropertyKeys[] = {"id",
                                              "name",
                                              "businessName",
                                              "logicalType",
                                              "logicalTypeOptions",
                                              "physicalType",
                                              "physicalName",
                                              "description",
                                              "required",
                                              "unique",
                                              "primaryKey",
                                              "primaryKeyPosition",
                                              "partitioned",
                                              "partitionKeyPosition",
                                              "classification",
                                              "encryptedName",
                                              "transformSourceObjects",
                                              "transformLogic",
                                              "transformDescription",
                                              "examples",
                                              "criticalDataElement",
                                              "items",
                                              "properties",
                                              "quality",
                                              "relationships",
                                              "tags",
                                              "customProperties",
                                              "authoritativeDefinitions",
                                              "enum",
                                              "map",
                                              "semanticType",
                                              "synonyms",
                                              "context",
                                              "deprecated"};
constexpr std::string_view kLogicalTypes[] = {"string",  "date",    "timestamp", "time",
                                              "number",  "integer", "object",    "array",
                                              "boolean", "map"};
constexpr std::string_view kOptionKeys[] = {
    "format",     "minimum",     "maximum",       "exclusiveMinimum", "exclusiveMaximum",
    "minLength",  "maxLength",   "pattern",       "precision",        "scale",
    "minItems",   "maxItems",    "required",      "timezone",         "defaultTimezone",
    "multipleOf", "uniqueItems", "minProperties", "maxProperties"};
constexpr std::string_view kQualityDocumentation[] = {"text"};
constexpr std::string_view kPropertyCustom[] = {"weir.requiredWhen"};

std::string Lower(std::string_view text) { return data::LowerName(text); }

bool IsNumber(Kind kind) {
  return kind == Kind::kInt32 || kind == Kind::kInt64 || kind == Kind::kFloat ||
         kind == Kind::kDouble || kind == Kind::kDecimal;
}
bool IsTime(Kind kind) {
  return kind == Kind::kDate || kind == Kind::kTime || kind == Kind::kTimestamp ||
         kind == Kind::kTimestampTz;
}

// "decimal(10,2)", "numeric(5)": precision and scale.
std::optional<Type> DecimalFrom(std::string_view physical) {
  const std::string lower = Lower(physical);
  if (!lower.starts_with("decimal") && !lower.starts_with("numeric")) return std::nullopt;
  const size_t open = lower.find('('), close = lower.find(')');
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  const std::vector<std::string> parts =
      SplitList(std::string_view(lower).substr(open + 1, close - open - 1));
  int numbers[2] = {0, 0};
  if (parts.empty() || parts.size() > 2) return std::nullopt;
  for (size_t i = 0; i < parts.size(); ++i) {
    const char* const end = parts[i].data() + parts[i].size();
    if (std::from_chars(parts[i].data(), end, numbers[i]).ptr != end) return std::nullopt;
  }
  return data::Decimal(numbers[0], numbers[1]);
}

// What a rule may compare with, as the number the checker compares: microseconds for
// stamps, days for dates.
std::optional<double> BoundOf(Kind kind, const std::string& text) {
  if (kind == Kind::kTimestamp || kind == Kind::kTimestampTz) {
    bool has_zone;
    if (const auto time = ParseTimestamp(text, &has_zone))
      return static_cast<double>(*time);
    return std::nullopt;
  }
  if (kind == Kind::kDate) {
    if (const auto days = ParseDate(text)) return *days;
    return std::nullopt;
  }
  double value;
  const char* const end = text.data() + text.size();
  if (!IsNumber(kind) || std::from_chars(text.data(), end, value).ptr != end)
    return std::nullopt;
  return value;
}

class PropertyReader {
 public:
  PropertyReader(Report& report, Properties* out) : report_(report), out_(*out) {}

  std::vector<data::Field> ReadAll(const YAML::Node& properties,
                                   const std::string& prefix) {
    std::vector<data::Field> fields;
    if (!properties.IsSequence()) {
      report_.Add(properties, "properties is not a list",
                  "write each field as '- name: …'");
      return fields;
    }
    for (const YAML::Node& property : properties) {
      if (!property.IsMap()) {
        report_.Add(property, "a property is not a map",
                    "write '- name: …' and its keys below");
        continue;
      }
      data::Field field;
      if (!ReadName(property, &field)) continue;
      const auto same = [&](const data::Field& other) {
        return data::SameName(other.name, field.name);
      };
      if (std::any_of(fields.begin(), fields.end(), same)) {
        report_.Add(Child(property, "name"),
                    fmt::format("the field '{}' is declared twice", field.name),
                    "names are unique ignoring case; remove or rename one");
        continue;
      }
      ReadOne(property, prefix.empty() ? field.name : prefix + "." + field.name, &field);
      fields.push_back(std::move(field));
    }
    return fields;
  }

 private:
  bool ReadName(const YAML::Node& property, data::Field* field) {
    const YAML::Node node = Child(property, "name");
    const auto name = report_.Text(node, "name");
    if (!name || name->empty()) {
      report_.Add(property, "a property has no name", "add name:");
      return false;
    }
    if (name->front() == '_') {
      report_.Add(node, fmt::format("the field name '{}' begins with _", *name),
                  "such names are Weir's own; name it without the _ (what records carry "
                  "under it is kept in _extra)");
      return false;
    }
    const bool fine = std::all_of(name->begin(), name->end(), [](char c) {
      return static_cast<unsigned char>(c) >= 0x20 && c != '.' && c != '[' && c != ']' &&
             c != '"' && c != '\\' && c != '*';
    });
    if (!fine) {
      report_.Add(
          node, fmt::format("the field name '{}' cannot be part of a path", *name),
          "use letters, digits and _; for nested fields write an object with properties");
      return false;
    }
    field->name = *name;
    return true;
  }

  // Everything of a property but its name; also of items and map values.
  void ReadOne(const YAML::Node& property, const std::string& path, data::Field* field) {
    report_.KnownKeys(property, fmt::format("the property {}", path), kPropertyKeys);
    // The condition's place in contract order is before those of its children.
    const size_t at = out_.conditions.size();
    out_.conditions.push_back({path});
    Condition condition{path};
    field->doc = report_.Text(Child(property, "description"), "description").value_or("");
    condition.required =
        report_.Flag(Child(property, "required"), "required").value_or(false);
    const YAML::Node options = Child(property, "logicalTypeOptions");
    report_.KnownKeys(options, fmt::format("logicalTypeOptions of {}", path),
                      kOptionKeys);
    field->type = ReadType(property, options, path, &condition);
    ReadOptions(options, field->type.kind, path, &condition);
    ReadEnum(Child(property, "enum"), path, &condition);
    ReadQuality(Child(property, "quality"), path, &condition);
    ReadCustom(Child(property, "customProperties"), path, &condition);
    for (const char* key : {"unique", "primaryKey"}) {
      const YAML::Node node = Child(property, key);
      if (report_.Flag(node, key).value_or(false))
        out_.unique.push_back({path, LineOf(node)});
    }
    CheckAllowed(property, field->type.kind, path, condition);
    field->required = condition.required;
    out_.conditions[at] = std::move(condition);
  }

  Type ReadType(const YAML::Node& property, const YAML::Node& options,
                const std::string& path, Condition* condition) {
    const YAML::Node node = Child(property, "logicalType");
    const std::string physical =
        Lower(report_.Text(Child(property, "physicalType"), "physicalType").value_or(""));
    const auto logical = report_.Text(node, "logicalType");
    if (!logical) {
      report_.Add(
          property, fmt::format("the property {} has no logicalType", path),
          fmt::format("add logicalType: one of {}", fmt::join(kLogicalTypes, ", ")));
      return data::Simple(Kind::kString);
    }
    const std::string format =
        report_.Text(Child(options, "format"), "format").value_or("");
    if (*logical == "string") return StringType(physical, format, condition);
    if (*logical == "integer")
      return IntegerType(Child(options, "format"), physical, format, condition);
    if (*logical == "number") return NumberType(property, options, physical, format);
    if (*logical == "boolean") return data::Simple(Kind::kBool);
    if (*logical == "date" || *logical == "time" || *logical == "timestamp") {
      return TimeType(options, *logical, physical, format);
    }
    if (*logical == "object") return ObjectType(property, options, path);
    if (*logical == "array") return ArrayType(property, path);
    if (*logical == "map") return MapType(property, path);
    report_.Add(node, fmt::format("'{}' is no logicalType", *logical),
                Suggest(*logical, kLogicalTypes));
    return data::Simple(Kind::kString);
  }

  static Type StringType(const std::string& physical, const std::string& format,
                         Condition* condition) {
    if (physical == "uuid") return data::Simple(Kind::kUuid);
    if (format == "byte" || format == "binary" || physical == "binary" ||
        physical == "bytea" || physical == "blob" || physical.starts_with("varbinary") ||
        physical == "bytes") {
      return data::Simple(Kind::kBinary);
    }
    if (format == "uuid")
      condition->pattern = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
    return data::Simple(Kind::kString);
  }

  Type IntegerType(const YAML::Node& at, const std::string& physical,
                   const std::string& format, Condition* condition) {
    if (format.size() >= 2 && (format[0] == 'i' || format[0] == 'u')) {
      int bits = 0;
      std::from_chars(format.data() + 1, format.data() + format.size(), bits);
      const bool sign = format[0] == 'i';
      if (bits == 8 || bits == 16) {
        condition->minimum = sign ? -static_cast<double>(1 << (bits - 1)) : 0;
        condition->maximum = static_cast<double>((1 << (sign ? bits - 1 : bits)) - 1);
        return data::Simple(Kind::kInt32);
      }
      if (bits == 32 && sign) return data::Simple(Kind::kInt32);
      if (bits == 32 || bits == 64 || bits == 128) {
        if (!sign) condition->minimum = 0;
        if (bits == 32) condition->maximum = 4294967295.0;
        if (bits == 64) return sign ? data::Simple(Kind::kInt64) : data::Decimal(20, 0);
        return bits == 32 ? data::Simple(Kind::kInt64) : data::Decimal(38, 0);
      }
    }
    if (!format.empty()) {
      report_.Add(at, fmt::format("'{}' is no format of integers", format),
                  "write i8, i16, i32, i64, i128, u8 … u128");
    }
    if (physical == "int" || physical == "integer" || physical == "int32" ||
        physical == "int4") {
      return data::Simple(Kind::kInt32);
    }
    return data::Simple(Kind::kInt64);
  }

  Type NumberType(const YAML::Node& property, const YAML::Node& options,
                  const std::string& physical, const std::string& format) {
    std::optional<Type> decimal = DecimalFrom(physical);
    const auto precision = report_.Count(Child(options, "precision"), "precision");
    const auto scale = report_.Count(Child(options, "scale"), "scale");
    if (precision) {
      decimal = data::Decimal(static_cast<int>(std::min<int64_t>(*precision, 99)),
                              static_cast<int>(std::min<int64_t>(scale.value_or(0), 99)));
    }
    if (!decimal &&
        (scale || physical.starts_with("decimal") || physical.starts_with("numeric"))) {
      report_.Add(property, "a decimal without precision",
                  "write physicalType: decimal(10,2)");
    }
    if (decimal) {
      if (decimal->precision < 1 || decimal->precision > 38 || decimal->scale < 0 ||
          decimal->scale > decimal->precision) {
        report_.Add(property,
                    fmt::format("decimal({},{}) cannot be stored", decimal->precision,
                                decimal->scale),
                    "precision is 1 to 38 and scale at most the precision");
        return data::Decimal(38, 0);
      }
      return *decimal;
    }
    if (!format.empty() && format != "f32" && format != "f64") {
      report_.Add(Child(options, "format"),
                  fmt::format("'{}' is no format of numbers", format),
                  "write f32 or f64");
    }
    const bool single = format == "f32" || physical == "float" || physical == "real" ||
                        physical == "float4";
    return data::Simple(single ? Kind::kFloat : Kind::kDouble);
  }

  Type TimeType(const YAML::Node& options, const std::string& logical,
                const std::string& physical, const std::string& format) {
    const std::string_view expected = logical == "date"   ? "yyyy-MM-dd"
                                      : logical == "time" ? "HH:mm:ss"
                                                          : "yyyy-MM-dd'T'HH:mm:ss";
    if (!format.empty() && !format.starts_with(expected)) {
      report_.Add(
          Child(options, "format"), fmt::format("the format '{}' is not read", format),
          fmt::format("records carry a {} as ISO 8601 text; remove format, or write {}",
                      logical, expected));
    }
    const YAML::Node zone = Child(options, "defaultTimezone");
    if (const auto name = report_.Text(zone, "defaultTimezone")) {
      if (*name == "UTC" || *name == "Etc/UTC" || *name == "Z") {
        out_.utc_by_default = true;
      } else {
        report_.Add(zone, fmt::format("the default time zone '{}' is not known", *name),
                    "write UTC, or send stamps with their zone");
      }
    }
    if (logical == "date") return data::Simple(Kind::kDate);
    if (logical == "time") return data::Simple(Kind::kTime);
    const bool zoneless =
        physical == "timestamp_ntz" || physical == "timestamp without time zone";
    return data::Simple(zoneless ? Kind::kTimestamp : Kind::kTimestampTz);
  }

  Type ObjectType(const YAML::Node& property, const YAML::Node& options,
                  const std::string& path) {
    const YAML::Node properties = Child(property, "properties");
    if (!properties.IsDefined()) {
      report_.Add(
          property, fmt::format("the object {} has no properties", path),
          "declare its fields, or leave it out: what is not declared is kept in _extra");
      return data::StructOf({});
    }
    const size_t first = out_.conditions.size();
    Type type = data::StructOf(ReadAll(properties, path));
    const YAML::Node required = Child(options, "required");
    for (const std::string& name : report_.Texts(required, "required")) {
      const auto condition =
          std::find_if(out_.conditions.begin() + static_cast<std::ptrdiff_t>(first),
                       out_.conditions.end(),
                       [&](const Condition& c) { return c.path == path + "." + name; });
      if (condition == out_.conditions.end()) {
        report_.Add(required, fmt::format("the object {} has no property {}", path, name),
                    "declare it, or remove it here");
        continue;
      }
      condition->required = true;
      for (data::Field& field : type.fields)
        field.required = field.required || field.name == name;
    }
    return type;
  }

  Type ArrayType(const YAML::Node& property, const std::string& path) {
    const YAML::Node items = Child(property, "items");
    if (!items.IsMap()) {
      report_.Add(property, fmt::format("the array {} has no items", path),
                  "add items: {logicalType: …}");
      return data::ListOf(data::Simple(Kind::kString));
    }
    data::Field element{"element"};
    ReadOne(items, path + "[]", &element);
    Type type = data::Simple(Kind::kList);
    type.fields.push_back(std::move(element));
    return type;
  }

  Type MapType(const YAML::Node& property, const std::string& path) {
    const YAML::Node map = Child(property, "map");
    const YAML::Node key = Child(map, "key"), value = Child(map, "value");
    Type type = data::Simple(Kind::kMap);
    type.fields = {{"key", data::Simple(Kind::kString), true},
                   {"value", data::Simple(Kind::kString)}};
    if (!value.IsMap()) {
      report_.Add(property, fmt::format("the map {} has no map.value", path),
                  "add map: {key: {logicalType: string}, value: {logicalType: …}}");
      return type;
    }
    if (const auto logical = report_.Text(Child(key, "logicalType"), "logicalType");
        logical && *logical != "string") {
      report_.Add(key, fmt::format("the keys of the map {} are {}", path, *logical),
                  "the keys of maps are strings");
    }
    ReadOne(value, path + ".*", &type.fields[1]);
    return type;
  }

  void ReadOptions(const YAML::Node& options, Kind kind, const std::string& path,
                   Condition* condition) {
    if (!options.IsDefined()) return;
    for (const char* key :
         {"multipleOf", "uniqueItems", "minProperties", "maxProperties"}) {
      if (const YAML::Node node = Child(options, key); node.IsDefined()) {
        report_.Add(node, fmt::format("{} is not checked as records arrive", key),
                    "remove it, and check it in a model: CONSTRAINT … EXPECT (…)");
      }
    }
    struct Bound {
      const char* key;
      std::optional<double>* value;
      bool* exclusive;
    };
    for (const Bound& bound :
         {Bound{"minimum", &condition->minimum, nullptr},
          Bound{"maximum", &condition->maximum, nullptr},
          Bound{"exclusiveMinimum", &condition->minimum, &condition->exclusive_minimum},
          Bound{"exclusiveMaximum", &condition->maximum,
                &condition->exclusive_maximum}}) {
      ReadBound(Child(options, bound.key), bound.key, kind, path, bound.value,
                bound.exclusive);
    }
    if (condition->minimum && condition->maximum &&
        *condition->minimum > *condition->maximum) {
      report_.Add(options, fmt::format("the minimum of {} is above its maximum", path),
                  "swap them");
    }
    ReadLengths(options, kind, path, condition);
    ReadPattern(Child(options, "pattern"), kind, condition);
  }

  void ReadBound(const YAML::Node& node, const char* key, Kind kind,
                 const std::string& path, std::optional<double>* value, bool* exclusive) {
    const auto text = report_.Text(node, key);
    if (!text) return;
    // Older contracts write exclusiveMinimum: true beside minimum.
    if (exclusive != nullptr && (*text == "true" || *text == "false")) {
      *exclusive = *text == "true";
      return;
    }
    const auto bound = BoundOf(kind, *text);
    if (!bound) {
      report_.Add(
          node, fmt::format("{} of {} is '{}'", key, path, *text),
          IsNumber(kind) ? "write a number"
          : IsTime(kind)
              ? "write a stamp as '2018-01-01T00:00:00Z' or a date as '2018-01-01'"
              : "only numbers, dates and timestamps have bounds; strings have minLength "
                "and maxLength");
      return;
    }
    *value = bound;
    if (exclusive != nullptr) *exclusive = true;
  }

  void ReadLengths(const YAML::Node& options, Kind kind, const std::string& path,
                   Condition* condition) {
    const bool text = kind == Kind::kString || kind == Kind::kBinary,
               list = kind == Kind::kList;
    for (const char* key : {"minLength", "maxLength", "minItems", "maxItems"}) {
      const YAML::Node node = Child(options, key);
      const auto count = report_.Count(node, key);
      if (!count) continue;
      const std::string_view name = key;
      if (name.ends_with("Items") ? !list : !text) {
        report_.Add(node,
                    fmt::format("{} is of another type than {} speaks of", path, key),
                    "strings have minLength and maxLength, arrays minItems and maxItems");
        continue;
      }
      (name.starts_with("min") ? condition->length_min : condition->length_max) = count;
    }
    if (condition->length_min && condition->length_max &&
        *condition->length_min > *condition->length_max) {
      report_.Add(options,
                  fmt::format("the least length of {} is above its greatest", path),
                  "swap them");
    }
  }

  void ReadPattern(const YAML::Node& node, Kind kind, Condition* condition) {
    const auto pattern = report_.Text(node, "pattern");
    if (!pattern) return;
    if (kind != Kind::kString) {
      report_.Add(node, "only strings have a pattern", "remove it");
      return;
    }
    const RE2 compiled(*pattern, RE2::Quiet);
    if (!compiled.ok()) {
      report_.Add(node, fmt::format("the pattern cannot be read: {}", compiled.error()),
                  "patterns are RE2's: no look-around and no back-references");
      return;
    }
    condition->pattern = *pattern;
  }

  void ReadEnum(const YAML::Node& node, const std::string& path, Condition* condition) {
    if (!node.IsDefined()) return;
    if (!node.IsSequence()) {
      report_.Add(node, fmt::format("enum of {} is not a list", path),
                  "write enum: and below it '- value: a'");
      return;
    }
    for (const YAML::Node& item : node) {
      const YAML::Node value = item.IsMap() ? Child(item, "value") : item;
      if (auto text = report_.Text(value, "value")) {
        condition->allowed.push_back(*text);
      } else {
        report_.Add(item, fmt::format("an entry of enum of {} has no value", path),
                    "write '- value: a'");
      }
    }
  }

  // Library rules that hold record by record become conditions; what needs all rows does
  // not belong at the door.
  void ReadQuality(const YAML::Node& rules, const std::string& path,
                   Condition* condition) {
    if (!rules.IsDefined()) return;
    if (!rules.IsSequence()) {
      report_.Add(rules, "quality is not a list", "write each rule as '- metric: …'");
      return;
    }
    for (const YAML::Node& rule : rules) {
      const std::string type =
          report_.Text(Child(rule, "type"), "type").value_or("library");
      if (type == kQualityDocumentation[0]) continue;
      if (IsFileGate(rule, report_)) {
        ReadGate(rule, path);
        continue;
      }
      YAML::Node metric_node = Child(rule, "metric");
      if (!metric_node.IsDefined()) metric_node = Child(rule, "rule");
      const std::string metric = report_.Text(metric_node, "metric").value_or("");
      const YAML::Node arguments = Child(rule, "arguments");
      const YAML::Node zero = Child(rule, "mustBe");
      const bool none =
          zero.IsScalar() && (zero.Scalar() == "0" || zero.Scalar() == "0.0");
      if (type == "library" && none && metric == "nullValues") {
        condition->required = true;
      } else if (type == "library" && none && metric == "duplicateValues" &&
                 !Child(arguments, "properties").IsDefined()) {
        out_.unique.push_back({path, LineOf(rule)});
      } else if (type == "library" && none && metric == "invalidValues") {
        ReadInvalidValues(rule, arguments, path, condition);
      } else {
        report_.Add(
            rule,
            fmt::format("the quality rule on {} cannot be held record by record", path),
            "write it as CONSTRAINT … EXPECT (…) in a model, or as type: text to keep it "
            "as documentation; "
            "checked on arrival are nullValues, invalidValues and duplicateValues (of "
            "the identity) with mustBe: 0");
      }
    }
  }

  void ReadGate(const YAML::Node& rule, const std::string& path) {
    if (path.find_first_of(".[") != std::string::npos) {
      report_.Add(rule,
                  fmt::format("a file gate on {}, which is inside another field", path),
                  "file gates are kept for the fields at the top level");
      return;
    }
    if (auto gate = ReadFileGate(rule, path, report_))
      out_.gates.push_back(*std::move(gate));
  }

  void ReadInvalidValues(const YAML::Node& rule, const YAML::Node& arguments,
                         const std::string& path, Condition* condition) {
    YAML::Node values = Child(arguments, "validValues");
    if (!values.IsDefined()) values = Child(rule, "validValues");
    const YAML::Node pattern = Child(arguments, "pattern");
    if (!values.IsDefined() && !pattern.IsDefined()) {
      report_.Add(
          rule,
          fmt::format("the rule invalidValues on {} does not say what is valid", path),
          "add arguments: {validValues: [a, b]}");
    }
    for (std::string& value : report_.Texts(values, "validValues"))
      condition->allowed.push_back(std::move(value));
    ReadPattern(pattern, Kind::kString, condition);
  }

  void ReadCustom(const YAML::Node& customs, const std::string& path,
                  Condition* condition) {
    if (!customs.IsDefined() || !customs.IsSequence()) return;
    for (const YAML::Node& custom : customs) {
      const YAML::Node name_node = Child(custom, "property"),
                       value_node = Child(custom, "value");
      const auto name = report_.Text(name_node, "property");
      if (!name || !name->starts_with("weir.")) continue;
      if (*name != kPropertyCustom[0]) {
        report_.Add(
            name_node, fmt::format("{} is not known on a property", *name),
            fmt::format("{}; the others stand in customProperties of the contract",
                        Suggest(*name, kPropertyCustom)));
        continue;
      }
      if (path.find('[') != std::string::npos || path.find('*') != std::string::npos) {
        report_.Add(name_node, "weir.requiredWhen cannot stand inside an array or a map",
                    "put it on the array itself");
        continue;
      }
      if (const auto text = report_.Text(value_node, *name)) {
        ReadRequiredWhen(value_node, *text, condition);
        out_.requires_when.push_back({path, LineOf(value_node)});
      }
    }
  }

  // "field = a" or "field in (a, b)".
  void ReadRequiredWhen(const YAML::Node& at, std::string_view text,
                        Condition* condition) {
    const auto unquoted = [](std::string_view value) {
      value = Trimmed(value);
      if (value.size() >= 2 && (value.front() == '\'' || value.front() == '"') &&
          value.back() == value.front()) {
        value = value.substr(1, value.size() - 2);
      }
      return std::string(value);
    };
    const auto wrong = [&] {
      report_.Add(at, fmt::format("weir.requiredWhen '{}' cannot be read", text),
                  "write event_name = a, or event_name in (a, b)");
    };
    const std::string_view whole = Trimmed(text);
    const size_t name_end = whole.find_first_of(" =");
    if (name_end == std::string_view::npos) return wrong();
    std::string_view rest = Trimmed(whole.substr(name_end));
    std::vector<std::string> values;
    if (rest.starts_with('=')) {
      rest.remove_prefix(rest.starts_with("==") ? 2 : 1);
      values.push_back(unquoted(rest));
    } else if (Lower(rest.substr(0, 2)) == "in") {
      rest = Trimmed(rest.substr(2));
      if (rest.size() < 2 || rest.front() != '(' || rest.back() != ')') return wrong();
      for (const std::string& value : SplitList(rest.substr(1, rest.size() - 2)))
        values.push_back(unquoted(value));
    }
    if (values.empty() || values[0].empty()) return wrong();
    if (condition->required) {
      report_.Add(at, "the property is required always and again under a condition",
                  "keep required or weir.requiredWhen");
    }
    condition->when_field = std::string(whole.substr(0, name_end));
    condition->when_values = std::move(values);
  }

  void CheckAllowed(const YAML::Node& property, Kind kind, const std::string& path,
                    const Condition& condition) {
    if (condition.allowed.empty()) return;
    if (kind != Kind::kString && !IsNumber(kind)) {
      report_.Add(
          property,
          fmt::format("{} lists its values but is neither string nor number", path),
          "remove the list");
      return;
    }
    for (const std::string& value : condition.allowed) {
      if (IsNumber(kind) && !BoundOf(kind, value)) {
        report_.Add(property, fmt::format("'{}' is not a number, as {} is", value, path),
                    "remove it from the list");
      }
    }
  }

  Report& report_;
  Properties& out_;
};

}  // namespace

Properties ReadProperties(const YAML::Node& properties, Report& report) {
  Properties out;
  out.fields = PropertyReader(report, &out).ReadAll(properties, "");
  return out;
}

const data::Field* FieldAt(const std::vector<data::Field>& fields,
                           std::string_view path) {
  const size_t dot = path.find('.');
  for (const data::Field& field : fields) {
    if (field.name != path.substr(0, dot)) continue;
    if (dot == std::string_view::npos) return &field;
    return field.type.kind == Kind::kStruct
               ? FieldAt(field.type.fields, path.substr(dot + 1))
               : nullptr;
  }
  return nullptr;
}

std::vector<std::string> FieldPaths(const std::vector<data::Field>& fields) {
  std::vector<std::string> paths;
  for (const data::Field& field : fields) {
    paths.push_back(field.name);
    if (field.type.kind != Kind::kStruct) continue;
    for (const std::string& below : FieldPaths(field.type.fields))
      paths.push_back(field.name + "." + below);
  }
  return paths;
}

}  // namespace weir::contract
