// The manifests of the snapshot in the making: which of the base's stay as they are,
// which are rewritten or merged.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "iceberg/manifest_internal.h"

namespace weir::iceberg {

// What the change did, for the snapshot summary.
struct ChangeCounts {
  int64_t added_files = 0, added_rows = 0, removed_files = 0, removed_rows = 0;
  int64_t added_bytes = 0, removed_bytes = 0;  // vectors count with their blob
  int64_t added_vectors = 0, added_deletes = 0, removed_vectors = 0, removed_deletes = 0;
  std::set<std::pair<int, std::vector<Literal>>> partitions;  // spec and values
};

// Used once: Load, then Remove, ReplaceVectors and Add in this order, then Merge, then
// Finish.
class ManifestPlan {
 public:
  ManifestPlan(io::Io& io, const Metadata& metadata, const Snapshot& snapshot,
               int64_t bytes_target)
      : io_(io), metadata_(metadata), snapshot_(snapshot), bytes_target_(bytes_target) {}

  // Starts from the manifests of `base`; those without live files are left behind.
  Status Load(const Snapshot& base);
  // kConflict: a file is not alive.
  Status Remove(const std::vector<std::string>& paths);
  // Marks the vectors of removed data files, and those that `vectors` supersede, as
  // deleted, and adds `vectors`.
  Status ReplaceVectors(const std::vector<DataFile>& vectors);
  void Add(const std::vector<DataFile>& files);
  // Merges manifests of one spec and kind whenever `fan_in` of similar size have come
  // together, so that an entry is rewritten a logarithmic number of times and a table of
  // n files has few manifests.
  void Merge(int fan_in);

  struct Finished {
    std::vector<ManifestFile>
        manifests;  // of the new snapshot; paths of new ones are empty
    std::vector<std::string> contents;  // bytes of each new one, "" for those that stay
    int created = 0, kept = 0, replaced = 0;
  };
  // Encodes the manifests; `next_row_id` advances as the spec says.
  Result<Finished> Finish(int64_t* next_row_id);

  const ChangeCounts& counts() const { return counts_; }

 private:
  // Entries in memory, or a manifest that has not been read.
  struct Part {
    std::optional<ManifestFile> unread;
    std::vector<ManifestEntry> entries;
  };
  struct Planned {
    int spec_id = 0;
    bool is_deletes = false;
    int64_t live = 0;   // files
    int64_t bytes = 0;  // estimated
    std::vector<Part> parts;

    bool is_untouched() const { return parts.size() == 1 && parts[0].unread; }
  };

  // Reads a manifest's live entries, as those of an older snapshot.
  Result<std::vector<ManifestEntry>> ReadExisting(const ManifestFile& manifest);
  // Marks the entries for which `is_gone` holds; returns whether there were any, and only
  // then changes `planned`.
  template <class F>
  Result<bool> MarkDeleted(Planned* planned, F is_gone);
  void AddEntries(int spec_id, bool is_deletes, std::vector<ManifestEntry> entries);
  Planned* FoldTarget(int spec_id, int64_t bytes, const Planned* except);
  void FoldTouchedDeletes();
  bool MayHold(const Planned& planned,
               const std::vector<std::pair<int, std::vector<Literal>>>& partitions) const;
  static void Absorb(Planned* into, Planned* from);
  void MergeGroup(const std::vector<Planned*>& group, int fan_in);
  void AssignRowIds(std::vector<ManifestEntry>* entries, ManifestFile* manifest,
                    int64_t* next_row_id) const;

  io::Io& io_;
  const Metadata& metadata_;
  const Snapshot& snapshot_;
  const int64_t bytes_target_;
  std::vector<std::unique_ptr<Planned>>
      planned_;  // in append order; null: merged into an earlier one
  std::vector<DataFile> removed_;
  ChangeCounts counts_;
  int base_manifests_ = 0;
};

}  // namespace weir::iceberg
