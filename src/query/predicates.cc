#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/time.h"
#include "query/tables_internal.h"

namespace weir::query {
namespace {

using iceberg::Literal;
using scan::Op;
using scan::Predicate;

std::string Text(const Json& node, const char* key) {
  const auto at = node.find(key);
  return at != node.end() && at->is_string() ? at->get<std::string>() : "";
}

// ------------------------------------------------------------------------------------------
// FROM

// A relation of one FROM. Rows of a kept one that fail the WHERE never reach the result
// and influence nothing else; rows of others may (the null-extended side of an outer
// join, the right of an ASOF join).
struct Relation {
  const Json* node;
  bool kept;
};

void CollectRelations(const Json& from, bool kept, std::vector<Relation>* out) {
  if (Text(from, "type") != "JOIN") {
    out->push_back({&from, kept});
    return;
  }
  const std::string join = Text(from, "join_type"), ref = Text(from, "ref_type");
  const bool plain = ref == "REGULAR" || ref == "CROSS" || ref == "NATURAL";
  const bool inner = join == "INNER" && plain;
  const bool left = inner ||
                    ((join == "LEFT" || join == "SEMI" || join == "ANTI") && plain) ||
                    (ref == "ASOF" && (join == "INNER" || join == "LEFT"));
  const bool right = inner || (join == "RIGHT" && plain);
  CollectRelations(from.at("left"), kept && left, out);
  CollectRelations(from.at("right"), kept && right, out);
}

std::string RelationName(const Json& relation) {
  const std::string alias = Text(relation, "alias");
  return alias.empty() ? Text(relation, "table_name") : alias;
}

// -------------------------------------------------------------------------------------
// constants

constexpr int64_t kPowers[] = {1,
                               10,
                               100,
                               1'000,
                               10'000,
                               100'000,
                               1'000'000,
                               10'000'000,
                               100'000'000,
                               1'000'000'000,
                               10'000'000'000,
                               100'000'000'000,
                               1'000'000'000'000,
                               10'000'000'000'000,
                               100'000'000'000'000,
                               1'000'000'000'000'000};

struct ConstantValue {
  std::string type;  // DuckDB's type id
  int scale = 0, width = 0;
  Json value;
};

// A literal, or a text cast to a type, as DuckDB writes DATE '…'.
std::optional<ConstantValue> ConstantOf(const Json& node) {
  if (Text(node, "type") == "VALUE_CONSTANT") {
    const Json& value = node.at("value");
    if (value.value("is_null", false) || !value.contains("value")) return std::nullopt;
    ConstantValue out{Text(value.at("type"), "id"), 0, 0, value.at("value")};
    if (out.type == "DECIMAL") {
      const Json& info = value.at("type").at("type_info");
      out.scale = info.value("scale", 0);
      out.width = info.value("width", 0);
    }
    return out;
  }
  if (Text(node, "type") == "OPERATOR_CAST" && !node.value("try_cast", false)) {
    auto inner = ConstantOf(node.at("child"));
    const std::string target = Text(node.at("cast_type"), "id");
    if (!inner || inner->type != "VARCHAR") return std::nullopt;
    for (const char* known :
         {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "BOOLEAN", "VARCHAR"}) {
      if (target == known) return ConstantValue{target, 0, 0, inner->value};
    }
  }
  return std::nullopt;
}

std::optional<int64_t> IntegerOf(const ConstantValue& constant) {
  if (constant.type.find("INT") == std::string::npos ||
      !constant.value.is_number_integer())
    return std::nullopt;
  if (constant.value.is_number_unsigned() &&
      constant.value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return std::nullopt;
  return constant.value.get<int64_t>();
}

std::optional<Micros> StampOf(const ConstantValue& constant, bool zoned) {
  if (!constant.value.is_string()) return std::nullopt;
  const std::string text = constant.value.get<std::string>();
  bool has_zone = false;
  if (const auto time = ParseTimestamp(text, &has_zone)) {
    // A zone in the text of a zone-less stamp is DuckDB's business.
    return has_zone && !zoned ? std::nullopt : time;
  }
  if (const auto days = ParseDate(text)) return *days * int64_t{86'400'000'000};
  return std::nullopt;
}

// Big-endian two's complement in as few bytes as hold it.
std::string DecimalBytes(int64_t unscaled) {
  int bytes = 1;
  while (bytes < 8 && unscaled >> (8 * bytes - 1) != 0 &&
         unscaled >> (8 * bytes - 1) != -1)
    ++bytes;
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(unscaled >> (8 * i));
  return out;
}

// A number of a decimal literal at another scale, if it is one there.
std::optional<int64_t> Rescaled(int64_t value, int from, int to) {
  if (to < from || to - from > 15 || std::abs(value) > INT64_MAX / kPowers[to - from])
    return std::nullopt;
  return value * kPowers[to - from];
}

// The constant in the column's domain when DuckDB compares it there exactly; nullopt:
// leave the comparison to DuckDB.
std::optional<Literal> ToLiteral(const ConstantValue& constant, const data::Type& type) {
  const std::optional<int64_t> integer = IntegerOf(constant);
  const bool decimal = constant.type == "DECIMAL" && constant.value.is_number_integer();
  const bool text = constant.type == "VARCHAR" && constant.value.is_string();
  switch (type.kind) {
    case data::Kind::kInt32:
      if (integer && *integer >= INT32_MIN && *integer <= INT32_MAX)
        return static_cast<int32_t>(*integer);
      return std::nullopt;
    case data::Kind::kInt64:
      if (integer) return *integer;
      return std::nullopt;
    case data::Kind::kDouble:
      if (integer && std::abs(*integer) < (int64_t{1} << 53))
        return static_cast<double>(*integer);
      if (decimal && constant.width <= 15)
        return static_cast<double>(constant.value.get<int64_t>()) /
               static_cast<double>(kPowers[constant.scale]);
      if (constant.type == "DOUBLE" && constant.value.is_number() &&
          std::isfinite(constant.value.get<double>()))
        return constant.value.get<double>();
      return std::nullopt;
    case data::Kind::kDecimal: {
      std::optional<int64_t> unscaled;
      if (integer) unscaled = Rescaled(*integer, 0, type.scale);
      if (decimal)
        unscaled = Rescaled(constant.value.get<int64_t>(), constant.scale, type.scale);
      if (!unscaled) return std::nullopt;
      return DecimalBytes(*unscaled);
    }
    case data::Kind::kString:
      if (text) return constant.value.get<std::string>();
      return std::nullopt;
    case data::Kind::kBool:
      if (constant.type != "BOOLEAN") return std::nullopt;
      if (constant.value.is_boolean()) return constant.value.get<bool>();
      if (constant.value == "t" || constant.value == "true") return true;
      if (constant.value == "f" || constant.value == "false") return false;
      return std::nullopt;
    case data::Kind::kDate:
      if ((text || constant.type == "DATE") && constant.value.is_string()) {
        if (const auto days = ParseDate(constant.value.get<std::string>())) return *days;
      }
      return std::nullopt;
    case data::Kind::kTimestamp:
    case data::Kind::kTimestampTz: {
      const bool zoned = type.kind == data::Kind::kTimestampTz;
      const bool stamp = constant.type == "DATE" || constant.type == "TIMESTAMP" ||
                         (zoned && constant.type == "TIMESTAMP WITH TIME ZONE");
      if (!text && !stamp) return std::nullopt;
      if (constant.type == "TIMESTAMP" && zoned) {
        const auto time = StampOf(constant, false);
        return time ? std::optional<Literal>(*time) : std::nullopt;
      }
      const auto time = StampOf(constant, zoned);
      return time ? std::optional<Literal>(*time) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

// ------------------------------------------------------------------------------------------
// WHERE

class Collector {
 public:
  Collector(const Json* mention, std::vector<Relation> relations,
            const std::function<const data::Schema*(const Json*)>& schema_of)
      : mention_(mention), relations_(std::move(relations)), schema_of_(schema_of) {}

  void Add(const Json& condition) {
    const std::string type = Text(condition, "type");
    if (type == "CONJUNCTION_AND") {
      for (const Json& child : condition.at("children")) Add(child);
    } else if (type == "COMPARE_BETWEEN") {
      AddComparison(Op::kGreaterEqual, condition.at("input"), condition.at("lower"));
      AddComparison(Op::kLessEqual, condition.at("input"), condition.at("upper"));
    } else if (type == "COMPARE_IN") {
      AddIn(condition.at("children"));
    } else if (type == "OPERATOR_IS_NULL" || type == "OPERATOR_IS_NOT_NULL") {
      if (const data::Field* field = ColumnOf(condition.at("children").at(0))) {
        out_.push_back(
            {field->id, type == "OPERATOR_IS_NULL" ? Op::kIsNull : Op::kIsNotNull, {}});
      }
    } else if (const auto op = OpOf(type)) {
      const Json &left = condition.at("left"), &right = condition.at("right");
      if (!AddComparison(*op, left, right)) AddComparison(Mirrored(*op), right, left);
    }
  }

  std::vector<Predicate> Take() { return std::move(out_); }

 private:
  static std::optional<Op> OpOf(const std::string& type) {
    if (type == "COMPARE_EQUAL") return Op::kEqual;
    if (type == "COMPARE_LESSTHAN") return Op::kLess;
    if (type == "COMPARE_LESSTHANOREQUALTO") return Op::kLessEqual;
    if (type == "COMPARE_GREATERTHAN") return Op::kGreater;
    if (type == "COMPARE_GREATERTHANOREQUALTO") return Op::kGreaterEqual;
    return std::nullopt;
  }

  static Op Mirrored(Op op) {
    switch (op) {
      case Op::kLess:
        return Op::kGreater;
      case Op::kLessEqual:
        return Op::kGreaterEqual;
      case Op::kGreater:
        return Op::kLess;
      case Op::kGreaterEqual:
        return Op::kLessEqual;
      default:
        return op;
    }
  }

  bool AddComparison(Op op, const Json& column, const Json& constant) {
    const data::Field* field = ColumnOf(column);
    if (field == nullptr) return false;
    const auto value = ConstantOf(constant);
    if (!value) return false;
    if (auto literal = ToLiteral(*value, field->type))
      out_.push_back({field->id, op, {*std::move(literal)}});
    return true;
  }

  void AddIn(const Json& children) {
    const data::Field* field = ColumnOf(children.at(0));
    if (field == nullptr) return;
    Predicate predicate{field->id, Op::kIn, {}};
    for (size_t i = 1; i < children.size(); ++i) {
      const auto value = ConstantOf(children[i]);
      auto literal = value ? ToLiteral(*value, field->type) : std::nullopt;
      if (!literal) return;
      predicate.values.push_back(*std::move(literal));
    }
    out_.push_back(std::move(predicate));
  }

  // The column of our mention that an expression is; nullptr: something else, or not
  // certainly ours.
  const data::Field* ColumnOf(const Json& expression) const {
    if (Text(expression, "type") != "COLUMN_REF") return nullptr;
    const auto names = expression.at("column_names").get<std::vector<std::string>>();
    const data::Schema* schema = schema_of_(mention_);
    if (schema == nullptr) return nullptr;
    if (names.size() == 1) {
      for (const Relation& other : relations_) {
        if (other.node == mention_) continue;
        const data::Schema* columns =
            Text(*other.node, "type") == "BASE_TABLE" ? schema_of_(other.node) : nullptr;
        if (columns == nullptr || columns->Find(names[0]) != nullptr) return nullptr;
      }
      return schema->Find(names[0]);
    }
    const bool ours = data::SameName(names[names.size() - 2], RelationName(*mention_));
    if (!ours || names.size() > 3) return nullptr;
    if (names.size() == 3 && !data::SameName(names[0], Text(*mention_, "schema_name")))
      return nullptr;
    const auto same_name = [&](const Relation& r) {
      return data::SameName(RelationName(*r.node), RelationName(*mention_));
    };
    if (std::count_if(relations_.begin(), relations_.end(), same_name) != 1)
      return nullptr;
    return schema->Find(names.back());
  }

  const Json* const mention_;
  const std::vector<Relation> relations_;
  const std::function<const data::Schema*(const Json*)>& schema_of_;
  std::vector<Predicate> out_;
};

// The SELECT whose FROM has the mention.
const Json* SelectOf(const Json& node, const Json* mention,
                     std::vector<Relation>* relations) {
  if (!node.is_structured()) return nullptr;
  if (node.is_object() && Text(node, "type") == "SELECT_NODE" &&
      node.contains("from_table")) {
    std::vector<Relation> found;
    CollectRelations(node.at("from_table"), true, &found);
    if (std::any_of(found.begin(), found.end(),
                    [&](const Relation& r) { return r.node == mention; })) {
      *relations = std::move(found);
      return &node;
    }
  }
  for (const auto& child : node) {
    if (const Json* select = SelectOf(child, mention, relations)) return select;
  }
  return nullptr;
}

}  // namespace

std::vector<Predicate> PredicatesOf(
    const Json& tree, const Json* mention,
    const std::function<const data::Schema*(const Json*)>& schema_of) {
  std::vector<Relation> relations;
  const Json* select = SelectOf(tree, mention, &relations);
  if (select == nullptr || !select->contains("where_clause") ||
      !select->at("where_clause").is_object())
    return {};
  const auto self = std::find_if(relations.begin(), relations.end(),
                                 [&](const Relation& r) { return r.node == mention; });
  const bool renamed = !mention->value("column_name_alias", Json::array()).empty();
  const bool sampled =
      (mention->contains("sample") && !mention->at("sample").is_null()) ||
      (select->contains("sample") && !select->at("sample").is_null());
  if (!self->kept || renamed || sampled) return {};
  Collector collector(mention, std::move(relations), schema_of);
  collector.Add(select->at("where_clause"));
  return collector.Take();
}

}  // namespace weir::query
