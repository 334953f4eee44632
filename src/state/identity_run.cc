#include "state/identity_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace weir::state {
namespace {

constexpr std::string_view kMagic = "WEIRIDR1";
constexpr size_t kHeaderBytes = 24, kChecksumBytes = 4;
constexpr size_t kSlotsPerBucket = 16;
constexpr size_t kWriteBytes = 1 << 20;
constexpr size_t kAhead = 16;  // how far before its turn an id's place is touched

static_assert(sizeof(IdentityEntry) == 40);  // the stored form
static_assert(std::endian::native == std::endian::little);

template <class T>
std::string_view Bytes(const T& values) {
  return {reinterpret_cast<const char*>(std::data(values)),
          std::size(values) * sizeof(*std::data(values))};
}

uint16_t Fingerprint(Hash128 id) { return static_cast<uint16_t>(id.high >> 48); }

uint64_t BucketOffset(uint64_t bucket, uint64_t start) {
  return kHeaderBytes + start * sizeof(IdentityEntry) + bucket * kChecksumBytes;
}

std::string Header(uint64_t count, uint64_t buckets) {
  std::string header(kMagic);
  header += Bytes(std::array{count, buckets});
  return header;
}

}  // namespace

Status IdentityRun::Write(io::Io& io, const std::string& path,
                          const IdentityTable& table) {
  const size_t buckets =
      std::max<size_t>(1, std::bit_ceil(table.size()) / kSlotsPerBucket);
  // Counting sort of the entries by bucket; none is copied but into the file.
  std::vector<uint32_t> starts(buckets + 1, 0);
  table.ForEach(
      [&](const IdentityEntry& entry) { ++starts[(entry.id.low & (buckets - 1)) + 1]; });
  for (size_t i = 1; i <= buckets; ++i) starts[i] += starts[i - 1];
  std::vector<const IdentityEntry*> sorted(starts.back());
  std::vector<uint32_t> next(starts.begin(), starts.end() - 1);
  table.ForEach([&](const IdentityEntry& entry) {
    sorted[next[entry.id.low & (buckets - 1)]++] = &entry;
  });

  const std::unique_ptr<io::File> file =
      WEIR_TRY(io.Open(path, io::OpenMode::kCreateNew));
  std::vector<uint16_t> fingerprints;
  fingerprints.reserve(sorted.size());
  std::string out = Header(sorted.size(), buckets);
  const uint32_t header_checksum = Crc32c(out);
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    const size_t begin = out.size();
    for (uint32_t i = starts[bucket]; i < starts[bucket + 1]; ++i) {
      if (i + kAhead < sorted.size()) __builtin_prefetch(sorted[i + kAhead]);
      const IdentityEntry& entry = *sorted[i];
      out += Bytes(std::span(&entry, 1));
      fingerprints.push_back(Fingerprint(entry.id));
    }
    const uint32_t checksum = Crc32c(std::string_view(out).substr(begin));
    out += Bytes(std::array{checksum});
    if (out.size() < kWriteBytes) continue;
    WEIR_TRY(file->Append(out));
    out.clear();
  }
  uint32_t checksum = Crc32c(Bytes(starts), header_checksum);
  checksum = Crc32c(Bytes(fingerprints), checksum);
  out += Bytes(starts);
  out += Bytes(fingerprints);
  out += Bytes(std::array{checksum});
  WEIR_TRY(file->Append(out));
  return file->Sync();
}

Result<IdentityRun> IdentityRun::Open(io::Io& io, const std::string& path) {
  const auto damaged = [&] {
    return Corrupt(fmt::format("identity memory: {} fails its checksum", path));
  };
  IdentityRun out;
  out.path_ = path;
  out.file_ = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  const uint64_t size = WEIR_TRY(out.file_->Size());
  std::string header(kHeaderBytes, '\0');
  if (WEIR_TRY(out.file_->ReadAt(0, kHeaderBytes, header.data())) != kHeaderBytes ||
      !header.starts_with(kMagic))
    return damaged();
  uint64_t count, buckets;
  std::memcpy(&count, header.data() + 8, sizeof count);
  std::memcpy(&buckets, header.data() + 16, sizeof buckets);
  if (count > UINT32_MAX || buckets > UINT32_MAX || !std::has_single_bit(buckets) ||
      size != BucketOffset(buckets, count) + (buckets + 1) * sizeof(uint32_t) +
                  count * sizeof(uint16_t) + kChecksumBytes)
    return damaged();
  out.starts_.resize(buckets + 1);
  out.fingerprints_.resize(count);
  uint64_t at = BucketOffset(buckets, count);
  uint32_t checksum = Crc32c(header);
  const auto read = [&](auto& values) -> Result<bool> {
    const std::string_view bytes = Bytes(values);
    const size_t got =
        WEIR_TRY(out.file_->ReadAt(at, bytes.size(), const_cast<char*>(bytes.data())));
    checksum = Crc32c(bytes, checksum);
    at += bytes.size();
    return got == bytes.size();
  };
  if (!WEIR_TRY(read(out.starts_)) || !WEIR_TRY(read(out.fingerprints_)))
    return damaged();
  uint32_t stored = 0;
  if (WEIR_TRY(out.file_->ReadAt(at, sizeof stored, reinterpret_cast<char*>(&stored))) !=
          sizeof stored ||
      stored != checksum || out.starts_.back() != count)
    return damaged();
  return out;
}

void IdentityRun::Probe(std::span<const Hash128> ids,
                        const std::function<void(size_t)>& candidate) const {
  const auto touch_start = [&](size_t i) {
    if (i < ids.size()) __builtin_prefetch(&starts_[BucketOf(ids[i])]);
  };
  const auto touch_fingerprints = [&](size_t i) {
    if (i < ids.size())
      __builtin_prefetch(fingerprints_.data() + starts_[BucketOf(ids[i])]);
  };
  for (size_t i = 0; i < 2 * kAhead; ++i) touch_start(i);
  for (size_t i = 0; i < kAhead; ++i) touch_fingerprints(i);
  for (size_t i = 0; i < ids.size(); ++i) {
    touch_start(i + 2 * kAhead);
    touch_fingerprints(i + kAhead);
    const size_t bucket = BucketOf(ids[i]);
    const uint16_t wanted = Fingerprint(ids[i]);
    bool found = false;
    for (uint32_t at = starts_[bucket]; at < starts_[bucket + 1]; ++at)
      found |= fingerprints_[at] == wanted;
    if (found) candidate(i);
  }
}

Result<std::optional<IdentityEntry>> IdentityRun::Find(Hash128 id) const {
  const size_t bucket = BucketOf(id);
  const uint32_t begin = starts_[bucket], end = starts_[bucket + 1];
  const uint16_t wanted = Fingerprint(id);
  if (std::none_of(fingerprints_.begin() + begin, fingerprints_.begin() + end,
                   [&](uint16_t known) { return known == wanted; }))
    return std::optional<IdentityEntry>();
  const size_t entries_bytes = (end - begin) * sizeof(IdentityEntry);
  std::string bytes(entries_bytes + kChecksumBytes, '\0');
  const uint64_t offset = BucketOffset(bucket, begin);
  const size_t got = WEIR_TRY(file_->ReadAt(offset, bytes.size(), bytes.data()));
  uint32_t stored = 0;
  std::memcpy(&stored, bytes.data() + entries_bytes, sizeof stored);
  if (got != bytes.size() ||
      Crc32c(std::string_view(bytes).substr(0, entries_bytes)) != stored) {
    return Corrupt(
        fmt::format("identity memory: {} fails its checksum at byte {}", path_, offset));
  }
  for (size_t at = 0; at < entries_bytes; at += sizeof(IdentityEntry)) {
    IdentityEntry entry;
    std::memcpy(&entry, bytes.data() + at, sizeof entry);
    if (entry.id == id) return std::optional(entry);
  }
  return std::optional<IdentityEntry>();
}

}  // namespace weir::state
