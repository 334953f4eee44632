#include "flow/flow.h"

#include <fmt/format.h>

#include <deque>
#include <future>
#include <nlohmann/json.hpp>
#include <set>

#include "base/event.h"
#include "base/latency.h"
#include "base/memory.h"
#include "commit/committer.h"
#include "flow/behind.h"
#include "flow/drift.h"
#include "flow/frontier.h"
#include "flow/lease_keeper.h"
#include "flow/live_models.h"
#include "flow/model_runner.h"
#include "flow/orphan_sweep.h"
#include "flow/sources.h"
#include "flow/state_rebuild.h"
#include "flow/table_set.h"
#include "flow/table_specs.h"
#include "ingest/source.h"
#include "log/journal.h"
#include "scan/scan.h"

namespace weir::flow {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(20);

// What waits between the sources and the flow stands before the marker that ends an
// epoch, however full the operators are: two large steps or so, which keep the sources
// busy.
constexpr int64_t kQueueBytesMax = 32 << 20;
constexpr size_t kLookMax = 2;  // events of one source that are taken out at once

// One source's events that wait for the epoch to close, because they stand behind its
// marker.
struct SourceQueue {
  std::deque<ingest::SourceEvent> waiting;
  bool at_marker = false;  // its marker of the current epoch came
  bool ended = false;
};

// Plain views are part of their readers' SQL; there is nothing to keep.
plan::Plan StoredOnly(const plan::Plan& plan) {
  plan::Plan out = plan;
  std::erase_if(out.models, [](const plan::ModelPlan& model) {
    return model.model.verb == sql::ModelVerb::kView;
  });
  return out;
}

class FlowImpl final : public Flow {
 public:
  FlowImpl(io::Io& io, Clock& clock, const project::Project& project,
           const plan::Plan& plan, FlowOptions options)
      : io_(io),
        clock_(clock),
        project_(project),
        settings_(project.settings),
        plan_(StoredOnly(plan)),
        options_(std::move(options)),
        memory_("weir", settings_.memory_max),
        pool_(settings_.shards, /*gives_way=*/options_.live),
        queue_(static_cast<size_t>(
            std::min<int64_t>(settings_.memory_max / 64, kQueueBytesMax))) {}

  ~FlowImpl() override {
    queue_.Close();
    sources_.reset();
    sweep_.reset();
    lease_keeper_.reset();
  }

  Status Init() {
    commit::CommitterOptions commit_options;
    commit_options.lease = settings_.lease;
    commit_options.wait_for_lease = options_.wait_for_lease;
    commit_options.lease_term = options_.lease_term;
    commit_options.store = options_.store;
    committer_ =
        WEIR_TRY(commit::Committer::Open(io_, clock_, options_.data_dir, commit_options));
    lease_keeper_ = std::make_unique<LeaseKeeper>(*committer_, settings_.lease);
    auto journal = WEIR_TRY(log::Journal::Open(
        io_, io::Join(options_.data_dir, "journal"), committer_->owner_epoch()));
    journal_.With([&](auto& slot) { slot = std::move(journal); });
    WEIR_TRY(Recover());
    WEIR_TRY(journal_.With([&](auto& slot) {
      return slot->Read(
          1, [&](const log::Journal::Entry& entry) { return drift_.Replay(entry); });
    }));
    MemoryBudget& tables = memory_.Child("tables", settings_.memory_max / 3);
    buffers_ = &tables.Child("buffers", settings_.memory_max / 6);
    tables_ = std::make_unique<TableSet>(io_, clock_, *committer_, options_.data_dir,
                                         tables, settings_.table_file_bytes,
                                         /*gives_way=*/options_.live);
    if (!committer_->recovered().state_lost.empty()) {
      rebuild_ = std::make_unique<StateRebuild>(io_, clock_, *committer_, frontier_,
                                                options_.data_dir);
    }
    WEIR_TRY(OpenSourceTables());
    WEIR_TRY(OpenModels({}));
    if (rebuild_ != nullptr) WEIR_TRY(RebuildState());
    WEIR_TRY(CreateTables());
    WEIR_TRY(BringUpModels());
    // All that was written so far is committed, and nothing more is begun before Run.
    sweep_ = std::make_unique<OrphanSweep>(*committer_, clock_, dropped_models_);
    return OpenSources();
  }

  Result<RunReport> Run(const CancelToken& cancel, const Progress& progress) override {
    const Micros began = clock_.Monotonic();
    WEIR_TRY(sources_->Start());
    sweep_->Start();
    epoch_began_ = clock_.Monotonic();
    Status status = RunLoop(cancel, [&] {
      report_.wall = clock_.Monotonic() - began;
      if (progress) progress(report_);
    });
    if (!status.ok()) {
      // Whoever waits for an answer is told at once that none will come.
      sources_->Stop();
      queue_.Close();
      return std::move(status).error();
    }
    sources_->Stop();
    WEIR_TRY(committer_->store().Flush());
    if (options_.once && sweep_->Wait()) WEIR_TRY(committer_->CollectGarbage());
    report_.wall = clock_.Monotonic() - began;
    report_.ledger = ledger_;
    if (progress) progress(report_);
    return report_;
  }

  ingest::EventSink* sink() override { return sources_->sink(); }
  bool state_is_damaged() const override {
    return committer_ != nullptr && committer_->store().damaged();
  }

 private:
  // ------------------------------------------------------------------ opening

  Status Recover() {
    const commit::Recovered& recovered = committer_->recovered();
    const auto frontier = recovered.frontiers.find(kLiveLane);
    if (frontier != recovered.frontiers.end())
      frontier_ = WEIR_TRY(ParseFrontier(frontier->second));
    watermarks_.Restore(frontier_);
    global_watermark_ = watermarks_.global();
    for (const auto& [source, line] : recovered.ledger) {
      ledger_[source] = WEIR_TRY(ParseLedger(line));
      broken_[source] = WEIR_TRY(ParseBrokenFiles(line));
      reference_rows_[source] = ParseReferenceRows(line);
    }
    models_ = recovered.models;
    return {};
  }

  Status OpenSourceTables() {
    for (const contract::Contract& contract : project_.contracts) {
      ingest::SourceTables tables = ingest::TablesOf(contract);
      WEIR_TRY(OpenTable(WEIR_TRY(BronzeSpec(contract, tables))));
      WEIR_TRY(OpenTable({tables.rejected, tables.rejected_schema}));
      live_tables_.insert(live_tables_.end(), {tables.bronze, tables.rejected});
      for (const std::string& name : {tables.late, tables.duplicate}) {
        if (name.empty()) continue;
        WEIR_TRY(OpenTable({name, tables.late_schema}));
        live_tables_.push_back(name);
      }
      if (!tables.arrivals.empty()) {
        WEIR_TRY(tables_->Open({tables.arrivals, tables.arrivals_schema}));
        live_tables_.push_back(tables.arrivals);
      }
      source_tables_.push_back(std::move(tables));
    }
    return {};
  }

  // A table whose key index is lost gets it back first.
  Status OpenTable(const TableSpec& spec) {
    if (rebuild_ != nullptr) WEIR_TRY(rebuild_->Index(spec));
    Status opened = tables_->Open(spec);
    if (opened.ok() || opened.error().code != Code::kConflict) return opened;
    // An index that is not of a snapshot of ours is of another directory, or damaged.
    const iceberg::Snapshot* snapshot = tables_->metadata(spec.name).current();
    if (snapshot == nullptr || !snapshot->summary.contains("weir.epoch")) return opened;
    committer_->store().NoteDamage(opened.error().message);
    return Corrupt(opened.error().message);
  }

  // Models whose plan is not the one their state and table belong to begin anew, and so
  // do those named in `also` and everything that reads them.
  Status OpenModels(const std::set<std::string>& also) {
    std::set<std::string> renewed;
    commit::EpochCommit reset{kLiveLane, FrontierJson(frontier_), {}, nullptr, {}, {},
                              {}};
    state::Delta delta;
    for (const plan::ModelPlan& model : plan_.models) {
      const auto known = models_.find(model.model.name);
      bool renew = known == models_.end() ||
                   known->second.fingerprint != model.fingerprint ||
                   renewed.contains(model.part_of) || also.contains(model.model.name);
      for (const std::string& input : model.inputs)
        renew = renew || renewed.contains(input);
      if (!renew) continue;
      renewed.insert(model.model.name);
      if (known == models_.end()) continue;
      reset.dropped_models.push_back(model.model.name);
      delta.Clear("index/" + model.model.name);
      delta.Clear("files/" + model.model.name);
      const std::string states =
          ModelRunner::StateSpace(model.model.name, known->second.fingerprint);
      for (const auto& space : WEIR_TRY(committer_->store().Spaces())) {
        if (space.space.starts_with(states)) delta.Clear(space.space);
      }
    }
    if (!reset.dropped_models.empty()) {
      reset.delta = &delta;
      WEIR_TRY(committer_->Commit(reset));
      dropped_models_ = true;
      for (const std::string& name : reset.dropped_models) models_.erase(name);
    }
    for (const plan::ModelPlan& model : plan_.models) {
      WEIR_TRY(OpenTable(SpecOf(model)));
      if (!models_.contains(model.model.name)) {
        commit::ModelState state{
            model.model.name, model.fingerprint, LaneOf(model), {}, ""};
        for (const std::string& input : model.inputs) state.inputs[input] = 0;
        models_[model.model.name] = std::move(state);
      }
    }
    return {};
  }

  // All that was lost and has no table of its own.
  Status RebuildState() {
    StateRebuild::ModelContext context{tables_.get(), &pool_,
                                       DuckOptions(settings_, options_.data_dir),
                                       operator_bytes_max(), kNoTime};
    std::set<std::string> others;
    for (const plan::ModelPlan& model : plan_.models) {
      const commit::ModelState& state = models_.at(model.model.name);
      context.watermark = WEIR_TRY(WatermarkOf(state));
      if (WEIR_TRY(rebuild_->Model(model, state, context))) continue;
      others.insert(model.model.name);
      Event("model_begins_anew", Severity::kWarning)
          .With("model", model.model.name)
          .With("why",
                "its state was lost, and what its query gives over the versions it stood "
                "at is not what its table holds, or these versions are gone");
    }
    if (!others.empty()) WEIR_TRY(OpenModels(others));
    for (const contract::Contract& contract : project_.contracts)
      WEIR_TRY(rebuild_->Identities(contract, *tables_, journal_, identity_bytes()));
    WEIR_TRY(rebuild_->Finish());
    rebuild_.reset();
    return {};
  }

  // Up to where time has passed for a model's rows: of one that stood still the table
  // knows.
  Result<Micros> WatermarkOf(const commit::ModelState& state) const {
    const auto& frontiers = committer_->recovered().frontiers;
    if (const auto lane = frontiers.find(state.lane);
        state.halted.empty() && lane != frontiers.end())
      return WEIR_TRY(ParseFrontier(lane->second)).watermark;
    const iceberg::Snapshot* snapshot = tables_->metadata(state.model).current();
    if (snapshot == nullptr) return kNoTime;
    const auto summary = snapshot->summary.find("weir.frontier");
    return summary == snapshot->summary.end() ? kNoTime
                                              : SummaryWatermark(summary->second);
  }

  // A model is in the live lane when it and all models above it can follow every epoch.
  std::string LaneOf(const plan::ModelPlan& model) const {
    if (model.kind == plan::BlockKind::kFullRefresh) return "refresh";
    std::string lane = kLiveLane;
    if (model.model.target_lag && *model.model.target_lag > settings_.epoch_interval)
      lane = "lag-" + FormatDuration(*model.model.target_lag);
    for (const std::string& input : model.inputs) {
      const plan::ModelPlan* above = plan_.Find(input);
      if (above == nullptr) continue;
      const std::string other = LaneOf(*above);
      if (other == "refresh" || lane == kLiveLane)
        lane = other == kLiveLane ? lane : other;
    }
    return lane;
  }

  // Tables exist from the first moment on, empty, so that readers and models find them.
  Status CreateTables() {
    commit::EpochCommit commit{kLiveLane, FrontierJson(frontier_), {}, nullptr, {}, {},
                               {}};
    state::Delta delta;
    commit.delta = &delta;
    std::vector<std::string> names = live_tables_;
    for (const plan::ModelPlan& model : plan_.models) names.push_back(model.model.name);
    for (const std::string& name : names) {
      if (auto staged =
              WEIR_TRY(tables_->Close(name, committer_->next_epoch(), {}, {}, delta)))
        commit.tables.push_back(*std::move(staged));
    }
    for (const auto& [name, state] : models_) commit.models.push_back(state);
    if (commit.tables.empty() && committer_->last_epoch().value > 0) return {};
    for (const contract::Contract& contract : project_.contracts) {
      ledger_.try_emplace(contract.name);
      commit.ledger[contract.name] = LedgerLine(contract.name);
    }
    WEIR_TRY(committer_->Commit(commit));
    tables_->Committed(commit.tables);
    return {};
  }

  // Catches up whoever is behind, then lets the live models run.
  Status BringUpModels() {
    behind_ = std::make_unique<Behind>(io_, clock_, *committer_, *tables_, plan_, pool_,
                                       settings_, options_.data_dir);
    live_ =
        std::make_unique<LiveModels>(clock_, plan_, *tables_, *behind_,
                                     settings_.epoch_interval, models_, report_.halted);
    duck::InstanceOptions duck = DuckOptions(settings_, options_.data_dir);
    const auto live_count = std::max<int64_t>(
        1, std::count_if(
               plan_.models.begin(), plan_.models.end(),
               [&](const plan::ModelPlan& model) { return LaneOf(model) == kLiveLane; }));
    std::vector<std::future<Result<std::unique_ptr<ModelRunner>>>> made;
    for (const plan::ModelPlan& model : plan_.models) {
      commit::ModelState& state = models_.at(model.model.name);
      state.lane = LaneOf(model);
      state.halted.clear();
      if (state.lane != kLiveLane) {
        lanes_[state.lane].models.push_back(&model);
        continue;
      }
      if (!model.part_of.empty()) continue;
      // DuckDB takes some 10 ms for a session, so the runners are made beside each other.
      // A simulated disk wants its operations in one order.
      const auto make = [this, &model, &duck, live_count] {
        std::map<std::string, data::Schema> inputs;
        for (const std::string& input : model.inputs)
          inputs[input] = tables_->metadata(input).schema();
        return ModelRunner::New(model, inputs, pool_, committer_->store(), duck,
                                operator_bytes_max() / live_count, clock_);
      };
      made.push_back(std::async(committer_->store().deterministic()
                                    ? std::launch::deferred
                                    : std::launch::async,
                                make));
    }
    for (auto& runner : made) live_->Add(WEIR_TRY(runner.get()));
    const Micros began = clock_.Monotonic();
    WEIR_TRY(live_->CatchUp(frontier_));
    for (auto& [name, lane] : lanes_) {
      for (const plan::ModelPlan* model : lane.models)
        lane.target_lag = std::max(lane.target_lag, model->model.target_lag.value_or(0));
      lane.last = clock_.Monotonic() - lane.target_lag;
    }
    report_.stages["behind"] += clock_.Monotonic() - began;
    return {};
  }

  Status OpenSources() {
    SourcesOptions sources;
    sources.data_dir = options_.data_dir;
    sources.once = options_.once;
    sources.live = options_.live;
    sources.paths = options_.source_paths;
    sources.queue = &queue_;
    sources.journal = &journal_;
    sources.store = &committer_->store();
    sources.global_watermark = &global_watermark_;
    sources.owner = committer_->owner_epoch();
    sources.lease_valid = [this] { return committer_->lease_valid(); };
    sources.rows = [this](const std::string& table) { return CommittedRows(table); };
    sources_ =
        WEIR_TRY(Sources::Open(io_, clock_, project_, frontier_, std::move(sources)));
    queues_.resize(sources_->size());
    asked_marker_ = frontier_.marker;
    return {};
  }

  Result<std::vector<data::Batch>> CommittedRows(const std::string& table) {
    std::vector<data::Batch> rows;
    const iceberg::Metadata& metadata = tables_->metadata(table);
    const iceberg::Snapshot* current = metadata.current();
    if (current == nullptr) return rows;
    const auto scan =
        WEIR_TRY(scan::ScanTable(io_, metadata, *current, metadata.schema(), {}));
    while (auto batch = WEIR_TRY(scan->Next())) rows.push_back({std::move(batch), {}});
    return rows;
  }

  // ------------------------------------------------------------------ the loop

  // Of a platform that answers callers the flow is not what they wait for. A thread of
  // its own gives way: the calling one could not go back, and might open the next flow.
  Status RunLoop(const CancelToken& cancel, const std::function<void()>& progress) {
    if (!options_.live) return Loop(cancel, progress);
    Status status;
    std::thread([&] {
      GiveWay();
      status = Loop(cancel, progress);
    }).join();
    return status;
  }

  Status Loop(const CancelToken& cancel, const std::function<void()>& progress) {
    Micros told = 0;
    for (;;) {
      if (cancel.cancelled() && !stopping_) {
        // What was acknowledged or read stays in the log and the files; only the epoch
        // that is open is finished.
        stopping_ = true;
        sources_->StopTaking();
      }
      if (stopping_ && steps_in_epoch_ == 0) return {};
      if (auto event = queue_.PopFor(kPollInterval)) {
        queues_[event->source].waiting.push_back(*std::move(event));
        // Whatever else is there belongs to the same look.
        while (auto more = queue_.TryPop()) {
          std::deque<ingest::SourceEvent>& waiting = queues_[more->source].waiting;
          waiting.push_back(*std::move(more));
          if (waiting.size() >= kLookMax) break;
        }
      }
      WEIR_TRY(TakeWaiting());
      const Micros now = clock_.Monotonic();
      if (now - told > 100'000) {
        told = now;
        progress();
      }
      WEIR_TRY(lease_keeper_->Check());
      if (asked_marker_ == frontier_.marker && steps_in_epoch_ > 0 &&
          EpochIsDue(cancel, now))
        Ask(frontier_.marker + 1);
      if (options_.once && steps_in_epoch_ == 0 && asked_marker_ == frontier_.marker &&
          AllEnded() && NothingWaits()) {
        WEIR_TRY(live_->Release(/*now=*/true, frontier_));
        return RunLanes(/*all=*/true);
      }
      if (!options_.once) WEIR_TRY(RunLanes(/*all=*/false));
    }
  }

  bool EpochIsDue(const CancelToken& cancel, Micros now) const {
    // At least as long as closing the one before took work goes on, however short the
    // interval is.
    return cancel.cancelled() ||
           now - epoch_began_ >= std::max(settings_.epoch_interval, 2 * close_took_) ||
           (options_.once && AllEnded() && NothingWaits()) || buffers_->over() ||
           OperatorsAreFull();
  }

  int64_t identity_bytes() const {
    return IdentityBytes(settings_, project_.contracts.size());
  }

  // What the live models' operators hold, of which only what is committed may go.
  int64_t operator_bytes_max() const { return settings_.memory_max / 8; }
  bool OperatorsAreFull() const { return live_->state_bytes() > operator_bytes_max(); }

  bool AllEnded() const {
    return std::all_of(queues_.begin(), queues_.end(),
                       [](const SourceQueue& q) { return q.ended; });
  }
  bool NothingWaits() const {
    return queue_.bytes() == 0 &&
           std::all_of(queues_.begin(), queues_.end(),
                       [](const SourceQueue& q) { return q.waiting.empty(); });
  }

  void Ask(int64_t marker) {
    asked_marker_ = marker;
    epoch_began_ = clock_.Monotonic();
    sources_->RequestMarker(marker);
  }

  // Takes what stands before the markers; closes the epoch when all markers are there.
  Status TakeWaiting() {
    for (;;) {
      for (size_t i = 0; i < queues_.size(); ++i) {
        SourceQueue& queue = queues_[i];
        while (!queue.at_marker && !queue.waiting.empty()) {
          ingest::SourceEvent event = std::move(queue.waiting.front());
          queue.waiting.pop_front();
          WEIR_TRY(Take(event, queue));
        }
      }
      if (queues_.empty() ||
          !std::all_of(queues_.begin(), queues_.end(),
                       [](const SourceQueue& q) { return q.at_marker; }))
        return {};
      WEIR_TRY(CloseEpoch());
      if (stopping_) return {};
    }
  }

  Status Take(ingest::SourceEvent& event, SourceQueue& queue) {
    const std::string& source = sources_->name(event.source);
    if (auto* batch = std::get_if<ingest::JudgedBatch>(&event.what))
      return Step(event.source, *batch);
    if (auto* news = std::get_if<ingest::PartitionNews>(&event.what)) {
      NotePosition(source, news->position);
    } else if (auto* marker = std::get_if<ingest::Marker>(&event.what)) {
      WEIR_CHECK(marker->number == frontier_.marker + 1);
      queue.at_marker = true;
      for (const ingest::PartitionPosition& position : marker->positions)
        NotePosition(source, position);
      epoch_delta_.Append(std::move(marker->delta));
      if (asked_marker_ < marker->number) Ask(marker->number);
    } else if (auto* fault = std::get_if<ingest::FileFault>(&event.what)) {
      if (fault->journalled) {
        broken_[source].Add(*fault);
        ++steps_in_epoch_;  // it moves no rows, but it is to be committed
      }
      report_.file_faults[source].Add(std::move(*fault));
    } else if (std::holds_alternative<ingest::EndOfInput>(event.what)) {
      queue.ended = true;
    } else {
      return std::get<Error>(std::move(event.what)).Within("source " + source);
    }
    return {};
  }

  void NotePosition(const std::string& source,
                    const ingest::PartitionPosition& position) {
    frontier_.sources[source][position.partition] = position;
    watermarks_.Update(source, position);
    frontier_.watermark = watermarks_.global();
    global_watermark_ = frontier_.watermark;
  }

  // One step: a judged batch through its tables and all live models.
  Status Step(size_t index, ingest::JudgedBatch& batch) {
    const ingest::SourceTables& tables = source_tables_[sources_->contract_index(index)];
    const std::string& source = sources_->name(index);
    // The ledger, checked against the span of offsets before anything of the batch is
    // published.
    const auto& known = frontier_.sources[source][batch.after.partition];
    const int64_t span = batch.after.next.value - batch.first.value;
    if (!batch.counts.balanced() || batch.counts.received != span ||
        known.next != batch.first) {
      return Internal(
          fmt::format("the ledger of source {} does not balance at partition {} offset "
                      "{}: {} (offsets span {}); nothing more is committed",
                      source, batch.after.partition, batch.first.value,
                      LedgerJson(source, batch.counts), span));
    }
    ledger_[source].Add(batch.counts);
    if (span > 0)
      cuts_.push_back(
          {source, batch.after.partition, batch.first.value, batch.after.next.value});
    WEIR_TRY(NoteDrift(project_.contracts[sources_->contract_index(index)], batch));
    NotePosition(source, batch.after);
    ++report_.steps;
    ++frontier_.steps;
    ++steps_in_epoch_;
    report_.received += batch.counts.received;
    report_.bytes += batch.bytes;

    Changes changes;
    const auto publish = [&](const std::string& table, data::Batch& rows) {
      if (rows.num_rows() == 0) return;
      changes[table].push_back(rows);
      tables_->Append(table, std::move(rows));
    };
    if (tables.keyed) {
      for (int64_t i = 0; i < batch.accepted.num_rows(); ++i)
        reference_rows_[source] += batch.accepted.weight(i);
    }
    publish(tables.bronze, batch.accepted);
    publish(tables.rejected, batch.rejected);
    publish(tables.late, batch.late);
    publish(tables.duplicate, batch.conflicting);
    publish(tables.arrivals, batch.arrivals);
    const Micros began = clock_.Monotonic();
    WEIR_TRY(live_->Step(changes));
    report_.stages["models"] += clock_.Monotonic() - began;
    return {};
  }

  // What is told is journalled, so that it is told once; it is synced with the epoch.
  Status NoteDrift(const contract::Contract& contract, const ingest::JudgedBatch& batch) {
    for (const Drift& drift : drift_.Look(contract, batch.accepted, batch.after.partition,
                                          batch.first.value)) {
      Event("schema_drift", Severity::kWarning)
          .With("source", drift.source)
          .With("field", drift.field)
          .With("what", drift.vanished ? "declared, and not carried any more"
                                       : "carried, and not declared")
          .With("contract_version", drift.contract_version)
          .With("records", drift.records)
          .With("partition", drift.partition)
          .With("offset", drift.offset)
          .With("meaning", drift.vanished ? "it is null from there on"
                                          : "its values are kept in _extra");
      WEIR_TRY(journal_.With([&](auto& journal) -> Status {
        WEIR_TRY(journal->Append("drift", DriftJson(drift)));
        return {};
      }));
    }
    if (const auto carried = drift_.CarriedJson(contract)) {
      WEIR_TRY(journal_.With([&](auto& journal) -> Status {
        WEIR_TRY(journal->Append("drift", *carried));
        return {};
      }));
    }
    return {};
  }

  std::string LedgerLine(const std::string& source) {
    std::optional<int64_t> rows;
    for (const contract::Contract& contract : project_.contracts) {
      if (contract.name == source && contract.kind == contract::SourceKind::kReference)
        rows = reference_rows_[source];
    }
    return LedgerJson(source, ledger_[source], broken_[source], rows);
  }

  // ------------------------------------------------------------------ epochs

  Status CloseEpoch() {
    const Epoch epoch = committer_->next_epoch();
    const Micros began = clock_.Monotonic();
    Micros at = began;
    const auto stage = [&](const char* name) {
      const Micros now = clock_.Monotonic();
      report_.stages[name] += now - at;
      at = now;
    };
    ++frontier_.marker;
    commit::EpochCommit commit{
        kLiveLane, FrontierJson(frontier_), {}, &epoch_delta_, {}, {}, {}, {}};
    WEIR_TRY(JournalCuts(epoch));
    if (frontier_.watermark != kNoTime) WEIR_TRY(live_->PassTime(frontier_.watermark));
    live_->Judge();
    WEIR_TRY(live_->Checkpoint());
    stage("checkpoint");
    tables_->Quiesce();
    stage("encode_wait");
    WEIR_TRY(CloseTables(epoch, &commit));
    live_->Record(commit, epoch_delta_);
    stage("finish");
    for (const auto& [source, counts] : ledger_)
      commit.ledger[source] = LedgerLine(source);
    WEIR_TRY(committer_->Commit(commit));
    tables_->Committed(commit.tables);
    live_->Committed();
    stage("commit");
    sources_->Committed(frontier_);
    WEIR_TRY(committer_->CollectGarbage());
    epoch_delta_ = state::Delta();
    steps_in_epoch_ = 0;
    asked_marker_ = std::max(asked_marker_, frontier_.marker);
    ++report_.epochs;
    for (SourceQueue& queue : queues_) queue.at_marker = false;
    stage("release");
    close_took_ = at - began;
    WEIR_TRY(live_->Release(/*now=*/false, frontier_));
    stage("behind");
    return {};
  }

  Status JournalCuts(Epoch epoch) {
    nlohmann::json cuts = nlohmann::json::array();
    for (const Cut& cut : cuts_)
      cuts.push_back({cut.source, cut.partition, cut.from, cut.to});
    cuts_.clear();
    return journal_.With([&](auto& journal) -> Status {
      WEIR_TRY(journal->Append("epoch", nlohmann::json{{"epoch", epoch.value},
                                                       {"lane", kLiveLane},
                                                       {"cuts", std::move(cuts)}}
                                            .dump()));
      return journal->Sync();
    });
  }

  Status CloseTables(Epoch epoch, commit::EpochCommit* commit) {
    const std::map<std::string, std::string> summary = {
        {"weir.lane", kLiveLane},
        {"weir.epoch", std::to_string(epoch.value)},
        {"weir.frontier", FrontierSummary(frontier_)}};
    const auto keep = WEIR_TRY(KeptSnapshots());
    std::vector<std::string> names = live_tables_;
    for (std::string& name : live_->TablesToClose()) names.push_back(std::move(name));
    auto closed = tables_->CloseAll(names, epoch, summary, keep);
    for (size_t i = 0; i < names.size(); ++i) {
      if (closed[i].staged.ok()) continue;
      const Error& error = closed[i].staged.error();
      const bool is_model = i >= live_tables_.size();
      if (!is_model || error.code != Code::kInvalid) return error;
      live_->HaltTable(names[i], error.message);
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (report_.halted.contains(names[i])) {
        tables_->Abandon(names[i]);
        continue;
      }
      epoch_delta_.Append(std::move(closed[i].delta));
      if (*closed[i].staged) commit->tables.push_back(**std::move(closed[i].staged));
    }
    return {};
  }

  // Snapshots that readers and lanes behind still need.
  Result<std::vector<SnapshotId>> KeptSnapshots() {
    std::vector<SnapshotId> keep = WEIR_TRY(committer_->LeasedSnapshots());
    for (const auto& [name, model] : models_) {
      for (const auto& [table, snapshot] : model.inputs) {
        if (snapshot != 0) keep.push_back({snapshot});
      }
    }
    return keep;
  }

  // ------------------------------------------------------------------ lanes behind

  struct Lane {
    std::vector<const plan::ModelPlan*> models;
    Micros target_lag = 0, last = 0, took = 0;
  };

  // Lanes whose lag is used up (or all) follow to the tables' present versions. A lane
  // that is slow waits ten times as long as it took.
  Status RunLanes(bool all) {
    for (auto& [name, lane] : lanes_) {
      const Micros now = clock_.Monotonic();
      if (!all && now - lane.last < std::max({lane.target_lag, 10 * lane.took,
                                              settings_.epoch_interval}))
        continue;
      WEIR_TRY(behind_->Follow(name, lane.models, frontier_, &models_, &report_.halted));
      lane.last = clock_.Monotonic();
      lane.took = lane.last - now;
      report_.stages["behind"] += lane.took;
    }
    return {};
  }

  struct Cut {
    std::string source;
    int partition;
    int64_t from, to;
  };

  io::Io& io_;
  Clock& clock_;
  const project::Project& project_;
  const project::Settings& settings_;
  const plan::Plan plan_;  // of the models that have a table
  const FlowOptions options_;
  MemoryBudget memory_;
  MemoryBudget* buffers_ = nullptr;  // rows that tables have taken and not written yet
  ShardPool pool_;
  ingest::EventQueue queue_;
  ingest::SharedJournal journal_;
  std::unique_ptr<commit::Committer> committer_;
  std::unique_ptr<LeaseKeeper> lease_keeper_;
  bool dropped_models_ = false;
  std::unique_ptr<OrphanSweep> sweep_;
  std::unique_ptr<TableSet> tables_;
  std::unique_ptr<Behind> behind_;
  std::vector<ingest::SourceTables> source_tables_;
  std::unique_ptr<StateRebuild> rebuild_;  // while what was lost is not back
  std::vector<std::string> live_tables_;
  std::unique_ptr<LiveModels> live_;
  std::map<std::string, commit::ModelState> models_;
  std::map<std::string, Lane> lanes_;
  Frontier frontier_;
  Watermarks watermarks_;
  std::atomic<Micros> global_watermark_{kNoTime};
  std::map<std::string, ingest::Counts> ledger_;
  std::map<std::string, BrokenFiles> broken_;      // by source, part of its ledger line
  std::map<std::string, int64_t> reference_rows_;  // likewise: those of bronze
  DriftWatch drift_;
  std::vector<Cut> cuts_;
  state::Delta epoch_delta_;
  std::vector<SourceQueue> queues_;
  int64_t asked_marker_ = 0, steps_in_epoch_ = 0;
  // When the marker was asked for that the epoch begins behind, and for how long the flow
  // stood still to close the one before.
  Micros epoch_began_ = 0, close_took_ = 0;
  bool stopping_ = false;
  RunReport report_;
  std::unique_ptr<Sources> sources_;  // last: its threads push into what stands above
};

}  // namespace

Result<std::unique_ptr<Flow>> Flow::Open(io::Io& io, Clock& clock,
                                         const project::Project& project,
                                         const plan::Plan& plan, FlowOptions options) {
  auto flow = std::make_unique<FlowImpl>(io, clock, project, plan, options);
  Status opened = flow->Init();
  if (!opened.ok() && flow->state_is_damaged()) {
    flow.reset();
    flow = std::make_unique<FlowImpl>(io, clock, project, plan, std::move(options));
    opened = flow->Init();
  }
  WEIR_TRY(std::move(opened));
  return std::unique_ptr<Flow>(std::move(flow));
}

}  // namespace weir::flow
