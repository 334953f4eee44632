// Key encoding (docs/formats/row_key.md) and key hashes.
#include <arrow/api.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "data/arrow.h"
#include "data/batch.h"

namespace weir::data {
namespace {

constexpr char kValue = 0x01, kNull = 0x02;

void PutBigEndian(std::string& out, uint64_t value, int bytes) {
  char text[8];
  for (int i = 0; i < bytes; ++i)
    text[i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
  out.append(text, static_cast<size_t>(bytes));
}

uint64_t CanonicalBits(double value) {
  if (value == 0) value = 0;  // -0.0 is 0.0
  if (std::isnan(value)) return 0x7ff8000000000000u;
  return std::bit_cast<uint64_t>(value);
}

// Bits whose unsigned order is the order of the numbers.
uint64_t OrderedBits(double value) {
  const uint64_t bits = CanonicalBits(value);
  return bits >> 63 ? ~bits : bits | (uint64_t{1} << 63);
}

void PutEscaped(std::string& out, std::string_view text) {
  for (size_t from = 0;;) {
    const size_t zero = text.find('\0', from);
    if (zero == std::string_view::npos) {
      out.append(text.substr(from));
      break;
    }
    out.append(text.substr(from, zero - from));
    out.append("\0\xff", 2);
    from = zero + 1;
  }
  out.append("\0\0", 2);
}

void PutDecimal(std::string& out, const uint8_t* little_endian) {
  for (int i = 15; i >= 0; --i) {
    out.push_back(
        static_cast<char>(i == 15 ? little_endian[i] ^ 0x80 : little_endian[i]));
  }
}

Status PutValue(std::string& out, const arrow::Array& array, int64_t row) {
  if (array.IsNull(row)) {
    out.push_back(kNull);
    return {};
  }
  out.push_back(kValue);
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      out.push_back(static_cast<const arrow::BooleanArray&>(array).Value(row) ? 1 : 0);
      return {};
    case arrow::Type::INT32:
    case arrow::Type::DATE32: {
      const auto* values = array.data()->GetValues<int32_t>(1);
      PutBigEndian(out, static_cast<uint32_t>(values[row]) ^ 0x80000000u, 4);
      return {};
    }
    case arrow::Type::INT64:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP: {
      const auto* values = array.data()->GetValues<int64_t>(1);
      PutBigEndian(out, static_cast<uint64_t>(values[row]) ^ (uint64_t{1} << 63), 8);
      return {};
    }
    case arrow::Type::FLOAT:
      PutBigEndian(out, OrderedBits(array.data()->GetValues<float>(1)[row]), 8);
      return {};
    case arrow::Type::DOUBLE:
      PutBigEndian(out, OrderedBits(array.data()->GetValues<double>(1)[row]), 8);
      return {};
    case arrow::Type::DECIMAL128:
      PutDecimal(out,
                 static_cast<const arrow::FixedSizeBinaryArray&>(array).GetValue(row));
      return {};
    case arrow::Type::FIXED_SIZE_BINARY: {
      const auto& fixed = static_cast<const arrow::FixedSizeBinaryArray&>(array);
      out.append(reinterpret_cast<const char*>(fixed.GetValue(row)),
                 static_cast<size_t>(fixed.byte_width()));
      return {};
    }
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      PutEscaped(out, static_cast<const arrow::BinaryArray&>(array).GetView(row));
      return {};
    case arrow::Type::STRUCT: {
      const auto& parent = static_cast<const arrow::StructArray&>(array);
      for (int i = 0; i < parent.num_fields(); ++i)
        WEIR_TRY(PutValue(out, *parent.field(i), row));
      return {};
    }
    case arrow::Type::LIST:
    case arrow::Type::MAP: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      for (int64_t i = list.value_offset(row); i < list.value_offset(row + 1); ++i) {
        out.push_back(kValue);
        WEIR_TRY(PutValue(out, *list.values(), i));
      }
      out.push_back('\0');
      return {};
    }
    default:
      return Internal("no key encoding for " + array.type()->ToString());
  }
}

constexpr uint64_t kMix1 = 0x9E3779B97F4A7C15u, kMix2 = 0xC2B2AE3D27D4EB4Fu;
constexpr Hash128 kNullHash{0x71ee4bcf5d2a93b1u, 0x0d9fa1c86e4427f5u};

uint64_t FoldedProduct(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

Hash128 HashWord(uint64_t value) {
  return {FoldedProduct(value ^ kMix1, kMix2),
          FoldedProduct(value ^ 0xA0761D6478BD642Fu, 0xE7037ED1A0B428DBu)};
}

// Order matters: (a, b) and (b, a) are different keys.
Hash128 Chain(Hash128 before, Hash128 value) {
  return {
      FoldedProduct(before.low ^ kMix1, value.low ^ kMix2) + value.high,
      FoldedProduct(before.high ^ value.high ^ kMix2, kMix1 ^ value.low) + before.low};
}

template <class ValueHash>
void ChainColumn(const arrow::Array& array, bool first, std::vector<Hash128>& hashes,
                 ValueHash&& value_hash) {
  const int64_t n = array.length();
  if (array.null_count() == 0) {
    for (int64_t i = 0; i < n; ++i) {
      const Hash128 h = value_hash(i);
      hashes[static_cast<size_t>(i)] =
          first ? h : Chain(hashes[static_cast<size_t>(i)], h);
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const Hash128 h = array.IsNull(i) ? kNullHash : value_hash(i);
    hashes[static_cast<size_t>(i)] = first ? h : Chain(hashes[static_cast<size_t>(i)], h);
  }
}

Status HashColumn(const arrow::Array& array, bool first, std::vector<Hash128>& hashes) {
  const auto& data = *array.data();
  switch (array.type_id()) {
    case arrow::Type::BOOL: {
      const auto& values = static_cast<const arrow::BooleanArray&>(array);
      ChainColumn(array, first, hashes,
                  [&](int64_t i) { return HashWord(values.Value(i)); });
      return {};
    }
    case arrow::Type::INT32:
    case arrow::Type::DATE32: {
      const auto* values = data.GetValues<int32_t>(1);
      ChainColumn(array, first, hashes, [&](int64_t i) {
        return HashWord(static_cast<uint64_t>(static_cast<int64_t>(values[i])));
      });
      return {};
    }
    case arrow::Type::INT64:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP: {
      const auto* values = data.GetValues<int64_t>(1);
      ChainColumn(array, first, hashes,
                  [&](int64_t i) { return HashWord(static_cast<uint64_t>(values[i])); });
      return {};
    }
    case arrow::Type::FLOAT: {
      const auto* values = data.GetValues<float>(1);
      ChainColumn(array, first, hashes,
                  [&](int64_t i) { return HashWord(CanonicalBits(values[i])); });
      return {};
    }
    case arrow::Type::DOUBLE: {
      const auto* values = data.GetValues<double>(1);
      ChainColumn(array, first, hashes,
                  [&](int64_t i) { return HashWord(CanonicalBits(values[i])); });
      return {};
    }
    case arrow::Type::DECIMAL128:
    case arrow::Type::FIXED_SIZE_BINARY: {
      const auto& values = static_cast<const arrow::FixedSizeBinaryArray&>(array);
      const auto width = static_cast<size_t>(values.byte_width());
      ChainColumn(array, first, hashes, [&](int64_t i) {
        return HashBytes128({reinterpret_cast<const char*>(values.GetValue(i)), width});
      });
      return {};
    }
    case arrow::Type::STRING:
    case arrow::Type::BINARY: {
      const auto& values = static_cast<const arrow::BinaryArray&>(array);
      ChainColumn(array, first, hashes,
                  [&](int64_t i) { return HashBytes128(values.GetView(i)); });
      return {};
    }
    default: {
      std::string bytes;
      for (int64_t i = 0; i < array.length(); ++i) {
        bytes.clear();
        WEIR_TRY(PutValue(bytes, array, i));
        const Hash128 h = array.IsNull(i) ? kNullHash : HashBytes128(bytes);
        auto& out = hashes[static_cast<size_t>(i)];
        out = first ? h : Chain(out, h);
      }
      return {};
    }
  }
}

}  // namespace

Result<RowBytes> EncodeKeys(const arrow::RecordBatch& rows,
                            std::span<const int> columns) {
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (const int column : columns) arrays.push_back(rows.column(column));
  RowBytes out;
  out.offsets.reserve(static_cast<size_t>(rows.num_rows()) + 1);
  for (int64_t row = 0; row < rows.num_rows(); ++row) {
    for (const auto& array : arrays) WEIR_TRY(PutValue(out.bytes, *array, row));
    out.offsets.push_back(static_cast<uint32_t>(out.bytes.size()));
  }
  return out;
}

Result<std::vector<Hash128>> HashKeys(const arrow::RecordBatch& rows,
                                      std::span<const int> columns) {
  std::vector<Hash128> hashes(static_cast<size_t>(rows.num_rows()));
  bool first = true;
  for (const int column : columns) {
    WEIR_TRY(HashColumn(*rows.column(column), first, hashes));
    first = false;
  }
  return hashes;
}

}  // namespace weir::data
