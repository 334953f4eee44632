// weir tag and weir show tags: names for versions of tables.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "commit/tags.h"
#include "main/inspect_internal.h"
#include "query/as_of.h"

namespace weir::main {
namespace {

using nlohmann::json;

// "gold.a, Gold.B" -> gold.a, gold.b
std::vector<std::string> NamesIn(const std::string& text) {
  std::vector<std::string> out;
  for (size_t from = 0; from <= text.size();) {
    const size_t comma = std::min(text.find(',', from), text.size());
    std::string name = data::LowerName(text.substr(from, comma - from));
    std::erase(name, ' ');
    if (std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(std::move(name));
    from = comma + 1;
  }
  return out;
}

int Drop(io::Io& io, const Options& options, const TagFlags& flags,
         const std::vector<std::string>& tables) {
  if (!flags.as_of.empty() || !flags.retain.empty() || flags.replace)
    return Fail("--delete takes the tag away: --as-of, --retain and --replace make one",
                kWrongCall);
  SystemClock clock;
  const std::string data_dir = DataDir(options);
  if (Status dropped = commit::DropTag(io, clock, data_dir, tables, flags.name);
      !dropped.ok())
    return FailIn(data_dir, dropped.error());
  if (options.format == Format::kJson) {
    fmt::print("{}\n", json{{"deleted", flags.name}, {"tables", tables}}.dump());
  } else {
    fmt::print("tag '{}' of {} is deleted\n", flags.name, fmt::join(tables, ", "));
  }
  return kFine;
}

}  // namespace

int Tag(io::Io& io, const Options& options, const TagFlags& flags) {
  const std::vector<std::string> tables = NamesIn(flags.tables);
  if (flags.drop) return Drop(io, options, flags, tables);
  commit::NewTag tag;
  tag.name = flags.name;
  tag.tables = tables;
  if (flags.replace) tag.if_exists = iceberg::IfTagExists::kReplace;
  if (!flags.retain.empty()) {
    const auto age = ParseDuration(flags.retain);
    if (!age.ok())
      return Fail(fmt::format("--retain {}: {}", flags.retain, age.error().message),
                  kWrongCall);
    tag.age_max = *age;
  }
  std::optional<query::AsOf> as_of;
  if (!flags.as_of.empty()) {
    const auto parsed = query::ParseAsOf(flags.as_of);
    if (!parsed.ok())
      return Fail(fmt::format("--as-of {}: {}", flags.as_of, parsed.error().message),
                  kWrongCall);
    as_of = *parsed;
  }
  tag.pick = [&](const std::string& table, const iceberg::Metadata& metadata) {
    return query::Resolve(table, metadata, as_of);
  };
  SystemClock clock;
  const std::string data_dir = DataDir(options);
  const auto tagged = commit::CreateTag(io, clock, data_dir, tag);
  if (!tagged.ok()) return FailIn(data_dir, tagged.error());
  json out = json::array();
  for (const commit::TaggedVersion& one : *tagged) {
    const std::string committed = FormatTimestamp(one.snapshot.timestamp);
    out.push_back({{"table", one.table},
                   {"tag", flags.name},
                   {"version", one.snapshot.sequence_number},
                   {"snapshot_id", one.snapshot.id.value},
                   {"committed_at", committed}});
    if (options.format != Format::kJson)
      fmt::print("tag '{}' of {} is version {}, of {}\n", flags.name, one.table,
                 one.snapshot.sequence_number, committed);
  }
  if (options.format == Format::kJson) fmt::print("{}\n", out.dump(1));
  return kFine;
}

int ShowTags(io::Io& io, const Options& options, const std::string& table) {
  auto catalog = OpenCatalog(io, options);
  if (!catalog.ok()) return Fail(catalog.error());
  const auto tables = (*catalog)->List();
  if (!tables.ok()) return Fail(tables.error());
  json out = json::array();
  std::vector<std::vector<std::string>> cells;
  bool known = table.empty();
  for (const iceberg::TableRef& ref : *tables) {
    if (!table.empty() && !data::SameName(ref.name, table)) continue;
    known = true;
    const auto metadata = iceberg::ReadMetadata(io, ref.metadata_location);
    if (!metadata.ok()) return Fail(metadata.error());
    for (const iceberg::Ref& one : iceberg::RefsOf(*metadata)) {
      const iceberg::Snapshot* snapshot = metadata->Find(one.snapshot);
      const std::string kind = one.is_tag ? "tag" : "branch";
      const std::string committed =
          snapshot == nullptr ? "" : FormatTimestamp(snapshot->timestamp);
      const std::string kept = snapshot == nullptr || !one.age_max
                                   ? ""
                                   : FormatTimestamp(snapshot->timestamp + *one.age_max);
      const int64_t version = snapshot == nullptr ? 0 : snapshot->sequence_number;
      out.push_back({{"table", ref.name},
                     {"name", one.name},
                     {"kind", kind},
                     {"version", version},
                     {"snapshot_id", one.snapshot.value},
                     {"committed_at", committed},
                     {"kept_until", kept.empty() ? json() : json(kept)}});
      cells.push_back({ref.name, one.name, kind, std::to_string(version),
                       std::to_string(one.snapshot.value), committed, kept});
    }
  }
  if (!known)
    return Fail(fmt::format("there is no table {}; `weir ls` lists them", table),
                kWrongCall);
  if (options.format == Format::kJson) {
    fmt::print("{}\n", out.dump(1));
  } else if (options.format == Format::kCsv) {
    fmt::print("table,name,kind,version,snapshot_id,committed_at,kept_until\n");
    for (const auto& row : cells) fmt::print("{}\n", fmt::join(row, ","));
  } else {
    PrintTable(
        {"table", "name", "kind", "version", "snapshot id", "committed at", "kept until"},
        cells);
  }
  return kFine;
}

}  // namespace weir::main
