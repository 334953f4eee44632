// The bytes of a segment: header, frames, trailer. docs/formats/log.md has the tables.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/io.h"
#include "log/log.h"

namespace weir::log {

inline constexpr std::string_view kFrameMagic = "WLF1";
inline constexpr size_t kSegmentHeaderBytes = 32;
inline constexpr size_t kFrameHeaderBytes = 64;
inline constexpr size_t kTrailerBytes = 24;
inline constexpr size_t kIndexBytesPerRecord = 37;
// What one frame and all appends between two syncs may hold.
inline constexpr uint64_t kGroupBytesMax = 1ull << 30;

enum class FrameType : uint8_t {
  kBatch = 1,
  kControl = 2,
  kSeal = 3,   // the last frame of a full segment; carries its sparse index
  kMark = 4,   // written by a clean close: all before it was synced
  kBegin = 5,  // the first frame of an owner's first segment: where the one before ends
};
enum class PayloadCodec : uint8_t { kNone = 0, kZstd = 1 };

// Where an offset stands in its segment: the frame at `position` begins with `offset`.
struct SparseEntry {
  int64_t offset;
  uint64_t position;
};

struct Frame {
  FrameType type = FrameType::kBatch;
  PayloadCodec codec = PayloadCodec::kNone;
  uint64_t position = 0;
  uint64_t group = 0;  // where the write began that this frame was part of
  int64_t first =
      0;  // offset of its first record; of a frame without records, the next one
  Micros received_at = 0;
  uint32_t count = 0;
  uint64_t bytes = 0;  // of the whole frame
  uint32_t payload_bytes = 0;
  uint32_t payload_raw_bytes = 0;
  uint32_t payload_crc = 0;
  std::string_view index;

  int64_t end() const { return first + count; }
};

struct FrameFields {
  uint32_t salt;
  uint64_t group;
  int64_t first;
  Micros received_at = 0;
};

std::string EncodeSegmentHeader(uint32_t salt, int64_t first);
struct SegmentHeader {
  uint32_t version, salt;
  int64_t first;
};
std::optional<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

std::string EncodeTrailer(uint32_t salt, uint64_t seal_position);
struct Trailer {
  uint32_t salt;
  uint64_t seal_position;
};
std::optional<Trailer> DecodeTrailer(std::string_view bytes);

// Compresses payloads with one context. Used by one thread.
class BatchEncoder {
 public:
  explicit BatchEncoder(int zstd_level);
  ~BatchEncoder();
  // Appends one batch frame to `out`.
  Status Encode(const FrameFields& fields, std::span<const Record> records,
                std::string& out);

 private:
  void* const context_;
  std::string raw_;
};

// Appends a frame without payload to `out`.
void EncodeFrame(FrameType type, const FrameFields& fields, std::string_view index,
                 std::string& out);

std::string EncodeControlIndex(std::string_view kind, std::string_view json);
std::optional<ControlRecord> DecodeControl(const Frame& frame);
// Which segment a new owner found newest, and how many of its bytes count from then on.
struct Begin {
  int64_t behind_owner = 0, behind_first = 0;
  uint64_t behind_bytes = 0;
};
std::string EncodeBeginIndex(const Begin& begin);
std::optional<Begin> DecodeBegin(std::string_view index);

std::string EncodeSealIndex(const std::vector<SparseEntry>& entries);
std::vector<SparseEntry> DecodeSealIndex(std::string_view index);

// Fills in the records of a batch frame from `skip` on; `payload` (decompressed) may be
// null. kCorrupt: a verdict that is none.
Status DecodeRecords(const Frame& frame, uint32_t skip,
                     std::shared_ptr<std::string> payload, RecordBatchView& batch);
// kCorrupt: it is not as long as its records together.
Result<std::shared_ptr<std::string>> DecodePayload(const Frame& frame,
                                                   std::string_view stored);

// Reads frames of one segment through a window. Used by one thread.
class FrameReader {
 public:
  // Nothing at or behind `limit` is looked at. `file` must live longer.
  FrameReader(io::File& file, uint64_t limit, uint32_t salt)
      : file_(file), limit_(limit), salt_(salt) {}

  enum class Check : uint8_t { kIndex, kPayload };
  // The frame at `position`, its header and index checked; with kPayload its payload too.
  // nullopt: no whole valid frame stands there. `index` is valid until the next call.
  Result<std::optional<Frame>> At(uint64_t position, Check check);
  // The first wholly valid frame at `position` or behind.
  Result<std::optional<Frame>> FindFrom(uint64_t position);
  // The stored payload of the frame that At(…, kPayload) or FindFrom returned last;
  // valid, with its index, until the next call of those.
  Result<std::string_view> Payload(const Frame& frame);

 private:
  // Exactly `size` bytes at `position`, or fewer where the limit cuts them.
  Result<std::string_view> Window(uint64_t position, size_t size);

  io::File& file_;
  const uint64_t limit_;
  const uint32_t salt_;
  std::string window_;
  uint64_t window_position_ = 0;
};

}  // namespace weir::log
