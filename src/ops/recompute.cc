#include "ops/recompute.h"

#include <arrow/api.h>

#include <algorithm>

#include "data/arrow.h"
#include "ops/keyed_rows.h"
#include "ops/stored_groups.h"

namespace weir::ops {
namespace {

constexpr int64_t kChunkRows = 64 << 10;  // given to the function at once, about
constexpr size_t kBatchRows = 64 << 10;
constexpr std::string_view kHasResult =
    "e";  // a stored key: the result over no rows is out

class Recompute final : public Operator {
 public:
  struct Port {
    data::Schema schema;
    std::vector<int> keys;
    std::unique_ptr<KeyedRows> rows;
    std::unique_ptr<KeptRowReader> reader;
  };

  Recompute(std::vector<Port> ports, const data::Schema& output,
            RecomputeFunction function, std::string space, bool has_result,
            int64_t memory_bytes_max)
      : ports_(std::move(ports)),
        output_(data::ToArrow(output)),
        function_(std::move(function)),
        space_(std::move(space)),
        one_key_(ports_.empty() || ports_[0].keys.empty()),
        memory_bytes_max_(memory_bytes_max),
        has_result_(has_result),
        result_stored_(has_result) {}

  Status Process(int port, data::Batch changes, Emitter&) override {
    if (port < 0 || static_cast<size_t>(port) >= ports_.size())
      return Internal("a recomputation has no such port");
    changes = WEIR_TRY(WithoutZeros(std::move(changes)));
    if (changes.num_rows() == 0) return {};
    Port& to = ports_[static_cast<size_t>(port)];
    const std::vector<Hash128> keys = WEIR_TRY(data::HashKeys(*changes.rows, to.keys));
    return to.rows->Add(changes, keys, {});
  }

  Status Flush(Emitter& out) override {
    std::vector<Hash128> keys;
    for (const Port& port : ports_) {
      WEIR_TRY(port.rows->CheckStep());
      for (Group* group : port.rows->touched_keys()) keys.push_back(group->hash);
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    if (one_key_ && !has_result_) keys.assign(1, Hash128{});

    for (const Port& port : ports_)
      WEIR_TRY(port.rows->Load(keys, KeyedRows::Depth::kTotals));
    std::vector<Hash128> chunk;
    int64_t rows = 0;
    for (const Hash128& key : keys) {
      chunk.push_back(key);
      rows += RowsOf(key);
      if (rows < kChunkRows) continue;
      WEIR_TRY(RunChunk(chunk, out));
      chunk.clear();
      rows = 0;
    }
    if (!chunk.empty()) WEIR_TRY(RunChunk(chunk, out));
    for (Port& port : ports_) port.rows->EndStep();
    has_result_ = true;
    return {};
  }

  Status Checkpoint(state::Delta& delta) override {
    for (Port& port : ports_) WEIR_TRY(port.rows->Checkpoint(delta));
    if (one_key_ && has_result_ && !result_stored_) delta.Put(space_, kHasResult, "1");
    result_stored_ = has_result_;
    return {};
  }

  void SetMemory(int64_t bytes_max) override { memory_bytes_max_ = bytes_max; }
  void Committed() override {
    int64_t left = memory_bytes_max_;
    for (size_t i = 0; i < ports_.size(); ++i) {
      KeyedRows& rows = *ports_[i].rows;
      rows.Committed(left / static_cast<int64_t>(ports_.size() - i));
      left = std::max<int64_t>(0, left - rows.bytes());
    }
  }

  int64_t state_bytes() const override {
    int64_t out = 0;
    for (const Port& port : ports_) out += port.rows->bytes();
    return out;
  }
  int64_t state_keys() const override {
    int64_t out = 0;
    for (const Port& port : ports_) out += port.rows->keys();
    return out;
  }

 private:
  // How many rows the key has, before or now, and one, so that the function is not given
  // too many keys either.
  int64_t RowsOf(Hash128 key) const {
    int64_t out = 1;
    for (const Port& port : ports_) {
      if (Group* group = port.rows->Find(key))
        out += std::max(group->rows, port.rows->Before(group));
    }
    return out;
  }

  Status RunChunk(std::span<const Hash128> keys, Emitter& out) {
    for (const Port& port : ports_)
      WEIR_TRY(port.rows->Load(keys, KeyedRows::Depth::kRows));
    std::vector<data::Batch> changes;
    if (!one_key_ || has_result_) {
      for (data::Batch& batch : WEIR_TRY(Run(keys, true))) {
        batch.weights.assign(static_cast<size_t>(batch.num_rows()), -1);
        changes.push_back(std::move(batch));
      }
    }
    for (data::Batch& batch : WEIR_TRY(Run(keys, false)))
      changes.push_back(std::move(batch));
    if (changes.empty()) return {};
    const data::Batch all = WEIR_TRY(data::Concat(changes));
    data::Batch changed = WEIR_TRY(data::Consolidate(all));
    return changed.num_rows() == 0 ? Status() : out.Emit(std::move(changed));
  }

  // What the function makes of these keys' rows as they were before the step, or are now.
  Result<std::vector<data::Batch>> Run(std::span<const Hash128> keys, bool before) {
    std::vector<std::vector<data::Batch>> inputs(ports_.size());
    bool any = one_key_;
    for (size_t i = 0; i < ports_.size(); ++i) {
      Port& port = ports_[i];
      const auto finish = [&]() -> Status {
        if (port.reader->rows() == 0) return {};
        inputs[i].push_back({WEIR_TRY(port.reader->Finish()), {}});
        return {};
      };
      for (const Hash128& key : keys) {
        Group* group = port.rows->Find(key);
        if (group == nullptr) continue;
        Status status;
        KeyedRows::ForEachRow(group, [&](const KeptRow& row) {
          int64_t times = before ? port.rows->Before(row) : row.weight;
          for (; times > 0 && status.ok(); --times) {
            status = port.reader->Append(row);
            if (status.ok() && port.reader->rows() >= kBatchRows) status = finish();
          }
        });
        WEIR_TRY(std::move(status));
      }
      WEIR_TRY(finish());
      any |= !inputs[i].empty();
    }
    if (!any) return std::vector<data::Batch>();
    std::vector<data::Batch> out = WEIR_TRY(function_(inputs));
    std::erase_if(out, [](const data::Batch& batch) { return batch.num_rows() == 0; });
    for (data::Batch& batch : out) WEIR_TRY(Declare(&batch));
    return out;
  }

  // Gives the batch the declared schema.
  Status Declare(data::Batch* batch) const {
    const arrow::FieldVector& fields = output_->fields();
    const arrow::ArrayVector& columns = batch->rows->columns();
    const bool same =
        std::equal(fields.begin(), fields.end(), columns.begin(), columns.end(),
                   [](const auto& field, const auto& column) {
                     return field->type()->Equals(*column->type());
                   });
    if (!same) {
      return Internal("a recomputation made rows of " +
                      batch->rows->schema()->ToString() + " where " +
                      output_->ToString() + " is declared");
    }
    batch->rows = arrow::RecordBatch::Make(output_, batch->num_rows(), columns);
    return {};
  }

  std::vector<Port> ports_;
  const std::shared_ptr<arrow::Schema> output_;
  const RecomputeFunction function_;
  const std::string space_;
  const bool one_key_;
  int64_t memory_bytes_max_;
  bool has_result_;  // of the one key: its result is out
  bool result_stored_;
};

}  // namespace

Result<std::unique_ptr<Operator>> NewRecompute(RecomputeSpec spec,
                                               std::vector<data::Schema> schemas,
                                               const data::Schema& output,
                                               RecomputeFunction function,
                                               state::Store* store, std::string space,
                                               int64_t memory_bytes_max) {
  if (spec.keys.size() != schemas.size())
    return Invalid("a recomputation needs the keys of each of its ports");
  const auto key_type = [&](size_t port, size_t key) {
    return schemas[port].fields[static_cast<size_t>(spec.keys[port][key])].type;
  };
  std::vector<Recompute::Port> ports;
  for (size_t i = 0; i < schemas.size(); ++i) {
    if (spec.keys[i].size() != spec.keys[0].size())
      return Invalid("the ports of a recomputation have a different number of keys");
    for (size_t k = 0; k < spec.keys[i].size(); ++k) {
      if (static_cast<size_t>(spec.keys[i][k]) >= schemas[i].fields.size())
        return Invalid("a key column of a recomputation does not exist");
      if (key_type(i, k) != key_type(0, k))
        return Invalid("the keys of a recomputation have different types");
    }
    ports.push_back(
        {schemas[i], spec.keys[i],
         WEIR_TRY(KeyedRows::Make(schemas[i], true, store, space,
                                  static_cast<char>('0' + i), memory_bytes_max)),
         std::make_unique<KeptRowReader>(schemas[i])});
  }
  bool has_result = false;
  if (store != nullptr && (spec.keys.empty() || spec.keys[0].empty())) {
    const std::string_view name = kHasResult;
    has_result = WEIR_TRY(store->GetMany(space, std::span(&name, 1)))[0].has_value();
  }
  return std::unique_ptr<Operator>(
      std::make_unique<Recompute>(std::move(ports), output, std::move(function),
                                  std::move(space), has_result, memory_bytes_max));
}

}  // namespace weir::ops
