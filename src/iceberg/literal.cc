#include "iceberg/literal_internal.h"

#include <bit>
#include <cmath>

namespace weir::iceberg {
namespace {

using data::Kind;

static_assert(std::endian::native == std::endian::little);

template <class T>
std::string Little(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T FromLittle(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Error WrongSize(const data::Type& type, std::string_view bytes) {
  return Corrupt(
      fmt::format("a bound of type {} has {} bytes", data::TypeName(type), bytes.size()));
}

template <class T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

template <class T>
int OrderFloating(T a, T b) {
  if (a == b && a == 0) return Order(!std::signbit(a), !std::signbit(b));
  return Order(a, b);
}

}  // namespace

std::string DecimalBytes(Int128 unscaled) {
  std::string out;
  for (int shift = 120; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(unscaled >> shift));
  size_t drop = 0;
  while (drop + 1 < out.size()) {
    const bool next_negative = (out[drop + 1] & 0x80) != 0;
    if (out[drop] != (next_negative ? '\xff' : '\0')) break;
    ++drop;
  }
  return out.substr(drop);
}

Result<Int128> DecimalFromBytes(std::string_view bytes) {
  if (bytes.empty() || bytes.size() > 16)
    return Corrupt(fmt::format("a decimal of {} bytes", bytes.size()));
  Int128 value = (bytes[0] & 0x80) != 0 ? -1 : 0;
  for (const char byte : bytes) value = value * 256 + static_cast<uint8_t>(byte);
  return value;
}

size_t DecimalSize(int precision) {
  Int128 largest = 1;
  for (int i = 0; i < precision; ++i) largest *= 10;
  return DecimalBytes(largest - 1).size();
}

std::string BinaryValue(const data::Type& type, const Literal& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return "";
        } else if constexpr (std::is_same_v<T, std::string>) {
          return v;
        } else if constexpr (std::is_same_v<T, bool>) {
          return std::string(1, v ? '\1' : '\0');
        } else {
          return Little(v);
        }
      },
      value);
}

Result<Literal> FromBinaryValue(const data::Type& type, std::string_view bytes) {
  switch (type.kind) {
    case Kind::kBool:
      if (bytes.size() != 1) return WrongSize(type, bytes);
      return Literal(bytes[0] != 0);
    case Kind::kInt32:
    case Kind::kDate:
      if (bytes.size() != 4) return WrongSize(type, bytes);
      return Literal(FromLittle<int32_t>(bytes));
    case Kind::kInt64:
    case Kind::kTime:
    case Kind::kTimestamp:
    case Kind::kTimestampTz:
      // Four bytes: written while the column was still an int.
      if (bytes.size() == 4 && type.kind == Kind::kInt64)
        return Literal(int64_t{FromLittle<int32_t>(bytes)});
      if (bytes.size() != 8) return WrongSize(type, bytes);
      return Literal(FromLittle<int64_t>(bytes));
    case Kind::kFloat:
      if (bytes.size() != 4) return WrongSize(type, bytes);
      return Literal(FromLittle<float>(bytes));
    case Kind::kDouble:
      if (bytes.size() == 4) return Literal(double{FromLittle<float>(bytes)});
      if (bytes.size() != 8) return WrongSize(type, bytes);
      return Literal(FromLittle<double>(bytes));
    case Kind::kDecimal:
      return Literal(DecimalBytes(WEIR_TRY(DecimalFromBytes(bytes))));
    case Kind::kUuid:
      if (bytes.size() != 16) return WrongSize(type, bytes);
      return Literal(std::string(bytes));
    case Kind::kString:
    case Kind::kBinary:
      return Literal(std::string(bytes));
    case Kind::kStruct:
    case Kind::kList:
    case Kind::kMap:
      break;
  }
  return Invalid("nested columns have no single value: " + data::TypeName(type));
}

int Compare(const data::Type& type, const Literal& a, const Literal& b) {
  WEIR_CHECK(a.index() == b.index());
  if (const auto* x = std::get_if<float>(&a))
    return OrderFloating(*x, std::get<float>(b));
  if (const auto* x = std::get_if<double>(&a))
    return OrderFloating(*x, std::get<double>(b));
  if (const auto* x = std::get_if<std::string>(&a)) {
    const std::string& y = std::get<std::string>(b);
    if (type.kind != Kind::kDecimal) return Order(x->compare(y), 0);
    const Result<Int128> left = DecimalFromBytes(*x), right = DecimalFromBytes(y);
    WEIR_CHECK(left.ok() && right.ok());
    return Order(*left, *right);
  }
  return Order(a, b);
}

const data::Field* FindField(const std::vector<data::Field>& fields, int id) {
  for (const data::Field& field : fields) {
    if (field.id == id) return &field;
    if (field.type.kind != Kind::kStruct) continue;
    if (const data::Field* found = FindField(field.type.fields, id)) return found;
  }
  return nullptr;
}

Result<data::Type> PartitionType(const Metadata& metadata, const PartitionField& field) {
  if (const data::Field* source = FindField(metadata.schema().fields, field.source_id)) {
    return ResultType(field.transform, source->type);
  }
  for (auto it = metadata.schemas.rbegin(); it != metadata.schemas.rend(); ++it) {
    if (const data::Field* source = FindField(it->second.fields, field.source_id)) {
      return ResultType(field.transform, source->type);
    }
  }
  return Corrupt(fmt::format("partition field {} has no source column: id {}", field.name,
                             field.source_id));
}

}  // namespace weir::iceberg
