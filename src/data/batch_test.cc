#include "data/batch.h"

#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "data/arrow.h"

namespace weir::data {
namespace {

std::shared_ptr<arrow::RecordBatch> Doubles(std::vector<double> values) {
  arrow::DoubleBuilder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return arrow::RecordBatch::Make(arrow::schema({arrow::field("d", arrow::float64())}),
                                  static_cast<int64_t>(values.size()),
                                  {*builder.Finish()});
}

std::shared_ptr<arrow::RecordBatch> Strings(std::vector<const char*> values) {
  arrow::StringBuilder builder;
  for (const char* value : values) {
    EXPECT_TRUE((value == nullptr ? builder.AppendNull() : builder.Append(value)).ok());
  }
  return arrow::RecordBatch::Make(arrow::schema({arrow::field("s", arrow::utf8())}),
                                  static_cast<int64_t>(values.size()),
                                  {*builder.Finish()});
}

const int kFirst[] = {0};

TEST(RowKeyTest, OrdersNumbersAsDuckDbDoes) {
  const double inf = std::numeric_limits<double>::infinity();
  const auto keys =
      *EncodeKeys(*Doubles({-inf, -2.5, -0.0, 1e-300, 7, inf, NAN}), kFirst);
  for (size_t i = 1; i < keys.size(); ++i) EXPECT_LT(keys[i - 1], keys[i]) << i;
}

TEST(RowKeyTest, ZeroHasOneKeyAndSoHasNaN) {
  const auto rows = Doubles({0.0, -0.0, NAN, -NAN});
  const auto keys = *EncodeKeys(*rows, kFirst);
  EXPECT_EQ(keys[0], keys[1]);
  EXPECT_EQ(keys[2], keys[3]);
  const auto hashes = *HashKeys(*rows, kFirst);
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_EQ(hashes[2], hashes[3]);
  EXPECT_NE(hashes[0], hashes[2]);
}

TEST(RowKeyTest, OrdersStringsByBytesAndNullsLast) {
  const auto keys =
      *EncodeKeys(*Strings({"", "a", "aa", "b", "\xc3\xa9", nullptr}), kFirst);
  for (size_t i = 1; i < keys.size(); ++i) EXPECT_LT(keys[i - 1], keys[i]) << i;
}

TEST(RowKeyTest, ColumnsDoNotRunIntoEachOther) {
  const auto schema =
      arrow::schema({arrow::field("a", arrow::utf8()), arrow::field("b", arrow::utf8())});
  const auto rows = arrow::RecordBatch::Make(
      schema, 2, {Strings({"ab", "a"})->column(0), Strings({"c", "bc"})->column(0)});
  const int both[] = {0, 1};
  const auto keys = *EncodeKeys(*rows, both);
  EXPECT_NE(keys[0], keys[1]);
  EXPECT_NE((*HashKeys(*rows, both))[0], (*HashKeys(*rows, both))[1]);
}

TEST(BatchTest, ConsolidateAddsWeightsAndDropsWhatCancels) {
  const Batch batch{Strings({"a", "b", "a", "c", "b"}), {1, 1, 1, 1, -1}};
  const Batch out = *Consolidate(batch);
  ASSERT_EQ(out.num_rows(), 2);
  EXPECT_EQ(RowText(*out.rows, 0), "a");
  EXPECT_EQ(out.weight(0), 2);
  EXPECT_EQ(RowText(*out.rows, 1), "c");
  EXPECT_EQ(out.weight(1), 1);
}

TEST(BatchTest, TakeKeepsWeights) {
  const int32_t rows[] = {2, 0};
  const Batch out = *Take({Strings({"a", "b", "c"}), {1, 2, -1}}, rows);
  EXPECT_EQ(RowText(*out.rows, 0), "c");
  EXPECT_EQ(out.weights, (std::vector<int32_t>{-1, 1}));
}

// The answer of TakeStretches must be that of Arrow's Take, whatever is taken of slices
// with nulls.
TEST(BatchTest, TakeOfLongStretchesIsArrowsTake) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    arrow::StringBuilder text;
    arrow::Int32Builder number;
    arrow::BooleanBuilder flag;
    arrow::ListBuilder list(arrow::default_memory_pool(),
                            std::make_shared<arrow::Int32Builder>());
    for (int i = 0; i < 400; ++i) {
      const bool null = random() % 3 == 0 && round % 2 == 0;
      const std::string value(random() % 40, static_cast<char>('a' + random() % 26));
      ASSERT_TRUE((null ? text.AppendNull() : text.Append(value)).ok());
      ASSERT_TRUE((null ? number.AppendNull() : number.Append(i)).ok());
      ASSERT_TRUE((null ? flag.AppendNull() : flag.Append(i % 2 == 0)).ok());
      ASSERT_TRUE(list.Append().ok());
      ASSERT_TRUE(
          static_cast<arrow::Int32Builder*>(list.value_builder())->Append(i).ok());
    }
    const arrow::ArrayVector arrays = {*text.Finish(), *number.Finish(), *flag.Finish(),
                                       *list.Finish()};
    arrow::FieldVector fields;
    for (size_t i = 0; i < arrays.size(); ++i)
      fields.push_back(arrow::field(std::to_string(i), arrays[i]->type()));
    const auto all = arrow::RecordBatch::Make(arrow::schema(fields), 400, arrays)
                         ->Slice(static_cast<int64_t>(random() % 20));
    std::vector<int32_t> rows;
    const uint64_t left_out = 1 + random() % 60;
    for (int32_t i = 0; i < all->num_rows(); ++i) {
      if (random() % left_out != 0) rows.push_back(i);
    }
    const Batch out = *Take({all, {}}, rows);
    ASSERT_TRUE(out.rows->ValidateFull().ok());
    ASSERT_EQ(out.num_rows(), static_cast<int64_t>(rows.size()));
    for (size_t i = 0; i < rows.size(); ++i)
      ASSERT_EQ(RowText(*out.rows, static_cast<int64_t>(i)), RowText(*all, rows[i]));
  }
}

TEST(ArrowTest, SchemasSurviveTheRoundTripWithIds) {
  Schema schema;
  schema.fields = {{"id", Simple(Kind::kInt64), true},
                   {"at", Simple(Kind::kTimestampTz)},
                   {"price", Decimal(10, 2)},
                   {"tags", ListOf(Simple(Kind::kString))},
                   {"device", StructOf({{"os", Simple(Kind::kString)}})}};
  EXPECT_EQ(AssignFieldIds(schema, 0), 7);
  EXPECT_EQ(*FromArrow(*ToArrow(schema)), schema);
}

TEST(TypeTest, NamesAreIcebergs) {
  EXPECT_EQ(TypeName(ListOf(StructOf({{"a", Simple(Kind::kInt32)}}))),
            "list<struct<a: int>>");
  EXPECT_TRUE(SameName("Trip_ID", "trip_id"));
}

}  // namespace
}  // namespace weir::data
