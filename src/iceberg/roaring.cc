#include <bit>
#include <cstdint>
#include <cstring>

#include "iceberg/roaring_internal.h"

namespace weir::iceberg {
namespace {

constexpr uint32_t kCookie = 12346, kCookieRuns = 12347;
constexpr uint32_t kContainersMax = 1 << 16;
constexpr uint32_t kArrayMax = 4096;  // values; beyond it a container is a bitset
constexpr size_t kBitsetBytes = 8192;
// With runs, fewer containers than this have no table of offsets.
constexpr uint32_t kOffsetsFrom = 4;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  T Get() {
    T value{};
    const std::string_view bytes = Take(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view Take(size_t size) {
    if (size > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool TakeArray(Reader& in, uint32_t cardinality) {
  int32_t before = -1;
  for (uint32_t i = 0; i < cardinality && in.ok(); ++i) {
    const auto value = in.Get<uint16_t>();
    if (value <= before) return false;
    before = value;
  }
  return in.ok();
}

bool TakeBitset(Reader& in, uint32_t cardinality) {
  const std::string_view bits = in.Take(kBitsetBytes);
  uint32_t ones = 0;
  for (size_t at = 0; at < bits.size(); at += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, bits.data() + at, sizeof word);
    ones += static_cast<uint32_t>(std::popcount(word));
  }
  return in.ok() && ones == cardinality;
}

bool TakeRuns(Reader& in, uint32_t cardinality) {
  const auto runs = in.Get<uint16_t>();
  uint32_t ones = 0;
  int32_t end = -1;  // the last value of the run before
  for (uint32_t i = 0; i < runs && in.ok(); ++i) {
    const int32_t first = in.Get<uint16_t>(), more = in.Get<uint16_t>();
    if (first <= end || first + more > UINT16_MAX) return false;
    end = first + more;
    ones += static_cast<uint32_t>(more) + 1;
  }
  return in.ok() && ones == cardinality;
}

}  // namespace

std::optional<size_t> SoundBitmapBytes(std::string_view bytes) {
  Reader in(bytes);
  const auto cookie = in.Get<uint32_t>();
  uint32_t containers = 0;
  std::string_view is_run;  // a bit each; empty: none is
  if ((cookie & 0xffff) == kCookieRuns) {
    containers = (cookie >> 16) + 1;
    is_run = in.Take((containers + 7) / 8);
  } else if (cookie == kCookie) {
    containers = in.Get<uint32_t>();
  } else {
    return std::nullopt;
  }
  if (containers > kContainersMax) return std::nullopt;
  Reader keys(in.Take(size_t{containers} * 4));
  if (is_run.empty() || containers >= kOffsetsFrom) in.Take(size_t{containers} * 4);
  int32_t before = -1;
  for (uint32_t i = 0; i < containers && in.ok(); ++i) {
    const auto key = keys.Get<uint16_t>();
    const uint32_t cardinality = uint32_t{keys.Get<uint16_t>()} + 1;
    if (key <= before) return std::nullopt;
    before = key;
    const bool sound = !is_run.empty() && (is_run[i / 8] >> (i % 8) & 1) != 0
                           ? TakeRuns(in, cardinality)
                       : cardinality <= kArrayMax ? TakeArray(in, cardinality)
                                                  : TakeBitset(in, cardinality);
    if (!sound) return std::nullopt;
  }
  if (!in.ok()) return std::nullopt;
  return bytes.size() - in.rest().size();
}

}  // namespace weir::iceberg
