#include <gtest/gtest.h>

#include <limits>

#include "iceberg/literal_internal.h"

namespace weir::iceberg {
namespace {

using data::Kind;
using data::Simple;

constexpr int64_t kDayMicros = 86'400'000'000;

Literal Dec(int64_t unscaled) { return DecimalBytes(unscaled); }
std::string Bytes(std::initializer_list<int> bytes) {
  std::string out;
  for (const int byte : bytes) out.push_back(static_cast<char>(byte));
  return out;
}

Micros At(std::string_view text) {
  bool has_zone;
  return *ParseTimestamp(text, &has_zone);
}

struct TransformCase {
  const char* name;
  const char* transform;
  data::Type type;
  Literal value, expected;
};
class TransformTest : public testing::TestWithParam<TransformCase> {};

TEST_P(TransformTest, MapsAsTheSpecificationSays) {
  const TransformCase& c = GetParam();
  const Result<Transform> transform = ParseTransform(c.transform);
  ASSERT_TRUE(transform.ok());
  EXPECT_EQ(TransformName(*transform), c.transform);
  EXPECT_EQ(Apply(*transform, c.type, c.value), c.expected);
  EXPECT_EQ(Apply(*transform, c.type, Literal()), Literal());
}

// The hashes of App. B, as buckets of a bucket count that leaves nearly all bits: hash &
// 2^31-1 mod 2^31-1.
constexpr const char* kHash = "bucket[2147483647]";
int32_t Hashed(int32_t hash) { return (hash & 0x7fffffff) % 2147483647; }

INSTANTIATE_TEST_SUITE_P(
    , TransformTest,
    testing::Values(
        TransformCase{"HashOfInt", kHash, Simple(Kind::kInt32), int32_t{34},
                      Hashed(2017239379)},
        TransformCase{"HashOfLong", kHash, Simple(Kind::kInt64), int64_t{34},
                      Hashed(2017239379)},
        TransformCase{"HashOfDecimal", kHash, data::Decimal(9, 2), Dec(1420),
                      Hashed(-500754589)},
        TransformCase{"HashOfDate", kHash, Simple(Kind::kDate), int32_t{17486},
                      Hashed(-653330422)},
        TransformCase{"HashOfTime", kHash, Simple(Kind::kTime), int64_t{81068000000},
                      Hashed(-662762989)},
        TransformCase{"HashOfTimestamp", kHash, Simple(Kind::kTimestamp),
                      int64_t{1510871468000000}, Hashed(-2047944441)},
        TransformCase{"HashOfTimestampTz", kHash, Simple(Kind::kTimestampTz),
                      int64_t{1510871468000000}, Hashed(-2047944441)},
        TransformCase{"HashOfString", kHash, Simple(Kind::kString),
                      std::string("iceberg"), Hashed(1210000089)},
        TransformCase{"HashOfUuid", kHash, Simple(Kind::kUuid),
                      Bytes({0xf7, 0x9c, 0x3e, 0x09, 0x67, 0x7c, 0x4b, 0xbd, 0xa4, 0x79,
                             0x3f, 0x34, 0x9c, 0xb7, 0x85, 0xe7}),
                      Hashed(1488055340)},
        TransformCase{"HashOfBinary", kHash, Simple(Kind::kBinary), Bytes({0, 1, 2, 3}),
                      Hashed(-188683207)},
        TransformCase{"BucketOfLong", "bucket[16]", Simple(Kind::kInt64), int64_t{34},
                      int32_t{2017239379 % 16}},
        TransformCase{"TruncateInt", "truncate[10]", Simple(Kind::kInt32), int32_t{1},
                      int32_t{0}},
        TransformCase{"TruncateNegativeInt", "truncate[10]", Simple(Kind::kInt32),
                      int32_t{-1}, int32_t{-10}},
        TransformCase{"TruncateLong", "truncate[10]", Simple(Kind::kInt64), int64_t{-11},
                      int64_t{-20}},
        TransformCase{"TruncateDecimal", "truncate[50]", data::Decimal(9, 2), Dec(1065),
                      Dec(1050)},
        TransformCase{"TruncateNegativeDecimal", "truncate[50]", data::Decimal(9, 2),
                      Dec(-1), Dec(-50)},
        TransformCase{"TruncateString", "truncate[3]", Simple(Kind::kString),
                      std::string("iceberg"), std::string("ice")},
        TransformCase{"TruncateStringByCodePoints", "truncate[2]", Simple(Kind::kString),
                      std::string("äöü"), std::string("äö")},
        TransformCase{"TruncateShortString", "truncate[9]", Simple(Kind::kString),
                      std::string("ab"), std::string("ab")},
        TransformCase{"TruncateBinary", "truncate[2]", Simple(Kind::kBinary),
                      Bytes({0xc3, 0xa4, 1}), Bytes({0xc3, 0xa4})},
        TransformCase{"YearOfDate", "year", Simple(Kind::kDate), int32_t{17486},
                      int32_t{47}},
        TransformCase{"MonthOfDate", "month", Simple(Kind::kDate), int32_t{17486},
                      int32_t{574}},
        TransformCase{"DayOfDate", "day", Simple(Kind::kDate), int32_t{17486},
                      int32_t{17486}},
        TransformCase{"YearBeforeTheEpoch", "year", Simple(Kind::kTimestamp),
                      At("1969-12-31T23:59:59Z"), int32_t{-1}},
        TransformCase{"MonthBeforeTheEpoch", "month", Simple(Kind::kTimestamp),
                      At("1969-11-30T00:00:00Z"), int32_t{-2}},
        TransformCase{"DayBeforeTheEpoch", "day", Simple(Kind::kTimestampTz), int64_t{-1},
                      int32_t{-1}},
        TransformCase{"HourBeforeTheEpoch", "hour", Simple(Kind::kTimestampTz),
                      int64_t{-1}, int32_t{-1}},
        TransformCase{"HourOfTimestamp", "hour", Simple(Kind::kTimestampTz),
                      At("2017-12-01T10:30:55Z"), int32_t{420034}},
        TransformCase{"DayAtMidnight", "day", Simple(Kind::kTimestampTz), 3 * kDayMicros,
                      int32_t{3}},
        TransformCase{"DayOfTheLeastTimestamp", "day", Simple(Kind::kTimestamp),
                      std::numeric_limits<int64_t>::min(), int32_t{-106'751'992}},
        TransformCase{"YearOfTheLeastTimestamp", "year", Simple(Kind::kTimestamp),
                      std::numeric_limits<int64_t>::min(), int32_t{-292'278}},
        TransformCase{"Identity", "identity", Simple(Kind::kString), std::string("x"),
                      std::string("x")},
        TransformCase{"Void", "void", Simple(Kind::kString), std::string("x"),
                      Literal()}),
    [](const auto& info) { return info.param.name; });

TEST(TransformNameTest, RefusesWhatIsNotATransform) {
  for (const char* name : {"", "days", "bucket", "bucket[]", "bucket[0]", "bucket[-1]",
                           "bucket[1x]", "truncate[ 3]", "bucket[4"}) {
    EXPECT_FALSE(ParseTransform(name).ok()) << name;
  }
}

TEST(TransformTypeTest, FollowsTheSource) {
  EXPECT_EQ(ResultType({TransformKind::kDay, 0}, Simple(Kind::kTimestamp)).kind,
            Kind::kDate);
  EXPECT_EQ(ResultType({TransformKind::kBucket, 4}, Simple(Kind::kString)).kind,
            Kind::kInt32);
  EXPECT_EQ(ResultType({TransformKind::kTruncate, 4}, data::Decimal(5, 1)),
            data::Decimal(5, 1));
}

struct BinaryCase {
  const char* name;
  data::Type type;
  Literal value;
  std::string bytes;
};
class BinaryValueTest : public testing::TestWithParam<BinaryCase> {};

TEST_P(BinaryValueTest, RoundTrips) {
  const BinaryCase& c = GetParam();
  EXPECT_EQ(BinaryValue(c.type, c.value), c.bytes);
  const Result<Literal> back = FromBinaryValue(c.type, c.bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, c.value);
}

INSTANTIATE_TEST_SUITE_P(
    , BinaryValueTest,
    testing::Values(
        BinaryCase{"Bool", Simple(Kind::kBool), true, Bytes({1})},
        BinaryCase{"Int", Simple(Kind::kInt32), int32_t{-2},
                   Bytes({0xfe, 0xff, 0xff, 0xff})},
        BinaryCase{"Date", Simple(Kind::kDate), int32_t{1}, Bytes({1, 0, 0, 0})},
        BinaryCase{"Long", Simple(Kind::kInt64), int64_t{258},
                   Bytes({2, 1, 0, 0, 0, 0, 0, 0})},
        BinaryCase{"Timestamp", Simple(Kind::kTimestampTz), int64_t{1},
                   Bytes({1, 0, 0, 0, 0, 0, 0, 0})},
        BinaryCase{"Float", Simple(Kind::kFloat), 1.5f, Bytes({0, 0, 0xc0, 0x3f})},
        BinaryCase{"Double", Simple(Kind::kDouble), -2.25,
                   Bytes({0, 0, 0, 0, 0, 0, 2, 0xc0})},
        BinaryCase{"Decimal", data::Decimal(9, 2), Dec(1420), Bytes({0x05, 0x8c})},
        BinaryCase{"NegativeDecimal", data::Decimal(9, 2), Dec(-1), Bytes({0xff})},
        BinaryCase{"DecimalThatNeedsASignByte", data::Decimal(9, 2), Dec(128),
                   Bytes({0, 0x80})},
        BinaryCase{"String", Simple(Kind::kString), std::string("ice"), "ice"}),
    [](const auto& info) { return info.param.name; });

TEST(LiteralTest, AcceptsBoundsFromBeforeAPromotion) {
  EXPECT_EQ(*FromBinaryValue(Simple(Kind::kInt64), Bytes({0xfe, 0xff, 0xff, 0xff})),
            Literal(int64_t{-2}));
  EXPECT_EQ(*FromBinaryValue(Simple(Kind::kDouble), Bytes({0, 0, 0xc0, 0x3f})),
            Literal(1.5));
  EXPECT_FALSE(FromBinaryValue(Simple(Kind::kInt64), "abc").ok());
  EXPECT_FALSE(FromBinaryValue(Simple(Kind::kInt32), "12345678").ok());
  EXPECT_FALSE(FromBinaryValue(data::Decimal(9, 2), "").ok());
}

TEST(LiteralTest, OrdersByType) {
  EXPECT_LT(Compare(data::Decimal(9, 2), Dec(-300), Dec(2)), 0);
  EXPECT_GT(Compare(data::Decimal(9, 2), Dec(300), Dec(2)), 0);
  EXPECT_LT(Compare(Simple(Kind::kDouble), -0.0, 0.0), 0);
  EXPECT_GT(Compare(Simple(Kind::kString), std::string("\xc3\xa4"), std::string("z")), 0);
}

TEST(LocationTest, HasOneSpellingForWritingAndReadsSeveral) {
  EXPECT_EQ(UriOf("/a/b"), "file:///a/b");
  for (const char* uri : {"file:///a/b", "file:/a/b", "/a/b"})
    EXPECT_EQ(*PathOf(uri), "/a/b") << uri;
  for (const char* uri : {"s3://bucket/a", "a/b", "file://a", ""})
    EXPECT_FALSE(PathOf(uri).ok()) << uri;
  EXPECT_NE(NewUuid(), NewUuid());
  EXPECT_EQ(NewUuid()[14], '8');  // its owner is in it: RFC 9562, version 8
  EXPECT_GT(NewSnapshotId().value, 0);
}

}  // namespace
}  // namespace weir::iceberg
