#include <bit>

#include "avro/avro.h"

namespace weir::avro {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr int kDepthMax = 256;  // a recursive schema must not exhaust our stack

template <class T>
void PutLittle(std::string* out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out->append(bytes, sizeof value);
}

template <class T>
T GetLittle(std::string_view bytes) {
  T value{};
  if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace

void Encoder::Long(int64_t value) {
  uint64_t zigzag =
      (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
  while (zigzag >= 0x80) {
    out_->push_back(static_cast<char>(zigzag | 0x80));
    zigzag >>= 7;
  }
  out_->push_back(static_cast<char>(zigzag));
}

void Encoder::Float(float value) { PutLittle(out_, value); }
void Encoder::Double(double value) { PutLittle(out_, value); }

void Encoder::Bytes(std::string_view value) {
  Long(static_cast<int64_t>(value.size()));
  out_->append(value);
}

void Decoder::Fail() {
  ok_ = false;
  rest_ = {};
}

int64_t Decoder::Long() {
  uint64_t zigzag = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    zigzag |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80)
      return static_cast<int64_t>(zigzag >> 1) ^ -static_cast<int64_t>(zigzag & 1);
  }
  Fail();
  return 0;
}

int32_t Decoder::Int() {
  const int64_t value = Long();
  if (value == static_cast<int32_t>(value)) return static_cast<int32_t>(value);
  Fail();
  return 0;
}

bool Decoder::Bool() {
  const std::string_view byte = Raw(1);
  if (!byte.empty() && static_cast<uint8_t>(byte[0]) > 1) Fail();
  return !byte.empty() && byte[0] == 1;
}

float Decoder::Float() { return GetLittle<float>(Raw(4)); }
double Decoder::Double() { return GetLittle<double>(Raw(8)); }

std::string_view Decoder::Bytes() {
  const int64_t size = Long();
  if (size < 0) {
    Fail();
    return {};
  }
  return Raw(static_cast<size_t>(size));
}

std::string_view Decoder::Raw(size_t size) {
  if (size > rest_.size()) {
    Fail();
    return {};
  }
  const std::string_view out = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return out;
}

const Node& Decoder::Branch(const Node& type) {
  static const Node null;
  if (type.kind != Kind::kUnion) return type;
  const int64_t index = Long();
  if (index >= 0 && static_cast<size_t>(index) < type.branches.size())
    return *type.branches[static_cast<size_t>(index)];
  Fail();
  return null;
}

int64_t Decoder::BlockCount() {
  int64_t count = Long();
  if (count <
      0) {  // followed by the block's size in bytes, for those who want to skip it
    count = count == INT64_MIN ? 0 : -count;
    Long();
  }
  if (static_cast<uint64_t>(count) > rest_.size()) {
    Fail();
    return 0;
  }
  return count;
}

void Decoder::Skip(const Node& type) { SkipNested(type, 0); }

void Decoder::SkipNested(const Node& type, int depth) {
  if (!ok_ || type.no_bytes) return;
  if (depth > kDepthMax) return Fail();
  switch (type.kind) {
    case Kind::kNull:
      return;
    case Kind::kBool:
      Raw(1);
      return;
    case Kind::kInt:
    case Kind::kLong:
    case Kind::kEnum:
      Long();
      return;
    case Kind::kFloat:
      Raw(4);
      return;
    case Kind::kDouble:
      Raw(8);
      return;
    case Kind::kBytes:
    case Kind::kString:
      Bytes();
      return;
    case Kind::kFixed:
      Raw(type.size);
      return;
    case Kind::kUnion:
      SkipNested(Branch(type), depth + 1);
      return;
    case Kind::kRecord:
      for (const Field& field : type.fields) SkipNested(*field.type, depth + 1);
      return;
    case Kind::kArray:
    case Kind::kMap:
      for (int64_t count = BlockCount(); count > 0; count = BlockCount()) {
        for (; count > 0 && ok_; --count) {
          if (type.kind == Kind::kMap) Bytes();
          SkipNested(*type.items, depth + 1);
        }
      }
      return;
  }
}

}  // namespace weir::avro
