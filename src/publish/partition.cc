#include <arrow/api.h>

#include <algorithm>

#include "data/arrow.h"
#include "data/batch.h"
#include "publish/partition_internal.h"

namespace weir::publish {
namespace {

using iceberg::Literal;
using iceberg::TransformKind;

constexpr size_t kMemoMax = 1 << 16;

std::string DecimalLiteral(const arrow::Decimal128Array& column, int64_t row) {
  std::string bytes(16, '\0');
  const uint8_t* little = column.GetValue(row);
  for (size_t i = 0; i < 16; ++i) bytes[i] = static_cast<char>(little[15 - i]);
  size_t skip = 0;
  while (skip < 15) {
    const auto lead = static_cast<unsigned char>(bytes[skip]);
    const bool next_negative = static_cast<unsigned char>(bytes[skip + 1]) & 0x80;
    if (!(lead == 0 && !next_negative) && !(lead == 0xFF && next_negative)) break;
    ++skip;
  }
  return bytes.substr(skip);
}

// Microseconds of the step inside which a temporal transform cannot change; 0 for other
// transforms.
Micros StepOf(const iceberg::Transform& transform, data::Kind kind) {
  if (kind != data::Kind::kTimestamp && kind != data::Kind::kTimestampTz) return 0;
  switch (transform.kind) {
    case TransformKind::kHour:
      return 3'600'000'000;
    case TransformKind::kDay:
    case TransformKind::kMonth:
    case TransformKind::kYear:
      return 86'400'000'000;
    default:
      return 0;
  }
}

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }

constexpr Hash128 kNullKey{0x6e756c6c, 0x6e756c6c6e756c6c};

}  // namespace

Literal LiteralAt(const arrow::Array& column, const data::Type& type, int64_t row) {
  if (column.IsNull(row)) return {};
  const arrow::ArrayData& array = *column.data();
  switch (type.kind) {
    case data::Kind::kBool:
      return static_cast<const arrow::BooleanArray&>(column).Value(row);
    case data::Kind::kInt32:
    case data::Kind::kDate:
      return array.GetValues<int32_t>(1)[row];
    case data::Kind::kInt64:
    case data::Kind::kTime:
    case data::Kind::kTimestamp:
    case data::Kind::kTimestampTz:
      return array.GetValues<int64_t>(1)[row];
    case data::Kind::kFloat:
      return array.GetValues<float>(1)[row];
    case data::Kind::kDouble:
      return array.GetValues<double>(1)[row];
    case data::Kind::kDecimal:
      return DecimalLiteral(static_cast<const arrow::Decimal128Array&>(column), row);
    case data::Kind::kString:
    case data::Kind::kBinary:
      return std::string(static_cast<const arrow::BinaryArray&>(column).GetView(row));
    case data::Kind::kUuid:
      return std::string(
          static_cast<const arrow::FixedSizeBinaryArray&>(column).GetView(row));
    default:
      return {};
  }
}

Result<Partitioner> Partitioner::Make(const data::Schema& schema,
                                      const iceberg::PartitionSpec& spec) {
  Partitioner out;
  for (const iceberg::PartitionField& field : spec.fields) {
    const auto at =
        std::find_if(schema.fields.begin(), schema.fields.end(),
                     [&](const data::Field& f) { return f.id == field.source_id; });
    if (at == schema.fields.end())
      return Invalid(
          fmt::format("partition field {} is not over a top-level column", field.name));
    out.sources_.push_back({static_cast<int>(at - schema.fields.begin()),
                            at->type,
                            field.transform,
                            {},
                            {},
                            {}});
  }
  return out;
}

int32_t Partitioner::NumberOf(const Tuple& tuple) {
  const auto [it, fresh] =
      numbers_.try_emplace(tuple, static_cast<int32_t>(tuples_.size()));
  if (fresh) tuples_.push_back(tuple);
  return it->second;
}

Result<std::vector<int32_t>> Partitioner::ValueNumbers(Source& source,
                                                       const arrow::RecordBatch& rows) {
  const arrow::Array& column = *rows.column(source.column);
  const auto count = static_cast<size_t>(rows.num_rows());
  std::vector<int32_t> out(count);
  std::vector<Hash128> keys;
  if (const Micros step = StepOf(source.transform, source.type.kind); step > 0) {
    keys.resize(count);
    const int64_t* values = column.data()->GetValues<int64_t>(1);
    for (size_t i = 0; i < count; ++i) {
      keys[i] = column.IsNull(static_cast<int64_t>(i))
                    ? kNullKey
                    : Hash128{static_cast<uint64_t>(FloorDiv(values[i], step)), 0};
    }
  } else {
    const int columns[] = {source.column};
    keys = WEIR_TRY(data::HashKeys(rows, columns));
  }
  if (source.memo.size() > kMemoMax) source.memo.clear();
  for (size_t i = 0; i < count; ++i) {
    if (i > 0 && keys[i] == keys[i - 1]) {
      out[i] = out[i - 1];
      continue;
    }
    const auto [it, fresh] = source.memo.try_emplace(keys[i], 0);
    if (fresh) {
      Literal value =
          iceberg::Apply(source.transform, source.type,
                         LiteralAt(column, source.type, static_cast<int64_t>(i)));
      const auto [number, new_value] =
          source.numbers.try_emplace(value, static_cast<int32_t>(source.values.size()));
      if (new_value) source.values.push_back(std::move(value));
      it->second = number->second;
    }
    out[i] = it->second;
  }
  return out;
}

Result<std::vector<int32_t>> Partitioner::Assign(const arrow::RecordBatch& rows,
                                                 int32_t* only) {
  if (sources_.empty()) {
    *only = NumberOf({});
    return std::vector<int32_t>();
  }
  std::vector<std::vector<int32_t>> numbers;
  for (Source& source : sources_) numbers.push_back(WEIR_TRY(ValueNumbers(source, rows)));
  std::vector<int32_t> out(static_cast<size_t>(rows.num_rows()));
  std::vector<int32_t> key(sources_.size());
  bool one = true;
  for (size_t i = 0; i < out.size(); ++i) {
    bool same = i > 0;
    for (size_t s = 0; s < key.size(); ++s) {
      same &= key[s] == numbers[s][i];
      key[s] = numbers[s][i];
    }
    if (same) {
      out[i] = out[i - 1];
      continue;
    }
    const auto [it, fresh] = by_values_.try_emplace(key, 0);
    if (fresh) {
      Tuple tuple;
      for (size_t s = 0; s < key.size(); ++s)
        tuple.push_back(sources_[s].values[static_cast<size_t>(key[s])]);
      it->second = NumberOf(tuple);
    }
    out[i] = it->second;
    one &= out[i] == out[0];
  }
  if (one && !out.empty()) {
    *only = out[0];
    out.clear();
  }
  return out;
}

}  // namespace weir::publish
