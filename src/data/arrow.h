// Between Weir's types and Arrow's.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "data/type.h"

namespace weir::data {

// timestamptz -> timestamp[us, UTC], uuid -> fixed_size_binary[16], string -> utf8,
// binary -> binary. Field ids go into the fields' metadata as PARQUET:field_id, on every
// level.
std::shared_ptr<arrow::DataType> ToArrow(const Type& type);
std::shared_ptr<arrow::Field> ToArrow(const Field& field);
std::shared_ptr<arrow::Schema> ToArrow(const Schema& schema);

// The inverse. kInvalid: an Arrow type that has no Iceberg counterpart (unsigned,
// nanoseconds, interval …).
Result<Type> FromArrow(const arrow::DataType& type);
Result<Schema> FromArrow(const arrow::Schema& schema);

Error ArrowError(const arrow::Status& status);

}  // namespace weir::data

// auto array = WEIR_ARROW(builder.Finish());    WEIR_ARROW_OK(writer->Close());
#define WEIR_ARROW(expr)                                     \
  __extension__({                                            \
    auto weir_arrow_ = (expr);                               \
    if (!weir_arrow_.ok()) [[unlikely]]                      \
      return ::weir::data::ArrowError(weir_arrow_.status()); \
    std::move(weir_arrow_).ValueUnsafe();                    \
  })
#define WEIR_ARROW_OK(expr)                         \
  do {                                              \
    const ::arrow::Status weir_arrow_ = (expr);     \
    if (!weir_arrow_.ok()) [[unlikely]]             \
      return ::weir::data::ArrowError(weir_arrow_); \
  } while (false)
