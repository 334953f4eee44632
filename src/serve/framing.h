// A request body into the bytes of its records. What the records mean is not looked at.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace weir::serve {

enum class BodyFormat : uint8_t {
  kJson,    // one value, or an array of records
  kNdjson,  // one record a line
  kSniff,   // an array if it begins with '[', else lines
};

// By the Content-Type header; nullopt: a type that holds no events. None, and texts of
// any kind, are sniffed.
std::optional<BodyFormat> ParseContentType(std::string_view value);

// The records, in order, as views into `body`, byte for byte; white space around a record
// of a JSON body, line ends, blank lines and a leading byte order mark belong to none. An
// array that cannot be split is one record: the whole body.
std::vector<std::string_view> SplitBody(BodyFormat format, std::string_view body);

}  // namespace weir::serve
