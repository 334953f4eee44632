#include <cctype>
#include <random>

#include "iceberg/referenced.h"
#include "iceberg/table.h"

namespace weir::iceberg {
namespace {

// The 12 bits after the version in our UUIDs. They are of version 8 (RFC 9562: contents
// as one likes), so no name of another program's version 4 or 7 is ever taken for ours.
constexpr uint64_t kMark = 0x3e1;

uint64_t RandomBits() {
  static thread_local std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

Result<std::string> PathOf(std::string_view uri) {
  constexpr std::string_view kScheme = "file:";
  std::string_view path = uri;
  if (path.starts_with(kScheme)) {
    path.remove_prefix(kScheme.size());
    if (path.starts_with("//")) path.remove_prefix(2);
  }
  if (!path.starts_with("/")) return Invalid("not a local file: " + std::string(uri));
  return std::string(path);
}

std::string UriOf(std::string_view absolute_path) {
  return "file://" + std::string(absolute_path);
}

namespace {

// `version`: the 16 bits of version and what follows it.
std::string Uuid(uint64_t version) {
  const uint64_t high = (RandomBits() & ~0xffffull) | version;
  const uint64_t low = (RandomBits() & ~(3ull << 62)) | (2ull << 62);  // RFC 9562 variant
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32,
                     (high >> 16) & 0xffff, high & 0xffff, low >> 48,
                     low & 0xffffffffffffull);
}

}  // namespace

std::string NewUuid() { return Uuid(0x8000ull | kMark); }

std::string NewUnownedUuid() { return Uuid(0x4000ull | (RandomBits() & 0xfff)); }

bool HasOurName(std::string_view name) {
  constexpr size_t kBytes = 36, kVersionAt = 14;
  const std::string version = fmt::format("8{:03x}", kMark);
  for (size_t at = 0; at + kBytes <= name.size(); ++at) {
    const std::string_view uuid = name.substr(at, kBytes);
    if (uuid.substr(kVersionAt, 4) != version) continue;
    bool whole = true;
    for (size_t i = 0; i < kBytes; ++i) {
      const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      whole = whole && (dash ? uuid[i] == '-'
                             : std::isxdigit(static_cast<unsigned char>(uuid[i])) != 0);
    }
    if (whole) return true;
  }
  return false;
}

SnapshotId NewSnapshotId() {
  int64_t id = 0;
  while (id <= 0) id = static_cast<int64_t>(RandomBits() >> 1);
  return {id};
}

}  // namespace weir::iceberg
