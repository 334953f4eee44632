#include "base/check.h"
#include "contract/leaf_internal.h"

namespace weir::contract {
namespace {

using Step = LeafPath::Step;

// Moves from lists to their elements (maps to their values), which have rows of their
// own.
void Flatten(const arrow::Array& array, std::shared_ptr<arrow::Array> elements,
             Leaf* leaf) {
  const auto* offsets = array.data()->GetValues<int32_t>(1);
  std::vector<int32_t> rows;
  for (int64_t i = leaf->first; i < leaf->last; ++i) {
    rows.insert(rows.end(), static_cast<size_t>(offsets[i + 1] - offsets[i]),
                leaf->row(i));
  }
  const int64_t first = offsets[leaf->first], last = offsets[leaf->last];
  leaf->first = first;
  leaf->last = last;
  leaf->rows = std::move(rows);
  leaf->values = std::move(elements);
  leaf->parent = nullptr;
}

}  // namespace

LeafPath FindLeaf(const data::Schema& schema, std::string_view path) {
  LeafPath out;
  out.type = data::StructOf(schema.fields);
  while (!path.empty()) {
    if (path.starts_with("[]")) {
      path.remove_prefix(2);
      out.steps.push_back({Step::Kind::kElement});
      out.in_list = true;
      out.type = data::Type(out.type.fields[0].type);
    } else {
      if (path[0] == '.') path.remove_prefix(1);
      const size_t end = std::min(path.find_first_of(".["), path.size());
      const std::string_view name = path.substr(0, end);
      path.remove_prefix(end);
      if (out.type.kind == data::Kind::kMap) {
        out.steps.push_back({Step::Kind::kMapValue});
        out.in_list = true;
        out.type = data::Type(out.type.fields[1].type);
        continue;
      }
      size_t index = 0;
      while (index < out.type.fields.size() && out.type.fields[index].name != name)
        ++index;
      WEIR_CHECK(index < out.type.fields.size());
      out.steps.push_back({Step::Kind::kField, static_cast<int>(index)});
      out.type = data::Type(out.type.fields[index].type);
    }
  }
  return out;
}

Leaf LeafOf(const arrow::RecordBatch& batch, const LeafPath& path) {
  Leaf leaf;
  leaf.values = batch.column(path.steps[0].index);
  leaf.last = batch.num_rows();
  for (size_t i = 1; i < path.steps.size(); ++i) {
    const std::shared_ptr<arrow::Array> array = leaf.values;
    switch (path.steps[i].kind) {
      case Step::Kind::kField:
        leaf.parent = array;
        leaf.values =
            static_cast<const arrow::StructArray&>(*array).field(path.steps[i].index);
        break;
      case Step::Kind::kElement:
        Flatten(*array, static_cast<const arrow::ListArray&>(*array).values(), &leaf);
        break;
      case Step::Kind::kMapValue:
        Flatten(*array, static_cast<const arrow::MapArray&>(*array).items(), &leaf);
        break;
    }
  }
  return leaf;
}

}  // namespace weir::contract
