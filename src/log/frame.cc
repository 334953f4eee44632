#include <fmt/format.h>
#include <zstd.h>

#include <bit>
#include <cstring>

#include "base/hash.h"
#include "log/frame_internal.h"

namespace weir::log {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::string_view kSegmentMagic = "WEIRLOG\n";
constexpr std::string_view kTrailerMagic = "WLE1";
constexpr uint32_t kVersion = 1;
constexpr size_t kWindowBytes = 256 << 10;

template <class T>
void Put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

template <class T>
void PutAt(char* out, size_t at, T value) {
  std::memcpy(out + at, &value, sizeof(T));
}

template <class T>
T Get(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// Over everything but the checksum's own four bytes at 8.
uint32_t FrameCrc(std::string_view header_and_index) {
  return Crc32c(header_and_index.substr(12), Crc32c(header_and_index.substr(0, 8)));
}

struct FrameHeader {
  FrameType type;
  PayloadCodec codec = PayloadCodec::kNone;
  uint32_t count = 0, index_bytes = 0, payload_bytes = 0, payload_raw_bytes = 0,
           payload_crc = 0;
};

// Writes header and checksum over a frame whose index already stands at out[begin + 64].
void FinishFrame(const FrameFields& fields, const FrameHeader& header, size_t begin,
                 std::string& out) {
  char* p = out.data() + begin;
  std::memset(p, 0, kFrameHeaderBytes);
  std::memcpy(p, kFrameMagic.data(), 4);
  PutAt(p, 4, fields.salt);
  PutAt(p, 12, header.type);
  PutAt(p, 13, header.codec);
  PutAt(p, 16, fields.group);
  PutAt(p, 24, fields.first);
  PutAt(p, 32, fields.received_at);
  PutAt(p, 40, header.count);
  PutAt(p, 44, header.index_bytes);
  PutAt(p, 48, header.payload_bytes);
  PutAt(p, 52, header.payload_raw_bytes);
  PutAt(p, 56, header.payload_crc);
  PutAt(p, 8, FrameCrc(std::string_view(p, kFrameHeaderBytes + header.index_bytes)));
}

}  // namespace

std::string EncodeSegmentHeader(uint32_t salt, int64_t first) {
  std::string out(kSegmentMagic);
  Put(out, kVersion);
  Put(out, salt);
  Put(out, first);
  Put(out, uint32_t{0});
  Put(out, Crc32c(out));
  return out;
}

std::optional<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes || bytes.substr(0, 8) != kSegmentMagic ||
      Get<uint32_t>(bytes, 28) != Crc32c(bytes.substr(0, 28))) {
    return std::nullopt;
  }
  return SegmentHeader{Get<uint32_t>(bytes, 8), Get<uint32_t>(bytes, 12),
                       Get<int64_t>(bytes, 16)};
}

std::string EncodeTrailer(uint32_t salt, uint64_t seal_position) {
  std::string out(kTrailerMagic);
  Put(out, salt);
  Put(out, seal_position);
  Put(out, uint32_t{0});
  Put(out, Crc32c(out));
  return out;
}

std::optional<Trailer> DecodeTrailer(std::string_view bytes) {
  if (bytes.size() != kTrailerBytes || bytes.substr(0, 4) != kTrailerMagic ||
      Get<uint32_t>(bytes, 20) != Crc32c(bytes.substr(0, 20))) {
    return std::nullopt;
  }
  return Trailer{Get<uint32_t>(bytes, 4), Get<uint64_t>(bytes, 8)};
}

BatchEncoder::BatchEncoder(int zstd_level) : context_(ZSTD_createCCtx()) {
  WEIR_CHECK(context_ != nullptr);
  ZSTD_CCtx_setParameter(static_cast<ZSTD_CCtx*>(context_), ZSTD_c_compressionLevel,
                         zstd_level);
}

BatchEncoder::~BatchEncoder() { ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(context_)); }

Status BatchEncoder::Encode(const FrameFields& fields, std::span<const Record> records,
                            std::string& out) {
  const size_t begin = out.size();
  const size_t n = records.size();
  size_t raw_bytes = 0;
  for (const Record& record : records) raw_bytes += record.bytes.size();
  if (raw_bytes + n * kIndexBytesPerRecord > kGroupBytesMax) {
    return Invalid(
        fmt::format("a batch of {} bytes is more than a frame may hold", raw_bytes));
  }

  raw_.clear();
  raw_.reserve(raw_bytes);
  out.resize(begin + kFrameHeaderBytes + n * kIndexBytesPerRecord);
  char* lengths = out.data() + begin + kFrameHeaderBytes;
  char* verdicts = lengths + 4 * n;
  char* identities = verdicts + n;
  char* contents = identities + 16 * n;
  char* times = contents + 8 * n;
  for (size_t i = 0; i < n; ++i) {
    const Record& record = records[i];
    PutAt(lengths, 4 * i, static_cast<uint32_t>(record.bytes.size()));
    PutAt(verdicts, i, record.verdict);
    PutAt(identities, 16 * i, record.identity.low);
    PutAt(identities, 16 * i + 8, record.identity.high);
    PutAt(contents, 8 * i, record.content);
    PutAt(times, 8 * i, record.event_time);
    raw_ += record.bytes;
  }

  const size_t payload = out.size();
  PayloadCodec codec = PayloadCodec::kZstd;
  out.resize(payload + ZSTD_compressBound(raw_.size()));
  const size_t stored =
      ZSTD_compress2(static_cast<ZSTD_CCtx*>(context_), out.data() + payload,
                     out.size() - payload, raw_.data(), raw_.size());
  if (ZSTD_isError(stored) || stored >= raw_.size()) {
    codec = PayloadCodec::kNone;
    out.resize(payload);
    out += raw_;
  } else {
    out.resize(payload + stored);
  }
  const std::string_view written = std::string_view(out).substr(payload);
  FinishFrame(fields,
              {.type = FrameType::kBatch,
               .codec = codec,
               .count = static_cast<uint32_t>(n),
               .index_bytes = static_cast<uint32_t>(n * kIndexBytesPerRecord),
               .payload_bytes = static_cast<uint32_t>(written.size()),
               .payload_raw_bytes = static_cast<uint32_t>(raw_.size()),
               .payload_crc = Crc32c(written)},
              begin, out);
  if (raw_.capacity() > (16u << 20)) std::string().swap(raw_);
  return {};
}

void EncodeFrame(FrameType type, const FrameFields& fields, std::string_view index,
                 std::string& out) {
  const size_t begin = out.size();
  out.resize(begin + kFrameHeaderBytes);
  out += index;
  FinishFrame(fields, {.type = type, .index_bytes = static_cast<uint32_t>(index.size())},
              begin, out);
}

std::string EncodeControlIndex(std::string_view kind, std::string_view json) {
  std::string out;
  Put(out, static_cast<uint32_t>(kind.size()));
  out += kind;
  out += json;
  return out;
}

std::optional<ControlRecord> DecodeControl(const Frame& frame) {
  if (frame.index.size() < 4) return std::nullopt;
  const auto kind_bytes = Get<uint32_t>(frame.index, 0);
  const std::string_view rest = frame.index.substr(4);
  if (kind_bytes > rest.size()) return std::nullopt;
  return ControlRecord{{frame.first},
                       std::string(rest.substr(0, kind_bytes)),
                       std::string(rest.substr(kind_bytes))};
}

std::string EncodeBeginIndex(const Begin& begin) {
  std::string out;
  Put(out, begin.behind_owner);
  Put(out, begin.behind_first);
  Put(out, begin.behind_bytes);
  return out;
}

std::optional<Begin> DecodeBegin(std::string_view index) {
  if (index.size() < 24) return std::nullopt;
  return Begin{Get<int64_t>(index, 0), Get<int64_t>(index, 8), Get<uint64_t>(index, 16)};
}

std::string EncodeSealIndex(const std::vector<SparseEntry>& entries) {
  std::string out;
  for (const SparseEntry& entry : entries) {
    Put(out, entry.offset);
    Put(out, entry.position);
  }
  return out;
}

std::vector<SparseEntry> DecodeSealIndex(std::string_view index) {
  std::vector<SparseEntry> entries(index.size() / 16);
  for (size_t i = 0; i < entries.size(); ++i) {
    entries[i] = {Get<int64_t>(index, 16 * i), Get<uint64_t>(index, 16 * i + 8)};
  }
  return entries;
}

Status DecodeRecords(const Frame& frame, uint32_t skip,
                     std::shared_ptr<std::string> payload, RecordBatchView& batch) {
  const size_t n = frame.count;
  const std::string_view lengths = frame.index.substr(0, 4 * n);
  const std::string_view verdicts = frame.index.substr(4 * n, n);
  const std::string_view identities = frame.index.substr(5 * n, 16 * n);
  const std::string_view contents = frame.index.substr(21 * n, 8 * n);
  const std::string_view times = frame.index.substr(29 * n, 8 * n);
  batch.first = {frame.first + skip};
  batch.received_at = frame.received_at;
  batch.records.clear();
  batch.records.reserve(n - skip);
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    const auto length = Get<uint32_t>(lengths, 4 * i);
    if (i >= skip) {
      Record& record = batch.records.emplace_back();
      if (payload != nullptr)
        record.bytes = std::string_view(*payload).substr(at, length);
      record.verdict = Get<Verdict>(verdicts, i);
      if (record.verdict > Verdict::kBlocked) return Corrupt("a verdict that is none");
      record.identity = {Get<uint64_t>(identities, 16 * i),
                         Get<uint64_t>(identities, 16 * i + 8)};
      record.content = Get<uint64_t>(contents, 8 * i);
      record.event_time = Get<int64_t>(times, 8 * i);
    }
    at += length;
  }
  batch.storage = std::move(payload);
  return {};
}

Result<std::shared_ptr<std::string>> DecodePayload(const Frame& frame,
                                                   std::string_view stored) {
  uint64_t records_bytes = 0;
  for (size_t i = 0; i < frame.count; ++i)
    records_bytes += Get<uint32_t>(frame.index, 4 * i);
  const bool plain = frame.codec == PayloadCodec::kNone;
  // Room is only made for what both the frame and the payload itself say.
  const uint64_t said =
      plain ? stored.size() : ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (frame.payload_raw_bytes != records_bytes || said != records_bytes)
    return Corrupt("payload is not as long as its records");
  if (plain) return std::make_shared<std::string>(stored);
  auto raw = std::make_shared<std::string>(frame.payload_raw_bytes, '\0');
  const size_t size =
      ZSTD_decompress(raw->data(), raw->size(), stored.data(), stored.size());
  if (ZSTD_isError(size) || size != raw->size())
    return Corrupt("payload does not decompress");
  return raw;
}

Result<std::string_view> FrameReader::Window(uint64_t position, size_t size) {
  if (position >= limit_) return std::string_view();
  size = std::min<uint64_t>(size, limit_ - position);
  if (position < window_position_ ||
      position + size > window_position_ + window_.size()) {
    window_.resize(std::min<uint64_t>(std::max(size, kWindowBytes), limit_ - position));
    window_position_ = position;
    auto read = file_.ReadAt(position, window_.size(), window_.data());
    window_.resize(read.ok() ? *read : 0);
    WEIR_TRY(std::move(read));
  }
  return std::string_view(window_).substr(position - window_position_, size);
}

Result<std::optional<Frame>> FrameReader::At(uint64_t position, Check check) {
  std::string_view head = WEIR_TRY(Window(position, kFrameHeaderBytes));
  if (head.size() < kFrameHeaderBytes || head.substr(0, 4) != kFrameMagic ||
      Get<uint32_t>(head, 4) != salt_) {
    return std::nullopt;
  }
  Frame frame;
  frame.type = Get<FrameType>(head, 12);
  frame.codec = Get<PayloadCodec>(head, 13);
  frame.position = position;
  frame.group = Get<uint64_t>(head, 16);
  frame.first = Get<int64_t>(head, 24);
  frame.received_at = Get<int64_t>(head, 32);
  frame.count = Get<uint32_t>(head, 40);
  const auto index_bytes = Get<uint32_t>(head, 44);
  frame.payload_bytes = Get<uint32_t>(head, 48);
  frame.payload_raw_bytes = Get<uint32_t>(head, 52);
  frame.payload_crc = Get<uint32_t>(head, 56);
  frame.bytes = kFrameHeaderBytes + uint64_t{index_bytes} + frame.payload_bytes;
  if (frame.type < FrameType::kBatch || frame.type > FrameType::kBegin ||
      frame.codec > PayloadCodec::kZstd || frame.payload_raw_bytes > kGroupBytesMax ||
      frame.first < 0 || frame.first > INT64_MAX - frame.count ||
      (frame.count > 0 && frame.type != FrameType::kBatch)) {
    return std::nullopt;
  }
  if (frame.bytes > limit_ - position) return std::nullopt;
  const size_t want =
      check == Check::kPayload ? frame.bytes : kFrameHeaderBytes + index_bytes;
  const std::string_view bytes = WEIR_TRY(Window(position, want));
  if (bytes.size() < want) return std::nullopt;
  frame.index = bytes.substr(kFrameHeaderBytes, index_bytes);
  if (Get<uint32_t>(bytes, 8) !=
          FrameCrc(bytes.substr(0, kFrameHeaderBytes + index_bytes)) ||
      (frame.type == FrameType::kBatch &&
       index_bytes != uint64_t{frame.count} * kIndexBytesPerRecord)) {
    return std::nullopt;
  }
  if (check == Check::kPayload &&
      Crc32c(bytes.substr(kFrameHeaderBytes + index_bytes)) != frame.payload_crc) {
    return std::nullopt;
  }
  return frame;
}

Result<std::optional<Frame>> FrameReader::FindFrom(uint64_t position) {
  std::string pattern(kFrameMagic);
  Put(pattern, salt_);
  while (position < limit_) {
    const std::string_view window = WEIR_TRY(Window(position, kWindowBytes));
    const size_t hit = window.find(pattern);
    if (hit == std::string_view::npos) {
      // The pattern may straddle the window's end.
      if (window.size() < pattern.size() || position + window.size() >= limit_) break;
      position += window.size() - (pattern.size() - 1);
      continue;
    }
    auto frame = WEIR_TRY(At(position + hit, Check::kPayload));
    if (frame) return frame;
    position += hit + 1;
  }
  return std::nullopt;
}

Result<std::string_view> FrameReader::Payload(const Frame& frame) {
  const std::string_view bytes = WEIR_TRY(
      Window(frame.position + frame.bytes - frame.payload_bytes, frame.payload_bytes));
  if (bytes.size() < frame.payload_bytes) return Corrupt("the file became shorter");
  return bytes;
}

}  // namespace weir::log
