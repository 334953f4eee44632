#include "flow/model_runner.h"

#include <arrow/api.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>

#include "data/arrow.h"
#include "flow/port_rows.h"
#include "ops/asof.h"
#include "ops/components.h"
#include "ops/join.h"
#include "ops/recompute.h"
#include "ops/temporal.h"

namespace weir::flow {
namespace {

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

bool NeedsSql(const plan::Stage& stage) {
  return stage.kind == plan::BlockKind::kRecompute ||
         std::any_of(stage.ports.begin(), stage.ports.end(),
                     [](const plan::Port& port) { return !port.is_projection; });
}

std::string StageRelation(int stage) { return fmt::format("_s{}", stage); }

std::string InputRelation(const plan::Port& port) {
  return port.stage < 0 ? port.table : StageRelation(port.stage);
}

const std::string& SqlOf(const plan::Port& port) {
  return port.passed.empty() ? port.sql : port.computed_sql;
}

// Every row as often as its weight says, without weights.
Result<duck::RowBatches> Repeated(const std::vector<data::Batch>& batches) {
  duck::RowBatches out;
  for (const data::Batch& batch : batches) {
    if (batch.weights.empty()) {
      out.push_back(batch.rows);
      continue;
    }
    std::vector<int32_t> rows;
    for (int64_t row = 0; row < batch.num_rows(); ++row)
      rows.insert(rows.end(), static_cast<size_t>(std::max(batch.weight(row), 0)),
                  static_cast<int32_t>(row));
    out.push_back(WEIR_TRY(data::Take({batch.rows, {}}, rows)).rows);
  }
  return out;
}

data::Batch Renamed(const data::Batch& batch, const std::shared_ptr<arrow::Schema>& as) {
  return {arrow::RecordBatch::Make(as, batch.num_rows(), batch.rows->columns()),
          batch.weights};
}

}  // namespace

std::string ModelRunner::StateSpace(std::string_view model,
                                    std::string_view fingerprint) {
  return fmt::format("op/{}/{}", model, fingerprint);
}

std::string ModelRunner::StageSpace(const plan::ModelPlan& plan, size_t stage) {
  return fmt::format("{}/{}", StateSpace(plan.model.name, plan.fingerprint), stage);
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::New(
    const plan::ModelPlan& plan, const std::map<std::string, data::Schema>& inputs,
    ShardPool& pool, state::Store& store, const duck::InstanceOptions& duck,
    int64_t memory_max, Clock& clock) {
  WEIR_CHECK(!plan.stages.empty());
  auto out = std::unique_ptr<ModelRunner>(
      new ModelRunner(plan, inputs, pool, store, duck, memory_max, clock));
  out->output_ = data::ToArrow(plan.output);
  for (const plan::Stage& stage : plan.stages)
    out->outputs_.push_back(data::ToArrow(stage.output));
  out->work_.stages.resize(plan.stages.size());
  WEIR_TRY(out->Reopen());
  return out;
}

Status ModelRunner::Reopen() {
  shards_.clear();
  shards_.resize(static_cast<size_t>(pool_.size()));
  Status opened = violations_.Restore(
      store_, StateSpace(plan_.model.name, plan_.fingerprint) + "/violations");
  for (size_t i = 0; opened.ok() && i < shards_.size(); ++i)
    opened = OpenShard(shards_[i]);
  if (!opened.ok()) return std::move(opened).error().Within(plan_.model.name);
  return {};
}

Status ModelRunner::OpenShard(Shard& shard) {
  if (std::any_of(plan_.stages.begin(), plan_.stages.end(), NeedsSql)) {
    shard.session = WEIR_TRY(duck::Session::Open(duck_));
    for (const std::string& input : plan_.inputs)
      WEIR_TRY(shard.session->DeclareInput(input, WithWeight(inputs_.at(input))));
  }
  const auto operators = std::count_if(plan_.stages.begin(), plan_.stages.end(),
                                       [](const plan::Stage& stage) {
                                         return stage.kind != plan::BlockKind::kRowWise &&
                                                stage.kind != plan::BlockKind::kUnion;
                                       });
  shard.stages.resize(plan_.stages.size());
  for (size_t i = 0; i < plan_.stages.size(); ++i)
    WEIR_TRY(OpenStage(shard, i,
                       memory_max_ / pool_.size() / std::max<int64_t>(operators, 1)));
  return {};
}

Status ModelRunner::OpenStage(Shard& shard, size_t number, int64_t memory_max) {
  state::Store& store = store_;
  const plan::Stage& stage = plan_.stages[number];
  StageAtWork& work = shard.stages[number];
  work.ports.resize(stage.ports.size());
  for (size_t p = 0; p < stage.ports.size(); ++p) {
    const plan::Port& port = stage.ports[p];
    if (port.is_projection) continue;
    if (port.stage >= 0 && shard.declared.insert(port.stage).second) {
      WEIR_TRY(shard.session->DeclareInput(
          StageRelation(port.stage),
          WithWeight(plan_.stages[static_cast<size_t>(port.stage)].output)));
    }
    if (port.fast_sql.empty()) {
      work.ports[p].sql = WEIR_TRY(shard.session->Prepare(SqlOf(port)));
    } else {
      work.ports[p].fast = WEIR_TRY(shard.session->Prepare(
          port.passed.empty() ? port.fast_sql : port.computed_fast_sql));
    }
  }
  const std::string space = StageSpace(plan_, number);
  const data::Schema input = stage.ports.empty() ? data::Schema() : stage.ports[0].schema;
  switch (stage.kind) {
    case plan::BlockKind::kRowWise:
    case plan::BlockKind::kUnion:
      return {};
    case plan::BlockKind::kAggregate:
      work.op =
          WEIR_TRY(ops::NewAggregate(stage.aggregate, input, &store, space, memory_max));
      return {};
    case plan::BlockKind::kDistinct:
      work.op = WEIR_TRY(ops::NewDistinct(input, &store, space, memory_max));
      return {};
    case plan::BlockKind::kTop:
      work.op = WEIR_TRY(ops::NewTop(stage.top, input, &store, space, memory_max));
      return {};
    case plan::BlockKind::kJoin:
      work.op = WEIR_TRY(ops::NewJoin(stage.join, input, stage.ports[1].schema, &store,
                                      space, memory_max));
      return {};
    case plan::BlockKind::kAsof:
      work.op = WEIR_TRY(ops::NewAsofJoin(stage.asof, input, stage.ports[1].schema,
                                          &store, space, memory_max));
      return {};
    case plan::BlockKind::kTemporal:
      work.op =
          WEIR_TRY(ops::NewTemporal(stage.temporal, input, &store, space, memory_max));
      return {};
    case plan::BlockKind::kWindow:
      work.op = WEIR_TRY(
          ops::NewWindow(stage.window, input, stage.output, &store, space, memory_max));
      return {};
    case plan::BlockKind::kComponents:
      work.op = WEIR_TRY(ops::NewComponents(stage.components, input, stage.output, &store,
                                            space, memory_max));
      return {};
    case plan::BlockKind::kRecompute: {
      ops::RecomputeSpec spec;
      std::vector<data::Schema> ports;
      for (size_t p = 0; p < stage.ports.size(); ++p) {
        spec.keys.push_back(stage.ports[p].exchange_keys);
        ports.push_back(stage.ports[p].schema);
        WEIR_TRY(shard.session->DeclareInput(fmt::format("_p{}_{}", number, p),
                                             stage.ports[p].schema));
      }
      work.recompute = WEIR_TRY(shard.session->Prepare(stage.recompute_sql));
      work.op = WEIR_TRY(ops::NewRecompute(
          std::move(spec), std::move(ports), stage.output,
          [this, &shard, number](std::span<const std::vector<data::Batch>> rows) {
            return Recompute(shard, number, rows);
          },
          &store, space, memory_max));
      return {};
    }
    case plan::BlockKind::kFullRefresh:
      break;
  }
  return Internal("no operator for this kind of stage");
}

Result<std::vector<data::Batch>> ModelRunner::Recompute(
    Shard& shard, size_t number, std::span<const std::vector<data::Batch>> ports) {
  for (size_t p = 0; p < ports.size(); ++p) {
    WEIR_TRY(shard.session->SetInput(fmt::format("_p{}_{}", number, p),
                                     WEIR_TRY(Repeated(ports[p]))));
  }
  std::vector<data::Batch> out;
  for (const auto& rows : WEIR_TRY(shard.session->Run(*shard.stages[number].recompute))) {
    if (rows->num_rows() > 0) out.push_back(Renamed({rows, {}}, outputs_[number]));
  }
  return out;
}

// From rows of a port's input to the rows the stage takes.
Status ModelRunner::Pre(Shard& shard, size_t number, size_t p,
                        std::vector<data::Batch> rows) {
  const plan::Port& port = plan_.stages[number].ports[p];
  PortAtWork& work = shard.stages[number].ports[p];
  if (port.is_projection) {
    for (const data::Batch& batch : rows)
      work.rows.push_back(data::SelectColumns(batch, port.columns));
    return {};
  }
  const auto failed = [&](int stage_number, int port_number) {
    return shard.stages[static_cast<size_t>(stage_number)]
        .ports[static_cast<size_t>(port_number)]
        .failed;
  };
  if (rows.empty() || (port.empty_unless_stage >= 0 &&
                       !failed(port.empty_unless_stage, port.empty_unless_port)))
    return {};
  const bool passes = !port.passed.empty();
  duck::RowBatches relation;
  int64_t first = 0;
  for (const data::Batch& batch : rows) {
    relation.push_back(
        WEIR_TRY(passes ? WithNumberColumn(batch, first) : WithWeightColumn(batch)));
    first += batch.num_rows();
  }
  WEIR_TRY(shard.session->SetInput(InputRelation(port), std::move(relation)));
  const auto run = [&](duck::Prepared& statement) -> Status {
    const duck::RowBatches computed = WEIR_TRY(shard.session->Run(statement));
    if (passes) return AddPassed(port, rows, computed, &work.rows);
    for (const auto& out : computed) {
      if (out->num_rows() > 0) work.rows.push_back(WEIR_TRY(FromWeightColumn(out)));
    }
    return {};
  };
  if (work.fast != nullptr) {
    Status done = run(*work.fast);
    if (done.ok() || done.error().code != Code::kInvalid) return done;
    // Some row fails. Nothing of the others was given out yet.
    work.failed = true;
    if (work.sql == nullptr) work.sql = WEIR_TRY(shard.session->Prepare(SqlOf(port)));
  }
  return run(*work.sql);
}

// Rows meet their key's shard. Runs on the caller's thread between two barriers.
Status ModelRunner::Exchange(size_t number) {
  const plan::Stage& stage = plan_.stages[number];
  for (size_t p = 0; p < stage.ports.size(); ++p) {
    for (Shard& shard : shards_) shard.stages[number].ports[p].exchanged.clear();
    const auto exchanged = [&](size_t to) -> std::vector<data::Batch>& {
      return shards_[to].stages[number].ports[p].exchanged;
    };
    for (Shard& from : shards_) {
      for (data::Batch& batch : from.stages[number].ports[p].rows) {
        if (stage.one_group) {
          exchanged(0).push_back(std::move(batch));
          continue;
        }
        const auto hashes =
            WEIR_TRY(data::HashKeys(*batch.rows, stage.ports[p].exchange_keys));
        std::vector<std::vector<int32_t>> rows(shards_.size());
        for (size_t i = 0; i < hashes.size(); ++i)
          rows[hashes[i].high % shards_.size()].push_back(static_cast<int32_t>(i));
        for (size_t to = 0; to < shards_.size(); ++to) {
          if (!rows[to].empty())
            exchanged(to).push_back(WEIR_TRY(data::Take(batch, rows[to])));
        }
      }
    }
    for (Shard& shard : shards_) {
      PortAtWork& port = shard.stages[number].ports[p];
      port.rows = std::move(port.exchanged);
    }
  }
  return {};
}

Status ModelRunner::Operate(Shard& shard, size_t number) {
  StageAtWork& work = shard.stages[number];
  if (work.op == nullptr) {
    for (PortAtWork& port : work.ports) {
      for (const data::Batch& batch : port.rows)
        work.out.push_back(Renamed(batch, outputs_[number]));
    }
    return {};
  }
  Collector collector(&work.out);
  for (size_t p = 0; p < work.ports.size(); ++p) {
    for (data::Batch& batch : work.ports[p].rows)
      WEIR_TRY(work.op->Process(static_cast<int>(p), std::move(batch), collector));
  }
  if (plan_.stages[number].kind == plan::BlockKind::kTemporal && watermark_ != kNoTime)
    WEIR_TRY(work.op->Advance(watermark_, collector));
  WEIR_TRY(work.op->Flush(collector));
  for (data::Batch& batch : work.out) batch = Renamed(batch, outputs_[number]);
  return {};
}

Status ModelRunner::RunStage(size_t number, const Changes& changes) {
  const plan::Stage& stage = plan_.stages[number];
  const size_t shards = shards_.size();
  // By port and shard.
  std::vector<std::vector<std::vector<data::Batch>>> parts(stage.ports.size());
  bool any = stage.one_group || stage.kind == plan::BlockKind::kTemporal;
  for (size_t p = 0; p < stage.ports.size(); ++p) {
    const plan::Port& port = stage.ports[p];
    parts[p].resize(shards);
    if (port.stage >= 0) {
      for (size_t i = 0; i < shards; ++i)
        parts[p][i] = shards_[i].stages[static_cast<size_t>(port.stage)].out;
    } else if (const auto input = changes.find(port.table); input != changes.end()) {
      for (const data::Batch& batch : input->second) {
        std::vector<data::Batch> slices = Slices(batch, static_cast<int>(shards));
        for (size_t i = 0; i < shards; ++i) {
          if (slices[i].num_rows() > 0) parts[p][i].push_back(std::move(slices[i]));
        }
      }
    }
    for (const auto& part : parts[p]) {
      any |= !part.empty();
      for (const data::Batch& batch : part)
        work_.stages[number].rows_in += batch.num_rows();
    }
  }
  if (!any) return {};
  WEIR_TRY(pool_.Run([&](int i) -> Status {
    Shard& shard = shards_[static_cast<size_t>(i)];
    for (size_t p = 0; p < stage.ports.size(); ++p)
      WEIR_TRY(Pre(shard, number, p, std::move(parts[p][static_cast<size_t>(i)])));
    return {};
  }));
  const bool meets = shards_[0].stages[number].op != nullptr;
  if (meets && shards > 1) WEIR_TRY(Exchange(number));
  // One group has a row even over no input, so only the shard that owns it may speak.
  return pool_.Run([&](int i) {
    return meets && stage.one_group && i > 0
               ? Status()
               : Operate(shards_[static_cast<size_t>(i)], number);
  });
}

bool ModelRunner::follows_time() const {
  return std::any_of(
      plan_.stages.begin(), plan_.stages.end(),
      [](const plan::Stage& stage) { return stage.kind == plan::BlockKind::kTemporal; });
}

bool ModelRunner::Reads(const Changes& changes) const {
  return std::any_of(plan_.inputs.begin(), plan_.inputs.end(),
                     [&](const std::string& input) { return changes.contains(input); });
}

Status ModelRunner::Process(const Changes& changes, Changes* out) {
  const Micros began = clock_.Monotonic();
  for (Shard& shard : shards_) {
    for (StageAtWork& stage : shard.stages) {
      stage.out.clear();
      for (PortAtWork& port : stage.ports) {
        port.rows.clear();
        port.failed = false;
      }
    }
  }
  for (const std::string& input : plan_.inputs) {
    const auto found = changes.find(input);
    if (found == changes.end()) continue;
    for (const data::Batch& batch : found->second) work_.rows_in += batch.num_rows();
  }
  ++work_.steps;
  for (size_t stage = 0; stage < plan_.stages.size(); ++stage) {
    const Micros stage_began = clock_.Monotonic();
    Status status = RunStage(stage, changes);
    if (!status.ok()) return std::move(status).error().Within(plan_.model.name);
    StageWork& work = work_.stages[stage];
    work.time += clock_.Monotonic() - stage_began;
    for (const Shard& shard : shards_) {
      for (const data::Batch& batch : shard.stages[stage].out)
        work.rows_out += batch.num_rows();
    }
  }
  const auto out_of = [](const Shard& shard, int stage) {
    return stage < 0 ? std::span<const data::Batch>()
                     : std::span(shard.stages[static_cast<size_t>(stage)].out);
  };
  for (Shard& shard : shards_) {
    for (const data::Batch& batch : out_of(shard, plan_.rows_stage)) {
      work_.rows_out += batch.num_rows();
      (*out)[plan_.model.name].push_back(Renamed(batch, output_));
    }
    for (const data::Batch& batch : out_of(shard, plan_.rejected_stage)) {
      work_.rows_out += batch.num_rows();
      (*out)[plan_.rejected_table].push_back(batch);
    }
    for (const data::Batch& batch : out_of(shard, plan_.violations_stage))
      violations_.Add(batch);
    for (StageAtWork& stage : shard.stages) {
      stage.out.clear();
      for (PortAtWork& port : stage.ports) port.rows.clear();
    }
  }
  work_.time += clock_.Monotonic() - began;
  return {};
}

Status ModelRunner::Judge() const {
  Status judged = violations_.Judge();
  if (!judged.ok()) return std::move(judged).error().Within(plan_.model.name);
  return judged;
}

Status ModelRunner::Checkpoint(state::Delta& delta) {
  violations_.Checkpoint(delta);
  for (Shard& shard : shards_) {
    for (StageAtWork& stage : shard.stages) {
      if (stage.op != nullptr) WEIR_TRY(stage.op->Checkpoint(delta));
    }
  }
  return {};
}

// Operators that need less than an even share leave the rest of it to the others.
void ModelRunner::ShareMemory(Shard& shard) {
  std::vector<ops::Operator*> operators;
  for (StageAtWork& stage : shard.stages) {
    if (stage.op != nullptr) operators.push_back(stage.op.get());
  }
  std::sort(operators.begin(), operators.end(),
            [](const ops::Operator* a, const ops::Operator* b) {
              return a->state_bytes() < b->state_bytes();
            });
  int64_t left = memory_max_ / pool_.size();
  auto sharing = static_cast<int64_t>(operators.size());
  for (ops::Operator* op : operators) {
    const int64_t share = left / sharing--;
    op->SetMemory(share);
    left -= std::min(share, op->state_bytes());
  }
}

void ModelRunner::Committed() {
  violations_.Committed(plan_.model.name);
  for (Shard& shard : shards_) {
    ShareMemory(shard);
    for (StageAtWork& stage : shard.stages) {
      if (stage.op != nullptr) stage.op->Committed();
    }
  }
}

int64_t ModelRunner::state_bytes() const {
  int64_t sum = 0;
  for (const Shard& shard : shards_) {
    for (const StageAtWork& stage : shard.stages)
      sum += stage.op == nullptr ? 0 : stage.op->state_bytes();
  }
  return sum;
}

ModelWork ModelRunner::work() const {
  ModelWork work = work_;
  for (const Shard& shard : shards_) {
    for (size_t i = 0; i < shard.stages.size(); ++i) {
      const ops::Operator* op = shard.stages[i].op.get();
      if (op == nullptr) continue;
      work.stages[i].memory_keys += op->state_keys();
      work.stages[i].memory_bytes += op->state_bytes();
    }
  }
  return work;
}

std::string ModelRunner::WorkJson() const {
  const ModelWork work = this->work();
  nlohmann::json stages = nlohmann::json::array();
  for (size_t i = 0; i < work.stages.size(); ++i) {
    const StageWork& stage = work.stages[i];
    stages.push_back({{"kind", plan::BlockKindName(plan_.stages[i].kind)},
                      {"rows_in", stage.rows_in},
                      {"rows_out", stage.rows_out},
                      {"micros", stage.time},
                      {"memory_keys", stage.memory_keys},
                      {"memory_bytes", stage.memory_bytes}});
  }
  return nlohmann::json{{"fingerprint", plan_.fingerprint},
                        {"since", since_},
                        {"steps", work.steps},
                        {"rows_in", work.rows_in},
                        {"rows_out", work.rows_out},
                        {"micros", work.time},
                        {"violations", nlohmann::json::parse(violations_.Json())},
                        {"stages", std::move(stages)}}
      .dump();
}

}  // namespace weir::flow
