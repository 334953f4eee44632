#include "ops/components.h"

#include <arrow/api.h>

#include <algorithm>
#include <array>
#include <compare>
#include <numeric>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "data/arrow.h"
#include "ops/component_history.h"
#include "ops/keyed_rows.h"
#include "ops/sorted_sequence.h"
#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

constexpr size_t kBatchRows = 64 << 10;
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

// What comes out over the rows of a region that are there before (0) or now (1), in
// order.
std::vector<Outcome> Outcomes(const Region& region, size_t time) {
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

// What is kept of a row of a value, with history: since when a record carries it, whether
// for ever, and which one. As an entry of SortedRows it is the key of that time, whether
// it is for ever, the hash of the record, the time as a row, and the bytes of the key.
struct Carriage {
  std::string_view from;  // its key
  bool open;
  Hash128 record;
  std::string_view from_row;

  explicit Carriage(std::string_view entry) : from(OrderOfEntry(entry)) {
    const std::string_view row = RowOfEntry(entry);
    open = row[0] != 0;
    record = ReadAs<Hash128>(row.data() + 1);
    from_row = row.substr(1 + sizeof record);
  }
};

std::string EntryOf(std::string_view from, bool open, Hash128 record,
                    std::span<const InputColumn> from_column, size_t row) {
  std::string out(from);
  out += open ? '\1' : '\0';
  AppendAs(record, &out);
  AppendRow(from_column, row, &out);
  AppendAs(static_cast<uint32_t>(from.size()), &out);
  return out;
}

class Components final : public Operator {
 public:
  Components(ComponentsSpec spec, const data::Schema& output,
             std::unique_ptr<KeyedRows> rows, std::unique_ptr<KeyedRows> carriers,
             std::unique_ptr<SortedRows> carriages, std::unique_ptr<KeyedRows> firsts,
             std::unique_ptr<KeyedRows> members, int64_t memory_bytes_max)
      : spec_(std::move(spec)),
        output_(data::ToArrow(output)),
        rows_(std::move(rows)),
        carriers_(std::move(carriers)),
        carriages_(std::move(carriages)),
        firsts_(std::move(firsts)),
        members_(std::move(members)),
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
    const std::vector<Hash128> hashes =
        WEIR_TRY(data::HashKeys(*changes.rows, spec_.record));
    WEIR_TRY(rows_->Add(changes, hashes, {}));
    if (has_history()) return AddCarriages(changes, hashes);
    const data::Batch records = data::SelectColumns(changes, spec_.record);
    for (size_t v = 0; v < spec_.values.size(); ++v) {
      const Values values = WEIR_TRY(ValuesOf(*changes.rows, v));
      WEIR_TRY(carriers_->Add(records, values.hashes, values.missing));
    }
    return {};
  }

  Status Flush(Emitter& out) override {
    WEIR_TRY(rows_->CheckStep());
    if (!has_history()) WEIR_TRY(carriers_->CheckStep());
    if (has_history()) {
      const Region region = WEIR_TRY(WalkInTime());
      WEIR_TRY(EmitChanges(region, OutcomesInTime(region, 0, spec_.most),
                           OutcomesInTime(region, 1, spec_.most), out));
      rows_->EndStep();
      return carriages_->BeginStep();
    }
    StepChanges changes = WEIR_TRY(ChangesOfStep());
    HashSet walked(changes.cut.begin(), changes.cut.end());
    const Region region = WEIR_TRY(Walk(&walked));
    WEIR_TRY(EmitChanges(region, Outcomes(region, 0), Outcomes(region, 1), out));
    WEIR_TRY(Join(changes, walked, out));
    for (KeyedRows* kept : Kept()) kept->EndStep();
    return {};
  }

  Status Checkpoint(state::Delta& delta) override {
    for (KeyedRows* kept : Kept()) WEIR_TRY(kept->Checkpoint(delta));
    return has_history() ? carriages_->Checkpoint(delta) : Status();
  }

  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override {
    int64_t left = memory_bytes_max_, shares = has_history() ? 2 : 4;
    for (KeyedRows* kept : Kept()) {
      kept->Committed(left / shares--);
      left -= std::min(left, kept->bytes());
    }
    if (has_history()) carriages_->Committed(left);
  }

  int64_t state_bytes() const override {
    int64_t bytes = has_history() ? carriages_->bytes() : 0;
    for (const KeyedRows* kept : Kept()) bytes += kept->bytes();
    return bytes;
  }
  int64_t state_keys() const override {
    return rows_->keys() + (has_history() ? carriages_->keys() : carriers_->keys());
  }

 private:
  bool has_history() const { return spec_.from >= 0; }
  std::vector<KeyedRows*> Kept() const {
    if (has_history()) return {rows_.get()};
    return {rows_.get(), carriers_.get(), firsts_.get(), members_.get()};
  }

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

  // The times of a batch. A row that is not there at any is passed over.
  struct Times {
    std::array<InputColumn, 2> columns;  // from, to
    std::array<data::RowBytes, 2> keys;

    bool open(size_t row) const { return columns[1].IsNull(row); }
    bool Has(size_t row) const {
      return !columns[0].IsNull(row) && (open(row) || keys[0][row] < keys[1][row]);
    }
  };
  Result<Times> TimesOf(const arrow::RecordBatch& batch) const {
    return Times{
        {WEIR_TRY(ColumnOf(batch, spec_.from)), WEIR_TRY(ColumnOf(batch, spec_.to))},
        {WEIR_TRY(data::EncodeKeys(batch, std::span(&spec_.from, 1))),
         WEIR_TRY(data::EncodeKeys(batch, std::span(&spec_.to, 1)))}};
  }

  Status AddCarriages(const data::Batch& changes, std::span<const Hash128> records) {
    const Times times = WEIR_TRY(TimesOf(*changes.rows));
    const std::span from(times.columns.data(), 1);
    for (size_t v = 0; v < spec_.values.size(); ++v) {
      const Values values = WEIR_TRY(ValuesOf(*changes.rows, v));
      std::vector<Hash128> keys;
      std::vector<std::string> entries;
      std::vector<int64_t> weights;
      for (size_t i = 0; i < records.size(); ++i) {
        if (!times.Has(i) || (!values.missing.empty() && values.missing[i] != 0))
          continue;
        keys.push_back(values.hashes[i]);
        entries.push_back(EntryOf(times.keys[0][i], times.open(i), records[i], from, i));
        weights.push_back(changes.weight(static_cast<int64_t>(i)));
      }
      WEIR_TRY(carriages_->Load(keys, 0, entries));
      for (size_t i = 0; i < keys.size(); ++i)
        carriages_->Add(carriages_->FindOrInsert(keys[i]), 0, entries[i], weights[i]);
    }
    return {};
  }

  // What a step did to records, values and order.
  struct StepChanges {
    std::vector<Hash128> cut;     // records whose component may lose links or its first
    std::vector<Hash128> joined;  // others that came or are earlier in the order
    struct Link {
      Hash128 value, record;
    };
    // With another record that carried the value when the step began.
    std::vector<Link> links;
    std::vector<Hash128> begin;  // values that link their records from now on
    // Records that were read for this, without their values, and their numbers.
    Region known;
    std::unordered_map<Hash128, uint32_t, Hash128Hasher> numbers;
  };

  Status ReadKnown(std::span<const Hash128> records, StepChanges* changes) {
    for (const Hash128& record : records)
      changes->numbers.emplace(record, static_cast<uint32_t>(changes->numbers.size()));
    return ReadRecords(records, &changes->known);
  }

  Result<StepChanges> ChangesOfStep() {
    StepChanges out;
    out.known = NewRegion();
    out.known.with_values = false;
    HashSet cut, joined, begin;
    const auto numbers = CarrierChanges();
    for (const auto& [group, row] : carriers_->touched_rows()) {
      const int64_t now = KeyOf(group).row_count, before = now - numbers.at(group->hash);
      const bool was = carriers_->Before(*row) > 0, is = row->weight > 0;
      if (was == is) continue;
      joined.insert(row->hash);
      if (Links(before) && (was || !Links(now))) cut.insert(row->hash);
      if (Links(now) && !Links(before)) begin.insert(group->hash);
      if (Links(now) && Links(before) && is)
        out.links.push_back({group->hash, row->hash});
    }
    for (const auto& [group, row] : rows_->touched_rows()) {
      if ((rows_->Before(*row) > 0) != (row->weight > 0)) joined.insert(group->hash);
    }
    // One that goes or comes later in the order may have been the first.
    const std::vector<Hash128> records(joined.begin(), joined.end());
    WEIR_TRY(ReadKnown(records, &out));
    for (size_t i = 0; i < records.size(); ++i) {
      const std::string &before = out.known.first[0][i], &now = out.known.first[1][i];
      if (cut.contains(records[i])) continue;
      if (!before.empty() && (now.empty() || before < now)) {
        const Hash128 first = WEIR_TRY(FirstOf(records[i]));
        if (now.empty() || first == records[i]) cut.insert(records[i]);
      }
      if (!now.empty() && (before.empty() || now < before))
        out.joined.push_back(records[i]);
    }
    out.cut.assign(cut.begin(), cut.end());
    out.begin.assign(begin.begin(), begin.end());
    return out;
  }

  // The only row of a record's.
  Result<const KeptRow*> FirstRowOf(const Hash128& record) {
    WEIR_TRY(firsts_->Load(std::span(&record, 1), KeyedRows::Depth::kRows));
    const KeptRow* out = nullptr;
    KeyedRows::ForEachRow(firsts_->Find(record), [&](const KeptRow& row) {
      if (row.weight > 0) out = &row;
    });
    if (out == nullptr) return Corrupt("the first record of a component is not stored");
    return out;
  }
  Result<Hash128> FirstOf(const Hash128& record) {
    return WEIR_TRY(FirstRowOf(record))->hash;
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

  // What the rows of a value lead to, before the step or after it.
  struct Reach {
    std::optional<std::string> until;  // from times before that, nullopt: from all
    bool walked = false;
  };

  // With history: each row has times of its own, so that any that came or went counts.
  Result<Region> WalkInTime() {
    Region region = NewRegion();
    HashSet records;
    for (const auto& [group, row] : rows_->touched_rows()) {
      if ((rows_->Before(*row) > 0) != (row->weight > 0)) records.insert(group->hash);
    }
    std::unordered_map<Hash128, std::span<const SortedRows::Change>, Hash128Hasher>
        changes;
    for (const SortedRows::Touched& touched : WEIR_TRY(carriages_->EndOfStep()))
      changes.emplace(touched.group->hash, touched.changes[0]);
    using Changes = std::span<const SortedRows::Change>;
    const auto changes_of = [&](const Hash128& value) {
      const auto found = changes.find(value);
      return found == changes.end() ? Changes() : found->second;
    };
    std::vector<Hash128> frontier(records.begin(), records.end());
    std::vector<Reach> reaches;  // by value
    for (size_t row = 0; !frontier.empty();) {
      WEIR_TRY(ReadRecords(frontier, &region));
      frontier.clear();
      while (reaches.size() < region.values.size()) {
        const Hash128 value = region.values[reaches.size()];
        reaches.push_back(WEIR_TRY(ReachOf(value, changes_of(value), &region)));
      }
      for (; row < region.rows.size(); ++row) {
        for (const uint32_t value : region.rows[row].values) {
          Reach& reach = reaches[value];
          if (reach.walked ||
              (reach.until && region.times[region.rows[row].from] >= *reach.until))
            continue;
          reach.walked = true;
          WEIR_TRY(Follow(region.values[value], changes_of(region.values[value]), reach,
                          [&](const Hash128& record) {
                            if (records.insert(record).second) frontier.push_back(record);
                          }));
        }
      }
    }
    return region;
  }

  // In order of their times, as they were when the step began (0) or are (1).
  Result<Sequence> Carriages(const Hash128& value,
                             std::span<const SortedRows::Change> changes, size_t time) {
    const std::string start;
    WEIR_TRY(carriages_->Load(std::span(&value, 1), 0, std::span(&start, 1)));
    return Sequence(carriages_->From(carriages_->FindOrInsert(value), 0, ""),
                    time == 0 ? changes : std::span<const SortedRows::Change>(), "");
  }

  template <class Visit>
  Status Follow(const Hash128& value, std::span<const SortedRows::Change> changes,
                const Reach& reach, Visit&& visit) {
    for (const size_t time : {size_t{0}, size_t{1}}) {
      for (Sequence rows = WEIR_TRY(Carriages(value, changes, time)); !rows.AtEnd();
           rows.Next()) {
        const Carriage carriage(rows.entry());
        if (reach.until && carriage.from >= *reach.until) break;
        visit(carriage.record);
      }
    }
    return {};
  }

  // A value links none from the time on at which more than MAX records carry it for ever.
  // What is behind that is not read: no link depends on it, nor that time.
  Result<Reach> ReachOf(const Hash128& value, std::span<const SortedRows::Change> changes,
                        Region* region) {
    std::array<std::optional<std::string>, 2> untils;
    for (size_t time = 0; time < 2; ++time) {
      region->stops[time].push_back(kNone);
      if (spec_.most < 0) continue;
      HashSet open;
      for (Sequence rows = WEIR_TRY(Carriages(value, changes, time)); !rows.AtEnd();
           rows.Next()) {
        const Carriage carriage(rows.entry());
        if (!carriage.open || !open.insert(carriage.record).second ||
            static_cast<int64_t>(open.size()) <= spec_.most)
          continue;
        untils[time] = carriage.from;
        const auto [at, is_new] = region->time_numbers.emplace(
            carriage.from, static_cast<uint32_t>(region->times.size()));
        if (is_new) {
          region->times.emplace_back(carriage.from);
          WEIR_TRY(DecodeRow(carriage.from_row, region->time_cells));
        }
        region->stops[time].back() = at->second;
        break;
      }
    }
    if (!untils[0] || !untils[1]) return Reach{};
    return Reach{std::max(untils[0], untils[1])};
  }

  // All that links lead to from these records, before the step or now; becomes them.
  Result<Region> Walk(HashSet* walked) {
    HashSet& records = *walked;
    Region region = NewRegion();
    std::vector<Hash128> frontier(records.begin(), records.end());
    const auto changes = CarrierChanges();
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
    if (!region->with_values) return {};
    if (has_history()) WEIR_TRY(AddTimes(batch, order, rows, region));
    for (size_t v = 0; v < spec_.values.size(); ++v) {
      const Values of_rows = WEIR_TRY(ValuesOf(batch, v));
      for (size_t i = 0; i < rows.size(); ++i) {
        if (!of_rows.missing.empty() && of_rows.missing[i] != 0) continue;
        if (has_history() && rows[i].from == kNone) continue;
        const auto [at, is_new] = region->value_numbers.emplace(
            of_rows.hashes[i], static_cast<uint32_t>(region->values.size()));
        if (is_new) region->values.push_back(of_rows.hashes[i]);
        if (has_history()) {
          rows[i].values.push_back(at->second);
        } else {
          region->carried.push_back({rows[i].record, at->second, rows[i].there});
        }
      }
    }
    for (size_t i = 0; i < rows.size() && has_history(); ++i) {
      if (rows[i].from != kNone) region->rows.push_back(std::move(rows[i]));
    }
    return {};
  }

  // With history: of rows that are ever there.
  Status AddTimes(const arrow::RecordBatch& batch, const data::RowBytes& order,
                  std::span<Region::Row> rows, Region* region) {
    const Times times = WEIR_TRY(TimesOf(batch));
    const auto number = [&](size_t which, size_t i) {
      const auto [at, is_new] = region->time_numbers.emplace(
          times.keys[which][i], static_cast<uint32_t>(region->times.size()));
      if (is_new) {
        region->times.emplace_back(times.keys[which][i]);
        region->time_cells[0].Append(times.columns[which].Cell(i));
      }
      return at->second;
    };
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!times.Has(i)) continue;
      rows[i].from = number(0, i);
      if (!times.open(i)) rows[i].to = number(1, i);
      rows[i].order = order[i];
    }
    return {};
  }

  // A component that gets records or links, or a record that makes one.
  struct Part {
    Hash128 first;  // as it was; of a new record itself
    bool is_new;
    Hash128 now;            // the first as it is
    std::string order;      // of that
    uint32_t next = kNone;  // with what it is one component now
  };

  // Components that only get more: of those that become one the records whose first one
  // becomes another are read, and no others.
  Status Join(StepChanges& changes, const HashSet& walked, Emitter& out) {
    std::vector<Part> parts;
    std::unordered_map<Hash128, uint32_t, Hash128Hasher> numbers;  // by first
    HashSet came;
    const auto number_of = [&](const Hash128& record) -> Result<uint32_t> {
      const bool is_new = came.contains(record);
      const Hash128 first = is_new ? record : WEIR_TRY(FirstOf(record));
      const auto [at, is_first] =
          numbers.emplace(first, static_cast<uint32_t>(parts.size()));
      if (is_first) parts.push_back({first, is_new, first, {}});
      return at->second;
    };
    const auto find = [&](uint32_t i) {
      while (parts[i].next != kNone) {
        const uint32_t next = parts[parts[i].next].next;
        if (next != kNone) parts[i].next = next;
        i = parts[i].next;
      }
      return i;
    };
    const auto unite = [&](uint32_t a, uint32_t b) {
      a = find(a), b = find(b);
      if (a != b) parts[a].next = b;
    };
    std::vector<Hash128> joined;
    for (const Hash128& record : changes.joined) {
      if (walked.contains(record)) continue;
      joined.push_back(record);
      if (rows_->Before(rows_->Find(record)) == 0) came.insert(record);
    }
    std::vector<Hash128> known_before;
    for (const Hash128& record : joined) {
      if (!came.contains(record)) known_before.push_back(record);
    }
    for (const auto& [value, record] : changes.links) {
      if (!came.contains(record) && !walked.contains(record))
        known_before.push_back(record);
    }
    WEIR_TRY(firsts_->Load(known_before, KeyedRows::Depth::kRows));
    for (const Hash128& record : joined) WEIR_TRY(number_of(record));
    std::unordered_map<Hash128, uint32_t, Hash128Hasher> carriers;  // by value: a part
    for (const auto& [value, record] : changes.links) {
      if (walked.contains(record)) continue;
      auto at = carriers.find(value);
      if (at == carriers.end()) {
        const KeptRow* kept = WEIR_TRY(carriers_->AnyKept(value));
        if (kept == nullptr)
          return Corrupt("a record that carries a value is not stored");
        at = carriers.emplace(value, WEIR_TRY(number_of(kept->hash))).first;
      }
      unite(at->second, WEIR_TRY(number_of(record)));
    }
    WEIR_TRY(carriers_->Load(changes.begin, KeyedRows::Depth::kRows));
    for (const Hash128& value : changes.begin) {
      std::vector<Hash128> records;
      KeyedRows::ForEachRow(carriers_->Find(value), [&](const KeptRow& row) {
        if (row.weight > 0) records.push_back(row.hash);
      });
      if (walked.contains(records[0])) continue;  // so are all
      for (const Hash128& record : records)
        unite(WEIR_TRY(number_of(records[0])), WEIR_TRY(number_of(record)));
    }

    // Who is first now.
    std::vector<Hash128> unknown;
    for (const Part& part : parts) {
      if (!changes.numbers.contains(part.first)) unknown.push_back(part.first);
    }
    WEIR_TRY(ReadKnown(unknown, &changes));
    const Region& known = changes.known;
    const auto offer = [&](uint32_t part, const Hash128& record) {
      Part& root = parts[find(part)];
      const std::string& order = known.first[1][changes.numbers.at(record)];
      if (!root.order.empty() && root.order <= order) return;
      root.order = order;
      root.now = record;
    };
    for (uint32_t i = 0; i < parts.size(); ++i) offer(i, parts[i].first);
    for (const Hash128& record : joined) offer(WEIR_TRY(number_of(record)), record);

    const size_t cells = known.cells.size();
    const auto append = [&](size_t from, const Hash128& record) {
      for (size_t c = 0; c < cells; ++c)
        columns_[from + c].AppendFrom(known.cells[c], changes.numbers.at(record));
    };
    for (uint32_t i = 0; i < parts.size(); ++i) {
      const Part& part = parts[i];
      const Hash128 now = parts[find(i)].now;
      if (part.is_new) {
        append(0, part.first);
        append(cells, now);
        weights_.push_back(1);
      } else if (now != part.first) {
        WEIR_TRY(members_->Load(std::span(&part.first, 1), KeyedRows::Depth::kRows));
        Status status;
        KeyedRows::ForEachRow(members_->Find(part.first), [&](const KeptRow& row) {
          if (row.weight == 0 || !status.ok()) return;
          for (const int32_t weight : {-1, 1}) {
            if (status.ok())
              status = DecodeRow(row.bytes(), std::span(columns_).first(cells));
            append(cells, weight < 0 ? part.first : now);
            weights_.push_back(weight);
          }
        });
        WEIR_TRY(std::move(status));
      }
      if (weights_.size() >= kBatchRows) WEIR_TRY(Emit(out));
    }
    return weights_.empty() ? Status() : Emit(out);
  }

  // What was appended to the columns and weights.
  Status Emit(Emitter& out) {
    data::Batch batch{WEIR_TRY(FinishRows(output_, columns_)), std::move(weights_)};
    weights_.clear();
    if (!has_history()) {
      std::vector<int> record(spec_.record.size()), first(record.size());
      std::iota(record.begin(), record.end(), 0);
      std::iota(first.begin(), first.end(), static_cast<int>(record.size()));
      const std::vector<Hash128> records = WEIR_TRY(data::HashKeys(*batch.rows, record)),
                                 firsts = WEIR_TRY(data::HashKeys(*batch.rows, first));
      WEIR_TRY(firsts_->Add(data::SelectColumns(batch, first), records, {}));
      WEIR_TRY(members_->Add(data::SelectColumns(batch, record), firsts, {}));
    }
    return out.Emit(std::move(batch));
  }

  Status EmitChanges(const Region& region, std::span<const Outcome> before,
                     std::span<const Outcome> now, Emitter& out) {
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
      weights_.push_back(weight);
      return weights_.size() >= kBatchRows ? Emit(out) : Status();
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
    return weights_.empty() ? Status() : Emit(out);
  }

  const ComponentsSpec spec_;
  const std::shared_ptr<arrow::Schema> output_;
  const std::unique_ptr<KeyedRows> rows_;        // by record
  const std::unique_ptr<KeyedRows> carriers_;    // records by value, without history
  const std::unique_ptr<SortedRows> carriages_;  // the same in order of time, with it
  // What was put out, without history: by record the first of its component, and by that
  // its records.
  const std::unique_ptr<KeyedRows> firsts_, members_;
  KeptRowReader reader_;
  int64_t memory_bytes_max_;
  std::vector<int> order_;           // columns that decide which record is first
  std::vector<CellColumn> columns_;  // about to be put out
  std::vector<int32_t> weights_;
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
  auto rows =
      WEIR_TRY(KeyedRows::Make(input, true, store, space, '0', memory_bytes_max / 2));
  std::unique_ptr<KeyedRows> carriers, firsts, members;
  std::unique_ptr<SortedRows> carriages;
  if (history) {
    carriages = WEIR_TRY(SortedRows::Make(1, store, std::move(space)));
  } else {
    const int64_t each = memory_bytes_max / 6;
    carriers = WEIR_TRY(KeyedRows::Make(record, true, store, space, '1', each));
    firsts = WEIR_TRY(KeyedRows::Make(record, true, store, space, '2', each));
    members = WEIR_TRY(KeyedRows::Make(record, true, store, std::move(space), '3', each));
  }
  return std::unique_ptr<Operator>(std::make_unique<Components>(
      std::move(spec), output, std::move(rows), std::move(carriers), std::move(carriages),
      std::move(firsts), std::move(members), memory_bytes_max));
}

}  // namespace weir::ops
