#include "flow/behind.h"

#include <arrow/api.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/event.h"
#include "data/arrow.h"
#include "scan/changes.h"
#include "scan/scan.h"

namespace weir::flow {
namespace {

// Why a model stands still that reads one that does.
constexpr std::string_view kIsHalted = " is halted";

// Rows of a table at its committed version, a batch at a time, for DuckDB.
class ScanSource final : public duck::BatchSource {
 public:
  explicit ScanSource(std::unique_ptr<scan::TableScan> scan) : scan_(std::move(scan)) {}
  Result<std::shared_ptr<arrow::RecordBatch>> Next() override {
    return scan_ == nullptr ? nullptr : scan_->Next();
  }

 private:
  std::unique_ptr<scan::TableScan> scan_;
};

Result<std::unique_ptr<scan::TableScan>> OpenScan(io::Io& io,
                                                  const iceberg::Metadata& metadata,
                                                  const std::vector<int>& columns) {
  const iceberg::Snapshot* snapshot = metadata.current();
  if (snapshot == nullptr) return std::unique_ptr<scan::TableScan>();
  scan::ScanOptions options;
  options.field_ids.emplace();
  for (const int column : columns)
    options.field_ids->push_back(
        metadata.schema().fields[static_cast<size_t>(column)].id);
  return scan::ScanTable(io, metadata, *snapshot, metadata.schema(), std::move(options));
}

// The same columns under the table's names and types, without metadata.
Result<std::shared_ptr<arrow::RecordBatch>> Plain(const arrow::RecordBatch& rows,
                                                  const data::Schema& schema) {
  return arrow::RecordBatch::Make(data::ToArrow(schema), rows.num_rows(), rows.columns());
}

data::Schema WithoutIds(data::Schema schema) {
  for (data::Field& field : schema.fields) {
    field.id = 0;
    field.required = false;
  }
  return schema;
}

}  // namespace

duck::InstanceOptions DuckOptions(const project::Settings& settings,
                                  const std::string& data_dir) {
  duck::InstanceOptions options;
  options.threads = 1;
  options.memory_bytes_max = std::max<int64_t>(settings.memory_max / 8, 64 << 20);
  options.temp_dir = io::Join(data_dir, "tmp");
  return options;
}

struct Behind::Round {
  std::map<std::string, commit::ModelState>* models;
  std::string summary;  // the frontier, for the snapshots
  state::Delta delta;
  commit::EpochCommit commit;
  std::vector<ModelRunner*>
      runners;  // incremental models of the round, in topological order
  std::vector<const plan::ModelPlan*>
      touched;                          // whose tables and states this round closes
  std::optional<Violations> refreshed;  // of a model that is refreshed whole
  std::string failed;                   // the model that an error of kInvalid comes from

  Round(const std::string& lane, const Frontier& frontier,
        std::map<std::string, commit::ModelState>* states)
      : models(states), summary(FrontierSummary(frontier)) {
    commit.lane = lane;
    commit.frontier = FrontierJson(frontier);
  }
  Error FailedIn(const plan::ModelPlan& plan, Error error) {
    failed = plan.part_of.empty() ? plan.model.name : plan.part_of;
    return error;
  }
};

Behind::Behind(io::Io& io, Clock& clock, commit::Committer& committer, TableSet& tables,
               const plan::Plan& plan, ShardPool& pool, const project::Settings& settings,
               std::string data_dir)
    : io_(io),
      clock_(clock),
      committer_(committer),
      tables_(tables),
      plan_(plan),
      pool_(pool),
      settings_(settings),
      data_dir_(std::move(data_dir)) {}

bool Behind::IsBehind(const plan::ModelPlan& plan,
                      const std::map<std::string, commit::ModelState>& models) const {
  for (const auto& [table, version] : models.at(plan.model.name).inputs) {
    if (tables_.Version(table).value != version) return true;
  }
  return false;
}

Status Behind::RunIncremental(ModelRunner& runner, Round& round) {
  for (const std::string& input : runner.plan().inputs)
    WEIR_TRY(RunIncremental(runner, input, round));
  return {};
}

// What one input changed since the model took it in. Operators may take the changes of
// their inputs one after the other: what comes out adds up to the same.
Status Behind::RunIncremental(ModelRunner& runner, const std::string& input,
                              Round& round) {
  const plan::ModelPlan& plan = runner.plan();
  const iceberg::Metadata& metadata = tables_.metadata(input);
  const int64_t version = round.models->at(plan.model.name).inputs.at(input);
  if (metadata.current() == nullptr || metadata.current()->id.value == version) return {};
  const iceberg::Snapshot* from = version == 0 ? nullptr : metadata.Find({version});
  if (version != 0 && from == nullptr) {
    return Internal(
        fmt::format("model {}: version {} of {}, which it equals its query over, is "
                    "gone; give the model another name, and it is made anew",
                    plan.model.name, version, input));
  }
  const data::Schema schema = metadata.schema();
  return scan::VisitChanges(
      io_, metadata, from, *metadata.current(), schema, [&](data::Batch batch) -> Status {
        batch.rows = WEIR_TRY(Plain(*batch.rows, WithoutIds(schema)));
        return Feed(runner, {{input, {std::move(batch)}}}, round);
      });
}

// What comes out of a model goes on to those of the round that read it; they have
// already taken in what it had committed before.
Status Behind::Feed(ModelRunner& to, const Changes& changes, Round& round) {
  Changes out;
  Status processed = to.Process(changes, &out);
  if (!processed.ok()) return round.FailedIn(to.plan(), std::move(processed).error());
  if (out.empty()) return {};
  for (const auto& [table, batches] : out) {
    for (const data::Batch& batch : batches) tables_.Append(table, batch);
  }
  for (ModelRunner* child : round.runners) {
    if (child->Reads(out)) WEIR_TRY(Feed(*child, out, round));
  }
  return {};
}

Status Behind::RunRefresh(const plan::ModelPlan& plan, Micros watermark, Round& round) {
  auto session = WEIR_TRY(duck::Session::Open(DuckOptions(settings_, data_dir_)));
  WEIR_TRY(session->Execute(
      watermark == kNoTime ? "CREATE MACRO watermark() AS CAST(NULL AS TIMESTAMPTZ)"
                           : fmt::format("CREATE MACRO watermark() AS TIMESTAMPTZ '{}'",
                                         FormatTimestamp(watermark))));
  for (const std::string& input : plan.inputs) {
    const iceberg::Metadata& metadata = tables_.metadata(input);
    WEIR_TRY(session->DeclareSource(
        input, WithoutIds(metadata.schema()),
        [this, &metadata](const std::vector<int>& columns)
            -> Result<std::unique_ptr<duck::BatchSource>> {
          return std::unique_ptr<duck::BatchSource>(
              std::make_unique<ScanSource>(WEIR_TRY(OpenScan(io_, metadata, columns))));
        }));
  }
  if (!plan.violations_sql.empty()) {
    Violations violations(plan.model.constraints);
    WEIR_TRY(violations.Restore(
        committer_.store(),
        ModelRunner::StateSpace(plan.model.name, plan.fingerprint) + "/violations"));
    const auto counts = WEIR_TRY(session->Query(plan.violations_sql, nullptr));
    std::vector<int64_t> numbers;
    for (const auto& column : counts[0]->columns())
      numbers.push_back(static_cast<const arrow::Int64Array&>(*column).Value(0));
    violations.Set(numbers);
    WEIR_TRY(violations.Judge());
    violations.Checkpoint(round.delta);
    round.refreshed = std::move(violations);
  }
  const data::Schema schema = WithoutIds(plan.output);
  std::vector<data::Batch> rows;
  WEIR_TRY(session->QueryStreaming(
      plan.completed_sql, CancelToken(), [](const data::Schema&) -> Status { return {}; },
      [&](std::shared_ptr<arrow::RecordBatch> batch) -> Result<bool> {
        rows.push_back({WEIR_TRY(Plain(*batch, schema)), {}});
        return true;
      }));
  const iceberg::Metadata& own = tables_.metadata(plan.model.name);
  std::vector<int> columns(own.schema().fields.size());
  for (size_t i = 0; i < columns.size(); ++i) columns[i] = static_cast<int>(i);
  if (auto scan = WEIR_TRY(OpenScan(io_, own, columns))) {
    while (auto batch = WEIR_TRY(scan->Next())) {
      rows.push_back({WEIR_TRY(Plain(*batch, schema)),
                      std::vector<int32_t>(static_cast<size_t>(batch->num_rows()), -1)});
    }
  }
  if (rows.empty()) return {};
  data::Batch change = WEIR_TRY(data::Consolidate(WEIR_TRY(data::Concat(rows))));
  tables_.Append(plan.model.name, std::move(change));
  return {};
}

Status Behind::CommitRound(Round& round) {
  for (ModelRunner* runner : round.runners) {
    Status judged = runner->Judge();
    if (!judged.ok()) return round.FailedIn(runner->plan(), std::move(judged).error());
  }
  const Epoch epoch = committer_.next_epoch();
  const std::map<std::string, std::string> summary = {
      {"weir.lane", round.commit.lane},
      {"weir.epoch", std::to_string(epoch.value)},
      {"weir.frontier", round.summary}};
  std::vector<SnapshotId> keep = WEIR_TRY(committer_.LeasedSnapshots());
  for (const auto& [name, model] : *round.models) {
    for (const auto& [table, version] : model.inputs) keep.push_back({version});
  }
  tables_.Quiesce();
  std::map<std::string, int64_t> versions;
  for (const plan::ModelPlan* plan : round.touched) {
    auto closed = tables_.Close(plan->model.name, epoch, summary, keep, round.delta);
    if (!closed.ok()) return round.FailedIn(*plan, std::move(closed).error());
    std::optional<iceberg::Staged>& staged = *closed;
    if (!staged) continue;
    if (staged->metadata.current_snapshot)
      versions[staged->table] = staged->metadata.current_snapshot->value;
    round.commit.tables.push_back(*std::move(staged));
  }
  for (ModelRunner* runner : round.runners) {
    WEIR_TRY(runner->Checkpoint(round.delta));
    round.commit.work[runner->plan().model.name] = runner->WorkJson();
  }
  for (const plan::ModelPlan* plan : round.touched) {
    commit::ModelState& model = round.models->at(plan->model.name);
    for (auto& [table, version] : model.inputs) {
      const auto moved = versions.find(table);
      version = moved != versions.end() ? moved->second : tables_.Version(table).value;
    }
    model.halted.clear();
    round.commit.models.push_back(model);
  }
  round.commit.delta = &round.delta;
  WEIR_TRY(committer_.Commit(round.commit));
  tables_.Committed(round.commit.tables);
  for (ModelRunner* runner : round.runners) runner->Committed();
  if (round.refreshed) round.refreshed->Committed(round.touched[0]->model.name);
  return {};
}

void Behind::Halt(const std::string& name, const std::string& why,
                  std::map<std::string, commit::ModelState>* models,
                  std::map<std::string, std::string>* halted) const {
  const auto halt = [&](const std::string& model, const std::string& reason) {
    (*halted)[model] = reason;
    commit::ModelState& state = models->at(model);
    if (state.halted == reason) return;  // tried again, to the same end
    state.halted = reason;
    Event("model_halted", Severity::kError).With("model", model).With("why", reason);
  };
  halt(name, why);
  for (const std::string& reader : plan_.DependentsOf(name)) {
    if (!halted->contains(reader)) halt(reader, name + std::string(kIsHalted));
  }
}

void Behind::Release(const std::string& name,
                     std::map<std::string, commit::ModelState>* models,
                     std::map<std::string, std::string>* halted) const {
  const auto release = [&](const std::string& model) {
    halted->erase(model);
    models->at(model).halted.clear();
    Event("model_released", Severity::kWarning).With("model", model);
  };
  if (!halted->contains(name)) return;
  release(name);
  for (const std::string& reader : plan_.DependentsOf(name)) {
    const auto found = halted->find(reader);
    if (found == halted->end() || !found->second.ends_with(kIsHalted)) continue;
    const plan::ModelPlan& plan = *plan_.Find(reader);
    if (!halted->contains(plan.part_of) && !IsBlocked(plan, {}, *halted)) release(reader);
  }
}

// Whether it reads a model that is halted and is not of this lane.
bool Behind::IsBlocked(const plan::ModelPlan& plan,
                       const std::vector<const plan::ModelPlan*>& lane,
                       const std::map<std::string, std::string>& halted) const {
  return std::any_of(
      plan.inputs.begin(), plan.inputs.end(), [&](const std::string& input) {
        return halted.contains(input) &&
               std::none_of(lane.begin(), lane.end(), [&](const plan::ModelPlan* other) {
                 return other->model.name == input;
               });
      });
}

// What became of models that stand still, when nothing else of theirs is committed.
Status Behind::CommitHalts(const std::string& lane, const Frontier& frontier,
                           const std::map<std::string, commit::ModelState>& models) {
  commit::EpochCommit commit{lane, FrontierJson(frontier), {}, nullptr, {}, {}, {}, {}};
  for (const auto& [name, state] : models) {
    if (told_[name] == state.halted) continue;
    told_[name] = state.halted;
    commit.models.push_back(state);
  }
  if (commit.models.empty()) return {};
  state::Delta delta;
  commit.delta = &delta;
  return committer_.Commit(commit);
}

Status Behind::RunRound(Round& round, const Frontier& frontier) {
  // Readers before what they read: see RunIncremental.
  for (auto it = round.runners.rbegin(); it != round.runners.rend(); ++it)
    WEIR_TRY(RunIncremental(**it, round));
  for (ModelRunner* runner : round.runners) {
    if (!runner->follows_time()) continue;
    runner->SetWatermark(frontier.watermark);
    WEIR_TRY(Feed(*runner, {}, round));
  }
  return CommitRound(round);
}

Status Behind::CatchUp(const std::string& lane, const std::vector<ModelRunner*>& runners,
                       const Frontier& frontier,
                       std::map<std::string, commit::ModelState>* models,
                       std::map<std::string, std::string>* halted) {
  std::vector<ModelRunner*> left = runners;
  while (!left.empty()) {
    Round round(lane, frontier, models);
    round.runners = left;
    bool behind = false;
    for (ModelRunner* runner : left) {
      for (const plan::ModelPlan* part : plan_.PartsOf(runner->plan()))
        round.touched.push_back(part);
      behind |= IsBehind(runner->plan(), *models);
    }
    if (!behind) break;
    const Status done = RunRound(round, frontier);
    if (done.ok()) {
      for (ModelRunner* runner : left) Release(runner->plan().model.name, models, halted);
      break;
    }
    if (done.error().code != Code::kInvalid || round.failed.empty()) return done;
    // All of them go back, and the others on without it.
    tables_.Quiesce();
    for (const plan::ModelPlan* plan : round.touched) tables_.Abandon(plan->model.name);
    for (ModelRunner* runner : left) WEIR_TRY(runner->Reopen());
    Halt(round.failed, done.error().message, models, halted);
    const std::vector<std::string> readers = plan_.DependentsOf(round.failed);
    std::erase_if(left, [&](ModelRunner* runner) {
      const std::string& name = runner->plan().model.name;
      return name == round.failed ||
             std::find(readers.begin(), readers.end(), name) != readers.end();
    });
  }
  return CommitHalts(lane, frontier, *models);
}

Status Behind::Refresh(const plan::ModelPlan& plan, Round& round,
                       const Frontier& frontier) {
  const Micros began = clock_.Monotonic();
  for (const plan::ModelPlan* part : plan_.PartsOf(plan)) {
    round.touched.push_back(part);
    Status done = RunRefresh(*part, frontier.watermark, round);
    if (!done.ok()) return round.FailedIn(plan, std::move(done).error());
  }
  if (round.refreshed) {
    round.commit.work[plan.model.name] = nlohmann::json{
        {"fingerprint", plan.fingerprint},
        {"since", clock_.Now()},
        {"steps", 1},
        {"rows_in", 0},
        {"rows_out", 0},
        {"micros", clock_.Monotonic() - began},
        {"violations", nlohmann::json::parse(round.refreshed->Json())},
        {"stages", nlohmann::json::array()}}.dump();
  }
  return CommitRound(round);
}

Status Behind::Follow(const std::string& lane,
                      const std::vector<const plan::ModelPlan*>& plans,
                      const Frontier& frontier,
                      std::map<std::string, commit::ModelState>* models,
                      std::map<std::string, std::string>* halted) {
  std::vector<ModelRunner*> runners;
  for (const plan::ModelPlan* plan : plans) {
    if (!plan->part_of.empty() || IsBlocked(*plan, plans, *halted)) continue;
    if (plan->kind != plan::BlockKind::kFullRefresh) {
      auto& runner = runners_[plan->model.name];
      if (runner == nullptr) {
        std::map<std::string, data::Schema> inputs;
        for (const std::string& input : plan->inputs)
          inputs[input] = WithoutIds(tables_.metadata(input).schema());
        runner = WEIR_TRY(ModelRunner::New(*plan, inputs, pool_, committer_.store(),
                                           DuckOptions(settings_, data_dir_),
                                           settings_.memory_max / 8, clock_));
      }
      runners.push_back(runner.get());
      continue;
    }
    if (!IsBehind(*plan, *models)) continue;
    Round round(lane, frontier, models);
    const Status done = Refresh(*plan, round, frontier);
    if (done.ok()) {
      Release(plan->model.name, models, halted);
      continue;
    }
    if (done.error().code != Code::kInvalid || round.failed.empty()) return done;
    tables_.Quiesce();
    for (const plan::ModelPlan* part : round.touched) tables_.Abandon(part->model.name);
    Halt(plan->model.name, done.error().message, models, halted);
  }
  return CatchUp(lane, runners, frontier, models, halted);
}

}  // namespace weir::flow
