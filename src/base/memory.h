// One tree of memory budgets: `weir.memory.max` divides into named, metered children.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

// A node counts the bytes its owner says it holds; a parent counts its children's too. A
// budget advises (over() says it is time to spill, flush or push back); it does not
// allocate. Safe for concurrent use. A node must outlive its children's users.
class MemoryBudget {
 public:
  MemoryBudget(std::string name, int64_t bytes_max);

  // The child of that name; made at the first call, with `bytes_max` of its own.
  MemoryBudget& Child(std::string_view name, int64_t bytes_max);

  void Add(int64_t bytes);  // negative gives back
  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  int64_t bytes_max() const { return bytes_max_; }
  bool over() const { return used() > bytes_max_; }
  const std::string& name() const { return name_; }

  struct Usage {
    std::string path;  // "weir/state"
    int64_t used, bytes_max;
  };
  std::vector<Usage> List() const;

 private:
  const std::string name_;
  const int64_t bytes_max_;
  MemoryBudget* parent_ = nullptr;
  std::atomic<int64_t> used_{0};
  mutable std::mutex mutex_;
  std::list<MemoryBudget> children_;
};

// Bytes held for as long as this object lives.
class MemoryClaim {
 public:
  MemoryClaim() = default;
  MemoryClaim(MemoryBudget& budget, int64_t bytes) : budget_(&budget), bytes_(bytes) {
    budget.Add(bytes);
  }
  MemoryClaim(MemoryClaim&& other) noexcept { *this = std::move(other); }
  MemoryClaim& operator=(MemoryClaim&& other) noexcept {
    Resize(0);
    budget_ = other.budget_;
    bytes_ = other.bytes_;
    other.budget_ = nullptr;
    other.bytes_ = 0;
    return *this;
  }
  ~MemoryClaim() { Resize(0); }
  void Resize(int64_t bytes) {
    if (budget_ == nullptr) return;
    budget_->Add(bytes - bytes_);
    bytes_ = bytes;
  }

 private:
  MemoryBudget* budget_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace weir
