#include "iceberg/table.h"
#include "query/lease_internal.h"

namespace weir::query {

Result<std::unique_ptr<PinnedCatalog>> PinnedCatalog::Open(io::Io& io, Clock& clock,
                                                           const std::string& path,
                                                           const std::string& name,
                                                           Micros lease,
                                                           std::string* note) {
  if (!io.Exists(path))
    return NotFound(
        fmt::format("there is no lake at {}: `weir run` makes one, or point --data at it",
                    io::DirName(path)));
  std::unique_ptr<PinnedCatalog> out(new PinnedCatalog(clock, lease));
  Result<std::unique_ptr<iceberg::Catalog>> catalog =
      iceberg::Catalog::Open(io, path, name, /*read_only=*/false);
  if (catalog.ok()) {
    out->catalog_ = *std::move(catalog);
    const Status taken = out->Take();
    if (taken.ok()) return out;
    *note = fmt::format("no reader lease ({}): files may vanish under a long query",
                        taken.error().message);
  } else {
    if (catalog.error().code == Code::kCorrupt) return std::move(catalog).error();
    *note = fmt::format(
        "no reader lease, the catalog cannot be written ({}): files may vanish under a "
        "long query",
        catalog.error().message);
    out->catalog_ = WEIR_TRY(iceberg::Catalog::Open(io, path, name, /*read_only=*/true));
  }
  out->tables_ = WEIR_TRY(out->catalog_->List());
  return out;
}

Status PinnedCatalog::Take() {
  const std::string id = iceberg::NewUuid();
  // What is listed here is garbage at the earliest after `since`, which the collector
  // respects; no snapshot need be named.
  WEIR_TRY(catalog_->Transact([&]() -> Status {
    const Micros now = clock_.Now();
    expires_ = now + lease_;
    WEIR_TRY(catalog_->Sql(
        "INSERT INTO weir_readers (id, snapshots, since, expires) VALUES (?, '[]', ?, ?)",
        {id, now, expires_}));
    tables_ = WEIR_TRY(catalog_->List());
    return {};
  }));
  id_ = id;
  return {};
}

Status PinnedCatalog::Renew() {
  if (id_.empty() || clock_.Now() < expires_ - lease_ / 2) return {};
  return catalog_->Transact([&]() -> Status {
    expires_ = clock_.Now() + lease_;
    WEIR_TRY(catalog_->Sql("UPDATE weir_readers SET expires = ? WHERE id = ?",
                           {expires_, id_}));
    return {};
  });
}

PinnedCatalog::~PinnedCatalog() {
  if (id_.empty()) return;
  // A lease that cannot be given back runs out by itself.
  (void)catalog_
      ->Transact([&]() -> Status {
        WEIR_TRY(catalog_->Sql("DELETE FROM weir_readers WHERE id = ?", {id_}));
        return {};
      })
      .ok();
}

}  // namespace weir::query
