#include "modeltest/engine.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include "data/arrow.h"
#include "duck/duck.h"

namespace weir::modeltest {
namespace {

bool IsRefreshed(const plan::ModelPlan& model) {
  return model.kind == plan::BlockKind::kFullRefresh;
}

std::map<std::string, Content> EmptyTables(const plan::Plan& plan) {
  std::map<std::string, Content> out;
  for (const auto& source : plan.sources)
    out.emplace(data::LowerName(source.name), Content(source.schema));
  for (const auto& model : plan.models) {
    if (IsKept(model)) out.emplace(model.model.name, Content(model.output));
  }
  return out;
}

Result<data::Batch> Negated(data::Batch batch) {
  std::vector<int32_t> weights(static_cast<size_t>(batch.num_rows()));
  for (int64_t i = 0; i < batch.num_rows(); ++i)
    weights[static_cast<size_t>(i)] = -batch.weight(i);
  batch.weights = std::move(weights);
  return batch;
}

}  // namespace

bool IsKept(const plan::ModelPlan& model) {
  return model.model.verb != sql::ModelVerb::kView;
}

const data::Schema* SchemaOf(const plan::Plan& plan, const std::string& table) {
  for (const auto& source : plan.sources) {
    if (data::SameName(source.name, table)) return &source.schema;
  }
  const plan::ModelPlan* model = plan.Find(table);
  return model == nullptr ? nullptr : &model->output;
}

// ---- Oracle

Result<std::unique_ptr<Oracle>> Oracle::Open(const plan::Plan& plan, uint64_t seed) {
  auto out = std::unique_ptr<Oracle>(new Oracle(plan, seed));
  WEIR_TRY(out->SetWatermark(kNoTime));
  return out;
}

// A session's macros come before its statements, so it is a new one.
Status Oracle::SetWatermark(Micros time) {
  if (session_ != nullptr && time == watermark_) return {};
  watermark_ = time;
  statements_.clear();
  session_ = WEIR_TRY(duck::Session::Open({}));
  WEIR_TRY(session_->Execute(fmt::format(
      "CREATE MACRO watermark() AS CAST({} AS TIMESTAMPTZ)",
      time == kNoTime ? "NULL" : fmt::format("'{}'", FormatTimestamp(time)))));
  for (const auto& source : plan_.sources)
    WEIR_TRY(session_->DeclareInput(source.name, source.schema));
  for (const auto& model : plan_.models) {
    if (IsKept(model)) WEIR_TRY(session_->DeclareInput(model.model.name, model.output));
  }
  return {};
}

Result<data::Batch> Oracle::Run(const plan::ModelPlan& model) {
  auto& statement = statements_[model.model.name];
  if (statement == nullptr) statement = WEIR_TRY(session_->Prepare(model.completed_sql));
  std::vector<data::Batch> batches;
  for (const auto& rows : WEIR_TRY(session_->Run(*statement))) {
    if (rows->num_rows() > 0) batches.push_back({rows, {}});
  }
  return Sum(model.output, batches);
}

Result<std::map<std::string, data::Batch>> Oracle::Answers(
    const std::map<std::string, Content>& sources) {
  for (const auto& source : plan_.sources) {
    const data::Batch rows =
        WEIR_TRY(sources.at(data::LowerName(source.name)).Expanded(random_));
    WEIR_TRY(session_->SetInput(source.name, {rows.rows}));
  }
  std::map<std::string, data::Batch> out;
  for (const auto& model : plan_.models) {
    if (!IsKept(model)) continue;
    auto answer = Run(model);
    if (!answer.ok()) return std::move(answer).error().Within(model.model.name);
    Content content(model.output);
    WEIR_TRY(content.Add({*answer}));
    WEIR_TRY(
        session_->SetInput(model.model.name, {WEIR_TRY(content.Expanded(random_)).rows}));
    out.emplace(model.model.name, *std::move(answer));
  }
  return out;
}

Result<data::Batch> Oracle::Answer(const plan::ModelPlan& model,
                                   const std::map<std::string, Content>& tables) {
  for (const std::string& input : model.inputs) {
    const data::Batch rows = WEIR_TRY(tables.at(input).Expanded(random_));
    WEIR_TRY(session_->SetInput(input, {rows.rows}));
  }
  return Run(model);
}

// ---- Engine

Engine::Engine(const plan::Plan& plan, EngineOptions options)
    : plan_(plan), options_(options), pool_(options.shards) {}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::Open(const plan::Plan& plan,
                                             EngineOptions options) {
  auto out = std::unique_ptr<Engine>(new Engine(plan, options));
  WEIR_TRY(out->Start());
  return out;
}

Status Engine::Start() {
  store_ = WEIR_TRY(state::Store::Open(io_, "state", Epoch{0}, {.deterministic = true}));
  for (const auto& model : plan_.models) {
    if (IsKept(model) && IsRefreshed(model) && refresh_ == nullptr)
      refresh_ = WEIR_TRY(Oracle::Open(plan_, options_.seed));
  }
  tables_ = committed_ = EmptyTables(plan_);
  return Build();
}

Status Engine::Build() {
  runners_.clear();
  for (const auto& model : plan_.models) {
    if (!IsKept(model) || IsRefreshed(model) || !model.part_of.empty()) continue;
    std::map<std::string, data::Schema> inputs;
    for (const std::string& input : model.inputs) inputs[input] = *SchemaOf(plan_, input);
    runners_[model.model.name] = WEIR_TRY(flow::ModelRunner::New(
        model, inputs, pool_, *store_, {}, options_.memory_max, clock_));
  }
  return {};
}

Status Engine::SetWatermark(Micros time) {
  if (watermark_ != kNoTime && time < watermark_)
    return Invalid("a watermark never falls");
  watermark_ = time;
  time_passed_ = true;
  return refresh_ == nullptr ? Status() : refresh_->SetWatermark(time);
}

Result<Changes> Engine::Step(const Changes& sources) {
  Changes changes;
  for (const auto& [name, batches] : sources) {
    WEIR_TRY(tables_.at(name).Add(batches));
    changes[name] = batches;
  }
  Changes out;
  for (const auto& model : plan_.models) {
    if (!IsKept(model)) continue;
    const std::string& name = model.model.name;
    const bool touched =
        fresh_ || time_passed_ ||
        std::any_of(model.inputs.begin(), model.inputs.end(),
                    [&](const auto& input) { return changes.contains(input); });
    if (!touched || (!IsRefreshed(model) && !model.part_of.empty())) continue;
    Changes result;
    if (IsRefreshed(model)) {
      const data::Batch now = WEIR_TRY(refresh_->Answer(model, tables_));
      const data::Batch before = WEIR_TRY(Negated(tables_.at(name).rows()));
      data::Batch difference = WEIR_TRY(Sum(model.output, {now, before}));
      if (difference.num_rows() > 0) result[name].push_back(std::move(difference));
    } else {
      if (watermark_ != kNoTime) runners_.at(name)->SetWatermark(watermark_);
      WEIR_TRY(runners_.at(name)->Process(changes, &result));
    }
    for (auto& [table, rows] : result) {
      WEIR_TRY(tables_.at(table).Add(rows));
      if (!rows.empty()) out[table] = changes[table] = std::move(rows);
    }
  }
  fresh_ = time_passed_ = false;
  return out;
}

Status Engine::Checkpoint() {
  pending_.emplace();
  for (auto& [_, runner] : runners_) WEIR_TRY(runner->Checkpoint(pending_->delta));
  pending_->tables = tables_;
  pending_->watermark = watermark_;
  pending_fresh_ = fresh_;
  return {};
}

Status Engine::Commit() {
  WEIR_TRY(store_->Apply(pending_->delta, Next(store_->applied())));
  for (auto& [_, runner] : runners_) runner->Committed();
  committed_ = std::move(pending_->tables);
  committed_watermark_ = pending_->watermark;
  committed_fresh_ = pending_fresh_;
  pending_.reset();
  return {};
}

Status Engine::Crash() {
  pending_.reset();
  tables_ = committed_;
  fresh_ = committed_fresh_;
  watermark_ = committed_watermark_;
  time_passed_ = watermark_ != kNoTime;
  if (refresh_ != nullptr) WEIR_TRY(refresh_->SetWatermark(watermark_));
  return Build();
}

int64_t Engine::state_bytes() const {
  int64_t sum = 0;
  for (const auto& [_, runner] : runners_) sum += runner->state_bytes();
  return sum;
}

}  // namespace weir::modeltest
