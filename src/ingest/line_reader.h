// Records out of a file of lines or of CSV, plain or compressed, from any decompressed
// byte on; and the rows of a Parquet file as JSON records.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/csv.h"
#include "io/io.h"

namespace weir::ingest {

// Some lines of a file, or records of CSV. Blank lines (of CSV: empty ones) and a byte
// order mark at its beginning are no records; CRLF ends a line too.
struct Lines {
  std::shared_ptr<std::string> storage;  // what the records point into
  std::vector<std::string_view> records;
  int64_t framed =
      0;  // records counted by the framer, independently of `records` and of all verdicts
  uint64_t end = 0;  // decompressed byte after the last line taken
  bool end_of_file = false;
  std::shared_ptr<const codec::CsvColumns>
      columns;  // of CSV, for all records of the file
};

struct LineReaderOptions {
  int64_t record_bytes_max = 0;
  uint64_t stored_bytes = std::numeric_limits<uint64_t>::max();
  std::optional<codec::CsvDialect> csv;  // else lines
  bool parquet = false;                  // then rows stand for bytes
};

// Used by one thread.
class LineReader {
 public:
  virtual ~LineReader() = default;
  // By the name's ending: .gz, .zst, else plain. `from` is a decompressed byte at which a
  // record begins (of CSV with a header: 0, or behind it). A record longer than
  // `record_bytes_max` is cut to one byte more than that (so that the decoder refuses it)
  // and the rest of it is skipped. Of the file as it is stored only the first
  // `stored_bytes` are read: what is appended later is not part of it. A quote that is
  // never closed makes one record of all that follows. kInvalid: not a regular file, or
  // not readable; kNotFound; kCorrupt: shorter, or the header of a CSV file is none.
  static Result<std::unique_ptr<LineReader>> Open(io::Io& io, const std::string& path,
                                                  uint64_t from,
                                                  LineReaderOptions options);

  // At most so many records and about so many bytes; at least one record unless the file
  // ends or all those bytes are blank lines. kCorrupt: the compressed stream is broken,
  // or the file was cut; what stood before was handed out.
  virtual Result<Lines> Next(int64_t rows_max, int64_t bytes_max) = 0;
};

// A hash of the first `bytes` of the file's content, as stored. kCorrupt: it has fewer.
Result<uint64_t> ChecksumFile(io::Io& io, const std::string& path, uint64_t bytes);

}  // namespace weir::ingest
