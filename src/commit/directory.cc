#include <fmt/format.h>
#include <unistd.h>

#include <map>

#include "base/event.h"
#include "commit/committer.h"
#include "commit/directory_internal.h"
#include "commit/relocate.h"

namespace weir::commit {
namespace {

using iceberg::Catalog;
using iceberg::SqlRow;

// docs/formats/system_tables.md
constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS weir_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_owner (id INTEGER PRIMARY KEY CHECK (id = 1), "
    "owner_epoch INTEGER NOT NULL, lease_until INTEGER NOT NULL, "
    "pid INTEGER NOT NULL, host TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_epochs (epoch INTEGER PRIMARY KEY, lane TEXT NOT "
    "NULL, owner_epoch INTEGER NOT NULL, committed_at INTEGER "
    "NOT NULL, frontier TEXT NOT NULL, delta TEXT NOT NULL, delta_crc INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_lanes (lane TEXT PRIMARY KEY, epoch INTEGER NOT "
    "NULL, frontier TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_ledger (source TEXT PRIMARY KEY, line TEXT NOT "
    "NULL)",
    "CREATE TABLE IF NOT EXISTS weir_models (model TEXT PRIMARY KEY, fingerprint TEXT "
    "NOT NULL, lane TEXT NOT NULL, inputs TEXT NOT NULL, halted TEXT "
    "NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_readers (id TEXT PRIMARY KEY, snapshots TEXT NOT "
    "NULL, since INTEGER NOT NULL, expires INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_garbage (path TEXT PRIMARY KEY, since INTEGER NOT "
    "NULL)",
};

std::string HostName() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

int64_t AsInt(const iceberg::SqlValue& value) {
  return std::holds_alternative<int64_t>(value) ? std::get<int64_t>(value) : 0;
}
std::string AsText(const iceberg::SqlValue& value) {
  return std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : "";
}

Result<Directory> LockDirectory(io::Io& io, const std::string& data_dir) {
  Directory out;
  out.lock = WEIR_TRY(io.Open(io::Join(data_dir, "LOCK"), io::OpenMode::kCreate));
  Status locked = out.lock->LockRange(io::File::LockKind::kExclusive, 0, 1);
  if (!locked.ok()) {
    if (locked.error().code != Code::kConflict) return std::move(locked).error();
    return Conflict(
        fmt::format("another process is working on {}; stop it first, or give this one "
                    "another --data",
                    data_dir));
  }
  out.catalog = WEIR_TRY(
      Catalog::Open(io, CatalogPath(data_dir), kCatalogName, /*read_only=*/false));
  WEIR_TRY(out.catalog->Transact([&]() -> Status {
    for (const char* statement : kTables) WEIR_TRY(out.catalog->Sql(statement));
    return {};
  }));
  return out;
}

Result<std::optional<std::string>> RecordedPlace(Catalog& catalog,
                                                 const std::string& data_dir) {
  std::map<std::string, std::string> meta;
  for (const SqlRow& row : WEIR_TRY(catalog.Sql("SELECT key, value FROM weir_meta")))
    meta[AsText(row[0])] = AsText(row[1]);
  if (meta.empty()) return std::optional<std::string>();
  if (std::atoi(meta["format"].c_str()) > kDataFormat) {
    return Invalid(
        fmt::format("{} was written by a newer Weir (format {}); this one reads up to {}",
                    data_dir, meta["format"], kDataFormat));
  }
  return std::optional(meta["data_dir"]);
}

Error Moved(const std::string& place, const std::string& data_dir) {
  return Invalid(
      fmt::format("this data directory was moved from {} to {}: its tables still name the "
                  "old place. Run `weir relocate --data {}`, or move it back",
                  place, data_dir, data_dir));
}

Status CheckPlace(Catalog& catalog, const std::string& data_dir) {
  const auto place = WEIR_TRY(RecordedPlace(catalog, data_dir));
  if (place && *place != data_dir) return Moved(*place, data_dir);
  return {};
}

Result<int64_t> TakeOwnership(Catalog& catalog, const std::string& data_dir, Micros now,
                              Micros lease_until) {
  const std::string host = HostName();
  int64_t owner_epoch = 0;
  WEIR_TRY(catalog.Transact([&]() -> Status {
    const auto rows = WEIR_TRY(
        catalog.Sql("SELECT owner_epoch, lease_until, host, pid FROM weir_owner"));
    if (!rows.empty()) {
      owner_epoch = AsInt(rows[0][0]);
      // On the same host the lock we hold proves that the previous owner's process is
      // gone. Elsewhere only its lease running out does.
      if (AsText(rows[0][2]) != host && AsInt(rows[0][1]) > now) {
        return Conflict(
            fmt::format("{} belongs to process {} on {} until {}; wait for its lease to "
                        "run out or stop it",
                        data_dir, AsInt(rows[0][3]), AsText(rows[0][2]),
                        FormatTimestamp(AsInt(rows[0][1]))));
      }
    }
    ++owner_epoch;
    WEIR_TRY(
        catalog.Sql("INSERT OR REPLACE INTO weir_owner VALUES (1, ?, ?, ?, ?)",
                    {owner_epoch, lease_until, static_cast<int64_t>(::getpid()), host}));
    return {};
  }));
  return owner_epoch;
}

Status AssertOwner(Catalog& catalog, int64_t owner_epoch, Micros lease_until) {
  WEIR_TRY(catalog.Sql(
      "UPDATE weir_owner SET lease_until = ? WHERE id = 1 AND owner_epoch = ?",
      {lease_until, owner_epoch}));
  if (catalog.changes() != 1)
    return Conflict("another process took this data directory over");
  return {};
}

void GiveLeaseBack(Catalog& catalog, int64_t owner_epoch) {
  const Status given_back = catalog.Transact([&]() -> Status {
    WEIR_TRY(catalog.Sql("UPDATE weir_owner SET lease_until = 0 WHERE owner_epoch = ?",
                         {owner_epoch}));
    return {};
  });
  if (!given_back.ok())
    Event("lease_not_returned", Severity::kWarning)
        .With("error", given_back.error().message);
}

}  // namespace weir::commit
