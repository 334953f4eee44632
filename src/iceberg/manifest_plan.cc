#include "iceberg/manifest_plan_internal.h"

#include <unordered_set>

#include "iceberg/literal_internal.h"

namespace weir::iceberg {
namespace {

constexpr int64_t kEntryBytes = 256;  // compressed, for estimates only

int64_t CountedBytes(const DataFile& file) {
  return file.is_deletion_vector ? file.content_bytes : file.file_bytes;
}

ManifestEntry NewEntry(const DataFile& file, SnapshotId snapshot) {
  ManifestEntry entry;
  entry.status = EntryStatus::kAdded;
  entry.snapshot = snapshot;
  entry.file = file;
  entry.file.first_row_id.reset();
  entry.content =
      file.is_deletion_vector ? FileContent::kPositionDeletes : FileContent::kData;
  entry.format = file.is_deletion_vector ? "PUFFIN" : "PARQUET";
  return entry;
}

int SizeClass(int64_t live, int fan_in) {
  int out = 0;
  for (; live >= fan_in; live /= fan_in) ++out;
  return out;
}

bool MayContain(const data::Type& type, const FieldSummary& summary,
                const Literal& value) {
  if (std::holds_alternative<std::monostate>(value)) return summary.contains_null;
  if (!summary.lower || !summary.upper) return true;
  const Result<Literal> lower = FromBinaryValue(type, *summary.lower),
                        upper = FromBinaryValue(type, *summary.upper);
  if (!lower.ok() || !upper.ok() || lower->index() != value.index()) return true;
  return Compare(type, *lower, value) <= 0 && Compare(type, value, *upper) <= 0;
}

}  // namespace

Status ManifestPlan::Load(const Snapshot& base) {
  for (ManifestFile& manifest : WEIR_TRY(ReadManifestList(io_, base.manifest_list))) {
    ++base_manifests_;
    if (manifest.live_files() == 0) continue;
    auto planned = std::make_unique<Planned>();
    planned->spec_id = manifest.spec_id;
    planned->is_deletes = manifest.is_deletes;
    planned->live = manifest.live_files();
    planned->bytes = manifest.bytes;
    planned->parts.push_back({std::move(manifest), {}});
    planned_.push_back(std::move(planned));
  }
  return {};
}

Result<std::vector<ManifestEntry>> ManifestPlan::ReadExisting(
    const ManifestFile& manifest) {
  std::vector<ManifestEntry> entries = WEIR_TRY(ReadManifest(io_, metadata_, manifest));
  std::erase_if(entries, [](const ManifestEntry& entry) { return !entry.is_live(); });
  for (ManifestEntry& entry : entries) entry.status = EntryStatus::kExisting;
  return entries;
}

template <class F>
Result<bool> ManifestPlan::MarkDeleted(Planned* planned, F is_gone) {
  WEIR_CHECK(planned->is_untouched());
  std::vector<ManifestEntry> entries = WEIR_TRY(ReadExisting(*planned->parts[0].unread));
  int64_t gone = 0;
  for (ManifestEntry& entry : entries) {
    if (!is_gone(entry)) continue;
    entry.status = EntryStatus::kDeleted;
    entry.snapshot = snapshot_.id;
    counts_.partitions.emplace(planned->spec_id, entry.file.partition);
    counts_.removed_bytes += CountedBytes(entry.file);
    ++gone;
  }
  if (gone == 0) return false;
  planned->live -= gone;
  planned->parts[0] = {std::nullopt, std::move(entries)};
  return true;
}

Status ManifestPlan::Remove(const std::vector<std::string>& paths) {
  std::unordered_set<std::string_view> wanted(paths.begin(), paths.end());
  if (wanted.size() != paths.size()) return Invalid("a file is removed twice");
  // What is removed is mostly young, so the newest manifests are looked at first.
  for (auto it = planned_.rbegin(); it != planned_.rend() && !wanted.empty(); ++it) {
    if ((*it)->is_deletes) continue;
    WEIR_TRY(MarkDeleted(it->get(), [&](const ManifestEntry& entry) {
      if (wanted.erase(entry.file.path) == 0) return false;
      ++counts_.removed_files;
      counts_.removed_rows += entry.file.record_count;
      removed_.push_back(entry.file);
      return true;
    }));
  }
  if (!wanted.empty())
    return Conflict("a file to remove is not in the table: " +
                    std::string(*wanted.begin()));
  return {};
}

bool ManifestPlan::MayHold(
    const Planned& planned,
    const std::vector<std::pair<int, std::vector<Literal>>>& partitions) const {
  const PartitionSpec& spec = metadata_.specs.at(planned.spec_id);
  const std::vector<FieldSummary>& summaries = planned.parts[0].unread->partitions;
  for (const auto& [spec_id, values] : partitions) {
    if (spec_id != planned.spec_id) continue;
    bool may = true;
    if (summaries.size() == spec.fields.size() && values.size() == summaries.size()) {
      for (size_t i = 0; may && i < values.size(); ++i) {
        const Result<data::Type> type = PartitionType(metadata_, spec.fields[i]);
        may = !type.ok() || MayContain(*type, summaries[i], values[i]);
      }
    }
    if (may) return true;
  }
  return false;
}

Status ManifestPlan::ReplaceVectors(const std::vector<DataFile>& vectors) {
  std::unordered_map<std::string_view, int64_t>
      wanted;  // data file -> rows that the new vector deletes; -1: file removed
  std::set<std::pair<int, std::vector<Literal>>> partitions;
  for (const DataFile& file : removed_) {
    wanted[file.path] = -1;
    partitions.emplace(file.spec_id, file.partition);
  }
  std::map<int, std::vector<ManifestEntry>> added;
  for (const DataFile& vector : vectors) {
    if (!wanted.emplace(vector.referenced_data_file, vector.record_count).second) {
      return Invalid("a second deletion vector, or one of a removed file: " +
                     vector.referenced_data_file);
    }
    partitions.emplace(vector.spec_id, vector.partition);
    counts_.partitions.emplace(vector.spec_id, vector.partition);
    ++counts_.added_vectors;
    counts_.added_deletes += vector.record_count;
    counts_.added_bytes += CountedBytes(vector);
    added[vector.spec_id].push_back(NewEntry(vector, snapshot_.id));
  }
  if (wanted.empty()) return {};

  const std::vector<std::pair<int, std::vector<Literal>>> touched(partitions.begin(),
                                                                  partitions.end());
  std::string shrunk;
  for (const auto& planned : planned_) {
    if (!planned->is_deletes || !MayHold(*planned, touched)) continue;
    WEIR_TRY(MarkDeleted(planned.get(), [&](const ManifestEntry& entry) {
      if (!entry.file.is_deletion_vector) return false;
      const auto found = wanted.find(entry.file.referenced_data_file);
      if (found == wanted.end()) return false;
      if (found->second >= 0 && found->second < entry.file.record_count)
        shrunk = entry.file.referenced_data_file;
      ++counts_.removed_vectors;
      counts_.removed_deletes += entry.file.record_count;
      return true;
    }));
  }
  if (!shrunk.empty())
    return Invalid("a deletion vector would bring deleted rows back: " + shrunk);
  FoldTouchedDeletes();
  for (auto& [spec_id, entries] : added) AddEntries(spec_id, true, std::move(entries));
  return {};
}

void ManifestPlan::Add(const std::vector<DataFile>& files) {
  std::map<int, std::vector<ManifestEntry>> added;
  for (const DataFile& file : files) {
    ++counts_.added_files;
    counts_.added_rows += file.record_count;
    counts_.added_bytes += CountedBytes(file);
    counts_.partitions.emplace(file.spec_id, file.partition);
    added[file.spec_id].push_back(NewEntry(file, snapshot_.id));
  }
  for (auto& [spec_id, entries] : added) AddEntries(spec_id, false, std::move(entries));
}

// New vectors join a delete manifest that is rewritten anyway, so that a table of upserts
// keeps one instead of many.
void ManifestPlan::AddEntries(int spec_id, bool is_deletes,
                              std::vector<ManifestEntry> entries) {
  auto planned = std::make_unique<Planned>();
  planned->spec_id = spec_id;
  planned->is_deletes = is_deletes;
  planned->live = static_cast<int64_t>(entries.size());
  planned->bytes = planned->live * kEntryBytes;
  planned->parts.push_back({std::nullopt, std::move(entries)});
  if (Planned* target =
          is_deletes ? FoldTarget(spec_id, planned->bytes, nullptr) : nullptr) {
    Absorb(target, planned.get());
  } else {
    planned_.push_back(std::move(planned));
  }
}

ManifestPlan::Planned* ManifestPlan::FoldTarget(int spec_id, int64_t bytes,
                                                const Planned* except) {
  for (const auto& planned : planned_) {
    if (planned.get() == except) break;
    if (planned && planned->is_deletes && planned->spec_id == spec_id &&
        !planned->is_untouched() && planned->bytes + bytes <= bytes_target_) {
      return planned.get();
    }
  }
  return nullptr;
}

void ManifestPlan::FoldTouchedDeletes() {
  for (auto& planned : planned_) {
    if (!planned->is_deletes || planned->is_untouched()) continue;
    Planned* target = FoldTarget(planned->spec_id, planned->bytes, planned.get());
    if (target == nullptr) continue;
    Absorb(target, planned.get());
    planned->live = 0;
    planned->parts.clear();
  }
  std::erase_if(planned_, [](const auto& planned) { return planned->parts.empty(); });
}

void ManifestPlan::Absorb(Planned* into, Planned* from) {
  into->live += from->live;
  into->bytes += from->bytes;
  for (Part& part : from->parts) into->parts.push_back(std::move(part));
  from->parts.clear();
}

void ManifestPlan::Merge(int fan_in) {
  fan_in = std::max(fan_in, 2);
  std::map<std::pair<bool, int>, std::vector<Planned*>> groups;
  for (const auto& planned : planned_)
    groups[{planned->is_deletes, planned->spec_id}].push_back(planned.get());
  for (auto& [key, group] : groups) MergeGroup(group, fan_in);
  std::erase_if(planned_, [](const auto& planned) { return planned->parts.empty(); });
}

void ManifestPlan::MergeGroup(const std::vector<Planned*>& group, int fan_in) {
  bool merged = true;
  for (int size_class = 0; merged; ++size_class) {
    std::vector<Planned*> alike;
    merged = false;
    for (Planned* planned : group) {
      if (planned->parts.empty() || planned->bytes >= bytes_target_) continue;
      const int own = SizeClass(planned->live, fan_in);
      merged |= own > size_class;
      if (own == size_class) alike.push_back(planned);
    }
    if (alike.size() < static_cast<size_t>(fan_in)) continue;
    Planned* into = nullptr;
    for (Planned* planned : alike) {
      if (into != nullptr && into->bytes + planned->bytes <= bytes_target_) {
        Absorb(into, planned);
      } else {
        into = planned;
      }
    }
    merged = true;
  }
}

void ManifestPlan::AssignRowIds(std::vector<ManifestEntry>* entries,
                                ManifestFile* manifest, int64_t* next_row_id) const {
  if (metadata_.format_version < 3 || manifest->is_deletes) return;
  manifest->first_row_id = *next_row_id;
  int64_t next = *next_row_id;
  int64_t live_rows = 0;
  for (ManifestEntry& entry : *entries) {
    if (!entry.is_live()) continue;
    live_rows += entry.file.record_count;
    if (entry.content != FileContent::kData || entry.file.first_row_id) continue;
    entry.file.first_row_id = next;
    next += entry.file.record_count;
  }
  *next_row_id += live_rows;
}

Result<ManifestPlan::Finished> ManifestPlan::Finish(int64_t* next_row_id) {
  Finished out;
  for (const auto& planned : planned_) {
    if (planned->is_untouched()) {
      ManifestFile manifest = *planned->parts[0].unread;
      // A table that was upgraded from v2 has manifests whose rows have no ids yet.
      if (metadata_.format_version >= 3 && !manifest.is_deletes &&
          !manifest.first_row_id) {
        manifest.first_row_id = *next_row_id;
        *next_row_id += manifest.added_rows + manifest.existing_rows;
      }
      out.manifests.push_back(std::move(manifest));
      out.contents.emplace_back();
      ++out.kept;
      continue;
    }
    std::vector<ManifestEntry> entries;
    for (Part& part : planned->parts) {
      if (part.unread) part.entries = WEIR_TRY(ReadExisting(*part.unread));
      std::move(part.entries.begin(), part.entries.end(), std::back_inserter(entries));
    }
    ManifestFile manifest;
    manifest.spec_id = planned->spec_id;
    manifest.is_deletes = planned->is_deletes;
    AssignRowIds(&entries, &manifest, next_row_id);
    out.contents.push_back(
        WEIR_TRY(ManifestBytes(metadata_, snapshot_, entries, &manifest)));
    out.manifests.push_back(std::move(manifest));
    ++out.created;
  }
  out.replaced = base_manifests_ - out.kept;
  return out;
}

}  // namespace weir::iceberg
