#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <thread>

#include "base/event.h"
#include "base/latency.h"
#include "ingest/log_feeder_internal.h"
#include "ingest/pipeline.h"
#include "ingest/source.h"
#include "ingest/tail_memory.h"
#include "ingest/wake_internal.h"
#include "log/log.h"

namespace weir::ingest {
namespace {

using log::Verdict;

// How long the thread sleeps when nothing is handed in; a marker wakes it at once.
constexpr auto kIdleWait = std::chrono::milliseconds(50);

// A group costs some 100 microseconds of processor time however small it is. When many
// callers come one behind the other, groups begin this far apart at least; one caller
// alone, or few, never wait.
constexpr auto kGroupSpacing = std::chrono::microseconds(500);
constexpr size_t kManyCallers = 4;

// A partition as the thread sees it that judges and acknowledges.
struct Partition {
  int number = 0;
  bool idle = false;
  PartitionJudge judge;
  std::unique_ptr<log::Log> log;
  std::optional<TailMemory> tail;  // what `judge` was not brought yet
  Micros last_record = 0;          // monotonic, for idleness
};

struct Pushed {
  std::shared_ptr<std::string> body;
  std::vector<std::string_view> records;
  std::function<void(PushResult)> done;
};

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAccepted:
      return "accepted";
    case Verdict::kRejected:
      return "rejected";
    case Verdict::kDuplicate:
    case Verdict::kConflict:
      return "duplicate";
    case Verdict::kLate:
      return "late";
    case Verdict::kBlocked:
      return "blocked";
  }
  return "rejected";
}

// Two threads: the taker judges, appends, syncs and answers; the feeder (log_feeder.cc)
// hands over to the flow. The taker owns the logs and the judges and waits for nobody but
// the disk, so records are acknowledged also while the flow is slow or catching up.
class LogSourceImpl final : public LogSource, private LogFeeder::Owner {
 public:
  LogSourceImpl(SourceContext context, LogSourceOptions options,
                std::unique_ptr<Pipeline> pipeline,
                std::unique_ptr<Pipeline> feeder_pipeline)
      : context_(std::move(context)),
        options_(std::move(options)),
        pipeline_(std::move(pipeline)),
        markers_made_(context_.last_marker),
        markers_wanted_(context_.last_marker),
        feeder_(context_, options_, std::move(feeder_pipeline), *this) {}

  ~LogSourceImpl() override {
    Stop();
    feeder_.Join();
    if (thread_.joinable()) thread_.join();
  }

  Status Start() override {
    WEIR_TRY(CheckPartitionCount());
    std::vector<LogFeeder::PartitionStart> starts;
    for (int i = 0; i < options_.partitions; ++i)
      starts.push_back(WEIR_TRY(OpenPartition(options_.first_partition + i)));
    feeder_.Start(std::move(starts));
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  void Push(std::shared_ptr<std::string> body, std::vector<std::string_view> records,
            std::function<void(PushResult)> done) override {
    const size_t bytes = body->size();
    PushResult refused{PushResult::Code::kStopping, {}, kTakesNoMore};
    {
      std::lock_guard lock(mutex_);
      if (taking_ && options_.live && !failed_) {
        const bool room =
            waiting_bytes_ == 0 ||
            waiting_bytes_ + bytes <= static_cast<size_t>(options_.waiting_bytes_max);
        if (room && !backlog_full_) {
          waiting_bytes_ += bytes;
          waiting_.push_back({std::move(body), std::move(records), std::move(done)});
          if (waiting_.size() == 1) wake_.notify_one();
          return;
        }
        refused = {PushResult::Code::kFull,
                   {},
                   room ? "too much is in the log and not yet in the tables"
                        : "too much is waiting to become durable"};
      }
    }
    done(std::move(refused));
  }

  void RequestMarker(int64_t number) override {
    std::lock_guard lock(mutex_);
    markers_wanted_ = std::max(markers_wanted_, number);
    wake_.notify_one();
  }

  void StopTaking() override {
    std::lock_guard lock(mutex_);
    taking_ = false;
    wake_.notify_one();
  }

  void Stop() override {
    {
      std::lock_guard lock(mutex_);
      taking_ = false;
      stopping_ = true;
      wake_.notify_one();
      answered_.notify_all();
    }
    feeder_.Stop();
  }

  void Committed(const std::map<int, PartitionPosition>& positions) override {
    std::lock_guard lock(mutex_);
    for (const auto& [partition, position] : positions)
      released_[partition] = position.next;
  }

  const SourceTables& tables() const override { return pipeline_->tables(); }

 private:
  static constexpr const char* kTakesNoMore = "this process takes no more records";

  // What the feeder waits for.
  struct ToRemember {
    int partition;
    std::span<const PastBatch> past;
    LogOffset end;
    PartitionWatermark watermark;
    bool begun = false;
  };

  std::string DirOf(int partition) const {
    return io::Join(options_.dir, std::to_string(partition - options_.first_partition));
  }

  // Records are routed by their key modulo the number of partitions: with another number
  // an event would be judged where nobody knows it.
  Status CheckPartitionCount() {
    const auto names = context_.io->List(options_.dir);
    if (!names.ok() || names->empty() ||
        static_cast<int>(names->size()) == options_.partitions)
      return {};
    return Invalid(
        fmt::format("source {} was made with {} partitions; weir.partitions cannot "
                    "become {} afterwards",
                    context_.contract->name, names->size(), options_.partitions));
  }

  Result<LogFeeder::PartitionStart> OpenPartition(int number) {
    // A partition that never had a record counts as active until it has been silent for
    // as long as any other: when several begin at once, the first of them must not set a
    // floor for the rest.
    PartitionPosition position{.partition = number, .idle = !options_.live};
    for (const PartitionPosition& committed : context_.committed) {
      if (committed.partition == number) position = committed;
    }
    state::Identities identities = WEIR_TRY(state::Identities::Load(
        *context_.store, IdentitySpace(*context_.contract, number),
        context_.contract->identity_memory,
        context_.identity_bytes / std::max(1, options_.partitions)));
    WEIR_TRY(context_.io->CreateDirs(DirOf(number)));
    auto log = WEIR_TRY(
        log::Log::Open(*context_.io, DirOf(number),
                       {.ahead_bytes = static_cast<uint64_t>(options_.log_ahead_bytes),
                        .owner = options_.owner}));
    if (log->end() < position.next) {
      return Corrupt(
          fmt::format("log {} ends at offset {}, but records up to {} are committed: "
                      "files of it are missing",
                      DirOf(number), log->end().value, position.next.value));
    }
    const VerdictRule rule = pipeline_->rule(/*live=*/true);
    // Where nothing is judged, nothing need be found.
    auto tail = WEIR_TRY(TailMemory::Read(
        *log, options_.live ? position.next : log->end(), rule, position.watermark));
    PartitionJudge judge(rule, std::move(identities), tail.watermark());
    if (tail.began() != kNoTime) judge.Began(tail.began());
    const bool behind = position.next < log->end();
    if (behind) {
      Event("log_tail")
          .With("dir", DirOf(number))
          .With("records", log->end().value - position.next.value)
          .With("bytes", log->bytes_from(position.next));
    }
    const LogFeeder::PartitionStart start{position, log.get()};
    Partition partition{number,           position.idle && !behind,
                        std::move(judge), std::move(log),
                        std::nullopt,     context_.clock->Monotonic()};
    if (!tail.empty()) partition.tail = std::move(tail);
    partitions_.emplace(number, std::move(partition));
    return start;
  }

  void Run() {
    PreferShortSlices();  // callers wait for it
    Status status;
    while (status.ok()) {
      Group group = WaitForWork();
      if (group.bodies.empty() && Stopping()) break;
      status = RememberForFeeder();
      if (status.ok() && !group.bodies.empty()) status = TakeIn(std::move(group));
      if (status.ok()) status = MakeMarkers();
      if (status.ok()) status = NoteIdle();
      if (status.ok()) status = ReleaseLog();
    }
    if (!status.ok()) Failed(status.error());
    RefuseWaiting();
  }

  // By either thread. The flow ends the source; until then nothing more is taken, judged
  // or marked.
  void Failed(const Error& error) override {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(failed_, true)) return;
      wake_.notify_one();
      answered_.notify_all();
    }
    if (error.code != Code::kCancelled)
      static_cast<void>(context_.queue->Push({context_.index, Error(error)}, 0));
    RefuseWaiting();
  }

  void RefuseWaiting() {
    std::deque<Pushed> left;
    {
      std::lock_guard lock(mutex_);
      left.swap(waiting_);
      waiting_bytes_ = 0;
    }
    for (Pushed& pushed : left)
      pushed.done({PushResult::Code::kStopping, {}, kTakesNoMore});
  }

  bool Stopping() {
    std::lock_guard lock(mutex_);
    return stopping_ || failed_;
  }

  // Everything that waits, up to a step's worth: what one sync makes durable together.
  // Leaves the callers in `callers_`.
  Group WaitForWork() {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kIdleWait, [&] {
      return stopping_ || failed_ || !waiting_.empty() ||
             markers_wanted_ > markers_made_ || to_remember_;
    });
    if (!waiting_.empty() && last_callers_ >= kManyCallers) {
      wake_.wait_until(lock, last_group_ + kGroupSpacing,
                       [&] { return stopping_ || failed_; });
    }
    Group group;
    callers_.clear();
    int64_t rows = 0, bytes = 0;
    while (!failed_ && !waiting_.empty() && rows < context_.step_rows &&
           bytes < context_.step_bytes) {
      Pushed& pushed = waiting_.front();
      rows += static_cast<int64_t>(pushed.records.size());
      bytes += static_cast<int64_t>(pushed.body->size());
      group.bodies.push_back(pushed.body);
      callers_.push_back(std::move(pushed));
      waiting_.pop_front();
    }
    if (!callers_.empty()) {
      last_callers_ = callers_.size();
      last_group_ = std::chrono::steady_clock::now();
    }
    waiting_bytes_ -= static_cast<size_t>(bytes);
    group.bytes = static_cast<size_t>(bytes);
    return group;
  }

  // ------------------------------------------------------------------ after a restart

  bool Remember(int partition, std::span<const PastBatch> past, LogOffset end,
                const PartitionWatermark& watermark) override {
    std::unique_lock lock(mutex_);
    to_remember_ = ToRemember{partition, past, end, watermark};
    wake_.notify_one();
    // What the taker has begun with must not go away.
    answered_.wait(lock, [&] {
      return !to_remember_ || ((stopping_ || failed_) && !to_remember_->begun);
    });
    const bool done = !to_remember_;
    to_remember_.reset();
    return done && !failed_;
  }

  Status RememberForFeeder() {
    {
      std::lock_guard lock(mutex_);
      if (!to_remember_ || stopping_ || failed_) return {};
      to_remember_->begun = true;
    }
    Status status = Remember(*to_remember_);
    if (!status.ok()) Failed(status.error());
    std::lock_guard lock(mutex_);
    to_remember_.reset();
    answered_.notify_all();
    return status;
  }

  Status Remember(ToRemember& what) {
    Partition& partition = partitions_.at(what.partition);
    for (const PastBatch& batch : what.past) {
      if (batch.floor && what.watermark.Wake(*batch.floor))
        partition.judge.Began(*batch.floor);
      WEIR_TRY(
          partition.judge.RememberPast(batch.records, batch.received_at, what.watermark));
    }
    if (partition.tail) partition.tail->Forget(what.end);
    if (partition.tail && partition.tail->empty()) partition.tail.reset();
    return {};
  }

  // What these identities stand for in the log is brought into the judge's memory before
  // it looks there.
  Status BringBack(Partition& partition, const Checked& checked,
                   std::span<const int32_t> rows) {
    if (!partition.tail || checked.identity.empty()) return {};
    std::vector<state::Identities::Entry> found;
    for (const int32_t row : rows) {
      const auto i = static_cast<size_t>(row);
      if (checked.rejected[i]) continue;
      if (const auto known = WEIR_TRY(partition.tail->Find(checked.identity[i])))
        found.push_back(*known);
    }
    return partition.judge.RememberFound(found);
  }

  // ------------------------------------------------------------------ live

  // Decode, judge, append, sync, answer, hand over: in this order, for all that waits at
  // once.
  Status TakeIn(Group group) {
    group.received_at = context_.clock->Now();
    std::vector<std::string_view> records;
    for (const Pushed& pushed : callers_)
      records.insert(records.end(), pushed.records.begin(), pushed.records.end());
    std::vector<RecordResult> results(records.size());
    std::vector<Piece> pieces;
    Status taken = Acknowledge(records, group, results, pieces);
    // The feeder has its part before anybody is told: who was answered and asks for a
    // marker finds his records in front of it.
    if (taken.ok()) {
      const auto shared = std::make_shared<const Group>(std::move(group));
      for (Piece& piece : pieces) piece.group = shared;
      feeder_.Offer(std::move(pieces));
    }
    size_t at = 0;
    for (Pushed& pushed : callers_) {
      const size_t count = pushed.records.size();
      PushResult result;
      if (taken.ok()) taken = AwaitLease();
      if (taken.ok()) {
        result.records.assign(
            std::make_move_iterator(results.begin() + static_cast<ptrdiff_t>(at)),
            std::make_move_iterator(results.begin() +
                                    static_cast<ptrdiff_t>(at + count)));
      } else {
        result = {PushResult::Code::kFailed, {}, taken.error().message};
      }
      at += count;
      pushed.done(std::move(result));
    }
    callers_.clear();
    return taken;
  }

  // An answer counts only under the lease, looked at after the sync and as late as can
  // be: then whoever takes over later reads the log after us. A lease that ran out is
  // waited for; when another process took over it never comes back, and the flow stops
  // us.
  Status AwaitLease() {
    while (!options_.lease_valid()) {
      if (Stopping())
        return Conflict(
            "the lease on the data directory ran out before the records could be "
            "acknowledged");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return {};
  }

  Status Acknowledge(std::span<const std::string_view> records, Group& group,
                     std::vector<RecordResult>& results, std::vector<Piece>& pieces) {
    group.checked = WEIR_TRY(pipeline_->Check(records));
    group.verdicts.assign(records.size(), Verdict::kRejected);
    const Checked& checked = group.checked;
    const std::vector<int> route =
        WEIR_TRY(pipeline_->Route(checked, options_.partitions));
    std::vector<std::vector<int32_t>> rows(static_cast<size_t>(options_.partitions));
    for (size_t i = 0; i < route.size(); ++i)
      rows[static_cast<size_t>(route[i])].push_back(static_cast<int32_t>(i));
    for (size_t p = 0; p < rows.size(); ++p) {
      if (rows[p].empty()) continue;
      Partition& partition =
          partitions_.at(options_.first_partition + static_cast<int>(p));
      WEIR_TRY(WakeIfIdle(partition));
      WEIR_TRY(BringBack(partition, checked, rows[p]));
      WEIR_TRY(partition.judge.Judge(checked.evidence(), rows[p], group.received_at,
                                     group.verdicts));
      if (partition.tail && partition.tail->began() == kNoTime)
        partition.tail->Began(partition.judge.began());
      const LogOffset first = WEIR_TRY(AppendToLog(partition, group, rows[p]));
      for (size_t i = 0; i < rows[p].size(); ++i) {
        RecordResult& result = results[static_cast<size_t>(rows[p][i])];
        result.offset = first.value + static_cast<int64_t>(i);
        result.partition = partition.number;
        result.verdict = VerdictName(group.verdicts[static_cast<size_t>(rows[p][i])]);
      }
      pieces.push_back({nullptr, partition.number, std::move(rows[p]), first,
                        partition.judge.watermark()});
    }
    for (const Piece& piece : pieces)
      WEIR_TRY(partitions_.at(piece.partition).log->Sync());
    for (const contract::Rejection& rejection : checked.rejections) {
      RecordResult& result = results[static_cast<size_t>(rejection.row)];
      result.reason = contract::ReasonName(rejection.reason);
      result.field = rejection.field;
    }
    return {};
  }

  Result<LogOffset> AppendToLog(Partition& partition, const Group& group,
                                const std::vector<int32_t>& rows) {
    const Checked& checked = group.checked;
    log_records_.clear();
    for (const int32_t row : rows) {
      const auto i = static_cast<size_t>(row);
      log::Record record{checked.records[i],
                         group.verdicts[i],
                         {},
                         checked.content[i],
                         checked.event_time[i]};
      if (!checked.identity.empty() && group.verdicts[i] != Verdict::kRejected)
        record.identity = checked.identity[i];
      log_records_.push_back(record);
    }
    partition.last_record = context_.clock->Monotonic();
    return partition.log->Append(group.received_at, log_records_);
  }

  // ------------------------------------------------------------------ idleness

  Status WakeIfIdle(Partition& partition) {
    if (!partition.idle) return {};
    partition.idle = false;
    const Micros floor =
        std::max(partition.judge.watermark(), context_.global_watermark->load());
    if (floor == kNoTime || floor == partition.judge.watermark()) return {};
    // The floor counts for verdicts, so it is in the log before them.
    WEIR_TRY(partition.log->AppendControl(kWakeControl, WakeJson(floor)));
    partition.judge.Wake(floor);
    return {};
  }

  Status NoteIdle() {
    if (!context_.contract->idle_after || !options_.live) return {};
    const Micros now = context_.clock->Monotonic();
    for (auto& [number, partition] : partitions_) {
      if (partition.idle || now - partition.last_record < *context_.contract->idle_after)
        continue;
      // What was handed in and waits is unread.
      if (feeder_.handed(number) < partition.log->end()) continue;
      partition.idle = true;
      WEIR_TRY(partition.log->AppendControl(kIdleControl, "{}"));
      WEIR_TRY(partition.log->Sync());
      feeder_.NoteIdle(number, partition.log->end());
    }
    return {};
  }

  // ------------------------------------------------------------------ markers

  // Called when everything judged is durable: a delta never knows of a record that a
  // power cut could take away.
  Status MakeMarkers() {
    for (;;) {
      MarkerNote note;
      {
        std::lock_guard lock(mutex_);
        if (markers_made_ >= markers_wanted_) return {};
        note.marker.number = markers_made_ + 1;
      }
      for (auto& [number, partition] : partitions_) {
        std::string space = IdentitySpace(*context_.contract, number);
        auto changes = WEIR_TRY(partition.judge.identities().Checkpoint(space));
        note.identities.emplace_back(std::move(space), std::move(changes));
      }
      feeder_.NoteMarker(std::move(note));
      std::lock_guard lock(mutex_);
      ++markers_made_;
      answered_.notify_all();
    }
  }

  bool MakeMarker() override {
    std::unique_lock lock(mutex_);
    const int64_t number = std::max(markers_wanted_, markers_made_ + 1);
    markers_wanted_ = number;
    wake_.notify_one();
    answered_.wait(lock, [&] { return markers_made_ >= number || stopping_ || failed_; });
    return markers_made_ >= number;
  }

  // ------------------------------------------------------------------ the log's size

  Status ReleaseLog() {
    std::map<int, LogOffset> released;
    {
      std::lock_guard lock(mutex_);
      released.swap(released_);
    }
    for (const auto& [number, offset] : released) {
      const auto found = partitions_.find(number);
      if (found == partitions_.end()) continue;
      const std::string archive =
          options_.archive_dir.empty()
              ? ""
              : io::Join(options_.archive_dir,
                         std::to_string(number - options_.first_partition));
      if (!archive.empty()) WEIR_TRY(context_.io->CreateDirs(archive));
      WEIR_TRY(found->second.log->Release(offset, archive));
    }
    uint64_t backlog = 0;
    for (auto& [number, partition] : partitions_)
      backlog += partition.log->bytes_from(feeder_.handed(number));
    std::lock_guard lock(mutex_);
    backlog_full_ = backlog > static_cast<uint64_t>(options_.backlog_bytes_max);
    return {};
  }

  const SourceContext context_;
  const LogSourceOptions options_;
  const std::unique_ptr<Pipeline> pipeline_;
  std::map<int, Partition> partitions_;  // the taker's, once it runs

  // Of the group that is being taken in.
  std::vector<Pushed> callers_;
  std::vector<log::Record> log_records_;
  size_t last_callers_ = 0;
  std::chrono::steady_clock::time_point last_group_;

  std::mutex mutex_;
  std::condition_variable wake_;      // of the taker
  std::condition_variable answered_;  // of the feeder, when it waits for the taker
  std::deque<Pushed> waiting_;
  size_t waiting_bytes_ = 0;
  bool backlog_full_ = false;
  std::optional<ToRemember> to_remember_;
  std::map<int, LogOffset> released_;
  int64_t markers_made_, markers_wanted_;
  bool taking_ = true, stopping_ = false, failed_ = false;
  LogFeeder feeder_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<LogSource>> NewLogSource(SourceContext context,
                                                LogSourceOptions options) {
  auto pipeline = WEIR_TRY(Pipeline::New(*context.contract, context.record_bytes_max));
  auto feeders = WEIR_TRY(Pipeline::New(*context.contract, context.record_bytes_max));
  return std::unique_ptr<LogSource>(std::make_unique<LogSourceImpl>(
      std::move(context), std::move(options), std::move(pipeline), std::move(feeders)));
}

}  // namespace weir::ingest
