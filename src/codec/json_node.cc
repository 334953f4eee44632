#include <fmt/format.h>

#include <algorithm>

#include "codec/json_node_internal.h"

namespace weir::codec {
namespace {

using data::Kind;

Column ColumnOf(Kind kind) {
  switch (kind) {
    case Kind::kBool:
      return {Column::Layout::kBits, 0};
    case Kind::kInt32:
    case Kind::kFloat:
    case Kind::kDate:
      return {Column::Layout::kFixed, 4};
    case Kind::kInt64:
    case Kind::kDouble:
    case Kind::kTime:
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      return {Column::Layout::kFixed, 8};
    case Kind::kDecimal:
    case Kind::kUuid:
      return {Column::Layout::kFixed, 16};
    case Kind::kString:
    case Kind::kBinary:
      return {Column::Layout::kBytes, 0};
    case Kind::kStruct:
      return {Column::Layout::kStruct, 0};
    case Kind::kList:
    case Kind::kMap:
      return {Column::Layout::kList, 0};
  }
  return {Column::Layout::kStruct, 0};
}

bool Plain(std::string_view name) {
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
  });
}

uint64_t Load(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, 8);
  return word;
}

uint64_t HashKey(std::string_view key) {
  uint64_t head, tail = 0;
  if (key.size() >= 8) {
    head = Load(key.data());
    tail = Load(key.data() + key.size() - 8);
  } else {
    head = key.empty() ? 0 : Load(key.data()) & (~uint64_t{0} >> (64 - 8 * key.size()));
  }
  uint64_t hash = (head ^ (tail * 0x9E3779B97F4A7C15u)) + key.size();
  hash *= 0xC2B2AE3D27D4EB4Fu;
  return hash ^ hash >> 32;
}

Status CheckType(const data::Field& field) {
  if (field.type.kind == Kind::kMap && field.type.fields[0].type.kind != Kind::kString) {
    return Invalid(
        fmt::format("field {}: the keys of a map in JSON are strings", field.name));
  }
  for (const data::Field& child : field.type.fields) WEIR_TRY(CheckType(child));
  return {};
}

// Fills in paths and collects the objects of the tree, depth first.
void Prepare(Node& node, bool is_static, std::vector<Node*>* objects) {
  node.is_static = is_static;
  if (node.kind == Kind::kStruct) {
    node.BuildLookup();
    objects->push_back(&node);
  }
  const bool children_static = is_static && node.kind == Kind::kStruct;
  for (auto& child : node.children) {
    if (children_static) {
      child->path =
          node.path.empty() ? child->field.name : node.path + "." + child->field.name;
    }
    Prepare(*child, children_static, objects);
  }
}

}  // namespace

Node::Node(const data::Field& declared)
    : field(declared), kind(declared.type.kind), column(ColumnOf(kind)) {
  if (Plain(field.name)) {
    quoted_name = field.name + '"' + std::string(8, '\0');
    quoted_size = field.name.size() + 1;
  }
  for (const data::Field& child : field.type.fields) {
    children.push_back(std::make_unique<Node>(child));
  }
}

bool Node::AllSeen() const {
  for (uint32_t bit = 0; bit < children.size(); ++bit) {
    if (!Seen(bit)) return false;
  }
  return true;
}

void Node::BuildLookup() {
  size_t size = 8;
  while (size < children.size() * 4) size *= 2;
  slots_.assign(size, 0);
  for (uint32_t i = 0; i < children.size(); ++i) {
    const std::string padded = children[i]->field.name + std::string(8, '\0');
    size_t slot =
        HashKey(std::string_view(padded).substr(0, padded.size() - 8)) & (size - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (size - 1);
    slots_[slot] = i + 1;
  }
  next.assign(children.size() + 1, kNone);
  for (uint32_t i = 0; i < children.size(); ++i)
    next[i == 0 ? children.size() : i - 1] = i;
}

uint32_t Node::Find(std::string_view key) const {
  for (size_t slot = HashKey(key) & (slots_.size() - 1); slots_[slot] != 0;
       slot = (slot + 1) & (slots_.size() - 1)) {
    if (children[slots_[slot] - 1]->field.name == key) return slots_[slot] - 1;
  }
  return kNone;
}

Result<std::unique_ptr<Node>> BuildNodes(const data::Schema& declared,
                                         std::vector<uint64_t>* seen,
                                         size_t* static_words) {
  for (const data::Field& field : declared.fields) WEIR_TRY(CheckType(field));
  auto root = std::make_unique<Node>(data::Field{"", data::StructOf(declared.fields)});
  std::vector<Node*> objects;
  Prepare(*root, true, &objects);
  std::stable_partition(objects.begin(), objects.end(),
                        [](Node* node) { return node->is_static; });
  size_t words = 0;
  *static_words = 0;
  for (Node* node : objects) {
    node->seen_words = static_cast<uint32_t>(node->children.size() / 64 + 1);
    words += node->seen_words;
    if (node->is_static) *static_words = words;
  }
  seen->assign(words, 0);
  uint64_t* at = seen->data();
  for (Node* node : objects) {
    node->seen = at;
    at += node->seen_words;
  }
  return root;
}

void TruncateNode(Node& node, int64_t first, int64_t last) {
  if (node.kind == Kind::kList || node.kind == Kind::kMap) {
    const int64_t first_element = node.column.FirstElement(first);
    const int64_t last_element = node.column.elements();
    for (auto& child : node.children) TruncateNode(*child, first_element, last_element);
  } else {
    for (auto& child : node.children) TruncateNode(*child, first, last);
  }
  node.column.Truncate(first, last);
}

std::shared_ptr<arrow::ArrayData> FinishNode(
    Node& node, int64_t rows, const std::shared_ptr<arrow::DataType>& type) {
  const int64_t elements = node.column.elements();
  std::shared_ptr<arrow::ArrayData> out = node.column.Finish(rows, type);
  switch (node.kind) {
    case Kind::kStruct:
      for (size_t i = 0; i < node.children.size(); ++i) {
        out->child_data.push_back(FinishNode(*node.children[i], rows,
                                             type->field(static_cast<int>(i))->type()));
      }
      break;
    case Kind::kList:
      out->child_data.push_back(
          FinishNode(*node.children[0], elements, type->field(0)->type()));
      break;
    case Kind::kMap: {
      const std::shared_ptr<arrow::DataType>& entry = type->field(0)->type();
      auto entries = arrow::ArrayData::Make(entry, elements, {nullptr}, 0);
      for (int i = 0; i < 2; ++i) {
        entries->child_data.push_back(FinishNode(*node.children[static_cast<size_t>(i)],
                                                 elements, entry->field(i)->type()));
      }
      out->child_data.push_back(std::move(entries));
      break;
    }
    default:
      break;
  }
  return out;
}

}  // namespace weir::codec
