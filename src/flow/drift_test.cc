#include "flow/drift.h"

#include <gmock/gmock.h>

#include "codec/json.h"

namespace weir::flow {
namespace {

using data::Kind;
using data::Simple;
using testing::ElementsAre;
using testing::IsEmpty;

contract::Contract Rides(const std::string& version = "1.0.0") {
  contract::Contract contract;
  contract.name = "rides";
  contract.version = version;
  contract.schema.fields = {
      {"id", Simple(Kind::kString), true},
      {"fare", Simple(Kind::kDouble)},
      {"device", data::StructOf({{"os", Simple(Kind::kString)}})},
      {"route", data::ListOf(data::StructOf({{"lat", Simple(Kind::kDouble)}}))}};
  return contract;
}

data::Batch Rows(const std::vector<std::string>& records) {
  const auto decoder = *codec::NewJsonDecoder(Rides().schema, {});
  const std::vector<std::string_view> views(records.begin(), records.end());
  return {decoder->Decode(views)->rows, {}};
}

// "undeclared tip 2 @10": the field, its records and the offset.
std::vector<std::string> Look(DriftWatch& watch, const contract::Contract& contract,
                              const std::vector<std::string>& records,
                              int64_t offset = 10) {
  std::vector<std::string> out;
  for (const Drift& drift : watch.Look(contract, Rows(records), 0, offset)) {
    out.push_back((drift.vanished ? "vanished " : "undeclared ") + drift.field + " " +
                  std::to_string(drift.records) + " @" + std::to_string(drift.offset));
    EXPECT_EQ(drift.source, "rides");
  }
  return out;
}

const std::string kFull =
    R"({"id":"a","fare":1,"device":{"os":"x"},"route":[{"lat":1}]})";

TEST(DriftTest, TellsUndeclaredFieldsOnceAtAnyDepth) {
  DriftWatch watch;
  EXPECT_THAT(Look(watch, Rides(), {kFull}), IsEmpty());
  EXPECT_THAT(Look(watch, Rides(),
                   {R"({"id":"a","tip":{"x":[1,"}"]},"device":{"os":"x","v\"1":2}})",
                    R"({"id":"b","tip":1,"route":[{"lat":1},{"lat":2,"alt":3}]})"}),
              ElementsAre("undeclared device.v\\\"1 1 @10",
                          "undeclared route[].alt 1 @10", "undeclared tip 2 @10"));
  EXPECT_THAT(Look(watch, Rides(), {R"({"id":"a","tip":1,"zone":null})"}),
              ElementsAre("undeclared zone 1 @10"));
  EXPECT_THAT(Look(watch, Rides("1.1.0"), {R"({"id":"a","tip":1})"}),
              ElementsAre("undeclared tip 1 @10"))
      << "another version of the contract still does not know it";
}

TEST(DriftTest, RemembersWhatTheJournalSays) {
  DriftWatch first, second;
  for (const Drift& drift : first.Look(Rides(), Rows({R"({"id":"a","tip":1})"}), 0, 0))
    ASSERT_TRUE(second.Replay({1, "drift", DriftJson(drift)}).ok());
  EXPECT_THAT(Look(second, Rides(), {R"({"id":"a","tip":1})"}), IsEmpty());
  EXPECT_TRUE(second.Replay({2, "file", "{}"}).ok());
  EXPECT_FALSE(second.Replay({3, "drift", "{}"}).ok());
}

const std::string kBare = R"({"id":"a","device":{"os":"x"},"route":null})";

TEST(DriftTest, DeclaredFieldsVanishAfterManyRecordsWithoutThem) {
  DriftWatch watch;
  const std::vector<std::string> with(100, kFull), without(600, kBare);
  EXPECT_THAT(Look(watch, Rides(), with, 0), IsEmpty());
  EXPECT_THAT(Look(watch, Rides(), without, 100), IsEmpty());
  EXPECT_THAT(Look(watch, Rides(), {kFull}, 700), IsEmpty());
  EXPECT_THAT(Look(watch, Rides(), without, 701), IsEmpty()) << "it was there between";
  EXPECT_THAT(Look(watch, Rides(), without, 1301),
              ElementsAre("vanished fare 1200 @701"));
  EXPECT_THAT(Look(watch, Rides(), without, 1901), IsEmpty());
}

TEST(DriftTest, RareFieldsHaveNotVanished) {
  DriftWatch watch, restarted;
  const std::vector<std::string> without(499, kBare);
  int64_t offset = 0;
  const auto look = [&](DriftWatch& by, const std::vector<std::string>& records) {
    offset += static_cast<int64_t>(records.size());
    return Look(by, Rides(), records, offset - static_cast<int64_t>(records.size()));
  };
  // It is carried by one of 500, with pauses ten times as long.
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(look(watch, without), IsEmpty());
    EXPECT_THAT(look(watch, {kFull}), IsEmpty());
    if (auto json = watch.CarriedJson(Rides())) {
      ASSERT_TRUE(restarted.Replay({1, "drift", *json}).ok());
    }
  }
  // Another process knows from the journal how rare it is.
  for (DriftWatch* by : {&watch, &restarted}) {
    for (int i = 0; i < 10; ++i) EXPECT_THAT(look(*by, without), IsEmpty()) << i;
    int more = 0;
    while (look(*by, without).empty()) ASSERT_LT(++more, 30);
    EXPECT_GT(more, 8);
  }
}

TEST(DriftTest, WhatWasNeverCarriedDoesNotVanish) {
  DriftWatch watch;
  const std::vector<std::string> without(600, kBare);
  for (int i = 0; i < 10; ++i)
    EXPECT_THAT(Look(watch, Rides(), without, 600 * i), IsEmpty());
  EXPECT_FALSE(watch
                   .Replay({1, "drift",
                            R"({"source":"rides","contract_version":"1",)"
                            R"("what":"carried","records":"x"})"})
                   .ok());
}

TEST(DriftTest, KeysWithoutEndAreNotToldWithoutEnd) {
  DriftWatch watch;
  std::vector<std::string> records;
  for (int i = 0; i < 500; ++i)
    records.push_back(R"({"id":"a","k)" + std::to_string(i) + R"(":1})");
  EXPECT_EQ(Look(watch, Rides(), records).size(), DriftWatch::kFieldsMax);
}

}  // namespace
}  // namespace weir::flow
