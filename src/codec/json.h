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
  kNotJson,   // also invalid UTF-8, a duplicate key in one object, deeper than depth_max,
              // not an object, trailing text
  kNotCsv,    // of CSV (csv.h): a quote is not closed, another number of fields than the
              // header has …
  kTooLarge,  // longer than record_bytes_max
  kWrongType,  // a declared field holds another type (an unparsable stamp, a number
               // beyond the type's range)
};

struct RowFault {
  int32_t row;
  Fault fault;
  std::string field;  // dotted path "device.os.name", "route[3].lat", "labels.red"; empty
                      // for the whole record
  std::string actual;  // what stood there, as JSON text, cut to 200 bytes; for kNotJson
                       // the parser's message
};

struct JsonOptions {
  size_t record_bytes_max = 16 << 20;
  int depth_max = 64;  // at most 1000
  // Stamps without zone in a timestamptz field: refused (kWrongType) unless the contract
  // names a time zone, which can be UTC only.
  bool zoneless_allowed = false;
};

struct DecodedRows {
  // One row for each record, also for faulty ones (their faulty fields, or all fields,
  // are null). Columns: the declared fields, all of them nullable, then
  // `_extra` (utf8): a JSON object of what the contract does not know, keys and values as
  // written, at the depth where they stood;
  //   what is unknown in list elements stands at the element's place, after nulls:
  //   {"route":[null,{"x":1}]}. Null when nothing.
  // `_absent` (list<utf8>): paths of declared fields the record did not carry, in
  // declared order, then those of list elements
  //   and map values. Only the outermost absent path is listed: of an absent object its
  //   name, not its fields. Null when none.
  std::shared_ptr<arrow::RecordBatch> rows;
  std::vector<RowFault> faults;  // ordered by row; kWrongType at most 64 times a row
};

// Decodes records of one source. Keys match declared names exactly, case included.
// Numbers: 17.0 and 1e3 are whole numbers, a decimal may stand in a string, and nothing
// is rounded but to the nearest double. Holds parser scratch; used by one thread.
class JsonDecoder {
 public:
  virtual ~JsonDecoder() = default;
  // `records` need not be padded or terminated; each is one JSON object. Never fails for
  // what the bytes are, only for memory.
  virtual Result<DecodedRows> Decode(std::span<const std::string_view> records) = 0;
};

Result<std::unique_ptr<JsonDecoder>> NewJsonDecoder(const data::Schema& declared,
                                                    JsonOptions options);

// The schema of DecodedRows::rows for a declared schema: nothing in it is required,
// because what was missing shows as null.
data::Schema WithExtraColumns(const data::Schema& declared);

}  // namespace weir::codec
