#include <algorithm>

#include "publish/live_files_internal.h"

namespace weir::publish {
namespace {

// What a roaring bitmap takes: two bytes a value, or a bit a row where it is dense.
int64_t BytesOf(const iceberg::Positions& positions, int64_t rows) {
  return std::min(positions.size() * 2, rows / 8 + 64) + 128;
}

}  // namespace

iceberg::DataFile WithoutStatistics(const iceberg::DataFile& file) {
  iceberg::DataFile out;
  out.path = file.path;
  out.spec_id = file.spec_id;
  out.partition = file.partition;
  out.record_count = file.record_count;
  out.file_bytes = file.file_bytes;
  out.first_row_id = file.first_row_id;
  out.data_sequence_number = file.data_sequence_number;
  return out;
}

Status LiveFileTable::Load(const iceberg::Metadata& metadata, state::Store* store,
                           const std::string& table, std::string hashed_columns) {
  hashed_columns_ = std::move(hashed_columns);
  space_ = FilesSpace(table);
  location_ = metadata.location;
  std::map<std::string, iceberg::LiveFile> live;
  if (metadata.current() != nullptr) {
    for (iceberg::LiveFile& file :
         WEIR_TRY(iceberg::LiveFiles(io_, metadata, *metadata.current()))) {
      std::string path = PathInTable(location_, file.data.path);
      live.emplace(std::move(path), std::move(file));
    }
  }
  std::vector<std::pair<std::string, std::string>> records;
  std::string indexed_columns = hashed_columns_;
  if (store != nullptr) {
    WEIR_TRY(store->Scan(space_, "", [&](std::string_view key, std::string_view value) {
      if (key == kColumnsKey) {
        indexed_columns = value;
      } else {
        records.emplace_back(key, value);
      }
      return true;
    }));
  }
  const auto foreign = [&](const std::string& why) {
    return Conflict(
        fmt::format("the key index of {} is not of its current snapshot ({}): it has to "
                    "be rebuilt from the table",
                    table, why));
  };
  if (indexed_columns != hashed_columns_)
    return foreign(fmt::format("it is over columns {}, the key is {}", indexed_columns,
                               hashed_columns_));
  if (records.size() != live.size())
    return foreign(
        fmt::format("it knows {} files, the table has {}", records.size(), live.size()));
  for (const auto& [key, value] : records) {
    const uint32_t number = WEIR_TRY(ParseFileKey(key));
    const IndexedFile indexed = WEIR_TRY(ParseFileValue(value));
    const auto it = live.find(indexed.path);
    if (it == live.end()) return foreign(indexed.path + " is not in the table");
    const iceberg::LiveFile& file = it->second;
    const int64_t deleted = file.vector ? file.vector->record_count : 0;
    if (file.data.record_count != indexed.rows || deleted != indexed.deleted) {
      return foreign(fmt::format(
          "{} has {} rows of which {} are deleted, the index says {} and {}",
          indexed.path, file.data.record_count, deleted, indexed.rows, indexed.deleted));
    }
    by_partition_[{file.data.spec_id, file.data.partition}].push_back(number);
    files_[number] = {WithoutStatistics(file.data), file.vector, deleted, true};
    next_number_ = std::max(next_number_, number + 1);
  }
  committed_next_ = next_number_;
  return {};
}

std::vector<uint32_t> LiveFileTable::OfPartition(const Partition& partition) const {
  const auto it = by_partition_.find(partition);
  return it == by_partition_.end() ? std::vector<uint32_t>() : it->second;
}

int64_t LiveFileTable::live_rows() const {
  int64_t rows = 0;
  for (const auto& [number, file] : files_) rows += file.data.record_count - file.deleted;
  return rows;
}

Result<iceberg::Positions> LiveFileTable::ReadPositions(const File& file) {
  if (!file.vector) return iceberg::Positions();
  return iceberg::ReadVector(io_, *file.vector);
}

Result<const iceberg::Positions*> LiveFileTable::Deleted(uint32_t number) {
  if (const auto staged = staged_.find(number); staged != staged_.end())
    return &staged->second;
  const File& file = files_.at(number);
  if (!file.vector) return nullptr;
  auto cached = cache_.find(number);
  if (cached == cache_.end())
    cached = cache_.emplace(number, Cached{WEIR_TRY(ReadPositions(file)), 0}).first;
  cached->second.used = ++turn_;
  return &cached->second.positions;
}

Status LiveFileTable::Delete(const Location& row) {
  auto staged = staged_.find(row.file);
  if (staged == staged_.end()) {
    const auto file = files_.find(row.file);
    if (file == files_.end())
      return Corrupt(fmt::format("the key index names file {}, which is not in the table",
                                 row.file));
    const iceberg::Positions* before = WEIR_TRY(Deleted(row.file));
    staged = staged_.emplace(row.file, before == nullptr ? iceberg::Positions() : *before)
                 .first;
  }
  const File& file = files_.at(row.file);
  if (row.position >= file.data.record_count || !staged->second.Add(row.position)) {
    return Corrupt(fmt::format("the key index names row {} of {}, which is not alive",
                               row.position, file.data.path));
  }
  return {};
}

std::map<uint32_t, int64_t> LiveFileTable::Touched() const {
  std::map<uint32_t, int64_t> out;
  for (const auto& [number, positions] : staged_) out[number] = positions.size();
  return out;
}

void LiveFileTable::Add(const iceberg::DataFile& file) {
  added_[next_number_++] = {WithoutStatistics(file), std::nullopt, 0, false};
}

void LiveFileTable::Remove(uint32_t number) {
  removed_.push_back(number);
  staged_.erase(number);
}

Status LiveFileTable::LearnLineage(const iceberg::Metadata& metadata) {
  const bool all_known = std::all_of(files_.begin(), files_.end(), [](const auto& entry) {
    return entry.second.lineage_known;
  });
  if (all_known || metadata.current() == nullptr) return {};
  std::unordered_map<std::string, iceberg::DataFile> by_path;
  for (const iceberg::LiveFile& file :
       WEIR_TRY(iceberg::LiveFiles(io_, metadata, *metadata.current()))) {
    by_path.emplace(file.data.path, WithoutStatistics(file.data));
  }
  for (auto& [number, file] : files_) {
    const auto it = by_path.find(file.data.path);
    if (it == by_path.end())
      return Conflict(fmt::format(
          "{} is no longer in the table: somebody else changed it", file.data.path));
    file.data = it->second;
    file.lineage_known = true;
  }
  return {};
}

Status LiveFileTable::WriteVectors(const std::string& table_location,
                                   iceberg::FileChange* change) {
  std::vector<uint32_t> empty;
  std::vector<iceberg::VectorToWrite> vectors;
  for (const auto& [number, positions] : staged_) {
    const File& file = files_.at(number);
    if (positions.size() == file.data.record_count) {
      empty.push_back(number);
    } else {
      vectors.push_back({&file.data, &positions});
    }
  }
  for (const uint32_t number : empty) {
    change->removed.push_back(files_.at(number).data.path);
    Remove(number);
  }
  if (vectors.empty()) return {};
  const std::string dir = io::Join(WEIR_TRY(iceberg::PathOf(table_location)), "data");
  const std::string path =
      io::Join(dir, fmt::format("deleted-{}.puffin", iceberg::NewUuid()));
  change->vectors = WEIR_TRY(iceberg::WriteVectors(io_, path, vectors));
  WEIR_CHECK(change->vectors.size() == staged_.size());
  size_t i = 0;
  for (const auto& [number, positions] : staged_)
    staged_vectors_[number] = change->vectors[i++];
  return {};
}

void LiveFileTable::WriteTo(state::Delta* delta) const {
  delta->Put(space_, kColumnsKey, hashed_columns_);
  for (const uint32_t number : removed_) delta->Erase(space_, FileKey(number));
  for (const auto& [number, positions] : staged_) {
    const File& file = files_.at(number);
    delta->Put(space_, FileKey(number),
               FileValue({file.data.record_count, positions.size(),
                          PathInTable(location_, file.data.path)}));
  }
  for (const auto& [number, file] : added_)
    delta->Put(
        space_, FileKey(number),
        FileValue({file.data.record_count, 0, PathInTable(location_, file.data.path)}));
}

void LiveFileTable::Apply() {
  for (const uint32_t number : removed_) {
    const File& file = files_.at(number);
    std::erase(by_partition_[{file.data.spec_id, file.data.partition}], number);
    cache_.erase(number);
    files_.erase(number);
  }
  for (auto& [number, positions] : staged_) {
    File& file = files_.at(number);
    file.deleted = positions.size();
    file.vector = std::move(staged_vectors_.at(number));
    cache_.insert_or_assign(number, Cached{std::move(positions), ++turn_});
  }
  for (auto& [number, file] : added_) {
    by_partition_[{file.data.spec_id, file.data.partition}].push_back(number);
    files_[number] = std::move(file);
  }
  committed_next_ = next_number_;
  Discard();
  ShrinkCache();
}

void LiveFileTable::ShrinkCache() {
  int64_t bytes = 0;
  std::vector<std::pair<uint64_t, uint32_t>> by_use;
  for (const auto& [number, cached] : cache_) {
    bytes += BytesOf(cached.positions, files_.at(number).data.record_count);
    by_use.emplace_back(cached.used, number);
  }
  if (bytes <= vector_bytes_max_) return;
  std::sort(by_use.begin(), by_use.end());
  for (const auto& [used, number] : by_use) {
    if (bytes <= vector_bytes_max_ / 2) return;
    bytes -= BytesOf(cache_.at(number).positions, files_.at(number).data.record_count);
    cache_.erase(number);
  }
}

void LiveFileTable::Discard() {
  added_.clear();
  staged_.clear();
  staged_vectors_.clear();
  removed_.clear();
  next_number_ = committed_next_;
}

}  // namespace weir::publish
