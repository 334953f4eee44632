#include "ops/aggregate.h"

#include <arrow/api.h>

#include <algorithm>
#include <numeric>

#include "data/arrow.h"
#include "ops/aggregate_layout.h"
#include "ops/aggregate_results.h"
#include "ops/aggregate_update.h"
#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

// Rows are brought in by chunks whose groups fit the second-level cache, so that one loop
// per call does not fetch them anew each time.
constexpr size_t kChunkRows = 512;
constexpr size_t kPrefetchRows = 64;
constexpr size_t kSegmentGroups = 16'384;
class Aggregate final : public Operator {
 public:
  Aggregate(AggregateLayout layout, bool retracts, data::Schema input,
            const data::Schema& output, state::Store* store, std::string space,
            int64_t memory_bytes_max, StoredKeys stored)
      : layout_(std::move(layout)),
        retracts_(retracts),
        input_(std::move(input)),
        output_(data::ToArrow(output)),
        store_(store),
        space_(std::move(space)),
        memory_bytes_max_(memory_bytes_max),
        stored_(std::move(stored)),
        table_(layout_.slot_bytes),
        update_(layout_, table_) {
    for (const data::Field& field : output.fields) output_types_.push_back(field.type);
    for (const KeyLayout& key : layout_.keys) key_columns_.push_back(key.column);
  }

  ~Aggregate() override {
    for (uint32_t i = 0; i < table_.index_end(); ++i) {
      if (Group* group = table_.At(i)) DropRanges(group);
    }
  }

  Status Process(int, data::Batch changes, Emitter&) override {
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    if (!retracts_ && std::any_of(changes.weights.begin(), changes.weights.end(),
                                  [](int32_t weight) { return weight < 0; })) {
      return Internal("an append-only input takes a row back");
    }
    WEIR_TRY(update_.Load(changes, input_));
    const std::vector<Hash128> hashes =
        WEIR_TRY(data::HashKeys(*changes.rows, key_columns_));
    if (stored_.any()) WEIR_TRY(Restore(hashes));
    for (size_t begin = 0; begin < hashes.size(); begin += kChunkRows) {
      const size_t rows = std::min(kChunkRows, hashes.size() - begin);
      WEIR_TRY(
          FindGroups(begin, std::span(hashes).subspan(begin, rows), changes.weights));
      update_.Apply(begin, std::span(groups_).first(rows));
    }
    return {};
  }

  Status Flush(Emitter& out) override {
    if (layout_.keys.empty() && !has_global_) WEIR_TRY(MakeGlobalGroup());
    for (Segment& segment : segments_) WEIR_TRY(EmitSegment(segment, out));
    segments_.clear();
    ++step_;
    return {};
  }

  Status Checkpoint(state::Delta& delta) override {
    if (!segments_.empty()) return Internal("a checkpoint in the middle of a step");
    WEIR_TRY(CheckpointRanges(delta));
    for (Group* group : recent_) group->flags &= ~Group::kRecent;
    std::string value;
    for (Group* group : dirty_) {
      group->flags = (group->flags & ~Group::kDirty) | Group::kRecent;
      MoveRanges(group, delta);
      const std::string key = GroupKeyOf(group->hash);
      if (!Exists(group)) {
        delta.Erase(space_, key);
        gone_.push_back(group);
        continue;
      }
      value.clear();
      EncodeGroup(layout_, group, &value);
      delta.Put(space_, key, value);
    }
    recent_ = std::exchange(dirty_, {});
    return {};
  }

  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override { Evict(); }

  int64_t state_bytes() const override {
    return table_.bytes() + update_.range_bytes() + stored_.bytes();
  }
  int64_t state_keys() const override { return table_.count(); }

 private:
  // Groups that the step touched, in order of the first touch, with the rows that stood
  // for them before it.
  struct Segment {
    std::vector<Group*> groups;
    std::vector<int32_t> old_row;  // into `old`; -1: there was none
    std::vector<CellColumn> old;
  };

  bool Exists(const Group* group) const {
    return group->rows > 0 || layout_.keys.empty();
  }

  // The groups of a chunk's rows into groups_, new ones made; what the step touches for
  // the first time is noted with its old row.
  Status FindGroups(size_t begin, std::span<const Hash128> hashes,
                    const std::vector<int32_t>& weights) {
    fresh_.clear();
    groups_.resize(std::max(groups_.size(), hashes.size()));
    for (size_t from = 0; from < hashes.size(); from += kPrefetchRows) {
      const auto block =
          hashes.subspan(from, std::min(kPrefetchRows, hashes.size() - from));
      for (const Hash128& hash : block) table_.PrefetchPlace(hash);
      for (const Hash128& hash : block) table_.PrefetchGroup(hash);
      for (size_t i = from; i < from + block.size(); ++i) {
        Group* group = table_.Find(hashes[i]);
        if (group == nullptr) group = NewGroup(hashes[i], begin + i);
        groups_[i] = group;
        group->rows += weights.empty() ? 1 : weights[begin + i];
        __builtin_prefetch(group->heap.bytes + group->heap.size);
        if (group->touched_step == step_) continue;
        Touch(group);
      }
    }
    return SaveOldRows();
  }

  void Touch(Group* group) {
    group->touched_step = step_;
    if (!group->Is(Group::kDirty)) dirty_.push_back(group);
    group->flags |= Group::kDirty;
    fresh_.push_back(group);
  }

  Group* NewGroup(Hash128 hash, size_t row) {
    Group* group = table_.Insert(hash);
    for (const KeyLayout& key : layout_.keys) {
      const InputColumn& column = update_.columns().Column(key.column);
      const bool null = column.IsNull(row);
      group->slots()[key.offset] = null ? 1 : 0;
      if (null) continue;
      char scratch[8];
      const std::string_view cell = CanonicalCell(column.Cell(row), key.type, scratch);
      if (key.width > 0) {
        std::memcpy(group->slots() + key.offset + 1, cell.data(), cell.size());
      } else {
        const uint32_t ref = AddHeapItem(table_, group, layout_, cell);
        WriteAs(group->slots() + key.offset + 1, ref);
      }
    }
    return group;
  }

  // Of the freshly touched groups.
  Status SaveOldRows() {
    if (fresh_.empty()) return {};
    if (segments_.empty() || segments_.back().groups.size() >= kSegmentGroups) {
      segments_.emplace_back();
      for (const data::Type& type : output_types_)
        segments_.back().old.emplace_back(type);
    }
    Segment& segment = segments_.back();
    emitted_.clear();
    auto next = static_cast<int32_t>(segment.old.empty() ? 0 : segment.old[0].size());
    for (Group* group : fresh_) {
      segment.groups.push_back(group);
      const bool emitted = group->Is(Group::kEmitted);
      segment.old_row.push_back(emitted ? next++ : -1);
      if (emitted) emitted_.push_back(group);
    }
    return AppendRows(emitted_, segment.old);
  }

  Status AppendRows(std::span<Group* const> groups, std::span<CellColumn> columns) {
    size_t column = 0;
    for (const KeyLayout& key : layout_.keys) AppendKeys(key, groups, &columns[column++]);
    for (const CallLayout& call : layout_.calls)
      WEIR_TRY(AppendResults(layout_, call, groups, &columns[column++]));
    return {};
  }

  Status EmitSegment(Segment& segment, Emitter& out) {
    std::vector<Group*> alive;
    std::vector<int32_t> new_row;
    for (Group* group : segment.groups) {
      if (group->rows < 0)
        return Internal("more rows were taken back than there are in group " +
                        GroupText(layout_, group));
      new_row.push_back(Exists(group) ? static_cast<int32_t>(alive.size()) : -1);
      if (Exists(group)) alive.push_back(group);
    }
    std::vector<CellColumn> now;
    for (const data::Type& type : output_types_)
      now.emplace_back(type).Reserve(alive.size());
    WEIR_TRY(AppendRows(alive, now));

    std::vector<int32_t> gone, come;
    for (size_t i = 0; i < segment.groups.size(); ++i) {
      Group* group = segment.groups[i];
      const int32_t before = segment.old_row[i], after = new_row[i];
      if (before >= 0 && after >= 0 && SameResults(segment.old, before, now, after))
        continue;
      if (before >= 0) gone.push_back(before);
      if (after >= 0) come.push_back(after);
      group->flags =
          after >= 0 ? group->flags | Group::kEmitted : group->flags & ~Group::kEmitted;
    }
    WEIR_TRY(Emit(gone, segment.old, -1, out));
    return Emit(come, now, 1, out);
  }

  bool SameResults(const std::vector<CellColumn>& old, int32_t before,
                   const std::vector<CellColumn>& now, int32_t after) const {
    for (size_t column = layout_.keys.size(); column < old.size(); ++column) {
      if (!old[column].Equals(static_cast<size_t>(before), now[column],
                              static_cast<size_t>(after)))
        return false;
    }
    return true;
  }

  Status Emit(const std::vector<int32_t>& rows, std::vector<CellColumn>& columns,
              int32_t weight, Emitter& out) {
    if (rows.empty()) return {};
    std::vector<CellColumn> chosen;
    if (columns.empty()) {  // neither keys nor calls: a row of no columns
      data::Batch batch{
          arrow::RecordBatch::Make(output_, static_cast<int64_t>(rows.size()),
                                   arrow::ArrayVector()),
          std::vector<int32_t>(rows.size(), weight)};
      return out.Emit(std::move(batch));
    }
    const bool all = rows.size() == columns[0].size();
    for (CellColumn& column : columns) {
      if (all) {
        chosen.push_back(std::move(column));
        continue;
      }
      chosen.emplace_back(column.type()).Reserve(rows.size());
      for (const int32_t row : rows)
        chosen.back().AppendFrom(column, static_cast<size_t>(row));
    }
    data::Batch batch{WEIR_TRY(FinishRows(output_, chosen)), {}};
    if (weight != 1) batch.weights.assign(rows.size(), weight);
    return out.Emit(std::move(batch));
  }

  // The one group of an aggregate without keys is there before the first row.
  Status MakeGlobalGroup() {
    has_global_ = true;
    const std::vector<Hash128> hashes(1);
    if (stored_.any()) WEIR_TRY(Restore(hashes));
    if (table_.Find(hashes[0]) != nullptr) return {};
    fresh_.clear();
    Touch(table_.Insert(hashes[0]));
    return SaveOldRows();
  }

  // Fetches the groups that are not in memory.
  Status Restore(std::span<const Hash128> hashes) {
    return FindMissing(
        *store_, space_, stored_, table_, hashes,
        [&](Hash128 hash, std::string_view value) -> Status {
          Group* group = table_.Insert(hash);
          update_.AddRangeBytes(WEIR_TRY(DecodeGroup(layout_, value, table_, group)));
          group->flags |= Group::kEmitted;
          if (!AnyStandsApart(group)) return {};
          return ScanRange(*store_, space_, hash,
                           [&](std::string_view entry, int64_t weight) {
                             return RestoreEntry(group, entry, weight);
                           });
        });
  }

  bool AnyStandsApart(const Group* group) const {
    for (size_t i = 0; i < layout_.ranges.size(); ++i) {
      if (StandsApart(group, static_cast<int>(i))) return true;
    }
    return false;
  }

  Status RestoreEntry(Group* group, std::string_view call_and_entry, int64_t weight) {
    if (call_and_entry.size() < 2) return Corrupt("a stored range entry is malformed");
    const auto call = static_cast<size_t>(static_cast<uint8_t>(call_and_entry[0]) << 8 |
                                          static_cast<uint8_t>(call_and_entry[1]));
    if (call >= layout_.calls.size() || !layout_.calls[call].has_range ||
        !StandsApart(group, layout_.calls[call].range_number))
      return Corrupt("a stored range entry has no call");
    int64_t bytes;
    AddToRange(group, layout_.calls[call], call_and_entry.substr(2), weight, &bytes);
    update_.AddRangeBytes(bytes);
    return {};
  }

  std::string EntryKey(const Group* group, int call, std::string_view entry) const {
    std::string key = RangePrefixOf(group->hash);
    key.push_back(static_cast<char>(call >> 8));
    key.push_back(static_cast<char>(call));
    return key.append(entry);
  }
  void PutEntry(const std::string& key, int64_t weight, state::Delta& delta) const {
    delta.Put(space_, key, {reinterpret_cast<const char*>(&weight), sizeof weight});
  }

  // What changed of the ranges that stood apart.
  Status CheckpointRanges(state::Delta& delta) {
    for (const DirtyEntry& dirty : update_.dirty()) {
      const CallLayout& call = layout_.calls[static_cast<size_t>(dirty.call)];
      SortedCounts::Entry* entry = RangeOf(dirty.group, call)->Find(dirty.entry);
      if (entry != nullptr) {
        if (entry->weight < 0)
          return Internal("a value was taken back that is not there in group " +
                          GroupText(layout_, dirty.group));
        entry->dirty = false;
      }
      if (!StandsApart(dirty.group, call.range_number)) continue;
      const std::string key = EntryKey(dirty.group, dirty.call, dirty.entry);
      if (entry == nullptr || !BelongsApart(layout_, dirty.group, call.range_number)) {
        delta.Erase(space_, key);
      } else {
        PutEntry(key, entry->weight, delta);
      }
    }
    update_.dirty().clear();
    return {};
  }

  // Ranges that grew beyond one entry, or shrank to that.
  void MoveRanges(Group* group, state::Delta& delta) {
    for (size_t i = 0; i < layout_.ranges.size(); ++i) {
      const int number = static_cast<int>(i), call = layout_.ranges[i];
      const bool before = StandsApart(group, number),
                 now = BelongsApart(layout_, group, number);
      if (before == now) continue;
      SetStandsApart(group, number, now);
      const SortedCounts* range =
          RangeOf(group, layout_.calls[static_cast<size_t>(call)]);
      if (range == nullptr) continue;
      range->ForEach([&](const SortedCounts::Entry& entry) {
        const std::string key = EntryKey(group, call, entry.key());
        if (now) {
          PutEntry(key, entry.weight, delta);
        } else {
          delta.Erase(space_, key);
        }
        return true;
      });
    }
  }

  // After a commit: the store has every group that is not dirty.
  void Evict() {
    for (Group* group : gone_) {
      if (!group->Is(Group::kDirty) && !Exists(group)) RemoveGroup(group);
    }
    gone_.clear();
    if (store_ == nullptr || state_bytes() <= memory_bytes_max_) return;
    const int64_t enough = memory_bytes_max_ - memory_bytes_max_ / 5;
    // Those of the newest checkpoint last: what stays need not be read while their delta
    // is on its way into the store.
    for (const bool recent : {false, true}) {
      for (uint32_t seen = 0; seen < table_.index_end() && state_bytes() > enough;
           ++seen) {
        hand_ = hand_ + 1 < table_.index_end() ? hand_ + 1 : 0;
        Group* group = table_.At(hand_);
        if (group == nullptr || group->Is(Group::kDirty)) continue;
        if (group->Is(Group::kRecent) && !recent) continue;
        stored_.LetGo(group->hash);
        RemoveGroup(group);
      }
    }
    if (layout_.keys.empty()) has_global_ = table_.count() > 0;
  }

  void RemoveGroup(Group* group) {
    DropRanges(group);
    table_.Remove(group);
  }

  void DropRanges(Group* group) {
    for (const int call : layout_.ranges) {
      update_.AddRangeBytes(-DropRange(group, layout_.calls[static_cast<size_t>(call)]));
    }
  }

  const AggregateLayout layout_;
  const bool retracts_;
  const data::Schema input_;
  const std::shared_ptr<arrow::Schema> output_;
  state::Store* const store_;
  const std::string space_;
  int64_t memory_bytes_max_;
  StoredKeys stored_;  // beside those in memory
  std::vector<data::Type> output_types_;
  std::vector<int> key_columns_;

  GroupTable table_;
  AggregateUpdate update_;
  uint32_t step_ = 1;
  bool has_global_ = false;
  std::vector<Group*> groups_;   // of the rows of the chunk
  std::vector<Group*> fresh_;    // touched by the chunk for the first time in the step
  std::vector<Group*> emitted_;  // of those, the ones that have a row downstream
  std::vector<Segment> segments_;
  std::vector<Group*> dirty_;   // changed since the last checkpoint
  std::vector<Group*> recent_;  // written by the last checkpoint; some may be others now
  std::vector<Group*> gone_;    // erased by the last checkpoint
  uint32_t hand_ = 0;           // where the last eviction stopped
};

}  // namespace

Result<std::unique_ptr<Operator>> NewAggregate(AggregateSpec spec,
                                               const data::Schema& input,
                                               state::Store* store, std::string space,
                                               int64_t memory_bytes_max) {
  AggregateLayout layout = WEIR_TRY(AggregateLayout::Make(spec, input));
  StoredKeys stored = WEIR_TRY(
      StoredKeys::Make(store, space, std::string(kGroupPrefix), memory_bytes_max));
  return std::unique_ptr<Operator>(std::make_unique<Aggregate>(
      std::move(layout), spec.input_retracts, input, spec.output, store, std::move(space),
      memory_bytes_max, std::move(stored)));
}

Result<std::unique_ptr<Operator>> NewDistinct(const data::Schema& input,
                                              state::Store* store, std::string space,
                                              int64_t memory_bytes_max) {
  AggregateSpec spec;
  spec.keys.resize(input.fields.size());
  std::iota(spec.keys.begin(), spec.keys.end(), 0);
  spec.output = input;
  spec.input_retracts = true;
  return NewAggregate(std::move(spec), input, store, std::move(space), memory_bytes_max);
}

}  // namespace weir::ops
