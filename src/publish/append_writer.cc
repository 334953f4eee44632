#include <arrow/api.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "data/arrow.h"
#include "publish/live_files_internal.h"
#include "publish/merge_internal.h"
#include "publish/writer_internal.h"

namespace weir::publish {
namespace {

// Names of data files sort in append order: "<turn>-<number>-<uuid>.parquet"; a merged
// file puts its own number behind those of its last input,
// "<turn>-<number>-<number>-<uuid>.parquet". Turns count the epochs that wrote something.
constexpr size_t kOrderedName = 16;

int64_t TurnOf(std::string_view path) {
  const std::string_view name = io::BaseName(path);
  int64_t turn = 0;
  std::from_chars(name.data(), name.data() + std::min<size_t>(name.size(), 10), turn);
  return turn;
}

class AppendWriter final : public TableWriter {
 public:
  AppendWriter(io::Io& io, TableWriterOptions options, Partitioner partitioner)
      : io_(io),
        options_(std::move(options)),
        metadata_(options_.metadata),
        partitioner_(std::move(partitioner)) {}

  Status Load() {
    const iceberg::Snapshot* snapshot = metadata_.current();
    if (snapshot == nullptr) return {};
    for (const iceberg::LiveFile& file :
         WEIR_TRY(iceberg::LiveFiles(io_, metadata_, *snapshot))) {
      if (file.vector)
        return Conflict(fmt::format("{} is append-only, and {} has deleted rows",
                                    options_.name, file.data.path));
      live_[{file.data.spec_id, file.data.partition}].push_back(
          WithoutStatistics(file.data));
      next_turn_ = std::max(next_turn_, TurnOf(file.data.path) + 1);
    }
    // A merged file stands in a newer manifest than files appended after its rows, so the
    // names carry the order.
    for (auto& [partition, files] : live_) {
      std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
        return io::BaseName(a.path) < io::BaseName(b.path);
      });
    }
    return {};
  }

  Status Append(data::Batch changes) override {
    if (changes.num_rows() == 0) return {};
    for (const int32_t weight : changes.weights) {
      if (weight < 0)
        return Invalid(fmt::format("{} is append-only, but a row of it was retracted",
                                   options_.name));
    }
    if (!changes.weights.empty()) changes = WEIR_TRY(Repeated(changes));
    if (files_ == nullptr) {
      files_ = std::make_unique<FileSet>(
          io_, metadata_.schema(),
          FilesOptions(options_, metadata_, fmt::format("{:010}", next_turn_++)));
    }
    counters_.rows_written += changes.num_rows();
    return AddByPartition(partitioner_, *files_, changes, nullptr);
  }

  Result<std::optional<iceberg::FileChange>> Finish(Epoch, state::Delta&) override {
    WEIR_CHECK(!change_);
    if (files_ == nullptr) return std::optional<iceberg::FileChange>();
    iceberg::FileChange change;
    change.added = WEIR_TRY(files_->Close());
    written_ = change.added;
    files_.reset();
    counters_.files_written += static_cast<int64_t>(change.added.size());
    WEIR_TRY(MergeSmallFiles(&change));
    if (!change.removed.empty()) change.operation = "overwrite";
    change_ = change;
    return std::optional(std::move(change));
  }

  void Committed(const iceberg::Metadata& metadata) override {
    metadata_ = metadata;
    if (!change_) return;
    for (const Merge& merge : merges_) {
      std::vector<iceberg::DataFile>& files = live_[merge.partition];
      const auto at = files.erase(files.begin() + static_cast<int64_t>(merge.run.first),
                                  files.begin() + static_cast<int64_t>(merge.run.last));
      files.insert(at, merge.merged.begin(), merge.merged.end());
    }
    for (size_t i = 0; i < appended_; ++i) {
      const iceberg::DataFile& file = change_->added[i];
      live_[{file.spec_id, file.partition}].push_back(WithoutStatistics(file));
    }
    Forget();
  }

  void Abandon() override {
    if (files_ != nullptr) files_->Discard();
    files_.reset();
    RemoveFiles(io_, written_);
    Forget();
  }

  int64_t buffered_bytes() const override {
    return files_ == nullptr ? 0 : files_->open_bytes();
  }
  const Counters& counters() const override { return counters_; }

 private:
  struct Merge {
    Partition partition;
    Run run;
    std::vector<iceberg::DataFile> merged;
  };

  void Forget() {
    change_.reset();
    merges_.clear();
    written_.clear();
    appended_ = 0;
  }

  // Only partitions that grow are looked at: the others were when they did. Files of this
  // very epoch wait for the next one.
  Status MergeSmallFiles(iceberg::FileChange* change) {
    appended_ = change->added.size();
    std::map<Partition, int> grown;
    for (const iceberg::DataFile& file : change->added)
      ++grown[{file.spec_id, file.partition}];
    for (const auto& [partition, count] : grown) {
      const std::vector<iceberg::DataFile>& files = live_[partition];
      std::vector<int64_t> bytes;
      for (const iceberg::DataFile& file : files) bytes.push_back(file.file_bytes);
      const std::vector<Run> runs =
          ChooseMerges(bytes, {options_.merge_files_min, options_.small_file_bytes,
                               options_.file_bytes_target});
      // From the back, so that the positions of the runs that are still to be replaced
      // stay true in Committed.
      for (auto run = runs.rbegin(); run != runs.rend(); ++run)
        WEIR_TRY(MergeRun(partition, files, *run, change));
    }
    return {};
  }

  Status MergeRun(const Partition& partition, const std::vector<iceberg::DataFile>& files,
                  const Run& run, iceberg::FileChange* change) {
    std::vector<MergeInput> inputs;
    for (size_t i = run.first; i < run.last; ++i) inputs.push_back({&files[i], nullptr});
    const bool lineage = metadata_.format_version >= 3;
    FileSetOptions set_options =
        FilesOptions(options_, metadata_,
                     io::BaseName(inputs.back().file->path).substr(0, kOrderedName));
    set_options.spec_id = partition.first;
    FileSet out(io_, lineage ? WithLineage(metadata_.schema()) : metadata_.schema(),
                std::move(set_options));
    if (const Status copied =
            CopyLive(io_, metadata_.schema(), lineage, inputs, partition.second, out, {});
        !copied.ok()) {
      out.Discard();
      return copied.error();
    }
    Merge merge{partition, run, {}};
    for (iceberg::DataFile& file : WEIR_TRY(out.Close())) {
      merge.merged.push_back(WithoutStatistics(file));
      counters_.rows_rewritten += file.record_count;
      written_.push_back(file);
      change->added.push_back(std::move(file));
    }
    for (const MergeInput& input : inputs) change->removed.push_back(input.file->path);
    counters_.files_merged += static_cast<int64_t>(inputs.size());
    merges_.push_back(std::move(merge));
    return {};
  }

  io::Io& io_;
  const TableWriterOptions options_;
  iceberg::Metadata metadata_;
  Partitioner partitioner_;
  std::map<Partition, std::vector<iceberg::DataFile>> live_;  // in append order
  int64_t next_turn_ = 0;
  std::unique_ptr<FileSet> files_;
  // Between Finish and Committed:
  std::optional<iceberg::FileChange> change_;
  size_t appended_ =
      0;  // the first so many of change_->added are new rows, the others merged
  std::vector<Merge> merges_;
  std::vector<iceberg::DataFile> written_;
  Counters counters_;
};

}  // namespace

Result<std::unique_ptr<TableWriter>> OpenAppendWriter(io::Io& io,
                                                      TableWriterOptions options) {
  Partitioner partitioner =
      WEIR_TRY(Partitioner::Make(options.metadata.schema(), options.metadata.spec()));
  auto writer =
      std::make_unique<AppendWriter>(io, std::move(options), std::move(partitioner));
  WEIR_TRY(writer->Load());
  return std::unique_ptr<TableWriter>(std::move(writer));
}

}  // namespace weir::publish
