#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <thread>

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
    "pid INTEGER NOT NULL, host TEXT NOT NULL, since INTEGER NOT NULL DEFAULT 0, "
    "lease_until_since_boot INTEGER NOT NULL DEFAULT 0, "
    "boot_id TEXT NOT NULL DEFAULT '')",
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
    "CREATE TABLE IF NOT EXISTS weir_work (model TEXT PRIMARY KEY, work TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_readers (id TEXT PRIMARY KEY, snapshots TEXT NOT "
    "NULL, since INTEGER NOT NULL, expires INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS weir_garbage (path TEXT PRIMARY KEY, since INTEGER NOT "
    "NULL)",
};

// Columns that directories of format 1 do not have.
constexpr const char* kOwnerColumns[][2] = {
    {"since", "INTEGER NOT NULL DEFAULT 0"},
    {"lease_until_since_boot", "INTEGER NOT NULL DEFAULT 0"},
    {"boot_id", "TEXT NOT NULL DEFAULT ''"},
};

constexpr auto kLookAgain = std::chrono::milliseconds(20);

std::string HostName() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

// Names this run of this machine's kernel; the same in all its containers.
std::string BootId() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

struct Owner {
  int64_t owner_epoch = 0;
  Lease lease;
  int64_t pid = 0;
  std::string host, boot_id;
  Micros since = 0;

  // "process 17 on myhost, since 2026-01-01T00:00:00Z"
  std::string Text() const {
    return fmt::format("process {} on {}{}", pid, host,
                       since == 0 ? "" : ", since " + FormatTimestamp(since));
  }
};

Result<std::optional<Owner>> ReadOwner(Catalog& catalog) {
  const auto rows = WEIR_TRY(
      catalog.Sql("SELECT owner_epoch, lease_until, lease_until_since_boot, pid, "
                  "host, boot_id, since FROM weir_owner"));
  if (rows.empty()) return std::optional<Owner>();
  const SqlRow& row = rows[0];
  return std::optional(Owner{AsInt(row[0]),
                             {AsInt(row[1]), AsInt(row[2])},
                             AsInt(row[3]),
                             AsText(row[4]),
                             AsText(row[5]),
                             AsInt(row[6])});
}

Status CreateTables(Catalog& catalog) {
  return catalog.Transact([&]() -> Status {
    for (const char* statement : kTables) WEIR_TRY(catalog.Sql(statement));
    const auto columns =
        WEIR_TRY(catalog.Sql("SELECT name FROM pragma_table_info('weir_owner')"));
    for (const auto& [name, type] : kOwnerColumns) {
      if (std::find(columns.begin(), columns.end(), SqlRow{std::string(name)}) ==
          columns.end())
        WEIR_TRY(catalog.Sql(
            fmt::format("ALTER TABLE weir_owner ADD COLUMN {} {}", name, type)));
    }
    return {};
  });
}

// A process that was stopped inside a transaction keeps the catalog locked, and nobody
// may break that lock: it could still be about to write. Who it is stands in LOCK.
Error Locked(io::Io& io, const std::string& data_dir, const Error& error) {
  const auto lock = io.ReadAll(io::Join(data_dir, "LOCK"));
  std::string who = lock.ok() ? *lock : "";
  while (!who.empty() && who.back() == '\n') who.pop_back();
  return Conflict(fmt::format(
      "{}: somebody keeps catalog.db locked and does not go on ({}). The owner is {}. If "
      "that process is stopped, end it (kill -9) or let it go on (kill -CONT), then "
      "start again",
      data_dir, error.message, who.empty() ? "unknown" : who));
}

}  // namespace

int64_t AsInt(const iceberg::SqlValue& value) {
  return std::holds_alternative<int64_t>(value) ? std::get<int64_t>(value) : 0;
}
std::string AsText(const iceberg::SqlValue& value) {
  return std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : "";
}

Result<Directory> OpenDirectory(io::Io& io, const std::string& data_dir) {
  Directory out;
  out.lock = WEIR_TRY(io.Open(io::Join(data_dir, "LOCK"), io::OpenMode::kCreate));
  auto catalog =
      Catalog::Open(io, CatalogPath(data_dir), kCatalogName, /*read_only=*/false);
  Status ready = catalog.ok() ? CreateTables(**catalog) : Status(catalog.error());
  if (!ready.ok()) {
    if (ready.error().code == Code::kUnavailable &&
        ready.error().message.find("locked") != std::string::npos)
      return Locked(io, data_dir, ready.error());
    return std::move(ready).error();
  }
  out.catalog = *std::move(catalog);
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
  return Invalid(fmt::format(
      "this data directory was moved from {} to {}: its tables still name the "
      "old place. Run `weir relocate --data {}`, or move it back",
      place, data_dir, data_dir));
}

Status CheckPlace(Catalog& catalog, const std::string& data_dir) {
  const auto place = WEIR_TRY(RecordedPlace(catalog, data_dir));
  if (place && *place != data_dir) return Moved(*place, data_dir);
  return {};
}

namespace {

// What a look at the owner row says to somebody who wants the directory.
struct Standing {
  enum { kFree, kReplaceable, kLate, kAlive, kElsewhere } state = kFree;
  Micros left = 0;  // of the lease
};

Standing Look(const std::optional<Owner>& owner, io::File& lock, Clock& clock,
              Micros lease) {
  if (!owner) return {};
  const bool same_start = !owner->boot_id.empty() && owner->boot_id == BootId();
  // Nobody is left of an owner that ended well, nor on a machine that was started anew.
  const bool can_be_seen =
      same_start || owner->host == HostName() || owner->lease.until == 0;
  if (can_be_seen && !IsAlive(lock, owner->owner_epoch)) return {};
  if (!same_start) {
    const Micros left = owner->lease.until - clock.Now();
    if (left <= 0) return {Standing::kReplaceable};
    return {Standing::kElsewhere, left};
  }
  const Micros left = owner->lease.until_since_boot - clock.Monotonic();
  if (left <= 0) return {Standing::kReplaceable};
  // An owner that is well prolongs its lease when a third of it is gone.
  return {left < lease / 2 ? Standing::kLate : Standing::kAlive, left};
}

Error Refused(const std::string& data_dir, const Owner& owner, const Standing& standing) {
  if (standing.state == Standing::kElsewhere) {
    return Conflict(fmt::format(
        "{} belongs to {}, until {}; wait for its lease to run out or stop it", data_dir,
        owner.Text(), FormatTimestamp(owner.lease.until)));
  }
  return Conflict(
      fmt::format("another process is working on {}: {}; stop it first, or give this one "
                  "another --data",
                  data_dir, owner.Text()));
}

// One try, in one transaction. `*late`: the lease still runs, for so long. `*until`: to
// when it runs; an owner that has prolonged it since the last try is well.
Result<Ownership> TryToTake(Catalog& catalog, io::File& lock, const std::string& data_dir,
                            Clock& clock, Micros lease, bool wait, Micros* late,
                            std::optional<Micros>* until) {
  Ownership out;
  *late = 0;
  WEIR_TRY(catalog.Transact([&]() -> Status {
    const std::optional<Owner> owner = WEIR_TRY(ReadOwner(catalog));
    const Standing standing = Look(owner, lock, clock, lease);
    if (standing.state == Standing::kLate && wait) {
      const Micros now_until = owner->lease.until_since_boot;
      if (*until && now_until > **until) return Refused(data_dir, *owner, standing);
      *until = now_until;
      *late = standing.left;
      return {};
    }
    if (standing.state != Standing::kFree && standing.state != Standing::kReplaceable)
      return Refused(data_dir, *owner, standing);
    out.previous = owner ? owner->owner_epoch : 0;
    out.previous_may_live = standing.state == Standing::kReplaceable;
    out.previous_was_killed = owner && owner->lease.until != 0;
    out.owner_epoch = out.previous + 1;
    out.lease = Lease::From(clock, lease);
    if (out.previous_may_live) {
      Event("took_over", Severity::kWarning)
          .With("data", data_dir)
          .With("from", owner->Text())
          .With("why", "its lease ran out, although its process may still be there");
    }
    WEIR_TRY(lock.LockRange(io::File::LockKind::kExclusive,
                            static_cast<uint64_t>(out.owner_epoch), 1));
    WEIR_TRY(catalog.Sql(
        "INSERT OR REPLACE INTO weir_owner (id, owner_epoch, lease_until, pid, host, "
        "since, lease_until_since_boot, boot_id) VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
        {out.owner_epoch, out.lease.until, static_cast<int64_t>(::getpid()), HostName(),
         clock.Now(), out.lease.until_since_boot, BootId()}));
    return {};
  }));
  return out;
}

}  // namespace

bool IsAlive(io::File& lock, int64_t owner_epoch) {
  const auto locked = lock.IsLockedByOther(static_cast<uint64_t>(owner_epoch), 1);
  return !locked.ok() || *locked;
}

Result<Ownership> TakeOwnership(Catalog& catalog, io::File& lock,
                                const std::string& data_dir, Clock& clock, Micros lease,
                                bool wait) {
  std::optional<Micros> until;
  for (bool told = false;; told = true) {
    Micros late = 0;
    Ownership out =
        WEIR_TRY(TryToTake(catalog, lock, data_dir, clock, lease, wait, &late, &until));
    if (late == 0) {
      // For people, and for whoever finds the catalog locked.
      const std::string who =
          fmt::format("process {} on {}, since {} (owner epoch {})\n", ::getpid(),
                      HostName(), FormatTimestamp(clock.Now()), out.owner_epoch);
      WEIR_TRY(lock.Truncate(0));
      WEIR_TRY(lock.WriteAt(0, who));
      return out;
    }
    if (!told) {
      Event("waiting_for_lease", Severity::kWarning)
          .With("data", data_dir)
          .With("milliseconds", late / 1000)
          .With("why",
                "the owner does not prolong its lease; when it has run out this "
                "process takes over");
    }
    std::this_thread::sleep_for(kLookAgain);
  }
}

// What stands there already may have been promised by a renewal that came before a
// commit, although it was reckoned after it: the row never says less than the owner
// believes.
Status AssertOwner(Catalog& catalog, int64_t owner_epoch, const Lease& lease) {
  WEIR_TRY(
      catalog.Sql("UPDATE weir_owner SET lease_until = max(lease_until, ?), "
                  "lease_until_since_boot = max(lease_until_since_boot, ?) "
                  "WHERE id = 1 AND owner_epoch = ?",
                  {lease.until, lease.until_since_boot, owner_epoch}));
  if (catalog.changes() == 1) return {};
  return CheckOwner(catalog, owner_epoch);
}

Status CheckOwner(Catalog& catalog, int64_t owner_epoch) {
  const auto owner = ReadOwner(catalog);
  if (owner.ok() && *owner && (*owner)->owner_epoch == owner_epoch) return {};
  const std::string now =
      owner.ok() && *owner ? (*owner)->Text() : "its owner row is gone";
  Event("ownership_lost", Severity::kError)
      .With("owner_epoch", owner_epoch)
      .With("owner_now", now);
  return Conflict(fmt::format(
      "another process took this data directory over: {}. This one was stopped or stuck "
      "for longer than its lease, and stops; nothing that it acknowledged is lost",
      now));
}

void GiveLeaseBack(Catalog& catalog, int64_t owner_epoch) {
  const Status given_back = catalog.Transact([&]() -> Status {
    WEIR_TRY(
        catalog.Sql("UPDATE weir_owner SET lease_until = 0, lease_until_since_boot = "
                    "0 WHERE owner_epoch = ?",
                    {owner_epoch}));
    return {};
  });
  if (!given_back.ok())
    Event("lease_not_returned", Severity::kWarning)
        .With("error", given_back.error().message);
}

}  // namespace weir::commit
