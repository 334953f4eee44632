#include "ops/nested.h"

#include <arrow/api.h>

#include <cstring>

#include "data/arrow.h"

namespace weir::ops {
namespace {

constexpr char kValue = 0, kNull = 1;

void PutSize(std::string* out, size_t size) {
  const auto value = static_cast<uint32_t>(size);
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

Result<std::string_view> TakeBytes(std::string_view* bytes, size_t size) {
  if (bytes->size() < size) return Corrupt("a stored nested value ends early");
  const std::string_view out = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return out;
}

Result<uint32_t> TakeSize(std::string_view* bytes) {
  const std::string_view text = WEIR_TRY(TakeBytes(bytes, sizeof(uint32_t)));
  uint32_t value;
  std::memcpy(&value, text.data(), sizeof value);
  return value;
}

int FixedWidth(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::INT32:
    case arrow::Type::DATE32:
    case arrow::Type::FLOAT:
      return 4;
    case arrow::Type::INT64:
    case arrow::Type::DOUBLE:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
      return 8;
    case arrow::Type::DECIMAL128:
      return 16;
    case arrow::Type::FIXED_SIZE_BINARY:
      return static_cast<const arrow::FixedSizeBinaryType&>(type).byte_width();
    default:
      return 0;
  }
}

template <class Builder, class T>
Status AppendAs(std::string_view cell, arrow::ArrayBuilder* builder) {
  T value;
  std::memcpy(&value, cell.data(), sizeof value);
  WEIR_ARROW_OK(static_cast<Builder*>(builder)->Append(value));
  return {};
}

Status AppendFixed(std::string_view cell, arrow::ArrayBuilder* builder) {
  switch (builder->type()->id()) {
    case arrow::Type::INT32:
      return AppendAs<arrow::Int32Builder, int32_t>(cell, builder);
    case arrow::Type::DATE32:
      return AppendAs<arrow::Date32Builder, int32_t>(cell, builder);
    case arrow::Type::FLOAT:
      return AppendAs<arrow::FloatBuilder, float>(cell, builder);
    case arrow::Type::INT64:
      return AppendAs<arrow::Int64Builder, int64_t>(cell, builder);
    case arrow::Type::DOUBLE:
      return AppendAs<arrow::DoubleBuilder, double>(cell, builder);
    case arrow::Type::TIME64:
      return AppendAs<arrow::Time64Builder, int64_t>(cell, builder);
    case arrow::Type::TIMESTAMP:
      return AppendAs<arrow::TimestampBuilder, int64_t>(cell, builder);
    default:
      WEIR_ARROW_OK(static_cast<arrow::FixedSizeBinaryBuilder*>(builder)->Append(cell));
      return {};
  }
}

}  // namespace

Status EncodeNested(const arrow::Array& array, int64_t row, std::string* out) {
  if (array.IsNull(row)) {
    out->push_back(kNull);
    return {};
  }
  out->push_back(kValue);
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      out->push_back(static_cast<const arrow::BooleanArray&>(array).Value(row) ? 1 : 0);
      return {};
    case arrow::Type::STRING:
    case arrow::Type::BINARY: {
      const std::string_view text =
          static_cast<const arrow::BinaryArray&>(array).GetView(row);
      PutSize(out, text.size());
      out->append(text);
      return {};
    }
    case arrow::Type::STRUCT:
      for (const auto& field : static_cast<const arrow::StructArray&>(array).fields())
        WEIR_TRY(EncodeNested(*field, row, out));
      return {};
    case arrow::Type::LIST:
    case arrow::Type::MAP: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      PutSize(out, static_cast<size_t>(list.value_length(row)));
      for (int64_t i = list.value_offset(row); i < list.value_offset(row + 1); ++i)
        WEIR_TRY(EncodeNested(*list.values(), i, out));
      return {};
    }
    default: {
      const int width = FixedWidth(*array.type());
      if (width == 0)
        return Internal("no state encoding for " + array.type()->ToString());
      const uint8_t* values =
          array.data()->GetValues<uint8_t>(1, 0) + (array.offset() + row) * width;
      out->append(reinterpret_cast<const char*>(values), static_cast<size_t>(width));
      return {};
    }
  }
}

Status DecodeNested(std::string_view* bytes, arrow::ArrayBuilder* builder) {
  if (WEIR_TRY(TakeBytes(bytes, 1))[0] == kNull) {
    WEIR_ARROW_OK(builder->AppendNull());
    return {};
  }
  switch (builder->type()->id()) {
    case arrow::Type::BOOL: {
      const std::string_view cell = WEIR_TRY(TakeBytes(bytes, 1));
      WEIR_ARROW_OK(static_cast<arrow::BooleanBuilder*>(builder)->Append(cell[0] != 0));
      return {};
    }
    case arrow::Type::STRING:
    case arrow::Type::BINARY: {
      const uint32_t size = WEIR_TRY(TakeSize(bytes));
      const std::string_view text = WEIR_TRY(TakeBytes(bytes, size));
      WEIR_ARROW_OK(static_cast<arrow::BinaryBuilder*>(builder)->Append(text));
      return {};
    }
    case arrow::Type::STRUCT: {
      auto* parent = static_cast<arrow::StructBuilder*>(builder);
      WEIR_ARROW_OK(parent->Append());
      for (int i = 0; i < parent->num_fields(); ++i)
        WEIR_TRY(DecodeNested(bytes, parent->field_builder(i)));
      return {};
    }
    case arrow::Type::LIST: {
      auto* list = static_cast<arrow::ListBuilder*>(builder);
      WEIR_ARROW_OK(list->Append());
      for (uint32_t left = WEIR_TRY(TakeSize(bytes)); left > 0; --left)
        WEIR_TRY(DecodeNested(bytes, list->value_builder()));
      return {};
    }
    case arrow::Type::MAP: {
      auto* map = static_cast<arrow::MapBuilder*>(builder);
      WEIR_ARROW_OK(map->Append());
      for (uint32_t left = WEIR_TRY(TakeSize(bytes)); left > 0; --left) {
        if (WEIR_TRY(TakeBytes(bytes, 1))[0] != kValue)
          return Corrupt("a stored map has a NULL entry");
        WEIR_TRY(DecodeNested(bytes, map->key_builder()));
        WEIR_TRY(DecodeNested(bytes, map->item_builder()));
      }
      return {};
    }
    default:
      return AppendFixed(
          WEIR_TRY(TakeBytes(bytes, static_cast<size_t>(FixedWidth(*builder->type())))),
          builder);
  }
}

}  // namespace weir::ops
