// A delta that is on its way into the store, for whoever reads meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/state.h"

namespace weir::state {

// The newest value of each key of a delta, found by hash: some 45 bytes a record beside
// the delta. Immutable once made; safe for concurrent use.
class PendingDelta {
 public:
  // kCorrupt: the delta is malformed.
  static Result<std::shared_ptr<const PendingDelta>> Make(
      std::shared_ptr<const Delta> delta);

  struct Found {
    bool erased = false;
    std::string_view value;  // points into the delta
  };
  // What the delta says of the key; nullopt: nothing.
  std::optional<Found> Find(std::string_view space, std::string_view key) const;

  // What it says of the keys that begin with `prefix`, by key, each once. All records are
  // looked at when the prefix is shorter than 17 bytes.
  struct Row {
    std::string_view key;
    Found found;
  };
  std::vector<Row> FindAll(std::string_view space, std::string_view prefix) const;

  // Whether it empties the space first: what stood in it before holds no more.
  bool Clears(std::string_view space) const;

 private:
  static constexpr uint32_t kErased = ~uint32_t{0};
  struct Entry {
    const char *key, *value;
    uint32_t key_bytes, value_bytes;  // kErased: an erasure
    uint32_t space;
    std::string_view Key() const { return {key, key_bytes}; }
  };
  struct Place {
    uint32_t tag = 0, entry = 0;  // entry: its number plus one; 0: free
  };

  // Keys are found by their first bytes: an operator's kind and hash.
  static constexpr size_t kPrefixBytes = 17;

  explicit PendingDelta(std::shared_ptr<const Delta> delta) : delta_(std::move(delta)) {}
  Status Index();
  static Found FoundIn(const Entry& entry);
  std::optional<uint32_t> SpaceOf(std::string_view space) const;
  size_t PlaceOf(uint64_t hash, uint32_t space, std::string_view key) const;

  const std::shared_ptr<const Delta> delta_;
  struct Space {
    std::string_view name;
    bool cleared = false;
    uint32_t first = 0;  // entries before it are cleared
  };
  std::vector<Space> spaces_;
  std::vector<Entry> entries_;
  std::vector<Place> places_;  // a power of two, at most two thirds taken
  struct Prefix {
    uint64_t hash;
    uint32_t entry;
  };
  std::vector<Prefix> prefixes_;  // of longer keys, by hash
};

}  // namespace weir::state
