// JSON records into Arrow columns.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/type.h"

namespace weir::codec {

// Why a record, or one of its fields, could not be decoded.
enum class Fault : uint8_t {
  kNotJson,    // also invalid UTF-8, a duplicate key in one object, deeper than depth_max, not an object, trailing text
  kTooLarge,   // longer than record_bytes_max
  kWrongType,  // a declared field holds another type (an unparsable stamp, a number beyond the type's range)
};

struct RowFault {
  int32_t row;
  Fault fault;
  std::string field;   // dotted path "device.os.name", empty for the whole record
  std::string actual;  // what stood there, as JSON text, cut to 200 bytes; for kNotJson the parser's message
};

struct JsonOptions {
  size_t record_bytes_max = 16 << 20;
  int depth_max = 64;
  // Stamps without zone: refused (kWrongType) unless the contract names a time zone; then this many microseconds are subtracted.
  bool zoneless_allowed = false;
};

struct DecodedRows {
  // One row for each record, also for faulty ones (their faulty fields, or all fields, are null). Columns: the declared fields,
  // then `_extra` (utf8: a JSON object of what the contract does not know, at any depth, number text as written; null when
  // nothing), then `_absent` (list<utf8>: paths of declared fields the record did not carry; null when none. Only the outermost
  // absent path is listed: of an absent object its name, not its fields).
  std::shared_ptr<arrow::RecordBatch> rows;
  std::vector<RowFault> faults;  // ordered by row
};

// Decodes records of one source. Holds parser scratch; used by one thread. Nothing on its hot path allocates per row.
class JsonDecoder {
 public:
  virtual ~JsonDecoder() = default;
  // `records` need not be padded or terminated; each is one JSON object. Never fails for what the bytes are, only for memory.
  virtual Result<DecodedRows> Decode(std::span<const std::string_view> records) = 0;
};

Result<std::unique_ptr<JsonDecoder>> NewJsonDecoder(const data::Schema& declared, JsonOptions options);

// The schema of DecodedRows::rows for a declared schema.
data::Schema WithExtraColumns(const data::Schema& declared);

}  // namespace weir::codec
