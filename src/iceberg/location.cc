#include <random>

#include "iceberg/table.h"

namespace weir::iceberg {
namespace {

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

std::string NewUuid() {
  const uint64_t high = (RandomBits() & ~0xf000ull) | 0x4000ull;       // version 4
  const uint64_t low = (RandomBits() & ~(3ull << 62)) | (2ull << 62);  // RFC 9562 variant
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32,
                     (high >> 16) & 0xffff, high & 0xffff, low >> 48,
                     low & 0xffffffffffffull);
}

SnapshotId NewSnapshotId() {
  int64_t id = 0;
  while (id <= 0) id = static_cast<int64_t>(RandomBits() >> 1);
  return {id};
}

}  // namespace weir::iceberg
