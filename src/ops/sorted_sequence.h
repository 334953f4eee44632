// The rows of a key in order, before the step and now.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "ops/sorted_rows.h"

namespace weir::ops {

// Walks through the rows of a key from `from` on, where the cursor stands. Given the
// changes of the step, they are as they were before it; without, as they are.
class Sequence {
 public:
  Sequence(const SortedRows::Cursor& cursor, std::span<const SortedRows::Change> changes,
           std::string_view from)
      : cursor_(cursor) {
    change_ =
        std::lower_bound(changes.begin(), changes.end(), from,
                         [](const SortedRows::Change& change, std::string_view key) {
                           return std::string_view(change.entry) < key;
                         });
    last_change_ = changes.end();
    Settle();
  }

  bool AtEnd() const { return weight_ == 0; }
  std::string_view entry() const { return entry_; }
  int64_t weight() const { return weight_; }  // how often it is there
  void Next() {
    Step();
    Settle();
  }

 private:
  bool OnChange() const {
    return change_ != last_change_ &&
           (cursor_.AtEnd() || change_->entry <= cursor_.entry());
  }
  void Step() {
    const bool on_change = OnChange();
    if (!cursor_.AtEnd() && (!on_change || change_->entry == cursor_.entry()))
      cursor_.Next();
    if (on_change) ++change_;
  }
  // Moves on to an entry with a weight.
  void Settle() {
    for (;; Step()) {
      weight_ = 0;
      const bool on_change = OnChange();
      if (!on_change && cursor_.AtEnd()) return;
      entry_ = on_change ? change_->entry : cursor_.entry();
      weight_ = on_change ? change_->before : cursor_.weight();
      if (weight_ > 0) return;
    }
  }

  SortedRows::Cursor cursor_;
  std::span<const SortedRows::Change>::iterator change_, last_change_;
  std::string_view entry_;
  int64_t weight_ = 0;
};

}  // namespace weir::ops
