// CSV records (RFC 4180) into Arrow columns: where records end, what a header says, and
// the values by the same rules as those of JSON records.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/json.h"
#include "data/type.h"

namespace weir::codec {

struct CsvDialect {
  char delimiter = ',';
  char quote = '"';       // 0: nothing is quoted
  bool header = true;     // the first record names the columns; else `names` does
  std::string null_text;  // an unquoted field of this text is null
  std::vector<std::string> names;  // of the columns when there is no header
};

// The columns of one file.
struct CsvColumns {
  std::vector<std::string> names;
  std::string fault;  // why no record can be read by them: two have one name; else empty
};

// Finds where records end. A line break inside quotes ends none; a quote opens only at
// the beginning of a field. Used by one thread.
class CsvFramer {
 public:
  explicit CsvFramer(const CsvDialect& dialect)
      : delimiter_(dialect.delimiter), quote_(dialect.quote) {}

  // Looks at more bytes of the record it is in: the position of the line break that ends
  // it, and then stands before the next record; npos: it goes on behind `bytes`.
  size_t FindEnd(std::string_view bytes);
  // Stands before a record again.
  void Reset() { state_ = State::kFieldBegins; }
  // Inside a quoted field, whose closing quote is not there yet.
  bool in_quotes() const { return state_ == State::kQuoted; }

 private:
  enum class State : uint8_t { kFieldBegins, kPlain, kQuoted, kQuoteInQuoted };
  const char delimiter_, quote_;
  State state_ = State::kFieldBegins;
};

// What the header record says. An empty name becomes "column<place>", counted from 1.
// kInvalid: it breaks the grammar.
Result<CsvColumns> ReadCsvHeader(std::string_view record, const CsvDialect& dialect);
// The columns of a file without header.
CsvColumns CsvColumnsOf(const CsvDialect& dialect);

// Decodes records of one source. A field becomes the JSON value that the declared type
// wants and goes through a JsonDecoder: numbers by the grammar of JSON, booleans
// true/false (True, TRUE …), objects, arrays and maps as JSON text, all others as
// strings. Fields of columns that are not declared are kept in `_extra` as strings,
// declared ones without a column are absent. Faults are as JsonDecoder's, with kNotCsv
// for kNotJson. Used by one thread.
class CsvDecoder {
 public:
  virtual ~CsvDecoder() = default;
  // `records` are without their line break. Never fails for what the bytes are, only for
  // memory.
  virtual Result<DecodedRows> Decode(std::span<const std::string_view> records,
                                     const CsvColumns& columns) = 0;
};
Result<std::unique_ptr<CsvDecoder>> NewCsvDecoder(const data::Schema& declared,
                                                  const CsvDialect& dialect,
                                                  const JsonOptions& options);

}  // namespace weir::codec
