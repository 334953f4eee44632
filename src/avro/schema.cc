#include <algorithm>
#include <nlohmann/json.hpp>

#include "avro/avro.h"
#include "base/json.h"

namespace weir::avro {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 64;

const std::map<std::string_view, Kind>& Primitives() {
  static const std::map<std::string_view, Kind> kinds = {
      {"null", Kind::kNull},   {"boolean", Kind::kBool},  {"int", Kind::kInt},
      {"long", Kind::kLong},   {"float", Kind::kFloat},   {"double", Kind::kDouble},
      {"bytes", Kind::kBytes}, {"string", Kind::kString},
  };
  return kinds;
}

std::string Text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

int Number(const Json& object, const char* key, int otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number_integer() ? IntegerOf<int>(*it) : otherwise;
}

std::string FullName(const std::string& name, const std::string& space) {
  return space.empty() || name.find('.') != std::string::npos ? name : space + "." + name;
}

}  // namespace

class SchemaParser {
 public:
  Result<Schema> Parse(const Json& json) {
    schema_.root_ = WEIR_TRY(Type(json, "", 0));
    return std::move(schema_);
  }

 private:
  Node* NewNode(Kind kind) {
    schema_.nodes_.push_back(std::make_unique<Node>());
    schema_.nodes_.back()->kind = kind;
    schema_.nodes_.back()->no_bytes = kind == Kind::kNull;
    return schema_.nodes_.back().get();
  }

  Result<const Node*> Type(const Json& json, const std::string& space, int depth) {
    if (depth > kDepthMax) return Invalid("avro schema: nested too deep");
    if (json.is_string()) return Named(json.get_ref<const std::string&>(), space);
    if (json.is_array()) return Union(json, space, depth);
    if (!json.is_object() || !json.contains("type"))
      return Invalid("avro schema: not a type: " + json.dump());
    const Json& type = json["type"];
    if (!type.is_string()) return Type(type, space, depth + 1);
    return Complex(type.get_ref<const std::string&>(), json, space, depth);
  }

  Result<const Node*> Named(const std::string& name, const std::string& space) {
    if (const auto it = Primitives().find(name); it != Primitives().end())
      return NewNode(it->second);
    auto it = named_.find(FullName(name, space));
    if (it == named_.end()) it = named_.find(name);
    if (it == named_.end()) return Invalid("avro schema: unknown type: " + name);
    return it->second;
  }

  Result<const Node*> Union(const Json& json, const std::string& space, int depth) {
    Node* node = NewNode(Kind::kUnion);
    for (const Json& branch : json)
      node->branches.push_back(WEIR_TRY(Type(branch, space, depth + 1)));
    return node;
  }

  Result<const Node*> Complex(const std::string& kind, const Json& json,
                              const std::string& space, int depth) {
    if (kind == "record" || kind == "error") return Record(json, space, depth);
    if (kind == "array" || kind == "map") {
      const char* key = kind == "array" ? "items" : "values";
      if (!json.contains(key)) return Invalid("avro schema: " + kind + " without " + key);
      Node* node = NewNode(kind == "array" ? Kind::kArray : Kind::kMap);
      node->logical_type = Text(json, "logicalType");
      node->element_id = Number(json, "element-id", -1);
      node->items = WEIR_TRY(Type(json[key], space, depth + 1));
      return node;
    }
    if (kind == "fixed" || kind == "enum") {
      Node* node = NewNode(kind == "fixed" ? Kind::kFixed : Kind::kEnum);
      Register(node, json, space);
      const int size = Number(json, "size", 0);
      if (size < 0) return Invalid("avro schema: negative size of " + node->name);
      node->size = static_cast<size_t>(size);
      node->no_bytes = kind == "fixed" && size == 0;
      if (kind == "enum")
        node->symbols = json.value("symbols", std::vector<std::string>{});
      Annotate(node, json);
      return node;
    }
    if (const auto it = Primitives().find(kind); it != Primitives().end()) {
      Node* node = NewNode(it->second);
      Annotate(node, json);
      return node;
    }
    return Named(kind, space);
  }

  Result<const Node*> Record(const Json& json, const std::string& space, int depth) {
    Node* node = NewNode(Kind::kRecord);
    const std::string inner = Register(node, json, space);
    if (!json.contains("fields") || !json["fields"].is_array())
      return Invalid("avro schema: record without fields: " + node->name);
    for (const Json& field : json["fields"]) {
      if (!field.is_object() || !field.contains("type"))
        return Invalid("avro schema: field without type in " + node->name);
      const Node* type = WEIR_TRY(Type(field["type"], inner, depth + 1));
      node->fields.push_back({Text(field, "name"), type, Number(field, "field-id", -1)});
    }
    // One that contains itself does not come out as such: it is not whole when it is
    // named.
    node->no_bytes = std::all_of(node->fields.begin(), node->fields.end(),
                                 [](const Field& field) { return field.type->no_bytes; });
    return node;
  }

  // Makes a named type known; returns the namespace that holds inside it.
  std::string Register(Node* node, const Json& json, const std::string& space) {
    node->name = Text(json, "name");
    std::string inner = json.contains("namespace") ? Text(json, "namespace") : space;
    const std::string full = FullName(node->name, inner);
    if (const size_t dot = full.rfind('.'); dot != std::string::npos)
      inner = full.substr(0, dot);
    named_[full] = node;
    return inner;
  }

  static void Annotate(Node* node, const Json& json) {
    node->logical_type = Text(json, "logicalType");
    node->precision = Number(json, "precision", 0);
    node->scale = Number(json, "scale", 0);
  }

  Schema schema_;
  std::map<std::string, const Node*> named_;
};

Result<Schema> Schema::Parse(std::string_view json) {
  try {
    return SchemaParser().Parse(ParseJsonOrThrow(json));
  } catch (const Json::exception& e) {
    return Invalid(std::string("avro schema: ") + e.what());
  }
}

}  // namespace weir::avro
