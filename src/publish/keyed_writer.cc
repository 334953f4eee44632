#include <arrow/api.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "codec/parquet.h"
#include "data/arrow.h"
#include "iceberg/deletion_vector.h"
#include "publish/cluster_internal.h"
#include "publish/key_index_internal.h"
#include "publish/live_files_internal.h"
#include "publish/merge_internal.h"
#include "publish/writer_internal.h"

namespace weir::publish {
namespace {

constexpr int64_t kConsolidateBytes =
    64 << 20;  // buffered changes beyond this are consolidated before the epoch ends

class KeyedWriter final : public TableWriter {
 public:
  KeyedWriter(io::Io& io, TableWriterOptions options, Partitioner partitioner)
      : io_(io),
        options_(std::move(options)),
        metadata_(options_.metadata),
        partitioner_(std::move(partitioner)),
        index_(options_.store, IndexSpace(options_.name), options_.index_bytes_max,
               options_.memory),
        files_(io, options_.vector_bytes_max) {}

  Status Load() {
    const data::Schema& schema = metadata_.schema();
    for (const std::string& name : options_.key) {
      key_columns_.push_back(schema.IndexOf(name));
      if (key_columns_.back() < 0)
        return Invalid(
            fmt::format("KEY column {} is not a column of {}", name, options_.name));
    }
    if (key_columns_.empty()) {
      key_columns_.resize(schema.fields.size());
      std::iota(key_columns_.begin(), key_columns_.end(), 0);
    }
    WEIR_TRY(files_.Load(metadata_, options_.store, options_.name,
                         HashedColumns(schema, key_columns_)));
    return index_.Load(files_.live_rows());
  }

  Status Append(data::Batch changes) override {
    if (changes.num_rows() == 0) return {};
    buffered_bytes_ += data::ByteSize(changes);
    buffer_.push_back(std::move(changes));
    if (buffered_bytes_ > kConsolidateBytes &&
        buffered_bytes_ > 2 * consolidated_bytes_) {
      const data::Batch all = WEIR_TRY(Consolidated());
      buffer_ = {all};
      buffered_bytes_ = consolidated_bytes_ = data::ByteSize(all);
    }
    return {};
  }

  Result<std::optional<iceberg::FileChange>> Finish(Epoch, state::Delta& delta) override {
    WEIR_CHECK(!finished_);
    if (buffer_.empty()) return std::optional<iceberg::FileChange>();
    const data::Batch changes = WEIR_TRY(Consolidated());
    buffer_.clear();
    buffered_bytes_ = consolidated_bytes_ = 0;
    if (changes.num_rows() == 0) return std::optional<iceberg::FileChange>();
    finished_ = true;
    iceberg::FileChange change;
    const std::vector<Hash128> hashes =
        WEIR_TRY(data::HashKeys(*changes.rows, key_columns_));
    WEIR_TRY(index_.Fetch(hashes));
    const std::vector<int32_t> inserted = WEIR_TRY(
        has_key() ? ResolveByKey(changes, hashes) : ResolveByRow(changes, hashes));
    WEIR_TRY(WriteInserted(changes, hashes, inserted, &change));
    WEIR_TRY(RewriteFiles(&change));
    WEIR_TRY(files_.WriteVectors(metadata_.location, &change));
    for (const iceberg::DataFile& vector : change.vectors) written_.push_back(vector);
    index_.WriteTo(&delta);
    files_.WriteTo(&delta);
    change.operation = change.vectors.empty() && change.removed.empty() ? "append"
                       : change.added.empty()                           ? "delete"
                                                                        : "overwrite";
    return std::optional(std::move(change));
  }

  void Committed(const iceberg::Metadata& metadata) override {
    metadata_ = metadata;
    index_.Apply();
    files_.Apply();
    written_.clear();
    finished_ = false;
  }

  void Abandon() override {
    RemoveFiles(io_, written_);
    written_.clear();
    index_.Discard();
    files_.Discard();
    buffer_.clear();
    buffered_bytes_ = consolidated_bytes_ = 0;
    finished_ = false;
  }

  int64_t buffered_bytes() const override { return buffered_bytes_; }
  const Counters& counters() const override { return counters_; }

 private:
  bool has_key() const { return !options_.key.empty(); }

  Result<data::Batch> Consolidated() {
    const data::Batch all = WEIR_TRY(data::Concat(buffer_));
    if (all.append_only())
      return all;  // equal rows of a table without key are written as often as they come
    return data::Consolidate(all);
  }

  // Retracts first, so that a key may move to its new row. Says which rows of the batch
  // are to be written.
  Result<std::vector<int32_t>> ResolveByKey(const data::Batch& changes,
                                            const std::vector<Hash128>& hashes) {
    std::vector<int32_t> inserted;
    for (int32_t row = 0; row < changes.num_rows(); ++row) {
      if (changes.weight(row) > 0) {
        inserted.push_back(row);
        continue;
      }
      const Hash128& key = hashes[static_cast<size_t>(row)];
      const std::span<const Location> at = index_.At(key);
      if (at.empty() || changes.weight(row) < -1) return Absent(changes, row);
      WEIR_TRY(files_.Delete(at[0]));
      index_.Set(key, {});
      ++counters_.rows_deleted;
    }
    for (const int32_t row : inserted) {
      const Hash128& key = hashes[static_cast<size_t>(row)];
      const std::span<const Location> at = index_.At(key);
      if (!at.empty() || changes.weight(row) > 1) {
        const bool within = at.empty() || at[0].file == kPendingFile;
        return FalseKey(
            data::RowText(*changes.rows, row),
            within ? data::RowText(*changes.rows, at.empty() ? row : at[0].position)
                   : WEIR_TRY(StoredRow(at[0])));
      }
      const Location pending{kPendingFile, static_cast<uint32_t>(row)};
      index_.Set(key, std::span(&pending, 1));
    }
    return inserted;
  }

  // Equal rows are alike: the newest go first.
  Result<std::vector<int32_t>> ResolveByRow(const data::Batch& changes,
                                            const std::vector<Hash128>& hashes) {
    std::vector<int32_t> inserted;
    std::vector<Location> left;
    for (int32_t row = 0; row < changes.num_rows(); ++row) {
      const int32_t weight = changes.weight(row);
      inserted.insert(inserted.end(), static_cast<size_t>(std::max(weight, 0)), row);
      if (weight >= 0) continue;
      const Hash128& key = hashes[static_cast<size_t>(row)];
      const std::span<const Location> at = index_.At(key);
      const auto going = static_cast<size_t>(-weight);
      if (at.size() < going) return Absent(changes, row);
      left.assign(at.begin(), at.end());
      for (size_t i = left.size() - going; i < left.size(); ++i)
        WEIR_TRY(files_.Delete(left[i]));
      left.resize(left.size() - going);
      index_.Set(key, left);
      counters_.rows_deleted -= weight;
    }
    return inserted;
  }

  Status WriteInserted(const data::Batch& changes, const std::vector<Hash128>& hashes,
                       std::vector<int32_t> inserted, iceberg::FileChange* change) {
    if (inserted.empty()) return {};
    if (const auto order = OrderOf(metadata_)) {
      const data::Batch rows = WEIR_TRY(data::Take({changes.rows, {}}, inserted));
      std::vector<int32_t> sorted = WEIR_TRY(SortedRows(*rows.rows, *order));
      for (int32_t& row : sorted) row = inserted[static_cast<size_t>(row)];
      inserted = std::move(sorted);
    }
    FileSet out(io_, metadata_.schema(), FilesOptions(options_, metadata_, "rows"));
    std::vector<Placement> placements;
    const uint32_t first_number = files_.next_number();
    const data::Batch rows = WEIR_TRY(data::Take({changes.rows, {}}, inserted));
    if (const Status added = AddByPartition(partitioner_, out, rows, &placements);
        !added.ok()) {
      out.Discard();
      return added;
    }
    std::vector<Location> locations;
    for (size_t i = 0; i < inserted.size(); ++i) {
      const Hash128& key = hashes[static_cast<size_t>(inserted[i])];
      if (!has_key()) {
        const std::span<const Location> at = index_.At(key);
        locations.assign(at.begin(), at.end());
      }
      locations.push_back(LocationOf(first_number, placements[i]));
      index_.Set(key, locations);
      locations.clear();
    }
    counters_.rows_written += static_cast<int64_t>(inserted.size());
    WEIR_TRY(Keep(out, change));
    return {};
  }

  static Location LocationOf(uint32_t first_number, const Placement& placement) {
    return {first_number + static_cast<uint32_t>(placement.file),
            static_cast<uint32_t>(placement.position)};
  }

  // Finishes the set's files and makes them part of the change.
  Status Keep(FileSet& set, iceberg::FileChange* change) {
    Result<std::vector<iceberg::DataFile>> closed = set.Close();
    if (!closed.ok()) {
      set.Discard();
      return std::move(closed).error();
    }
    for (iceberg::DataFile& file : *closed) {
      files_.Add(file);
      written_.push_back(WithoutStatistics(file));
      change->added.push_back(std::move(file));
      ++counters_.files_written;
    }
    return {};
  }

  // Merges small files of the partitions that change, and takes out the dead weight of
  // files that lost many rows.
  Status RewriteFiles(iceberg::FileChange* change) {
    std::map<uint32_t, int64_t> deleted = files_.Touched();
    std::set<Partition> partitions;
    for (const iceberg::DataFile& file : change->added)
      partitions.insert({file.spec_id, file.partition});
    for (const auto& [number, count] : deleted)
      partitions.insert(
          {files_.at(number).data.spec_id, files_.at(number).data.partition});
    int64_t bytes_left = options_.rewrite_bytes_max;
    for (const Partition& partition : partitions) {
      const std::vector<uint32_t> numbers = files_.OfPartition(partition);
      std::vector<int64_t> live_bytes;
      for (const uint32_t number : numbers)
        live_bytes.push_back(LiveBytes(number, deleted));
      std::vector<bool> taken(numbers.size());
      for (const Run& run :
           ChooseMerges(live_bytes, {options_.merge_files_min, options_.small_file_bytes,
                                     options_.file_bytes_target})) {
        WEIR_TRY(Rewrite(partition,
                         {numbers.begin() + static_cast<int64_t>(run.first),
                          numbers.begin() + static_cast<int64_t>(run.last)},
                         change));
        std::fill(taken.begin() + static_cast<int64_t>(run.first),
                  taken.begin() + static_cast<int64_t>(run.last), true);
      }
      std::vector<uint32_t> worn;
      for (size_t i = 0; i < numbers.size(); ++i) {
        const LiveFileTable::File& file = files_.at(numbers[i]);
        const auto count = deleted.find(numbers[i]);
        if (taken[i] || count == deleted.end() || count->second == file.data.record_count)
          continue;
        if (static_cast<double>(count->second) <=
            options_.deleted_share_max * static_cast<double>(file.data.record_count))
          continue;
        if (bytes_left <= 0) break;
        bytes_left -= live_bytes[i];
        worn.push_back(numbers[i]);
      }
      if (!worn.empty()) WEIR_TRY(Rewrite(partition, worn, change));
    }
    return {};
  }

  int64_t LiveBytes(uint32_t number, const std::map<uint32_t, int64_t>& deleted) const {
    const LiveFileTable::File& file = files_.at(number);
    const auto count = deleted.find(number);
    const int64_t dead = count == deleted.end() ? file.deleted : count->second;
    const int64_t rows = file.data.record_count - dead;
    const auto bytes = static_cast<int64_t>(
        static_cast<double>(file.data.file_bytes) * static_cast<double>(rows) /
        static_cast<double>(std::max<int64_t>(1, file.data.record_count)));
    return SizeForMerge(options_, metadata_, bytes, rows);
  }

  Status Rewrite(const Partition& partition, const std::vector<uint32_t>& numbers,
                 iceberg::FileChange* change) {
    WEIR_TRY(files_.LearnLineage(metadata_));
    std::vector<MergeInput> inputs;
    for (const uint32_t number : numbers)
      inputs.push_back({&files_.at(number).data, WEIR_TRY(files_.Deleted(number))});
    FileSetOptions set_options = FilesOptions(options_, metadata_, "merged");
    set_options.spec_id = partition.first;
    FileSet out(io_, WithLineage(metadata_.schema()), std::move(set_options));
    const uint32_t first_number = files_.next_number();
    const Status copied =
        CopyLive(io_, metadata_.schema(), true, inputs, OrderedCopy(options_, metadata_),
                 partition.second, out,
                 [&](const arrow::RecordBatch& rows, std::span<const Origin> origins,
                     std::span<const Placement> placements) {
                   return MoveKeys(numbers, first_number, rows, origins, placements);
                 });
    if (!copied.ok()) {
      out.Discard();
      return copied;
    }
    WEIR_TRY(Keep(out, change));
    for (const uint32_t number : numbers) {
      change->removed.push_back(files_.at(number).data.path);
      files_.Remove(number);
    }
    counters_.files_merged += static_cast<int64_t>(numbers.size());
    return {};
  }

  Status MoveKeys(const std::vector<uint32_t>& old_numbers, uint32_t first_number,
                  const arrow::RecordBatch& rows, std::span<const Origin> origins,
                  std::span<const Placement> placements) {
    const std::vector<Hash128> hashes = WEIR_TRY(data::HashKeys(rows, key_columns_));
    counters_.rows_rewritten += rows.num_rows();
    if (!has_key()) WEIR_TRY(index_.Fetch(hashes));
    std::vector<Location> locations;
    for (size_t i = 0; i < hashes.size(); ++i) {
      const Location moved = LocationOf(first_number, placements[i]);
      if (has_key()) {
        index_.Set(hashes[i], std::span(&moved, 1));
        continue;
      }
      const std::span<const Location> at = index_.At(hashes[i]);
      locations.assign(at.begin(), at.end());
      const Location from{old_numbers[origins[i].input],
                          static_cast<uint32_t>(origins[i].position)};
      const auto old = std::find(locations.begin(), locations.end(), from);
      if (old == locations.end())
        return Corrupt(fmt::format("the key index of {} misses row {} of {}",
                                   options_.name, from.position,
                                   files_.at(from.file).data.path));
      *old = moved;
      index_.Set(hashes[i], locations);
    }
    return {};
  }

  Error Absent(const data::Batch& changes, int32_t row) const {
    return Internal(fmt::format("{}: a row is retracted that the table does not hold: {}",
                                options_.name, data::RowText(*changes.rows, row)));
  }

  Error FalseKey(const std::string& row, const std::string& other) const {
    return Invalid(
        fmt::format("KEY ({}) of {} is false, two rows have the same: [{}] and [{}]",
                    fmt::join(options_.key, ", "), options_.name, other, row));
  }

  // A live row as text, for a message.
  Result<std::string> StoredRow(const Location& at) {
    auto reader = WEIR_TRY(
        codec::OpenParquet(io_, WEIR_TRY(iceberg::PathOf(files_.at(at.file).data.path)),
                           metadata_.schema(), {}));
    int64_t first = 0;
    while (auto rows = WEIR_TRY(reader->Next(&first))) {
      if (at.position < first + rows->num_rows())
        return data::RowText(*rows, at.position - first);
    }
    return Corrupt(fmt::format("the key index of {} names a row beyond the end of {}",
                               options_.name, files_.at(at.file).data.path));
  }

  io::Io& io_;
  const TableWriterOptions options_;
  iceberg::Metadata metadata_;
  Partitioner partitioner_;
  std::vector<int> key_columns_;  // of the key, or all
  KeyIndex index_;
  LiveFileTable files_;
  std::vector<data::Batch> buffer_;
  int64_t buffered_bytes_ = 0, consolidated_bytes_ = 0;
  bool finished_ = false;                   // between Finish and Committed or Abandon
  std::vector<iceberg::DataFile> written_;  // by this epoch
  Counters counters_;
};

}  // namespace

Result<std::unique_ptr<TableWriter>> OpenKeyedWriter(io::Io& io,
                                                     TableWriterOptions options) {
  if (options.metadata.format_version < 3)
    return Invalid("a keyed table needs format version 3");
  Partitioner partitioner =
      WEIR_TRY(Partitioner::Make(options.metadata.schema(), options.metadata.spec()));
  auto writer =
      std::make_unique<KeyedWriter>(io, std::move(options), std::move(partitioner));
  WEIR_TRY(writer->Load());
  return std::unique_ptr<TableWriter>(std::move(writer));
}

}  // namespace weir::publish
