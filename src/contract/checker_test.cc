#include <arrow/api.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "contract/contract.h"

namespace weir::contract {
namespace {

using testing::ElementsAre;

Contract Parsed(const std::string& properties) {
  std::vector<Problem> problems;
  auto contract = ParseContract(
      "c.yaml",
      "apiVersion: v3.2.0\nkind: DataContract\nid: x\nname: events\nversion: 1.0.0\n"
      "schema:\n  - name: events\n    properties:\n" +
          properties,
      &problems);
  for (const Problem& problem : problems)
    ADD_FAILURE() << problem.line << ": " << problem.message;
  return *contract;
}

codec::DecodedRows Decoded(const Contract& contract,
                           const std::vector<std::string>& records) {
  auto decoder = *codec::NewJsonDecoder(contract.schema, {.record_bytes_max = 1000});
  const std::vector<std::string_view> views(records.begin(), records.end());
  return *decoder->Decode(views);
}

// One line a record: "ok", or "reason field: expected X, actual Y".
std::vector<std::string> Verdicts(const Contract& contract,
                                  const std::vector<std::string>& records) {
  const codec::DecodedRows decoded = Decoded(contract, records);
  const auto rejections = (*NewChecker(contract))->Check(decoded);
  std::vector<std::string> out(records.size(), "ok");
  int32_t before = -1;
  for (const Rejection& r : *rejections) {
    EXPECT_LT(before, r.row);
    before = r.row;
    out[static_cast<size_t>(r.row)] =
        fmt::format("{} {}: expected {}, actual {}", ReasonName(r.reason), r.field,
                    r.expected, r.actual);
  }
  return out;
}

struct Case {
  std::string record, verdict;
};

void Expect(const Contract& contract, const std::vector<Case>& cases) {
  std::vector<std::string> records;
  for (const Case& c : cases) records.push_back(c.record);
  const std::vector<std::string> verdicts = Verdicts(contract, records);
  for (size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(verdicts[i], cases[i].verdict) << cases[i].record;
}

TEST(Checker, EachConditionRejectsWithItsReason) {
  const Contract contract =
      Parsed(R"yaml(      - {name: id, logicalType: string, required: true}
      - {name: kind, logicalType: string, enum: [a, b]}
      - {name: level, logicalType: integer, enum: [1, 2]}
      - {name: fare, logicalType: number, logicalTypeOptions: {minimum: 0, exclusiveMaximum: 10}}
      - {name: price, logicalType: number, physicalType: "decimal(10,2)", logicalTypeOptions: {maximum: 5}}
      - {name: seen, logicalType: timestamp, logicalTypeOptions: {minimum: "2018-01-01T00:00:00Z"}}
      - {name: day, logicalType: date, logicalTypeOptions: {maximum: "2018-01-31"}}
      - {name: code, logicalType: string, logicalTypeOptions: {pattern: "[A-Z]+", minLength: 2, maxLength: 3}}
      - {name: tags, logicalType: array, items: {logicalType: string, enum: [x, y]}, logicalTypeOptions: {maxItems: 2}}
)yaml");
  Expect(
      contract,
      {{R"({"id":"1"})", "ok"},
       {R"({"id":"1","kind":"a","level":2,"fare":0,"price":5,"seen":"2018-01-01T00:00:00Z","day":"2018-01-31","code":"AB","tags":["x","y"]})",
        "ok"},
       {R"({"id":"1","kind":null,"level":null,"fare":null,"code":null,"tags":null})",
        "ok"},
       {R"({})", "missing_field id: expected a value, actual absent"},
       {R"({"id":null})", "missing_field id: expected a value, actual null"},
       {R"({"id":5})", "wrong_type id: expected a string, actual 5"},
       {R"({"id":"1","kind":"c"})", "unknown_value kind: expected one of a, b, actual c"},
       {R"({"id":"1","level":3})", "unknown_value level: expected one of 1, 2, actual 3"},
       {R"({"id":"1","level":2.5})",
        "wrong_type level: expected a whole number of 64 bits, actual 2.5"},
       {R"({"id":"1","fare":-0.5})",
        "out_of_range fare: expected >= 0 and < 10, actual -0.5"},
       {R"({"id":"1","fare":10})",
        "out_of_range fare: expected >= 0 and < 10, actual 10"},
       {R"({"id":"1","price":5.01})", "out_of_range price: expected <= 5, actual 5.01"},
       {R"({"id":"1","seen":"2017-12-31T23:59:59Z"})",
        "out_of_range seen: expected >= 2018-01-01T00:00:00Z, actual 2017-12-31 "
        "23:59:59.000000Z"},
       {R"({"id":"1","day":"2018-02-01"})",
        "out_of_range day: expected <= 2018-01-31, actual 2018-02-01"},
       {R"({"id":"1","code":"ab"})",
        "pattern_mismatch code: expected text that matches [A-Z]+, actual ab"},
       {R"({"id":"1","code":"ABCD"})",
        "wrong_length code: expected 2 to 3 characters, actual 4 characters"},
       {R"({"id":"1","tags":["x","y","x"]})",
        "wrong_length tags: expected at most 2 elements, actual 3 elements"},
       {R"({"id":"1","tags":["x","z"]})",
        "unknown_value tags[]: expected one of x, y, actual z"},
       {R"({"id":"1","seen":17})",
        "wrong_type seen: expected a timestamp with a zone such as "
        "\"2018-01-31T18:24:44.000Z\", actual 17"},
       {"nonsense",
        "not_json : expected one JSON object, actual not an object at byte 0"},
       {"{\"id\":\"" + std::string(1000, 'x') + "\"}",
        "too_large : expected a smaller record, actual 1009 bytes; the limit is 1000 "
        "(weir.record.bytes)"}});
}

TEST(Checker, TheStrongestReasonWinsThenContractOrder) {
  const Contract contract = Parsed(
      R"yaml(      - {name: a, logicalType: integer, logicalTypeOptions: {minimum: 0}}
      - {name: b, logicalType: string, required: true, enum: [x]}
      - {name: c, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}}
)yaml");
  Expect(contract,
         {{R"({"a":-1,"b":"y","c":"w"})",
           "wrong_type c: expected a whole number of 64 bits, actual \"w\""},
          {R"({"a":"v","c":"w"})", "missing_field b: expected a value, actual absent"},
          {R"({"c":true,"b":"x","a":"v"})",
           "wrong_type a: expected a whole number of 64 bits, actual \"v\""},
          {R"({"a":-1,"b":"y","c":-1})", "unknown_value b: expected one of x, actual y"},
          {R"({"c":-1,"b":"x","a":-1})", "out_of_range a: expected >= 0, actual -1"},
          {R"({"c":null,"b":null})", "missing_field b: expected a value, actual null"}});
}

TEST(Checker, AFieldCanBeRequiredForSomeKindsOnly) {
  const Contract contract = Parsed(R"yaml(      - {name: kind, logicalType: string}
      - name: rider
        logicalType: string
        customProperties: [{property: weir.requiredWhen, value: "kind in (a, b)"}]
)yaml");
  Expect(contract,
         {{R"({"kind":"a"})",
           "missing_field rider: expected a value when kind is a, b, actual absent"},
          {R"({"kind":"b","rider":null})",
           "missing_field rider: expected a value when kind is a, b, actual null"},
          {R"({"kind":"c"})", "ok"},
          {R"({"kind":null})", "ok"},
          {R"({})", "ok"},
          {R"({"kind":"a","rider":"r"})", "ok"}});
}

TEST(Checker, ConditionsReachIntoObjectsArraysAndMaps) {
  const Contract contract = Parsed(R"yaml(      - name: device
        logicalType: object
        properties:
          - name: os
            logicalType: object
            required: true
            properties: [{name: name, logicalType: string, required: true, enum: [ios]}]
      - name: route
        logicalType: array
        items:
          logicalType: object
          properties:
            - {name: lat, logicalType: number, required: true, logicalTypeOptions: {maximum: 90}}
      - name: labels
        logicalType: map
        map: {key: {logicalType: string}, value: {logicalType: integer, logicalTypeOptions: {minimum: 1}}}
)yaml");
  Expect(
      contract,
      {{R"({})", "ok"},
       {R"({"device":null})", "ok"},
       {R"({"device":{}})", "missing_field device.os: expected a value, actual absent"},
       {R"({"device":{"os":{}}})",
        "missing_field device.os.name: expected a value, actual absent"},
       {R"({"device":{"os":{"name":null}}})",
        "missing_field device.os.name: expected a value, actual null"},
       {R"({"device":{"os":7}})", "wrong_type device.os: expected an object, actual 7"},
       {R"({"device":{"os":{"name":"android"}}})",
        "unknown_value device.os.name: expected one of ios, actual android"},
       {R"({"route":[{"lat":1},null,{"lat":91}]})",
        "out_of_range route[].lat: expected <= 90, actual 91"},
       {R"({"route":[{"lat":1},{}]})",
        "missing_field route[].lat: expected a value, actual absent"},
       {R"({"route":[{"lat":1},{"lat":null}]})",
        "missing_field route[].lat: expected a value, actual null"},
       {R"({"route":[{"lat":1},{"lat":"x"}]})",
        "wrong_type route[1].lat: expected a number that fits a double, actual \"x\""},
       {R"({"route":[null,{"lat":5}],"labels":{"a":1}})", "ok"},
       {R"({"labels":{"a":1,"b":0}})",
        "out_of_range labels.*: expected >= 1, actual 0"}});
}

TEST(Checker, LengthsCountCharactersNotBytes) {
  const Contract contract = Parsed(
      "      - {name: s, logicalType: string, logicalTypeOptions: {maxLength: 2}}\n");
  Expect(contract,
         {{"{\"s\":\"\xE2\x82\xAC\xC3\xA9\"}", "ok"},
          {"{\"s\":\"\xE2\x82\xAC\xC3\xA9x\"}",
           "wrong_length s: expected at most 2 characters, actual 3 characters"}});
}

TEST(Checker, LongEnumerationsAreListedInPart) {
  std::string values;
  for (int i = 0; i < 300; ++i) values += fmt::format("{}value{}", i == 0 ? "" : ", ", i);
  const Contract contract =
      Parsed("      - {name: s, logicalType: string, enum: [" + values + "]}\n");
  Expect(contract, {{"{\"s\":\"value299\"}", "ok"},
                    {"{\"s\":\"value300\"}",
                     "unknown_value s: expected one of value0, value1, value2, value3, "
                     "value4, value5, value6, value7, value8, "
                     "value9, value10, value11, …, actual value300"}});
}

// The five ways in which the ride apps of the example break a record.
TEST(Checker, RidesAreRejectedForTheReasonTheExampleNames) {
  std::ifstream file(WEIR_SOURCE_DIR "/examples/rides/contracts/ride_events.odcs.yaml");
  const std::string yaml((std::istreambuf_iterator<char>(file)), {});
  std::vector<Problem> problems;
  const auto contract = ParseContract("rides", yaml, &problems);
  ASSERT_TRUE(contract.has_value());
  const std::string good =
      R"({"event_id":"e","event_name":"trip_started","event_timestamp":"2018-01-01T00:00:01.500Z","schema_version":"1","trip_id":"t","new":null})";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = good;
    return changed.replace(changed.find(from), from.size(), to);
  };
  const std::vector<std::string> records = {
      good,
      good.substr(0, good.size() - 3),
      with(R"("event_id":"e",)", ""),
      with(R"("trip_id":"t")", R"("trip_id":null)"),
      with(R"("2018-01-01T00:00:01.500Z")", "17"),
      with("2018-01-01T00:00:01.500Z", "2019-13-45T00:00:00Z"),
      with("trip_started", "trip_teleported")};
  std::vector<std::string> reasons;
  for (const std::string& verdict : Verdicts(*contract, records))
    reasons.push_back(verdict.substr(0, verdict.find(' ')));
  EXPECT_THAT(reasons, ElementsAre("ok", "not_json", "missing_field", "missing_field",
                                   "wrong_type", "wrong_type", "unknown_value"));
}

TEST(ContentHashes, SayWhetherTwoTextsCarryTheSame) {
  const Contract contract = Parsed(R"yaml(      - {name: a, logicalType: integer}
      - {name: n, logicalType: number}
      - {name: s, logicalType: string}
      - name: o
        logicalType: object
        properties: [{name: p, logicalType: string}, {name: q, logicalType: boolean}]
      - name: l
        logicalType: array
        items: {logicalType: object, properties: [{name: x, logicalType: integer}, {name: y, logicalType: integer}]}
      - name: m
        logicalType: map
        map: {key: {logicalType: string}, value: {logicalType: integer}}
)yaml");
  struct Pair {
    std::string a, b;
    bool same;
  };
  const std::vector<Pair> kTable = {
      {R"({"a":1,"s":"x"})", R"({ "s" : "\u0078", "a" : 1.0 })", true},
      {R"({"n":-0.0})", R"({"n":0})", true},
      {R"({"a":1})", R"({"a":2})", false},
      {R"({"a":1})", R"({"n":1})", false},
      {R"({"a":null})", R"({})", false},
      {R"({"a":null})", R"({"n":null})", false},
      {R"({"o":{}})", R"({"o":null})", false},
      {R"({"o":{}})", R"({})", false},
      {R"({"o":{"p":null}})", R"({"o":{}})", false},
      {R"({"o":{"p":"1","q":true}})", R"({"o":{"q":true,"p":"1"}})", true},
      {R"({"o":{"q":false}})", R"({"o":{"q":true}})", false},
      {R"({"l":[]})", R"({"l":null})", false},
      {R"({"l":[{"x":1,"y":2}]})", R"({"l":[{"y":2,"x":1}]})", true},
      {R"({"l":[{"x":1},{"x":2}]})", R"({"l":[{"x":2},{"x":1}]})", false},
      {R"({"l":[{"x":1}]})", R"({"l":[{"x":1,"y":null}]})", false},
      {R"({"l":[null]})", R"({"l":[]})", false},
      {R"({"m":{"k":1,"j":2}})", R"({"m":{"j":2,"k":1}})", true},
      {R"({"m":{"k":1,"j":2}})", R"({"m":{"j":1,"k":2}})", false},
      {R"({"u":{"a":1,"b":[1,2]},"v":"x"})",
       R"({"v":"\u0078","u": { "b" : [ 1 , 2 ], "a":1}})", true},
      {R"({"u":[1,2]})", R"({"u":[2,1]})", false},
      {R"({"u":1.0})", R"({"u":1.00})", false},
      {R"({"u":"1"})", R"({"u":1})", false},
      {R"({"u":{}})", R"({"u":[]})", false},
      {R"({"u":null})", R"({})", false},
      {R"({"u":{"a":{"b":1}}})", R"({"u":{"a":{},"b":1}})", false},
  };
  std::vector<std::string> records;
  for (const Pair& pair : kTable) {
    records.push_back(pair.a);
    records.push_back(pair.b);
  }
  const auto hashes = *ContentHashes(contract, Decoded(contract, records));
  for (size_t i = 0; i < kTable.size(); ++i) {
    EXPECT_EQ(hashes[2 * i] == hashes[2 * i + 1], kTable[i].same)
        << kTable[i].a << " " << kTable[i].b;
  }
}

TEST(ContentHashes, AFieldDeclaredLaterChangesNothingForRecordsWithoutIt) {
  const Contract before = Parsed("      - {name: a, logicalType: integer}\n");
  const Contract after = Parsed(
      "      - {name: b, logicalType: string}\n      - {name: a, logicalType: "
      "integer}\n");
  const std::vector<std::string> records = {R"({"a":1})", R"({"a":null})", R"({})",
                                            R"({"a":1,"x":[1]})"};
  EXPECT_EQ(*ContentHashes(before, Decoded(before, records)),
            *ContentHashes(after, Decoded(after, records)));
}

// The hash is kept in the identity state: changing it needs a new version of that format.
TEST(ContentHashes, AreTheSameInEveryVersion) {
  const Contract contract = Parsed(
      "      - {name: a, logicalType: integer}\n      - {name: s, logicalType: "
      "string}\n");
  const auto hashes = *ContentHashes(
      contract, Decoded(contract, {R"({"a":1,"s":"x","u":[1.50]})", "{}"}));
  EXPECT_EQ(fmt::format("{:016x} {:016x}", hashes[0], hashes[1]),
            "6f3c7695a98660fc bb67ae8584caa73b");
}

}  // namespace
}  // namespace weir::contract
