// Content-Encoding taken off a request body.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir::net {

enum class BodyCoding : uint8_t { kIdentity, kGzip, kZstd, kUnknown };

// Of the Content-Encoding header's value; empty is identity. One coding only.
BodyCoding ParseBodyCoding(std::string_view value);

struct DecodedBody {
  int status = 200;  // 400: not such a stream, or cut short; 413: more than bytes_max
  std::string body;
  std::string message;
};

// Never holds more than bytes_max decoded bytes and a window of 8 MiB (RFC 9659),
// whatever the input says of itself.
DecodedBody DecodeBody(BodyCoding coding, std::string_view body, size_t bytes_max);

}  // namespace weir::net
