#include "contract/contract.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace weir::contract {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Micros kHour = 3'600'000'000;

// Each problem as "line: message | fix".
std::vector<std::string> Problems(std::string_view yaml) {
  std::vector<Problem> problems;
  const auto contract = ParseContract("c.yaml", yaml, &problems);
  EXPECT_EQ(contract.has_value(), problems.empty());
  std::vector<std::string> out;
  for (const Problem& problem : problems) {
    EXPECT_EQ(problem.file, "c.yaml");
    out.push_back(fmt::format("{}: {} | {}", problem.line, problem.message, problem.fix));
  }
  return out;
}

Contract Parsed(std::string_view yaml) {
  std::vector<Problem> problems;
  auto contract = ParseContract("c.yaml", yaml, &problems);
  for (const Problem& problem : problems)
    ADD_FAILURE() << problem.line << ": " << problem.message;
  return contract.value_or(Contract{});
}

// A small contract; `custom` are items of customProperties, `properties` of the schema
// object (both indented by the caller as lists at column 2 and 6), which begin at lines 8
// and 8 + lines of custom + 3.
std::string Yaml(const std::string& custom, const std::string& properties) {
  return "apiVersion: v3.1.0\nkind: DataContract\nid: x\nname: events\nversion: "
         "1.0.0\nstatus: active\n"
         "customProperties:\n" +
         custom + "schema:\n  - name: events\n    properties:\n" + properties;
}

const std::string kId = "      - {name: id, logicalType: string, required: true}\n";
const std::string kAt = "      - {name: at, logicalType: timestamp, required: true}\n";

TEST(Contract, ReadsTheExampleOfRides) {
  std::ifstream file(WEIR_SOURCE_DIR "/examples/rides/contracts/ride_events.odcs.yaml");
  const std::string yaml((std::istreambuf_iterator<char>(file)), {});
  const Contract c = Parsed(yaml);
  EXPECT_EQ(c.name, "ride_events");
  EXPECT_EQ(c.event_time, "event_timestamp");
  EXPECT_EQ(c.lateness, 48 * kHour);
  EXPECT_EQ(c.identity_memory, 72 * kHour);
  EXPECT_THAT(c.identity, ElementsAre("event_id"));
  EXPECT_THAT(c.partition_key, ElementsAre("trip_id"));
  EXPECT_EQ(c.schema.fields.size(), 15u);
  EXPECT_EQ(c.conditions.size(), 15u);
  EXPECT_EQ(c.conditions[1].allowed.size(), 6u);
  EXPECT_EQ(c.conditions[5].when_field, "event_name");
}

TEST(Contract, MapsLogicalTypesToIcebergTypes) {
  const std::vector<std::pair<std::string, std::string>> kTable = {
      {"logicalType: string", "string"},
      {"logicalType: string, physicalType: uuid", "uuid"},
      {"logicalType: string, logicalTypeOptions: {format: byte}", "binary"},
      {"logicalType: integer", "long"},
      {"logicalType: integer, physicalType: INT", "int"},
      {"logicalType: integer, logicalTypeOptions: {format: i16}", "int"},
      {"logicalType: integer, logicalTypeOptions: {format: u32}", "long"},
      {"logicalType: integer, logicalTypeOptions: {format: u64}", "decimal(20,0)"},
      {"logicalType: number", "double"},
      {"logicalType: number, logicalTypeOptions: {format: f32}", "float"},
      {"logicalType: number, physicalType: \"DECIMAL(10, 2)\"", "decimal(10,2)"},
      {"logicalType: number, logicalTypeOptions: {precision: 12, scale: 3}",
       "decimal(12,3)"},
      {"logicalType: boolean", "boolean"},
      {"logicalType: date", "date"},
      {"logicalType: time", "time"},
      {"logicalType: timestamp", "timestamptz"},
      {"logicalType: timestamp, physicalType: timestamp_ntz", "timestamp"},
      {"logicalType: array, items: {logicalType: integer}", "list<long>"},
      {"logicalType: object, properties: [{name: a, logicalType: date}]",
       "struct<a: date>"},
      {"logicalType: map, map: {key: {logicalType: string}, value: {logicalType: "
       "number}}",
       "map<string, double>"},
  };
  for (const auto& [text, type] : kTable) {
    const Contract c = Parsed(Yaml("  []\n", "      - {name: v, " + text + "}\n"));
    ASSERT_EQ(c.schema.fields.size(), 1u) << text;
    EXPECT_EQ(data::TypeName(c.schema.fields[0].type), type) << text;
  }
}

TEST(Contract, GivesFieldIdsToNestedFieldsToo) {
  const Contract c = Parsed(Yaml("  []\n", kId + R"yaml(      - name: device
        logicalType: object
        properties:
          - {name: os, logicalType: string, required: true}
      - name: route
        logicalType: array
        items:
          logicalType: object
          properties:
            - {name: lat, logicalType: number, logicalTypeOptions: {minimum: -90, maximum: 90}}
)yaml"));
  std::vector<std::string> paths;
  for (const Condition& condition : c.conditions) paths.push_back(condition.path);
  EXPECT_THAT(
      paths, ElementsAre("id", "device", "device.os", "route", "route[]", "route[].lat"));
  EXPECT_TRUE(c.conditions[2].required);
  EXPECT_EQ(c.conditions[5].minimum, -90);
  EXPECT_GT(c.schema.fields[2].type.fields[0].type.fields[0].id, 0);
}

TEST(Contract, ReadsConditionsFromBothVersionsOfTheStandard) {
  const Contract c = Parsed(Yaml(
      "  []\n",
      R"yaml(      - {name: kind, logicalType: string, enum: [{value: a, label: A}, b]}
      - name: mode
        logicalType: string
        quality:
          - {metric: invalidValues, arguments: {validValues: [x, y]}, mustBe: 0}
          - {metric: nullValues, mustBe: 0}
          - {type: text, description: The mode of the ride.}
      - {name: fare, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 0, maximum: 10.5}}
      - {name: day, logicalType: date, logicalTypeOptions: {minimum: "1970-01-02"}}
      - {name: seen, logicalType: timestamp, logicalTypeOptions: {maximum: "1970-01-01T00:00:01Z"}}
      - {name: code, logicalType: string, logicalTypeOptions: {pattern: "[A-Z]+", minLength: 2, maxLength: 3}}
      - {name: tags, logicalType: array, items: {logicalType: string}, logicalTypeOptions: {maxItems: 4}}
      - name: rider
        logicalType: string
        customProperties: [{property: weir.requiredWhen, value: "kind in (a, 'b')"}]
      - name: o
        logicalType: object
        logicalTypeOptions: {required: [p]}
        properties: [{name: p, logicalType: string}]
)yaml"));
  ASSERT_EQ(c.conditions.size(), 11u);
  EXPECT_THAT(c.conditions[0].allowed, ElementsAre("a", "b"));
  EXPECT_THAT(c.conditions[1].allowed, ElementsAre("x", "y"));
  EXPECT_TRUE(c.conditions[1].required);
  EXPECT_EQ(c.conditions[2].minimum, 0);
  EXPECT_TRUE(c.conditions[2].exclusive_minimum);
  EXPECT_FALSE(c.conditions[2].exclusive_maximum);
  EXPECT_EQ(c.conditions[3].minimum, 1);
  EXPECT_EQ(c.conditions[4].maximum, 1e6);
  EXPECT_EQ(c.conditions[5].pattern, "[A-Z]+");
  EXPECT_EQ(c.conditions[5].length_min, 2);
  EXPECT_EQ(c.conditions[6].length_max, 4);
  EXPECT_EQ(c.conditions[8].when_field, "kind");
  EXPECT_THAT(c.conditions[8].when_values, ElementsAre("a", "b"));
  EXPECT_TRUE(c.conditions[10].required);
}

TEST(Contract, ReadsItsOwnProperties) {
  const Contract c = Parsed(
      Yaml(R"yaml(  - {property: weir.eventTime, value: at}
  - {property: weir.lateness, value: PT2H}
  - {property: weir.identity, value: "id, n"}
  - {property: weir.identityScope, value: contract}
  - {property: weir.identityMemory, value: PT5H}
  - {property: weir.futureAllowance, value: off}
  - {property: weir.idleAfter, value: 10 seconds}
  - {property: weir.raw, value: archive}
  - {property: weir.timeZone, value: UTC}
  - {property: weir.order, value: [n]}
  - {property: weir.partitionBy, value: "day(at), bucket(16, id)"}
  - {property: owner, value: someone}
)yaml",
           kId + kAt + "      - {name: n, logicalType: integer, required: true}\n"));
  EXPECT_EQ(c.event_time, "at");
  EXPECT_EQ(c.lateness, 2 * kHour);
  EXPECT_THAT(c.identity, ElementsAre("id", "n"));
  EXPECT_THAT(c.partition_key, ElementsAre("id", "n"));
  EXPECT_TRUE(c.identity_across_partitions);
  EXPECT_EQ(c.identity_memory, 5 * kHour);
  EXPECT_EQ(c.future_allowance, std::nullopt);
  EXPECT_TRUE(c.future_allowance_declared);
  EXPECT_EQ(c.idle_after, 10'000'000);
  EXPECT_EQ(c.raw, RawPolicy::kArchive);
  EXPECT_TRUE(c.zoneless_allowed);
  EXPECT_THAT(c.partition_by, ElementsAre("day(at)", "bucket(16, id)"));
}

TEST(Contract, DefaultsAreThoseOfTheDocumentation) {
  const Contract c = Parsed(Yaml("  []\n", kId));
  EXPECT_EQ(c.identity_memory, 24 * kHour);
  EXPECT_EQ(c.future_allowance, 300'000'000);
  EXPECT_FALSE(c.future_allowance_declared);
  EXPECT_EQ(c.idle_after, 60'000'000);
  EXPECT_TRUE(c.identity.empty());
}

TEST(Contract, NamesEveryFaultWithItsLineAndAFix) {
  EXPECT_THAT(
      Problems(R"yaml(apiVersion: v2.2.2
kind: DataProduct
id: x
version: 1.0.0
descripton: hello
servers:
  - server: files
    type: locl
    path: data
schema:
  - name: my events
    properties:
      - name: id
        logicalType: strin
        requierd: true
      - name: _secret
        logicalType: string
      - name: ID
        logicalType: string
      - name: fare
        logicalType: number
        logicalTypeOptions: {minimum: 5, maximum: 1, multipleOf: 2}
      - name: code
        logicalType: string
        unique: true
        logicalTypeOptions: {pattern: "(?=x)"}
        quality:
          - {type: sql, query: "SELECT 1", mustBe: 0}
        customProperties:
          - {property: weir.requiredWhn, value: id = a}
customProperties:
  - {property: weir.eventTme, value: at}
  - {property: weir.lateness, value: soon}
  - {property: weir.identity, value: [cod]}
)yaml"),
      ElementsAre(
          "1: apiVersion 'v2.2.2' is not read | write apiVersion: v3.1.0 (or v3.2.0)",
          "2: kind is not DataContract | write kind: DataContract",
          "5: a contract has no key 'descripton' | did you mean description?",
          "8: the server type 'locl' is not read | did you mean local?",
          "11: 'my events' cannot name a table | write name: my_events; its table is "
          "bronze.my_events then",
          "14: 'strin' is no logicalType | did you mean string?",
          "15: the property id has no key 'requierd' | did you mean required?",
          HasSubstr("16: the field name '_secret' begins with _"),
          HasSubstr("18: the field 'ID' is declared twice"),
          HasSubstr("22: multipleOf is not checked as records arrive"),
          "22: the minimum of fare is above its maximum | swap them",
          HasSubstr("25: code is declared unique, which one record alone cannot show | "
                    "if it names the event"),
          HasSubstr("26: the pattern cannot be read"),
          HasSubstr("28: the quality rule on code cannot be held record by record"),
          HasSubstr("30: weir.requiredWhn is not known on a property | did you mean "
                    "weir.requiredWhen?"),
          "32: weir.eventTme is not known | did you mean weir.eventTime?",
          "33: weir.lateness 'soon' is not a duration | write ISO 8601 as in PT48H, P2D "
          "or PT30S",
          HasSubstr("33: weir.lateness without weir.eventTime"),
          "34: weir.identity names cod, which is no field | did you mean code?"));
}

TEST(Contract, RefusesPropertiesThatDoNotFitTogether) {
  const auto custom = [](const std::string& name, const std::string& value) {
    return "  - {property: weir." + name + ", value: " + value + "}\n";
  };
  struct Case {
    std::string custom, properties, problem;
  };
  const std::vector<Case> kTable = {
      {custom("eventTime", "id"), kId,
       "8: weir.eventTime names id, a string | it is a field of logicalType: timestamp"},
      {custom("eventTime", "at"), "      - {name: at, logicalType: timestamp}\n",
       "8: at is the event time but not required"},
      {custom("eventTime", "nope"), kId,
       "8: weir.eventTime names nope, which is no field | known are id"},
      {custom("identity", "id"), "      - {name: id, logicalType: string}\n",
       "8: id is part of the identity but not required"},
      {custom("identity", "o.a"),
       "      - {name: o, logicalType: object, properties: [{name: a, logicalType: "
       "string}]}\n",
       "8: weir.identity names o.a, which is no top-level field"},
      {custom("partitionKey", "[idd]"), kId,
       "8: weir.partitionKey names idd, which is no field | did you mean id?"},
      {custom("order", "x"), kId, "8: weir.order names x"},
      {custom("raw", "kep"), kId,
       "8: weir.raw is 'kep' | write one of keep, archive, drop"},
      {custom("identityScope", "all"), kId, "8: weir.identityScope is 'all'"},
      {custom("timeZone", "Europe/Berlin"), kId,
       "8: the time zone 'Europe/Berlin' is not known"},
      {custom("partitionBy", "dya(id)"), kId,
       "8: the partition 'dya(id)' cannot be read | did you mean day?"},
      {custom("partitionBy", "day(x)"), kId, "8: weir.partitionBy names x"},
      {custom("identityMemory", "PT1H"), kId,
       "8: weir.identityMemory without weir.identity"},
      {custom("raw", "keep") + custom("raw", "drop"), kId,
       "9: weir.raw is set twice | keep one"},
      {custom("requiredWhen", "a"), kId,
       "8: weir.requiredWhen is not known | it stands on a property"},
      {"  []\n",
       "      - {name: a, logicalType: string, customProperties: [{property: "
       "weir.requiredWhen, value: b = 1}]}\n",
       "12: weir.requiredWhen of a names b, which is no field"},
      {"  []\n",
       "      - {name: k, logicalType: string, enum: [x, y]}\n"
       "      - {name: a, logicalType: string, customProperties: [{property: "
       "weir.requiredWhen, value: k = z}]}\n",
       "13: weir.requiredWhen of a: k is never 'z'"},
      {"  []\n",
       "      - {name: a, logicalType: string, customProperties: [{property: "
       "weir.requiredWhen, value: a ~ z}]}\n",
       "12: weir.requiredWhen 'a ~ z' cannot be read"},
      {"  []\n",
       "      - {name: a, logicalType: string, logicalTypeOptions: {minimum: 1}}\n",
       "12: minimum of a is '1' | only numbers"},
      {"  []\n",
       "      - {name: a, logicalType: number, logicalTypeOptions: {minLength: 1}}\n",
       "12: a is of another type"},
      {"  []\n", "      - {name: a, logicalType: integer, enum: [1, two]}\n",
       "12: 'two' is not a number, as a is"},
      {"  []\n", "      - {name: a, logicalType: boolean, enum: [true]}\n",
       "12: a lists its values"},
      {"  []\n", "      - {name: a, logicalType: object}\n",
       "12: the object a has no properties"},
      {"  []\n", "      - {name: a, logicalType: array}\n",
       "12: the array a has no items"},
      {"  []\n", "      - {name: a}\n", "12: the property a has no logicalType"},
      {"  []\n", "      - {logicalType: string}\n", "12: a property has no name"},
      {"  []\n", "      - {name: a.b, logicalType: string}\n",
       "12: the field name 'a.b' cannot be part of a path"},
      {"  []\n", "      - {name: a, logicalType: string, required: maybe}\n",
       "12: required is neither true nor false"},
      {"  []\n", "      - {name: a, logicalType: string, name: b}\n",
       "12: the key 'name' stands twice in one map"},
      {"  []\n", "      - &p {name: a, logicalType: object, properties: [*p]}\n",
       "1: the text nests too deep, or is too large once its aliases are written out"},
      {"  []\n",
       "      - {name: a, logicalType: number, physicalType: \"decimal(40,2)\"}\n",
       "12: decimal(40,2) cannot be stored"},
      {"  []\n",
       "      - {name: a, logicalType: timestamp, logicalTypeOptions: {format: "
       "dd.MM.yyyy}}\n",
       "12: the format 'dd.MM.yyyy' is not read"},
      {"  []\n", kId + "  - name: second\n    properties:\n" + kId,
       "13: the contract has 2 schema objects"},
  };
  for (const Case& c : kTable) {
    const std::vector<std::string> problems = Problems(Yaml(c.custom, c.properties));
    ASSERT_EQ(problems.size(), 1u)
        << c.problem << " but " << testing::PrintToString(problems);
    EXPECT_THAT(problems[0], HasSubstr(c.problem));
  }
}

TEST(Contract, UniqueIsFineOnTheIdentityOnly) {
  const std::string unique =
      "      - {name: id, logicalType: string, required: true, unique: true, primaryKey: "
      "true}\n";
  EXPECT_THAT(Problems(Yaml("  - {property: weir.identity, value: id}\n", unique)),
              ElementsAre());
  EXPECT_EQ(Problems(Yaml("  []\n", unique)).size(), 2u);
}

TEST(Contract, WhatIsNotYamlIsNamedWithItsLine) {
  EXPECT_THAT(Problems("kind: DataContract\n\tid: x\n"),
              ElementsAre(HasSubstr("2: this is not YAML")));
  EXPECT_THAT(Problems("a: [1, 2\nb: 3\n"), ElementsAre(HasSubstr("this is not YAML")));
  EXPECT_THAT(Problems("- a\n"),
              ElementsAre(HasSubstr("0: this is not a data contract")));
  EXPECT_THAT(Problems(""), ElementsAre(HasSubstr("0: this is not a data contract")));
  EXPECT_GT(Problems("kind: [DataContract]\nschema: 5\nservers: x\ncustomProperties: y\n")
                .size(),
            4u);
  EXPECT_GT(
      Problems("apiVersion: v3.1.0\nschema: [5]\nservers: [x]\ncustomProperties: [y]\n")
          .size(),
      2u);
}

TEST(Contract, ServersSayWhereRecordsComeFrom) {
  const Contract c =
      Parsed(Yaml("  []\n", kId) +
             "servers:\n  - {server: gateway, type: http}\n"
             "  - {server: files, type: local, path: data/*.ndjson, format: json}\n");
  ASSERT_EQ(c.servers.size(), 2u);
  EXPECT_EQ(c.servers[0].type, "http");
  EXPECT_EQ(c.servers[1].location, "data/*.ndjson");
  EXPECT_EQ(c.servers[1].format, "ndjson");
  EXPECT_THAT(Problems(Yaml("  []\n", kId) +
                       "servers:\n  - {server: f, type: local, format: xml}\n"),
              ElementsAre(HasSubstr("14: a local server without path"),
                          HasSubstr("14: the format 'xml' is not read")));
}

TEST(Contract, ServersOfCsvSayItsDialect) {
  const auto servers = [](const std::string& custom) {
    return Yaml("  []\n", kId + kAt) +
           "servers:\n  - server: f\n    type: local\n    path: in\n    format: csv\n"
           "    customProperties:\n" +
           custom;
  };
  const Contract c =
      Parsed(servers("      - {property: weir.csv.delimiter, value: tab}\n"
                     "      - {property: weir.csv.quote, value: none}\n"
                     "      - {property: weir.csv.header, value: false}\n"
                     "      - {property: weir.csv.null, value: 'NULL'}\n"));
  EXPECT_EQ(c.servers[0].csv.delimiter, '\t');
  EXPECT_EQ(c.servers[0].csv.quote, 0);
  EXPECT_THAT(c.servers[0].csv.names, ElementsAre("id", "at"));
  EXPECT_EQ(c.servers[0].csv.null_text, "NULL");
  EXPECT_THAT(
      Problems(servers("      - {property: weir.csv.delimiter, value: ab}\n"
                       "      - {property: weir.csv.quot, value: ','}\n"
                       "      - {property: weir.csv.quote, value: ','}\n"
                       "      - {property: weir.csv.null, value: NULL}\n")),
      ElementsAre(HasSubstr("15: the delimiter is the quote, too"),
                  HasSubstr("20: weir.csv.delimiter is 'ab'"),
                  HasSubstr("21: weir.csv.quot is not known on a server | did you mean "
                            "weir.csv.quote?"),
                  HasSubstr("23: weir.csv.null is YAML's null")));
}

TEST(Contract, ReferenceDataAreFilesWithAKey) {
  const std::string files =
      "servers:\n  - {server: f, type: local, path: in, format: csv}\n";
  const std::string kind = "  - {property: weir.kind, value: reference}\n";
  const Contract c = Parsed(Yaml(kind + "  - {property: weir.identity, value: id}\n"
                                        "  - {property: weir.files, value: newest}\n",
                                 kId) +
                            files);
  EXPECT_EQ(c.kind, SourceKind::kReference);
  EXPECT_TRUE(c.newest_file);
  EXPECT_THAT(Problems(Yaml(kind, kId) + "servers:\n  - {server: g, type: http}\n"),
              ElementsAre(HasSubstr("8: reference data without weir.identity"),
                          HasSubstr("8: reference data are the content of files")));
  EXPECT_THAT(Problems(Yaml(kind + "  - {property: weir.identity, value: id}\n"
                                   "  - {property: weir.eventTime, value: at}\n",
                            kId + kAt) +
                       files),
              ElementsAre(HasSubstr("10: weir.eventTime of reference data")));
  EXPECT_THAT(Problems(Yaml("  - {property: weir.files, value: newest}\n", kId) + files),
              ElementsAre(HasSubstr("8: weir.files without weir.kind: reference")));
}

TEST(Contract, FileGatesAreQualityRules) {
  const std::string gate = "customProperties: [{property: weir.gate, value: file}]";
  const auto yaml = [&](const std::string& rule, const std::string& of_all) {
    return Yaml("  []\n",
                "      - name: id\n        logicalType: string\n"
                "        quality:\n          - {" +
                    rule + ", " + gate + "}\n") +
           "    quality:\n      - {" + of_all + ", " + gate + "}\n" +
           "servers:\n  - {server: f, type: local, path: in, format: csv}\n";
  };
  const std::string rows = "metric: rowCount, mustBeBetween: [1, 9]";
  const Contract c =
      Parsed(yaml("metric: nullValues, mustBeLessThan: 2, unit: percent", rows));
  ASSERT_EQ(c.gates.size(), 2u);
  EXPECT_EQ(c.gates[0].metric, FileGate::Metric::kRowCount);
  EXPECT_EQ(c.gates[0].minimum, 1);
  EXPECT_EQ(c.gates[0].maximum, 9);
  EXPECT_EQ(c.gates[1].field, "id");
  EXPECT_TRUE(c.gates[1].percent);
  EXPECT_TRUE(c.gates[1].exclusive_maximum);
  EXPECT_FALSE(c.gates[1].minimum.has_value());
  const std::vector<std::pair<std::string, std::string>> kFaults = {
      {"metric: nulls, mustBe: 0", "a file gate on id has the metric 'nulls'"},
      {"metric: nullValues", "the file gate has no bound | add one of mustBe"},
      {"metric: nullValues, mustBe: 1, mustBeLessThan: 2", "do not go together"},
      {"metric: nullValues, mustBeBetween: 3", "mustBeBetween is not a pair of numbers"},
      {"metric: nullValues, mustBe: 1, unit: kg", "the unit 'kg' is not read"},
      {"metric: invalidValues, mustBe: 0", "does not say what is valid"},
      {"metric: invalidValues, arguments: {pattern: '('}, mustBe: 0", "cannot be read"},
  };
  for (const auto& [rule, problem] : kFaults)
    EXPECT_THAT(Problems(yaml(rule, rows)), ElementsAre(HasSubstr(problem))) << rule;
  EXPECT_THAT(
      Problems(yaml("metric: nullValues, mustBe: 1", "metric: nullValues, mustBe: 1")),
      ElementsAre(HasSubstr("a file gate on the whole schema has the metric")));
}

TEST(Contract, ExpectedFilesNameTheirInterval) {
  const auto yaml = [](const std::string& value) {
    return Yaml("  - {property: weir.expects, value: " + value + "}\n", kId) +
           "servers:\n  - {server: f, type: local, path: in, format: csv}\n";
  };
  const Contract c = Parsed(yaml("{every: PT1H, pattern: 'c-{yyyyMMddHH}.csv'}"));
  ASSERT_TRUE(c.expects.has_value());
  EXPECT_EQ(c.expects->every, kHour);
  EXPECT_THAT(Problems(yaml("hourly")),
              ElementsAre(HasSubstr("8: weir.expects is not a map")));
  EXPECT_THAT(
      Problems(yaml("{every: PT1H, pattern: 'c-{hour}.csv'}")),
      ElementsAre(HasSubstr("'c-{hour}.csv' does not say where the time stands")));
  EXPECT_THAT(Problems(yaml("{every: PT1H}")),
              ElementsAre(HasSubstr("says not what is expected, or how often")));
}

}  // namespace
}  // namespace weir::contract
