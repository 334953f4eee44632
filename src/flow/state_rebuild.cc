#include "flow/state_rebuild.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <numeric>

#include "base/event.h"
#include "data/arrow.h"
#include "flow/sources.h"
#include "ingest/identity_rebuild.h"
#include "publish/rebuild.h"
#include "scan/scan.h"

namespace weir::flow {
namespace {

constexpr size_t kDeltaBytes = 64 << 20;

std::string DoneKey(const std::string& piece) { return "done/" + piece; }

// Rows as often as they are there, whatever their order: equal for equal tables, and for
// others with a probability of 2^-128.
class RowSum {
 public:
  Status Add(const data::Batch& batch) {
    std::vector<int> columns(static_cast<size_t>(batch.rows->num_columns()));
    std::iota(columns.begin(), columns.end(), 0);
    const auto hashes = WEIR_TRY(data::HashKeys(*batch.rows, columns));
    for (size_t i = 0; i < hashes.size(); ++i) {
      const auto weight = batch.weight(static_cast<int64_t>(i));
      sum_ += (static_cast<unsigned __int128>(hashes[i].high) << 64 | hashes[i].low) *
              static_cast<unsigned __int128>(static_cast<__int128>(weight));
      rows_ += weight;
    }
    return {};
  }
  friend bool operator==(const RowSum&, const RowSum&) = default;

 private:
  unsigned __int128 sum_ = 0;
  int64_t rows_ = 0;
};

// The rows of a table at a snapshot, as a model reads them.
Status VisitRows(io::Io& io, const iceberg::Metadata& metadata,
                 const iceberg::Snapshot& snapshot,
                 const std::function<Status(data::Batch)>& visit) {
  const data::Schema& schema = metadata.schema();
  const auto scan = WEIR_TRY(scan::ScanTable(io, metadata, snapshot, schema, {}));
  data::Schema plain = schema;
  data::ClearFieldIds(plain);
  for (data::Field& field : plain.fields) field.required = false;
  while (const auto rows = WEIR_TRY(scan->Next())) {
    WEIR_TRY(visit({arrow::RecordBatch::Make(data::ToArrow(plain), rows->num_rows(),
                                             rows->columns()),
                    {}}));
  }
  return {};
}

bool KeepsState(const plan::ModelPlan& plan) {
  if (plan.violations_stage >= 0) return true;
  return std::any_of(plan.stages.begin(), plan.stages.end(), [](const auto& stage) {
    return stage.kind != plan::BlockKind::kRowWise &&
           stage.kind != plan::BlockKind::kUnion;
  });
}

Result<std::optional<iceberg::Metadata>> Committed(io::Io& io, iceberg::Catalog& catalog,
                                                   const std::string& table) {
  const auto found = WEIR_TRY(catalog.Find(table));
  if (!found) return std::optional<iceberg::Metadata>();
  return std::optional(WEIR_TRY(iceberg::ReadMetadata(io, found->metadata_location)));
}

}  // namespace

StateRebuild::StateRebuild(io::Io& io, Clock& clock, commit::Committer& committer,
                           const Frontier& frontier, std::string data_dir)
    : io_(io),
      clock_(clock),
      committer_(committer),
      frontier_(frontier),
      data_dir_(std::move(data_dir)),
      began_(clock.Monotonic()) {}

Status StateRebuild::Commit(state::Delta& delta) {
  commit::EpochCommit commit{"live", FrontierJson(frontier_), {}, &delta, {}, {}, {}, {}};
  WEIR_TRY(committer_.Commit(commit));
  delta = state::Delta();
  return {};
}

Status StateRebuild::CommitIfLarge(state::Delta& delta) {
  return delta.bytes() < kDeltaBytes ? Status() : Commit(delta);
}

Result<bool> StateRebuild::IsDone(const std::string& piece) {
  const std::string key = DoneKey(piece);
  const std::string_view keys[] = {key};
  return WEIR_TRY(committer_.store().GetMany(state::kRebuildSpace, keys))[0].has_value();
}

// What a crash left of a piece.
Status StateRebuild::Clear(const std::vector<std::string>& spaces) {
  state::Delta delta;
  for (const std::string& space : spaces) {
    bool any = false;
    WEIR_TRY(committer_.store().Scan(space, "", [&](auto, auto) {
      any = true;
      return false;
    }));
    if (any) delta.Clear(space);
  }
  return delta.empty() ? Status() : Commit(delta);
}

Status StateRebuild::Index(const TableSpec& spec) {
  const std::string piece = "index/" + spec.name;
  if (!spec.keyed || WEIR_TRY(IsDone(piece))) return {};
  const auto metadata = WEIR_TRY(Committed(io_, committer_.catalog(), spec.name));
  if (!metadata) return {};
  state::Delta delta;
  const auto index =
      WEIR_TRY(publish::RebuildIndex(io_, spec.name, *metadata, spec.key, delta));
  delta.Put(state::kRebuildSpace, DoneKey(piece), "1");
  WEIR_TRY(Commit(delta));
  ++tables_;
  rows_ += index.rows;
  return {};
}

Result<bool> StateRebuild::Model(const plan::ModelPlan& plan,
                                 const commit::ModelState& state,
                                 const ModelContext& context) {
  const std::string& name = plan.model.name;
  const std::string piece = "op/" + name;
  const bool began = std::any_of(state.inputs.begin(), state.inputs.end(),
                                 [](const auto& input) { return input.second != 0; });
  if (!KeepsState(plan) || !began || WEIR_TRY(IsDone(piece))) return true;
  std::vector<std::string> spaces;
  for (size_t stage = 0; stage < plan.stages.size(); ++stage)
    spaces.push_back(ModelRunner::StageSpace(plan, stage));
  spaces.push_back(ModelRunner::StateSpace(name, plan.fingerprint) + "/violations");
  WEIR_TRY(Clear(spaces));
  std::map<std::string, data::Schema> inputs;
  for (const std::string& input : plan.inputs)
    inputs[input] = context.tables->metadata(input).schema();
  const auto runner =
      WEIR_TRY(ModelRunner::New(plan, inputs, *context.pool, committer_.store(),
                                context.duck, context.memory_max, clock_));
  std::map<std::string, RowSum> made, there;  // by table
  state::Delta delta;
  const auto feed = [&](const Changes& changes) -> Status {
    Changes out;
    WEIR_TRY(runner->Process(changes, &out));
    for (const auto& [table, batches] : out) {
      for (const data::Batch& batch : batches) WEIR_TRY(made[table].Add(batch));
    }
    if (runner->state_bytes() <= context.memory_max) return {};
    WEIR_TRY(runner->Checkpoint(delta));
    WEIR_TRY(Commit(delta));
    runner->Committed();
    return {};
  };
  for (const std::string& input : plan.inputs) {
    const auto version = state.inputs.find(input);
    if (version == state.inputs.end()) return false;
    if (version->second == 0) continue;
    const iceberg::Metadata& metadata = context.tables->metadata(input);
    const iceberg::Snapshot* snapshot = metadata.Find({version->second});
    if (snapshot == nullptr) return false;
    WEIR_TRY(VisitRows(io_, metadata, *snapshot, [&](data::Batch batch) {
      rows_ += batch.num_rows();
      return feed({{input, {std::move(batch)}}});
    }));
  }
  if (runner->follows_time() && context.watermark != kNoTime) {
    runner->SetWatermark(context.watermark);
    WEIR_TRY(feed({}));
  }
  // Rows that depend on when they were made cannot be compared.
  if (!plan.model.nondeterministic) {
    for (const std::string& table : {name, plan.rejected_table}) {
      if (table.empty()) continue;
      const iceberg::Metadata& own = context.tables->metadata(table);
      RowSum& rows = there[table];
      if (own.current() != nullptr) {
        WEIR_TRY(VisitRows(io_, own, *own.current(),
                           [&](const data::Batch& batch) { return rows.Add(batch); }));
      }
      if (made[table] != rows) return false;
    }
  }
  WEIR_TRY(runner->Checkpoint(delta));
  delta.Put(state::kRebuildSpace, DoneKey(piece), "1");
  WEIR_TRY(Commit(delta));
  ++models_;
  return true;
}

Status StateRebuild::Identities(const contract::Contract& contract,
                                const TableSet& tables, ingest::SharedJournal& journal,
                                int64_t table_bytes) {
  const auto known = frontier_.sources.find(contract.name);
  if (known == frontier_.sources.end() || contract.identity.empty() ||
      contract.kind == contract::SourceKind::kReference)
    return {};
  const ingest::SourceTables names = ingest::TablesOf(contract);
  for (const auto& [number, position] : known->second) {
    const std::string space = ingest::IdentitySpace(contract, number);
    if (WEIR_TRY(IsDone(space))) continue;
    WEIR_TRY(Clear({space}));
    ingest::IdentityRebuild what{&contract, &tables.metadata(names.bronze),
                                 &tables.metadata(names.late), position};
    const auto place = static_cast<size_t>(number / kPartitionsPerServer);
    what.live = place < contract.servers.size() && contract.servers[place].type == "http";
    if (what.live) {
      const std::string log = io::Join(data_dir_, "log"),
                        partition = std::to_string(number % kPartitionsPerServer);
      const auto of_partition = [&](const std::string& dir) {
        return io::Join(io::Join(dir, contract.name), partition);
      };
      what.floors = WEIR_TRY(ingest::LoggedFloors(
          io_, of_partition(log), of_partition(io::Join(log, "archive"))));
      // Without idleness nobody wakes.
      what.floors.complete |= !contract.idle_after;
    } else {
      what.floors = WEIR_TRY(journal.With([&](auto& open) {
        return ingest::JournalledFloors(*open, contract.name, number);
      }));
    }
    auto identities = WEIR_TRY(state::Identities::Load(
        committer_.store(), space, contract.identity_memory, table_bytes));
    state::Delta delta;
    const auto rebuilt =
        WEIR_TRY(ingest::RebuildIdentities(io_, what, identities, [&]() -> Status {
          WEIR_TRY(identities.Checkpoint(delta, space));
          return CommitIfLarge(delta);
        }));
    if (!rebuilt.exact) {
      ++inexact_;
      Event("identities_inexact", Severity::kWarning)
          .With("source", contract.name)
          .With("partition", number)
          .With("why",
                "parts of the log were not kept, or its rows were changed, so it is not "
                "known what the watermark was at each record")
          .With("meaning",
                "some identities are remembered longer than weir.identityMemory says, "
                "none shorter");
    }
    WEIR_TRY(identities.Checkpoint(delta, space));
    delta.Put(state::kRebuildSpace, DoneKey(space), "1");
    WEIR_TRY(Commit(delta));
    rows_ += rebuilt.records;
    identities_ += rebuilt.remembered;
  }
  return {};
}

Status StateRebuild::Finish() {
  state::Delta delta;
  delta.Clear(state::kRebuildSpace);
  WEIR_TRY(Commit(delta));
  WEIR_TRY(committer_.store().Flush());
  Event("state_rebuilt", Severity::kWarning)
      .With("why", committer_.recovered().state_lost)
      .With("indexes", tables_)
      .With("models", models_)
      .With("identities", identities_)
      .With("rows", rows_)
      .With("seconds", static_cast<double>(clock_.Monotonic() - began_) / 1e6);
  return {};
}

}  // namespace weir::flow
