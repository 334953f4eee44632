#include <arrow/api.h>

#include <algorithm>
#include <numeric>

#include "data/arrow.h"
#include "ops/aggregate.h"
#include "ops/order_keys.h"
#include "ops/sorted_sequence.h"
#include "ops/stored_groups.h"

// Rows of a key are entries of an ordered set: order key, row, uint32 bytes of the order
// key. Rows that are equal in their whole order are told apart by their bytes, so that
// arrival does not decide.
namespace weir::ops {
namespace {

constexpr std::string_view kStoredMark = "1";

// Entries of the first n rows in order, with how often they count.
using Chosen = std::vector<std::pair<std::string, int64_t>>;

// The changes from the first rows of keys before a step to those behind it.
class Differences {
 public:
  explicit Differences(const data::Schema& schema) : arrow_(data::ToArrow(schema)) {
    for (const data::Field& field : schema.fields) columns_.emplace_back(field.type);
  }

  Status Append(const Chosen& before, const Chosen& after) {
    auto b = before.begin();
    auto a = after.begin();
    while (b != before.end() || a != after.end()) {
      const bool from_before =
          a == after.end() || (b != before.end() && b->first <= a->first);
      const bool from_after =
          b == before.end() || (a != after.end() && a->first <= b->first);
      const std::string& entry = from_before ? b->first : a->first;
      const int64_t weight = (from_after ? a->second : 0) - (from_before ? b->second : 0);
      if (weight != 0) {
        WEIR_TRY(DecodeRow(RowOfEntry(entry), columns_));
        weights_.push_back(static_cast<int32_t>(weight));
      }
      a += from_after;
      b += from_before;
    }
    return {};
  }

  Status Emit(Emitter& out) {
    if (weights_.empty()) return {};
    data::Batch batch{WEIR_TRY(FinishRows(arrow_, columns_)),
                      std::exchange(weights_, {})};
    return out.Emit(std::move(batch));
  }

 private:
  const std::shared_ptr<arrow::Schema> arrow_;
  std::vector<CellColumn> columns_;
  std::vector<int32_t> weights_;
};

// Of an input that takes rows back: keeps all of them, and looks at the first n and at
// the surroundings of those that change.
class TopOfChanging final : public Operator {
 public:
  TopOfChanging(TopSpec spec, const data::Schema& input, std::unique_ptr<SortedRows> rows,
                int64_t memory_bytes_max)
      : spec_(std::move(spec)),
        input_(input),
        memory_bytes_max_(memory_bytes_max),
        order_{spec_.order, spec_.descending, true, true},
        all_columns_(input.fields.size()),
        rows_(std::move(rows)),
        differences_(input) {
    std::iota(all_columns_.begin(), all_columns_.end(), 0);
  }

  Status Process(int, data::Batch changes, Emitter&) override {
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    WEIR_TRY(columns_.Load(changes.rows, input_, all_columns_));
    WEIR_TRY(order_keys_.Load(order_, columns_));
    std::vector<InputColumn> inputs;
    for (const int column : all_columns_) inputs.push_back(columns_.Column(column));
    const std::vector<Hash128> keys = WEIR_TRY(data::HashKeys(*changes.rows, spec_.keys));
    std::vector<std::string> entries(keys.size());
    for (size_t row = 0; row < keys.size(); ++row)
      AppendSortedRow(order_keys_, inputs, row, &entries[row]);
    WEIR_TRY(rows_->Load(keys, 0, entries));
    for (size_t row = 0; row < keys.size(); ++row) {
      rows_->Add(rows_->FindOrInsert(keys[row]), 0, entries[row],
                 changes.weight(static_cast<int64_t>(row)));
    }
    return {};
  }

  Status Flush(Emitter& out) override {
    for (const SortedRows::Touched& touched : WEIR_TRY(rows_->EndOfStep())) {
      WEIR_TRY(differences_.Append(FirstRows(touched.group, touched.changes[0]),
                                   FirstRows(touched.group, {})));
    }
    WEIR_TRY(rows_->BeginStep());
    return differences_.Emit(out);
  }

  Status Checkpoint(state::Delta& delta) override { return rows_->Checkpoint(delta); }
  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override { rows_->Committed(memory_bytes_max_); }
  int64_t state_bytes() const override { return rows_->bytes(); }
  int64_t state_keys() const override { return rows_->keys(); }

 private:
  Chosen FirstRows(Group* group, std::span<const SortedRows::Change> changes) {
    Chosen out;
    int64_t left = spec_.n;
    for (Sequence rows(rows_->From(group, 0, ""), changes, ""); left > 0 && !rows.AtEnd();
         rows.Next()) {
      out.emplace_back(rows.entry(), std::min(left, rows.weight()));
      left -= out.back().second;
    }
    return out;
  }

  const TopSpec spec_;
  const data::Schema input_;
  int64_t memory_bytes_max_;
  const OrderSpec order_;
  std::vector<int> all_columns_;
  const std::unique_ptr<SortedRows> rows_;
  Differences differences_;
  BatchColumns columns_;
  OrderKeys order_keys_;
};

// Of an input that only appends: keeps only the rows that are among the first n.
class TopOfAppended final : public Operator {
 public:
  TopOfAppended(TopSpec spec, const data::Schema& input, state::Store* store,
                std::string space, int64_t memory_bytes_max, StoredKeys stored)
      : spec_(std::move(spec)),
        input_(input),
        store_(store),
        space_(std::move(space)),
        memory_bytes_max_(memory_bytes_max),
        stored_(std::move(stored)),
        order_{spec_.order, spec_.descending, true, true},
        all_columns_(input.fields.size()),
        differences_(input),
        table_(sizeof(SortedCounts*)) {
    std::iota(all_columns_.begin(), all_columns_.end(), 0);
  }

  ~TopOfAppended() override {
    for (uint32_t i = 0; i < table_.index_end(); ++i) {
      if (Group* group = table_.At(i)) delete RowsOf(group);
    }
  }

  Status Process(int, data::Batch changes, Emitter&) override {
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    WEIR_TRY(columns_.Load(changes.rows, input_, all_columns_));
    WEIR_TRY(keys_.Load(order_, columns_));
    inputs_.clear();
    for (const int column : all_columns_) inputs_.push_back(columns_.Column(column));
    const std::vector<Hash128> hashes =
        WEIR_TRY(data::HashKeys(*changes.rows, spec_.keys));
    if (stored_.any()) WEIR_TRY(Restore(hashes));
    for (size_t row = 0; row < hashes.size(); ++row) {
      Group* group = table_.Find(hashes[row]);
      if (group == nullptr) {
        group = table_.Insert(hashes[row]);
        RowsOf(group) = new SortedCounts;
      }
      const int32_t weight = changes.weight(static_cast<int64_t>(row));
      if (weight < 0) return Internal("an append-only input takes a row back");
      AddRow(group, row, weight);
    }
    return {};
  }

  Status Flush(Emitter& out) override {
    for (const Touched& touched : touched_)
      WEIR_TRY(differences_.Append(touched.before, ChosenOf(touched.group)));
    touched_.clear();
    ++step_;
    return differences_.Emit(out);
  }

  Status Checkpoint(state::Delta& delta) override {
    if (!touched_.empty()) return Internal("a checkpoint in the middle of a step");
    for (const auto& [group, entry] : dirty_entries_) {
      const std::string key = RangePrefixOf(group->hash) + entry;
      SortedCounts::Entry* kept = RowsOf(group)->Find(entry);
      if (kept == nullptr) {
        delta.Erase(space_, key);
        continue;
      }
      kept->dirty = false;
      delta.Put(space_, key,
                {reinterpret_cast<const char*>(&kept->weight), sizeof kept->weight});
    }
    dirty_entries_.clear();
    for (Group* group : dirty_) {
      group->flags = 0;
      const std::string key = GroupKeyOf(group->hash);
      if (!RowsOf(group)->empty()) {
        delta.Put(space_, key, kStoredMark);
      } else {
        delta.Erase(space_, key);
        gone_.push_back(group);
      }
    }
    dirty_.clear();
    return {};
  }

  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override { Evict(); }

  int64_t state_bytes() const override { return table_.bytes() + rows_bytes_; }
  int64_t state_keys() const override { return table_.count(); }

 private:
  struct Touched {
    Group* group;
    Chosen before;
  };

  static SortedCounts*& RowsOf(Group* group) {
    return *reinterpret_cast<SortedCounts**>(group->slots());
  }

  Chosen ChosenOf(Group* group) const {
    Chosen out;
    int64_t left = spec_.n;
    RowsOf(group)->ForEach([&](const SortedCounts::Entry& entry) {
      const int64_t count = std::min(left, entry.weight);
      if (count > 0) out.emplace_back(entry.key(), count);
      left -= std::max<int64_t>(count, 0);
      return left > 0;
    });
    return out;
  }

  void AddRow(Group* group, size_t row, int32_t weight) {
    entry_.clear();
    AppendSortedRow(keys_, inputs_, row, &entry_);

    SortedCounts& rows = *RowsOf(group);
    const bool full = rows.total_weight() >= spec_.n;
    if (full && entry_ >= rows.Last().key()) return;
    if (group->touched_step != step_) {
      group->touched_step = step_;
      touched_.push_back({group, ChosenOf(group)});
      if (!group->Is(Group::kDirty)) dirty_.push_back(group);
      group->flags |= Group::kDirty;
    }
    const int64_t bytes = rows.bytes();
    SortedCounts::Entry* entry = rows.Add(entry_, weight);
    if (entry == nullptr || !entry->dirty) dirty_entries_.emplace_back(group, entry_);
    if (entry != nullptr) entry->dirty = true;
    while (rows.total_weight() - rows.Last().weight >= spec_.n) {
      if (!rows.Last().dirty) dirty_entries_.emplace_back(group, rows.Last().key());
      rows.RemoveLast();
    }
    rows_bytes_ += rows.bytes() - bytes;
  }

  Status Restore(std::span<const Hash128> hashes) {
    return FindMissing(
        *store_, space_, stored_, table_, hashes,
        [&](Hash128 hash, std::string_view) -> Status {
          auto* rows = new SortedCounts;
          RowsOf(table_.Insert(hash)) = rows;
          WEIR_TRY(ScanRange(*store_, space_, hash,
                             [&](std::string_view entry, int64_t weight) -> Status {
                               rows->Add(entry, weight);
                               return {};
                             }));
          rows_bytes_ += rows->bytes();
          return {};
        });
  }

  // After a commit: the store has every group that is not dirty.
  void Evict() {
    for (Group* group : gone_) {
      if (!group->Is(Group::kDirty) && RowsOf(group)->empty()) RemoveGroup(group);
    }
    gone_.clear();
    if (store_ == nullptr || state_bytes() <= memory_bytes_max_) return;
    const int64_t enough = memory_bytes_max_ - memory_bytes_max_ / 5;
    for (uint32_t seen = 0; seen < table_.index_end() && state_bytes() > enough; ++seen) {
      hand_ = hand_ + 1 < table_.index_end() ? hand_ + 1 : 0;
      Group* group = table_.At(hand_);
      if (group == nullptr || group->Is(Group::kDirty)) continue;
      stored_.LetGo(group->hash);
      RemoveGroup(group);
    }
  }

  void RemoveGroup(Group* group) {
    rows_bytes_ -= RowsOf(group)->bytes();
    delete RowsOf(group);
    table_.Remove(group);
  }

  const TopSpec spec_;
  const data::Schema input_;
  state::Store* const store_;
  const std::string space_;
  int64_t memory_bytes_max_;
  StoredKeys stored_;  // beside those in memory
  const OrderSpec order_;
  std::vector<int> all_columns_;
  Differences differences_;

  GroupTable table_;
  BatchColumns columns_;
  OrderKeys keys_;
  std::vector<InputColumn> inputs_;
  std::string entry_;
  uint32_t step_ = 1;
  std::vector<Touched> touched_;
  std::vector<Group*> dirty_, gone_;
  std::vector<std::pair<Group*, std::string>> dirty_entries_;
  int64_t rows_bytes_ = 0;
  uint32_t hand_ = 0;
};

}  // namespace

Result<std::unique_ptr<Operator>> NewTop(TopSpec spec, const data::Schema& input,
                                         state::Store* store, std::string space,
                                         int64_t memory_bytes_max) {
  if (spec.order.empty() || spec.n < 1)
    return Invalid("the first rows of a key need an order and a number of at least 1");
  for (const auto* columns : {&spec.keys, &spec.order}) {
    for (const int column : *columns) {
      if (column < 0 || static_cast<size_t>(column) >= input.fields.size())
        return Invalid("a column of the first rows of a key does not exist");
    }
  }
  if (spec.input_retracts) {
    auto rows =
        WEIR_TRY(SortedRows::Make(1, store, std::move(space), SortedRows::Naming::kBare));
    return std::unique_ptr<Operator>(std::make_unique<TopOfChanging>(
        std::move(spec), input, std::move(rows), memory_bytes_max));
  }
  StoredKeys stored = WEIR_TRY(
      StoredKeys::Make(store, space, std::string(kGroupPrefix), memory_bytes_max));
  return std::unique_ptr<Operator>(
      std::make_unique<TopOfAppended>(std::move(spec), input, store, std::move(space),
                                      memory_bytes_max, std::move(stored)));
}

}  // namespace weir::ops
