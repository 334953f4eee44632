#include "commit/committer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/event.h"

namespace weir::commit {
namespace {

using iceberg::SqlRow;
using iceberg::SqlValue;

constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS weir_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_owner (id INTEGER PRIMARY KEY CHECK (id = 1), owner_epoch INTEGER NOT NULL, lease_until INTEGER NOT NULL, "
    "pid INTEGER NOT NULL, host TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_epochs (epoch INTEGER PRIMARY KEY, lane TEXT NOT NULL, owner_epoch INTEGER NOT NULL, committed_at INTEGER "
    "NOT NULL, frontier TEXT NOT NULL, delta TEXT NOT NULL, delta_crc INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_lanes (lane TEXT PRIMARY KEY, epoch INTEGER NOT NULL, frontier TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_ledger (source TEXT PRIMARY KEY, line TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_models (model TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, lane TEXT NOT NULL, inputs TEXT NOT NULL, halted TEXT "
    "NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_readers (id TEXT PRIMARY KEY, snapshots TEXT NOT NULL, since INTEGER NOT NULL, expires INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_garbage (path TEXT PRIMARY KEY, since INTEGER NOT NULL)",
};

// Epoch rows beyond these are history that nobody asks for.
constexpr int64_t kEpochRowsKept = 1000;

int64_t AsInt(const SqlValue& value) { return std::holds_alternative<int64_t>(value) ? std::get<int64_t>(value) : 0; }
std::string AsText(const SqlValue& value) { return std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : ""; }

std::string HostName() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string InputsJson(const ModelState& model) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [table, snapshot] : model.inputs) json[table] = snapshot;
  return json.dump();
}

}  // namespace

std::string CatalogPath(const std::string& data_dir) { return io::Join(data_dir, "catalog.db"); }
std::string WarehouseDir(const std::string& data_dir) { return io::Join(data_dir, "warehouse"); }
std::string StateDir(const std::string& data_dir) { return io::Join(data_dir, "state"); }

Committer::Committer(io::Io& io, Clock& clock, std::string data_dir, CommitterOptions options)
    : io_(io), clock_(clock), data_dir_(std::move(data_dir)), options_(options) {}

Committer::~Committer() {
  if (catalog_ == nullptr || owner_epoch_ == 0) return;
  // A clean end gives the lease back, so that the next owner need not wait. Failing here costs only that wait.
  const Status given_back = catalog_->Transact([&]() -> Status {
    WEIR_TRY(catalog_->Sql("UPDATE weir_owner SET lease_until = 0 WHERE owner_epoch = ?", {owner_epoch_}));
    return {};
  });
  if (!given_back.ok()) Event("lease_not_returned", Severity::kWarning).With("error", given_back.error().message);
}

Result<std::unique_ptr<Committer>> Committer::Open(io::Io& io, Clock& clock, const std::string& data_dir, CommitterOptions options) {
  auto out = std::unique_ptr<Committer>(new Committer(io, clock, data_dir, options));
  WEIR_TRY(io.CreateDirs(data_dir));
  WEIR_TRY(io.CreateDirs(WarehouseDir(data_dir)));
  WEIR_TRY(io.CreateDirs(StateDir(data_dir)));
  out->lock_ = WEIR_TRY(io.Open(io::Join(data_dir, "LOCK"), io::OpenMode::kCreate));
  Status locked = out->lock_->LockRange(io::File::LockKind::kExclusive, 0, 1);
  if (!locked.ok()) {
    if (locked.error().code != Code::kConflict) return std::move(locked).error();
    return Conflict(fmt::format("another process is working on {}; stop it first, or give this one another --data", data_dir));
  }
  out->catalog_ = WEIR_TRY(iceberg::Catalog::Open(io, CatalogPath(data_dir), kCatalogName, /*read_only=*/false));
  WEIR_TRY(out->catalog_->Transact([&]() -> Status {
    for (const char* statement : kTables) WEIR_TRY(out->catalog_->Sql(statement));
    return {};
  }));
  WEIR_TRY(out->CheckDirectory());
  WEIR_TRY(out->TakeOwnership());
  WEIR_TRY(out->Recover());
  return out;
}

Status Committer::CheckDirectory() {
  return catalog_->Transact([&]() -> Status {
    std::map<std::string, std::string> meta;
    for (const SqlRow& row : WEIR_TRY(catalog_->Sql("SELECT key, value FROM weir_meta"))) meta[AsText(row[0])] = AsText(row[1]);
    if (meta.empty()) {
      WEIR_TRY(catalog_->Sql("INSERT INTO weir_meta VALUES ('format', ?), ('data_dir', ?)", {std::to_string(kDataFormat), data_dir_}));
      return {};
    }
    if (std::atoi(meta["format"].c_str()) > kDataFormat) {
      return Invalid(fmt::format("{} was written by a newer Weir (format {}); this one reads up to {}", data_dir_, meta["format"], kDataFormat));
    }
    if (meta["data_dir"] != data_dir_) {
      return Invalid(fmt::format("this data directory was moved from {} to {}: its tables still name the old place. Run `weir relocate --data {}`, or move it back",
                                 meta["data_dir"], data_dir_, data_dir_));
    }
    return {};
  });
}

Status Committer::TakeOwnership() {
  const std::string host = HostName();
  return catalog_->Transact([&]() -> Status {
    const auto rows = WEIR_TRY(catalog_->Sql("SELECT owner_epoch, lease_until, host, pid FROM weir_owner"));
    const Micros now = clock_.Now();
    int64_t previous = 0;
    if (!rows.empty()) {
      previous = AsInt(rows[0][0]);
      // On the same host the lock we hold proves that the previous owner's process is gone. Elsewhere only its lease running out does.
      if (AsText(rows[0][2]) != host && AsInt(rows[0][1]) > now) {
        return Conflict(fmt::format("{} belongs to process {} on {} until {}; wait for its lease to run out or stop it", data_dir_, AsInt(rows[0][3]),
                                    AsText(rows[0][2]), FormatTimestamp(AsInt(rows[0][1]))));
      }
    }
    owner_epoch_ = previous + 1;
    lease_until_ = now + options_.lease;
    WEIR_TRY(catalog_->Sql("INSERT OR REPLACE INTO weir_owner VALUES (1, ?, ?, ?, ?)",
                           {owner_epoch_, lease_until_.load(), static_cast<int64_t>(::getpid()), host}));
    return {};
  });
}

Status Committer::Recover() {
  WEIR_TRY(catalog_->Transact([&]() -> Status {
    for (const SqlRow& row : WEIR_TRY(catalog_->Sql("SELECT max(epoch) FROM weir_epochs"))) recovered_.epoch = {AsInt(row[0])};
    for (const SqlRow& row : WEIR_TRY(catalog_->Sql("SELECT lane, frontier FROM weir_lanes"))) recovered_.frontiers[AsText(row[0])] = AsText(row[1]);
    for (const SqlRow& row : WEIR_TRY(catalog_->Sql("SELECT source, line FROM weir_ledger"))) recovered_.ledger[AsText(row[0])] = AsText(row[1]);
    for (const SqlRow& row : WEIR_TRY(catalog_->Sql("SELECT model, fingerprint, lane, inputs, halted FROM weir_models"))) {
      ModelState model{AsText(row[0]), AsText(row[1]), AsText(row[2]), {}, AsText(row[4])};
      const auto inputs = nlohmann::json::parse(AsText(row[3]), nullptr, false);
      if (inputs.is_object()) {
        for (const auto& [table, snapshot] : inputs.items()) model.inputs[table] = snapshot.get<int64_t>();
      }
      recovered_.models[model.model] = std::move(model);
    }
    return {};
  }));
  last_epoch_ = recovered_.epoch;
  store_ = WEIR_TRY(state::Store::Open(io_, StateDir(data_dir_), last_epoch_, options_.store));
  return {};
}

Status Committer::RunTransaction(const EpochCommit& commit, Epoch epoch, uint32_t delta_checksum) {
  const Micros now = clock_.Now();
  const Micros lease_until = now + options_.lease;
  WEIR_TRY(catalog_->Transact([&]() -> Status {
    WEIR_TRY(catalog_->Sql("UPDATE weir_owner SET lease_until = ? WHERE id = 1 AND owner_epoch = ?", {lease_until, owner_epoch_}));
    if (catalog_->changes() != 1) return Conflict("another process took this data directory over");
    for (const iceberg::Staged& staged : commit.tables) WEIR_TRY(catalog_->Swap(staged));
    WEIR_TRY(catalog_->Sql("INSERT INTO weir_epochs VALUES (?, ?, ?, ?, ?, ?, ?)",
                           {epoch.value, commit.lane, owner_epoch_, now, commit.frontier, fmt::format("delta-{}", epoch.value),
                            static_cast<int64_t>(delta_checksum)}));
    WEIR_TRY(catalog_->Sql("DELETE FROM weir_epochs WHERE epoch <= ?", {epoch.value - kEpochRowsKept}));
    WEIR_TRY(catalog_->Sql("INSERT OR REPLACE INTO weir_lanes VALUES (?, ?, ?)", {commit.lane, epoch.value, commit.frontier}));
    for (const auto& [source, line] : commit.ledger) WEIR_TRY(catalog_->Sql("INSERT OR REPLACE INTO weir_ledger VALUES (?, ?)", {source, line}));
    for (const ModelState& model : commit.models) {
      WEIR_TRY(catalog_->Sql("INSERT OR REPLACE INTO weir_models VALUES (?, ?, ?, ?, ?)",
                             {model.model, model.fingerprint, model.lane, InputsJson(model), model.halted}));
    }
    for (const std::string& model : commit.dropped_models) {
      WEIR_TRY(catalog_->Sql("DELETE FROM weir_models WHERE model = ?", {model}));
      if (WEIR_TRY(catalog_->Find(model))) WEIR_TRY(catalog_->Drop(model));
    }
    for (const iceberg::Staged& staged : commit.tables) {
      for (const std::string& path : staged.obsolete) WEIR_TRY(catalog_->Sql("INSERT OR IGNORE INTO weir_garbage VALUES (?, ?)", {path, now}));
    }
    return {};
  }));
  lease_until_ = lease_until;
  return {};
}

Status Committer::Commit(const EpochCommit& commit) {
  const Epoch epoch = next_epoch();
  const uint32_t checksum = WEIR_TRY(commit.delta->Write(io_, StateDir(data_dir_), epoch));
  Status status = RunTransaction(commit, epoch, checksum);
  if (!status.ok() && status.error().code == Code::kUnknownOutcome) {
    const auto rows = WEIR_TRY(catalog_->Sql("SELECT owner_epoch FROM weir_epochs WHERE epoch = ?", {epoch.value}));
    if (rows.size() == 1 && AsInt(rows[0][0]) == owner_epoch_) status = {};
  }
  if (!status.ok()) return std::move(status).error().Within(fmt::format("commit epoch {}", epoch.value));
  last_epoch_ = epoch;
  return store_->Apply(*commit.delta, epoch);
}

Status Committer::Renew() {
  const Micros now = clock_.Now();
  if (lease_until_ - now > options_.lease * 2 / 3) return {};
  const Micros until = now + options_.lease;
  WEIR_TRY(catalog_->Transact([&]() -> Status {
    WEIR_TRY(catalog_->Sql("UPDATE weir_owner SET lease_until = ? WHERE id = 1 AND owner_epoch = ?", {until, owner_epoch_}));
    if (catalog_->changes() != 1) return Conflict("another process took this data directory over");
    return {};
  }));
  lease_until_ = until;
  return {};
}

bool Committer::lease_valid() const { return clock_.Now() < lease_until_.load(); }

Result<std::vector<SnapshotId>> Committer::LeasedSnapshots() {
  std::vector<SnapshotId> out;
  for (const SqlRow& row : WEIR_TRY(catalog_->Sql("SELECT snapshots FROM weir_readers WHERE expires > ?", {clock_.Now()}))) {
    const auto json = nlohmann::json::parse(AsText(row[0]), nullptr, false);
    if (!json.is_array()) continue;
    for (const auto& id : json) {
      if (id.is_number_integer()) out.push_back({id.get<int64_t>()});
    }
  }
  return out;
}

Status Committer::CollectGarbage() {
  const Micros now = clock_.Now();
  // A reader that began before a file went may still be reading it.
  Micros oldest_reader = now;
  for (const SqlRow& row : WEIR_TRY(catalog_->Sql("SELECT min(since) FROM weir_readers WHERE expires > ?", {now}))) {
    if (std::holds_alternative<int64_t>(row[0])) oldest_reader = AsInt(row[0]);
  }
  const auto rows = WEIR_TRY(catalog_->Sql("SELECT path FROM weir_garbage WHERE since < ? LIMIT 1000", {oldest_reader}));
  if (rows.empty()) return {};
  for (const SqlRow& row : rows) {
    const std::string path = WEIR_TRY(iceberg::PathOf(AsText(row[0])));
    Status removed = io_.Remove(path);
    if (!removed.ok() && removed.error().code != Code::kNotFound) return removed;
  }
  return catalog_->Transact([&]() -> Status {
    for (const SqlRow& row : rows) WEIR_TRY(catalog_->Sql("DELETE FROM weir_garbage WHERE path = ?", {row[0]}));
    return {};
  });
}

}  // namespace weir::commit
