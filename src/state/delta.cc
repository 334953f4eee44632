#include <charconv>

#include "base/hash.h"
#include "state/state.h"
#include "state/state_internal.h"

namespace weir::state {
namespace {

constexpr std::string_view kMagic = "WEIRDLT1";
constexpr size_t kHeaderBytes = 32, kChecksumBytes = 4;
constexpr size_t kChunkBytesMin = 4 << 10, kChunkBytesMax = 1 << 20;
constexpr size_t kRecordOverhead = 2 + 3 * 10;  // two operations, three lengths

template <class T>
void PutFixed(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T GetFixed(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

void PutText(std::string& out, std::string_view text) {
  uint64_t size = text.size();
  for (; size >= 0x80; size >>= 7) out.push_back(static_cast<char>(size | 0x80));
  out.push_back(static_cast<char>(size));
  out.append(text);
}

// Takes a length-prefixed text off the front.
bool TakeText(std::string_view& bytes, std::string_view* text) {
  uint64_t size = 0;
  for (int shift = 0;; shift += 7) {
    if (bytes.empty() || shift > 56) return false;
    const auto byte = static_cast<uint8_t>(bytes[0]);
    bytes.remove_prefix(1);
    size |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) break;
  }
  if (size > bytes.size()) return false;
  *text = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return true;
}

}  // namespace

std::string DeltaPath(const std::string& dir, Epoch epoch) {
  return io::Join(dir, fmt::format("{}{}", kDeltaPrefix, epoch.value));
}

std::optional<Epoch> ParseDeltaName(std::string_view name) {
  if (!name.starts_with(kDeltaPrefix)) return std::nullopt;
  name.remove_prefix(kDeltaPrefix.size());
  Epoch epoch;
  const auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), epoch.value);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return epoch;
}

// Room for a whole record: none is cut in two.
std::string& Delta::Begin(Op op, std::string_view space, size_t text_bytes) {
  WEIR_CHECK(!space.empty() && space.find('\0') == std::string_view::npos);
  const size_t most = text_bytes + space.size() + kRecordOverhead;
  if (chunks_.empty() || chunks_.back().capacity() - chunks_.back().size() < most) {
    const size_t before = chunks_.empty() ? 0 : chunks_.back().capacity();
    chunks_.emplace_back().reserve(
        std::max(most, std::clamp(before * 2, kChunkBytesMin, kChunkBytesMax)));
  }
  std::string& chunk = chunks_.back();
  bytes_ -= chunk.size();  // the caller adds what it becomes
  if (space != space_) {
    chunk.push_back(static_cast<char>(Op::kSpace));
    PutText(chunk, space);
    space_ = space;
  }
  chunk.push_back(static_cast<char>(op));
  ++count_;
  return chunk;
}

void Delta::Put(std::string_view space, std::string_view key, std::string_view value) {
  std::string& chunk = Begin(Op::kPut, space, key.size() + value.size());
  PutText(chunk, key);
  PutText(chunk, value);
  bytes_ += chunk.size();
}

void Delta::Erase(std::string_view space, std::string_view key) {
  std::string& chunk = Begin(Op::kErase, space, key.size());
  PutText(chunk, key);
  bytes_ += chunk.size();
}

void Delta::Clear(std::string_view space) {
  bytes_ += Begin(Op::kClear, space, 0).size();
}

Status Delta::ForEach(const std::function<Status(const Record&)>& visit) const {
  std::string_view space;
  int64_t count = 0;
  for (std::string_view rest : chunks_) {
    WEIR_TRY(ForEachIn(rest, space, count, visit));
  }
  if (count != count_)
    return Corrupt(
        fmt::format("a state delta of {} records says that it has {}", count, count_));
  return {};
}

Status Delta::ForEachIn(std::string_view rest, std::string_view& space, int64_t& count,
                        const std::function<Status(const Record&)>& visit) {
  while (!rest.empty()) {
    Record record{static_cast<Op>(rest[0]), {}, {}, {}};
    rest.remove_prefix(1);
    bool whole = true;
    switch (record.op) {
      case Op::kSpace:
        whole = TakeText(rest, &space) && space.find('\0') == std::string_view::npos;
        break;
      case Op::kPut:
        whole = TakeText(rest, &record.key) && TakeText(rest, &record.value);
        break;
      case Op::kErase:
        whole = TakeText(rest, &record.key);
        break;
      case Op::kClear:
        break;
      default:
        whole = false;
    }
    if (!whole || space.empty()) return Corrupt("a state delta holds a malformed record");
    if (record.op == Op::kSpace) continue;
    record.space = space;
    ++count;
    WEIR_TRY(visit(record));
  }
  return {};
}

Result<uint32_t> Delta::Write(io::Io& io, const std::string& dir, Epoch epoch) const {
  std::string header(kMagic);
  PutFixed(header, epoch.value);
  PutFixed(header, count_);
  PutFixed(header, static_cast<uint64_t>(bytes_));
  uint32_t checksum = Crc32c(header);
  for (const std::string& chunk : chunks_) checksum = Crc32c(chunk, checksum);
  std::string trailer;
  PutFixed(trailer, checksum);

  const std::string path = DeltaPath(dir, epoch);
  auto file = io.Open(path, io::OpenMode::kCreateNew);
  if (!file.ok() && file.error().code == Code::kConflict) {
    WEIR_TRY(io.Remove(path));
    file = io.Open(path, io::OpenMode::kCreateNew);
  }
  if (!file.ok()) return std::move(file).error();
  WEIR_TRY((*file)->Append(header));
  for (const std::string& chunk : chunks_) WEIR_TRY((*file)->Append(chunk));
  WEIR_TRY((*file)->Append(trailer));
  WEIR_TRY((*file)->Sync());
  WEIR_TRY(io.SyncDir(dir));
  return checksum;
}

Result<Delta> Delta::Read(io::Io& io, const std::string& dir, Epoch epoch,
                          uint32_t* checksum) {
  const std::string path = DeltaPath(dir, epoch);
  std::string bytes = WEIR_TRY(io.ReadAll(path));
  if (bytes.size() < kHeaderBytes + kChecksumBytes || !bytes.starts_with(kMagic)) {
    return Corrupt(path + " is no state delta");
  }
  const size_t end = bytes.size() - kChecksumBytes;
  if (Crc32c(std::string_view(bytes).substr(0, end)) != GetFixed<uint32_t>(bytes, end) ||
      GetFixed<uint64_t>(bytes, 24) != end - kHeaderBytes) {
    return Corrupt(path + " fails its checksum");
  }
  if (GetFixed<int64_t>(bytes, 8) != epoch.value)
    return Corrupt(path + " is the delta of another epoch");
  if (checksum != nullptr) *checksum = GetFixed<uint32_t>(bytes, end);
  Delta delta;
  delta.count_ = GetFixed<int64_t>(bytes, 16);
  delta.bytes_ = end - kHeaderBytes;
  if (delta.bytes_ > 0) {
    bytes.resize(end);
    bytes.erase(0, kHeaderBytes);
    delta.chunks_.push_back(std::move(bytes));
  }
  return delta;
}

void Delta::Append(Delta&& other) {
  if (other.chunks_.empty()) return;
  std::move(other.chunks_.begin(), other.chunks_.end(), std::back_inserter(chunks_));
  bytes_ += other.bytes_;
  count_ += other.count_;
  space_ = std::move(other.space_);
  other = Delta();
}

}  // namespace weir::state
