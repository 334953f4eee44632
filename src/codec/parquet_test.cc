#include "codec/parquet.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "codec/parquet_internal.h"
#include "data/arrow.h"
#include "data/batch.h"

namespace weir::codec {
namespace {

using data::Field;
using data::Kind;
using data::Schema;
using data::Simple;
using testing::ElementsAre;
using testing::Pair;

class ParquetTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Path(const std::string& name) const { return io::Join(dir_, name); }

  ParquetStats Write(const std::string& name, const Schema& schema,
                     const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
                     const ParquetOptions& options = {}) {
    auto writer = NewParquetWriter(*io_, Path(name), schema, options);
    EXPECT_TRUE(writer.ok()) << writer.error().message;
    for (const auto& batch : batches) {
      const Status written = (*writer)->Write(*batch);
      EXPECT_TRUE(written.ok()) << written.error().message;
    }
    auto stats = (*writer)->Close();
    EXPECT_TRUE(stats.ok()) << stats.error().message;
    return *stats;
  }

  // All rows as text, one a line.
  std::vector<std::string> Read(const std::string& name, const Schema& schema,
                                const ParquetReadOptions& options = {}) {
    std::vector<std::string> lines;
    auto reader = OpenParquet(*io_, Path(name), schema, options);
    EXPECT_TRUE(reader.ok()) << reader.error().message;
    int64_t first = 0;
    while (true) {
      auto batch = (*reader)->Next(&first);
      EXPECT_TRUE(batch.ok()) << batch.error().message;
      if (!batch.ok() || *batch == nullptr) return lines;
      EXPECT_TRUE((*batch)->ValidateFull().ok());
      for (int64_t row = 0; row < (*batch)->num_rows(); ++row) {
        lines.push_back(fmt::format("{}: {}", first + row, data::RowText(**batch, row)));
      }
    }
  }

  const std::string dir_ = (std::filesystem::temp_directory_path() /
                            fmt::format("weir-parquet-{}", ::getpid()))
                               .string();
  std::unique_ptr<io::Io> io_ = io::NewPosixIo();
};

Field Column(std::string name, data::Type type, int id, bool required = false) {
  return {std::move(name), std::move(type), required, id, ""};
}

std::shared_ptr<arrow::Array> Ints(const std::vector<int64_t>& values) {
  arrow::Int64Builder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return *builder.Finish();
}

std::shared_ptr<arrow::Array> Texts(
    const std::vector<std::optional<std::string>>& values) {
  arrow::StringBuilder builder;
  for (const auto& value : values)
    EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
  return *builder.Finish();
}

std::shared_ptr<arrow::Array> Doubles(const std::vector<double>& values) {
  arrow::DoubleBuilder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return *builder.Finish();
}

std::shared_ptr<arrow::RecordBatch> Batch(
    const Schema& schema, std::vector<std::shared_ptr<arrow::Array>> columns) {
  const int64_t rows = columns[0]->length();
  return arrow::RecordBatch::Make(data::ToArrow(schema), rows, std::move(columns));
}

std::shared_ptr<arrow::Array> Range(int64_t first, int64_t count) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(first + i);
  return Ints(values);
}

std::string Le(int64_t value) { return {reinterpret_cast<const char*>(&value), 8}; }

TEST_F(ParquetTest, EveryTypeComesBackAsItWasWritten) {
  Schema schema{
      {Column("b", Simple(Kind::kBool), 1), Column("i", Simple(Kind::kInt32), 2),
       Column("l", Simple(Kind::kInt64), 3), Column("f", Simple(Kind::kFloat), 4),
       Column("d", Simple(Kind::kDouble), 5), Column("dec", data::Decimal(10, 2), 6),
       Column("dt", Simple(Kind::kDate), 7), Column("tm", Simple(Kind::kTime), 8),
       Column("ts", Simple(Kind::kTimestamp), 9),
       Column("tz", Simple(Kind::kTimestampTz), 10),
       Column("s", Simple(Kind::kString), 11), Column("bin", Simple(Kind::kBinary), 12),
       Column("u", Simple(Kind::kUuid), 13),
       Column("_absent", data::ListOf(Simple(Kind::kString)), 14),
       Column("st",
              data::StructOf({Column("x", Simple(Kind::kInt64), 0),
                              Column("y", Simple(Kind::kString), 0)}),
              16)}};
  data::AssignFieldIds(schema, 20);
  std::unique_ptr<arrow::RecordBatchBuilder> builder = *arrow::RecordBatchBuilder::Make(
      data::ToArrow(schema), arrow::default_memory_pool());
  for (int row = 0; row < 3; ++row) {
    for (int c = 0; c < builder->num_fields(); ++c) {
      arrow::ArrayBuilder* column = builder->GetField(c);
      if (row == 1) {
        ASSERT_TRUE(column->AppendNull().ok());
        continue;
      }
      const auto scalar = [&](const char* text) {
        return *arrow::Scalar::Parse(column->type(), text);
      };
      switch (column->type()->id()) {
        case arrow::Type::BOOL:
          ASSERT_TRUE(column->AppendScalar(*scalar("true")).ok());
          break;
        case arrow::Type::DECIMAL128:
          ASSERT_TRUE(column
                          ->AppendScalar(arrow::Decimal128Scalar(arrow::Decimal128(-1234),
                                                                 column->type()))
                          .ok());
          break;
        case arrow::Type::DATE32:
          ASSERT_TRUE(column->AppendScalar(*scalar("2018-01-11")).ok());
          break;
        case arrow::Type::TIME64:
          ASSERT_TRUE(column->AppendScalar(*scalar("18:24:44.123456")).ok());
          break;
        case arrow::Type::TIMESTAMP:
          ASSERT_TRUE(
              column
                  ->AppendScalar(arrow::TimestampScalar(1515695084123456, column->type()))
                  .ok());
          break;
        case arrow::Type::BINARY:
        case arrow::Type::STRING:
          ASSERT_TRUE(column->AppendScalar(*scalar("text")).ok());
          break;
        case arrow::Type::FIXED_SIZE_BINARY:
          ASSERT_TRUE(static_cast<arrow::FixedSizeBinaryBuilder*>(column)
                          ->Append("0123456789abcdef")
                          .ok());
          break;
        case arrow::Type::LIST: {
          auto* list = static_cast<arrow::ListBuilder*>(column);
          ASSERT_TRUE(list->Append().ok());
          for (int i = 0; i < row; ++i)
            ASSERT_TRUE(static_cast<arrow::StringBuilder*>(list->value_builder())
                            ->Append("device.os")
                            .ok());
          break;
        }
        case arrow::Type::STRUCT: {
          auto* nested = static_cast<arrow::StructBuilder*>(column);
          ASSERT_TRUE(nested->Append().ok());
          ASSERT_TRUE(static_cast<arrow::Int64Builder*>(nested->field_builder(0))
                          ->Append(7)
                          .ok());
          ASSERT_TRUE(nested->field_builder(1)->AppendNull().ok());
          break;
        }
        default:
          ASSERT_TRUE(column->AppendScalar(*scalar("42")).ok());
      }
    }
  }
  const std::shared_ptr<arrow::RecordBatch> rows = *builder->Flush();
  const ParquetStats stats = Write("all.parquet", schema, {rows});
  auto reader = OpenParquet(*io_, Path("all.parquet"), schema, {});
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  int64_t first = -1;
  const auto back = (*reader)->Next(&first);
  ASSERT_TRUE(back.ok()) << back.error().message;
  ASSERT_NE(*back, nullptr);
  EXPECT_TRUE((*back)->ValidateFull().ok());
  EXPECT_TRUE((*back)->Equals(*rows)) << (*back)->ToString();
  EXPECT_EQ(stats.rows, 3);
  EXPECT_EQ(stats.lower.at(6), "\xfb\x2e");  // -1234, as few bytes as hold it
  EXPECT_EQ(stats.lower.at(13), "0123456789abcdef");
  EXPECT_EQ(stats.null_counts.at(1), 1);
  EXPECT_FALSE(stats.value_counts.contains(schema.fields[13].type.fields[0].id))
      << "nothing is counted under lists";
  EXPECT_EQ(stats.lower.at(schema.fields[14].type.fields[0].id), Le(7))
      << "but in structs it is";
}

TEST_F(ParquetTest, CountsNansAndKeepsThemOutOfBounds) {
  const Schema schema{{Column("d", Simple(Kind::kDouble), 1)}};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const ParquetStats stats =
      Write("nan.parquet", schema, {Batch(schema, {Doubles({nan, 0.0, 2.5, nan})})});
  EXPECT_THAT(stats.nan_counts, ElementsAre(Pair(1, 2)));
  double low = 1, high = 0;
  std::memcpy(&low, stats.lower.at(1).data(), 8);
  std::memcpy(&high, stats.upper.at(1).data(), 8);
  EXPECT_TRUE(low == 0 && std::signbit(low)) << "-0.0 stands before +0.0";
  EXPECT_EQ(high, 2.5);
  const ParquetStats only =
      Write("only.parquet", schema, {Batch(schema, {Doubles({nan})})});
  EXPECT_TRUE(only.lower.empty() && only.upper.empty());
}

struct BoundCase {
  const char* name;
  std::string value, lower;
  std::optional<std::string> upper;
};
class StringBoundTest : public ParquetTest,
                        public testing::WithParamInterface<BoundCase> {};
TEST_P(StringBoundTest, IsCutByCodePoints) {
  const Schema schema{{Column("s", Simple(Kind::kString), 1)}};
  const ParquetStats stats =
      Write("bound.parquet", schema, {Batch(schema, {Texts({GetParam().value})})});
  EXPECT_EQ(stats.lower.at(1), GetParam().lower);
  EXPECT_EQ(stats.upper.contains(1) ? std::optional(stats.upper.at(1)) : std::nullopt,
            GetParam().upper);
}
INSTANTIATE_TEST_SUITE_P(
    , StringBoundTest,
    testing::Values(BoundCase{"ShortStaysWhole", "short", "short", "short"},
                    BoundCase{"LongRoundsUp", "0123456789abcdefgh", "0123456789abcdef",
                              "0123456789abcdeg"},
                    BoundCase{"TwoByteCharactersStayWhole", "äääääääääääääääää",
                              "ääääääääääääääää", "äääääääääääääääå"},
                    BoundCase{"LastCharacterPassesItsIncrementOn",
                              "0123456789abcde\U0010FFFFz", "0123456789abcde\U0010FFFF",
                              "0123456789abcdf"},
                    BoundCase{"SurrogatesAreSkipped", "0123456789abcde\uD7FFz",
                              "0123456789abcde\uD7FF", "0123456789abcde\uE000"},
                    BoundCase{"NoUpperBoundWhenAllAreLast",
                              [] {
                                std::string s;
                                for (int i = 0; i < 17; ++i) s += "\U0010FFFF";
                                return s;
                              }(),
                              [] {
                                std::string s;
                                for (int i = 0; i < 16; ++i) s += "\U0010FFFF";
                                return s;
                              }(),
                              std::nullopt}),
    [](const auto& info) { return info.param.name; });

TEST_F(ParquetTest, ReadsByIdThroughRenamesReordersAndAddedColumns) {
  const Schema written{{Column("a", Simple(Kind::kInt32), 1),
                        Column("b", Simple(Kind::kString), 2),
                        Column("s",
                               data::StructOf({Column("x", Simple(Kind::kInt32), 4),
                                               Column("y", Simple(Kind::kString), 5)}),
                               3)}};
  arrow::Int32Builder a;
  ASSERT_TRUE(a.AppendValues({1, 2}).ok());
  const auto ints = *a.Finish();
  const auto nested = *arrow::StructArray::Make(
      {ints, Texts({"p", "q"})}, data::ToArrow(written.fields[2].type)->fields());
  Write("old.parquet", written, {Batch(written, {ints, Texts({"u", "v"}), nested})});
  const Schema wanted{{Column("added", Simple(Kind::kDouble), 9),
                       Column("bee", Simple(Kind::kString), 2),
                       Column("a", Simple(Kind::kInt64), 1),
                       Column("s",
                              data::StructOf({Column("z", Simple(Kind::kString), 10),
                                              Column("ex", Simple(Kind::kInt64), 4)}),
                              3)}};
  const auto lines = Read("old.parquet", wanted);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], testing::StartsWith("0: NULL | u | 1 | "));
  const auto only_added = Read("old.parquet", wanted, {.field_ids = {9}});
  EXPECT_THAT(only_added, ElementsAre("0: NULL", "1: NULL"));
}

TEST_F(ParquetTest, SkipsRowGroupsAndStillKnowsPositions) {
  const Schema schema{{Column("n", Simple(Kind::kInt64), 1, true)}};
  const ParquetStats stats =
      Write("groups.parquet", schema, {Batch(schema, {Range(0, 250)})},
            {.row_group_rows_max = 100});
  EXPECT_EQ(stats.split_offsets.size(), 3u);
  EXPECT_TRUE(std::is_sorted(stats.split_offsets.begin(), stats.split_offsets.end()));
  const auto lines =
      Read("groups.parquet", schema, {.keep = [](const ParquetStats& group) {
             return group.upper.at(1) >= Le(200) || group.rows == 50;
           }});
  ASSERT_EQ(lines.size(), 50u);
  EXPECT_EQ(lines.front(), "200: 200");
  EXPECT_EQ(lines.back(), "249: 249");
}

TEST_F(ParquetTest, RowGroupsAreBoundedByBytesToo) {
  const Schema schema{{Column("n", Simple(Kind::kInt64), 1)}};
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  for (int i = 0; i < 4; ++i) batches.push_back(Batch(schema, {Range(i * 1000, 1000)}));
  EXPECT_EQ(Write("bytes.parquet", schema, batches, {.row_group_bytes_max = 16'000})
                .split_offsets.size(),
            2u);
}

TEST_F(ParquetTest, ColumnsWithoutRepetitionGetNoDictionary) {
  const Schema schema{
      {Column("id", Simple(Kind::kString), 1), Column("kind", Simple(Kind::kString), 2)}};
  std::vector<std::optional<std::string>> ids, kinds;
  for (int i = 0; i < 1000; ++i) {
    ids.push_back(fmt::format("id-{}", i));
    kinds.push_back(i % 2 ? "a" : "b");
  }
  Write("dict.parquet", schema, {Batch(schema, {Texts(ids), Texts(kinds)})});
  auto source = std::make_shared<FileSource>(
      *io_->Open(Path("dict.parquet"), io::OpenMode::kRead),
      *(*io_->Open(Path("dict.parquet"), io::OpenMode::kRead))->Size());
  const auto tail = *source->ReadAt(*source->GetSize() - 8, 8);
  const int64_t footer = *reinterpret_cast<const int32_t*>(tail->data());
  const auto metadata = parquet::FileMetaData::Make(
      (*source->ReadAt(*source->GetSize() - 8 - footer, footer))->data(), footer);
  EXPECT_FALSE(metadata->RowGroup(0)->ColumnChunk(0)->has_dictionary_page());
  EXPECT_TRUE(metadata->RowGroup(0)->ColumnChunk(1)->has_dictionary_page());
}

TEST_F(ParquetTest, RefusesWhatIsNotOfItsSchema) {
  const Schema schema{{Column("n", Simple(Kind::kInt64), 1, true)}};
  auto writer = *NewParquetWriter(*io_, Path("refused.parquet"), schema, {});
  EXPECT_EQ(writer
                ->Write(*arrow::RecordBatch::Make(
                    arrow::schema({arrow::field("n", arrow::utf8())}), 1, {Texts({"x"})}))
                .error()
                .code,
            Code::kInvalid);
  arrow::Int64Builder builder;
  ASSERT_TRUE(builder.AppendNull().ok());
  const Status null = writer->Write(*arrow::RecordBatch::Make(
      arrow::schema({arrow::field("n", arrow::int64())}), 1, {*builder.Finish()}));
  EXPECT_EQ(null.error().code, Code::kInvalid);
  EXPECT_THAT(null.error().message, testing::HasSubstr("column n is required"));
}

TEST_F(ParquetTest, DamageIsNamedNotReturned) {
  const Schema schema{{Column("n", Simple(Kind::kInt64), 1)}};
  ASSERT_TRUE(io_->WriteNew(Path("text.parquet"), "this is no parquet file at all").ok());
  const auto opened = OpenParquet(*io_, Path("text.parquet"), schema, {});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::kCorrupt);
  EXPECT_THAT(opened.error().message, testing::HasSubstr("text.parquet"));
  EXPECT_EQ(OpenParquet(*io_, Path("missing.parquet"), schema, {}).error().code,
            Code::kNotFound);
}

TEST_F(ParquetTest, EveryFlippedBitOfTheFooterIsNamedOrHarmless) {
  const Schema schema{
      {Column("n", Simple(Kind::kInt64), 1), Column("s", Simple(Kind::kString), 2)}};
  Write("t.parquet", schema, {Batch(schema, {Range(0, 2), Texts({"a", "b"})})});
  const std::vector<std::string> want = Read("t.parquet", schema);
  const std::string bytes = *io_->ReadAll(Path("t.parquet"));
  const size_t seal = bytes.rfind("WeirFoot");
  ASSERT_NE(seal, std::string::npos);
  for (size_t byte = seal; byte < bytes.size(); ++byte) {
    std::string bad = bytes;
    bad[byte] = static_cast<char>(bad[byte] ^ (1 << byte % 8));
    ASSERT_TRUE(io_->ReplaceAtomically(Path("t.parquet"), bad).ok());
    if (byte < seal + 8) {  // the tag: a file without a seal
      EXPECT_EQ(Read("t.parquet", schema), want) << byte;
    } else {
      auto reader = OpenParquet(*io_, Path("t.parquet"), schema, {});
      ASSERT_FALSE(reader.ok()) << byte - seal;
      EXPECT_EQ(reader.error().code, Code::kCorrupt);
      EXPECT_NE(reader.error().message.find("t.parquet"), std::string::npos);
    }
  }
}

TEST_F(ParquetTest, AFileWithoutRowsIsAFile) {
  const Schema schema{{Column("n", Simple(Kind::kInt64), 1)}};
  EXPECT_EQ(Write("empty.parquet", schema, {}).rows, 0);
  EXPECT_TRUE(Read("empty.parquet", schema).empty());
}

}  // namespace
}  // namespace weir::codec
