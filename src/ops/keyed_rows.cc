#include "ops/keyed_rows.h"

#include <arrow/api.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>

#include "data/arrow.h"
#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

constexpr char kKeyRecord = 'k', kRowRecord = 'r';
constexpr size_t kKeysAtOnce = 4096, kPrefetchRows = 32;
constexpr uint32_t kPlacesMin = 4;
constexpr uint32_t kPackedRowsMax = 64;  // of a key, so that unpacking costs little

struct StoredTotals {
  int64_t weight, row_count;
  Hash128 row_hashes;
};
static_assert(sizeof(StoredTotals) == 32);

std::string RecordOf(char kind, char tag, Hash128 key) {
  std::string out{kind, tag};
  out.append(reinterpret_cast<const char*>(&key), sizeof key);
  return out;
}

std::string_view BytesOf(const Hash128& hash) {
  return {reinterpret_cast<const char*>(&hash), sizeof hash};
}

size_t RowBytes(uint32_t size) { return sizeof(KeptRow) + size; }

// Behind the hash of a packed row: the number of its bytes and these. A weight follows
// unless it is 1, then the bytes.
constexpr uint32_t kStored = 1, kHasWeight = 2;
constexpr int kFlagBits = 2;

}  // namespace

Result<std::unique_ptr<KeyedRows>> KeyedRows::Make(const data::Schema& schema,
                                                   bool with_rows, state::Store* store,
                                                   std::string space, char tag,
                                                   int64_t bytes_max) {
  StoredKeys stored =
      WEIR_TRY(StoredKeys::Make(store, space, {kKeyRecord, tag}, bytes_max));
  return std::unique_ptr<KeyedRows>(
      new KeyedRows(schema, with_rows, store, std::move(space), tag, std::move(stored)));
}

KeyedRows::KeyedRows(const data::Schema& schema, bool with_rows, state::Store* store,
                     std::string space, char tag, StoredKeys stored)
    : schema_(schema),
      with_rows_(with_rows),
      store_(store),
      space_(std::move(space)),
      tag_(tag),
      stored_(std::move(stored)),
      cold_(stored_.any()),
      all_columns_(schema.fields.size()),
      table_(sizeof(KeptKey)) {
  std::iota(all_columns_.begin(), all_columns_.end(), 0);
}

KeyedRows::~KeyedRows() {
  for (uint32_t i = 0; i < table_.index_end(); ++i) {
    if (Group* group = table_.At(i)) FreeRows(group);
  }
}

// ------------------------------------------------------------------------- rows of a key

KeptRow* KeyedRows::FindRow(Group* group, Hash128 hash) const {
  const KeptRowSet& set = KeyOf(group).rows;
  if (set.capacity == 0)
    return set.one != nullptr && set.one->hash == hash ? set.one : nullptr;
  const uint32_t mask = set.capacity - 1;
  for (auto at = static_cast<uint32_t>(hash.low) & mask; set.places[at].row != nullptr;
       at = (at + 1) & mask) {
    if (set.places[at].tag == hash.high && set.places[at].row->hash == hash)
      return set.places[at].row;
  }
  return nullptr;
}

KeptRow* KeyedRows::InsertRow(Group* group, Hash128 hash, std::string_view bytes) {
  char* block = pool_.Allocate(RowBytes(static_cast<uint32_t>(bytes.size())));
  auto* row =
      new (block) KeptRow{.hash = hash, .size = static_cast<uint32_t>(bytes.size())};
  std::memcpy(block + sizeof(KeptRow), bytes.data(), bytes.size());
  PutRow(KeyOf(group).rows, row);
  return row;
}

void KeyedRows::PutRow(KeptRowSet& set, KeptRow* row) {
  if (set.capacity == 0 && set.one == nullptr) {
    set.one = row;
    set.count = 1;
    return;
  }
  if ((set.count + 1) * 4 > set.capacity * 3)
    Resize(set, std::max(kPlacesMin, set.capacity * 2));
  const uint32_t mask = set.capacity - 1;
  auto at = static_cast<uint32_t>(row->hash.low) & mask;
  while (set.places[at].row != nullptr) at = (at + 1) & mask;
  set.places[at] = {row->hash.high, row};
  ++set.count;
}

void KeyedRows::Resize(KeptRowSet& set, uint32_t capacity) {
  const KeptRowSet old = set;
  set.places =
      static_cast<KeptRowSet::Place*>(std::calloc(capacity, sizeof(KeptRowSet::Place)));
  WEIR_CHECK(set.places != nullptr);
  set.capacity = capacity;
  set.count = 0;
  set_bytes_ += static_cast<int64_t>(capacity * sizeof(KeptRowSet::Place));
  if (old.capacity == 0) {
    if (old.one != nullptr) PutRow(set, old.one);
    return;
  }
  for (uint32_t i = 0; i < old.capacity; ++i) {
    if (old.places[i].row != nullptr) PutRow(set, old.places[i].row);
  }
  set_bytes_ -= static_cast<int64_t>(old.capacity * sizeof(KeptRowSet::Place));
  std::free(old.places);
}

void KeyedRows::RemoveRow(Group* group, KeptRow* row) {
  KeptRowSet& set = KeyOf(group).rows;
  --set.count;
  if (set.capacity == 0) {
    set.one = nullptr;
  } else {
    const uint32_t mask = set.capacity - 1;
    auto hole = static_cast<uint32_t>(row->hash.low) & mask;
    while (set.places[hole].row != row) hole = (hole + 1) & mask;
    // What was pushed past the hole moves back, so that no search ends early.
    for (uint32_t at = (hole + 1) & mask; set.places[at].row != nullptr;
         at = (at + 1) & mask) {
      const auto home = static_cast<uint32_t>(set.places[at].row->hash.low) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      set.places[hole] = set.places[at];
      hole = at;
    }
    set.places[hole] = {};
    if (set.capacity > kPlacesMin && set.count * 8 < set.capacity)
      Resize(set, set.capacity / 2);
  }
  FreeRow(row);
}

void KeyedRows::FreeRow(KeptRow* row) {
  pool_.Free(reinterpret_cast<char*>(row), RowBytes(row->size));
}

void KeyedRows::FreeRows(Group* group) {
  KeptRowSet& set = KeyOf(group).rows;
  if (std::exchange(KeyOf(group).packed, 0) != 0) {
    pool_.Drop(set.packed);
    set = {};
    return;
  }
  ForEachRow(group, [&](KeptRow& row) { FreeRow(&row); });
  if (set.capacity > 0) {
    set_bytes_ -= static_cast<int64_t>(set.capacity * sizeof(KeptRowSet::Place));
    std::free(set.places);
  }
  set = {};
}

// -------------------------------------------------------------------------------- change

void KeyedRows::Touch(Group* group) {
  group->touched_step = step_;
  KeyOf(group).before = group->rows;
  touched_keys_.push_back(group);
  if (!group->Is(Group::kDirty)) dirty_keys_.push_back(group);
  group->flags |= Group::kDirty;
}

Status KeyedRows::Add(const data::Batch& batch, std::span<const Hash128> keys,
                      std::span<const uint8_t> skip, std::vector<KeptRow*>* rows) {
  if (rows != nullptr) rows->assign(keys.size(), nullptr);
  std::vector<Hash128> hashes;
  std::vector<InputColumn> inputs;
  if (with_rows_) {
    hashes = WEIR_TRY(data::HashKeys(*batch.rows, all_columns_));
    for (const int column : all_columns_) {
      inputs.push_back(WEIR_TRY(InputColumn::Make(
          batch.rows->column(column), schema_.fields[static_cast<size_t>(column)].type)));
    }
  }
  if (cold_) {
    WEIR_TRY(LoadTotals(keys));
    if (with_rows_) WEIR_TRY(LoadRowsOf(keys, hashes));
  }
  const auto skipped = [&](size_t row) { return !skip.empty() && skip[row] != 0; };
  groups_.resize(std::max(groups_.size(), kPrefetchRows));
  for (size_t begin = 0; begin < keys.size(); begin += kPrefetchRows) {
    const size_t end = std::min(begin + kPrefetchRows, keys.size());
    for (size_t i = begin; i < end; ++i) table_.PrefetchPlace(keys[i]);
    for (size_t i = begin; i < end; ++i) table_.PrefetchGroup(keys[i]);
    for (size_t i = begin; i < end; ++i) {
      if (skipped(i)) continue;
      Group* group = Find(keys[i]);
      if (group == nullptr) {
        group = table_.Insert(keys[i]);
        KeyOf(group).complete = 1;
      }
      groups_[i - begin] = group;
      __builtin_prefetch(KeyOf(group).rows.one);
    }
    for (size_t i = begin; i < end; ++i) {
      if (skipped(i)) continue;
      Group* group = groups_[i - begin];
      const int64_t weight = batch.weight(static_cast<int64_t>(i));
      took_back_ |= weight < 0;
      if (group->touched_step != step_) Touch(group);
      group->rows += weight;
      if (!with_rows_) continue;
      KeptRow* row = FindRow(group, hashes[i]);
      if (row == nullptr) {
        scratch_.clear();
        AppendRow(inputs, i, &scratch_);
        row = InsertRow(group, hashes[i], scratch_);
      }
      ChangeRow(group, row, weight);
      if (rows != nullptr) (*rows)[i] = row;
    }
  }
  return {};
}

void KeyedRows::Change(Group* group, KeptRow* row, int64_t weight) {
  if (weight == 0) return;
  if (group->touched_step != step_) Touch(group);
  group->rows += weight;
  ChangeRow(group, row, weight);
}

void KeyedRows::ChangeRow(Group* group, KeptRow* row, int64_t weight) {
  if (row->step != step_) {
    row->step = step_;
    row->before = row->weight;
    touched_rows_.push_back({group, row});
  }
  if (!row->dirty) dirty_rows_.push_back({group, row});
  row->dirty = true;
  const bool was_there = row->weight != 0;
  row->weight += weight;
  if (was_there == (row->weight != 0)) return;
  KeptKey& key = KeyOf(group);
  key.row_count += was_there ? -1 : 1;
  key.row_hashes.low ^= row->hash.low;
  key.row_hashes.high ^= row->hash.high;
}

Status KeyedRows::CheckStep() const {
  if (!took_back_) return {};
  for (const auto& [group, row] : touched_rows_) {
    if (row->weight >= 0) continue;
    KeptRowReader reader(schema_);
    WEIR_TRY(reader.Append(*row));
    const auto batch = WEIR_TRY(reader.Finish());
    return Internal("a row was taken back that is not there: " +
                    data::RowText(*batch, 0));
  }
  for (Group* group : touched_keys_) {
    if (group->rows < 0)
      return Internal("more rows of a key were taken back than there are");
  }
  return {};
}

void KeyedRows::EndStep() {
  touched_keys_.clear();
  touched_rows_.clear();
  took_back_ = false;
  ++step_;
}

// --------------------------------------------------------------------------------- store

std::string KeyedRows::KeyRecord(Hash128 key) const {
  return RecordOf(kKeyRecord, tag_, key);
}
std::string KeyedRows::RowRecord(Hash128 key) const {
  return RecordOf(kRowRecord, tag_, key);
}

Status KeyedRows::Load(std::span<const Hash128> keys, Depth depth) {
  if (!cold_) return {};
  WEIR_TRY(LoadTotals(keys));
  return depth == Depth::kRows && with_rows_ ? LoadRows(keys) : Status();
}

Status KeyedRows::ForEachStoredKey(const std::function<void(Hash128)>& visit) const {
  if (store_ == nullptr) return {};
  const std::string prefix = KeyRecord({}).substr(0, 2);
  bool malformed = false;
  WEIR_TRY(store_->Scan(space_, prefix, [&](std::string_view name, std::string_view) {
    malformed |= name.size() != prefix.size() + sizeof(Hash128);
    if (!malformed) visit(ReadAs<Hash128>(name.data() + prefix.size()));
    return !malformed;
  }));
  return malformed ? Status(Corrupt("the name of a stored key is malformed")) : Status();
}

Status KeyedRows::LoadTotals(std::span<const Hash128> keys) {
  std::vector<Hash128> missing;
  for (const Hash128& key : keys) {
    if (table_.Find(key) == nullptr && stored_.MayHave(key)) missing.push_back(key);
  }
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  size_t in_vain = 0;
  for (size_t from = 0; from < missing.size(); from += kKeysAtOnce) {
    const auto block =
        std::span(missing).subspan(from, std::min(kKeysAtOnce, missing.size() - from));
    std::vector<std::string> names;
    for (const Hash128& key : block) names.push_back(KeyRecord(key));
    const std::vector<std::string_view> views(names.begin(), names.end());
    const auto values = WEIR_TRY(store_->GetMany(space_, views));
    for (size_t i = 0; i < block.size(); ++i) {
      in_vain += values[i].has_value() ? 0 : 1;
      if (!values[i].has_value()) continue;
      if (values[i]->size() != sizeof(StoredTotals))
        return Corrupt("the stored totals of a key are malformed");
      const auto totals = ReadAs<StoredTotals>(values[i]->data());
      Group* group = table_.Insert(block[i]);
      group->rows = totals.weight;
      group->flags = Group::kEmitted;
      KeyOf(group).row_count = totals.row_count;
      KeyOf(group).row_hashes = totals.row_hashes;
    }
  }
  return stored_.LookedInVain(in_vain);
}

// The rows that are about to be changed.
Status KeyedRows::LoadRowsOf(std::span<const Hash128> keys,
                             std::span<const Hash128> rows) {
  std::vector<NamedRow> missing;
  for (size_t i = 0; i < keys.size(); ++i) {
    Group* group = Find(keys[i]);
    if (group == nullptr || KeyOf(group).complete != 0) continue;
    if (FindRow(group, rows[i]) == nullptr) missing.emplace_back(group, rows[i]);
  }
  return LoadNamedRows(std::move(missing));
}

Status KeyedRows::LoadNamedRows(std::vector<NamedRow> rows) {
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  for (size_t from = 0; from < rows.size(); from += kKeysAtOnce) {
    const auto block =
        std::span(rows).subspan(from, std::min(kKeysAtOnce, rows.size() - from));
    std::vector<std::string> names;
    for (const auto& [group, hash] : block)
      names.push_back(RowRecord(group->hash).append(BytesOf(hash)));
    const std::vector<std::string_view> views(names.begin(), names.end());
    const auto values = WEIR_TRY(store_->GetMany(space_, views));
    for (size_t i = 0; i < block.size(); ++i) {
      if (!values[i].has_value()) continue;
      if (values[i]->size() < sizeof(int64_t))
        return Corrupt("a stored row of a key is malformed");
      Restore(block[i].first, block[i].second, *values[i]);
    }
  }
  return {};
}

Status KeyedRows::LoadRows(std::span<const Hash128> keys) {
  std::vector<NamedRow> only_ones;
  for (const Hash128& hash : keys) {
    Group* group = Find(hash);
    if (group == nullptr || KeyOf(group).complete != 0) continue;
    KeptKey& key = KeyOf(group);
    key.complete = 1;
    if (key.row_count == 1) {
      if (FindRow(group, key.row_hashes) == nullptr)
        only_ones.emplace_back(group, key.row_hashes);
    } else if (key.row_count > 1) {
      WEIR_TRY(ScanRows(group, [](const KeptRow&) { return false; }));
    }
  }
  WEIR_TRY(LoadNamedRows(only_ones));
  for (const auto& [group, hash] : only_ones) {
    if (FindRow(group, hash) == nullptr)
      return Corrupt("a stored key has a row that is not stored");
  }
  return {};
}

Result<const KeptRow*> KeyedRows::AnyKept(Hash128 key) {
  if (cold_) WEIR_TRY(LoadTotals(std::span(&key, 1)));
  Group* group = Find(key);
  const KeptRow* out = nullptr;
  if (group == nullptr) return out;
  const auto is_kept = [&](const KeptRow& row) {
    if (Before(row) > 0 && row.weight > 0) out = &row;
    return out != nullptr;
  };
  const KeptRowSet& set = KeyOf(group).rows;
  if (set.capacity == 0 && set.one != nullptr) is_kept(*set.one);
  for (uint32_t i = 0; i < set.capacity && out == nullptr; ++i) {
    if (set.places[i].row != nullptr) is_kept(*set.places[i].row);
  }
  if (out == nullptr && KeyOf(group).complete == 0) WEIR_TRY(ScanRows(group, is_kept));
  return out;
}

Status KeyedRows::ScanRows(Group* group,
                           const std::function<bool(const KeptRow&)>& enough) {
  const std::string prefix = RowRecord(group->hash);
  bool malformed = false;
  WEIR_TRY(
      store_->Scan(space_, prefix, [&](std::string_view name, std::string_view record) {
        malformed |= name.size() != prefix.size() + sizeof(Hash128) ||
                     record.size() < sizeof(int64_t);
        if (malformed) return false;
        // What is in memory is newer.
        const auto hash = ReadAs<Hash128>(name.data() + prefix.size());
        return FindRow(group, hash) != nullptr || !enough(*Restore(group, hash, record));
      }));
  return malformed ? Status(Corrupt("a stored row of a key is malformed")) : Status();
}

KeptRow* KeyedRows::Restore(Group* group, Hash128 hash, std::string_view record) {
  KeptRow* row = InsertRow(group, hash, record.substr(sizeof(int64_t)));
  row->weight = ReadAs<int64_t>(record.data());
  row->stored = true;
  return row;
}

Status KeyedRows::Checkpoint(state::Delta& delta) {
  if (!touched_keys_.empty()) return Internal("a checkpoint in the middle of a step");
  for (const auto& [group, row] : dirty_rows_) {
    row->dirty = false;
    const std::string name = RowRecord(group->hash).append(BytesOf(row->hash));
    if (row->weight != 0) {
      scratch_.assign(reinterpret_cast<const char*>(&row->weight), sizeof row->weight);
      scratch_.append(row->bytes());
      delta.Put(space_, name, scratch_);
      row->stored = true;
      continue;
    }
    if (row->stored) delta.Erase(space_, name);
    row->stored = false;
    if (!row->gone) gone_rows_.push_back({group, row});
    row->gone = true;
  }
  dirty_rows_.clear();
  for (Group* group : recent_) group->flags &= ~Group::kRecent;
  for (Group* group : dirty_keys_) {
    const bool stored = group->Is(Group::kEmitted);
    if (IsEmpty(group)) {
      if (stored) delta.Erase(space_, KeyRecord(group->hash));
      group->flags = 0;
      gone_keys_.push_back(group);
      continue;
    }
    group->flags = Group::kEmitted | Group::kRecent;
    const KeptKey& key = KeyOf(group);
    const StoredTotals totals{group->rows, key.row_count, key.row_hashes};
    delta.Put(space_, KeyRecord(group->hash),
              {reinterpret_cast<const char*>(&totals), sizeof totals});
  }
  recent_ = std::exchange(dirty_keys_, {});
  return {};
}

void KeyedRows::RemoveGone() {
  for (const auto& [group, row] : gone_rows_) {
    row->gone = false;
    if (row->weight == 0 && !row->dirty) RemoveRow(group, row);
  }
  gone_rows_.clear();
  std::sort(gone_keys_.begin(), gone_keys_.end());
  gone_keys_.erase(std::unique(gone_keys_.begin(), gone_keys_.end()), gone_keys_.end());
  for (Group* group : gone_keys_) {
    if (group->Is(Group::kDirty) || !IsEmpty(group)) continue;
    FreeRows(group);
    table_.Remove(group);
  }
  gone_keys_.clear();
}

// Of a group whose rows are not dirty.
void KeyedRows::Pack(Group* group) {
  const auto append = [&](const auto& value) {
    scratch_.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  scratch_.clear();
  ForEachRow(group, [&](const KeptRow& row) {
    append(row.hash);
    append(row.size << kFlagBits | (row.stored ? kStored : 0) |
           (row.weight != 1 ? kHasWeight : 0));
    if (row.weight != 1) append(row.weight);
    scratch_.append(row.bytes());
  });
  FreeRows(group);
  KeyOf(group).rows.packed = pool_.Keep(scratch_);
  KeyOf(group).packed = 1;
}

void KeyedRows::Unpack(Group* group) {
  char* packed = std::exchange(KeyOf(group).rows, {}).packed;
  KeyOf(group).packed = 0;
  const char* at = BytePool::Kept(packed).data();
  const char* const end = at + BytePool::Kept(packed).size();
  const auto take = [&]<class T>(T* value) {
    *value = ReadAs<T>(at);
    at += sizeof *value;
  };
  while (at < end) {
    Hash128 hash;
    uint32_t head = 0;
    int64_t weight = 1;
    take(&hash);
    take(&head);
    if ((head & kHasWeight) != 0) take(&weight);
    KeptRow* row = InsertRow(group, hash, {at, head >> kFlagBits});
    row->weight = weight;
    row->stored = (head & kStored) != 0;
    at += row->size;
  }
  pool_.Drop(packed);
}

void KeyedRows::DropCleanRows(Group* group) {
  std::vector<KeptRow*> clean;
  ForEachRow(group, [&](KeptRow& row) {
    if (!row.dirty) clean.push_back(&row);
  });
  if (clean.empty()) return;
  for (KeptRow* row : clean) RemoveRow(group, row);
  KeyOf(group).complete = 0;
}

void KeyedRows::Committed(int64_t bytes_max) {
  RemoveGone();
  if (store_ == nullptr || bytes() <= bytes_max) return;
  const int64_t enough = bytes_max - bytes_max / 5;
  const auto sweep = [&](auto&& drop) {
    for (uint32_t seen = 0; seen < table_.index_end() && bytes() > enough; ++seen) {
      hand_ = hand_ + 1 < table_.index_end() ? hand_ + 1 : 0;
      if (Group* group = table_.At(hand_)) drop(group);
    }
  };
  // Keys of the newest checkpoint last: what stays need not be read while their delta is
  // on its way into the store.
  const uint32_t kept_first[] = {Group::kDirty | Group::kRecent, Group::kDirty};
  for (const uint32_t kept : kept_first) {
    sweep([&](Group* group) {
      const KeptKey& key = KeyOf(group);
      if ((group->flags & kept) == 0 && key.packed == 0 && key.rows.count > 0 &&
          key.rows.count <= kPackedRowsMax)
        Pack(group);
    });
  }
  if (bytes() <= bytes_max - bytes_max / 10) return;
  for (const uint32_t kept : kept_first) {
    sweep([&](Group* group) {
      if ((group->flags & kept) != 0) return;
      stored_.LetGo(group->hash);
      FreeRows(group);
      table_.Remove(group);
    });
  }
  sweep([&](Group* group) { DropCleanRows(group); });
  cold_ = true;
}

// -------------------------------------------------------------------------------- reader

KeptRowReader::KeptRowReader(const data::Schema& schema)
    : schema_(schema), arrow_(data::ToArrow(schema)) {
  for (const data::Field& field : schema.fields) columns_.emplace_back(field.type);
}

Status KeptRowReader::Append(const KeptRow& row) {
  ++rows_;
  return DecodeRow(row.bytes(), columns_);
}

Result<std::shared_ptr<arrow::RecordBatch>> KeptRowReader::Finish() {
  const auto rows = static_cast<int64_t>(std::exchange(rows_, 0));
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (CellColumn& column : columns_) arrays.push_back(WEIR_TRY(column.Finish()));
  return arrow::RecordBatch::Make(arrow_, rows, std::move(arrays));
}

}  // namespace weir::ops
