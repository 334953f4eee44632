#include <arrow/api.h>

#include <algorithm>
#include <numeric>

#include "data/arrow.h"
#include "ops/aggregate.h"
#include "ops/order_keys.h"
#include "ops/sorted_counts.h"
#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

constexpr std::string_view kStoredMark = "1";

// Rows of a group as entries of a sorted set: order key, row, uint32 bytes of the order
// key. Rows that are equal in their whole order are told apart by their bytes, so that
// arrival does not decide. Append-only inputs keep only the rows that are among the first
// n.
class Top final : public Operator {
 public:
  Top(TopSpec spec, const data::Schema& input, state::Store* store, std::string space,
      int64_t memory_bytes_max, bool cold)
      : spec_(std::move(spec)),
        input_(input),
        output_(data::ToArrow(input)),
        store_(store),
        space_(std::move(space)),
        memory_bytes_max_(memory_bytes_max),
        cold_(cold),
        order_{spec_.order, spec_.descending, true, true},
        all_columns_(input.fields.size()),
        table_(sizeof(SortedCounts*)) {
    std::iota(all_columns_.begin(), all_columns_.end(), 0);
  }

  ~Top() override {
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
    if (cold_) WEIR_TRY(Restore(hashes));
    for (size_t row = 0; row < hashes.size(); ++row) {
      Group* group = table_.Find(hashes[row]);
      if (group == nullptr) {
        group = table_.Insert(hashes[row]);
        RowsOf(group) = new SortedCounts;
      }
      const int32_t weight = changes.weight(static_cast<int64_t>(row));
      if (weight < 0 && !spec_.input_retracts)
        return Internal("an append-only input takes a row back");
      AddRow(group, row, weight);
    }
    return {};
  }

  Status Flush(Emitter& out) override {
    std::vector<CellColumn> columns;
    for (const data::Field& field : input_.fields) columns.emplace_back(field.type);
    data::Batch batch;
    for (const Touched& touched : touched_)
      WEIR_TRY(AppendChanges(touched, columns, &batch.weights));
    touched_.clear();
    ++step_;
    if (batch.weights.empty()) return {};
    batch.rows = WEIR_TRY(FinishRows(output_, columns));
    return out.Emit(std::move(batch));
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
      if (kept->weight < 0) return Internal("a row was taken back that is not there");
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

  void Committed() override { Evict(); }

  int64_t state_bytes() const override { return table_.bytes() + rows_bytes_; }
  int64_t state_keys() const override { return table_.count(); }

 private:
  using Chosen =
      std::vector<std::pair<std::string, int64_t>>;  // entries of the first n rows, with
                                                     // how often they count
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
      if (count > 0) out.emplace_back(entry.key, count);
      left -= std::max<int64_t>(count, 0);
      return left > 0;
    });
    return out;
  }

  void AddRow(Group* group, size_t row, int32_t weight) {
    entry_.clear();
    keys_.AppendTo(row, &entry_);
    const auto order_bytes = static_cast<uint32_t>(entry_.size());
    AppendCanonicalRow(inputs_, row, &entry_);
    entry_.append(reinterpret_cast<const char*>(&order_bytes), sizeof order_bytes);

    SortedCounts& rows = *RowsOf(group);
    const bool full = !spec_.input_retracts && rows.total_weight() >= spec_.n;
    if (full && entry_ >= rows.Last().key) return;
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
    while (!spec_.input_retracts && rows.total_weight() - rows.Last().weight >= spec_.n) {
      if (!rows.Last().dirty) dirty_entries_.emplace_back(group, rows.Last().key);
      rows.RemoveLast();
    }
    rows_bytes_ += rows.bytes() - bytes;
  }

  // Both lists are in order.
  Status AppendChanges(const Touched& touched, std::span<CellColumn> columns,
                       std::vector<int32_t>* weights) {
    const Chosen after = ChosenOf(touched.group);
    auto b = touched.before.begin();
    auto a = after.begin();
    while (b != touched.before.end() || a != after.end()) {
      const bool from_before =
          a == after.end() || (b != touched.before.end() && b->first <= a->first);
      const bool from_after =
          b == touched.before.end() || (a != after.end() && a->first <= b->first);
      const std::string& entry = from_before ? b->first : a->first;
      const int64_t weight = (from_after ? a->second : 0) - (from_before ? b->second : 0);
      if (weight != 0) {
        const auto order_bytes =
            ReadAs<uint32_t>(entry.data() + entry.size() - sizeof(uint32_t));
        WEIR_TRY(
            DecodeRow(std::string_view(entry).substr(
                          order_bytes, entry.size() - order_bytes - sizeof(uint32_t)),
                      columns));
        weights->push_back(static_cast<int32_t>(weight));
      }
      a += from_after;
      b += from_before;
    }
    return {};
  }

  Status Restore(std::span<const Hash128> hashes) {
    return FindMissing(
        *store_, space_, table_, hashes, [&](Hash128 hash, std::string_view) -> Status {
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
      RemoveGroup(group);
      cold_ = true;
    }
  }

  void RemoveGroup(Group* group) {
    rows_bytes_ -= RowsOf(group)->bytes();
    delete RowsOf(group);
    table_.Remove(group);
  }

  const TopSpec spec_;
  const data::Schema input_;
  const std::shared_ptr<arrow::Schema> output_;
  state::Store* const store_;
  const std::string space_;
  const int64_t memory_bytes_max_;
  bool cold_;  // the store may hold groups that are not in memory
  const OrderSpec order_;
  std::vector<int> all_columns_;

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
  const bool cold = store != nullptr && WEIR_TRY(HasRows(*store, space));
  return std::unique_ptr<Operator>(std::make_unique<Top>(
      std::move(spec), input, store, std::move(space), memory_bytes_max, cold));
}

}  // namespace weir::ops
