#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/event.h"
#include "ingest/pipeline.h"
#include "ingest/source.h"
#include "log/log.h"

namespace weir::ingest {
namespace {

using log::Verdict;

// How long the thread sleeps when nothing is handed in; a marker wakes it at once.
constexpr auto kIdleWait = std::chrono::milliseconds(50);

struct Partition {
  PartitionPosition position;  // of what was handed over
  PartitionJudge judge;
  std::unique_ptr<log::Log> log;
  Micros last_record = 0;  // monotonic, for idleness
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

class LogSourceImpl final : public LogSource {
 public:
  LogSourceImpl(SourceContext context, LogSourceOptions options,
                std::unique_ptr<Pipeline> pipeline)
      : context_(std::move(context)),
        options_(std::move(options)),
        pipeline_(std::move(pipeline)),
        markers_sent_(context_.last_marker),
        markers_wanted_(context_.last_marker) {}

  ~LogSourceImpl() override {
    Stop();
    if (thread_.joinable()) thread_.join();
  }

  Status Start() override {
    WEIR_TRY(CheckPartitionCount());
    for (int i = 0; i < options_.partitions; ++i)
      WEIR_TRY(OpenPartition(options_.first_partition + i));
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  void Push(std::shared_ptr<std::string> body, std::vector<std::string_view> records,
            std::function<void(PushResult)> done) override {
    const size_t bytes = body->size();
    {
      std::lock_guard lock(mutex_);
      if (taking_ && options_.live && !failed_ &&
          (waiting_bytes_ == 0 ||
           waiting_bytes_ + bytes <= static_cast<size_t>(options_.waiting_bytes_max))) {
        waiting_bytes_ += bytes;
        waiting_.push_back({std::move(body), std::move(records), std::move(done)});
        wake_.notify_one();
        return;
      }
    }
    const bool full = taking_ && options_.live && !failed_;
    done({full ? PushResult::Code::kFull : PushResult::Code::kStopping,
          {},
          full ? "too much is waiting to become durable"
               : "this process takes no more records"});
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
    std::lock_guard lock(mutex_);
    taking_ = false;
    stopping_ = true;
    wake_.notify_one();
  }

  void Committed(const std::map<int, PartitionPosition>& positions) override {
    std::lock_guard lock(mutex_);
    for (const auto& [partition, position] : positions)
      released_[partition] = position.next;
  }

  const SourceTables& tables() const override { return pipeline_->tables(); }

 private:
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

  Status OpenPartition(int number) {
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
    auto log = WEIR_TRY(log::Log::Open(*context_.io, DirOf(number), {}));
    if (log->end() < position.next) {
      return Corrupt(
          fmt::format("log {} ends at offset {}, but records up to {} are committed: "
                      "files of it are missing",
                      DirOf(number), log->end().value, position.next.value));
    }
    PartitionJudge judge(pipeline_->rule(/*live=*/true), std::move(identities),
                         position.watermark);
    partitions_.emplace(number, Partition{position, std::move(judge), std::move(log),
                                          context_.clock->Monotonic()});
    return {};
  }

  void Run() {
    Status status = TellPositions();
    if (status.ok()) status = Replay();
    if (status.ok() && !options_.live) status = Hand(EndOfInput{}, 0);
    // Stopped before its end, the replay left identities unknown: nothing can be judged.
    while (status.ok() && replayed_) {
      std::vector<Pushed> batch = WaitForRecords();
      if (batch.empty() && Stopping()) break;
      if (!batch.empty()) status = TakeIn(batch);
      if (status.ok()) status = SendMarkers();
      if (status.ok()) status = NoteIdle();
      if (status.ok()) status = ReleaseLog();
    }
    if (!status.ok()) Fail(status.error());
    // Until the flow lets go of us.
    while (!Stopping() && SendMarkers().ok()) WaitForRecords();
    RefuseWaiting();
  }

  Status TellPositions() {
    for (auto& [number, partition] : partitions_)
      WEIR_TRY(Hand(PartitionNews{partition.position}, 0));
    return {};
  }

  void Fail(const Error& error) {
    {
      std::lock_guard lock(mutex_);
      failed_ = true;
    }
    if (error.code != Code::kCancelled) static_cast<void>(Hand(Error(error), 0));
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
      pushed.done(
          {PushResult::Code::kStopping, {}, "this process takes no more records"});
  }

  bool Stopping() {
    std::lock_guard lock(mutex_);
    return stopping_;
  }

  // Everything that waits, up to a step's worth: what one sync makes durable together.
  std::vector<Pushed> WaitForRecords() {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kIdleWait, [&] {
      return stopping_ || !waiting_.empty() || markers_wanted_ > markers_sent_;
    });
    std::vector<Pushed> out;
    int64_t rows = 0, bytes = 0;
    while (!failed_ && !waiting_.empty() && rows < context_.step_rows &&
           bytes < context_.step_bytes) {
      rows += static_cast<int64_t>(waiting_.front().records.size());
      bytes += static_cast<int64_t>(waiting_.front().body->size());
      waiting_bytes_ -= waiting_.front().body->size();
      out.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return out;
  }

  // ------------------------------------------------------------------ after a restart

  // What the log holds beyond the last commit is handed over with the verdicts it was
  // given.
  Status Replay() {
    for (auto& [number, partition] : partitions_) {
      log::Log::Visitor visitor;
      visitor.batch = [&, this](const log::RecordBatchView& view) -> Result<bool> {
        WEIR_TRY(ReplayBatch(partition, view));
        return !Stopping();
      };
      visitor.control = [&](const log::ControlRecord& control) -> Result<bool> {
        const auto json = nlohmann::json::parse(control.json, nullptr, false);
        if (control.kind == "wake" && json.is_object()) {
          partition.judge.Wake(json.value("floor", kNoTime));
          partition.position.watermark = partition.judge.watermark();
        }
        return true;
      };
      WEIR_TRY(partition.log->Read(partition.position.next, visitor));
      if (partition.position.next < partition.log->end()) return {};
    }
    replayed_ = true;
    return {};
  }

  Status ReplayBatch(Partition& partition, const log::RecordBatchView& view) {
    std::vector<std::string_view> records;
    std::vector<Verdict> verdicts;
    std::vector<int32_t> rows;
    for (const log::Record& record : view.records) {
      rows.push_back(static_cast<int32_t>(records.size()));
      records.push_back(record.bytes);
      verdicts.push_back(record.verdict);
    }
    const Checked checked = WEIR_TRY(pipeline_->Check(records));
    WEIR_TRY(partition.judge.Remember(view.records, view.received_at));
    partition.position.idle = false;
    WEIR_TRY(HandOver(partition, checked, rows, verdicts, view.received_at));
    return SendMarkers();
  }

  // ------------------------------------------------------------------ live

  // Decode, judge, append, sync, answer, hand over: in this order, for all that waits at
  // once.
  Status TakeIn(std::vector<Pushed>& batch) {
    const Micros received_at = context_.clock->Now();
    std::vector<std::string_view> records;
    for (const Pushed& pushed : batch)
      records.insert(records.end(), pushed.records.begin(), pushed.records.end());
    std::vector<RecordResult> results(records.size());
    const Status taken = Acknowledge(records, received_at, results);
    size_t at = 0;
    for (Pushed& pushed : batch) {
      const size_t count = pushed.records.size();
      PushResult result;
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
    if (!taken.ok()) return taken;
    return HandOverDurable(received_at);
  }

  // A judged part of one partition that is durable and waits to be handed over.
  struct Durable {
    Partition* partition;
    std::vector<int32_t> rows;
  };

  Status Acknowledge(std::span<const std::string_view> records, Micros received_at,
                     std::vector<RecordResult>& results) {
    checked_ = WEIR_TRY(pipeline_->Check(records));
    verdicts_.assign(records.size(), Verdict::kRejected);
    const std::vector<int> route =
        WEIR_TRY(pipeline_->Route(checked_, options_.partitions));
    std::vector<std::vector<int32_t>> rows(static_cast<size_t>(options_.partitions));
    for (size_t i = 0; i < route.size(); ++i)
      rows[static_cast<size_t>(route[i])].push_back(static_cast<int32_t>(i));
    durable_.clear();
    for (size_t p = 0; p < rows.size(); ++p) {
      if (rows[p].empty()) continue;
      Partition& partition =
          partitions_.at(options_.first_partition + static_cast<int>(p));
      WEIR_TRY(WakeIfIdle(partition));
      WEIR_TRY(
          partition.judge.Judge(checked_.evidence(), rows[p], received_at, verdicts_));
      const LogOffset first = WEIR_TRY(AppendToLog(partition, rows[p], received_at));
      for (size_t i = 0; i < rows[p].size(); ++i) {
        RecordResult& result = results[static_cast<size_t>(rows[p][i])];
        result.offset = first.value + static_cast<int64_t>(i);
        result.partition = partition.position.partition;
        result.verdict = VerdictName(verdicts_[static_cast<size_t>(rows[p][i])]);
      }
      durable_.push_back({&partition, std::move(rows[p])});
    }
    for (const Durable& part : durable_) WEIR_TRY(part.partition->log->Sync());
    // An answer counts only under the lease. When the flow was too busy to prolong it in
    // time we wait until it has; when another process took over it never will, and the
    // flow stops us.
    while (!options_.lease_valid()) {
      if (Stopping())
        return Conflict(
            "the lease on the data directory ran out before the records could be "
            "acknowledged");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    for (const contract::Rejection& rejection : checked_.rejections) {
      RecordResult& result = results[static_cast<size_t>(rejection.row)];
      result.reason = contract::ReasonName(rejection.reason);
      result.field = rejection.field;
    }
    return {};
  }

  Result<LogOffset> AppendToLog(Partition& partition, const std::vector<int32_t>& rows,
                                Micros received_at) {
    log_records_.clear();
    for (const int32_t row : rows) {
      const auto i = static_cast<size_t>(row);
      log::Record record{checked_.records[i],
                         verdicts_[i],
                         {},
                         checked_.content[i],
                         checked_.event_time[i]};
      if (!checked_.identity.empty() && verdicts_[i] != Verdict::kRejected)
        record.identity = checked_.identity[i];
      log_records_.push_back(record);
    }
    return partition.log->Append(received_at, log_records_);
  }

  Status HandOverDurable(Micros received_at) {
    for (Durable& part : durable_)
      WEIR_TRY(HandOver(*part.partition, checked_, part.rows, verdicts_, received_at));
    durable_.clear();
    return {};
  }

  Status HandOver(Partition& partition, const Checked& checked,
                  std::span<const int32_t> rows, std::span<const Verdict> verdicts,
                  Micros received_at) {
    JudgedBatch batch =
        WEIR_TRY(pipeline_->Build(checked, rows, verdicts, partition.position.partition,
                                  partition.position.next, received_at));
    batch.counts.received = static_cast<int64_t>(rows.size());
    partition.position.next.value += static_cast<int64_t>(rows.size());
    partition.position.watermark = partition.judge.watermark();
    partition.position.idle = false;
    partition.last_record = context_.clock->Monotonic();
    batch.after = partition.position;
    const auto bytes = static_cast<size_t>(batch.bytes) * 2;
    WEIR_TRY(Hand(std::move(batch), bytes));
    if (context_.steps_per_marker > 0 && ++steps_ % context_.steps_per_marker == 0)
      return SendMarker();
    return {};
  }

  // ------------------------------------------------------------------ idleness

  Status WakeIfIdle(Partition& partition) {
    if (!partition.position.idle) return {};
    partition.position.idle = false;
    const Micros floor =
        std::max(partition.judge.watermark(), context_.global_watermark->load());
    if (floor == kNoTime || floor == partition.judge.watermark()) return {};
    // The floor counts for verdicts, so it is in the log before them.
    WEIR_TRY(
        partition.log->AppendControl("wake", nlohmann::json{{"floor", floor}}.dump()));
    partition.judge.Wake(floor);
    return {};
  }

  Status NoteIdle() {
    if (!context_.contract->idle_after || !options_.live) return {};
    const Micros now = context_.clock->Monotonic();
    for (auto& [number, partition] : partitions_) {
      if (partition.position.idle ||
          now - partition.last_record < *context_.contract->idle_after)
        continue;
      partition.position.idle = true;
      WEIR_TRY(partition.log->AppendControl("idle", "{}"));
      WEIR_TRY(partition.log->Sync());
      WEIR_TRY(Hand(PartitionNews{partition.position}, 0));
    }
    return {};
  }

  // ------------------------------------------------------------------ markers

  Status SendMarkers() {
    for (;;) {
      {
        std::lock_guard lock(mutex_);
        if (markers_sent_ >= markers_wanted_) return {};
      }
      WEIR_TRY(SendMarker());
    }
  }

  Status SendMarker() {
    Marker marker;
    for (auto& [number, partition] : partitions_) {
      WEIR_TRY(partition.judge.identities().Checkpoint(
          marker.delta, IdentitySpace(*context_.contract, number)));
      marker.positions.push_back(partition.position);
    }
    {
      std::lock_guard lock(mutex_);
      marker.number = ++markers_sent_;
      markers_wanted_ = std::max(markers_wanted_, markers_sent_);
    }
    const size_t bytes = marker.delta.bytes();
    return Hand(std::move(marker), bytes);
  }

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
    return {};
  }

  template <class T>
  Status Hand(T what, size_t bytes) {
    SourceEvent event{context_.index, std::move(what)};
    if (!context_.queue->Push(std::move(event), bytes)) return Cancelled();
    return {};
  }

  const SourceContext context_;
  const LogSourceOptions options_;
  const std::unique_ptr<Pipeline> pipeline_;
  std::map<int, Partition> partitions_;
  bool replayed_ = false;  // all that the logs hold was handed over
  int64_t steps_ = 0;

  // Of the batch that is being taken in.
  Checked checked_;
  std::vector<Verdict> verdicts_;
  std::vector<log::Record> log_records_;
  std::vector<Durable> durable_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Pushed> waiting_;
  size_t waiting_bytes_ = 0;
  std::map<int, LogOffset> released_;
  int64_t markers_sent_, markers_wanted_;
  bool taking_ = true, stopping_ = false, failed_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<LogSource>> NewLogSource(SourceContext context,
                                                LogSourceOptions options) {
  auto pipeline = WEIR_TRY(Pipeline::New(*context.contract, context.record_bytes_max));
  return std::unique_ptr<LogSource>(std::make_unique<LogSourceImpl>(
      std::move(context), std::move(options), std::move(pipeline)));
}

}  // namespace weir::ingest
