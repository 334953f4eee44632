// A checksum inside of JSON text, so that a changed bit is noticed where nothing else
// would: {"a":1} becomes {"a":1,"crc32c":"00c0ffee"}. The checksum (CRC-32C, hexadecimal)
// is of all bytes before its comma and stands last.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

// `object` is the text of a JSON object; what is none, or is empty, stays as it is.
std::string SealJson(std::string object);

// The object without its seal; as it is when it has none (somebody else wrote it).
// kCorrupt: the seal is not that of these bytes.
Result<std::string> UnsealJson(std::string_view text);

}  // namespace weir
