#include "codec/csv.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::codec {
namespace {

using data::Kind;
using data::Simple;

data::Schema Declared() {
  return {{{"id", Simple(Kind::kInt64)},
           {"name", Simple(Kind::kString)},
           {"fare", data::Decimal(10, 2)},
           {"ok", Simple(Kind::kBool)},
           {"at", Simple(Kind::kTimestampTz)},
           {"tags", data::ListOf(Simple(Kind::kString))}}};
}

std::string Cell(const arrow::Array& array, int64_t row) {
  return (*array.GetScalar(row))->ToString();
}

// The row without what is null, then its faults: "id=1 name=a extra={…} absent=[…]
// !wrong_type fare "x"".
std::string Row(const DecodedRows& decoded, int64_t row) {
  static constexpr const char* kFaults[] = {"not_json", "not_csv", "too_large",
                                            "wrong_type"};
  std::string out;
  for (int c = 0; c < decoded.rows->num_columns(); ++c) {
    const arrow::Array& column = *decoded.rows->column(c);
    if (column.IsNull(row)) continue;
    out +=
        (out.empty() ? "" : " ") + decoded.rows->column_name(c) + "=" + Cell(column, row);
  }
  for (const RowFault& fault : decoded.faults) {
    if (fault.row == row)
      out += std::string(out.empty() ? "!" : " !") +
             kFaults[static_cast<size_t>(fault.fault)] + " " + fault.field + ": " +
             fault.actual;
  }
  return out;
}

std::string DecodeOne(const std::string& header, const std::string& record,
                      CsvDialect dialect = {}) {
  const auto decoder = NewCsvDecoder(Declared(), dialect, {.record_bytes_max = 100});
  EXPECT_TRUE(decoder.ok());
  const auto columns = ReadCsvHeader(header, dialect);
  if (!columns.ok()) return columns.error().message;
  const std::string_view view = record;
  const auto decoded = (*decoder)->Decode(std::span(&view, 1), *columns);
  EXPECT_TRUE(decoded.ok());
  EXPECT_TRUE(decoded->rows->ValidateFull().ok());
  return Row(*decoded, 0);
}

std::string Absent(const std::string& row, const std::string& fields) {
  return row + " _absent=list<element: string>[" + fields + "]";
}

TEST(CsvTest, ReadsFieldsByTheRulesOfJsonValues) {
  const std::string header = "id,name,fare,ok,at,tags";
  const struct {
    const char* name;
    std::string record, row;
  } kCases[] = {
      {"all types", "1,ann,2.50,true,2024-01-01T10:00:00Z,\"[\"\"a\"\",\"\"b\"\"]\"",
       "id=1 name=ann fare=2.50 ok=true at=2024-01-01 10:00:00.000000Z "
       "tags=list<element: string>[a, b]"},
      {"empty and unquoted is null", ",,,,,", ""},
      {"empty and quoted is empty", ",\"\",,,,", "name="},
      {"quotes hide delimiters, line breaks and quotes", "1,\"a,\n\"\"b\"\"\",,,,",
       "id=1 name=a,\n\"b\""},
      {"a quote inside a field is a character", "1,a\"b,,,,", "id=1 name=a\"b"},
      {"numbers by the grammar of JSON", "007,,,,,", "!wrong_type id: \"007\""},
      {"quoted numbers are numbers", "\"7\",,\"1e1\",,,", "id=7 fare=10.00"},
      {"blanks are not cut", " 7, a ,,,,", "name= a  !wrong_type id: \" 7\""},
      {"booleans as pandas writes them", ",,,False,,", "ok=false"},
      {"other booleans are none", ",,,yes,,", "!wrong_type ok: \"yes\""},
      {"a list that is not JSON", ",,,,,a b", "!wrong_type tags: \"a b\""},
      {"JSON that would leave its place", ",,,,,\"[]},{\"",
       "!wrong_type tags: \"[]},{\""},
      {"control characters", ",a\x01\tb,,,,", "name=a\x01\tb"},
      {"too few fields", "1,2", "!not_csv : 2 fields; there are 6 columns"},
      {"too many", "1,,,,,,", "!not_csv : 7 fields; there are 6 columns"},
      {"a quote that is not closed", "1,\"ann,,,,",
       "!not_csv : the quote at byte 2 is not closed"},
      {"text behind a quote", "1,\"a\"b,,,,",
       "!not_csv : text stands behind the closing quote at byte 4"},
      {"not UTF-8", "1,\xff,,,,", "!not_csv : not valid UTF-8"},
      {"too long", std::string(101, 'x'),
       "!too_large : more than 100 bytes (weir.record.bytes)"},
  };
  for (const auto& one : kCases)
    EXPECT_EQ(DecodeOne(header, one.record), one.row) << one.name;
}

TEST(CsvTest, KeepsUndeclaredColumnsAndTellsAbsentOnes) {
  EXPECT_EQ(
      DecodeOne("id,zone,name,,fare,ok,at", "1,x\"y,ann,,,,"),
      Absent("id=1 name=ann _extra={\"zone\":\"x\\\"y\",\"column4\":null}", "tags"));
}

// Else the whole file would be one header, and no record of it would be missed.
TEST(CsvTest, LinesThatEndInCrAloneAreNoHeader) {
  EXPECT_THAT(DecodeOne("id,name\r1,ann\r2,bob", "x"), testing::HasSubstr("CR alone"));
  EXPECT_THAT(DecodeOne("id,name\r", "x"), testing::HasSubstr("CR alone"));
  EXPECT_TRUE(ReadCsvHeader("id,\"a\rb\"", {}).ok());
}

TEST(CsvTest, RefusesAllRecordsOfAHeaderThatNamesAColumnTwice) {
  EXPECT_EQ(DecodeOne("id,name,id", "1,a,2"), "!not_csv : the header names 'id' twice");
  EXPECT_EQ(DecodeOne("id,\"name", "1,a"),
            "the header is not CSV: the quote at byte 3 is not closed");
}

TEST(CsvTest, SpeaksOtherDialects) {
  CsvDialect dialect;
  dialect.delimiter = ';';
  dialect.quote = '\'';
  dialect.null_text = "\\N";
  EXPECT_EQ(DecodeOne("id;name", "\\N;'a;''b'", dialect),
            Absent("name=a;'b", "fare, ok, at, tags"));
  EXPECT_EQ(DecodeOne("id;name", "1;", dialect),
            Absent("id=1 name=", "fare, ok, at, tags"));
  dialect.quote = 0;
  EXPECT_EQ(DecodeOne("id;name", "1;'a", dialect),
            Absent("id=1 name='a", "fare, ok, at, tags"));
}

// The records of a text, given to the framer so many bytes at a time.
std::vector<std::string> Framed(std::string_view text, size_t step) {
  CsvFramer framer{CsvDialect{}};
  std::vector<std::string> out;
  std::string record;
  for (size_t at = 0; at < text.size();) {
    const std::string_view bytes = text.substr(at, step);
    const size_t end = framer.FindEnd(bytes);
    record += bytes.substr(0, end);
    if (end == std::string_view::npos) {
      at += bytes.size();
      continue;
    }
    at += end + 1;
    out.push_back(std::exchange(record, ""));
  }
  if (!record.empty()) out.push_back(record + (framer.in_quotes() ? " (open)" : ""));
  return out;
}

TEST(CsvTest, FramesRecordsHoweverTheirBytesCome) {
  using Records = std::vector<std::string>;
  const struct {
    const char* name;
    std::string text;
    Records records;
  } kCases[] = {
      {"lines", "a,b\nc,d\n", {"a,b", "c,d"}},
      {"a line break in quotes", "a,\"b\nc\",d\ne\n", {"a,\"b\nc\",d", "e"}},
      {"doubled quotes", "\"a\"\"\nb\"\nc", {"\"a\"\"\nb\"", "c"}},
      {"a doubled quote at the end", "\"a\n\"\"\"\nc", {"\"a\n\"\"\"", "c"}},
      {"quotes inside a field open nothing", "a\"b\nc\"\n", {"a\"b", "c\""}},
      {"nor behind a closing one", "\"a\"b\"\nc\n", {"\"a\"b\"", "c"}},
      {"a field after a quoted one", "\"a\",\"b\n\"\nc\n", {"\"a\",\"b\n\"", "c"}},
      {"never closed", "a\n\"b\nc\nd", {"a", "\"b\nc\nd (open)"}},
  };
  for (const auto& one : kCases) {
    for (size_t step = 1; step <= one.text.size() + 1; ++step)
      EXPECT_EQ(Framed(one.text, step), one.records) << one.name << ", step " << step;
  }
}

}  // namespace
}  // namespace weir::codec
