#include "ops/asof.h"

#include <arrow/api.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "data/arrow.h"
#include "ops/sorted_rows.h"
#include "ops/stored_groups.h"
#include "ops/weights.h"

namespace weir::ops {
namespace {

constexpr size_t kBatchRows = 64 << 10;
constexpr size_t kLeft = 0, kRight = 1;
constexpr size_t kTimeBytes = 8;

// Entries of both sides begin with the time, in an order in which a match stands before.
class AsofJoin final : public Operator {
 public:
  struct Side {
    data::Schema schema;
    std::vector<int> keys;
    OrderSpec order;
    std::vector<int> all_columns;
    BatchColumns columns;
    OrderKeys order_keys;
  };

  AsofJoin(const AsofSpec& spec, std::array<Side, 2> sides,
           std::unique_ptr<SortedRows> rows, int64_t memory_bytes_max)
      : strict_(spec.match == AsofMatch::kBefore || spec.match == AsofMatch::kAfter),
        outer_(spec.outer),
        memory_bytes_max_(memory_bytes_max),
        sides_(std::move(sides)),
        rows_(std::move(rows)) {
    data::Schema output = sides_[kLeft].schema;
    for (data::Field field : sides_[kRight].schema.fields) {
      field.required &= !outer_;
      output.fields.push_back(std::move(field));
    }
    output_ = data::ToArrow(output);
    for (const data::Field& field : output.fields) columns_.emplace_back(field.type);
  }

  Status Process(int port, data::Batch changes, Emitter& out) override {
    if (port < 0 || port > 1) return Internal("an ASOF join has two ports");
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    Side& side = sides_[static_cast<size_t>(port)];
    WEIR_TRY(side.columns.Load(changes.rows, side.schema, side.all_columns));
    WEIR_TRY(side.order_keys.Load(side.order, side.columns));
    std::vector<InputColumn> inputs;
    for (const int column : side.all_columns)
      inputs.push_back(side.columns.Column(column));
    const std::vector<Hash128> keys = WEIR_TRY(data::HashKeys(*changes.rows, side.keys));
    std::vector<int32_t> alone;
    std::vector<size_t> matching;
    std::vector<Hash128> matching_keys;
    std::vector<std::string> entries;
    for (size_t row = 0; row < keys.size(); ++row) {
      if (MatchesNothing(side, row)) {
        if (port == 0 && outer_) alone.push_back(static_cast<int32_t>(row));
        continue;
      }
      matching.push_back(row);
      matching_keys.push_back(keys[row]);
      AppendSortedRow(side.order_keys, inputs, row, &entries.emplace_back());
    }
    const auto range = static_cast<size_t>(port);
    WEIR_TRY(rows_->Load(matching_keys, range, entries));
    for (size_t i = 0; i < matching.size(); ++i) {
      rows_->Add(rows_->FindOrInsert(matching_keys[i]), range, entries[i],
                 changes.weight(static_cast<int64_t>(matching[i])));
    }
    return alone.empty() ? Status() : EmitAlone(changes, alone, out);
  }

  Status Flush(Emitter& out) override {
    for (SortedRows::Touched& touched : WEIR_TRY(rows_->EndOfStep()))
      WEIR_TRY(Differences(touched, out));
    WEIR_TRY(rows_->BeginStep());
    return EmitRows(out);
  }

  Status Checkpoint(state::Delta& delta) override { return rows_->Checkpoint(delta); }
  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override { rows_->Committed(memory_bytes_max_); }
  int64_t state_bytes() const override { return rows_->bytes(); }
  int64_t state_keys() const override { return rows_->keys(); }

 private:
  using Cursor = SortedRows::Cursor;
  using Match = std::optional<std::string_view>;  // an entry

  bool MatchesNothing(const Side& side, size_t row) const {
    if (side.columns.Column(side.order.columns[0]).IsNull(row)) return true;
    return std::any_of(side.keys.begin(), side.keys.end(), [&](int column) {
      return side.columns.Column(column).IsNull(row);
    });
  }

  Status EmitAlone(const data::Batch& changes, const std::vector<int32_t>& rows,
                   Emitter& out) {
    data::Batch left = WEIR_TRY(data::Take(changes, rows));
    arrow::ArrayVector columns = left.rows->columns();
    for (const data::Field& field : sides_[kRight].schema.fields) {
      columns.push_back(
          WEIR_ARROW(arrow::MakeArrayOfNull(data::ToArrow(field.type), left.num_rows())));
    }
    left.rows = arrow::RecordBatch::Make(output_, left.num_rows(), std::move(columns));
    return out.Emit(std::move(left));
  }

  // Whether a left entry is in reach of a right one, or of one that is next to it.
  bool Reaches(std::string_view right, std::string_view left) const {
    const int order = right.substr(0, kTimeBytes).compare(left.substr(0, kTimeBytes));
    return strict_ ? order < 0 : order <= 0;
  }

  // The left rows of one key whose match, or number, is another than before the step.
  //
  // Right entries that came or went are walked through in order, with those that stayed
  // behind them, until one that stayed: from it on the matches are as they were.
  Status Differences(SortedRows::Touched& touched, Emitter& out) {
    const auto& left_changes = touched.changes[kLeft];
    group_ = touched.group;
    next_change_ = left_changes.begin();
    last_change_ = left_changes.end();

    const auto& changes = touched.changes[kRight];
    const auto is_there = [&](const SortedRows::Change& change) {
      return rows_->WeightOf(touched.group, kRight, change.entry) > 0;
    };
    auto change = changes.begin();
    const auto skip_unchanged = [&] {
      while (change != changes.end() && (change->before > 0) == is_there(*change))
        ++change;
    };
    for (skip_unchanged(); change != changes.end();) {
      // Left rows before it have their match as ever.
      WEIR_TRY(ChangedLefts(change->entry, out));
      Match before = rows_->Before(group_, kRight, change->entry);
      Match now = before;
      Cursor right = rows_->From(group_, kRight, change->entry);
      Cursor left = FirstReached(change->entry);
      while (true) {
        const bool changes_next =
            change != changes.end() && (right.AtEnd() || change->entry <= right.entry());
        Match next;
        if (changes_next) {
          next = change->entry;
        } else if (!right.AtEnd()) {
          next = right.entry();
        }
        WEIR_TRY(Rematch(left, next, before, now, out));
        if (!changes_next) break;
        const bool there = !right.AtEnd() && right.entry() == change->entry;
        if (there) now = change->entry;
        if (change->before > 0) before = change->entry;
        if (there) right.Next();
        ++change;
        skip_unchanged();
      }
    }
    return ChangedLefts(std::nullopt, out);
  }

  // The first left entry that the right one reaches.
  Cursor FirstReached(std::string_view right) {
    std::string from(right.substr(0, kTimeBytes));
    if (strict_) from.append(sizeof(uint64_t), '\xff');  // no row begins so
    return rows_->From(group_, kLeft, from);
  }

  // Left rows that changed themselves, before those that the right entry reaches.
  Status ChangedLefts(std::optional<std::string_view> reached_by, Emitter& out) {
    for (; next_change_ != last_change_; ++next_change_) {
      const std::string& left = next_change_->entry;
      if (reached_by && Reaches(*reached_by, left)) return {};
      const Match match = MatchOf(left);
      const int64_t now = rows_->WeightOf(group_, kLeft, left);
      WEIR_TRY(Append(left, match, now - next_change_->before, out));
    }
    return {};
  }

  // The left rows from the cursor on that the right entry `until` does not reach yet, and
  // those that went.
  Status Rematch(Cursor& left, const Match& until, const Match& before, const Match& now,
                 Emitter& out) {
    const auto in_reach = [&](std::string_view entry) {
      return !until || !Reaches(*until, entry);
    };
    while (true) {
      const bool changed = next_change_ != last_change_ &&
                           (left.AtEnd() || next_change_->entry <= left.entry());
      if (!changed && left.AtEnd()) return {};
      const std::string_view entry = changed ? next_change_->entry : left.entry();
      if (!in_reach(entry)) return {};
      const bool there = !left.AtEnd() && left.entry() == entry;
      const int64_t weight_now = there ? left.weight() : 0;
      const int64_t weight_before = changed ? next_change_->before : weight_now;
      if (before == now) {
        WEIR_TRY(Append(entry, now, weight_now - weight_before, out));
      } else {
        WEIR_TRY(Append(entry, before, -weight_before, out));
        WEIR_TRY(Append(entry, now, weight_now, out));
      }
      if (there) left.Next();
      if (changed) ++next_change_;
    }
  }

  Match MatchOf(std::string_view left) {
    std::string bound(left.substr(0, kTimeBytes));
    if (!strict_) bound.append(sizeof(uint64_t), '\xff');
    return rows_->Before(group_, kRight, bound);
  }

  Status Append(std::string_view left, const Match& match, int64_t weight, Emitter& out) {
    if (weight == 0 || (!match && !outer_)) return {};
    const size_t left_columns = sides_[kLeft].schema.fields.size();
    WEIR_TRY(AppendWeights(weight, &weights_, [&]() -> Status {
      WEIR_TRY(DecodeRow(RowOfEntry(left), std::span(columns_).first(left_columns)));
      const auto right = std::span(columns_).subspan(left_columns);
      if (match) return DecodeRow(RowOfEntry(*match), right);
      for (CellColumn& column : right) column.AppendNull();
      return {};
    }));
    return weights_.size() < kBatchRows ? Status() : EmitRows(out);
  }

  Status EmitRows(Emitter& out) {
    if (weights_.empty()) return {};
    data::Batch batch{WEIR_TRY(FinishRows(output_, columns_)), {}};
    if (std::any_of(weights_.begin(), weights_.end(), [](int32_t w) { return w != 1; }))
      batch.weights = weights_;
    weights_.clear();
    return out.Emit(std::move(batch));
  }

  const bool strict_, outer_;
  int64_t memory_bytes_max_;
  std::array<Side, 2> sides_;
  std::unique_ptr<SortedRows> rows_;
  std::shared_ptr<arrow::Schema> output_;

  // The key that is worked on, and its changes of left rows that are still to come.
  Group* group_ = nullptr;
  std::vector<SortedRows::Change>::const_iterator next_change_, last_change_;
  std::vector<CellColumn> columns_;  // of the output
  std::vector<int32_t> weights_;
};

Result<AsofJoin::Side> MakeSide(const data::Schema& schema, const std::vector<int>& keys,
                                int time, const std::vector<int>& ties, bool after) {
  const auto exists = [&](int column) {
    return column >= 0 && static_cast<size_t>(column) < schema.fields.size();
  };
  if (!exists(time)) return Invalid("the time of an ASOF join does not exist");
  if (!IsOrdinal(schema.fields[static_cast<size_t>(time)].type))
    return Invalid("an ASOF join cannot order by values of type " +
                   data::TypeName(schema.fields[static_cast<size_t>(time)].type));
  for (const auto* columns : {&keys, &ties}) {
    if (!std::all_of(columns->begin(), columns->end(), exists))
      return Invalid("a column of an ASOF join does not exist");
  }
  AsofJoin::Side out{.schema = schema, .keys = keys};
  out.order = {{time}, {after}, false, true};
  out.order.columns.insert(out.order.columns.end(), ties.begin(), ties.end());
  out.all_columns.resize(schema.fields.size());
  std::iota(out.all_columns.begin(), out.all_columns.end(), 0);
  return out;
}

}  // namespace

Result<std::unique_ptr<Operator>> NewAsofJoin(AsofSpec spec, const data::Schema& left,
                                              const data::Schema& right,
                                              state::Store* store, std::string space,
                                              int64_t memory_bytes_max) {
  if (spec.left_keys.size() != spec.right_keys.size())
    return Invalid("the two sides of an ASOF join have a different number of keys");
  const bool after =
      spec.match == AsofMatch::kAtOrAfter || spec.match == AsofMatch::kAfter;
  std::array<AsofJoin::Side, 2> sides;
  sides[0] = WEIR_TRY(MakeSide(left, spec.left_keys, spec.left_time, {}, after));
  sides[1] =
      WEIR_TRY(MakeSide(right, spec.right_keys, spec.right_time, spec.right_ties, after));
  const auto same_type = [&](int l, int r) {
    return left.fields[static_cast<size_t>(l)].type ==
           right.fields[static_cast<size_t>(r)].type;
  };
  bool same = same_type(spec.left_time, spec.right_time);
  for (size_t i = 0; i < spec.left_keys.size(); ++i)
    same &= same_type(spec.left_keys[i], spec.right_keys[i]);
  if (!same) return Invalid("an ASOF join compares columns of different types");
  auto rows = WEIR_TRY(SortedRows::Make(2, store, space));
  return std::unique_ptr<Operator>(std::make_unique<AsofJoin>(
      spec, std::move(sides), std::move(rows), memory_bytes_max));
}

}  // namespace weir::ops
