#include "base/memory.h"

namespace weir {

MemoryBudget::MemoryBudget(std::string name, int64_t bytes_max)
    : name_(std::move(name)), bytes_max_(bytes_max) {}

MemoryBudget& MemoryBudget::Child(std::string_view name, int64_t bytes_max) {
  std::lock_guard lock(mutex_);
  for (MemoryBudget& child : children_) {
    if (child.name_ == name) return child;
  }
  MemoryBudget& child = children_.emplace_back(std::string(name), bytes_max);
  child.parent_ = this;
  return child;
}

void MemoryBudget::Add(int64_t bytes) {
  for (MemoryBudget* node = this; node != nullptr; node = node->parent_) {
    node->used_.fetch_add(bytes, std::memory_order_relaxed);
  }
}

std::vector<MemoryBudget::Usage> MemoryBudget::List() const {
  std::vector<Usage> all{{name_, used(), bytes_max_}};
  std::lock_guard lock(mutex_);
  for (const MemoryBudget& child : children_) {
    for (Usage& usage : child.List()) {
      usage.path = name_ + "/" + usage.path;
      all.push_back(std::move(usage));
    }
  }
  return all;
}

}  // namespace weir
