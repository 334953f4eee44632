#include <arrow/api.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <future>
#include <map>
#include <set>

#include "data/arrow.h"
#include "publish/cluster_internal.h"
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

  ~AppendWriter() override {
    if (beside_ == nullptr) return;
    beside_->unwanted = true;
    const auto merged = beside_->result.get();
    if (merged.ok()) RemoveFiles(io_, *merged);
  }

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
    if (!OrderOf(metadata_))
      return AddByPartition(partitioner_, *files_, changes, nullptr);
    unsorted_bytes_ += data::ByteSize(changes);
    unsorted_.push_back(std::move(changes));
    return unsorted_bytes_ < options_.sort_bytes_max ? Status() : WriteSorted();
  }

  Result<std::optional<iceberg::FileChange>> Finish(Epoch, state::Delta&) override {
    WEIR_CHECK(!change_);
    iceberg::FileChange change;
    if (files_ != nullptr) {
      if (!unsorted_.empty()) WEIR_TRY(WriteSorted());
      change.added = WEIR_TRY(files_->Close());
      written_ = change.added;
      files_.reset();
    }
    appended_ = change.added.size();
    counters_.files_written += static_cast<int64_t>(appended_);
    if (options_.beside) {
      WEIR_TRY(TakeMerged(&change));
    } else if (appended_ > 0) {
      WEIR_TRY(MergeSmallFiles(&change));
    }
    if (change.added.empty()) return std::optional<iceberg::FileChange>();
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
      const Partition partition{file.spec_id, file.partition};
      live_[partition].push_back(WithoutStatistics(file));
      grown_.insert(partition);
    }
    Forget();
    if (options_.beside && beside_ == nullptr) MergeBeside();
  }

  void Abandon() override {
    if (files_ != nullptr) files_->Discard();
    files_.reset();
    unsorted_.clear();
    unsorted_bytes_ = 0;
    RemoveFiles(io_, written_);
    Forget();
  }

  int64_t buffered_bytes() const override {
    return unsorted_bytes_ + (files_ == nullptr ? 0 : files_->open_bytes());
  }
  const Counters& counters() const override { return counters_; }

 private:
  // Adjacent live files of a partition that become fewer.
  struct MergeJob {
    Partition partition;
    std::vector<iceberg::DataFile> inputs;
    data::Schema schema;
    bool lineage = false;
    FileSetOptions files;
    CopyOrder order;
  };
  // One that a writer with `beside` has begun.
  struct BesideMerge {
    MergeJob job;
    std::atomic<bool> unwanted{false};
    std::promise<Result<std::vector<iceberg::DataFile>>> promise;
    std::future<Result<std::vector<iceberg::DataFile>>> result;
  };
  // One that the change holds.
  struct Merge {
    Partition partition;
    Run run;
    std::vector<iceberg::DataFile> merged;
  };

  // What waits, as files of their own.
  Status WriteSorted() {
    const data::Batch all = WEIR_TRY(data::Concat(unsorted_));
    unsorted_.clear();
    unsorted_bytes_ = 0;
    const data::Batch sorted =
        WEIR_TRY(data::Take(all, WEIR_TRY(SortedRows(*all.rows, *OrderOf(metadata_)))));
    WEIR_TRY(AddByPartition(partitioner_, *files_, sorted, nullptr));
    return files_->EndFiles();
  }

  void Forget() {
    change_.reset();
    merges_.clear();
    written_.clear();
    appended_ = 0;
  }

  std::vector<Run> RunsOf(const std::vector<iceberg::DataFile>& files) const {
    std::vector<int64_t> bytes;
    for (const iceberg::DataFile& file : files)
      bytes.push_back(
          SizeForMerge(options_, metadata_, file.file_bytes, file.record_count));
    return ChooseMerges(bytes, {options_.merge_files_min, options_.small_file_bytes,
                                options_.file_bytes_target});
  }

  // Only partitions that grow are looked at: the others were when they did. Files of this
  // very epoch wait for the next one.
  Status MergeSmallFiles(iceberg::FileChange* change) {
    std::set<Partition> grown;
    for (const iceberg::DataFile& file : change->added)
      grown.insert({file.spec_id, file.partition});
    for (const Partition& partition : grown) {
      const std::vector<iceberg::DataFile>& files = live_[partition];
      const std::vector<Run> runs = RunsOf(files);
      // From the back, so that the positions of the runs that are still to be replaced
      // stay true in Committed.
      for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
        const MergeJob job = JobOf(partition, files, *run);
        Publish(job, *run, WEIR_TRY(WriteMerged(io_, job, nullptr)), change);
      }
    }
    return {};
  }

  MergeJob JobOf(const Partition& partition, const std::vector<iceberg::DataFile>& files,
                 const Run& run) const {
    MergeJob job{partition,
                 {files.begin() + static_cast<int64_t>(run.first),
                  files.begin() + static_cast<int64_t>(run.last)},
                 metadata_.schema(),
                 metadata_.format_version >= 3,
                 {},
                 OrderedCopy(options_, metadata_)};
    job.files =
        FilesOptions(options_, metadata_,
                     io::BaseName(job.inputs.back().path).substr(0, kOrderedName));
    job.files.spec_id = partition.first;
    return job;
  }

  // The new files, on disk. `unwanted` (may be null) ends it early with kCancelled.
  static Result<std::vector<iceberg::DataFile>> WriteMerged(
      io::Io& io, const MergeJob& job, const std::atomic<bool>* unwanted) {
    std::vector<MergeInput> inputs;
    for (const iceberg::DataFile& file : job.inputs) inputs.push_back({&file, nullptr});
    FileSet out(io, job.lineage ? WithLineage(job.schema) : job.schema, job.files);
    OnMoved each;
    if (unwanted != nullptr) {
      each = [&](const arrow::RecordBatch&, std::span<const Origin>,
                 std::span<const Placement>) -> Status {
        if (*unwanted) return Cancelled();
        return {};
      };
    }
    const Status copied = CopyLive(io, job.schema, job.lineage, inputs, job.order,
                                   job.partition.second, out, each);
    if (copied.ok()) return out.Close();
    out.Discard();
    return copied.error();
  }

  void Publish(const MergeJob& job, const Run& run, std::vector<iceberg::DataFile> merged,
               iceberg::FileChange* change) {
    Merge merge{job.partition, run, {}};
    for (iceberg::DataFile& file : merged) {
      merge.merged.push_back(WithoutStatistics(file));
      counters_.rows_rewritten += file.record_count;
      written_.push_back(file);
      change->added.push_back(std::move(file));
    }
    for (const iceberg::DataFile& file : job.inputs) change->removed.push_back(file.path);
    counters_.files_merged += static_cast<int64_t>(job.inputs.size());
    merges_.push_back(std::move(merge));
  }

  // ------------------------------------------------------------------ beside the epochs

  // Begins a merge of committed files, if any partition has some that are worth it.
  void MergeBeside() {
    while (!grown_.empty()) {
      const Partition partition = *grown_.begin();
      const std::vector<iceberg::DataFile>& files = live_[partition];
      const std::vector<Run> runs = RunsOf(files);
      if (runs.empty()) {
        grown_.erase(grown_.begin());
        continue;
      }
      beside_ = std::make_unique<BesideMerge>();
      beside_->job = JobOf(partition, files, runs.front());
      beside_->result = beside_->promise.get_future();
      // Our destructor waits for it.
      options_.beside([&io = io_, merge = beside_.get()] {
        merge->promise.set_value(WriteMerged(io, merge->job, &merge->unwanted));
      });
      return;
    }
  }

  // What was merged since the last epoch becomes part of this one. Its inputs are live
  // still: nothing else takes files away.
  Status TakeMerged(iceberg::FileChange* change) {
    if (beside_ == nullptr ||
        beside_->result.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      return {};
    const std::unique_ptr<BesideMerge> merge = std::move(beside_);
    auto merged = WEIR_TRY(merge->result.get());
    const std::vector<iceberg::DataFile>& inputs = merge->job.inputs;
    const std::vector<iceberg::DataFile>& files = live_[merge->job.partition];
    const auto same = [](const iceberg::DataFile& a, const iceberg::DataFile& b) {
      return a.path == b.path;
    };
    const auto at =
        std::search(files.begin(), files.end(), inputs.begin(), inputs.end(), same);
    WEIR_CHECK(at != files.end());
    const auto first = static_cast<size_t>(at - files.begin());
    Publish(merge->job, {first, first + inputs.size()}, std::move(merged), change);
    return {};
  }

  io::Io& io_;
  const TableWriterOptions options_;
  iceberg::Metadata metadata_;
  Partitioner partitioner_;
  std::map<Partition, std::vector<iceberg::DataFile>> live_;  // in append order
  int64_t next_turn_ = 0;
  std::unique_ptr<FileSet> files_;
  std::vector<data::Batch> unsorted_;  // wait for files_
  int64_t unsorted_bytes_ = 0;
  std::set<Partition> grown_;  // where there may be files to merge beside
  std::unique_ptr<BesideMerge> beside_;
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
