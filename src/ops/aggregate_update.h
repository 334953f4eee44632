// The loops that bring rows into groups: one tight loop per call over the rows of a
// chunk.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/aggregate_layout.h"

namespace weir::ops {

// An entry of a range that changed since the last checkpoint.
struct DirtyEntry {
  Group* group;
  int call;
  std::string entry;
};

class AggregateUpdate {
 public:
  AggregateUpdate(const AggregateLayout& layout, GroupTable& table)
      : layout_(layout), table_(table), orders_(layout.orders.size()) {}

  // The batch that Apply's rows are of.
  Status Load(const data::Batch& batch, const data::Schema& input);

  BatchColumns& columns() { return columns_; }

  // Rows [begin, begin + groups.size()) of the batch come into their groups; `begin` is a
  // multiple of 64.
  void Apply(size_t begin, std::span<Group* const> groups);

  // Range entries that changed; the caller empties it.
  std::vector<DirtyEntry>& dirty() { return dirty_; }
  int64_t range_bytes() const { return range_bytes_; }
  void AddRangeBytes(int64_t bytes) { range_bytes_ += bytes; }

 private:
  template <class F>
  void ForEachSelected(const CallLayout& call, F&& f);
  void Count(const CallLayout& call);
  void SumIntegers(const CallLayout& call);
  void SumWideIntegers(const CallLayout& call);
  void SumFloats(const CallLayout& call);
  void Bools(const CallLayout& call);
  void Ordinals(const CallLayout& call);
  void FindWinners(const CallLayout& call, std::vector<uint32_t>* winners);
  bool WinsTie(const CallLayout& call, const char* slots, uint32_t ref, size_t row) const;
  void KeepWinners(const CallLayout& call, const std::vector<uint32_t>& winners);
  void Ranges(int call_index);
  void Variances(const CallLayout& call);
  void LogSums(const CallLayout& call);

  Group* group(size_t row) const { return groups_[row - begin_]; }
  int64_t weight(size_t row) const {
    return steps_ != nullptr     ? steps_[row - begin_]
           : weights_ == nullptr ? 1
                                 : weights_[row];
  }

  const AggregateLayout& layout_;
  GroupTable& table_;
  BatchColumns columns_;
  std::vector<OrderKeys> orders_;
  const int32_t* weights_ = nullptr;

  size_t begin_ = 0, end_ = 0;
  std::span<Group* const> groups_;
  std::vector<std::vector<uint32_t>>
      winners_;  // per call: rows of the chunk that won, also those that lost again
  std::vector<std::vector<uint32_t>>
      minor_owner_;  // per order and row of the chunk: the slot offset that holds the ref
                     // of its minor
  // While a distinct call is worked on: per row of the chunk, whether its value came (1),
  // went (-1) or neither.
  std::vector<int8_t> value_steps_;
  const int8_t* steps_ = nullptr;
  std::vector<DirtyEntry> dirty_;
  std::string entry_, order_key_;
  int64_t range_bytes_ = 0;
};

}  // namespace weir::ops
