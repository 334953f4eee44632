#include "ops/stored_keys.h"

#include <cstring>

namespace weir::ops {
namespace {

// A look-up costs as much as some keys of a scan; beginning one costs more.
constexpr size_t kVainLooks = 4096, kKeysOfALook = 4;

}  // namespace

Result<StoredKeys> StoredKeys::Make(state::Store* store, std::string space,
                                    std::string prefix, int64_t bytes_max) {
  StoredKeys out(store, std::move(space), std::move(prefix), bytes_max);
  if (store == nullptr) return out;
  WEIR_TRY(store->Scan(out.space_, out.prefix_, [&](std::string_view, std::string_view) {
    out.any_ = true;
    return false;
  }));
  out.all_known_ = !out.any_;
  return out;
}

Status StoredKeys::LookedInVain(size_t groups) {
  if (all_known_) return {};
  in_vain_ += groups;
  if (in_vain_ < kVainLooks) return {};
  return Learn(kKeysOfALook * std::exchange(in_vain_, 0));
}

// What is stored meanwhile need not be seen: whoever stored it lets it go later.
Status StoredKeys::Learn(size_t keys) {
  bool all = true, malformed = false;
  WEIR_TRY(store_->ScanFrom(space_, prefix_, next_,
                            [&](std::string_view key, std::string_view) {
                              const std::string_view group = key.substr(prefix_.size());
                              malformed = group.size() != sizeof(Hash128);
                              all = keys-- > 0;
                              if (malformed || !all) {
                                next_ = group;
                                return false;
                              }
                              Hash128 hash;
                              std::memcpy(&hash, group.data(), sizeof hash);
                              filter_.Add(hash);
                              return true;
                            }));
  if (malformed) return Corrupt("the name of a stored group is malformed");
  all_known_ = all;
  return {};
}

}  // namespace weir::ops
