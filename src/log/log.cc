#include "log/log.h"

#include <fmt/format.h>

#include <random>

#include "base/event.h"
#include "base/guarded.h"
#include "log/frame_internal.h"
#include "log/segment_internal.h"

namespace weir::log {
namespace {

using Segments = std::vector<std::shared_ptr<const Segment>>;  // ascending

class SegmentLog final : public Log {
 public:
  SegmentLog(io::Io& io, std::string dir, LogOptions options)
      : io_(io), dir_(std::move(dir)), options_(options), encoder_(options.zstd_level) {}
  ~SegmentLog() override { Mark(); }

  Status Load();
  Result<LogOffset> Append(Micros received_at, std::span<const Record> records) override;
  Status AppendControl(std::string_view kind, std::string_view json) override;
  Status Sync() override;
  LogOffset begin() const override { return {begin_.load(std::memory_order_acquire)}; }
  LogOffset end() const override { return {end_.load(std::memory_order_acquire)}; }
  Status Read(LogOffset from, const Visitor& visitor) override;
  Status Release(LogOffset offset, const std::string& archive_dir) override;
  uint64_t bytes() const override { return bytes_.load(std::memory_order_relaxed); }
  uint64_t bytes_from(LogOffset from) const override;

 private:
  Status LoadOnce();
  void RemoveStragglers(const std::vector<SegmentId>& stragglers);
  Status CheckRoom(uint64_t bytes) const;
  // The fields of the next frame; begins a segment when none is open.
  FrameFields NextFields();
  // What stands behind the frames when they are written.
  enum class Tail : uint8_t { kAhead, kCut };
  Status Write(Tail tail);
  Status MakeRoomAhead(uint64_t end);
  Status Seal();
  Status WriteAndRoll();
  void Mark();
  void Publish();
  Segments segments() {
    return visible_.With([](const Segments& segments) { return segments; });
  }

  io::Io& io_;
  const std::string dir_;
  const LogOptions options_;
  BatchEncoder encoder_;
  mutable Guarded<Segments> visible_;  // what readers see: changed only after a sync
  std::atomic<int64_t> begin_{0}, end_{0};
  std::atomic<uint64_t> bytes_{0};

  // The owner's side: the segment being written, and what Sync will write to it.
  std::optional<Segment> active_;
  std::string buffer_;  // with a new segment's header
  uint64_t ahead_ = 0;  // size of the file where it was filled with zeros
  bool marked_ = false;
  std::optional<Begin> behind_;  // what our first segment is to say of the one before
  std::optional<Error> dead_;
};

Status SegmentLog::Load() {
  WEIR_TRY(io_.CreateDirs(dir_));
  // A replaced owner that is still alive may archive a released segment under our eyes.
  Status loaded = LoadOnce();
  for (int i = 0; i < 3 && !loaded.ok() && loaded.error().code == Code::kNotFound; ++i)
    loaded = LoadOnce();
  return loaded;
}

Status SegmentLog::LoadOnce() {
  std::vector<SegmentId> stragglers;
  const std::vector<Link> chain = WEIR_TRY(FindChain(io_, dir_, &stragglers));
  if (chain.empty()) return {};
  Segments segments;
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    segments.push_back(std::make_shared<Segment>(
        WEIR_TRY(OpenSealed(io_, io::Join(dir_, SegmentName(chain[i].id)), chain[i],
                            chain[i + 1].id.first))));
  }
  const SegmentId last = chain.back().id;
  const bool ours = options_.owner == 0 && last.owner == 0;
  NewestSegment newest =
      WEIR_TRY(OpenNewest(io_, io::Join(dir_, SegmentName(last)), last.first, ours));
  WEIR_TRY(io_.SyncDir(dir_));
  begin_ = chain.front().id.first;
  end_ = newest.segment.end;
  marked_ = newest.marked;
  uint64_t bytes = newest.segment.bytes;
  for (const auto& segment : segments) bytes += segment->bytes;
  bytes_ = bytes;
  segments.push_back(std::make_shared<Segment>(newest.segment));
  if (ours && !newest.sealed) active_ = std::move(newest.segment);
  if (!ours) behind_ = Begin{last.owner, last.first, newest.segment.bytes};
  visible_.With([&](Segments& visible) { visible = std::move(segments); });
  if (options_.owner > last.owner) RemoveStragglers(stragglers);
  return {};
}

void SegmentLog::RemoveStragglers(const std::vector<SegmentId>& stragglers) {
  for (const SegmentId id : stragglers) {
    const std::string path = io::Join(dir_, SegmentName(id));
    // One that stays is left out again next time.
    const bool removed = io_.Remove(path).ok();
    Event("log_straggler", Severity::kWarning)
        .With("file", path)
        .With("removed", removed);
  }
}

Status SegmentLog::CheckRoom(uint64_t bytes) const {
  if (dead_) return *dead_;
  if (buffer_.size() + bytes > kGroupBytesMax) {
    return Invalid("more than 1 GiB was appended without a sync");
  }
  return {};
}

FrameFields SegmentLog::NextFields() {
  const int64_t next = end_.load(std::memory_order_relaxed);
  if (!active_) {
    active_ = Segment{.path = io::Join(dir_, SegmentName({options_.owner, next})),
                      .salt = static_cast<uint32_t>(std::random_device{}()) | 1,
                      .first = next,
                      .end = next};
    buffer_ = EncodeSegmentHeader(active_->salt, next);
    ahead_ = 0;
    if (behind_) {
      EncodeFrame(FrameType::kBegin,
                  {.salt = active_->salt, .group = kSegmentHeaderBytes, .first = next},
                  EncodeBeginIndex(*std::exchange(behind_, {})), buffer_);
    }
  }
  const uint64_t group = active_->bytes == 0 ? kSegmentHeaderBytes : active_->bytes;
  return {.salt = active_->salt, .group = group, .first = next};
}

Result<LogOffset> SegmentLog::Append(Micros received_at,
                                     std::span<const Record> records) {
  uint64_t bytes = 0;
  for (const Record& record : records)
    bytes += record.bytes.size() + kIndexBytesPerRecord;
  WEIR_TRY(CheckRoom(bytes));
  if (records.empty()) return end();
  FrameFields fields = NextFields();
  fields.received_at = received_at;
  const size_t begin = buffer_.size();
  WEIR_TRY(encoder_.Encode(fields, records, buffer_));
  active_->NoteBatch(fields.first, active_->bytes + begin);
  active_->end = fields.first + static_cast<int64_t>(records.size());
  end_.store(active_->end, std::memory_order_release);
  return LogOffset{fields.first};
}

Status SegmentLog::AppendControl(std::string_view kind, std::string_view json) {
  WEIR_TRY(CheckRoom(kind.size() + json.size()));
  const FrameFields fields = NextFields();
  EncodeFrame(FrameType::kControl, fields, EncodeControlIndex(kind, json), buffer_);
  return {};
}

// Writes the buffer and makes it durable.
Status SegmentLog::Write(Tail tail) {
  const bool is_new = active_->file == nullptr;
  if (is_new) active_->file = WEIR_TRY(io_.Open(active_->path, io::OpenMode::kCreateNew));
  const uint64_t written = buffer_.size(), end = active_->bytes + written;
  WEIR_TRY(active_->file->WriteAt(active_->bytes, buffer_));
  if (tail == Tail::kAhead && options_.ahead_bytes > 0 && end > ahead_)
    WEIR_TRY(MakeRoomAhead(end));
  if (tail == Tail::kCut && end < ahead_) {
    WEIR_TRY(active_->file->Truncate(end));
    ahead_ = 0;
  }
  WEIR_TRY(active_->file->Sync());
  if (is_new) WEIR_TRY(io_.SyncDir(dir_));
  active_->bytes = end;
  bytes_ += written;
  buffer_.clear();
  if (buffer_.capacity() > (16u << 20)) buffer_.shrink_to_fit();
  return {};
}

// Zeros behind `end`, as far as a step ends. A disk that has no place for them may still
// have some for the records: it gets back what was taken.
Status SegmentLog::MakeRoomAhead(uint64_t end) {
  const uint64_t step = options_.ahead_bytes;
  ahead_ = (end + step - 1) / step * step;
  if (active_->file->WriteAt(end, std::string(ahead_ - end, '\0')).ok()) return {};
  ahead_ = 0;
  return active_->file->Truncate(end);
}

// Closes the segment with its sparse index. A write of its own, so that a seal proves
// that all before it was synced.
Status SegmentLog::Seal() {
  const uint64_t position = active_->bytes;
  EncodeFrame(FrameType::kSeal, NextFields(), EncodeSealIndex(active_->sparse), buffer_);
  buffer_ += EncodeTrailer(active_->salt, position);
  WEIR_TRY(Write(Tail::kCut));
  active_->file.reset();
  return {};
}

Status SegmentLog::WriteAndRoll() {
  WEIR_TRY(Write(Tail::kAhead));
  marked_ = false;
  if (active_->end > active_->first && active_->bytes >= options_.segment_bytes_max)
    WEIR_TRY(Seal());
  return {};
}

Status SegmentLog::Sync() {
  if (dead_) return *dead_;
  if (buffer_.empty()) return {};
  Status written = WriteAndRoll();
  if (!written.ok()) {
    dead_ = std::move(written).error();
    dead_->message = fmt::format("the log takes no more: {}", dead_->message);
    return *dead_;
  }
  Publish();
  if (active_->file == nullptr) active_.reset();
  return {};
}

void SegmentLog::Publish() {
  auto segment = std::make_shared<const Segment>(*active_);
  visible_.With([&](Segments& visible) {
    if (!visible.empty() && visible.back()->path == segment->path) visible.pop_back();
    visible.push_back(std::move(segment));
  });
}

// After a clean close the last append can no longer be taken for a torn one. What was not
// synced was not acknowledged and is dropped.
void SegmentLog::Mark() {
  if (dead_ || !active_ || active_->file == nullptr || marked_) return;
  buffer_.clear();
  const int64_t synced_end = segments().back()->end;
  EncodeFrame(FrameType::kMark,
              {.salt = active_->salt, .group = active_->bytes, .first = synced_end}, {},
              buffer_);
  const Status written = Write(Tail::kCut);
  if (!written.ok()) {
    Event("log_close_failed", Severity::kWarning)
        .With("dir", dir_)
        .With("error", written.error().message);
  }
}

uint64_t SegmentLog::bytes_from(LogOffset from) const {
  return visible_.With([&](const Segments& segments) {
    uint64_t bytes = 0;
    for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
      if ((*segment)->end <= from.value) break;
      const uint64_t before =
          (*segment)->first >= from.value ? 0 : (*segment)->Before(from.value).position;
      bytes += (*segment)->bytes - before;
    }
    return bytes;
  });
}

Status SegmentLog::Read(LogOffset from, const Visitor& visitor) {
  const auto all = segments();
  if (all.empty()) return {};
  if (from.value < all.front()->first) {
    return NotFound(fmt::format("offset {} of {} was released; it begins at {}",
                                from.value, dir_, all.front()->first));
  }
  // One that begins at `from` itself may be preceded by controls in force at `from`.
  size_t i = 0;
  while (i + 1 < all.size() && all[i + 1]->first < from.value) ++i;
  for (int64_t expected = all[i]->first; i < all.size(); ++i) {
    if (all[i]->first > expected && all[i]->first > from.value) {
      return Corrupt(fmt::format("{}: offsets {} to {} are missing", dir_, expected,
                                 all[i]->first - 1));
    }
    if (all[i]->first < expected) {
      return Corrupt(fmt::format("{}: offsets {} to {} are there twice", dir_,
                                 all[i]->first, expected - 1));
    }
    if (!WEIR_TRY(ReadSegment(io_, *all[i], from, visitor, expected))) break;
  }
  return {};
}

Status SegmentLog::Release(LogOffset offset, const std::string& archive_dir) {
  if (dead_) return *dead_;
  if (!archive_dir.empty()) WEIR_TRY(io_.CreateDirs(archive_dir));
  for (;;) {
    const auto all = segments();
    // The newest stays: it knows the end. One that ends at `offset` may hold controls in
    // force there.
    if (all.size() < 2 || all.front()->end >= offset.value) return {};
    const Segment& oldest = *all.front();
    // One by one, so that what a power cut leaves has no hole; the new name is durable
    // before the old one goes.
    // A replaced owner that woke may have done it already: it was told so by a commit.
    const Status gone =
        archive_dir.empty()
            ? io_.Remove(oldest.path)
            : io_.Rename(oldest.path, io::Join(archive_dir, io::BaseName(oldest.path)));
    if (!gone.ok() && gone.error().code != Code::kNotFound) return gone;
    if (!archive_dir.empty()) WEIR_TRY(io_.SyncDir(archive_dir));
    WEIR_TRY(io_.SyncDir(dir_));
    bytes_ -= oldest.bytes;
    begin_.store(all[1]->first, std::memory_order_release);
    visible_.With([](Segments& visible) { visible.erase(visible.begin()); });
  }
}

}  // namespace

Result<std::unique_ptr<Log>> Log::Open(io::Io& io, const std::string& dir,
                                       LogOptions options) {
  auto log = std::make_unique<SegmentLog>(io, dir, options);
  WEIR_TRY(log->Load());
  return std::unique_ptr<Log>(std::move(log));
}

}  // namespace weir::log
