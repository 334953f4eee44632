// Makes the checksums of a log segment right, so that what they cover is decoded.
#pragma once

#include <cstring>
#include <string>

#include "base/hash.h"

namespace weir::fuzz {

template <class T>
T LoadAt(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
template <class T>
void StoreAt(std::string* bytes, size_t at, T value) {
  std::memcpy(bytes->data() + at, &value, sizeof value);
}

// docs/formats/log.md has the tables.
inline void RepairSegment(std::string* bytes) {
  if (bytes->size() < 32) return;
  const std::string_view all = *bytes;
  StoreAt(bytes, 28, Crc32c(all.substr(0, 28)));
  for (size_t at = bytes->find("WLF1"); at != std::string::npos && at + 64 <= all.size();
       at = bytes->find("WLF1", at + 4)) {
    const size_t index = LoadAt<uint32_t>(*bytes, at + 44);
    const size_t payload = LoadAt<uint32_t>(*bytes, at + 48);
    if (index > all.size() - at - 64 || payload > all.size() - at - 64 - index) continue;
    StoreAt(bytes, at + 56, Crc32c(all.substr(at + 64 + index, payload)));
    StoreAt(bytes, at + 8,
            Crc32c(all.substr(at + 12, 52 + index), Crc32c(all.substr(at, 8))));
  }
  const size_t trailer = bytes->size() - 24;
  if (bytes->compare(trailer, 4, "WLE1") == 0)
    StoreAt(bytes, trailer + 20, Crc32c(all.substr(trailer, 20)));
}

}  // namespace weir::fuzz
