// CSV files: the records do not depend on how they are asked for nor on where reading
// began again, every one gets its row or its faults, and what is decoded alone is what is
// decoded among others.
#include "codec/csv.h"

#include <arrow/api.h>

#include <algorithm>
#include <vector>

#include "fuzz/fuzz.h"
#include "ingest/line_reader.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

using data::Kind;
using data::Simple;

constexpr int64_t kRecordBytesMax = 64;
constexpr size_t kBytesMax =
    1 << 20;  // of an input; a call moves what was not handed out

codec::CsvDialect DialectOf(std::string_view bytes) {
  codec::CsvDialect dialect;
  dialect.delimiter = Choice(bytes, 2, 2) == 0 ? ',' : ';';
  dialect.quote = Choice(bytes, 3, 4) == 0 ? '\0' : '"';
  dialect.header = Choice(bytes, 4, 4) != 0;
  dialect.names = {"i", "s", "n"};
  return dialect;
}

const data::Schema& Declared() {
  static const data::Schema* const schema = new data::Schema{
      {{"i", Simple(Kind::kInt64)},
       {"s", Simple(Kind::kString)},
       {"n", data::Decimal(10, 2)},
       {"b", Simple(Kind::kBool)},
       {"t", Simple(Kind::kTimestampTz)},
       {"l", data::ListOf(data::StructOf({{"x", Simple(Kind::kDouble)}}))}}};
  return *schema;
}

struct Taken {
  std::vector<std::string> records;
  std::vector<uint64_t> ends;        // after each call
  std::vector<size_t> records_then;  // records taken by then
  std::shared_ptr<const codec::CsvColumns> columns;
  std::string error;
};

Taken Take(io::Io& io, uint64_t from, int64_t rows, int64_t bytes,
           const codec::CsvDialect& dialect) {
  Taken out;
  ingest::LineReaderOptions options;
  options.record_bytes_max = kRecordBytesMax;
  options.csv = dialect;
  auto reader = ingest::LineReader::Open(io, "in", from, options);
  if (!reader.ok()) {
    CheckError(reader.error());
    out.error = reader.error().message;
    return out;
  }
  for (;;) {
    auto lines = Must((*reader)->Next(rows, bytes));
    WEIR_CHECK(lines.framed == static_cast<int64_t>(lines.records.size()));
    WEIR_CHECK(lines.framed <= rows);
    out.records.insert(out.records.end(), lines.records.begin(), lines.records.end());
    out.ends.push_back(lines.end);
    out.records_then.push_back(out.records.size());
    out.columns = lines.columns;
    if (lines.end_of_file) return out;
  }
}

std::string RowText(const codec::DecodedRows& decoded, int64_t row) {
  std::string text;
  for (int c = 0; c < decoded.rows->num_columns(); ++c)
    text += (*decoded.rows->column(c)->GetScalar(row))->ToString() + "|";
  for (const codec::RowFault& fault : decoded.faults) {
    if (fault.row == row)
      text += std::to_string(static_cast<int>(fault.fault)) + fault.field + ":" +
              fault.actual + "|";
  }
  return text;
}

void CheckRows(const std::vector<std::string>& records, const codec::CsvColumns& columns,
               const codec::CsvDialect& dialect) {
  const codec::JsonOptions options{.record_bytes_max = kRecordBytesMax};
  const auto all = Must(codec::NewCsvDecoder(Declared(), dialect, options));
  const auto one = Must(codec::NewCsvDecoder(Declared(), dialect, options));
  const std::vector<std::string_view> views(records.begin(), records.end());
  const codec::DecodedRows together = Must(all->Decode(views, columns));
  WEIR_CHECK(together.rows->num_rows() == static_cast<int64_t>(records.size()));
  WEIR_CHECK(together.rows->ValidateFull().ok());
  int32_t before = 0;
  for (const codec::RowFault& fault : together.faults) {
    WEIR_CHECK(fault.row >= before && fault.row < static_cast<int32_t>(records.size()));
    WEIR_CHECK(fault.fault != codec::Fault::kNotJson);
    before = fault.row;
  }
  for (size_t i = 0; i < std::min<size_t>(views.size(), 64); ++i) {
    const auto alone = Must(one->Decode(std::span(&views[i], 1), columns));
    WEIR_CHECK(RowText(alone, 0) == RowText(together, static_cast<int64_t>(i)));
  }
}

}  // namespace

WEIR_FUZZER(csv)(std::string_view bytes) {
  bytes = bytes.substr(0, kBytesMax);
  io::SimIo io;
  Must(io.WriteNew("in", bytes));
  const codec::CsvDialect dialect = DialectOf(bytes);
  const Taken whole = Take(io, 0, 1'000'000, 1 << 20, dialect);
  // A call of few records moves all that was read: only short inputs are asked so.
  const int64_t few = bytes.size() < 4096 ? 1 : 1000;
  const Taken parts = Take(io, 0, few, few, dialect);
  WEIR_CHECK(whole.error == parts.error);
  WEIR_CHECK(whole.records == parts.records);
  if (!whole.error.empty()) return;
  if (whole.columns != nullptr) CheckRows(whole.records, *whole.columns, dialect);
  const size_t at = Choice(bytes, 1, parts.ends.size());
  if (parts.columns == nullptr || parts.ends[at] == 0) return;
  const Taken rest = Take(io, parts.ends[at], 3, 100, dialect);
  WEIR_CHECK(rest.columns->names == whole.columns->names);
  WEIR_CHECK(std::ranges::equal(
      rest.records, std::span(parts.records).subspan(parts.records_then[at])));
}

}  // namespace weir::fuzz
