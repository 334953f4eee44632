#include "ops/components.h"

#include <arrow/api.h>

#include <algorithm>
#include <compare>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "data/arrow.h"
#include "ops/keyed_rows.h"
#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

constexpr size_t kBatchRows = 64 << 10;
constexpr uint32_t kNone = ~uint32_t{0};

// Values of different columns are different values.
Hash128 HashOfValue(Hash128 value, size_t column) {
  struct {
    Hash128 value;
    uint64_t column;
  } const bytes{value, column};
  return HashBytes128({reinterpret_cast<const char*>(&bytes), sizeof bytes});
}

using HashSet = std::unordered_set<Hash128, Hash128Hasher>;

// Disjoint sets of numbers.
class Sets {
 public:
  explicit Sets(size_t count) : parents_(count) {
    std::iota(parents_.begin(), parents_.end(), 0u);
  }
  uint32_t Find(uint32_t i) {
    while (parents_[i] != i) i = parents_[i] = parents_[parents_[i]];
    return i;
  }
  void Unite(uint32_t i, uint32_t j) { parents_[Find(i)] = Find(j); }

 private:
  std::vector<uint32_t> parents_;
};

// The records that a step may change: those it touched, and all that values lead to from
// them, before the step or after it.
struct Region {
  struct Row {
    uint32_t record;
    bool there[2];                      // before and now
    uint32_t from = kNone, to = kNone;  // with history: numbers of times
    std::string order = std::string();  // with history
    std::vector<uint32_t> values = {};  // with history
  };
  // Which record carries which value; without history.
  struct Carried {
    uint32_t record, value;
    bool there[2];
  };

  // By record.
  std::vector<std::string> first[2];  // least order key before and now; empty: not there
  std::vector<CellColumn> cells;      // the record columns
  // By value.
  std::vector<Hash128> values;
  std::unordered_map<Hash128, uint32_t, Hash128Hasher> value_numbers;
  std::vector<bool> links[2];  // whether it links its records, before and now

  std::vector<Carried> carried;
  // With history.
  std::vector<Row> rows;
  std::vector<std::string> times;  // their keys
  std::vector<CellColumn> time_cells;
  std::unordered_map<std::string, uint32_t> time_numbers;

  size_t records() const { return first[0].size(); }
};

// A record, the first of its component and since when and until when it is.
struct Outcome {
  uint32_t record, first, since = kNone, until = kNone;
  friend auto operator<=>(const Outcome&, const Outcome&) = default;
};

// What comes out over the rows of a region that are there before (0) or now (1), in
// order.
std::vector<Outcome> Outcomes(const Region& region, int time) {
  const std::vector<std::string>& order = region.first[time];
  Sets sets(region.records());
  std::vector<uint32_t> carrier(region.links[time].size(), kNone);
  for (const Region::Carried& carried : region.carried) {
    if (!carried.there[time] || !region.links[time][carried.value]) continue;
    uint32_t& other = carrier[carried.value];
    if (other == kNone) {
      other = carried.record;
    } else {
      sets.Unite(carried.record, other);
    }
  }
  std::vector<uint32_t> first(region.records(), kNone);
  for (uint32_t record = 0; record < region.records(); ++record) {
    if (order[record].empty()) continue;
    uint32_t& least = first[sets.Find(record)];
    if (least == kNone || order[record] < order[least]) least = record;
  }
  std::vector<Outcome> out;
  for (uint32_t record = 0; record < region.records(); ++record) {
    if (!order[record].empty()) out.push_back({record, first[sets.Find(record)]});
  }
  return out;
}

// The same with history. Records that nothing ever linked do not meet, so that each set
// of them has its own moments.
class History {
 public:
  History(const Region& region, int time, int64_t most)
      : region_(region), time_(time), most_(most), carriers_(region.values.size()) {}

  std::vector<Outcome> Make() {
    Sets sets(region_.records());
    std::vector<uint32_t> carrier(region_.values.size(), kNone);
    for (const Region::Row& row : region_.rows) {
      if (!row.there[time_]) continue;
      for (const uint32_t value : row.values) {
        uint32_t& other = carrier[value];
        if (other == kNone) other = row.record;
        sets.Unite(row.record, other);
      }
    }
    std::unordered_map<uint32_t, std::vector<const Region::Row*>> parts;
    for (const Region::Row& row : region_.rows) {
      if (row.there[time_]) parts[sets.Find(row.record)].push_back(&row);
    }
    for (auto& [root, rows] : parts) Part(rows);
    std::sort(out_.begin(), out_.end());
    return std::move(out_);
  }

 private:
  bool Before(uint32_t a, uint32_t b) const {
    return region_.times[a] < region_.times[b];
  }

  void Part(std::vector<const Region::Row*>& rows) {
    std::vector<uint32_t> moments;
    for (const Region::Row* row : rows) {
      moments.push_back(row->from);
      if (row->to != kNone) moments.push_back(row->to);
    }
    const auto before = [&](uint32_t a, uint32_t b) { return Before(a, b); };
    std::sort(moments.begin(), moments.end(), before);
    moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
    std::sort(rows.begin(), rows.end(), [&](const Region::Row* a, const Region::Row* b) {
      return Before(a->from, b->from);
    });
    std::vector<const Region::Row*> there;
    std::vector<uint32_t> present, present_before;  // records
    size_t next = 0;
    for (const uint32_t moment : moments) {
      std::erase_if(there, [&](const Region::Row* row) { return row->to == moment; });
      for (; next < rows.size() && rows[next]->from == moment; ++next)
        there.push_back(rows[next]);
      present.clear();
      const std::vector<std::pair<uint32_t, uint32_t>> states = States(there);
      for (const auto& [record, first] : states) {
        present.push_back(record);
        const auto [open, is_new] = open_.emplace(record, Outcome{record, first, moment});
        if (is_new || open->second.first == first) continue;
        Close(open->second, moment);
        open->second = {record, first, moment};
      }
      for (const uint32_t record : present_before) {
        if (std::binary_search(present.begin(), present.end(), record)) continue;
        Close(open_.at(record), moment);
        open_.erase(record);
      }
      present_before = present;
    }
    for (const auto& [record, open] : open_) Close(open, kNone);
    open_.clear();
  }

  void Close(Outcome open, uint32_t moment) {
    open.until = moment;
    out_.push_back(open);
  }

  // Of each record of these rows the first of its component, in order of the records.
  std::vector<std::pair<uint32_t, uint32_t>> States(
      const std::vector<const Region::Row*>& rows) {
    std::map<uint32_t, uint32_t> numbers;  // of records here
    for (const Region::Row* row : rows) numbers.emplace(row->record, 0);
    std::vector<uint32_t> records;
    for (auto& [record, number] : numbers) {
      number = static_cast<uint32_t>(records.size());
      records.push_back(record);
    }
    std::vector<std::string_view> order(records.size());
    std::vector<uint32_t> touched;
    for (const Region::Row* row : rows) {
      const uint32_t number = numbers[row->record];
      if (order[number].empty() || row->order < order[number]) order[number] = row->order;
      for (const uint32_t value : row->values) {
        if (carriers_[value].empty()) touched.push_back(value);
        carriers_[value].push_back(number);
      }
    }
    Sets sets(records.size());
    for (const uint32_t value : touched) {
      std::vector<uint32_t>& carriers = carriers_[value];
      std::sort(carriers.begin(), carriers.end());
      carriers.erase(std::unique(carriers.begin(), carriers.end()), carriers.end());
      if (most_ < 0 || static_cast<int64_t>(carriers.size()) <= most_) {
        for (const uint32_t other : carriers) sets.Unite(other, carriers[0]);
      }
      carriers.clear();
    }
    std::vector<uint32_t> first(records.size(), kNone);
    for (uint32_t i = 0; i < records.size(); ++i) {
      uint32_t& least = first[sets.Find(i)];
      if (least == kNone || order[i] < order[least]) least = i;
    }
    std::vector<std::pair<uint32_t, uint32_t>> out;
    for (uint32_t i = 0; i < records.size(); ++i)
      out.emplace_back(records[i], records[first[sets.Find(i)]]);
    return out;
  }

  const Region& region_;
  const int time_;
  const int64_t most_;
  std::vector<std::vector<uint32_t>> carriers_;  // empty between two moments
  std::unordered_map<uint32_t, Outcome> open_;   // spans that have not ended, by record
  std::vector<Outcome> out_;
};

class Components final : public Operator {
 public:
  Components(ComponentsSpec spec, const data::Schema& output,
             std::unique_ptr<KeyedRows> rows, std::unique_ptr<KeyedRows> carriers,
             int64_t memory_bytes_max)
      : spec_(std::move(spec)),
        output_(data::ToArrow(output)),
        rows_(std::move(rows)),
        carriers_(std::move(carriers)),
        reader_(rows_->schema()),
        memory_bytes_max_(memory_bytes_max) {
    if (spec_.sequence >= 0 || has_history())
      order_.push_back(spec_.sequence >= 0 ? spec_.sequence : spec_.from);
    order_.insert(order_.end(), spec_.record.begin(), spec_.record.end());
    for (const data::Field& field : output.fields) columns_.emplace_back(field.type);
  }

  Status Process(int, data::Batch changes, Emitter&) override {
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    WEIR_TRY(
        rows_->Add(changes, WEIR_TRY(data::HashKeys(*changes.rows, spec_.record)), {}));
    const data::Batch records = data::SelectColumns(changes, spec_.record);
    for (size_t v = 0; v < spec_.values.size(); ++v) {
      const Values values = WEIR_TRY(ValuesOf(*changes.rows, v));
      WEIR_TRY(carriers_->Add(records, values.hashes, values.missing));
    }
    return {};
  }

  Status Flush(Emitter& out) override {
    WEIR_TRY(rows_->CheckStep());
    WEIR_TRY(carriers_->CheckStep());
    Region region = WEIR_TRY(Walk());
    if (region.records() > 0) {
      const auto outcomes = [&](int time) {
        return has_history() ? History(region, time, spec_.most).Make()
                             : Outcomes(region, time);
      };
      WEIR_TRY(EmitChanges(region, outcomes(0), outcomes(1), out));
    }
    rows_->EndStep();
    carriers_->EndStep();
    return {};
  }

  Status Checkpoint(state::Delta& delta) override {
    WEIR_TRY(rows_->Checkpoint(delta));
    return carriers_->Checkpoint(delta);
  }

  void Committed() override {
    rows_->Committed(memory_bytes_max_ / 2);
    carriers_->Committed(
        std::max(memory_bytes_max_ / 2, memory_bytes_max_ - rows_->bytes()));
  }

  int64_t state_bytes() const override { return rows_->bytes() + carriers_->bytes(); }
  int64_t state_keys() const override { return rows_->keys() + carriers_->keys(); }

 private:
  bool has_history() const { return spec_.from >= 0; }

  struct Values {
    std::vector<Hash128> hashes;
    std::vector<uint8_t> missing;  // NULL
  };
  Result<Values> ValuesOf(const arrow::RecordBatch& rows, size_t v) const {
    const int column = spec_.values[v];
    Values out{WEIR_TRY(data::HashKeys(rows, std::span(&column, 1))), {}};
    for (Hash128& hash : out.hashes) hash = HashOfValue(hash, v);
    const arrow::Array& array = *rows.column(column);
    if (array.null_count() == 0) return out;
    out.missing.resize(out.hashes.size());
    for (size_t row = 0; row < out.hashes.size(); ++row)
      out.missing[row] = array.IsNull(static_cast<int64_t>(row));
    return out;
  }

  // Records that came or went, have another place in the order, or carry other values
  // than when the step began.
  Result<std::vector<Hash128>> ChangedRecords() {
    HashSet changed, touched;
    for (const auto& [group, row] : carriers_->touched_rows()) {
      if ((carriers_->Before(*row) > 0) != (row->weight > 0)) changed.insert(row->hash);
    }
    for (const auto& [group, row] : rows_->touched_rows()) {
      const bool was = rows_->Before(*row) > 0, is = row->weight > 0;
      if (was != is && !changed.contains(group->hash)) touched.insert(group->hash);
    }
    if (has_history()) {  // each row has times of its own
      changed.insert(touched.begin(), touched.end());
      touched.clear();
    }
    const std::vector<Hash128> unclear(touched.begin(), touched.end());
    Region region = NewRegion();
    WEIR_TRY(ReadRecords(unclear, &region));
    for (size_t i = 0; i < unclear.size(); ++i) {
      if (region.first[0][i] != region.first[1][i]) changed.insert(unclear[i]);
    }
    return std::vector<Hash128>(changed.begin(), changed.end());
  }

  // By how much the number of records that carry a value changed in this step.
  std::unordered_map<Hash128, int64_t, Hash128Hasher> CarrierChanges() const {
    std::unordered_map<Hash128, int64_t, Hash128Hasher> out;
    for (const auto& [group, row] : carriers_->touched_rows())
      out[group->hash] += (row->weight > 0) - (carriers_->Before(*row) > 0);
    return out;
  }

  bool Links(int64_t records) const {
    return records > 1 && (spec_.most < 0 || records <= spec_.most);
  }

  Region NewRegion() const {
    Region region;
    for (const int column : spec_.record)
      region.cells.emplace_back(rows_->schema().fields[static_cast<size_t>(column)].type);
    if (has_history())
      region.time_cells.emplace_back(
          rows_->schema().fields[static_cast<size_t>(spec_.from)].type);
    return region;
  }

  Result<Region> Walk() {
    Region region = NewRegion();
    std::vector<Hash128> frontier = WEIR_TRY(ChangedRecords());
    const auto changes = CarrierChanges();
    HashSet records(frontier.begin(), frontier.end());
    while (!frontier.empty()) {
      WEIR_TRY(ReadRecords(frontier, &region));
      std::vector<Hash128> reached(
          region.values.begin() + static_cast<std::ptrdiff_t>(region.links[0].size()),
          region.values.end());
      WEIR_TRY(carriers_->Load(reached, KeyedRows::Depth::kTotals));
      std::erase_if(reached, [&](const Hash128& value) {
        Group* group = carriers_->Find(value);
        const auto change = changes.find(value);
        const int64_t now = group == nullptr ? 0 : KeyOf(group).row_count;
        const int64_t before = now - (change == changes.end() ? 0 : change->second);
        region.links[0].push_back(Links(before));
        region.links[1].push_back(Links(now));
        if (has_history()) return before < 2 && now < 2;  // at times they may be fewer
        return !Links(before) && !Links(now);
      });
      WEIR_TRY(carriers_->Load(reached, KeyedRows::Depth::kRows));
      frontier.clear();
      for (const Hash128& value : reached) {
        KeyedRows::ForEachRow(carriers_->Find(value), [&](const KeptRow& row) {
          if (row.weight == 0 && carriers_->Before(row) == 0) return;
          if (records.insert(row.hash).second) frontier.push_back(row.hash);
        });
      }
    }
    return region;
  }

  // Adds records to the region; each value that is new there gets the next number.
  Status ReadRecords(std::span<const Hash128> records, Region* region) {
    WEIR_TRY(rows_->Load(records, KeyedRows::Depth::kRows));
    std::vector<Region::Row> rows;
    const auto read = [&]() -> Status {
      WEIR_TRY(AddRows(*WEIR_TRY(reader_.Finish()), rows, region));
      rows.clear();
      return {};
    };
    for (const Hash128& hash : records) {
      const auto record = static_cast<uint32_t>(region->records());
      for (auto& first : region->first) first.emplace_back();
      Status status;
      KeyedRows::ForEachRow(rows_->Find(hash), [&](const KeptRow& row) {
        const bool was = rows_->Before(row) > 0, is = row.weight > 0;
        if (!status.ok() || (!was && !is)) return;
        status = reader_.Append(row);
        rows.push_back({record, {was, is}});
      });
      WEIR_TRY(std::move(status));
      if (rows.size() >= kBatchRows) WEIR_TRY(read());
    }
    return rows.empty() ? Status() : read();
  }

  Result<InputColumn> ColumnOf(const arrow::RecordBatch& batch, int column) const {
    return InputColumn::Make(batch.column(column),
                             rows_->schema().fields[static_cast<size_t>(column)].type);
  }

  // The rows of a batch, which `rows` says more about.
  Status AddRows(const arrow::RecordBatch& batch, std::span<Region::Row> rows,
                 Region* region) {
    const data::RowBytes order = WEIR_TRY(data::EncodeKeys(batch, order_));
    std::vector<InputColumn> inputs;
    for (const int column : spec_.record)
      inputs.push_back(WEIR_TRY(ColumnOf(batch, column)));
    for (size_t i = 0; i < rows.size(); ++i) {
      const uint32_t record = rows[i].record;
      for (int time = 0; time < 2; ++time) {
        std::string& first = region->first[time][record];
        if (rows[i].there[time] && (first.empty() || order[i] < first)) first = order[i];
      }
      if (region->cells[0].size() > record) continue;  // an earlier row had them
      for (size_t c = 0; c < inputs.size(); ++c) {
        if (inputs[c].IsNull(i)) {
          region->cells[c].AppendNull();
        } else {
          region->cells[c].Append(inputs[c].Cell(i));
        }
      }
    }
    for (size_t v = 0; v < spec_.values.size(); ++v) {
      const Values of_rows = WEIR_TRY(ValuesOf(batch, v));
      for (size_t i = 0; i < rows.size(); ++i) {
        if (!of_rows.missing.empty() && of_rows.missing[i] != 0) continue;
        const auto [at, is_new] = region->value_numbers.emplace(
            of_rows.hashes[i], static_cast<uint32_t>(region->values.size()));
        if (is_new) region->values.push_back(of_rows.hashes[i]);
        if (has_history()) {
          rows[i].values.push_back(at->second);
        } else {
          region->carried.push_back(
              {rows[i].record, at->second, {rows[i].there[0], rows[i].there[1]}});
        }
      }
    }
    return has_history() ? AddTimes(batch, order, rows, region) : Status();
  }

  // With history: the rows that are ever there.
  Status AddTimes(const arrow::RecordBatch& batch, const data::RowBytes& order,
                  std::span<Region::Row> rows, Region* region) {
    const auto number = [&](const InputColumn& times, const data::RowBytes& keys,
                            size_t i) {
      if (times.IsNull(i)) return kNone;
      const auto [at, is_new] = region->time_numbers.emplace(
          keys[i], static_cast<uint32_t>(region->times.size()));
      if (is_new) {
        region->times.emplace_back(keys[i]);
        region->time_cells[0].Append(times.Cell(i));
      }
      return at->second;
    };
    const InputColumn from = WEIR_TRY(ColumnOf(batch, spec_.from)),
                      to = WEIR_TRY(ColumnOf(batch, spec_.to));
    const data::RowBytes from_keys =
                             WEIR_TRY(data::EncodeKeys(batch, std::span(&spec_.from, 1))),
                         to_keys =
                             WEIR_TRY(data::EncodeKeys(batch, std::span(&spec_.to, 1)));
    for (size_t i = 0; i < rows.size(); ++i) {
      if (from.IsNull(i) || (!to.IsNull(i) && from_keys[i] >= to_keys[i])) continue;
      rows[i].from = number(from, from_keys, i);
      rows[i].to = number(to, to_keys, i);
      rows[i].order = order[i];
      region->rows.push_back(std::move(rows[i]));
    }
    return {};
  }

  Status EmitChanges(const Region& region, std::span<const Outcome> before,
                     std::span<const Outcome> now, Emitter& out) {
    std::vector<int32_t> weights;
    const auto emit = [&]() -> Status {
      data::Batch batch{WEIR_TRY(FinishRows(output_, columns_)), std::move(weights)};
      weights.clear();
      return out.Emit(std::move(batch));
    };
    const auto add = [&](const Outcome& outcome, int32_t weight) -> Status {
      const size_t cells = region.cells.size();
      for (size_t c = 0; c < cells; ++c) {
        columns_[c].AppendFrom(region.cells[c], outcome.record);
        columns_[cells + c].AppendFrom(region.cells[c], outcome.first);
      }
      for (size_t c = 2 * cells; c < columns_.size(); ++c) {
        const uint32_t time = c == 2 * cells ? outcome.since : outcome.until;
        if (time == kNone) {
          columns_[c].AppendNull();
        } else {
          columns_[c].AppendFrom(region.time_cells[0], time);
        }
      }
      weights.push_back(weight);
      return weights.size() >= kBatchRows ? emit() : Status();
    };
    // Both are in order.
    while (!before.empty() || !now.empty()) {
      const auto order = before.empty() ? std::strong_ordering::greater
                         : now.empty()  ? std::strong_ordering::less
                                        : before[0] <=> now[0];
      if (order < 0) WEIR_TRY(add(before[0], -1));
      if (order > 0) WEIR_TRY(add(now[0], 1));
      if (order <= 0) before = before.subspan(1);
      if (order >= 0) now = now.subspan(1);
    }
    return weights.empty() ? Status() : emit();
  }

  const ComponentsSpec spec_;
  const std::shared_ptr<arrow::Schema> output_;
  const std::unique_ptr<KeyedRows> rows_;      // by record
  const std::unique_ptr<KeyedRows> carriers_;  // records by value
  KeptRowReader reader_;
  const int64_t memory_bytes_max_;
  std::vector<int> order_;  // columns that decide which record is first
  std::vector<CellColumn> columns_;
};

}  // namespace

Result<std::unique_ptr<Operator>> NewComponents(ComponentsSpec spec,
                                                const data::Schema& input,
                                                const data::Schema& output,
                                                state::Store* store, std::string space,
                                                int64_t memory_bytes_max) {
  if (spec.record.empty() || spec.values.empty())
    return Invalid("components need record columns and values");
  data::Schema record;
  const auto column = [&](int position) -> Result<data::Field> {
    if (position < 0 || static_cast<size_t>(position) >= input.fields.size())
      return Invalid("a column of components does not exist");
    data::Field field = input.fields[static_cast<size_t>(position)];
    if (field.type.is_nested())
      return Invalid("components do not compare the nested column " + field.name);
    return field;
  };
  for (const int position : spec.record) {
    record.fields.push_back(WEIR_TRY(column(position)));
    const data::Kind kind = record.fields.back().type.kind;
    if (kind == data::Kind::kFloat || kind == data::Kind::kDouble)
      return Invalid("a floating number identifies no record");
  }
  for (const int position : spec.values) WEIR_TRY(column(position));
  if (spec.sequence >= 0) WEIR_TRY(column(spec.sequence));
  const bool history = spec.from >= 0;
  if (history != (spec.to >= 0)) return Invalid("times are since when and until when");
  if (history) {
    const data::Type type = WEIR_TRY(column(spec.from)).type;
    if (WEIR_TRY(column(spec.to)).type != type)
      return Invalid("since when and until when have different types");
    if (type.kind == data::Kind::kFloat || type.kind == data::Kind::kDouble)
      return Invalid("a floating number is no time");
  }
  if (output.fields.size() != 2 * spec.record.size() + (history ? 2 : 0))
    return Invalid("components put out a record and the first of its component");
  auto rows = WEIR_TRY(KeyedRows::Make(input, true, store, space, '0'));
  auto carriers = WEIR_TRY(KeyedRows::Make(record, true, store, std::move(space), '1'));
  return std::unique_ptr<Operator>(std::make_unique<Components>(
      std::move(spec), output, std::move(rows), std::move(carriers), memory_bytes_max));
}

}  // namespace weir::ops
