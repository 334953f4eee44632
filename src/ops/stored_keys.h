// Which groups of an operator the store may hold while they are not in memory, so that
// nothing is looked for that was never stored: of the groups that an operator meets for
// the first time most are new.
#pragma once

#include <span>
#include <string>

#include "base/hash.h"
#include "state/key_filter.h"
#include "state/state.h"

namespace weir::ops {

// Whoever lets a group go that the store has says so. What the store had before is learnt
// little by little, for it may be much: about as much work goes into that as into looking
// for groups in vain. Until all of it is known, every group may be stored.
class StoredKeys {
 public:
  // `prefix`: what the keys of the operator's groups begin with; the group's hash
  // follows, and no more. Without a store nothing is ever let go. The filter takes a
  // sixteenth of `bytes_max` at most. An error is the store's.
  static Result<StoredKeys> Make(state::Store* store, std::string space,
                                 std::string prefix, int64_t bytes_max);

  // False: no group is anywhere but in memory.
  bool any() const { return any_; }
  bool MayHave(Hash128 group) const { return !all_known_ || filter_.MayContain(group); }

  void LetGo(Hash128 group) {
    any_ = true;
    filter_.Add(group);
  }

  // So many groups were looked for that the store does not have.
  Status LookedInVain(size_t groups);

  int64_t bytes() const { return filter_.bytes(); }

 private:
  StoredKeys(state::Store* store, std::string space, std::string prefix,
             int64_t bytes_max)
      : store_(store),
        space_(std::move(space)),
        prefix_(std::move(prefix)),
        filter_(bytes_max / 16) {}
  Status Learn(size_t keys);

  state::Store* store_;
  std::string space_, prefix_;
  state::KeyFilter filter_;
  bool any_ = false;
  bool all_known_ = true;  // what the store has is in the filter
  std::string next_;       // where learning goes on, behind the prefix
  size_t in_vain_ = 0;     // since something was learnt last
};

}  // namespace weir::ops
