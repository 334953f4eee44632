#include "base/seal.h"

#include "base/hash.h"

namespace weir {
namespace {

constexpr std::string_view kBefore = ",\"crc32c\":\"", kAfter = "\"}";
constexpr size_t kDigits = 8;
constexpr size_t kSealBytes = kBefore.size() + kDigits + kAfter.size();

}  // namespace

std::string SealJson(std::string object) {
  if (object.size() <= 2 || object.back() != '}') return object;
  object.pop_back();
  const uint32_t checksum = Crc32c(object);
  object += fmt::format("{}{:08x}{}", kBefore, checksum, kAfter);
  return object;
}

Result<std::string> UnsealJson(std::string_view text) {
  const size_t body = text.size() < kSealBytes ? 0 : text.size() - kSealBytes;
  const std::string_view seal = text.substr(body);
  if (body == 0 || !seal.starts_with(kBefore) || !seal.ends_with(kAfter))
    return std::string(text);
  const uint32_t checksum = Crc32c(text.substr(0, body));
  if (seal.substr(kBefore.size(), kDigits) != fmt::format("{:08x}", checksum))
    return Corrupt("bad checksum");
  return std::string(text.substr(0, body)) + "}";
}

}  // namespace weir
