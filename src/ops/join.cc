#include "ops/join.h"

#include <arrow/api.h>

#include <algorithm>
#include <array>

#include "data/arrow.h"
#include "ops/keyed_rows.h"
#include "ops/stored_groups.h"
#include "ops/weights.h"

namespace weir::ops {
namespace {

constexpr size_t kBatchRows = 64 << 10;  // of one batch of output
constexpr size_t kSmallRows = 4 << 10;   // batches below are put together
constexpr size_t kPrefetchRows = 32;

class Join final : public Operator {
 public:
  // Whether the rows of a side come out for themselves.
  enum class Alone : uint8_t { kNever, kUnmatched, kMatched };

  struct Side {
    data::Schema schema;
    std::vector<int> keys;
    bool retracts;
    Alone alone = Alone::kNever;
    std::unique_ptr<KeyedRows> rows;
    std::unique_ptr<KeptRowReader> reader;
  };

  Join(const JoinSpec& spec, std::array<Side, 2> sides, int64_t memory_bytes_max)
      : pairs_(spec.kind != JoinKind::kSemi && spec.kind != JoinKind::kAnti),
        null_safe_(spec.null_safe),
        memory_bytes_max_(memory_bytes_max),
        sides_(std::move(sides)) {
    null_safe_.resize(spec.left_keys.size());
    data::Schema output;
    for (int port = 0; port < (pairs_ ? 2 : 1); ++port) {
      for (data::Field field : sides_[static_cast<size_t>(port)].schema.fields) {
        field.required &= sides_[static_cast<size_t>(1 - port)].alone == Alone::kNever;
        output.fields.push_back(std::move(field));
      }
    }
    output_ = data::ToArrow(output);
  }

  Status Process(int port, data::Batch changes, Emitter& out) override {
    if (port < 0 || port > 1) return Internal("a join has two ports");
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    Side& own = sides_[static_cast<size_t>(port)];
    if (!own.retracts && std::any_of(changes.weights.begin(), changes.weights.end(),
                                     [](int32_t weight) { return weight < 0; })) {
      return Internal("an append-only input takes a row back");
    }
    fed_[static_cast<size_t>(port)] = true;
    const std::vector<Hash128> keys = WEIR_TRY(data::HashKeys(*changes.rows, own.keys));
    const std::vector<uint8_t> unmatchable = Unmatchable(own, *changes.rows);
    if (!unmatchable.empty() && own.alone == Alone::kUnmatched)
      WEIR_TRY(PassThrough(port, changes, unmatchable, out));
    if (pairs_) WEIR_TRY(Pair(port, changes, keys, unmatchable, out));
    return own.rows->Add(changes, keys, unmatchable);
  }

  Status Flush(Emitter& out) override {
    for (const Side& side : sides_) WEIR_TRY(side.rows->CheckStep());
    for (int port = 0; port < 2; ++port) {
      if (sides_[static_cast<size_t>(port)].alone != Alone::kNever)
        WEIR_TRY(FlushAlone(port, out));
    }
    WEIR_TRY(EmitPending(out));
    for (Side& side : sides_) side.rows->EndStep();
    fed_ = {};
    return {};
  }

  Status Checkpoint(state::Delta& delta) override {
    for (Side& side : sides_) WEIR_TRY(side.rows->Checkpoint(delta));
    return {};
  }

  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  // Each side may have half of the memory, and what the other leaves of its.
  void Committed() override {
    for (size_t i = 0; i < 2; ++i) {
      const int64_t left = memory_bytes_max_ - sides_[1 - i].rows->bytes();
      sides_[i].rows->Committed(std::max(left, memory_bytes_max_ / 2));
    }
  }

  int64_t state_bytes() const override {
    return sides_[0].rows->bytes() + sides_[1].rows->bytes();
  }
  int64_t state_keys() const override {
    return sides_[0].rows->keys() + sides_[1].rows->keys();
  }

 private:
  // A mark for each row whose key holds a NULL that equals nothing; empty: none.
  std::vector<uint8_t> Unmatchable(const Side& own,
                                   const arrow::RecordBatch& rows) const {
    std::vector<uint8_t> out;
    for (size_t i = 0; i < own.keys.size(); ++i) {
      const arrow::Array& column = *rows.column(own.keys[i]);
      if (null_safe_[i] || column.null_count() == 0) continue;
      out.resize(static_cast<size_t>(rows.num_rows()));
      for (int64_t row = 0; row < rows.num_rows(); ++row)
        out[static_cast<size_t>(row)] |= column.IsNull(row) ? 1 : 0;
    }
    return out;
  }

  Status PassThrough(int port, const data::Batch& changes,
                     const std::vector<uint8_t>& chosen, Emitter& out) {
    std::vector<int32_t> rows;
    for (size_t row = 0; row < chosen.size(); ++row) {
      if (chosen[row] != 0) rows.push_back(static_cast<int32_t>(row));
    }
    if (rows.empty()) return {};
    data::Batch taken = WEIR_TRY(data::Take(changes, rows));
    return OutputAlone(port, *taken.rows, std::move(taken.weights), out);
  }

  // Every row with all rows that the other side has of its key.
  Status Pair(int port, const data::Batch& changes, std::span<const Hash128> keys,
              std::span<const uint8_t> unmatchable, Emitter& out) {
    Side& other = sides_[static_cast<size_t>(1 - port)];
    WEIR_TRY(other.rows->Load(keys, KeyedRows::Depth::kRows));
    std::vector<int32_t> own_rows, weights;
    std::array<Group*, kPrefetchRows> groups;
    for (size_t begin = 0; begin < keys.size(); begin += kPrefetchRows) {
      const size_t end = std::min(begin + kPrefetchRows, keys.size());
      for (size_t i = begin; i < end; ++i) other.rows->Prefetch(keys[i]);
      for (size_t i = begin; i < end; ++i) other.rows->PrefetchGroup(keys[i]);
      for (size_t i = begin; i < end; ++i) {
        const bool never = !unmatchable.empty() && unmatchable[i] != 0;
        Group* group = never ? nullptr : other.rows->Find(keys[i]);
        groups[i - begin] = group;
        if (group != nullptr) __builtin_prefetch(KeyOf(group).rows.one);
      }
      for (size_t i = begin; i < end; ++i) {
        if (groups[i - begin] == nullptr) continue;
        const auto row = static_cast<int32_t>(i);
        const __int128 weight = changes.weight(row);
        Status status;
        KeyedRows::ForEachRow(groups[i - begin], [&](const KeptRow& match) {
          if (match.weight == 0 || !status.ok()) return;
          status = AppendWeights(weight * match.weight, &weights, [&]() -> Status {
            own_rows.push_back(row);
            return other.reader->Append(match);
          });
          if (status.ok() && weights.size() >= kBatchRows)
            status = OutputPairs(port, changes, own_rows, weights, out);
        });
        WEIR_TRY(std::move(status));
      }
    }
    return OutputPairs(port, changes, own_rows, weights, out);
  }

  // Leaves the rows and weights empty.
  Status OutputPairs(int port, const data::Batch& changes, std::vector<int32_t>& own_rows,
                     std::vector<int32_t>& weights, Emitter& out) {
    if (own_rows.empty()) return {};
    const data::Batch own = WEIR_TRY(data::Take({changes.rows, {}}, own_rows));
    const auto other = WEIR_TRY(sides_[static_cast<size_t>(1 - port)].reader->Finish());
    own_rows.clear();
    return Output(port == 0 ? own.rows->columns() : other->columns(),
                  port == 0 ? other->columns() : own.rows->columns(),
                  std::exchange(weights, {}), out);
  }

  // The rows of a side that come out for themselves: all of a key where the other side
  // came or went, those that changed elsewhere.
  Status FlushAlone(int port, Emitter& out) {
    Side& own = sides_[static_cast<size_t>(port)];
    KeyedRows& other = *sides_[static_cast<size_t>(1 - port)].rows;
    const auto comes_out = [&](int64_t others) {
      return (others > 0) == (own.alone == Alone::kMatched);
    };

    std::vector<Hash128> changed, turned;
    for (Group* group : own.rows->touched_keys()) changed.push_back(group->hash);
    WEIR_TRY(other.Load(changed, KeyedRows::Depth::kTotals));
    for (Group* group : other.touched_keys()) {
      if (comes_out(other.Before(group)) != comes_out(group->rows))
        turned.push_back(group->hash);
    }
    WEIR_TRY(own.rows->Load(turned, KeyedRows::Depth::kRows));

    std::vector<int32_t> weights;
    const auto append = [&](const KeptRow& row, int64_t weight) -> Status {
      WEIR_TRY(AppendWeights(weight, &weights, [&] { return own.reader->Append(row); }));
      return weights.size() < kBatchRows ? Status() : OutputKept(port, weights, out);
    };
    for (const Hash128& key : turned) {
      Group* group = own.rows->Find(key);
      if (group == nullptr) continue;
      const bool now = comes_out(other.Find(key)->rows);
      Status status;
      KeyedRows::ForEachRow(group, [&](const KeptRow& row) {
        if (status.ok()) status = append(row, now ? row.weight : -own.rows->Before(row));
      });
      WEIR_TRY(std::move(status));
    }
    for (const auto& [group, row] : own.rows->touched_rows()) {
      Group* others = other.Find(group->hash);
      const bool before = comes_out(others == nullptr ? 0 : other.Before(others));
      const bool now = comes_out(others == nullptr ? 0 : others->rows);
      if (before && now) WEIR_TRY(append(*row, row->weight - row->before));
    }
    return OutputKept(port, weights, out);
  }

  // What the side's reader holds. Leaves the weights empty.
  Status OutputKept(int port, std::vector<int32_t>& weights, Emitter& out) {
    if (weights.empty()) return {};
    const auto rows = WEIR_TRY(sides_[static_cast<size_t>(port)].reader->Finish());
    return OutputAlone(port, *rows, std::exchange(weights, {}), out);
  }

  Status OutputAlone(int port, const arrow::RecordBatch& rows,
                     std::vector<int32_t> weights, Emitter& out) {
    if (!pairs_) return Output(rows.columns(), {}, std::move(weights), out);
    arrow::ArrayVector nulls;
    for (const data::Field& field : sides_[static_cast<size_t>(1 - port)].schema.fields) {
      nulls.push_back(
          WEIR_ARROW(arrow::MakeArrayOfNull(data::ToArrow(field.type), rows.num_rows())));
    }
    return port == 0 ? Output(rows.columns(), nulls, std::move(weights), out)
                     : Output(nulls, rows.columns(), std::move(weights), out);
  }

  Status Output(const arrow::ArrayVector& left, const arrow::ArrayVector& right,
                std::vector<int32_t> weights, Emitter& out) {
    arrow::ArrayVector columns = left;
    columns.insert(columns.end(), right.begin(), right.end());
    const int64_t rows = columns[0]->length();
    bool only_one = true;
    for (const int32_t weight : weights) {
      only_one &= weight == 1;
      takes_back_ |= weight < 0;
    }
    if (only_one) weights.clear();
    pending_.push_back({arrow::RecordBatch::Make(output_, rows, std::move(columns)),
                        std::move(weights)});
    pending_rows_ += static_cast<size_t>(rows);
    return pending_rows_ < kBatchRows ? Status() : EmitPending(out);
  }

  // Where both sides changed, a pair may have come with one of them and gone with the
  // other.
  Status EmitPending(Emitter& out) {
    std::vector<data::Batch> batches = std::exchange(pending_, {});
    const bool may_cancel = takes_back_ && fed_[0] && fed_[1];
    const bool small = pending_rows_ <= kSmallRows;
    pending_rows_ = 0;
    takes_back_ = false;
    if (batches.empty()) return {};
    if (may_cancel || (small && batches.size() > 1)) {
      data::Batch all = WEIR_TRY(data::Concat(batches));
      if (may_cancel) all = WEIR_TRY(data::Consolidate(all));
      return all.num_rows() == 0 ? Status() : out.Emit(std::move(all));
    }
    for (data::Batch& batch : batches) WEIR_TRY(out.Emit(std::move(batch)));
    return {};
  }

  const bool pairs_;  // pairs of rows come out
  std::vector<bool> null_safe_;
  int64_t memory_bytes_max_;
  std::array<Side, 2> sides_;
  std::shared_ptr<arrow::Schema> output_;

  std::array<bool, 2> fed_{};  // by the step
  std::vector<data::Batch> pending_;
  size_t pending_rows_ = 0;
  bool takes_back_ = false;  // one of the pending rows does
};

Status CheckKeys(const JoinSpec& spec, const data::Schema& left,
                 const data::Schema& right) {
  if (spec.left_keys.size() != spec.right_keys.size())
    return Invalid("the two sides of a join have a different number of keys");
  for (size_t i = 0; i < spec.left_keys.size(); ++i) {
    const auto l = static_cast<size_t>(spec.left_keys[i]);
    const auto r = static_cast<size_t>(spec.right_keys[i]);
    if (l >= left.fields.size() || r >= right.fields.size())
      return Invalid("a key column of a join does not exist");
    if (left.fields[l].type != right.fields[r].type) {
      return Invalid(fmt::format("the join compares {} of type {} with {} of type {}",
                                 left.fields[l].name, data::TypeName(left.fields[l].type),
                                 right.fields[r].name,
                                 data::TypeName(right.fields[r].type)));
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Operator>> NewJoin(JoinSpec spec, const data::Schema& left,
                                          const data::Schema& right, state::Store* store,
                                          std::string space, int64_t memory_bytes_max) {
  WEIR_TRY(CheckKeys(spec, left, right));
  using Alone = Join::Alone;
  std::array<Join::Side, 2> sides;
  sides[0] = {left, spec.left_keys, spec.left_retracts};
  sides[1] = {right, spec.right_keys, spec.right_retracts};
  const bool only_left = spec.kind == JoinKind::kSemi || spec.kind == JoinKind::kAnti;
  if (spec.kind == JoinKind::kSemi) {
    sides[0].alone = Alone::kMatched;
  } else if (spec.kind != JoinKind::kInner && spec.kind != JoinKind::kRight) {
    sides[0].alone = Alone::kUnmatched;
  }
  if (spec.kind == JoinKind::kRight || spec.kind == JoinKind::kFull)
    sides[1].alone = Alone::kUnmatched;
  for (size_t i = 0; i < 2; ++i) {
    sides[i].rows =
        WEIR_TRY(KeyedRows::Make(sides[i].schema, i == 0 || !only_left, store, space,
                                 static_cast<char>('0' + i), memory_bytes_max / 2));
    sides[i].reader = std::make_unique<KeptRowReader>(sides[i].schema);
  }
  return std::unique_ptr<Operator>(
      std::make_unique<Join>(spec, std::move(sides), memory_bytes_max));
}

}  // namespace weir::ops
