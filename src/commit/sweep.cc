#include "commit/sweep.h"

#include <fmt/format.h>

#include <unordered_set>

#include "base/event.h"
#include "commit/committer.h"
#include "commit/directory_internal.h"
#include "iceberg/referenced.h"

namespace weir::commit {
namespace {

using iceberg::Catalog;
using iceberg::SqlRow;

// Where a table keeps its files; nothing else is ever looked at.
constexpr const char* kFolders[] = {"data", "metadata"};

Result<std::vector<std::string>> FoldersIn(io::Io& io, const std::string& dir) {
  std::vector<std::string> out;
  for (const std::string& name : WEIR_TRY(io.List(dir))) {
    const std::string path = io::Join(dir, name);
    const auto info = io.Stat(path);
    if (!info.ok() && info.error().code == Code::kNotFound) continue;
    if (WEIR_TRY(info).is_dir) out.push_back(path);
  }
  return out;
}

// The folder of a table, from the place of its metadata file: …/metadata/NAME.
std::string TableFolder(const std::string& metadata_path) {
  return std::string(io::DirName(io::DirName(metadata_path)));
}

// An empty folder where no table is; one that is not empty stays.
void RemoveEmpty(io::Io& io, const std::string& dir) {
  for (const char* folder : kFolders)
    static_cast<void>(io.Remove(io::Join(dir, folder)).ok());
  static_cast<void>(io.Remove(dir).ok());
}

}  // namespace

Result<Sweep> Sweep::Begin(io::Io& io, const std::string& data_dir, int64_t owner_epoch) {
  Sweep out(io, data_dir, owner_epoch);
  for (const std::string& space : WEIR_TRY(FoldersIn(io, WarehouseDir(data_dir)))) {
    for (const std::string& table : WEIR_TRY(FoldersIn(io, space))) {
      Folder folder{table, {}};
      for (const char* name : kFolders) {
        const std::string dir = io::Join(table, name);
        const auto files = io.List(dir);
        if (!files.ok() && files.error().code == Code::kNotFound) continue;
        for (const std::string& file : WEIR_TRY(files))
          folder.files.push_back(io::Join(dir, file));
      }
      out.folders_.push_back(std::move(folder));
    }
  }
  return out;
}

Result<SweepReport> Sweep::Finish(Clock& clock, const std::function<bool()>& stop) {
  const auto catalog = WEIR_TRY(
      Catalog::Open(*io_, CatalogPath(data_dir_), kCatalogName, /*read_only=*/false));
  // Tables of every catalog name: another program may keep its own in this file.
  std::unordered_set<std::string> named, table_folders;
  for (const SqlRow& row : WEIR_TRY(catalog->Sql(
           "SELECT metadata_location FROM iceberg_tables WHERE metadata_location IS NOT "
           "NULL AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)"))) {
    const std::string location = AsText(row[0]);
    const Result<std::string> path = iceberg::PathOf(location);
    if (!path.ok()) continue;  // in another store, as are its files
    table_folders.insert(TableFolder(*path));
    WEIR_TRY(iceberg::AddReferencedFiles(*io_, location, stop, &named));
  }
  for (const SqlRow& row : WEIR_TRY(catalog->Sql("SELECT path FROM weir_garbage")))
    named.insert(AsText(row[0]));
  // One spelling for all.
  std::unordered_set<std::string> paths;
  for (const std::string& uri : named) {
    if (const Result<std::string> path = iceberg::PathOf(uri); path.ok())
      paths.insert(*path);
  }

  const Micros now = clock.Now();
  SweepReport report;
  std::vector<std::string> orphans;
  for (const Folder& folder : folders_) {
    const bool has_table = table_folders.contains(folder.path);
    if (!has_table && folder.files.empty()) RemoveEmpty(*io_, folder.path);
    for (const std::string& file : folder.files) {
      if (paths.contains(file)) continue;
      const auto info = io_->Stat(file);
      if (!info.ok() && info.error().code == Code::kNotFound) continue;
      WEIR_TRY(Result<io::FileInfo>(info));
      const bool old = now - info->modified > kForeignGrace;
      if (!info->is_regular ||
          !(iceberg::HasOurName(io::BaseName(file)) || (has_table && old))) {
        ++report.left;
        continue;
      }
      ++report.files;
      report.bytes += static_cast<int64_t>(info->size);
      orphans.push_back(iceberg::UriOf(file));
    }
  }
  WEIR_TRY(catalog->Transact([&]() -> Status {
    WEIR_TRY(CheckOwner(*catalog, owner_epoch_));
    for (const std::string& orphan : orphans)
      WEIR_TRY(catalog->Sql("INSERT OR IGNORE INTO weir_garbage VALUES (?, ?)",
                            {orphan, now}));
    WEIR_TRY(catalog->Sql("INSERT OR REPLACE INTO weir_meta VALUES ('swept_at', ?)",
                          {std::to_string(now)}));
    return {};
  }));
  if (report.files + report.left > 0) {
    Event("orphans_swept")
        .With("files", report.files)
        .With("bytes", report.bytes)
        .With("left", report.left);
  }
  return report;
}

}  // namespace weir::commit
