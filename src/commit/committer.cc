#include "commit/committer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/event.h"
#include "base/json.h"
#include "base/seal.h"
#include "commit/directory_internal.h"
#include "iceberg/refs.h"

namespace weir::commit {
namespace {

using iceberg::SqlRow;

// Epoch rows beyond these are history that nobody asks for.
constexpr int64_t kEpochRowsKept = 1000;
constexpr Micros kSweepInterval = 24LL * 3'600'000'000;

// Rows of catalog.db have no checksums of their own, so the texts that decide what is
// read next carry one.
Result<std::string> Unsealed(const SqlRow& row, size_t column, const char* what) {
  auto text = UnsealJson(AsText(row[column]));
  if (text.ok()) return text;
  return Corrupt(
      fmt::format("catalog.db: the {} of {} has a bad checksum: bytes of the file were "
                  "changed; put back a copy of the data directory",
                  what, AsText(row[0])));
}

std::string InputsJson(const ModelState& model) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [table, snapshot] : model.inputs) json[table] = snapshot;
  return json.dump();
}

}  // namespace

std::string CatalogPath(const std::string& data_dir) {
  return io::Join(data_dir, "catalog.db");
}
std::string WarehouseDir(const std::string& data_dir) {
  return io::Join(data_dir, "warehouse");
}
std::string StateDir(const std::string& data_dir) { return io::Join(data_dir, "state"); }

Committer::Committer(io::Io& io, Clock& clock, std::string data_dir,
                     CommitterOptions options)
    : io_(io),
      clock_(clock),
      data_dir_(std::move(data_dir)),
      options_(options),
      lease_term_(options.lease_term ? options.lease_term
                                     : std::make_shared<LeaseTerm>(clock)) {}

Committer::~Committer() {
  lease_term_->Set(0, 0);
  store_.reset();
  if (catalog_ != nullptr && owner_epoch_ != 0) GiveLeaseBack(*catalog_, owner_epoch_);
}

Result<std::unique_ptr<Committer>> Committer::Open(io::Io& io, Clock& clock,
                                                   const std::string& data_dir,
                                                   CommitterOptions options) {
  auto out = std::unique_ptr<Committer>(new Committer(io, clock, data_dir, options));
  WEIR_TRY(io.CreateDirs(data_dir));
  WEIR_TRY(io.CreateDirs(WarehouseDir(data_dir)));
  WEIR_TRY(io.CreateDirs(StateDir(data_dir)));
  Directory directory = WEIR_TRY(OpenDirectory(io, data_dir));
  out->lock_ = std::move(directory.lock);
  out->catalog_ = std::move(directory.catalog);
  WEIR_TRY(out->CheckDirectory());
  const Ownership owned =
      WEIR_TRY(TakeOwnership(*out->catalog_, *out->lock_, data_dir, clock, options.lease,
                             options.wait_for_lease));
  out->owner_epoch_ = owned.owner_epoch;
  out->previous_ = owned.previous;
  out->previous_may_live_ = owned.previous_may_live;
  out->previous_was_killed_ = owned.previous_was_killed;
  out->lease_term_->Set(owned.lease.until, owned.lease.until_since_boot);
  out->renewal_ = WEIR_TRY(iceberg::Catalog::Open(io, CatalogPath(data_dir), kCatalogName,
                                                  /*read_only=*/false));
  WEIR_TRY(out->Recover());
  return out;
}

Status Committer::CheckDirectory() {
  return catalog_->Transact([&]() -> Status {
    const std::optional<std::string> place =
        WEIR_TRY(RecordedPlace(*catalog_, data_dir_));
    if (!place) {
      WEIR_TRY(
          catalog_->Sql("INSERT INTO weir_meta VALUES ('format', ?), ('data_dir', ?)",
                        {std::to_string(kDataFormat), data_dir_}));
      return {};
    }
    if (*place != data_dir_) return Moved(*place, data_dir_);
    WEIR_TRY(
        catalog_->Sql("UPDATE weir_meta SET value = ? WHERE key = 'format' AND "
                      "value <> ?",
                      {std::to_string(kDataFormat), std::to_string(kDataFormat)}));
    return {};
  });
}

Status Committer::Recover() {
  WEIR_TRY(catalog_->Transact([&]() -> Status {
    for (const SqlRow& row :
         WEIR_TRY(catalog_->Sql("SELECT max(epoch) FROM weir_epochs")))
      recovered_.epoch = {AsInt(row[0])};
    for (const SqlRow& row :
         WEIR_TRY(catalog_->Sql("SELECT lane, frontier FROM weir_lanes")))
      recovered_.frontiers[AsText(row[0])] = WEIR_TRY(Unsealed(row, 1, "frontier"));
    for (const SqlRow& row :
         WEIR_TRY(catalog_->Sql("SELECT source, line FROM weir_ledger")))
      recovered_.ledger[AsText(row[0])] = WEIR_TRY(Unsealed(row, 1, "ledger"));
    for (const SqlRow& row : WEIR_TRY(catalog_->Sql(
             "SELECT model, fingerprint, lane, inputs, halted FROM weir_models"))) {
      ModelState model{
          AsText(row[0]), AsText(row[1]), AsText(row[2]), {}, AsText(row[4])};
      const auto inputs = ParseJson(WEIR_TRY(Unsealed(row, 3, "input versions")));
      try {
        for (const auto& [table, snapshot] : inputs.items())
          model.inputs[table] = IntegerOf<int64_t>(snapshot);
      } catch (const nlohmann::json::exception& e) {
        return Corrupt(fmt::format("catalog.db: the input versions of {}: {}",
                                   model.model, e.what()));
      }
      recovered_.models[model.model] = std::move(model);
    }
    return {};
  }));
  last_epoch_ = recovered_.epoch;
  return OpenStore();
}

// The catalog names the directory before its store does, and says so until both do: a
// store without a name is another one's afterwards.
Status Committer::OpenStore() {
  state::StoreOptions store = options_.store;
  store.owner = owner_epoch_;
  store.may_live = [this](int64_t owner) {
    return (owner == previous_ && previous_may_live_) || IsAlive(*lock_, owner);
  };
  std::map<int64_t, uint32_t> checksums;
  WEIR_TRY(catalog_->Transact([&]() -> Status {
    WEIR_TRY(
        catalog_->Sql("INSERT OR IGNORE INTO weir_meta SELECT * FROM (VALUES "
                      "('directory_is_new', '1'), ('directory', ?)) WHERE NOT EXISTS "
                      "(SELECT 1 FROM weir_meta WHERE key = 'directory')",
                      {iceberg::NewUuid()}));
    for (const SqlRow& row :
         WEIR_TRY(catalog_->Sql("SELECT key, value FROM weir_meta"))) {
      if (AsText(row[0]) == "directory") store.directory = AsText(row[1]);
      if (AsText(row[0]) == "directory_is_new") store.adopt = true;
    }
    for (const SqlRow& row :
         WEIR_TRY(catalog_->Sql("SELECT epoch, delta_crc FROM weir_epochs")))
      checksums[AsInt(row[0])] = static_cast<uint32_t>(AsInt(row[1]));
    return {};
  }));
  store.checksum_of = [checksums =
                           std::move(checksums)](Epoch epoch) -> std::optional<uint32_t> {
    const auto found = checksums.find(epoch.value);
    return found == checksums.end() ? std::nullopt : std::optional(found->second);
  };
  auto opened = state::Store::Open(io_, StateDir(data_dir_), last_epoch_, store);
  if (!opened.ok() &&
      (opened.error().code == Code::kCorrupt || opened.error().code == Code::kNotFound)) {
    Event("state_lost", Severity::kWarning)
        .With("data", data_dir_)
        .With("why", opened.error().message)
        .With("meaning", "it is rebuilt from the tables");
    opened = state::Store::Reset(io_, StateDir(data_dir_), last_epoch_, store,
                                 opened.error().message);
  }
  store_ = WEIR_TRY(std::move(opened));
  if (store.adopt)
    WEIR_TRY(catalog_->Sql("DELETE FROM weir_meta WHERE key = 'directory_is_new'"));
  const std::string_view lost[] = {state::kLostKey};
  recovered_.state_lost =
      WEIR_TRY(store_->GetMany(state::kRebuildSpace, lost))[0].value_or("");
  return {};
}

// Nobody else commits while the transaction runs, so what it finds stays as it is.
Status Committer::Swap(iceberg::Staged& staged) {
  Status swapped = catalog_->Swap(staged);
  if (swapped.ok() || swapped.error().code != Code::kConflict ||
      staged.base_location.empty())
    return swapped;
  const auto found = WEIR_TRY(catalog_->Find(staged.table));
  if (!found) return swapped;
  auto rebased = WEIR_TRY(iceberg::Rebase(io_, staged, found->metadata_location));
  if (!rebased) return swapped;
  WEIR_TRY(catalog_->Swap(*rebased));
  staged = *std::move(rebased);
  return {};
}

Status Committer::RunTransaction(EpochCommit& commit, Epoch epoch,
                                 uint32_t delta_checksum) {
  const Micros now = clock_.Now();
  const Lease lease = Lease::From(clock_, options_.lease);
  const std::string frontier = SealJson(commit.frontier);
  WEIR_TRY(catalog_->Transact([&]() -> Status {
    WEIR_TRY(AssertOwner(*catalog_, owner_epoch_, lease));
    for (iceberg::Staged& staged : commit.tables) WEIR_TRY(Swap(staged));
    WEIR_TRY(catalog_->Sql(
        "INSERT INTO weir_epochs VALUES (?, ?, ?, ?, ?, ?, ?)",
        {epoch.value, commit.lane, owner_epoch_, now, frontier,
         fmt::format("delta-{}", epoch.value), static_cast<int64_t>(delta_checksum)}));
    WEIR_TRY(catalog_->Sql("DELETE FROM weir_epochs WHERE epoch <= ?",
                           {epoch.value - kEpochRowsKept}));
    WEIR_TRY(catalog_->Sql("INSERT OR REPLACE INTO weir_lanes VALUES (?, ?, ?)",
                           {commit.lane, epoch.value, frontier}));
    for (const auto& [source, line] : commit.ledger)
      WEIR_TRY(catalog_->Sql("INSERT OR REPLACE INTO weir_ledger VALUES (?, ?)",
                             {source, SealJson(line)}));
    for (const ModelState& model : commit.models) {
      WEIR_TRY(catalog_->Sql("INSERT OR REPLACE INTO weir_models VALUES (?, ?, ?, ?, ?)",
                             {model.model, model.fingerprint, model.lane,
                              SealJson(InputsJson(model)), model.halted}));
    }
    for (const auto& [model, work] : commit.work)
      WEIR_TRY(
          catalog_->Sql("INSERT OR REPLACE INTO weir_work VALUES (?, ?)", {model, work}));
    for (const std::string& model : commit.dropped_models) {
      WEIR_TRY(catalog_->Sql("DELETE FROM weir_models WHERE model = ?", {model}));
      WEIR_TRY(catalog_->Sql("DELETE FROM weir_work WHERE model = ?", {model}));
      if (WEIR_TRY(catalog_->Find(model))) WEIR_TRY(catalog_->Drop(model));
    }
    for (const iceberg::Staged& staged : commit.tables) {
      for (const std::string& path : staged.obsolete)
        WEIR_TRY(catalog_->Sql("INSERT OR IGNORE INTO weir_garbage VALUES (?, ?)",
                               {path, now}));
    }
    return {};
  }));
  // A renewal may come at the same time; the earlier lease is shorter, and as true.
  lease_term_->Set(lease.until, lease.until_since_boot);
  return {};
}

Status Committer::Commit(EpochCommit& commit) {
  const Epoch epoch = next_epoch();
  const std::string doing = fmt::format("commit epoch {}", epoch.value);
  const uint32_t checksum = WEIR_TRY(commit.delta->Write(io_, store_->dir(), epoch));
  Status status = RunTransaction(commit, epoch, checksum);
  if (!status.ok()) {
    if (status.error().code != Code::kUnknownOutcome)
      return std::move(status).error().Within(doing);
    Result<bool> committed = IsCommitted(epoch);
    if (!committed.ok())
      return Error{Code::kUnknownOutcome,
                   fmt::format("{}: {}; and looking: {}", doing, status.error().message,
                               committed.error().message)};
    if (!*committed)
      return Unavailable(fmt::format("{}: {}", doing, status.error().message));
  }
  last_epoch_ = epoch;
  return store_->ApplyBehind(std::move(*commit.delta), epoch);
}

// Looks with a new connection: the one whose commit failed may hold a file whose contents
// are unknown.
Result<bool> Committer::IsCommitted(Epoch epoch) {
  catalog_.reset();
  catalog_ = WEIR_TRY(iceberg::Catalog::Open(io_, CatalogPath(data_dir_), kCatalogName,
                                             /*read_only=*/false));
  const auto rows = WEIR_TRY(catalog_->Sql(
      "SELECT owner_epoch FROM weir_epochs WHERE epoch = ?", {epoch.value}));
  return rows.size() == 1 && AsInt(rows[0][0]) == owner_epoch_;
}

Status Committer::Renew() {
  if (lease_term_->left() > options_.lease * 2 / 3) return {};
  const Lease lease = Lease::From(clock_, options_.lease);
  WEIR_TRY(
      renewal_->Transact([&] { return AssertOwner(*renewal_, owner_epoch_, lease); }));
  lease_term_->Set(lease.until, lease.until_since_boot);
  return {};
}

Result<std::vector<SnapshotId>> Committer::LeasedSnapshots() {
  std::vector<SnapshotId> out;
  for (const SqlRow& row : WEIR_TRY(catalog_->Sql(
           "SELECT snapshots FROM weir_readers WHERE expires > ?", {clock_.Now()}))) {
    const auto json = nlohmann::json::parse(AsText(row[0]), nullptr, false);
    if (!json.is_array()) continue;
    for (const auto& id : json) {
      if (id.is_number_integer()) out.push_back({id.get<int64_t>()});
    }
  }
  return out;
}

Result<bool> Committer::SweepIsDue() {
  if (previous_was_killed_) return true;
  const auto rows =
      WEIR_TRY(catalog_->Sql("SELECT value FROM weir_meta WHERE key = 'swept_at'"));
  // A directory that never was swept is as old as its first owner.
  const Micros last = rows.empty() ? 0 : std::atoll(AsText(rows[0][0]).c_str());
  return previous_ != 0 && clock_.Now() - last > kSweepInterval;
}

Status Committer::CollectGarbage() {
  const Micros now = clock_.Now();
  // A reader that began before a file went may still be reading it.
  Micros oldest_reader = now;
  for (const SqlRow& row : WEIR_TRY(catalog_->Sql(
           "SELECT min(since) FROM weir_readers WHERE expires > ?", {now}))) {
    if (std::holds_alternative<int64_t>(row[0])) oldest_reader = AsInt(row[0]);
  }
  const auto rows = WEIR_TRY(catalog_->Sql(
      "SELECT path FROM weir_garbage WHERE since < ? LIMIT 1000", {oldest_reader}));
  if (rows.empty()) return {};
  std::vector<iceberg::SqlValue> gone;
  for (const SqlRow& row : rows) {
    const Result<std::string> path = iceberg::PathOf(AsText(row[0]));
    if (!path.ok()) {
      // Somebody else's file in another store: not ours to delete, and no reason to stop.
      Event("garbage_left", Severity::kWarning).With("path", AsText(row[0]));
    } else {
      // Nobody can come to need what is garbage; but one who was replaced keeps its hands
      // off.
      if (!lease_valid()) break;
      Status removed = io_.Remove(*path);
      if (!removed.ok() && removed.error().code != Code::kNotFound) return removed;
    }
    gone.push_back(row[0]);
  }
  return catalog_->Transact([&]() -> Status {
    for (const iceberg::SqlValue& path : gone)
      WEIR_TRY(catalog_->Sql("DELETE FROM weir_garbage WHERE path = ?", {path}));
    return {};
  });
}

}  // namespace weir::commit
