// The live files of a keyed table, their numbers in the key index, and which of their
// rows are deleted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "iceberg/deletion_vector.h"
#include "iceberg/table.h"
#include "io/io.h"
#include "publish/key_index_internal.h"
#include "publish/partition_internal.h"

namespace weir::publish {

// The part of a manifest entry that later epochs need; bounds and counts of all files
// would fill memory for nothing.
iceberg::DataFile WithoutStatistics(const iceberg::DataFile& file);

using Partition = std::pair<int, Tuple>;  // spec, values

// Changes are staged until Apply or Discard.
class LiveFileTable {
 public:
  LiveFileTable(io::Io& io, int64_t vector_bytes_max)
      : io_(io), vector_bytes_max_(vector_bytes_max) {}

  // kConflict: the numbers in the store are not of this snapshot's files.
  // `hashed_columns` is what the index is over (HashedColumns).
  Status Load(const iceberg::Metadata& metadata, state::Store* store,
              const std::string& table, std::string hashed_columns);

  struct File {
    iceberg::DataFile data;
    std::optional<iceberg::DataFile> vector;
    int64_t deleted = 0;
    bool lineage_known = false;  // first_row_id and sequence number are as committed
  };
  const File& at(uint32_t number) const { return files_.at(number); }
  std::vector<uint32_t> OfPartition(
      const Partition& partition) const;  // committed files, oldest first
  int64_t live_rows() const;

  // Deletes a row of a committed file. kCorrupt: it was deleted before, or there is no
  // such row.
  Status Delete(const Location& row);
  // Files with rows deleted in this epoch, and how many are deleted in all.
  std::map<uint32_t, int64_t> Touched() const;
  // Deleted rows with those of this epoch; nullptr: none.
  Result<const iceberg::Positions*> Deleted(uint32_t number);

  uint32_t next_number() const { return next_number_; }
  void Add(const iceberg::DataFile& file);  // gets next_number()
  void Remove(uint32_t number);

  // Fills in first_row_id and sequence numbers of files committed since Load.
  Status LearnLineage(const iceberg::Metadata& metadata);

  // Writes this epoch's vectors into one Puffin file; files without a live row are
  // removed instead.
  Status WriteVectors(const std::string& table_location, iceberg::FileChange* change);

  void WriteTo(state::Delta* delta) const;
  void Apply();
  void Discard();

 private:
  Result<iceberg::Positions> ReadPositions(const File& file);
  void ShrinkCache();

  io::Io& io_;
  const int64_t vector_bytes_max_;
  std::string space_, hashed_columns_, location_;
  std::map<uint32_t, File> files_;
  std::map<Partition, std::vector<uint32_t>> by_partition_;
  uint32_t next_number_ = 0;

  struct Cached {
    iceberg::Positions positions;
    uint64_t used = 0;  // turn of the last use
  };
  std::unordered_map<uint32_t, Cached> cache_;
  uint64_t turn_ = 0;

  std::map<uint32_t, File> added_;
  std::map<uint32_t, iceberg::Positions> staged_;
  std::map<uint32_t, iceberg::DataFile> staged_vectors_;
  std::vector<uint32_t> removed_;
  uint32_t committed_next_ = 0;
};

}  // namespace weir::publish
