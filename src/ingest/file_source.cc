#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/event.h"
#include "base/json.h"
#include "ingest/arrivals.h"
#include "ingest/check_ahead.h"
#include "ingest/file_catalog.h"
#include "ingest/file_gate.h"
#include "ingest/line_reader.h"
#include "ingest/pipeline.h"
#include "ingest/source_thread_internal.h"

namespace weir::ingest {

std::string IdentitySpace(const contract::Contract& contract, int partition) {
  return fmt::format("ids/{}/{}", contract.name, partition);
}

namespace {

struct Partition {
  PartitionPosition position;
  PartitionJudge judge;
  std::unique_ptr<LineReader> reader;  // of the file at position.file, when it is open
};

// A control record of the journal: at this offset the partition woke with this floor.
struct Wake {
  int partition;
  LogOffset at;
  Micros floor;
};

class FileSource final : public SourceThread {
 public:
  FileSource(SourceContext context, FileSourceOptions options,
             std::unique_ptr<Pipeline> pipeline, std::unique_ptr<Pipeline> gate_pipeline,
             FilePattern pattern)
      : SourceThread(std::move(context)),
        options_(std::move(options)),
        pipeline_(std::move(pipeline)),
        gate_pipeline_(std::move(gate_pipeline)),
        catalog_(*context_.io, context_.contract->name, std::move(pattern),
                 options_.first_partition / kFilePartitionsMax),
        ahead_(*pipeline_, context_.step_rows, context_.step_bytes) {}

  ~FileSource() override { Join(); }

  Status Discover() override {
    WEIR_TRY(ReplayJournal());
    for (const PartitionPosition& position : context_.committed)
      WEIR_TRY(AddPartition(position));
    // Files that were journalled, but of which nothing is committed yet.
    for (const SourceFile& file : catalog_.files()) {
      WEIR_TRY(AddPartition({.partition = file.partition + options_.first_partition}));
    }
    first_scan_ = Scan();
    return {};
  }

  Status Start() override {
    if (!first_scan_) WEIR_TRY(Discover());
    StartThread();
    return {};
  }

  const SourceTables& tables() const override { return pipeline_->tables(); }

 private:
  Status ReplayJournal() {
    return context_.journal->With([&](auto& journal) {
      return journal->Read(1, [&](const log::Journal::Entry& entry) -> Status {
        WEIR_TRY(catalog_.Replay(entry));
        if (entry.kind != "wake") return {};
        const auto json = ParseJson(entry.json);
        try {
          if (json.at("source").get_ref<const std::string&>() == context_.contract->name)
            wakes_.push_back({IntegerOf<int>(json.at("partition")),
                              {IntegerOf<int64_t>(json.at("at"))},
                              IntegerOf<Micros>(json.at("floor"))});
        } catch (const nlohmann::json::exception& e) {
          return Corrupt(
              fmt::format("journal entry {}, a waking: {}", entry.number, e.what()));
        }
        return {};
      });
    });
  }

  Result<Partition*> AddPartition(PartitionPosition position) {
    const auto found = partitions_.find(position.partition);
    if (found != partitions_.end()) return &found->second;
    state::Identities identities = WEIR_TRY(state::Identities::Load(
        *context_.store, IdentitySpace(*context_.contract, position.partition),
        context_.contract->identity_memory, context_.identity_bytes));
    PartitionJudge judge(pipeline_->rule(/*live=*/false), std::move(identities),
                         position.watermark);
    // A wake that was journalled but not committed is repeated.
    for (const Wake& wake : wakes_) {
      if (wake.partition == position.partition && wake.at >= position.next)
        judge.Wake(wake.floor);
    }
    position.watermark = judge.watermark();
    auto [it, inserted] = partitions_.emplace(
        position.partition, Partition{position, std::move(judge), nullptr});
    return &it->second;
  }

  Status Loop() override {
    WEIR_TRY(std::move(*first_scan_));
    const auto until_next_scan =
        options_.once ? std::chrono::hours(24 * 365) : kScanInterval;
    auto next_scan = std::chrono::steady_clock::now() + until_next_scan;
    bool ended = false;
    for (;;) {
      if (!Taking()) return {};
      WEIR_TRY(SendMarkers());
      if (!ended && std::chrono::steady_clock::now() >= next_scan) {
        WEIR_TRY(Scan());
        next_scan = std::chrono::steady_clock::now() + until_next_scan;
      }
      if (WEIR_TRY(ReadSome())) continue;
      if (options_.once && !ended) {
        ended = true;
        WEIR_TRY(Push(EndOfInput{}, 0));
      }
      WaitForMarkerOrStop(options_.once ? std::chrono::milliseconds(1000)
                                        : std::chrono::milliseconds(200));
    }
  }

  Status Scan() {
    auto scanned = catalog_.Scan(context_.clock->Now(), options_.quiet);
    if (!scanned.ok()) return WaitIfLive(std::move(scanned).error(), options_.once);
    const FileCatalog::ScanResult& found = *scanned;
    for (const std::string& path : found.changed) {
      WEIR_TRY(Tell("source_file_changed",
                    {path, path + " changed after it was read",
                     "the new content is not read: give it a new name"}));
    }
    for (const std::string& path : found.not_regular) {
      WEIR_TRY(Tell("source_file_skipped",
                    {path, path + " is a folder, a pipe or a device, not a regular file",
                     "put a file there, or choose another name for it"}));
    }
    for (const auto& [path, error] : found.unreadable) {
      WEIR_TRY(Tell("source_file_unreadable",
                    {path, error, "it is tried again by the next scan or run"}));
    }
    if (!found.added.empty()) WEIR_TRY(TakeIn(found.added));
    for (auto& [number, partition] : partitions_) {
      if (!partition.position.idle || NextFile(partition) == nullptr) continue;
      partition.position.idle = false;
      WEIR_TRY(Push(PartitionNews{partition.position}, 0));
    }
    return {};
  }

  // Journals new files, and wakes the idle partitions they belong to, before anything is
  // read of them.
  Status TakeIn(const std::vector<SourceFile>& added) {
    std::map<int, bool> woken;
    std::vector<Wake> wakes;
    for (const SourceFile& file : added) {
      const int number = file.partition + options_.first_partition;
      Partition& partition = *WEIR_TRY(AddPartition({.partition = number}));
      // A partition that begins while others are ahead wakes, too; those that begin
      // together find no watermark yet.
      const Micros floor =
          std::max(partition.judge.watermark(), context_.global_watermark->load());
      if (partition.position.idle && floor != kNoTime &&
          woken.emplace(number, true).second) {
        wakes.push_back({number, partition.position.next, floor});
      }
    }
    WEIR_TRY(context_.journal->With([&](auto& journal) -> Status {
      for (const SourceFile& file : added) {
        WEIR_TRY(journal->Append("file", catalog_.JournalText(file)));
      }
      for (const Wake& wake : wakes) {
        WEIR_TRY(
            journal->Append("wake", nlohmann::json{{"source", context_.contract->name},
                                                   {"partition", wake.partition},
                                                   {"at", wake.at.value},
                                                   {"floor", wake.floor}}
                                        .dump()));
      }
      return journal->Sync();
    }));
    for (const Wake& wake : wakes) {
      Partition& partition = partitions_.at(wake.partition);
      partition.judge.Wake(wake.floor);
      partition.position.watermark = partition.judge.watermark();
    }
    return {};
  }

  const SourceFile* NextFile(const Partition& partition) const {
    const auto& files = catalog_.files();
    for (auto i = static_cast<size_t>(std::max<int64_t>(partition.position.file, 0));
         i < files.size(); ++i) {
      if (files[i].partition + options_.first_partition == partition.position.partition)
        return &files[i];
    }
    return nullptr;
  }

  // One step from the next partition that has something unread. False: nothing is unread.
  Result<bool> ReadSome() {
    for (size_t tried = 0; tried < partitions_.size(); ++tried) {
      auto it = partitions_.upper_bound(turn_);
      if (it == partitions_.end()) it = partitions_.begin();
      turn_ = it->first;
      const SourceFile* file = NextFile(it->second);
      if (file == nullptr) continue;
      WEIR_TRY(Step(it->second, *file));
      return true;
    }
    return false;
  }

  Status Step(Partition& partition, const SourceFile& file) {
    PartitionPosition& at = partition.position;
    if (at.file != file.ordinal) {
      at.file = file.ordinal;
      at.file_byte = 0;
      at.progress = {};
      partition.reader.reset();
    }
    if (gate_pipeline_ != nullptr && at.file_byte == 0 && admitted_ != file.ordinal) {
      if (catalog_.QuarantineOf(file.ordinal) == nullptr) {
        Quarantine quarantine;
        bool check_failed = false;
        const Result<Entry> entry = Judge(file, &quarantine, &check_failed);
        if (!entry.ok()) {
          if (check_failed) return entry.error();
          if (entry.error().code == Code::kUnavailable)
            return WaitIfLive(entry.error(), options_.once);
          return LeaveOut(partition, file, entry.error().message);
        }
        if (*entry == Entry::kUnknown) return {};
        if (*entry == Entry::kRefused) {
          WEIR_TRY(context_.journal->With([&](auto& journal) -> Status {
            WEIR_TRY(journal->Append("quarantine",
                                     catalog_.JournalText(file.ordinal, quarantine)));
            return journal->Sync();
          }));
          catalog_.SetQuarantined(file.ordinal, std::move(quarantine));
        }
      }
      if (catalog_.QuarantineOf(file.ordinal) != nullptr)
        return LeaveQuarantined(partition, file);
      admitted_ = file.ordinal;
    }
    bool check_failed = false;
    Result<CheckedLines> read = Read(partition, file, &check_failed);
    if (!read.ok()) {
      if (check_failed) return std::move(read).error();
      partition.reader.reset();
      if (read.error().code == Code::kUnavailable)
        return WaitIfLive(std::move(read).error(), options_.once);
      return LeaveOut(partition, file, read.error().message);
    }
    const Lines& lines = read->lines;
    const Checked& checked = read->checked;
    // Before the verdicts: an error must leave nothing half done.
    const Status unchanged =
        lines.end_of_file ? CheckUnchanged(*context_.io, file) : Status();
    if (!unchanged.ok() && unchanged.error().code == Code::kUnavailable) {
      partition.reader.reset();
      return WaitIfLive(unchanged.error(), options_.once);
    }
    TroubleIsOver();
    BeginNext(lines.end_of_file ? &partition : nullptr);
    std::vector<int32_t> rows(lines.records.size());
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<log::Verdict> verdicts(rows.size());
    WEIR_TRY(partition.judge.Judge(checked.evidence(), rows, file.modified, verdicts));
    JudgedBatch batch = WEIR_TRY(
        pipeline_->Build(checked, rows, verdicts, at.partition, at.next, file.modified));
    batch.counts.received = lines.framed;
    at.next.value += lines.framed;
    at.file_byte = lines.end;
    at.watermark = partition.judge.watermark();
    CountIn(batch.counts, checked, verdicts, &at.progress);
    const bool changed = !unchanged.ok() && unchanged.error().code != Code::kNotFound;
    if (lines.end_of_file) {
      batch.arrivals = WEIR_TRY(
          ArrivalOf(partition, file, changed ? "broken" : "read",
                    changed ? unchanged.error().message + ", while it was read" : ""));
      EndFile(partition, file);
    }
    batch.after = at;
    const auto bytes = static_cast<size_t>(batch.bytes) * 2;
    WEIR_TRY(Push(std::move(batch), bytes));
    // Whoever deletes a file that is open takes nothing from us.
    if (changed) {
      WEIR_TRY(Tell("source_file_changed",
                    {file.path,
                     unchanged.error().message + ", while it was read: its records are "
                                                 "partly of the one and partly of the "
                                                 "other content",
                     "write files under a name that ends in .part and rename them; "
                     "deliver this one again under another name",
                     static_cast<int64_t>(lines.end), true}));
    }
    if (context_.steps_per_marker > 0 && ++steps_ % context_.steps_per_marker == 0)
      WEIR_TRY(SendMarker());
    return {};
  }

  static void CountIn(const Counts& counts, const Checked& checked,
                      std::span<const log::Verdict> verdicts, FileProgress* progress) {
    progress->rows += counts.received;
    progress->accepted += counts.accepted;
    progress->rejected += counts.rejected;
    progress->duplicate += counts.duplicate;
    progress->late += counts.late;
    for (size_t i = 0; i < verdicts.size(); ++i) {
      const Micros time = checked.event_time[i];
      if (verdicts[i] != log::Verdict::kAccepted || time == kNoTime) continue;
      if (progress->first_event == kNoTime || time < progress->first_event)
        progress->first_event = time;
      progress->last_event = std::max(progress->last_event, time);
    }
  }

  // The file's row of $arrivals, once nothing more of it will be read.
  Result<data::Batch> ArrivalOf(const Partition& partition, const SourceFile& file,
                                std::string_view state, std::string why) const {
    if (tables().arrivals.empty()) return data::Batch();
    const FileProgress& progress = partition.position.progress;
    const Arrival arrival{file.path,
                          file.ordinal,
                          partition.position.partition,
                          file.size,
                          file.checksum,
                          file.modified,
                          file.found,
                          progress.rows,
                          progress.accepted,
                          progress.rejected,
                          progress.duplicate,
                          progress.late,
                          progress.first_event,
                          progress.last_event,
                          state,
                          std::move(why)};
    return ArrivalRows(*context_.contract, std::span(&arrival, 1));
  }

  // Ends the file without records: its row of $arrivals moves the position.
  Status PushArrival(Partition& partition, const SourceFile& file, std::string_view state,
                     std::string why) {
    JudgedBatch batch;
    batch.first = partition.position.next;
    batch.arrivals = WEIR_TRY(ArrivalOf(partition, file, state, std::move(why)));
    EndFile(partition, file);
    batch.after = partition.position;
    return Push(std::move(batch), 0);
  }

  enum class Entry : uint8_t { kAdmitted, kRefused, kUnknown };

  // Reads the whole file, before anything of it enters. kUnknown: the source is to stop.
  // Errors are the file's, unless `check_failed`.
  Result<Entry> Judge(const SourceFile& file, Quarantine* quarantine,
                      bool* check_failed) {
    WEIR_TRY(CheckPresent(file));
    const auto reader = WEIR_TRY(LineReader::Open(
        *context_.io, file.path, 0,
        {context_.record_bytes_max, file.size, options_.csv, options_.parquet}));
    FileGates gates = WEIR_TRY(FileGates::New(*context_.contract));
    for (bool end = false; !end;) {
      if (!Taking()) return Entry::kUnknown;
      const Lines lines = WEIR_TRY(reader->Next(context_.step_rows, context_.step_bytes));
      end = lines.end_of_file;
      *check_failed = true;
      WEIR_TRY(
          gates.Add(WEIR_TRY(gate_pipeline_->Check(lines.records, lines.columns.get()))));
      WEIR_TRY(SendMarkers());
      *check_failed = false;
    }
    WEIR_TRY(CheckUnchanged(*context_.io, file));
    auto failure = gates.Failure();
    if (!failure) return Entry::kAdmitted;
    *quarantine = {gates.rows(), gates.refused(), std::move(failure->check),
                   std::move(failure->actual)};
    return Entry::kRefused;
  }

  Status LeaveQuarantined(Partition& partition, const SourceFile& file) {
    const Quarantine& why = *catalog_.QuarantineOf(file.ordinal);
    partition.position.progress = {.rows = why.rows};
    WEIR_TRY(
        Tell("file_quarantined",
             {file.path,
              fmt::format("{} is quarantined: {}: {}", file.path, why.check, why.actual),
              "none of its records entered; deliver the corrected file under this "
              "or another name"}));
    return PushArrival(partition, file, "quarantined",
                       fmt::format("{}: {}", why.check, why.actual));
  }

  Result<CheckedLines> Read(Partition& partition, const SourceFile& file,
                            bool* check_failed) {
    if (partition.reader == nullptr) {
      WEIR_TRY(CheckPresent(file));
      partition.reader = WEIR_TRY(LineReader::Open(
          *context_.io, file.path, partition.position.file_byte,
          {context_.record_bytes_max, file.size, options_.csv, options_.parquet}));
    }
    return ahead_.Take(*partition.reader, check_failed);
  }

  // Lets the step that comes after this one run ahead: that of the next partition in
  // turn, if its file is open. `ended` is the partition whose file ends with this step.
  void BeginNext(const Partition* ended) {
    int turn = turn_;
    for (size_t tried = 0; tried < partitions_.size(); ++tried) {
      auto it = partitions_.upper_bound(turn);
      if (it == partitions_.end()) it = partitions_.begin();
      turn = it->first;
      Partition& next = it->second;
      if (&next != ended && next.reader != nullptr) return ahead_.Begin(*next.reader);
      if (NextFile(next) != nullptr) return;
    }
  }

  // A folder that is gone as a whole is a disk that is not mounted, not files that were
  // deleted.
  Status CheckPresent(const SourceFile& file) {
    Status same = CheckUnchanged(*context_.io, file);
    const std::string dir(io::DirName(file.path));
    if (!same.ok() && same.error().code == Code::kNotFound && !dir.empty() &&
        !context_.io->Exists(dir)) {
      return Unavailable(fmt::format(
          "{}: the folder {} is gone; put it back (is its disk mounted?), or make it "
          "anew to leave out the files that were in it",
          file.path, dir));
    }
    return same;
  }

  // The rest of a file that was found and now cannot be read is passed over for good, so
  // that what comes after it is read.
  Status LeaveOut(Partition& partition, const SourceFile& file,
                  const std::string& error) {
    const auto taken = static_cast<int64_t>(partition.position.file_byte);
    WEIR_TRY(
        Tell("source_file_broken",
             {file.path, error,
              fmt::format("{} and the rest is left out: deliver the whole file under "
                          "another name; what it repeats is told apart by its "
                          "identity",
                          taken == 0 ? std::string("nothing of it is taken in")
                                     : fmt::format("its first {} {} are taken in", taken,
                                                   Unit(file.path))),
              taken, true}));
    return PushArrival(partition, file, "broken", error);
  }

  const char* Unit(const std::string& path) const {
    if (options_.parquet) return "rows";
    return path.ends_with(".gz") || path.ends_with(".zst") ? "bytes (decompressed)"
                                                           : "bytes";
  }

  void EndFile(Partition& partition, const SourceFile& file) {
    partition.reader.reset();
    partition.position.file = file.ordinal + 1;
    partition.position.file_byte = 0;
    partition.position.progress = {};
    partition.position.idle = NextFile(partition) == nullptr;
  }

  Status Fill(Marker& marker) override {
    for (auto& [number, partition] : partitions_) {
      WEIR_TRY(partition.judge.identities().Checkpoint(
          marker.delta, IdentitySpace(*context_.contract, number)));
      marker.positions.push_back(partition.position);
    }
    return {};
  }

  const FileSourceOptions options_;
  const std::unique_ptr<Pipeline> pipeline_;
  // Judges whole files, while pipeline_ may run ahead; null: the contract has no gates.
  const std::unique_ptr<Pipeline> gate_pipeline_;
  int64_t admitted_ = -1;  // ordinal of the file that passed last
  FileCatalog catalog_;
  std::map<int, Partition> partitions_;
  std::vector<Wake> wakes_;
  CheckAhead ahead_;  // has readers of partitions_
  int turn_ = -1;     // partition read last
  int64_t steps_ = 0;
  std::optional<Status> first_scan_;  // once Discover was called
};

}  // namespace

Result<std::unique_ptr<Source>> NewFileSource(SourceContext context,
                                              FileSourceOptions options) {
  const auto make = [&] {
    return Pipeline::New(*context.contract, context.record_bytes_max,
                         options.csv ? &*options.csv : nullptr);
  };
  auto pipeline = WEIR_TRY(make());
  std::unique_ptr<Pipeline> gate_pipeline;
  if (!context.contract->gates.empty()) gate_pipeline = WEIR_TRY(make());
  FilePattern pattern =
      WEIR_TRY(FilePattern::Parse(options.location, options.parquet ? "parquet"
                                                    : options.csv   ? "csv"
                                                                    : "ndjson"));
  return std::unique_ptr<Source>(std::make_unique<FileSource>(
      std::move(context), std::move(options), std::move(pipeline),
      std::move(gate_pipeline), std::move(pattern)));
}

}  // namespace weir::ingest
