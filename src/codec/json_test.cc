#include "codec/json.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include "data/type.h"

namespace weir::codec {
namespace {

using data::Decimal;
using data::Field;
using data::Kind;
using data::ListOf;
using data::Schema;
using data::Simple;
using data::StructOf;
using data::Type;

Type MapOf(Type value) {
  Type type = Simple(Kind::kMap);
  type.fields = {{"key", Simple(Kind::kString), true}, {"value", std::move(value)}};
  return type;
}

std::string Cell(const arrow::Array& array, int64_t row) {
  return (*array.GetScalar(row))->ToString();
}

std::string List(const arrow::Array& array, int64_t row) {
  const auto& list = static_cast<const arrow::ListArray&>(array);
  const auto& values = static_cast<const arrow::StringArray&>(*list.values());
  std::string text;
  for (int64_t i = list.value_offset(row); i < list.value_offset(row + 1); ++i) {
    text += (text.empty() ? "" : " ") + values.GetString(i);
  }
  return text;
}

// One line a row: "a=1 b=null extra={…} absent=c d", or its faults: "not_json: …",
// "wrong_type b: \"x\"".
std::vector<std::string> Decode(JsonDecoder& decoder,
                                const std::vector<std::string>& records) {
  std::vector<std::string_view> views(records.begin(), records.end());
  auto decoded = decoder.Decode(views);
  if (!decoded.ok()) return {decoded.error().message};
  const arrow::RecordBatch& rows = *decoded->rows;
  EXPECT_TRUE(rows.ValidateFull().ok()) << rows.ValidateFull().ToString();
  std::vector<std::string> lines(records.size());
  for (size_t row = 0; row < lines.size(); ++row) {
    const auto r = static_cast<int64_t>(row);
    for (int c = 0; c + 2 < rows.num_columns(); ++c) {
      lines[row] +=
          (c == 0 ? "" : " ") + rows.column_name(c) + "=" + Cell(*rows.column(c), r);
    }
    const arrow::Array& extra = *rows.column(rows.num_columns() - 2);
    const arrow::Array& absent = *rows.column(rows.num_columns() - 1);
    if (!extra.IsNull(r)) lines[row] += " extra=" + Cell(extra, r);
    if (!absent.IsNull(r)) lines[row] += " absent=" + List(absent, r);
  }
  int32_t before = -1;
  for (const RowFault& fault : decoded->faults) {
    EXPECT_LE(before, fault.row);
    std::string& line = lines[static_cast<size_t>(fault.row)];
    if (fault.row != before) line.clear();
    before = fault.row;
    if (!line.empty()) line += "; ";
    switch (fault.fault) {
      case Fault::kNotJson:
        line += "not_json: " + fault.actual;
        break;
      case Fault::kNotCsv:
        line += "not_csv: " + fault.actual;
        break;
      case Fault::kTooLarge:
        line += "too_large: " + fault.actual;
        break;
      case Fault::kWrongType:
        line += "wrong_type " + fault.field + ": " + fault.actual;
        break;
    }
  }
  return lines;
}

std::string DecodeOne(const Schema& schema, const std::string& record,
                      JsonOptions options = {}) {
  auto decoder = *NewJsonDecoder(schema, options);
  // The neighbours must come through whatever stands between them.
  const std::vector<std::string> lines = Decode(*decoder, {"{}", record, "{\"zz\":1}"});
  EXPECT_TRUE(lines[0].find("not_json") == std::string::npos) << lines[0];
  EXPECT_TRUE(lines[2].find("extra={\"zz\":1}") != std::string::npos) << lines[2];
  return lines[1];
}

struct Case {
  std::string record, expected;
};

TEST(Json, ReadsEachTypeOrSaysWhatStoodThere) {
  const std::vector<std::pair<Type, std::vector<Case>>> kTable = {
      {Simple(Kind::kInt64),
       {{"17", "v=17"},
        {"-0", "v=0"},
        {"17.0", "v=17"},
        {"1e3", "v=1000"},
        {"1.5e1", "v=15"},
        {"1200e-2", "v=12"},
        {"17.5", "wrong_type v: 17.5"},
        {"1e-1", "wrong_type v: 1e-1"},
        {"9223372036854775807", "v=9223372036854775807"},
        {"-9223372036854775808", "v=-9223372036854775808"},
        {"9223372036854775808", "wrong_type v: 9223372036854775808"},
        {"1e99999999999999999999", "wrong_type v: 1e99999999999999999999"},
        {"0e99999999999999999999", "v=0"},
        {"\"17\"", "wrong_type v: \"17\""},
        {"true", "wrong_type v: true"},
        {"null", "v=null"},
        {"[1]", "wrong_type v: [1]"},
        {"{\"a\":1}", "wrong_type v: {\"a\":1}"}}},
      {Simple(Kind::kInt32),
       {{"2147483647", "v=2147483647"}, {"2147483648", "wrong_type v: 2147483648"}}},
      {Simple(Kind::kDouble),
       {{"1", "v=1"},
        {"0.1", "v=0.1"},
        {"-2.5e-3", "v=-0.0025"},
        {"1e999", "wrong_type v: 1e999"},
        {"-1e999", "wrong_type v: -1e999"},
        {"1e-999", "v=0"},
        {"123456789012345678901234567890", "v=1.2345678901234568e+29"},
        {"9007199254740993", "v=9.007199254740992e+15"},
        {"\"1\"", "wrong_type v: \"1\""}}},
      {Simple(Kind::kFloat), {{"0.5", "v=0.5"}, {"1e39", "wrong_type v: 1e39"}}},
      {Simple(Kind::kBool),
       {{"true", "v=true"}, {"false", "v=false"}, {"0", "wrong_type v: 0"}}},
      {Decimal(5, 2),
       {{"1.5", "v=1.50"},
        {"-999.99", "v=-999.99"},
        {"1000", "wrong_type v: 1000"},
        {"1.005", "wrong_type v: 1.005"},
        {"1.5000", "v=1.50"},
        {"15e-1", "v=1.50"},
        {"\"1.25\"", "v=1.25"},
        {"\"1.25 \"", "wrong_type v: \"1.25 \""},
        {"\"\"", "wrong_type v: \"\""}}},
      {Decimal(38, 0),
       {{"99999999999999999999999999999999999999",
         "v=99999999999999999999999999999999999999"}}},
      {Simple(Kind::kString),
       {{"\"\"", "v="},
        {"\"caf\xC3\xA9\"", "v=caf\xC3\xA9"},
        {R"("a\"\\\/\n\u00e9\ud83d\ude00")", "v=a\"\\/\n\xC3\xA9\xF0\x9F\x98\x80"},
        {"\"a string that is longer than thirty-two bytes\"",
         "v=a string that is longer than thirty-two bytes"},
        {"7", "wrong_type v: 7"}}},
      {Simple(Kind::kTimestampTz),
       {{"\"2018-01-31T10:00:00.5Z\"", "v=2018-01-31 10:00:00.500000Z"},
        {"\"2018-01-31T10:00:00+02:00\"", "v=2018-01-31 08:00:00.000000Z"},
        {R"("2018-01-31T10:00:00\u005a")", "v=2018-01-31 10:00:00.000000Z"},
        {"\"2018-01-31T10:00:00\"", "wrong_type v: \"2018-01-31T10:00:00\""},
        {"\"yesterday\"", "wrong_type v: \"yesterday\""},
        {"17", "wrong_type v: 17"}}},
      {Simple(Kind::kTimestamp),
       {{"\"2018-01-31T10:00:00\"", "v=2018-01-31 10:00:00.000000"},
        {"\"2018-01-31T10:00:00Z\"", "wrong_type v: \"2018-01-31T10:00:00Z\""}}},
      {Simple(Kind::kDate),
       {{"\"2018-02-28\"", "v=2018-02-28"},
        {"\"2018-02-30\"", "wrong_type v: \"2018-02-30\""}}},
      {Simple(Kind::kTime),
       {{"\"23:59:59.25\"", "v=23:59:59.250000"},
        {"\"24:00:00\"", "wrong_type v: \"24:00:00\""}}},
      {Simple(Kind::kUuid),
       {{"\"123e4567-e89b-12d3-a456-426614174000\"",
         std::string("v=\x12\x3E\x45\x67\xE8\x9B\x12\xD3\xA4\x56\x42\x66\x14\x17\x40\x00",
                     18)},
        {"\"123e4567\"", "wrong_type v: \"123e4567\""}}},
      {Simple(Kind::kBinary),
       {{"\"aGk=\"", "v=hi"},
        {"\"aGk\"", "wrong_type v: \"aGk\""},
        {"\"aGl=\"", "wrong_type v: \"aGl=\""}}},
      {ListOf(Simple(Kind::kInt64)),
       {{"[]", "v=list<element: int64>[]"},
        {"[1,null,2]", "v=list<element: int64>[1, null, 2]"},
        {"[1,\"x\",{}]", "wrong_type v[1]: \"x\"; wrong_type v[2]: {}"},
        {"{}", "wrong_type v: {}"}}},
      {MapOf(Simple(Kind::kInt64)),
       {{R"({"a":1,"b":null})",
         "v=map<string, int64>[{key:string = a, value:int64 = 1}, {key:string = b, "
         "value:int64 = null}]"},
        {R"({"a":1,"a":2})", "not_json: a key stands twice in one object at byte 19"},
        {R"({"a":"x"})", "wrong_type v.a: \"x\""}}},
  };
  for (const auto& [type, cases] : kTable) {
    for (const Case& c : cases) {
      const std::string record = "{\"v\": " + c.record + "}";
      EXPECT_EQ(DecodeOne({{{"v", type}}}, record), c.expected)
          << record << " as " << data::TypeName(type);
    }
  }
}

TEST(Json, RefusesWhatIsNotOneJsonObject) {
  const std::string kDeep(10'000, '[');
  const std::vector<Case> kTable = {
      {"", "not an object at byte 1"},
      {"   ", "not an object at byte 4"},
      {"[1]", "not an object at byte 0"},
      {"7", "not an object at byte 0"},
      {"\xEF\xBB\xBF{}", "not an object at byte 0"},
      {"{", "expected a key at byte 2"},
      {"{}x", "text after the object at byte 2"},
      {"{}{}", "text after the object at byte 2"},
      {"{\"a\"", "expected ':' after a key at byte 1"},
      {"{\"a\":", "expected a value at byte 6"},
      {"{\"a\":1", "expected ',' or '}' at byte 7"},
      {"{\"a\":1,", "expected a key at byte 8"},
      {"{\"a\":1,}", "expected a key at byte 7"},
      {"{,}", "expected a key at byte 1"},
      {"{\"a\" 1}", "expected ':' after a key at byte 1"},
      {"{\"a\":[1,]}", "expected a value at byte 8"},
      {"{\"a\":[1}}", "expected ',' or ']' at byte 7"},
      {"{\"a\":{]}", "expected a key at byte 6"},
      {"{a:1}", "expected a key at byte 1"},
      {"{'a':1}", "expected a key at byte 1"},
      {"{\"a\":\"x", "a string is not closed"},
      {std::string("\xff\xfe{\0}\0", 6), "UTF-16 text: JSON is read as UTF-8"},
      {"\x1f\x8b\x08\x01", "gzip data: a file of it must be named .gz"},
      {"\x28\xb5\x2f\xfd\x01", "zstd data: a file of it must be named .zst"},
      {"{\"a\":\"x\ny\"}",
       "a control character stands in a string, or the string is not closed"},
      {std::string("{\"a\":\"x\0y\"}", 11),
       "a control character stands in a string, or the string is not closed"},
      {std::string("{\"a\":\0 1}", 9), "expected a value at byte 5"},
      {std::string("{\"a\":1\0}", 8), "not a number at byte 5"},
      {"{\"a\":1\x0C}", "not a number at byte 5"},
      {"{\"a\":01}", "not a number at byte 5"},
      {"{\"a\":-}", "not a number at byte 5"},
      {"{\"a\":+1}", "expected a value at byte 5"},
      {"{\"a\":.5}", "expected a value at byte 5"},
      {"{\"a\":1.}", "not a number at byte 5"},
      {"{\"a\":1e}", "not a number at byte 5"},
      {"{\"a\":1e+}", "not a number at byte 5"},
      {"{\"a\":1a}", "not a number at byte 5"},
      {"{\"a\":1\"x\"}", "not a number at byte 5"},
      {"{\"a\":0x10}", "not a number at byte 5"},
      {"{\"a\":NaN}", "expected a value at byte 5"},
      {"{\"a\":nul}", "expected a value at byte 5"},
      {"{\"a\":nullx}", "expected a value at byte 5"},
      {"{\"a\":True}", "expected a value at byte 5"},
      {"{\"a\":truefalse}", "expected a value at byte 5"},
      {"{\"a\":\"x\"\"y\"}", "expected ',' or '}' at byte 8"},
      {"{\"a\":\"\\x\"}", "a string with a wrong escape at byte 5"},
      {"{\"a\":\"\\ud800\"}", "a string with a wrong escape at byte 5"},
      {"{\"a\":\"\\ud800\\u0041\"}", "a string with a wrong escape at byte 5"},
      {"{\"a\":\"\\udc00\"}", "a string with a wrong escape at byte 5"},
      {"{\"a\":\"\\u12g4\"}", "a string with a wrong escape at byte 5"},
      {"{\"\\ud800\":1}", "a string with a wrong escape at byte 1"},
      {"{\"a\":\"\xC0\xAF\"}", "not valid UTF-8"},          // overlong
      {"{\"a\":\"\xED\xA0\x80\"}", "not valid UTF-8"},      // a surrogate
      {"{\"a\":\"\xF4\x90\x80\x80\"}", "not valid UTF-8"},  // beyond U+10FFFF
      {"{\"a\":\"\xE2\x82\"}", "not valid UTF-8"},          // cut short
      {"{\"\xFF\":1}", "not valid UTF-8"},
      {"{\"a\":1,\"a\":2}", "a key stands twice in one object at byte 14"},
      {"{\"a\":1,\"\\u0061\":2}", "a key stands twice in one object at byte 19"},
      {"{\"a\":{\"b\":1,\"b\":2}}", "a key stands twice in one object at byte 18"},
      {"{\"a\":[{\"b\":1,\"\\u0062\":2}]}",
       "a key stands twice in one object at byte 24"},
      {"{\"a\":" + kDeep, "nested too deep at byte 68"},
  };
  const Schema declared{{{"v", Simple(Kind::kInt64)}, {"s", Simple(Kind::kString)}}};
  for (const Case& c : kTable) {
    EXPECT_EQ(DecodeOne(declared, c.record), "not_json: " + c.expected)
        << c.record.substr(0, 80);
  }
  // The same inside declared fields, where other code reads.
  for (const char* record :
       {"{\"v\":01}", "{\"v\":1.}", "{\"v\":-}", "{\"v\":1x}", "{\"v\":nul}",
        "{\"v\":[1,}", "{\"v\":1,\"v\":1}", "{\"v\":{\"a\":1,\"a\":1}}",
        "{\"s\":\"\\ud800\"}", "{\"s\":\"\\q\"}", "{\"s\":\"\xFF\"}", "{\"s\":\"a\"b\"}",
        "{\"v\":\"\\ud800\"}", "{\"v\":1\x01}", "{\"v\":1", "{\"s\":\"a\"", "{\"v\"",
        "{\"v\":", "{\"s\":\"a"}) {
    EXPECT_EQ(DecodeOne(declared, record).substr(0, 9), "not_json:") << record;
  }
}

TEST(Json, DuplicateKeysAreFoundAmongManyToo) {
  std::string many = "{";
  for (int i = 0; i < 500; ++i) many += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_EQ(DecodeOne({}, many + "\"z\":1}").substr(0, 8), " extra={");
  EXPECT_EQ(DecodeOne({}, many + "\"k77\":1}").substr(0, 9), "not_json:");
}

TEST(Json, DepthCountsEveryContainer) {
  const auto nested = [](int depth) {
    return "{\"u\":" + std::string(static_cast<size_t>(depth - 1), '[') +
           std::string(static_cast<size_t>(depth - 1), ']') + "}";
  };
  EXPECT_EQ(DecodeOne({}, nested(5), {.depth_max = 5}).substr(0, 8), " extra={");
  EXPECT_EQ(DecodeOne({}, nested(6), {.depth_max = 5}),
            "not_json: nested too deep at byte 9");
}

TEST(Json, UnknownFieldsAreKeptAsWrittenAtTheirPlace) {
  const Schema declared{
      {{"a", Simple(Kind::kInt64)},
       {"device", StructOf({{"os", StructOf({{"name", Simple(Kind::kString)}})},
                            {"model", Simple(Kind::kString)}})},
       {"route", ListOf(StructOf({{"lat", Simple(Kind::kDouble)}}))},
       {"tags", MapOf(StructOf({{"n", Simple(Kind::kInt64)}}))}}};
  const std::vector<Case> kTable = {
      {R"({"x":1.50, "y" : [1, {"z":2}]})", R"({"x":1.50,"y":[1, {"z":2}]})"},
      {R"({"device":{"x":1.50}})", R"({"device":{"x":1.50}})"},
      {R"({"device":{"os":{"v":"17"},"x":null},"b":true})",
       R"({"device":{"os":{"v":"17"},"x":null},"b":true})"},
      {R"({"route":[{"lat":1},{"lat":2,"x":1},{"lat":3},{"y":2}]})",
       R"({"route":[null,{"x":1},null,{"y":2}]})"},
      {R"({"tags":{"red":{"n":1},"b\u006cue":{"n":2,"x":[]}}})",
       R"({"tags":{"b\u006cue":{"x":[]}}})"},
      {R"({"A":1})", R"({"A":1})"},
      {R"({"a":1,"\u0078":"\u0079"})", R"({"\u0078":"\u0079"})"},
      {R"({"\u0061":1})", ""},
      {R"({"_extra":{"x":1}})", R"({"_extra":{"x":1}})"},
  };
  for (const Case& c : kTable) {
    const std::string line = DecodeOne(declared, c.record);
    const size_t at = line.find(" extra="), end = line.find(" absent=");
    EXPECT_EQ(at == std::string::npos ? "" : line.substr(at + 7, end - at - 7),
              c.expected)
        << c.record;
  }
}

TEST(Json, AbsentIsNotNull) {
  const Schema declared{
      {{"a", Simple(Kind::kInt64)},
       {"device", StructOf({{"os", StructOf({{"name", Simple(Kind::kString)}})},
                            {"model", Simple(Kind::kString)}})},
       {"route", ListOf(StructOf({{"lat", Simple(Kind::kDouble)},
                                  {"lon", Simple(Kind::kDouble)}}))}}};
  const std::vector<Case> kTable = {
      {"{}", "a device route"},
      {R"({"a":null,"device":null,"route":null})", ""},
      {R"({"a":1,"device":{},"route":[]})", "device.os device.model"},
      {R"({"a":1,"device":{"os":{},"model":"x"},"route":[]})", "device.os.name"},
      {R"({"device":{"os":null,"model":"x"},"route":[{"lat":1,"lon":2},null,{"lon":1},{}]})",
       "a route[2].lat route[3].lat route[3].lon"},
      {R"({"a":"x","device":7,"route":[]})", ""},
  };
  for (const Case& c : kTable) {
    auto decoder = *NewJsonDecoder(declared, {});
    const std::string_view record = c.record;
    const auto decoded = decoder->Decode(std::span(&record, 1));
    const arrow::Array& absent = *decoded->rows->column(4);
    EXPECT_EQ(absent.IsNull(0) ? "" : List(absent, 0), c.expected) << c.record;
    EXPECT_EQ(absent.IsNull(0), c.expected.empty());
  }
}

TEST(Json, ManyFieldsAndManySetsOfAbsentOnesStayRight) {
  Schema declared;
  for (int i = 0; i < 150; ++i)
    declared.fields.push_back({"f" + std::to_string(i), Simple(Kind::kInt64)});
  auto decoder = *NewJsonDecoder(declared, {});
  std::vector<std::string> records;
  for (int i = 0; i < 150; ++i) {
    records.push_back("{\"f" + std::to_string(i) + "\":1,\"f" +
                      std::to_string((i + 1) % 150) + "\":2}");
  }
  std::vector<std::string_view> views(records.begin(), records.end());
  const auto decoded = decoder->Decode(views);
  for (int i = 0; i < 150; ++i) {
    std::string expected;
    for (int f = 0; f < 150; ++f) {
      if (f != i && f != (i + 1) % 150)
        expected += (expected.empty() ? "f" : " f") + std::to_string(f);
    }
    ASSERT_EQ(List(*decoded->rows->column(151), i), expected);
    ASSERT_EQ(Cell(*decoded->rows->column(i), i), "1");
  }
}

TEST(Json, ABrokenRecordLeavesNothingBehind) {
  const Schema declared{{{"a", Simple(Kind::kInt64)},
                         {"b", Simple(Kind::kBool)},
                         {"s", Simple(Kind::kString)},
                         {"l", ListOf(StructOf({{"t", ListOf(Simple(Kind::kString))},
                                                {"n", Simple(Kind::kInt64)}}))},
                         {"m", MapOf(Simple(Kind::kString))}}};
  const std::string good =
      R"({"a":1,"b":true,"s":"x","l":[null,{"t":["p",null],"n":1}],"m":{"k":"v"}})";
  const std::vector<std::string> broken = {
      R"({"a":7,"b":true,"s":"yyyyyy","l":[null,null,null,null,null,null,null,null,null,{"t":["zzz","w"],"n":9},{"t":["q")",
      R"({"a":7,"b":true,"s":"yyyyyy","m":{"k":"vvvvv","j":"w"},"l":[{"n":1}],"x":1} trailing)",
      "{\"a\":7,\"b\":true,\"s\":\"\xFF\"}",
  };
  auto decoder = *NewJsonDecoder(declared, {});
  const std::string expected = Decode(*decoder, {good})[0];
  for (const std::string& bad : broken) {
    const auto lines = Decode(*decoder, {good, bad, good, bad, bad, good, "{}"});
    for (const size_t row : {0, 2, 5}) EXPECT_EQ(lines[row], expected) << bad;
    for (const size_t row : {1, 3, 4})
      EXPECT_EQ(lines[row].substr(0, 8), "not_json") << bad;
    EXPECT_EQ(lines[6], "a=null b=null s=null l=null m=null absent=a b s l m");
    std::vector<std::string_view> one{bad};
    const auto decoded = decoder->Decode(one);
    for (const auto& column : decoded->rows->columns())
      EXPECT_EQ(column->null_count(), 1);
  }
}

TEST(Json, ARecordBeyondTheLimitIsTooLarge) {
  const std::string huge = "{\"s\":\"" + std::string(100 << 20, 'x') + "\"}";
  const Schema declared{{{"s", Simple(Kind::kString)}}};
  EXPECT_EQ(DecodeOne(declared, huge),
            "too_large: " + std::to_string(huge.size()) +
                " bytes; the limit is 16777216 (weir.record.bytes)");
  const std::string large = "{\"s\":\"" + std::string(3 << 20, 'x') + "\"}";
  EXPECT_EQ(DecodeOne(declared, large).size(), large.size() - 6);
  EXPECT_EQ(DecodeOne(declared, "{\"s\":  1}", {.record_bytes_max = 8}),
            "too_large: more than 8 bytes (weir.record.bytes)");
}

TEST(Json, FaultsAreBoundedAndCutAtWholeCharacters) {
  std::string wrong = "{\"v\":[";
  for (int i = 0; i < 1000; ++i) wrong += i == 0 ? "true" : ",true";
  auto decoder = *NewJsonDecoder(
      {{{"v", ListOf(Simple(Kind::kInt64))}, {"w", Simple(Kind::kInt64)}}}, {});
  const std::string all = wrong + "]}";
  std::string cut = "{\"w\":\"";
  for (int i = 0; i < 100; ++i) cut += "\xE2\x82\xAC";
  cut += "\"}";
  const std::vector<std::string_view> records{all, cut};
  const auto decoded = decoder->Decode(records);
  ASSERT_EQ(decoded->faults.size(), 65u);
  EXPECT_EQ(decoded->faults[63].field, "v[63]");
  EXPECT_EQ(decoded->faults[64].actual.size(),
            199u);  // the quote and 66 whole characters
}

TEST(Json, NumberTextSurvivesInExtra) {
  EXPECT_EQ(
      DecodeOne({},
                R"({"n":1.2300e+05,"m":-0.0,"big":123456789012345678901234567890.10})"),
      R"( extra={"n":1.2300e+05,"m":-0.0,"big":123456789012345678901234567890.10})");
}

TEST(Json, ZonelessStampsAreReadWhenTheContractNamesAZone) {
  const Schema declared{{{"t", Simple(Kind::kTimestampTz)}}};
  EXPECT_EQ(
      DecodeOne(declared, R"({"t":"2018-01-31T10:00:00"})", {.zoneless_allowed = true}),
      "t=2018-01-31 10:00:00.000000Z");
}

TEST(Json, RecordsNeedNoPaddingAndMayHoldLineBreaks) {
  const Schema declared{{{"a", Simple(Kind::kInt64)}}};
  // Each record ends at the end of its own allocation, so that reading past it shows
  // under the address sanitizer.
  auto decoder = *NewJsonDecoder(declared, {});
  for (const std::string text : {"{\n \"a\" :\r\n\t 5 \n}\n", "{\"a\":5}"}) {
    const std::unique_ptr<char[]> exact(new char[text.size()]);
    std::memcpy(exact.get(), text.data(), text.size());
    const std::string_view record(exact.get(), text.size());
    const auto decoded = decoder->Decode(std::span(&record, 1));
    EXPECT_EQ(Cell(*decoded->rows->column(0), 0), "5");
  }
}

TEST(Json, ColumnsOfManyRowsHaveNoSpareRoom) {
  constexpr int64_t kRows = 10'000;
  const Schema declared{{{"n", Simple(Kind::kInt64)}, {"s", Simple(Kind::kString)}}};
  auto decoder = *NewJsonDecoder(declared, {});
  const std::vector<std::string_view> records(kRows, "{\"n\":1,\"s\":\"text\"}");
  const auto decoded = decoder->Decode(records);
  const arrow::RecordBatch& rows = *decoded->rows;
  ASSERT_EQ(rows.num_rows(), kRows);
  EXPECT_LT(rows.column(0)->data()->buffers[1]->capacity(), kRows * 8 + 100);
  EXPECT_LT(rows.column(1)->data()->buffers[1]->capacity(), kRows * 4 + 100);
}

TEST(Json, AnEmptyBatchHasTheSchema) {
  const Schema declared{{{"a", ListOf(StructOf({{"b", Simple(Kind::kString)}}))}}};
  auto decoder = *NewJsonDecoder(declared, {});
  const auto decoded = decoder->Decode({});
  EXPECT_EQ(decoded->rows->num_rows(), 0);
  EXPECT_EQ(decoded->rows->schema()->field_names(),
            (std::vector<std::string>{"a", "_extra", "_absent"}));
  EXPECT_TRUE(decoded->rows->ValidateFull().ok());
}

TEST(Json, RefusesAMapWhoseKeysAreNoStrings) {
  Type type = MapOf(Simple(Kind::kInt64));
  type.fields[0].type = Simple(Kind::kInt64);
  EXPECT_FALSE(NewJsonDecoder({{{"m", type}}}, {}).ok());
  EXPECT_FALSE(NewJsonDecoder({}, {.depth_max = 0}).ok());
}

}  // namespace
}  // namespace weir::codec
