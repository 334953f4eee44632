#include "ops/temporal.h"

#include <arrow/api.h>

#include <algorithm>
#include <limits>
#include <set>

#include "data/arrow.h"
#include "ops/keyed_rows.h"
#include "ops/stored_groups.h"
#include "ops/weights.h"

namespace weir::ops {
namespace {

constexpr size_t kBatchRows = 64 << 10;
constexpr int kBucketBits = 24;  // rows are kept together for 2^24 microseconds, 17 s
constexpr std::string_view kTime = "t";  // a stored key: the time
constexpr Micros kEver = std::numeric_limits<Micros>::min();
constexpr Micros kNever = std::numeric_limits<Micros>::max();

int64_t BucketOf(Micros time) { return time >> kBucketBits; }
Hash128 KeyOfBucket(int64_t bucket) { return {static_cast<uint64_t>(bucket), 0}; }

// Rows are kept by the bucket of the time at which they change next: their begin while
// that is to come, then their end.
class Temporal final : public Operator {
 public:
  Temporal(TemporalSpec spec, std::unique_ptr<KeyedRows> rows, std::set<int64_t> buckets,
           Micros time, std::string space, int64_t memory_bytes_max)
      : spec_(spec),
        rows_(std::move(rows)),
        reader_(rows_->schema()),
        buckets_(std::move(buckets)),
        time_(time),
        stored_time_(time),
        space_(std::move(space)),
        memory_bytes_max_(memory_bytes_max) {}

  Status Process(int, data::Batch changes, Emitter& out) override {
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    in_step_ = true;
    const Intervals intervals = WEIR_TRY(IntervalsOf(*changes.rows));
    std::vector<int32_t> inside, kept;
    std::vector<Micros> next;
    for (size_t row = 0; row < intervals.from.size(); ++row) {
      const Micros from = intervals.from[row], to = intervals.to[row];
      const bool begun = time_ != kNoTime && from <= time_;
      if (from >= to || (begun && to <= time_)) continue;
      if (begun) inside.push_back(static_cast<int32_t>(row));
      if (begun && to == kNever) continue;
      kept.push_back(static_cast<int32_t>(row));
      next.push_back(begun ? to : from);
    }
    if (!kept.empty()) WEIR_TRY(Keep(WEIR_TRY(data::Take(changes, kept)), next));
    return inside.empty() ? Status() : out.Emit(WEIR_TRY(data::Take(changes, inside)));
  }

  Status Advance(Micros time, Emitter& out) override {
    if (time == kNoTime || (time_ != kNoTime && time <= time_)) return {};
    const int64_t last = BucketOf(time);
    // First, since rows that begin now may end in this bucket.
    WEIR_TRY(Sort(last));
    while (!buckets_.empty() && *buckets_.begin() <= last) {
      const int64_t bucket = *buckets_.begin();
      const Hash128 key = KeyOfBucket(bucket);
      WEIR_TRY(rows_->Load(std::span(&key, 1), KeyedRows::Depth::kRows));
      Group* group = rows_->Find(key);
      std::vector<KeptRow*> due;
      if (bucket == last) {
        while (!sorted_.empty() && sorted_.front().time <= time) {
          std::pop_heap(sorted_.begin(), sorted_.end(), Later);
          if (sorted_.back().row->weight != 0) due.push_back(sorted_.back().row);
          sorted_.pop_back();
        }
        std::sort(due.begin(), due.end());
        due.erase(std::unique(due.begin(), due.end()), due.end());
      } else if (group != nullptr) {
        KeyedRows::ForEachRow(group, [&](KeptRow& row) {
          if (row.weight != 0) due.push_back(&row);
        });
      }
      for (size_t at = 0; at < due.size(); at += kBatchRows) {
        WEIR_TRY(Move(group,
                      std::span(due).subspan(at, std::min(kBatchRows, due.size() - at)),
                      time, out));
      }
      if (bucket == last) break;
      buckets_.erase(bucket);
    }
    time_ = time;
    if (!in_step_) EndStep();
    return {};
  }

  Status Flush(Emitter&) override {
    WEIR_TRY(rows_->CheckStep());
    EndStep();
    return {};
  }

  Status Checkpoint(state::Delta& delta) override {
    WEIR_TRY(rows_->Checkpoint(delta));
    if (time_ != stored_time_)
      delta.Put(space_, kTime, {reinterpret_cast<const char*>(&time_), sizeof time_});
    stored_time_ = time_;
    return {};
  }

  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override {
    rows_->Committed(memory_bytes_max_);
    sorted_.clear();
    sorted_bucket_ = kNoBucket;
  }

  int64_t state_bytes() const override { return rows_->bytes(); }
  int64_t state_keys() const override { return rows_->keys(); }

 private:
  struct Due {
    Micros time;
    KeptRow* row;
  };
  static bool Later(const Due& a, const Due& b) { return a.time > b.time; }
  static constexpr int64_t kNoBucket = std::numeric_limits<int64_t>::min();

  struct Intervals {
    std::vector<Micros> from, to;
  };
  Result<Intervals> IntervalsOf(const arrow::RecordBatch& rows) const {
    const auto read = [&](int column, Micros none) -> Result<std::vector<Micros>> {
      std::vector<Micros> out(static_cast<size_t>(rows.num_rows()), none);
      if (column < 0) return out;
      const InputColumn input = WEIR_TRY(InputColumn::Make(
          rows.column(column), rows_->schema().fields[static_cast<size_t>(column)].type));
      for (size_t row = 0; row < out.size(); ++row) {
        if (!input.IsNull(row)) out[row] = input.values<Micros>()[row];
      }
      return out;
    };
    Intervals out;
    out.from = WEIR_TRY(read(spec_.from, kEver));
    out.to = WEIR_TRY(read(spec_.to, kNever));
    return out;
  }

  // Keeps rows by the time at which each changes next.
  Status Keep(const data::Batch& rows, std::span<const Micros> next) {
    std::vector<Hash128> keys;
    int64_t newest = kNoBucket;
    for (const Micros time : next) {
      keys.push_back(KeyOfBucket(BucketOf(time)));
      if (BucketOf(time) != newest) buckets_.insert(newest = BucketOf(time));
    }
    std::vector<KeptRow*> kept;
    WEIR_TRY(rows_->Add(rows, keys, {}, &kept));
    if (sorted_bucket_ == kNoBucket) return {};
    for (size_t row = 0; row < kept.size(); ++row) {
      if (BucketOf(next[row]) != sorted_bucket_) continue;
      sorted_.push_back({next[row], kept[row]});
      std::push_heap(sorted_.begin(), sorted_.end(), Later);
    }
    return {};
  }

  // Makes sorted_ the rows of the bucket.
  Status Sort(int64_t bucket) {
    if (sorted_bucket_ == bucket) return {};
    sorted_.clear();
    sorted_bucket_ = bucket;
    const Hash128 key = KeyOfBucket(bucket);
    WEIR_TRY(rows_->Load(std::span(&key, 1), KeyedRows::Depth::kRows));
    Group* group = rows_->Find(key);
    if (group == nullptr) return {};
    std::vector<KeptRow*> rows;
    KeyedRows::ForEachRow(group, [&](KeptRow& row) {
      if (row.weight != 0) rows.push_back(&row);
    });
    for (size_t at = 0; at < rows.size(); at += kBatchRows) {
      const auto part =
          std::span(rows).subspan(at, std::min(kBatchRows, rows.size() - at));
      const Intervals intervals = WEIR_TRY(IntervalsOf(*WEIR_TRY(BatchOf(part))));
      for (size_t i = 0; i < part.size(); ++i) {
        const bool begun = HasBegun(intervals.from[i]);
        sorted_.push_back({begun ? intervals.to[i] : intervals.from[i], part[i]});
      }
    }
    std::make_heap(sorted_.begin(), sorted_.end(), Later);
    return {};
  }

  bool HasBegun(Micros from) const { return time_ != kNoTime && from <= time_; }

  Result<std::shared_ptr<arrow::RecordBatch>> BatchOf(std::span<KeptRow* const> rows) {
    for (const KeptRow* row : rows) WEIR_TRY(reader_.Append(*row));
    return reader_.Finish();
  }

  // Of rows whose next change is due at `time`: out they go, or in, to be kept until they
  // end.
  Status Move(Group* group, std::span<KeptRow* const> due, Micros time, Emitter& out) {
    data::Batch rows{WEIR_TRY(BatchOf(due)), {}};
    const Intervals intervals = WEIR_TRY(IntervalsOf(*rows.rows));
    std::vector<int32_t> moved, weights, kept, kept_weights;
    std::vector<Micros> next;
    for (size_t i = 0; i < due.size(); ++i) {
      const auto row = static_cast<int32_t>(i);
      const int64_t weight = due[i]->weight;
      const Micros to = intervals.to[i];
      const bool ends = HasBegun(intervals.from[i]);
      if (ends || time < to) {
        WEIR_TRY(AppendWeights(ends ? -weight : weight, &weights, [&]() -> Status {
          moved.push_back(row);
          return {};
        }));
      }
      if (!ends && time < to && to != kNever) {
        WEIR_TRY(AppendWeights(weight, &kept_weights, [&]() -> Status {
          kept.push_back(row);
          next.push_back(to);
          return {};
        }));
      }
      rows_->Change(group, due[i], -weight);
    }
    if (!kept.empty()) {
      data::Batch again = WEIR_TRY(data::Take(rows, kept));
      again.weights = std::move(kept_weights);
      WEIR_TRY(Keep(again, next));
    }
    if (moved.empty()) return {};
    data::Batch changes = WEIR_TRY(data::Take(rows, moved));
    if (std::any_of(weights.begin(), weights.end(), [](int32_t w) { return w != 1; }))
      changes.weights = std::move(weights);
    return out.Emit(std::move(changes));
  }

  void EndStep() {
    rows_->EndStep();
    in_step_ = false;
  }

  const TemporalSpec spec_;
  std::unique_ptr<KeyedRows> rows_;
  KeptRowReader reader_;
  std::set<int64_t> buckets_;  // that may have rows
  Micros time_, stored_time_;
  const std::string space_;
  int64_t memory_bytes_max_;
  bool in_step_ = false;

  // The rows of the bucket that the time is in, the next to change at the front (a heap);
  // until the next commit. A row may stand in it several times, or have no weight any
  // more.
  std::vector<Due> sorted_;
  int64_t sorted_bucket_ = kNoBucket;
};

}  // namespace

Result<std::unique_ptr<Operator>> NewTemporal(TemporalSpec spec,
                                              const data::Schema& input,
                                              state::Store* store, std::string space,
                                              int64_t memory_bytes_max) {
  for (const int column : {spec.from, spec.to}) {
    if (column < 0) continue;
    if (static_cast<size_t>(column) >= input.fields.size())
      return Invalid("a bound of a row's time does not exist");
    const data::Field& field = input.fields[static_cast<size_t>(column)];
    if (field.type.kind != data::Kind::kTimestamp &&
        field.type.kind != data::Kind::kTimestampTz)
      return Invalid("the time of a row is bounded by " + field.name + " of type " +
                     data::TypeName(field.type) + ", which is no timestamp");
  }
  auto rows = WEIR_TRY(KeyedRows::Make(input, true, store, space, '0', memory_bytes_max));
  std::set<int64_t> buckets;
  WEIR_TRY(rows->ForEachStoredKey(
      [&](Hash128 key) { buckets.insert(static_cast<int64_t>(key.low)); }));
  Micros time = kNoTime;
  if (store != nullptr) {
    const auto stored = WEIR_TRY(store->GetMany(space, std::span(&kTime, 1)));
    if (stored[0].has_value()) {
      if (stored[0]->size() != sizeof time) return Corrupt("a stored time is malformed");
      time = ReadAs<Micros>(stored[0]->data());
    }
  }
  return std::unique_ptr<Operator>(
      std::make_unique<Temporal>(spec, std::move(rows), std::move(buckets), time,
                                 std::move(space), memory_bytes_max));
}

Result<Micros> OldestTime(state::Store& store, const std::string& space) {
  const auto rows = WEIR_TRY(KeyedRows::Make(data::Schema(), true, &store, space, '0',
                                             /*bytes_max=*/0));
  Micros oldest = kNoTime;
  WEIR_TRY(rows->ForEachStoredKey([&](Hash128 key) {
    const Micros begin = static_cast<int64_t>(key.low) << kBucketBits;
    if (oldest == kNoTime || begin < oldest) oldest = begin;
  }));
  return oldest;
}

}  // namespace weir::ops
