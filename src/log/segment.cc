#include "log/segment_internal.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "base/event.h"

namespace weir::log {
namespace {

constexpr std::string_view kSuffix = ".log";
constexpr size_t kDigits = 20;
constexpr uint64_t kSparseBytes = 256 << 10;

Result<std::string> ReadBytes(io::File& file, uint64_t position, size_t size) {
  std::string bytes(size, '\0');
  bytes.resize(WEIR_TRY(file.ReadAt(position, size, bytes.data())));
  return bytes;
}

// A damaged header does not take the segment with it: every frame carries the salt too,
// and one that passes its checksum proves it. 0: nothing here is valid.
Result<uint32_t> FindSalt(io::File& file, uint64_t size, const std::string& path) {
  const std::string head = WEIR_TRY(ReadBytes(file, 0, kSegmentHeaderBytes));
  if (const auto header = DecodeSegmentHeader(head)) {
    if (header->version != 1) {
      return Invalid(fmt::format("{} has format version {}, this Weir reads 1", path,
                                 header->version));
    }
    return header->salt;
  }
  for (uint64_t position = 0; position < size; position += kSparseBytes) {
    const std::string bytes = WEIR_TRY(ReadBytes(file, position, kSparseBytes + 7));
    for (size_t at = bytes.find(kFrameMagic); at != std::string::npos;
         at = bytes.find(kFrameMagic, at + 1)) {
      if (at + 8 > bytes.size()) break;
      uint32_t salt;
      std::memcpy(&salt, bytes.data() + at + 4, 4);
      if (WEIR_TRY(FrameReader(file, size, salt)
                       .At(position + at, FrameReader::Check::kPayload))) {
        Event("log_damaged", Severity::kError).With("file", path).With("position", 0);
        return salt;
      }
    }
  }
  return uint32_t{0};
}

struct Sealed {
  uint32_t salt;
  int64_t end;
  std::vector<SparseEntry> sparse;
};

// Whether this can be what a writer noted of the frames before its seal.
bool CanBe(const std::vector<SparseEntry>& sparse, const Frame& seal) {
  SparseEntry before{-1, kSegmentHeaderBytes - 1};
  for (const SparseEntry& entry : sparse) {
    if (entry.offset <= before.offset || entry.position <= before.position) return false;
    before = entry;
  }
  return before.offset < seal.first && before.position < seal.position;
}

// nullopt: no valid trailer and seal.
Result<std::optional<Sealed>> ReadSeal(io::File& file, uint64_t size) {
  if (size < kSegmentHeaderBytes + kTrailerBytes) return std::nullopt;
  const std::string tail = WEIR_TRY(ReadBytes(file, size - kTrailerBytes, kTrailerBytes));
  const auto trailer = DecodeTrailer(tail);
  if (!trailer) return std::nullopt;
  FrameReader reader(file, size, trailer->salt);
  const auto seal =
      WEIR_TRY(reader.At(trailer->seal_position, FrameReader::Check::kIndex));
  if (!seal || seal->type != FrameType::kSeal) return std::nullopt;
  std::vector<SparseEntry> sparse = DecodeSealIndex(seal->index);
  if (!CanBe(sparse, *seal)) return std::nullopt;
  return Sealed{trailer->salt, seal->first, std::move(sparse)};
}

struct Scan {
  uint64_t valid =
      kSegmentHeaderBytes;  // the file is good, or damaged and named, up to here
  bool marked = false;
};

// Walks a segment that is not sealed, up to where records from `end_max` on begin. Bad
// bytes are damage when something valid was written by a later write (then they had been
// synced before), else they are an append that never was acknowledged.
Result<Scan> ScanOpen(io::File& file, uint64_t size, int64_t end_max, Segment& segment) {
  FrameReader reader(file, size, segment.salt);
  Scan scan;
  while (scan.valid < size) {
    auto frame = WEIR_TRY(reader.At(scan.valid, FrameReader::Check::kPayload));
    if (!frame) {
      frame = WEIR_TRY(reader.FindFrom(scan.valid + 1));
      auto later = frame;
      while (later && later->group <= scan.valid) {
        later = WEIR_TRY(reader.FindFrom(later->position + later->bytes));
      }
      if (!later || later->end() > end_max) break;
      // The window may have moved on; the frame is read again.
      frame = WEIR_TRY(reader.FindFrom(scan.valid + 1));
      Event("log_damaged", Severity::kError)
          .With("file", segment.path)
          .With("position", scan.valid)
          .With("bytes", frame->position - scan.valid)
          .With("offset", segment.end)
          .With("offsets", frame->first - segment.end);
    }
    if (frame->type == FrameType::kSeal)
      break;  // its trailer is torn; it holds no records and is cut
    if (frame->end() > end_max) break;
    if (frame->count > 0) segment.NoteBatch(frame->first, frame->position);
    segment.end = frame->end();
    scan.valid = frame->position + frame->bytes;
    scan.marked = frame->type == FrameType::kMark;
  }
  return scan;
}

}  // namespace

SparseEntry Segment::Before(int64_t from) const {
  const auto it = std::lower_bound(
      sparse.begin(), sparse.end(), from,
      [](const SparseEntry& entry, int64_t offset) { return entry.offset < offset; });
  return it == sparse.begin() ? SparseEntry{first, kSegmentHeaderBytes} : *std::prev(it);
}

void Segment::NoteBatch(int64_t offset, uint64_t position) {
  if (sparse.empty() || position - sparse.back().position >= kSparseBytes) {
    sparse.push_back({offset, position});
  }
}

std::string SegmentName(SegmentId id) {
  return id.owner == 0 ? fmt::format("{:020}{}", id.first, kSuffix)
                       : fmt::format("{:020}-{}{}", id.first, id.owner, kSuffix);
}

std::optional<SegmentId> ParseSegmentName(std::string_view name) {
  if (name.size() < kDigits + kSuffix.size() || !name.ends_with(kSuffix))
    return std::nullopt;
  name.remove_suffix(kSuffix.size());
  SegmentId id;
  const auto number = [](std::string_view text, int64_t* out) {
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), *out);
    return error == std::errc() && end == text.data() + text.size() && *out >= 0;
  };
  if (!number(name.substr(0, kDigits), &id.first)) return std::nullopt;
  if (name.size() == kDigits) return id;
  const std::string_view owner = name.substr(kDigits + 1);
  if (name[kDigits] != '-' || owner.starts_with('0') || !number(owner, &id.owner))
    return std::nullopt;
  return id;
}

namespace {

struct Beginning {
  std::optional<Begin> begin;
  bool holds_nothing = false;  // not one valid frame: its first write did not get through
};
Result<Beginning> ReadBegin(io::Io& io, const std::string& path) {
  auto file = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  const uint64_t size = WEIR_TRY(file->Size());
  const uint32_t salt = WEIR_TRY(FindSalt(*file, size, path));
  FrameReader reader(*file, size, salt);
  const auto frame = WEIR_TRY(reader.At(kSegmentHeaderBytes, FrameReader::Check::kIndex));
  if (frame && frame->type == FrameType::kBegin)
    return Beginning{DecodeBegin(frame->index)};
  return Beginning{std::nullopt,
                   !WEIR_TRY(reader.FindFrom(kSegmentHeaderBytes)).has_value()};
}

}  // namespace

Result<std::vector<Link>> FindChain(io::Io& io, const std::string& dir,
                                    std::vector<SegmentId>* stragglers) {
  std::vector<SegmentId> ids;
  for (const std::string& name : WEIR_TRY(io.List(dir))) {
    if (const auto id = ParseSegmentName(name)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  std::vector<Link> chain;
  if (ids.empty()) return chain;
  size_t i = ids.size() - 1;
  // An owner that was killed when it had just made its first segment leaves nothing that
  // says how much of the one before counts. Without that segment the next owner finds it
  // out, and says it in its own.
  while (i > 0 && ids[i - 1].owner != ids[i].owner &&
         WEIR_TRY(ReadBegin(io, io::Join(dir, SegmentName(ids[i])))).holds_nothing)
    stragglers->push_back(ids[i--]);
  chain.push_back({ids[i], std::nullopt, false});
  while (i > 0) {
    Link link{ids[i - 1], std::nullopt, ids[i - 1].owner != ids[i].owner};
    if (link.may_be_open) {
      const auto begin =
          WEIR_TRY(ReadBegin(io, io::Join(dir, SegmentName(ids[i])))).begin;
      if (begin) {
        const SegmentId behind{begin->behind_owner, begin->behind_first};
        while (i > 0 && ids[i - 1] > behind) stragglers->push_back(ids[--i]);
        if (i == 0) break;
        link.id = ids[i - 1];
        if (link.id == behind) link.bytes_max = begin->behind_bytes;
      }
    }
    chain.push_back(link);
    --i;
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

Result<Segment> OpenSealed(io::Io& io, const std::string& path, const Link& link,
                           int64_t next_first) {
  auto file = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  uint64_t size = WEIR_TRY(file->Size());
  if (link.bytes_max) size = std::min(size, *link.bytes_max);
  Segment segment{.path = path, .first = link.id.first, .end = next_first, .bytes = size};
  auto sealed = WEIR_TRY(ReadSeal(*file, size));
  if (sealed) {
    segment.salt = sealed->salt;
    segment.end = sealed->end;
    segment.sparse = std::move(sealed->sparse);
  } else {
    if (!link.may_be_open)
      Event("log_damaged", Severity::kError).With("file", path).With("position", size);
    segment.salt = WEIR_TRY(FindSalt(*file, size, path));
    // Nothing says how many of its bytes count: those up to the next one's first offset.
    if (link.may_be_open && !link.bytes_max)
      segment.bytes = WEIR_TRY(ScanOpen(*file, size, next_first, segment)).valid;
    segment.end = next_first;
  }
  return segment;
}

Result<NewestSegment> OpenNewest(io::Io& io, const std::string& path, int64_t first,
                                 bool ours) {
  std::shared_ptr<io::File> file =
      WEIR_TRY(io.Open(path, ours ? io::OpenMode::kReadWrite : io::OpenMode::kRead));
  const uint64_t size = WEIR_TRY(file->Size());
  NewestSegment newest{
      .segment = {.path = path, .first = first, .end = first, .bytes = size}};
  Segment& segment = newest.segment;
  auto sealed = WEIR_TRY(ReadSeal(*file, size));
  // No writer seals a segment without records: the next one would have its name.
  if (sealed && sealed->end > first) {
    segment.salt = sealed->salt;
    segment.end = sealed->end;
    segment.sparse = std::move(sealed->sparse);
    newest.sealed = true;
    WEIR_TRY(file->Sync());
    return newest;
  }
  segment.salt = WEIR_TRY(FindSalt(*file, size, path));
  const Scan scan =
      WEIR_TRY(ScanOpen(*file, size, std::numeric_limits<int64_t>::max(), segment));
  segment.bytes = scan.valid;
  newest.marked = scan.marked;
  if (!ours) {
    if (scan.valid < size)
      Event("log_tail_left_out", Severity::kInfo)
          .With("file", path)
          .With("position", scan.valid)
          .With("bytes", size - scan.valid);
    WEIR_TRY(file->Sync());
    return newest;
  }
  if (scan.valid == kSegmentHeaderBytes) {
    // Nothing was ever acknowledged here, and the header may be torn too: begin it again.
    // The name says which offset comes first.
    segment.salt = segment.salt == 0 ? 1 : segment.salt;
    WEIR_TRY(file->Truncate(0));
    WEIR_TRY(file->WriteAt(0, EncodeSegmentHeader(segment.salt, first)));
  } else if (scan.valid < size) {
    Event("log_tail_cut", Severity::kInfo)
        .With("file", path)
        .With("position", scan.valid)
        .With("bytes", size - scan.valid);
    WEIR_TRY(file->Truncate(scan.valid));
  }
  WEIR_TRY(file->Sync());
  segment.file = std::move(file);
  return newest;
}

Result<bool> ReadSegment(io::Io& io, const Segment& segment, LogOffset from,
                         const Log::Visitor& visitor, int64_t& expected) {
  std::shared_ptr<io::File> file = segment.file;
  if (file == nullptr) file = WEIR_TRY(io.Open(segment.path, io::OpenMode::kRead));
  FrameReader reader(*file, segment.bytes, segment.salt);
  const SparseEntry begin = segment.Before(from.value);
  uint64_t position = begin.position;
  expected = begin.offset;
  RecordBatchView batch;
  while (position < segment.bytes) {
    auto frame = WEIR_TRY(reader.At(position, FrameReader::Check::kIndex));
    const bool wanted =
        frame && frame->type == FrameType::kBatch && frame->end() > from.value;
    if (wanted && visitor.payload) {
      frame = WEIR_TRY(reader.At(position, FrameReader::Check::kPayload));
    }
    if (!frame || frame->first != expected) {
      const uint64_t bad = position;
      const auto next = WEIR_TRY(reader.FindFrom(bad + 1));
      const int64_t next_first = next ? next->first : segment.end;
      // Damage before `from` does not matter, unless a decision that is in force at
      // `from` is in it.
      const bool passed = next_first <= from.value && next_first > expected;
      if (!passed) {
        return Corrupt(
            fmt::format("{} at byte {}: bad checksum; offsets {} to {} are lost",
                        segment.path, bad, expected, next_first - 1));
      }
      expected = next_first;
      position = next ? next->position : segment.bytes;
      continue;
    }
    expected = frame->end();
    position += frame->bytes;
    if (frame->type == FrameType::kSeal) break;
    if (wanted) {
      std::shared_ptr<std::string> payload;
      if (visitor.payload) {
        const std::string_view stored = WEIR_TRY(reader.Payload(*frame));
        auto decoded = DecodePayload(*frame, stored);
        if (!decoded.ok())
          return std::move(decoded).error().Within(
              fmt::format("{} at byte {}", segment.path, frame->position));
        payload = *std::move(decoded);
      }
      const auto skip =
          static_cast<uint32_t>(std::max<int64_t>(0, from.value - frame->first));
      const Status decoded = DecodeRecords(*frame, skip, std::move(payload), batch);
      if (!decoded.ok())
        return Error(decoded.error())
            .Within(fmt::format("{} at byte {}", segment.path, frame->position));
      if (!WEIR_TRY(visitor.batch(batch))) return false;
    } else if (frame->type == FrameType::kControl && frame->first >= from.value &&
               visitor.control) {
      const auto control = DecodeControl(*frame);
      if (!control)
        return Corrupt(
            fmt::format("{} at byte {}: not a control record", segment.path, position));
      if (!WEIR_TRY(visitor.control(*control))) return false;
    }
  }
  return true;
}

}  // namespace weir::log
