#include <charconv>

#include "base/hash.h"
#include "state/state.h"
#include "state/state_internal.h"

namespace weir::state {
namespace {

constexpr std::string_view kMagic = "WEIRDLT1";
constexpr size_t kHeaderBytes = 32, kChecksumBytes = 4;

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

void Delta::Begin(Op op, std::string_view space) {
  WEIR_CHECK(!space.empty() && space.find('\0') == std::string_view::npos);
  if (space != space_) {
    bytes_.push_back(static_cast<char>(Op::kSpace));
    PutText(bytes_, space);
    space_ = space;
  }
  bytes_.push_back(static_cast<char>(op));
  ++count_;
}

void Delta::Put(std::string_view space, std::string_view key, std::string_view value) {
  Begin(Op::kPut, space);
  PutText(bytes_, key);
  PutText(bytes_, value);
}

void Delta::Erase(std::string_view space, std::string_view key) {
  Begin(Op::kErase, space);
  PutText(bytes_, key);
}

void Delta::Clear(std::string_view space) { Begin(Op::kClear, space); }

Status Delta::ForEach(const std::function<Status(const Record&)>& visit) const {
  std::string_view rest = bytes_, space;
  int64_t count = 0;
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
  if (count != count_)
    return Corrupt(
        fmt::format("a state delta of {} records says that it has {}", count, count_));
  return {};
}

Result<uint32_t> Delta::Write(io::Io& io, const std::string& dir, Epoch epoch) const {
  std::string header(kMagic);
  PutFixed(header, epoch.value);
  PutFixed(header, count_);
  PutFixed(header, static_cast<uint64_t>(bytes_.size()));
  const uint32_t checksum = Crc32c(bytes_, Crc32c(header));
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
  if (!bytes_.empty()) WEIR_TRY((*file)->Append(bytes_));
  WEIR_TRY((*file)->Append(trailer));
  WEIR_TRY((*file)->Sync());
  WEIR_TRY(io.SyncDir(dir));
  return checksum;
}

Result<Delta> Delta::Read(io::Io& io, const std::string& dir, Epoch epoch) {
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
  Delta delta;
  delta.count_ = GetFixed<int64_t>(bytes, 16);
  delta.bytes_ = bytes.substr(kHeaderBytes, end - kHeaderBytes);
  return delta;
}

Status Delta::Append(Delta&& other) {
  if (bytes_.empty()) {
    *this = std::exchange(other, Delta());
    return {};
  }
  return other.ForEach([&](const Record& record) -> Status {
    switch (record.op) {
      case Op::kPut:
        Put(record.space, record.key, record.value);
        break;
      case Op::kErase:
        Erase(record.space, record.key);
        break;
      case Op::kClear:
        Clear(record.space);
        break;
      case Op::kSpace:
        break;
    }
    return {};
  });
}

}  // namespace weir::state
