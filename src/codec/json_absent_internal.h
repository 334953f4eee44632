// The `_absent` column.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "codec/json_node_internal.h"

namespace weir::codec {

// Few sets of fields are absent together, so the encoded list of each set is kept, found
// by the bits of the static nodes, and copied.
class AbsentColumn {
 public:
  // `seen`: the bits of the static nodes of the record just read, which Add looks at.
  AbsentColumn(const Node* root, std::span<const uint64_t> seen)
      : root_(root), seen_(seen) {}

  // Writes the row; `more` are absent fields of list elements and map values, which the
  // bits do not cover.
  void Add(int64_t row, const std::vector<std::string>& more);

  std::shared_ptr<arrow::ArrayData> Finish(int64_t rows,
                                           const std::shared_ptr<arrow::DataType>& type);

 private:
  struct Set {
    std::vector<uint64_t> bits;
    std::string paths;  // one behind another
    std::vector<int32_t> ends;
  };

  const Set& Find();
  static void Collect(const Node& node, Set* set);

  const Node* const root_;
  const std::span<const uint64_t> seen_;
  Column list_{Column::Layout::kList, 0};
  Column paths_{Column::Layout::kBytes, 0};
  std::unordered_multimap<uint64_t, Set> sets_;
  const Set* last_ = nullptr;
  size_t kept_bytes_ = 0;
};

}  // namespace weir::codec
