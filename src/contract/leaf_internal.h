// The values a path of the contract names, in a batch: "device.os", "route[].lat",
// "labels.*".
#pragma once

#include <arrow/api.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/type.h"

namespace weir::contract {

// How a path is walked; fixed by the schema, so computed once.
struct LeafPath {
  struct Step {
    enum class Kind : uint8_t { kField, kElement, kMapValue } kind;
    int index = 0;  // of the field in its object
  };
  std::vector<Step> steps;
  data::Type type;  // at its end
  bool in_list = false;
};

// The path must exist in the schema.
LeafPath FindLeaf(const data::Schema& schema, std::string_view path);

// One batch's values at a path.
struct Leaf {
  std::shared_ptr<arrow::Array> values;
  std::shared_ptr<arrow::Array>
      parent;  // the object that carries the field; null at the top level
  // The row each value belongs to; empty: value i is of row i.
  std::vector<int32_t> rows;
  // The range of `values` that belongs to the batch's rows.
  int64_t first = 0, last = 0;

  int32_t row(int64_t i) const {
    return rows.empty() ? static_cast<int32_t>(i) : rows[static_cast<size_t>(i - first)];
  }
};
Leaf LeafOf(const arrow::RecordBatch& batch, const LeafPath& path);

}  // namespace weir::contract
