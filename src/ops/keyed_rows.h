// The rows of one input, as a multiset per key: each row once, with the number of times
// it is there. What joins and recomputations remember. Kept in the store one record a row
// (docs/formats/state.md), so no value grows with the rows of a key.
//
// A key is known in three depths: not at all (nothing of it is in memory), its totals and
// some of its rows, or all its rows. Changing a row needs the totals and that row alone.
//
// When memory is short, keys of few rows are packed until they are asked for again. Only
// when it is short all the same keys are let go.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/type.h"
#include "ops/byte_pool.h"
#include "ops/cells.h"
#include "ops/group_table.h"
#include "ops/stored_keys.h"
#include "state/state.h"

namespace weir::ops {

// A row of a key. Its bytes (AppendRow) follow it.
struct KeptRow {
  Hash128 hash;         // of all its columns
  int64_t weight = 0;   // how often it is there
  int64_t before = 0;   // weight when step `step` began
  uint32_t step = 0;    // the last step that touched it
  uint32_t size = 0;    // of its bytes
  bool dirty = false;   // changed since the last checkpoint
  bool stored = false;  // the store has it, once the last checkpoint is committed
  bool gone = false;    // without weight at a checkpoint that is not committed yet

  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(this + 1), size};
  }
};

// Rows by their hash: one in place, more in an open-addressed table.
struct KeptRowSet {
  struct Place {
    uint64_t tag;  // the high half of the hash
    KeptRow* row;  // nullptr: free
  };
  union {
    KeptRow* one = nullptr;  // while capacity is 0
    Place* places;
    char* packed;  // of BytePool::Keep: the rows one by one
  };
  uint32_t count = 0, capacity = 0;  // 0 of what is packed
};

// What a key's group has in its slots; Group::rows are the weights of its rows added up.
struct KeptKey {
  KeptRowSet rows;
  int64_t row_count = 0;  // different rows with a weight, in memory or not
  Hash128 row_hashes;     // of those, combined by xor: with one row its hash
  int64_t before = 0;     // Group::rows when the step began that touched the group last
  uint32_t complete = 0;  // all rows are in memory
  uint32_t packed = 0;    // rows are
};
static_assert(sizeof(Group) % 8 == 0 && alignof(KeptKey) == 8);

inline KeptKey& KeyOf(Group* group) {
  return *reinterpret_cast<KeptKey*>(group->slots());
}

class KeyedRows {
 public:
  struct Touched {
    Group* group;
    KeptRow* row;
  };

  // `tag` tells the collections of one space apart. Without rows only the totals of each
  // key are kept. `bytes_max` is what Committed will be given, or so. An error is the
  // store's.
  static Result<std::unique_ptr<KeyedRows>> Make(const data::Schema& schema,
                                                 bool with_rows, state::Store* store,
                                                 std::string space, char tag,
                                                 int64_t bytes_max);
  ~KeyedRows();
  KeyedRows(const KeyedRows&) = delete;
  KeyedRows& operator=(const KeyedRows&) = delete;

  // Adds the rows of the batch, each to the key of its hash; rows whose `skip` is set are
  // passed over (empty: none). Weights may be anything but 0. `rows` gets where each row
  // is kept.
  Status Add(const data::Batch& batch, std::span<const Hash128> keys,
             std::span<const uint8_t> skip, std::vector<KeptRow*>* rows = nullptr);

  // Adds `weight` to a row that is in memory.
  void Change(Group* group, KeptRow* row, int64_t weight);

  enum class Depth : uint8_t { kTotals, kRows };
  // Brings these keys into memory as far as they are stored.
  Status Load(std::span<const Hash128> keys, Depth depth);

  // One of the rows that were there when the step began and are there now; nullptr: there
  // is none. Reads no more of the key than that takes.
  Result<const KeptRow*> AnyKept(Hash128 key);

  // Visits the keys that have rows in the store, as the last commit left it.
  Status ForEachStoredKey(const std::function<void(Hash128)>& visit) const;

  // Nullptr: the key has no rows, if it was loaded or added to.
  Group* Find(Hash128 key) {
    Group* group = table_.Find(key);
    if (group != nullptr && KeyOf(group).packed != 0) Unpack(group);
    return group;
  }
  void Prefetch(Hash128 key) const { table_.PrefetchPlace(key); }
  void PrefetchGroup(Hash128 key) const { table_.PrefetchGroup(key); }

  // The rows of a group that is loaded with rows, those included that have no weight (any
  // more).
  template <class Visit>
  static void ForEachRow(Group* group, Visit&& visit) {
    const KeptRowSet& set = KeyOf(group).rows;
    if (set.capacity == 0) {
      if (set.one != nullptr) visit(*set.one);
      return;
    }
    for (uint32_t i = 0; i < set.capacity; ++i) {
      if (set.places[i].row != nullptr) visit(*set.places[i].row);
    }
  }

  // What the step touched, each once, in order of the first touch.
  std::span<Group* const> touched_keys() const { return touched_keys_; }
  std::span<const Touched> touched_rows() const { return touched_rows_; }
  // Of a group or row now and when the step began.
  int64_t Before(Group* group) const {
    return group->touched_step == step_ ? KeyOf(group).before : group->rows;
  }
  int64_t Before(const KeptRow& row) const {
    return row.step == step_ ? row.before : row.weight;
  }

  // kInternal: a row was taken back that is not there.
  Status CheckStep() const;
  void EndStep();

  Status Checkpoint(state::Delta& delta);
  // What was not touched since the last checkpoint may go, until no more than `bytes_max`
  // are in memory.
  void Committed(int64_t bytes_max);

  int64_t bytes() const {
    return table_.bytes() + pool_.bytes() + set_bytes_ + stored_.bytes();
  }
  int64_t keys() const { return table_.count(); }
  const data::Schema& schema() const { return schema_; }

 private:
  KeyedRows(const data::Schema& schema, bool with_rows, state::Store* store,
            std::string space, char tag, StoredKeys stored);

  Status LoadTotals(std::span<const Hash128> keys);
  Status LoadRows(std::span<const Hash128> keys);
  using NamedRow = std::pair<Group*, Hash128>;
  // Of rows that are not in memory; those that are not stored stay away.
  Status LoadNamedRows(std::vector<NamedRow> rows);
  Status LoadRowsOf(std::span<const Hash128> keys, std::span<const Hash128> rows);
  // Brings stored rows into memory until `enough` of one is true.
  Status ScanRows(Group* group, const std::function<bool(const KeptRow&)>& enough);
  KeptRow* Restore(Group* group, Hash128 hash, std::string_view record);

  void Touch(Group* group);
  // Of a group that is touched and whose total is changed.
  void ChangeRow(Group* group, KeptRow* row, int64_t weight);
  KeptRow* FindRow(Group* group, Hash128 hash) const;
  KeptRow* InsertRow(Group* group, Hash128 hash, std::string_view bytes);
  void PutRow(KeptRowSet& set, KeptRow* row);
  void Resize(KeptRowSet& set, uint32_t capacity);
  void RemoveRow(Group* group, KeptRow* row);
  void FreeRow(KeptRow* row);
  void FreeRows(Group* group);
  bool IsEmpty(Group* group) const {
    return group->rows == 0 && KeyOf(group).row_count == 0;
  }
  void Pack(Group* group);
  void Unpack(Group* group);
  void DropCleanRows(Group* group);
  void RemoveGone();

  std::string KeyRecord(Hash128 key) const;
  std::string RowRecord(Hash128 key) const;  // prefix of its rows'

  const data::Schema schema_;
  const bool with_rows_;
  state::Store* const store_;
  const std::string space_;
  const char tag_;
  StoredKeys stored_;  // beside those in memory
  bool cold_;          // what the store has of keys or rows may not be in memory
  std::vector<int> all_columns_;

  GroupTable table_;
  BytePool pool_;
  int64_t set_bytes_ = 0;
  uint32_t step_ = 1;
  std::vector<Group*> touched_keys_, dirty_keys_, gone_keys_;
  std::vector<Touched> touched_rows_, dirty_rows_, gone_rows_;
  std::vector<Group*> recent_;  // written by the last checkpoint; some may be others now
  bool took_back_ = false;      // the step did
  std::vector<Group*> groups_;  // of the rows of a batch
  std::string scratch_;
  uint32_t hand_ = 0;  // where the last packing or eviction stopped
};

// Rows that are kept, turned into batches of a schema.
class KeptRowReader {
 public:
  explicit KeptRowReader(const data::Schema& schema);
  Status Append(const KeptRow& row);
  size_t rows() const { return rows_; }
  // The rows appended since the last call.
  Result<std::shared_ptr<arrow::RecordBatch>> Finish();

 private:
  const data::Schema schema_;
  const std::shared_ptr<arrow::Schema> arrow_;
  std::vector<CellColumn> columns_;
  size_t rows_ = 0;
};

}  // namespace weir::ops
