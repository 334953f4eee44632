#include "flow/model_runner.h"

#include <arrow/api.h>

#include <fmt/format.h>

#include "data/arrow.h"

namespace weir::flow {
namespace {

constexpr const char* kWeight = "_weight";

class Collector final : public ops::Emitter {
 public:
  explicit Collector(std::vector<data::Batch>* out) : out_(out) {}
  Status Emit(data::Batch changes) override {
    if (changes.num_rows() > 0) out_->push_back(std::move(changes));
    return {};
  }

 private:
  std::vector<data::Batch>* out_;
};

// Cuts a batch into `parts` runs of rows of about equal length.
std::vector<data::Batch> Slices(const data::Batch& batch, int parts) {
  std::vector<data::Batch> out;
  const int64_t rows = batch.num_rows();
  for (int i = 0; i < parts; ++i) {
    const int64_t begin = rows * i / parts, end = rows * (i + 1) / parts;
    data::Batch slice{batch.rows->Slice(begin, end - begin), {}};
    if (!batch.weights.empty())
      slice.weights.assign(batch.weights.begin() + begin, batch.weights.begin() + end);
    out.push_back(std::move(slice));
  }
  return out;
}

Result<std::vector<data::Batch>> RunOver(duck::Session& session,
                                         std::string_view relation,
                                         duck::Prepared& statement,
                                         const data::Batch& batch) {
  WEIR_TRY(session.SetInput(relation, {WEIR_TRY(WithWeightColumn(batch))}));
  std::vector<data::Batch> out;
  for (const auto& rows : WEIR_TRY(session.Run(statement))) {
    if (rows->num_rows() > 0) out.push_back(WEIR_TRY(FromWeightColumn(rows)));
  }
  return out;
}

}  // namespace

data::Schema WithWeight(data::Schema schema) {
  schema.fields.push_back({kWeight, data::Simple(data::Kind::kInt32)});
  return schema;
}

Result<std::shared_ptr<arrow::RecordBatch>> WithWeightColumn(const data::Batch& batch) {
  const int64_t rows = batch.num_rows();
  std::shared_ptr<arrow::Buffer> buffer =
      WEIR_ARROW(arrow::AllocateBuffer(rows * static_cast<int64_t>(sizeof(int32_t))));
  auto* out = reinterpret_cast<int32_t*>(buffer->mutable_data());
  if (batch.weights.empty()) {
    std::fill(out, out + rows, 1);
  } else {
    std::copy(batch.weights.begin(), batch.weights.end(), out);
  }
  const auto column = arrow::MakeArray(
      arrow::ArrayData::Make(arrow::int32(), rows, {nullptr, std::move(buffer)}, 0));
  return WEIR_ARROW(batch.rows->AddColumn(batch.rows->num_columns(),
                                          arrow::field(kWeight, arrow::int32()), column));
}

Result<data::Batch> FromWeightColumn(const std::shared_ptr<arrow::RecordBatch>& rows) {
  const int last = rows->num_columns() - 1;
  WEIR_CHECK(rows->schema()->field(last)->name() == kWeight &&
             rows->column(last)->type_id() == arrow::Type::INT32);
  const auto* weights = rows->column(last)->data()->GetValues<int32_t>(1);
  data::Batch out{WEIR_ARROW(rows->RemoveColumn(last)), {}};
  if (std::any_of(weights, weights + rows->num_rows(),
                  [](int32_t w) { return w != 1; })) {
    out.weights.assign(weights, weights + rows->num_rows());
  }
  return out;
}

std::string ModelRunner::StateSpace(const plan::ModelPlan& plan) {
  return fmt::format("op/{}/{}", plan.model.name, plan.fingerprint);
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::New(const plan::ModelPlan& plan,
                                                      const data::Schema& input,
                                                      ShardPool& pool,
                                                      state::Store& store,
                                                      const duck::InstanceOptions& duck,
                                                      int64_t memory_max, Clock& clock) {
  WEIR_CHECK(plan.kind != plan::BlockKind::kFullRefresh && plan.inputs.size() == 1);
  auto out = std::unique_ptr<ModelRunner>(new ModelRunner(plan, pool, clock));
  out->output_ = data::ToArrow(plan.output);
  out->shards_.resize(static_cast<size_t>(pool.size()));
  for (Shard& shard : out->shards_) {
    Status opened = out->OpenShard(shard, input, store, duck, memory_max / pool.size());
    if (!opened.ok()) return std::move(opened).error().Within(plan.model.name);
  }
  return out;
}

Status ModelRunner::OpenShard(Shard& shard, const data::Schema& input,
                              state::Store& store, const duck::InstanceOptions& duck,
                              int64_t memory_max) {
  const bool row_wise = plan_.kind == plan::BlockKind::kRowWise;
  if (!plan_.pre_is_projection || NeedsPostSql())
    shard.session = WEIR_TRY(duck::Session::Open(duck));
  if (!plan_.pre_is_projection)
    WEIR_TRY(shard.session->DeclareInput(plan_.inputs[0], WithWeight(input)));
  if (row_wise) {
    if (!plan_.pre_is_projection)
      shard.pre = WEIR_TRY(shard.session->Prepare(plan_.pre_sql));
    return {};
  }
  const std::string space = StateSpace(plan_);
  data::Schema groups;
  switch (plan_.kind) {
    case plan::BlockKind::kAggregate:
      groups = plan_.aggregate.output;
      shard.op = WEIR_TRY(ops::NewAggregate(plan_.aggregate, plan_.pre_schema, &store,
                                            space, memory_max));
      break;
    case plan::BlockKind::kDistinct:
      groups = plan_.pre_schema;
      shard.op = WEIR_TRY(ops::NewDistinct(plan_.pre_schema, &store, space, memory_max));
      break;
    case plan::BlockKind::kTop:
      groups = plan_.pre_schema;
      shard.op =
          WEIR_TRY(ops::NewTop(plan_.top, plan_.pre_schema, &store, space, memory_max));
      break;
    default:
      return Internal("no operator for this kind of block");
  }
  if (NeedsPostSql())
    WEIR_TRY(shard.session->DeclareInput("_groups", WithWeight(groups)));
  if (!plan_.pre_is_projection)
    shard.pre = WEIR_TRY(shard.session->Prepare(plan_.pre_sql));
  if (NeedsPostSql()) shard.post = WEIR_TRY(shard.session->Prepare(plan_.post_sql));
  return {};
}

bool ModelRunner::NeedsPostSql() const {
  return !plan_.post_is_projection && !plan_.post_sql.empty();
}

Result<std::vector<data::Batch>> ModelRunner::Pre(Shard& shard,
                                                  const data::Batch& batch) {
  if (plan_.pre_is_projection)
    return std::vector<data::Batch>{data::SelectColumns(batch, plan_.pre_columns)};
  return RunOver(*shard.session, plan_.inputs[0], *shard.pre, batch);
}

// Rows meet their key's shard. Runs on the caller's thread between two barriers.
Status ModelRunner::Exchange() {
  for (Shard& shard : shards_) shard.exchanged.clear();
  for (Shard& from : shards_) {
    for (const data::Batch& batch : from.in) {
      const auto hashes = WEIR_TRY(data::HashKeys(*batch.rows, plan_.exchange_keys));
      std::vector<std::vector<int32_t>> rows(shards_.size());
      for (size_t i = 0; i < hashes.size(); ++i)
        rows[hashes[i].high % shards_.size()].push_back(static_cast<int32_t>(i));
      for (size_t to = 0; to < shards_.size(); ++to) {
        if (!rows[to].empty())
          shards_[to].exchanged.push_back(WEIR_TRY(data::Take(batch, rows[to])));
      }
    }
  }
  for (Shard& shard : shards_) shard.in = std::move(shard.exchanged);
  return {};
}

Status ModelRunner::Operate(Shard& shard) {
  std::vector<data::Batch> groups;
  Collector collector(&groups);
  for (data::Batch& batch : shard.in)
    WEIR_TRY(shard.op->Process(0, std::move(batch), collector));
  WEIR_TRY(shard.op->Flush(collector));
  if (!NeedsPostSql()) {
    for (data::Batch& batch : groups) {
      if (plan_.post_is_projection)
        batch = data::SelectColumns(batch, plan_.post_columns);
      batch.rows =
          arrow::RecordBatch::Make(output_, batch.num_rows(), batch.rows->columns());
      shard.out.push_back(std::move(batch));
    }
    return {};
  }
  for (const data::Batch& batch : groups) {
    for (data::Batch& rows :
         WEIR_TRY(RunOver(*shard.session, "_groups", *shard.post, batch)))
      shard.out.push_back(std::move(rows));
  }
  return {};
}

Status ModelRunner::Process(const std::vector<data::Batch>& changes,
                            std::vector<data::Batch>* out) {
  const Micros began = clock_.Monotonic();
  const bool row_wise = plan_.kind == plan::BlockKind::kRowWise;
  const bool global_group =
      plan_.exchange_keys.empty() && !row_wise;  // one group lives on one shard
  std::vector<std::vector<data::Batch>> parts(shards_.size());
  for (const data::Batch& batch : changes) {
    work_.rows_in += batch.num_rows();
    std::vector<data::Batch> slices = Slices(batch, static_cast<int>(shards_.size()));
    for (size_t i = 0; i < slices.size(); ++i) {
      if (slices[i].num_rows() > 0) parts[i].push_back(std::move(slices[i]));
    }
  }
  Status status = pool_.Run([&](int i) -> Status {
    Shard& shard = shards_[static_cast<size_t>(i)];
    shard.in.clear();
    shard.out.clear();
    for (const data::Batch& part : parts[static_cast<size_t>(i)]) {
      for (data::Batch& rows : WEIR_TRY(Pre(shard, part)))
        shard.in.push_back(std::move(rows));
    }
    if (row_wise) shard.out = std::move(shard.in);
    return {};
  });
  if (status.ok() && !row_wise) {
    if (shards_.size() > 1 && global_group) {
      for (size_t i = 1; i < shards_.size(); ++i) {
        for (data::Batch& batch : shards_[i].in)
          shards_[0].in.push_back(std::move(batch));
        shards_[i].in.clear();
      }
    } else if (shards_.size() > 1) {
      status = Exchange();
    }
    // An operator without groups has a row even over no input, so only the shard that
    // owns the group may speak.
    if (status.ok())
      status = pool_.Run([&](int i) {
        return global_group && i > 0 ? Status()
                                     : Operate(shards_[static_cast<size_t>(i)]);
      });
  }
  if (!status.ok()) return std::move(status).error().Within(plan_.model.name);
  for (Shard& shard : shards_) {
    for (data::Batch& batch : shard.out) {
      work_.rows_out += batch.num_rows();
      out->push_back(std::move(batch));
    }
    shard.out.clear();
  }
  work_.time += clock_.Monotonic() - began;
  return {};
}

Status ModelRunner::Checkpoint(state::Delta& delta) {
  for (Shard& shard : shards_) {
    if (shard.op != nullptr) WEIR_TRY(shard.op->Checkpoint(delta));
  }
  return {};
}

void ModelRunner::Committed() {
  for (Shard& shard : shards_) {
    if (shard.op != nullptr) shard.op->Committed();
  }
}

int64_t ModelRunner::state_bytes() const {
  int64_t sum = 0;
  for (const Shard& shard : shards_)
    sum += shard.op == nullptr ? 0 : shard.op->state_bytes();
  return sum;
}

int64_t ModelRunner::state_keys() const {
  int64_t sum = 0;
  for (const Shard& shard : shards_)
    sum += shard.op == nullptr ? 0 : shard.op->state_keys();
  return sum;
}

}  // namespace weir::flow
