#include <arrow/api.h>

#include "base/latency.h"
#include "data/arrow.h"
#include "ingest/log_feeder_internal.h"
#include "ingest/wake_internal.h"

namespace weir::ingest {
namespace {

using SteadyClock = std::chrono::steady_clock;

// A step has a cost of its own, so small groups wait a moment for others to join them.
constexpr std::chrono::milliseconds kLinger{20};
constexpr int64_t kLingerRows = 4096;
constexpr size_t kLingerBytes = 1 << 20;

size_t BytesOf(const Piece& piece) {
  const size_t all = std::max<size_t>(piece.group->checked.records.size(), 1);
  return piece.group->bytes * piece.rows.size() / all;
}

Result<data::Batch> Joined(std::vector<data::Batch> batches) {
  std::erase_if(batches, [](const data::Batch& batch) { return batch.rows == nullptr; });
  if (batches.empty()) return data::Batch{};
  if (batches.size() == 1) return std::move(batches[0]);
  arrow::RecordBatchVector rows;
  for (const data::Batch& batch : batches) rows.push_back(batch.rows);
  return data::Batch{WEIR_ARROW(arrow::ConcatenateRecordBatches(rows)), {}};
}

// Judged batches that stand one behind the other, as one.
Result<JudgedBatch> Joined(std::vector<JudgedBatch> parts) {
  JudgedBatch out;
  out.first = parts[0].first;
  std::vector<data::Batch> accepted, rejected, late, conflicting;
  for (JudgedBatch& part : parts) {
    out.counts.Add(part.counts);
    out.bytes += part.bytes;
    accepted.push_back(std::move(part.accepted));
    rejected.push_back(std::move(part.rejected));
    late.push_back(std::move(part.late));
    conflicting.push_back(std::move(part.conflicting));
  }
  out.accepted = WEIR_TRY(Joined(std::move(accepted)));
  out.rejected = WEIR_TRY(Joined(std::move(rejected)));
  out.late = WEIR_TRY(Joined(std::move(late)));
  out.conflicting = WEIR_TRY(Joined(std::move(conflicting)));
  return out;
}

}  // namespace

LogFeeder::LogFeeder(const SourceContext& context, const LogSourceOptions& options,
                     std::unique_ptr<Pipeline> pipeline, Owner& owner)
    : context_(context),
      options_(options),
      pipeline_(std::move(pipeline)),
      owner_(owner) {}

LogFeeder::~LogFeeder() {
  Stop();
  Join();
}

void LogFeeder::Start(std::vector<PartitionStart> partitions) {
  const VerdictRule rule = pipeline_->rule(/*live=*/true);
  for (const auto& [position, log] : partitions) {
    const int64_t end = log->end().value;
    partitions_.emplace(position.partition,
                        Partition{position, PartitionWatermark(rule, position.watermark),
                                  log, end, end, position.next.value});
  }
  thread_ = std::thread([this] {
    if (options_.live) GiveWay();
    const Status status = Run();
    if (!status.ok() && status.error().code != Code::kCancelled)
      owner_.Failed(status.error());
  });
}

void LogFeeder::Stop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void LogFeeder::Join() {
  if (thread_.joinable()) thread_.join();
}

// ---------------------------------------------------------------------- the taker's side

void LogFeeder::Offer(std::vector<Piece> pieces) {
  size_t bytes = 0;
  for (const Piece& piece : pieces) bytes += BytesOf(piece);
  std::lock_guard lock(mutex_);
  for (const Piece& piece : pieces)
    partitions_.at(piece.partition).durable_end = piece.end();
  const bool was_empty = items_.empty();
  const bool were_few = items_rows_ < kLingerRows && items_bytes_ < kLingerBytes;
  if (was_empty ||
      items_bytes_ + bytes <= static_cast<size_t>(options_.offered_bytes_max)) {
    if (was_empty) oldest_ = SteadyClock::now();
    for (Piece& piece : pieces) {
      items_rows_ += static_cast<int64_t>(piece.rows.size());
      items_bytes_ += BytesOf(piece);
      items_.emplace_back(std::move(piece));
    }
  }
  const bool are_few = items_rows_ < kLingerRows && items_bytes_ < kLingerBytes;
  if (was_empty || (were_few && !are_few)) wake_.notify_one();
}

void LogFeeder::NoteIdle(int partition, LogOffset at) {
  std::lock_guard lock(mutex_);
  items_.emplace_back(IdleNote{partition, at});
  ++urgent_;
  wake_.notify_one();
}

void LogFeeder::NoteMarker(MarkerNote marker) {
  std::lock_guard lock(mutex_);
  items_.emplace_back(std::move(marker));
  ++urgent_;
  wake_.notify_one();
}

LogOffset LogFeeder::handed(int partition) {
  std::lock_guard lock(mutex_);
  return {partitions_.at(partition).handed};
}

// ---------------------------------------------------------------------- the feeder's

Status LogFeeder::TellPositions() {
  for (auto& [number, partition] : partitions_)
    WEIR_TRY(Hand(PartitionNews{partition.position}, 0));
  return {};
}

Status LogFeeder::Run() {
  WEIR_TRY(TellPositions());
  bool told_end = options_.live;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto gap = NextGap();
    if (!gap && items_.empty()) {
      if (told_end) {
        wake_.wait(lock);
        continue;
      }
      lock.unlock();
      WEIR_TRY(Hand(EndOfInput{}, 0));
      told_end = true;
    } else if (gap) {
      // It may be long; markers need not wait for its end.
      lock.unlock();
      WEIR_TRY(SendWaitingMarkers());
      WEIR_TRY(ReadBack(*gap));
    } else if (std::holds_alternative<Piece>(items_.front())) {
      if (MayLinger(SteadyClock::now())) {
        wake_.wait_until(lock, oldest_ + kLinger);
        continue;
      }
      std::vector<Piece> pieces = TakePieces();
      lock.unlock();
      WEIR_TRY(HandPieces(std::move(pieces)));
    } else {
      Item item = TakeFront();
      lock.unlock();
      if (auto* marker = std::get_if<MarkerNote>(&item)) {
        WEIR_TRY(Send(std::move(*marker)));
      } else {
        PartitionPosition& position =
            partitions_.at(std::get<IdleNote>(item).partition).position;
        position.idle = true;
        WEIR_TRY(Hand(PartitionNews{position}, 0));
      }
    }
    lock.lock();
  }
  return {};
}

// With mutex_ held. What must be read back before the first item, or, when nothing waits,
// at all.
std::optional<LogFeeder::Gap> LogFeeder::NextGap() const {
  const auto before = [&](int number, int64_t offset) -> std::optional<Gap> {
    if (partitions_.at(number).position.next.value >= offset) return std::nullopt;
    return Gap{number, offset};
  };
  if (!items_.empty()) {
    if (const auto* piece = std::get_if<Piece>(&items_.front()))
      return before(piece->partition, piece->first.value);
    if (const auto* idle = std::get_if<IdleNote>(&items_.front()))
      return before(idle->partition, idle->at.value);
    return std::nullopt;
  }
  for (const auto& [number, partition] : partitions_) {
    if (auto gap = before(number, partition.durable_end)) return gap;
  }
  return std::nullopt;
}

// With mutex_ held. Where steps are counted, the cuts are as the records came.
bool LogFeeder::MayLinger(SteadyClock::time_point now) const {
  return context_.steps_per_marker == 0 && urgent_ == 0 && items_rows_ < kLingerRows &&
         items_bytes_ < kLingerBytes && now < oldest_ + kLinger;
}

// With mutex_ held. The pieces that stand in front without a gap, a step's worth at most.
std::vector<Piece> LogFeeder::TakePieces() {
  std::vector<Piece> out;
  std::map<int, int64_t> next;
  int64_t rows = 0, bytes = 0;
  while (!items_.empty()) {
    auto* piece = std::get_if<Piece>(&items_.front());
    if (piece == nullptr) break;
    const auto known = next.find(piece->partition);
    const int64_t due = known != next.end()
                            ? known->second
                            : partitions_.at(piece->partition).position.next.value;
    if (piece->first.value != due) break;
    rows += static_cast<int64_t>(piece->rows.size());
    bytes += static_cast<int64_t>(BytesOf(*piece));
    if (!out.empty() && (context_.steps_per_marker > 0 || rows > context_.step_rows ||
                         bytes > context_.step_bytes))
      break;
    next[piece->partition] = piece->end();
    out.push_back(std::get<Piece>(TakeFront()));
  }
  return out;
}

LogFeeder::Item LogFeeder::TakeFront() {
  Item item = std::move(items_.front());
  items_.pop_front();
  if (const auto* piece = std::get_if<Piece>(&item)) {
    items_rows_ -= static_cast<int64_t>(piece->rows.size());
    items_bytes_ -= BytesOf(*piece);
  } else {
    --urgent_;
  }
  if (!items_.empty()) oldest_ = SteadyClock::now();
  return item;
}

Status LogFeeder::SendWaitingMarkers() {
  std::vector<MarkerNote> markers;
  {
    std::lock_guard lock(mutex_);
    if (urgent_ == 0) return {};
    for (Item& item : items_) {
      if (auto* marker = std::get_if<MarkerNote>(&item))
        markers.push_back(std::move(*marker));
    }
    std::erase_if(items_, [](const Item& item) {
      return std::holds_alternative<MarkerNote>(item);
    });
    urgent_ -= markers.size();
  }
  for (MarkerNote& marker : markers) WEIR_TRY(Send(std::move(marker)));
  return {};
}

Status LogFeeder::Send(MarkerNote note) {
  Marker& marker = note.marker;
  for (const auto& [space, changes] : note.identities) changes.AddTo(marker.delta, space);
  for (const auto& [number, partition] : partitions_)
    marker.positions.push_back(partition.position);
  const size_t bytes = marker.delta.bytes();
  return Hand(std::move(marker), bytes);
}

Status LogFeeder::HandPieces(std::vector<Piece> pieces) {
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return a.partition < b.partition;
  });
  const std::span all(pieces);
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin + 1;
    while (end < all.size() && all[end].partition == all[begin].partition) ++end;
    WEIR_TRY(HandRun(all.subspan(begin, end - begin)));
    begin = end;
  }
  return {};
}

Status LogFeeder::HandRun(std::span<const Piece> pieces) {
  Partition& partition = partitions_.at(pieces[0].partition);
  std::vector<JudgedBatch> parts;
  int64_t rows = 0;
  for (const Piece& piece : pieces) {
    parts.push_back(WEIR_TRY(pipeline_->Build(piece.group->checked, piece.rows,
                                              piece.group->verdicts, piece.partition,
                                              piece.first, piece.group->received_at)));
    rows += static_cast<int64_t>(piece.rows.size());
  }
  partition.watermark =
      PartitionWatermark(pipeline_->rule(/*live=*/true), pieces.back().watermark);
  return HandOver(partition, WEIR_TRY(Joined(std::move(parts))), rows);
}

// A step's worth of what the log holds up to the gap's end.
Status LogFeeder::ReadBack(const Gap& gap) {
  Partition& partition = partitions_.at(gap.partition);
  const int64_t from = partition.position.next.value;
  const int64_t until =
      from < partition.open_end ? std::min(gap.until, partition.open_end) : gap.until;
  std::vector<PastBatch> past;
  int64_t rows = 0, bytes = 0, end = from;
  std::optional<Micros> floor;
  log::Log::Visitor visitor;
  visitor.control = [&](const log::ControlRecord& control) -> Result<bool> {
    if (const auto woken = WakeFloor(control)) floor = std::max(floor, woken);
    return true;
  };
  visitor.batch = [&](const log::RecordBatchView& view) -> Result<bool> {
    const auto count = static_cast<int64_t>(view.records.size());
    if (view.first.value >= until) return false;
    if (!past.empty() &&
        (rows + count > context_.step_rows ||
         bytes + static_cast<int64_t>(view.storage->size()) > context_.step_bytes))
      return false;
    rows += count;
    bytes += static_cast<int64_t>(view.storage->size());
    end = view.first.value + count;
    past.push_back({std::exchange(floor, std::nullopt), view.received_at, view.records,
                    view.storage});
    return end < until && context_.steps_per_marker == 0;
  };
  WEIR_TRY(partition.log->Read({from}, visitor));
  if (past.empty())
    return Corrupt(fmt::format("the log of partition {} holds nothing at offset {}",
                               gap.partition, from));
  if (from < partition.open_end) {
    if (!owner_.Remember(gap.partition, past, {end}, partition.watermark))
      return Cancelled();
    WEIR_TRY(SendWaitingMarkers());
  }
  return HandPast(partition, past, {end});
}

Status LogFeeder::HandPast(Partition& partition, std::span<const PastBatch> past,
                           LogOffset end) {
  std::vector<std::string_view> records;
  std::vector<log::Verdict> verdicts;
  std::vector<int32_t> rows;
  std::vector<Micros> received_at;
  for (const PastBatch& batch : past) {
    if (batch.floor) static_cast<void>(partition.watermark.Wake(*batch.floor));
    for (const log::Record& record : batch.records) {
      rows.push_back(static_cast<int32_t>(records.size()));
      records.push_back(record.bytes);
      verdicts.push_back(record.verdict);
      received_at.push_back(batch.received_at);
      if (record.verdict == log::Verdict::kAccepted)
        static_cast<void>(
            partition.watermark.Accept(record.event_time, batch.received_at));
    }
  }
  const Checked checked = WEIR_TRY(pipeline_->Check(records));
  const PartitionPosition& position = partition.position;
  return HandOver(partition,
                  WEIR_TRY(pipeline_->Build(checked, rows, verdicts, position.partition,
                                            position.next, received_at)),
                  end.value - position.next.value);
}

Status LogFeeder::HandOver(Partition& partition, JudgedBatch batch, int64_t rows) {
  batch.counts.received = rows;
  partition.position.next.value += rows;
  partition.position.watermark = partition.watermark.value();
  partition.position.idle = false;
  {
    std::lock_guard lock(mutex_);
    partition.handed = partition.position.next.value;
  }
  batch.after = partition.position;
  const auto bytes = static_cast<size_t>(batch.bytes) * 2;
  WEIR_TRY(Hand(std::move(batch), bytes));
  if (context_.steps_per_marker == 0 || ++steps_ % context_.steps_per_marker != 0)
    return {};
  if (!owner_.MakeMarker()) return Cancelled();
  return SendWaitingMarkers();
}

template <class T>
Status LogFeeder::Hand(T what, size_t bytes) {
  SourceEvent event{context_.index, std::move(what)};
  if (!context_.queue->Push(std::move(event), bytes)) return Cancelled();
  return {};
}

}  // namespace weir::ingest
