// Where the live rows of a keyed table are: key hash -> positions in files. Byte table:
// docs/formats/key_index.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/memory.h"
#include "base/result.h"
#include "data/type.h"
#include "state/state.h"

namespace weir::publish {

struct Location {
  uint32_t file = 0, position = 0;
  friend auto operator<=>(const Location&, const Location&) = default;
};

// Stands for the file of a row that is not written yet; its position is the row's number
// in the batch.
inline constexpr uint32_t kPendingFile = 0xFFFFFFFC;

// Open addressing with linear probing: one row of a key costs 24 bytes, at a load of at
// most 3/4. Keys are hashes already.
class LocationMap {
 public:
  // The locations of a key; empty: none (an erased key is one that was Set to none).
  // Valid until the next change.
  std::span<const Location> Find(const Hash128& key) const;
  bool Contains(const Hash128& key) const { return SlotOf(key) != nullptr; }
  void Set(const Hash128& key, std::span<const Location> locations);
  // Room for so many keys. Before another map's keys come in slot order: they would pile
  // up in a table that grows meanwhile.
  void Reserve(size_t keys);
  void Clear();
  int64_t bytes() const;
  size_t size() const { return used_; }

  template <class F>
  void ForEach(F&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.at.file != kEmpty) visit(slot.key, LocationsOf(slot));
    }
  }

 private:
  static constexpr uint32_t kEmpty = 0xFFFFFFFF, kMany = 0xFFFFFFFE, kNone = 0xFFFFFFFD;
  struct Slot {
    Hash128 key;
    Location at{kEmpty, 0};
  };
  const Slot* SlotOf(const Hash128& key) const;
  std::span<const Location> LocationsOf(const Slot& slot) const;
  void Resize(size_t slots);

  std::vector<Slot> slots_;
  size_t used_ = 0;
  std::unordered_map<Hash128, std::vector<Location>, Hash128Hasher>
      many_;  // equal rows of a table without a key
};

// The committed index, in memory while it fits and in the store behind, with the changes
// of the epoch being finished on top.
class KeyIndex {
 public:
  KeyIndex(state::Store* store, std::string space, int64_t bytes_max,
           MemoryBudget* memory);

  // Reads it into memory if that many rows fit there.
  Status Load(int64_t rows);

  // Brings these keys into memory; At answers for them until the next Apply.
  Status Fetch(std::span<const Hash128> keys);
  std::span<const Location> At(const Hash128& key) const;

  // Staged until Apply or Discard.
  void Set(const Hash128& key, std::span<const Location> locations) {
    staged_.Set(key, locations);
  }
  void WriteTo(state::Delta* delta) const;
  void Apply();
  void Discard() { staged_.Clear(); }

 private:
  state::Store* const store_;
  const std::string space_;
  const int64_t bytes_max_;
  LocationMap memory_, staged_;
  bool complete_ =
      true;  // memory_ holds every key; else what is missing may be in the store
  MemoryBudget* budget_ = nullptr;
  MemoryClaim claim_;
};

// Keys and values as they stand in the store.
std::string_view IndexKey(const Hash128& key);  // views the hash itself
std::string IndexValue(std::span<const Location> locations);
Result<std::vector<Location>> ParseIndexValue(std::string_view value);

std::string IndexSpace(std::string_view table);
std::string FilesSpace(std::string_view table);

// A file of the index: kept so that numbers mean something, and to see whether the index
// is of the table's current snapshot.
struct IndexedFile {
  int64_t rows = 0, deleted = 0;
  std::string path;  // PathInTable's
};
// The path of a file as seen from the table's location ("data/x.parquet"), so that the
// index survives a move of the table. A file elsewhere keeps its whole path.
std::string PathInTable(std::string_view location, std::string_view path);
// The record that says which columns were hashed, beside those of the files.
inline constexpr std::string_view kColumnsKey = "columns";
std::string HashedColumns(const data::Schema& schema, std::span<const int> columns);

std::string FileKey(uint32_t file);
std::string FileValue(const IndexedFile& file);
Result<uint32_t> ParseFileKey(std::string_view key);
Result<IndexedFile> ParseFileValue(std::string_view value);

}  // namespace weir::publish
