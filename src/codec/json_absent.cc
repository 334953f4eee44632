#include <algorithm>

#include "base/hash.h"
#include "codec/json_absent_internal.h"

namespace weir::codec {
namespace {

// Hostile records could make as many sets as there are records.
constexpr size_t kKeptBytesMax = 4 << 20;

}  // namespace

void AbsentColumn::Collect(const Node& node, Set* set) {
  for (uint32_t i = 0; i < node.children.size(); ++i) {
    const Node& child = *node.children[i];
    if (!node.Seen(i)) {
      set->paths += child.path;
      set->ends.push_back(static_cast<int32_t>(set->paths.size()));
    } else if (child.kind == data::Kind::kStruct && child.Seen(child.present_bit())) {
      Collect(child, set);
    }
  }
}

const AbsentColumn::Set& AbsentColumn::Find() {
  const auto same = [&](const Set& set) {
    return std::equal(seen_.begin(), seen_.end(), set.bits.begin());
  };
  if (last_ != nullptr && same(*last_)) return *last_;
  const uint64_t hash = seen_.size() == 1
                            ? seen_[0]
                            : HashBytes64({reinterpret_cast<const char*>(seen_.data()),
                                           seen_.size_bytes()});
  const auto [first, last] = sets_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (same(it->second)) return *(last_ = &it->second);
  }
  Set made;
  made.bits.assign(seen_.begin(), seen_.end());
  Collect(*root_, &made);
  const size_t bytes =
      sizeof(Set) + made.paths.size() + 4 * made.ends.size() + seen_.size_bytes();
  if (kept_bytes_ + bytes > kKeptBytesMax) {
    sets_.clear();
    kept_bytes_ = 0;
  }
  kept_bytes_ += bytes;
  return *(last_ = &sets_.emplace(hash, std::move(made))->second);
}

void AbsentColumn::Add(int64_t row, const std::vector<std::string>& more) {
  const Set& set = Find();
  const auto count = static_cast<int64_t>(set.ends.size() + more.size());
  if (count == 0) return;
  list_.BeginList(row);
  int64_t at = list_.NextElements(count);
  paths_.PutRun(at, set.paths, set.ends);
  at += static_cast<int64_t>(set.ends.size());
  for (const std::string& path : more) {
    const auto end = static_cast<int32_t>(path.size());
    paths_.PutRun(at++, path, std::span(&end, 1));
  }
  list_.EndList(row);
}

std::shared_ptr<arrow::ArrayData> AbsentColumn::Finish(
    int64_t rows, const std::shared_ptr<arrow::DataType>& type) {
  const int64_t elements = list_.elements();
  auto out = list_.Finish(rows, type);
  out->child_data.push_back(paths_.Finish(elements, arrow::utf8()));
  return out;
}

}  // namespace weir::codec
