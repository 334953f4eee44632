// Records out of a file of lines, plain or compressed, from any decompressed byte on.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/io.h"

namespace weir::ingest {

// Some lines of a file. Blank lines and a byte order mark at its beginning are no
// records; CRLF ends a line too.
struct Lines {
  std::shared_ptr<std::string> storage;  // what the records point into
  std::vector<std::string_view> records;
  int64_t framed =
      0;  // records counted by the framer, independently of `records` and of all verdicts
  uint64_t end = 0;  // decompressed byte after the last line taken
  bool end_of_file = false;
};

// Used by one thread.
class LineReader {
 public:
  virtual ~LineReader() = default;
  // By the name's ending: .gz, .zst, else plain. `from` is a decompressed byte at which a
  // line begins. A line longer than `record_bytes_max` is cut to one byte more than that
  // (so that the decoder refuses it) and the rest of it is skipped. Of the file as it is
  // stored only the first `stored_bytes` are read: what is appended later is not part of
  // it. kInvalid: not a regular file, or not readable; kNotFound; kCorrupt: shorter.
  static Result<std::unique_ptr<LineReader>> Open(
      io::Io& io, const std::string& path, uint64_t from, int64_t record_bytes_max,
      uint64_t stored_bytes = std::numeric_limits<uint64_t>::max());

  // At most so many records and about so many bytes; at least one record unless the file
  // ends or all those bytes are blank lines. kCorrupt: the compressed stream is broken,
  // or the file was cut; what stood before was handed out.
  virtual Result<Lines> Next(int64_t rows_max, int64_t bytes_max) = 0;
};

// A hash of the first `bytes` of the file's content, as stored. kCorrupt: it has fewer.
Result<uint64_t> ChecksumFile(io::Io& io, const std::string& path, uint64_t bytes);

}  // namespace weir::ingest
