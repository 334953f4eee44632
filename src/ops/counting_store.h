// For tests: how much of the store is read.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "state/state.h"

namespace weir::ops {

struct StoreReads {
  int64_t scans = 0;
  int64_t visited = 0;     // rows, by scans
  int64_t looked_for = 0;  // keys, by GetMany
};

// Hands on to another store, and counts what is read of it.
class CountingStore final : public state::Store {
 public:
  CountingStore(state::Store& store, StoreReads* reads) : store_(store), reads_(reads) {}

  Status Apply(const state::Delta& delta, Epoch epoch) override {
    return store_.Apply(delta, epoch);
  }
  Status ApplyBehind(state::Delta&& delta, Epoch epoch) override {
    return store_.ApplyBehind(std::move(delta), epoch);
  }
  Status Flush() override { return store_.Flush(); }
  Epoch applied() const override { return store_.applied(); }
  Result<std::vector<std::optional<std::string>>> GetMany(
      std::string_view space, std::span<const std::string_view> keys) override {
    reads_->looked_for += static_cast<int64_t>(keys.size());
    return store_.GetMany(space, keys);
  }
  Status ScanFrom(std::string_view space, std::string_view prefix, std::string_view from,
                  const Visit& visit) override {
    return store_.ScanFrom(space, prefix, from, Counted(visit));
  }
  Status ScanBack(std::string_view space, std::string_view prefix,
                  std::string_view before, const Visit& visit) override {
    return store_.ScanBack(space, prefix, before, Counted(visit));
  }
  Result<std::vector<SpaceInfo>> Spaces() override { return store_.Spaces(); }
  void NoteDamage(std::string_view why) override { store_.NoteDamage(why); }
  bool damaged() const override { return store_.damaged(); }
  io::Io& io() override { return store_.io(); }
  const std::string& dir() const override { return store_.dir(); }
  bool deterministic() const override { return store_.deterministic(); }

 private:
  Visit Counted(const Visit& visit) {
    ++reads_->scans;
    return [this, &visit](std::string_view key, std::string_view value) {
      ++reads_->visited;
      return visit(key, value);
    };
  }

  state::Store& store_;
  StoreReads* const reads_;
};

}  // namespace weir::ops
