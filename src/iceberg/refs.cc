#include "iceberg/refs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "iceberg/metadata_folder_internal.h"

namespace weir::iceberg {
namespace {

using Json = nlohmann::json;

constexpr Micros kMilli = 1000;
constexpr const char* kMain = "main";
constexpr const char* kAgeMax = "max-ref-age-ms";
constexpr size_t kNameBytesMax = 255;

Json RefsJson(const Metadata& metadata) {
  if (metadata.refs_json.empty()) return Json::object();
  Json refs = Json::parse(metadata.refs_json, nullptr, false);
  return refs.is_object() ? refs : Json::object();
}

std::optional<Ref> RefFrom(const std::string& name, const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto snapshot = json.find("snapshot-id"), type = json.find("type"),
             age = json.find(kAgeMax);
  if (snapshot == json.end() || !snapshot->is_number_integer()) return std::nullopt;
  Ref out{name, {snapshot->get<int64_t>()}, false, std::nullopt};
  out.is_tag = type != json.end() && *type != "branch";
  Micros micros = 0;
  if (age != json.end() && age->is_number_integer() &&
      !__builtin_mul_overflow(age->get<int64_t>(), kMilli, &micros))
    out.age_max = micros;
  return out;
}

bool IsTooOld(const Metadata& metadata, const Ref& ref, Micros now) {
  const Snapshot* snapshot = metadata.Find(ref.snapshot);
  return ref.age_max && snapshot != nullptr && now - snapshot->timestamp > *ref.age_max;
}

Status CheckName(std::string_view name) {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != 0x7f;
  });
  if (name.empty() || name.size() > kNameBytesMax || !printable)
    return Invalid(
        fmt::format("'{}' cannot name a version: a tag's name has 1 to {} bytes and no "
                    "control characters",
                    printable ? name : "?", kNameBytesMax));
  if (name == kMain)
    return Invalid(
        "main is the branch that every commit moves, and no tag; choose another name");
  return {};
}

// What Weir does not know of the table, without what says nothing: other programs write
// lists that are empty.
Json Unknown(const Metadata& metadata) {
  Json out =
      metadata.unknown_json.empty() ? Json::object() : Json::parse(metadata.unknown_json);
  if (Json& table = out["table"]; table.is_object()) {
    for (auto it = table.begin(); it != table.end();)
      it = it->empty() ? table.erase(it) : std::next(it);
    if (table.empty()) table = Json();
  }
  return out;
}

bool SameButNames(const Metadata& a, const Metadata& b) {
  const auto same_id = [](const Snapshot& x, const Snapshot& y) { return x.id == y.id; };
  return a.format_version == b.format_version && a.uuid == b.uuid &&
         a.location == b.location && a.last_sequence_number == b.last_sequence_number &&
         a.last_column_id == b.last_column_id &&
         a.current_schema_id == b.current_schema_id &&
         a.schemas.size() == b.schemas.size() && a.default_spec_id == b.default_spec_id &&
         a.specs.size() == b.specs.size() &&
         a.default_sort_order_id == b.default_sort_order_id &&
         a.sort_orders.size() == b.sort_orders.size() &&
         a.current_snapshot == b.current_snapshot && a.next_row_id == b.next_row_id &&
         Unknown(a) == Unknown(b) &&
         std::equal(a.snapshots.begin(), a.snapshots.end(), b.snapshots.begin(),
                    b.snapshots.end(), same_id);
}

Result<Staged> WriteMetadata(io::Io& io, std::string_view table, Metadata metadata,
                             std::string_view base_location, const std::string& name) {
  MetadataFolder folder = WEIR_TRY(MetadataFolder::Open(io, metadata));
  std::string location = WEIR_TRY(folder.Write(name, MetadataToJson(metadata)));
  WEIR_TRY(folder.Keep());
  return Staged{std::string(table),
                std::string(base_location),
                std::move(location),
                std::move(metadata),
                {}};
}

}  // namespace

std::vector<Ref> RefsOf(const Metadata& metadata) {
  std::vector<Ref> out;
  const Json refs = RefsJson(metadata);
  for (const auto& [name, json] : refs.items()) {
    if (name == kMain) continue;
    if (std::optional<Ref> ref = RefFrom(name, json)) out.push_back(*std::move(ref));
  }
  return out;
}

Result<Ref> FindTag(std::string_view table, const Metadata& metadata,
                    std::string_view name) {
  std::vector<std::string> tags;
  for (Ref& ref : RefsOf(metadata)) {
    if (ref.name == name) {
      if (ref.is_tag) return std::move(ref);
      return NotFound(fmt::format("'{}' of {} is a branch, not a tag", name, table));
    }
    if (ref.is_tag) tags.push_back(std::move(ref.name));
  }
  return NotFound(
      fmt::format("{} has no tag '{}': {}", table, name,
                  tags.empty() ? "it has none; `weir tag` makes them"
                               : fmt::format("its tags are {}", fmt::join(tags, ", "))));
}

Result<Metadata> WithTag(std::string_view table, const Metadata& metadata, const Ref& tag,
                         IfTagExists if_exists, Micros now) {
  WEIR_TRY(CheckName(tag.name));
  Json refs = RefsJson(metadata);
  if (const auto found = refs.find(tag.name); found != refs.end()) {
    const std::optional<Ref> there = RefFrom(tag.name, *found);
    if (!there || !there->is_tag)
      return Conflict(fmt::format("{} has a branch '{}'; choose another name for the tag",
                                  table, tag.name));
    const Snapshot* snapshot = metadata.Find(there->snapshot);
    if (if_exists == IfTagExists::kRefuse)
      return Conflict(fmt::format(
          "{} has a tag '{}' already{}; delete it (--delete), say --replace, or choose "
          "another name",
          table, tag.name,
          snapshot == nullptr
              ? ""
              : fmt::format(", of version {} ({})", snapshot->sequence_number,
                            FormatTimestamp(snapshot->timestamp))));
  }
  if (metadata.Find(tag.snapshot) == nullptr)
    return Internal(
        fmt::format("tag '{}' of a snapshot that {} does not have", tag.name, table));
  if (IsTooOld(metadata, tag, now))
    return Invalid(fmt::format(
        "the version that '{}' is to keep is from {}, older than {} already: its time "
        "counts from the version's commit; keep it for longer",
        tag.name, FormatTimestamp(metadata.Find(tag.snapshot)->timestamp),
        FormatDuration(*tag.age_max)));
  Json& ref = refs[tag.name] = {{"type", "tag"}, {"snapshot-id", tag.snapshot.value}};
  if (tag.age_max) ref[kAgeMax] = std::max<int64_t>(*tag.age_max / kMilli, 1);
  Metadata out = metadata;
  out.refs_json = refs.dump();
  return out;
}

Result<Metadata> WithoutTag(std::string_view table, const Metadata& metadata,
                            std::string_view name) {
  WEIR_TRY(FindTag(table, metadata, name));
  Json refs = RefsJson(metadata);
  refs.erase(std::string(name));
  Metadata out = metadata;
  out.refs_json = refs.dump();
  return out;
}

void ExpireRefs(Metadata* metadata, Micros now) {
  if (metadata->refs_json.find(kAgeMax) == std::string::npos) return;
  Json refs = RefsJson(*metadata);
  for (const Ref& ref : RefsOf(*metadata)) {
    if (IsTooOld(*metadata, ref, now)) refs.erase(ref.name);
  }
  metadata->refs_json = refs.dump();
}

Result<Staged> StageRefs(io::Io& io, std::string_view table, const Metadata& changed,
                         std::string_view base_location, Micros now) {
  Metadata metadata = changed;
  metadata.last_updated = std::max(now / kMilli * kMilli, changed.last_updated);
  metadata.metadata_log.push_back({changed.last_updated, std::string(base_location)});
  return WriteMetadata(io, table, std::move(metadata), base_location,
                       MetadataFileName(base_location, NewUnownedUuid()));
}

Result<std::optional<Staged>> Rebase(io::Io& io, const Staged& staged,
                                     const std::string& location) {
  const Metadata before = WEIR_TRY(ReadMetadata(io, staged.base_location));
  const Metadata now = WEIR_TRY(ReadMetadata(io, location));
  if (!SameButNames(before, now)) return std::optional<Staged>();

  Metadata out = staged.metadata;
  out.refs_json = now.refs_json;
  for (const auto& [key, value] : before.properties) {
    if (!now.properties.contains(key)) out.properties.erase(key);
  }
  for (const auto& [key, value] : now.properties) {
    const auto was = before.properties.find(key);
    if (was == before.properties.end() || was->second != value)
      out.properties[key] = value;
  }
  out.unknown_json = now.unknown_json;
  out.snapshots = now.snapshots;
  out.snapshot_log = now.snapshot_log;
  if (out.current_snapshot != now.current_snapshot) {
    out.snapshots.push_back(*staged.metadata.current());
    out.snapshot_log.push_back(staged.metadata.snapshot_log.back());
  }
  out.last_updated = std::max(out.last_updated, now.last_updated);
  out.metadata_log = now.metadata_log;
  out.metadata_log.push_back({now.last_updated, location});
  Staged rebased = WEIR_TRY(WriteMetadata(io, staged.table, std::move(out), location,
                                          MetadataFileName(location, NewUuid())));
  rebased.obsolete.push_back(staged.metadata_location);
  return std::optional(std::move(rebased));
}

}  // namespace weir::iceberg
