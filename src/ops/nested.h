// Values of nested types as bytes that stand for themselves: equal values of one type,
// and only they, have equal bytes.
//   value   1 byte (0 value, 1 NULL), then by type
//   fixed   its Arrow bytes, bool one byte        string, binary   uint32 length, bytes
//   struct  its fields in order                   list, map        uint32 count, the
//   elements (of a map: key, value)
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "data/type.h"

namespace weir::ops {

Status EncodeNested(const arrow::Array& array, int64_t row, std::string* out);

// Reads one value off the front of `bytes` into the builder of that type.
Status DecodeNested(std::string_view* bytes, arrow::ArrayBuilder* builder);

}  // namespace weir::ops
