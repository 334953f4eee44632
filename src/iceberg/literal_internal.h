// Values in Iceberg's single-value domain: their order, decimals as integers, and looking
// up fields by id.
#pragma once

#include <string>
#include <string_view>

#include "data/type.h"
#include "iceberg/table.h"

namespace weir::iceberg {

__extension__ using Int128 = __int128;

// Minimal big-endian two's complement, and back; at most 16 bytes.
std::string DecimalBytes(Int128 unscaled);
Result<Int128> DecimalFromBytes(std::string_view bytes);
// Bytes that hold every decimal of this precision.
size_t DecimalSize(int precision);

// Negative, zero or positive. Both values are of `type` and not null; -0.0 stands before
// 0.0.
int Compare(const data::Type& type, const Literal& a, const Literal& b);

// The field with this id at any depth of structs; nullptr if there is none.
const data::Field* FindField(const std::vector<data::Field>& fields, int id);
// The type of a partition field's values: its source may live in an older schema.
Result<data::Type> PartitionType(const Metadata& metadata, const PartitionField& field);

}  // namespace weir::iceberg
