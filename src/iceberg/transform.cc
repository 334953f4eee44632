#include <charconv>

#include "iceberg/literal_internal.h"

namespace weir::iceberg {
namespace {

using data::Kind;

constexpr int64_t kMicrosPerHour = 3'600'000'000;
constexpr int64_t kMicrosPerDay = 24 * kMicrosPerHour;

struct NamedTransform {
  std::string_view name;
  TransformKind kind;
};
constexpr NamedTransform kPlain[] = {
    {"identity", TransformKind::kIdentity}, {"year", TransformKind::kYear},
    {"month", TransformKind::kMonth},       {"day", TransformKind::kDay},
    {"hour", TransformKind::kHour},         {"void", TransformKind::kVoid},
};
constexpr NamedTransform kWithParameter[] = {
    {"bucket", TransformKind::kBucket},
    {"truncate", TransformKind::kTruncate},
};

uint32_t Rotate(uint32_t x, int by) { return (x << by) | (x >> (32 - by)); }

uint32_t MixBlock(uint32_t k) { return Rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u; }

// MurmurHash3 x86 32-bit with seed 0, as Iceberg's bucket transform wants it.
uint32_t Murmur3(std::string_view bytes) {
  uint32_t hash = 0;
  size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    uint32_t block;
    std::memcpy(&block, bytes.data() + i, 4);
    hash = Rotate(hash ^ MixBlock(block), 13) * 5 + 0xe6546b64u;
  }
  uint32_t tail = 0;
  for (size_t j = bytes.size(); j > i; --j)
    tail = (tail << 8) | static_cast<uint8_t>(bytes[j - 1]);
  if (i < bytes.size()) hash ^= MixBlock(tail);
  hash ^= static_cast<uint32_t>(bytes.size());
  hash = (hash ^ (hash >> 16)) * 0x85ebca6bu;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35u;
  return hash ^ (hash >> 16);
}

int32_t Bucket(int count, const Literal& value) {
  std::string bytes;
  if (const auto* number = std::get_if<int32_t>(&value)) {
    bytes = BinaryValue(data::Simple(Kind::kInt64), Literal(int64_t{*number}));
  } else {
    bytes = BinaryValue(data::Simple(Kind::kInt64), value);
  }
  return static_cast<int32_t>((Murmur3(bytes) & 0x7fffffffu) %
                              static_cast<uint32_t>(count));
}

// Below the least value it wraps round: only a decimal of more digits than its type has
// comes there.
Int128 Floor(Int128 value, Int128 width) {
  using Unsigned = unsigned __int128;
  const Int128 above = (value % width + width) % width;
  return static_cast<Int128>(static_cast<Unsigned>(value) - static_cast<Unsigned>(above));
}

// Any value: the multiple below it need not be one of the type.
template <class T>
T FloorDivide(T value, T by) {
  return value / by - (value % by < 0);
}

Literal Truncate(int width, const data::Type& type, const Literal& value) {
  if (const auto* v = std::get_if<int32_t>(&value)) {
    return static_cast<int32_t>(Floor(*v, width));
  }
  if (const auto* v = std::get_if<int64_t>(&value))
    return static_cast<int64_t>(Floor(*v, width));
  const std::string& text = std::get<std::string>(value);
  if (type.kind == Kind::kDecimal) {
    const Result<Int128> unscaled = DecimalFromBytes(text);
    WEIR_CHECK(unscaled.ok());
    return DecimalBytes(Floor(*unscaled, width));
  }
  if (type.kind == Kind::kBinary) return text.substr(0, static_cast<size_t>(width));
  size_t end = 0;
  for (int code_points = 0; end < text.size(); ++end) {
    const bool starts = (text[end] & 0xc0) != 0x80;
    if (starts && ++code_points > width) break;
  }
  return text.substr(0, end);
}

// Days since the epoch of a date or timestamp.
int64_t DayOf(const Literal& value) {
  if (const auto* days = std::get_if<int32_t>(&value)) return *days;
  return FloorDivide(std::get<int64_t>(value), kMicrosPerDay);
}

int32_t MonthOf(const Literal& value) {
  int64_t year;
  unsigned month, day;
  CivilFromDays(DayOf(value), &year, &month, &day);
  return static_cast<int32_t>((year - 1970) * 12 + static_cast<int>(month) - 1);
}

}  // namespace

std::string TransformName(const Transform& transform) {
  for (const NamedTransform& named : kPlain) {
    if (named.kind == transform.kind) return std::string(named.name);
  }
  for (const NamedTransform& named : kWithParameter) {
    if (named.kind == transform.kind)
      return fmt::format("{}[{}]", named.name, transform.parameter);
  }
  return "?";
}

Result<Transform> ParseTransform(std::string_view name) {
  for (const NamedTransform& named : kPlain) {
    if (named.name == name) return Transform{named.kind, 0};
  }
  for (const NamedTransform& named : kWithParameter) {
    if (!name.starts_with(named.name)) continue;
    std::string_view rest = name.substr(named.name.size());
    if (rest.size() < 3 || rest.front() != '[' || rest.back() != ']') continue;
    rest = rest.substr(1, rest.size() - 2);
    int parameter = 0;
    const auto [end, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), parameter);
    if (error == std::errc() && end == rest.data() + rest.size() && parameter > 0)
      return Transform{named.kind, parameter};
  }
  return Invalid("unknown partition transform: " + std::string(name));
}

data::Type ResultType(const Transform& transform, const data::Type& source) {
  switch (transform.kind) {
    case TransformKind::kIdentity:
    case TransformKind::kTruncate:
    case TransformKind::kVoid:
      return source;
    case TransformKind::kDay:
      return data::Simple(Kind::kDate);
    case TransformKind::kBucket:
    case TransformKind::kYear:
    case TransformKind::kMonth:
    case TransformKind::kHour:
      break;
  }
  return data::Simple(Kind::kInt32);
}

Literal Apply(const Transform& transform, const data::Type& source,
              const Literal& value) {
  if (std::holds_alternative<std::monostate>(value)) return {};
  switch (transform.kind) {
    case TransformKind::kIdentity:
      return value;
    case TransformKind::kVoid:
      return {};
    case TransformKind::kBucket:
      return Bucket(transform.parameter, value);
    case TransformKind::kTruncate:
      return Truncate(transform.parameter, source, value);
    case TransformKind::kYear:
      return FloorDivide(MonthOf(value), 12);
    case TransformKind::kMonth:
      return MonthOf(value);
    case TransformKind::kDay:
      return static_cast<int32_t>(DayOf(value));
    case TransformKind::kHour:
      return static_cast<int32_t>(FloorDivide(std::get<int64_t>(value), kMicrosPerHour));
  }
  return {};
}

}  // namespace weir::iceberg
