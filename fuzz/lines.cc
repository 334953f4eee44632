// Files of lines, plain, gzip and zstd: the records do not depend on how they are asked
// for, nor on where reading began again.
#include <zlib.h>

#include <algorithm>
#include <span>
#include <vector>

#include "fuzz/fuzz.h"
#include "ingest/line_reader.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

constexpr int64_t kRecordBytesMax = 64;
constexpr size_t kDecompressedMax = 8 << 20;  // of one input; the rest is not looked at
constexpr size_t kCallsMax = 100;  // a call moves what was read and not handed out: 1 MB

struct Taken {
  std::vector<std::string> records;
  std::vector<uint64_t> ends;        // after each call
  std::vector<size_t> records_then;  // records taken by then
  std::string error;
  bool ended = false;  // at the end or a fault, not at a limit
};

Taken Take(io::Io& io, const std::string& path, uint64_t from, int64_t rows,
           int64_t bytes) {
  Taken out;
  auto reader = ingest::LineReader::Open(io, path, from, {kRecordBytesMax});
  if (!reader.ok()) {
    CheckError(reader.error());
    out.error = reader.error().message;
    out.ended = true;
    return out;
  }
  uint64_t end = from;
  while (end < kDecompressedMax && out.ends.size() < kCallsMax) {
    auto lines = (*reader)->Next(rows, bytes);
    if (!lines.ok()) {
      CheckError(lines.error());
      out.error = lines.error().message;
      out.ended = true;
      // A fault is final.
      WEIR_CHECK(!(*reader)->Next(rows, bytes).ok());
      return out;
    }
    WEIR_CHECK(lines->framed == static_cast<int64_t>(lines->records.size()));
    WEIR_CHECK(lines->framed <= rows);
    WEIR_CHECK(lines->end > end || lines->end_of_file);
    WEIR_CHECK(lines->storage->size() <= (4u << 20) + static_cast<size_t>(bytes));
    end = lines->end;
    for (const std::string_view record : lines->records) {
      WEIR_CHECK(record.size() <= kRecordBytesMax + 1);
      out.records.emplace_back(record);
    }
    out.ends.push_back(end);
    out.records_then.push_back(out.records.size());
    out.ended = lines->end_of_file;
    if (out.ended) break;
  }
  return out;
}

// The rule of the header, a line at a time.
std::vector<std::string> Plainly(std::string_view text) {
  std::vector<std::string> out;
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.size() <= kRecordBytesMax + 1) {
      if (first && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    }
    out.emplace_back(line.substr(0, kRecordBytesMax + 1));
  }
  return out;
}

// Whether one begins with the other: both stop somewhere.
bool Agree(std::span<const std::string> a, std::span<const std::string> b) {
  const size_t n = std::min(a.size(), b.size());
  return std::ranges::equal(a.first(n), b.first(n));
}

void CheckFile(io::Io& io, const std::string& path, std::string_view bytes) {
  const Taken whole = Take(io, path, 0, 1'000'000, 1 << 20);
  const Taken single = Take(io, path, 0, 1, 1);
  WEIR_CHECK(Agree(whole.records, single.records));
  if (whole.ended && single.ended) {
    WEIR_CHECK(whole.records.size() == single.records.size());
    WEIR_CHECK(whole.error == single.error);
  }
  if (path == "in" && whole.error.empty()) WEIR_CHECK(whole.records == Plainly(bytes));
  if (single.ends.empty() || !single.error.empty()) return;
  const size_t at = Choice(bytes, 1, single.ends.size());
  const Taken rest = Take(io, path, single.ends[at], 3, 100);
  const size_t before = single.records_then[at];
  WEIR_CHECK(Agree(rest.records, std::span(single.records).subspan(before)));
  if (rest.ended && whole.ended)
    WEIR_CHECK(before + rest.records.size() == whole.records.size());
}

}  // namespace

WEIR_FUZZER(lines)(std::string_view bytes) {
  io::SimIo io;
  if (bytes.starts_with("\x1f\x8b")) {
    Must(io.WriteNew("in.gz", bytes));
    CheckFile(io, "in.gz", bytes);
  } else if (bytes.starts_with("\x28\xb5\x2f\xfd")) {
    Must(io.WriteNew("in.zst", bytes));
    CheckFile(io, "in.zst", bytes);
  } else {
    Must(io.WriteNew("in", bytes));
    CheckFile(io, "in", bytes);
  }
}

}  // namespace weir::fuzz
