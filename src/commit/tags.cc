#include "commit/tags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commit/committer.h"
#include "commit/directory_internal.h"
#include "commit/relocate.h"

namespace weir::commit {
namespace {

using iceberg::Catalog;

// One table's part of a change: its new metadata.
using Change = std::function<Result<iceberg::Metadata>(const std::string&,
                                                       const iceberg::Metadata&)>;

Error NoSuchTable(const std::string& name, Catalog& catalog) {
  std::vector<std::string> names;
  if (const auto tables = catalog.List(); tables.ok()) {
    for (const iceberg::TableRef& table : *tables) names.push_back(table.name);
  }
  return NotFound(fmt::format("there is no table {}; there are {}", name,
                              names.empty() ? std::string("none yet")
                                            : fmt::format("{}", fmt::join(names, ", "))));
}

// All that changes anything happens inside of the transaction, files included: so the
// owner can neither commit, nor expire what is named, nor take a file for an orphan.
Status ChangeNames(io::Io& io, Clock& clock, const std::string& data_dir,
                   const std::vector<std::string>& tables, const Change& change) {
  if (!io.Exists(CatalogPath(data_dir)))
    return NotFound(fmt::format(
        "there is no lake at {}: `weir run` makes one, or point --data at it", data_dir));
  const auto catalog = WEIR_TRY(
      Catalog::Open(io, CatalogPath(data_dir), kCatalogName, /*read_only=*/false));
  WEIR_TRY(CheckPlace(*catalog, data_dir));
  return catalog->Transact([&]() -> Status {
    for (const std::string& table : tables) {
      if (table.find('.') == std::string::npos) return NoSuchTable(table, *catalog);
      const auto found = WEIR_TRY(catalog->Find(table));
      if (!found) return NoSuchTable(table, *catalog);
      const iceberg::Metadata metadata =
          WEIR_TRY(iceberg::ReadMetadata(io, found->metadata_location));
      WEIR_TRY(catalog->Swap(
          WEIR_TRY(iceberg::StageRefs(io, table, WEIR_TRY(change(table, metadata)),
                                      found->metadata_location, clock.Now()))));
    }
    return {};
  });
}

}  // namespace

Result<std::vector<TaggedVersion>> CreateTag(io::Io& io, Clock& clock,
                                             const std::string& data_dir,
                                             const NewTag& tag) {
  std::vector<TaggedVersion> out;
  const Change change =
      [&](const std::string& table,
          const iceberg::Metadata& metadata) -> Result<iceberg::Metadata> {
    const iceberg::Snapshot* snapshot =
        tag.pick ? WEIR_TRY(tag.pick(table, metadata)) : metadata.current();
    if (snapshot == nullptr)
      return NotFound(fmt::format(
          "{} has no version yet: it gets its first with its first rows", table));
    out.push_back({table, *snapshot});
    return iceberg::WithTag(table, metadata,
                            {tag.name, snapshot->id, /*is_tag=*/true, tag.age_max},
                            tag.if_exists, clock.Now());
  };
  WEIR_TRY(ChangeNames(io, clock, data_dir, tag.tables, change));
  return out;
}

Status DropTag(io::Io& io, Clock& clock, const std::string& data_dir,
               const std::vector<std::string>& tables, const std::string& name) {
  return ChangeNames(io, clock, data_dir, tables,
                     [&](const std::string& table, const iceberg::Metadata& metadata) {
                       return iceberg::WithoutTag(table, metadata, name);
                     });
}

}  // namespace weir::commit
