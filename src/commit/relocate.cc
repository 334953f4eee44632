#include "commit/relocate.h"

#include <fmt/format.h>

#include "commit/committer.h"
#include "commit/directory_internal.h"
#include "iceberg/move.h"

namespace weir::commit {
namespace {

using iceberg::Catalog;
using iceberg::SqlRow;

// Keeps processes of other hosts away; the last transaction asserts that they stayed
// away.
constexpr Micros kLease = 60'000'000;

class Relocation {
 public:
  Relocation(io::Io& io, Clock& clock, const std::string& data_dir, Catalog& catalog,
             int64_t owner_epoch, const std::string& from)
      : io_(io),
        clock_(clock),
        data_dir_(data_dir),
        catalog_(catalog),
        owner_epoch_(owner_epoch),
        move_(from, data_dir) {}

  Status Run(const std::function<void(const std::string& table)>& progress) {
    std::vector<iceberg::Staged> tables;
    for (const iceberg::TableRef& table : WEIR_TRY(catalog_.List())) {
      if (progress) progress(table.name);
      WEIR_TRY(catalog_.Transact([&] {
        return AssertOwner(catalog_, owner_epoch_, Lease::From(clock_, kLease));
      }));
      Result<iceberg::Staged> staged = iceberg::StageMove(
          io_, table.name, table.metadata_location, move_, clock_.Now());
      if (!staged.ok()) return std::move(staged).error().Within("table " + table.name);
      tables.push_back(*std::move(staged));
    }
    return catalog_.Transact([&]() -> Status {
      WEIR_TRY(AssertOwner(catalog_, owner_epoch_, Lease::From(clock_, kLease)));
      WEIR_TRY(MoveColumn("weir_garbage", "path"));
      WEIR_TRY(MoveColumn("iceberg_namespace_properties", "property_value"));
      for (const iceberg::Staged& staged : tables) WEIR_TRY(SwapTable(staged));
      WEIR_TRY(catalog_.Sql("UPDATE weir_meta SET value = ? WHERE key = 'data_dir'",
                            {data_dir_}));
      return {};
    });
  }

 private:
  Status SwapTable(const iceberg::Staged& staged) {
    WEIR_TRY(catalog_.Swap(staged));
    // The file before is one that names the old place.
    WEIR_TRY(
        catalog_.Sql("UPDATE iceberg_tables SET previous_metadata_location = NULL WHERE "
                     "catalog_name = ? AND metadata_location = ?",
                     {kCatalogName, staged.metadata_location}));
    for (const std::string& path : staged.obsolete)
      WEIR_TRY(catalog_.Sql("INSERT OR IGNORE INTO weir_garbage VALUES (?, ?)",
                            {path, clock_.Now()}));
    return {};
  }

  Status MoveColumn(const std::string& table, const std::string& column) {
    for (const SqlRow& row : WEIR_TRY(
             catalog_.Sql(fmt::format("SELECT DISTINCT {} FROM {}", column, table)))) {
      const std::string before = AsText(row[0]), after = move_(before);
      if (after == before) continue;
      WEIR_TRY(catalog_.Sql(
          fmt::format("UPDATE OR REPLACE {0} SET {1} = ? WHERE {1} = ?", table, column),
          {after, before}));
    }
    return {};
  }

  io::Io& io_;
  Clock& clock_;
  const std::string& data_dir_;
  Catalog& catalog_;
  const int64_t owner_epoch_;
  const iceberg::Move move_;
};

// Whether an interrupted commit of the new place went through, seen with a new
// connection.
Result<bool> IsAt(io::Io& io, const std::string& data_dir) {
  const auto catalog = WEIR_TRY(
      Catalog::Open(io, CatalogPath(data_dir), kCatalogName, /*read_only=*/false));
  return WEIR_TRY(RecordedPlace(*catalog, data_dir)) == data_dir;
}

}  // namespace

Status Relocate(io::Io& io, Clock& clock, const std::string& data_dir,
                const std::function<void(const std::string& table)>& progress) {
  if (!io.Exists(CatalogPath(data_dir)))
    return NotFound(
        fmt::format("{} is no data directory: it has no catalog.db", data_dir));
  Directory directory = WEIR_TRY(OpenDirectory(io, data_dir));
  const std::optional<std::string> from =
      WEIR_TRY(RecordedPlace(*directory.catalog, data_dir));
  if (!from || *from == data_dir) return {};
  const int64_t owner_epoch =
      WEIR_TRY(TakeOwnership(*directory.catalog, *directory.lock, data_dir, clock, kLease,
                             /*wait=*/false))
          .owner_epoch;
  Status done = Relocation(io, clock, data_dir, *directory.catalog, owner_epoch, *from)
                    .Run(progress);
  if (!done.ok() && done.error().code == Code::kUnknownOutcome) {
    directory.catalog.reset();
    const Result<bool> is_there = IsAt(io, data_dir);
    if (!is_there.ok()) return done;
    if (!*is_there) return Unavailable(done.error().message);
    done = {};
  }
  if (directory.catalog != nullptr) GiveLeaseBack(*directory.catalog, owner_epoch);
  return done;
}

}  // namespace weir::commit
