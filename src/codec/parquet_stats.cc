#include <parquet/schema.h>
#include <parquet/statistics.h>
#include <parquet/types.h>

#include <algorithm>

#include "codec/parquet_internal.h"

namespace weir::codec {
namespace {

constexpr size_t kBoundUnits = 16;  // code points of a string, bytes of a binary
                                    // (write.metadata.metrics.default = truncate(16))

size_t CodePointBytes(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xE0) return 2;
  return lead < 0xF0 ? 3 : 4;
}

// Length of the first kBoundUnits code points.
size_t PrefixBytes(std::string_view text) {
  size_t at = 0;
  for (size_t i = 0; i < kBoundUnits && at < text.size(); ++i)
    at += CodePointBytes(static_cast<unsigned char>(text[at]));
  return std::min(at, text.size());
}

uint32_t DecodeCodePoint(std::string_view bytes) {
  uint32_t code = static_cast<unsigned char>(bytes[0]);
  if (bytes.size() > 1) code &= 0x7Fu >> bytes.size();
  for (size_t i = 1; i < bytes.size(); ++i)
    code = code << 6 | (static_cast<unsigned char>(bytes[i]) & 0x3F);
  return code;
}

void AppendCodePoint(uint32_t code, std::string* out) {
  if (code < 0x80) {
    *out += static_cast<char>(code);
  } else if (code < 0x800) {
    *out += static_cast<char>(0xC0 | code >> 6);
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out += static_cast<char>(0xE0 | code >> 12);
    *out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    *out += static_cast<char>(0xF0 | code >> 18);
    *out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    *out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// The smallest text of at most kBoundUnits code points that is not below any text with
// this prefix: the last code point that can be incremented is, what follows it is
// dropped. nullopt: all are the last one.
std::optional<std::string> UpperOfPrefix(std::string_view prefix) {
  while (!prefix.empty()) {
    size_t last = prefix.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(prefix[last]) & 0xC0) == 0x80) --last;
    uint32_t code = DecodeCodePoint(prefix.substr(last)) + 1;
    if (code >= 0xD800 && code <= 0xDFFF) code = 0xE000;  // surrogates are no characters
    if (code <= 0x10FFFF) {
      std::string upper(prefix.substr(0, last));
      AppendCodePoint(code, &upper);
      return upper;
    }
    prefix = prefix.substr(0, last);
  }
  return std::nullopt;
}

std::optional<std::string> UpperOfBytes(std::string_view prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xFF)
    prefix.remove_suffix(1);
  if (prefix.empty()) return std::nullopt;
  std::string upper(prefix);
  upper.back() = static_cast<char>(static_cast<unsigned char>(upper.back()) + 1);
  return upper;
}

// Two's complement, big-endian, no redundant sign bytes.
std::string MinimalBigEndian(std::string bytes) {
  size_t skip = 0;
  while (skip + 1 < bytes.size()) {
    const auto lead = static_cast<unsigned char>(bytes[skip]);
    const bool next_negative = static_cast<unsigned char>(bytes[skip + 1]) & 0x80;
    if (!(lead == 0 && !next_negative) && !(lead == 0xFF && next_negative)) break;
    ++skip;
  }
  return bytes.substr(skip);
}

enum class BoundKind { kPlain, kText, kBytes, kDecimal, kNone };

BoundKind KindOf(const parquet::ColumnDescriptor& column) {
  if (column.max_repetition_level() > 0) return BoundKind::kNone;
  const parquet::LogicalType* logical = column.logical_type().get();
  if (logical != nullptr && logical->is_decimal()) return BoundKind::kDecimal;
  if (column.physical_type() == parquet::Type::INT96) return BoundKind::kNone;
  if (column.physical_type() != parquet::Type::BYTE_ARRAY) return BoundKind::kPlain;
  return logical != nullptr && logical->is_string() ? BoundKind::kText
                                                    : BoundKind::kBytes;
}

std::string DecimalBytes(parquet::Type::type physical, std::string encoded) {
  if (physical == parquet::Type::INT32 || physical == parquet::Type::INT64)
    std::reverse(encoded.begin(), encoded.end());
  return MinimalBigEndian(std::move(encoded));
}

// Extreme values of one column over several row groups, compared by Parquet's own typed
// order.
template <class DType>
bool MergeInto(std::shared_ptr<parquet::Statistics>* all,
               const std::shared_ptr<parquet::Statistics>& next) {
  auto* merged = dynamic_cast<parquet::TypedStatistics<DType>*>(all->get());
  const auto* other = dynamic_cast<const parquet::TypedStatistics<DType>*>(next.get());
  if (merged == nullptr || other == nullptr) return false;
  merged->Merge(*other);
  return true;
}

bool Merge(std::shared_ptr<parquet::Statistics>* all,
           const std::shared_ptr<parquet::Statistics>& next) {
  if (*all == nullptr) {
    *all = next;
    return true;
  }
  return MergeInto<parquet::BooleanType>(all, next) ||
         MergeInto<parquet::Int32Type>(all, next) ||
         MergeInto<parquet::Int64Type>(all, next) ||
         MergeInto<parquet::FloatType>(all, next) ||
         MergeInto<parquet::DoubleType>(all, next) ||
         MergeInto<parquet::ByteArrayType>(all, next) ||
         MergeInto<parquet::FLBAType>(all, next);
}

void SetBounds(const parquet::ColumnDescriptor& column,
               const parquet::Statistics& statistics, int id, ParquetStats* out) {
  std::string low = statistics.EncodeMin(), high = statistics.EncodeMax();
  switch (KindOf(column)) {
    case BoundKind::kNone:
      return;
    case BoundKind::kPlain:
      out->lower[id] = std::move(low);
      out->upper[id] = std::move(high);
      return;
    case BoundKind::kDecimal:
      out->lower[id] = DecimalBytes(column.physical_type(), std::move(low));
      out->upper[id] = DecimalBytes(column.physical_type(), std::move(high));
      return;
    case BoundKind::kText:
    case BoundKind::kBytes: {
      const bool text = KindOf(column) == BoundKind::kText;
      const auto cut = [&](std::string_view value) {
        return text ? PrefixBytes(value) : std::min(value.size(), kBoundUnits);
      };
      out->lower[id] = low.substr(0, cut(low));
      const size_t kept = cut(high);
      std::optional<std::string> upper = std::move(high);
      if (kept < upper->size()) {
        const std::string_view prefix = std::string_view(*upper).substr(0, kept);
        upper = text ? UpperOfPrefix(prefix) : UpperOfBytes(prefix);
      }
      if (upper) out->upper[id] = std::move(*upper);
      return;
    }
  }
}

}  // namespace

ParquetStats StatsOf(const parquet::FileMetaData& metadata, int first_row_group,
                     int row_group_count) {
  ParquetStats out;
  const int end = first_row_group + row_group_count;
  for (int group = first_row_group; group < end; ++group)
    out.rows += metadata.RowGroup(group)->num_rows();
  for (int c = 0; c < metadata.num_columns(); ++c) {
    const parquet::ColumnDescriptor& column = *metadata.schema()->Column(c);
    const int id = column.schema_node()->field_id();
    if (id < 0) continue;
    const bool repeated = column.max_repetition_level() > 0;
    int64_t values = 0, nulls = 0;
    bool nulls_known = true, bounds_known = true;
    std::shared_ptr<parquet::Statistics> extremes;
    for (int group = first_row_group; group < end; ++group) {
      const std::unique_ptr<parquet::ColumnChunkMetaData> chunk =
          metadata.RowGroup(group)->ColumnChunk(c);
      out.column_bytes[id] += chunk->total_compressed_size();
      values += chunk->num_values();
      const std::shared_ptr<parquet::Statistics> statistics =
          chunk->is_stats_set() ? chunk->statistics() : nullptr;
      if (statistics == nullptr || !statistics->HasNullCount()) {
        nulls_known = bounds_known = false;
        continue;
      }
      nulls += statistics->null_count();
      if (statistics->HasMinMax()) {
        bounds_known = bounds_known && Merge(&extremes, statistics);
      } else if (statistics->null_count() < chunk->num_values()) {
        bounds_known = false;  // too long to be kept, or nothing but NaN
      }
    }
    if (repeated) continue;
    out.value_counts[id] = values;
    if (nulls_known) out.null_counts[id] = nulls;
    if (bounds_known && extremes != nullptr) SetBounds(column, *extremes, id, &out);
  }
  return out;
}

}  // namespace weir::codec
