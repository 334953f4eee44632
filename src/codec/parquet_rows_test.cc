#include "codec/parquet_rows.h"

#include <arrow/api.h>
#include <arrow/extension/bool8.h>
#include <arrow/extension/uuid.h>
#include <arrow/io/memory.h>
#include <arrow/util/float16.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>

#include "io/sim_io.h"

namespace weir::codec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Builder, class Value>
std::shared_ptr<arrow::Array> Column(const std::shared_ptr<arrow::DataType>& type,
                                     const std::vector<std::optional<Value>>& values) {
  Builder builder(type, arrow::default_memory_pool());
  for (const auto& value : values)
    EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
  return *builder.Finish();
}

std::shared_ptr<arrow::Array> Texts(
    const std::vector<std::optional<std::string>>& values) {
  return Column<arrow::StringBuilder, std::string>(arrow::utf8(), values);
}

class ParquetRowsTest : public testing::Test {
 protected:
  // With the columns' Arrow types in the footer, as pyarrow and pandas write them, or
  // without, as others do.
  void Write(const std::vector<std::pair<std::string, std::shared_ptr<arrow::Array>>>& in,
             bool with_arrow_types = true, bool int96 = false, int64_t group_rows = 100) {
    arrow::FieldVector fields;
    arrow::ArrayVector columns;
    for (const auto& [name, column] : in) {
      fields.push_back(arrow::field(name, column->type()));
      columns.push_back(column);
    }
    const auto table = arrow::Table::Make(arrow::schema(fields), columns);
    parquet::ArrowWriterProperties::Builder properties;
    if (with_arrow_types) properties.store_schema();
    if (int96) properties.enable_deprecated_int96_timestamps();
    const auto sink = *arrow::io::BufferOutputStream::Create();
    ASSERT_TRUE(parquet::arrow::WriteTable(
                    *table, arrow::default_memory_pool(), sink, group_rows,
                    parquet::default_writer_properties(), properties.build())
                    .ok());
    bytes_ = (*sink->Finish())->ToString();
    Put(bytes_);
  }

  void Put(const std::string& bytes) {
    if (io_.Exists("in")) {
      ASSERT_TRUE(io_.Remove("in").ok());
    }
    ASSERT_TRUE(io_.WriteNew("in", bytes).ok());
  }

  // The rows from `from` on, asked for a few at a time; what went wrong is the last.
  std::vector<std::string> Read(int64_t from = 0, int64_t rows_max = 1000) {
    std::vector<std::string> out;
    const auto rows = ParquetRows::Open(io_, "in", from, bytes_.size());
    if (!rows.ok()) return {rows.error().message};
    for (;;) {
      const auto next = (*rows)->Next(rows_max, 1 << 20);
      if (!next.ok()) {
        out.push_back(next.error().message);
        return out;
      }
      for (const std::string_view row : next->rows) out.emplace_back(row);
      EXPECT_EQ(next->next, from + static_cast<int64_t>(out.size()));
      if (next->end) return out;
    }
  }

  io::SimIo io_;
  std::string bytes_;
};

TEST_F(ParquetRowsTest, CategoriesAreTheirTexts) {
  const auto codes = Column<arrow::Int32Builder, int32_t>(arrow::int32(), {1, {}, 0});
  Write({{"c", *arrow::DictionaryArray::FromArrays(codes, Texts({"red", "blue"}))}});
  EXPECT_THAT(Read(), ElementsAre(R"({"c":"blue"})", R"({"c":null})", R"({"c":"red"})"));
}

TEST_F(ParquetRowsTest, ListsOfAFixedLengthAreLists) {
  const auto values =
      Column<arrow::FloatBuilder, float>(arrow::float32(), {1.5, 2, 3, 4});
  Write({{"v", *arrow::FixedSizeListArray::FromArrays(values, 2)}});
  EXPECT_THAT(Read(), ElementsAre(R"({"v":[1.5,2]})", R"({"v":[3,4]})"));
}

TEST_F(ParquetRowsTest, UuidsAreWrittenAsPeopleDoWhoeverWroteTheFile) {
  const auto bytes = Column<arrow::FixedSizeBinaryBuilder, std::string>(
      arrow::fixed_size_binary(16),
      {"\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x01", {}});
  const auto uuids = arrow::ExtensionType::WrapArray(arrow::extension::uuid(), bytes);
  for (const bool with_arrow_types : {true, false}) {
    Write({{"u", uuids}}, with_arrow_types);
    EXPECT_THAT(Read(), ElementsAre(R"({"u":"123e4567-e89b-12d3-a456-426614174001"})",
                                    R"({"u":null})"));
  }
}

TEST_F(ParquetRowsTest, OtherTypesOfArrowAreWhatTheyStandFor) {
  const auto bits = arrow::util::Float16(1.5F).bits();
  const auto flags = Column<arrow::Int8Builder, int8_t>(arrow::int8(), {1, 0});
  Write(
      {{"half", Column<arrow::HalfFloatBuilder, uint16_t>(arrow::float16(), {bits, {}})},
       {"took", Column<arrow::DurationBuilder, int64_t>(
                    arrow::duration(arrow::TimeUnit::MICRO), {-5, {}})},
       {"flag", arrow::ExtensionType::WrapArray(arrow::extension::bool8(), flags)},
       {"text",
        Column<arrow::StringViewBuilder, std::string>(arrow::utf8_view(), {"a\"b", {}})},
       {"data",
        Column<arrow::BinaryViewBuilder, std::string>(arrow::binary_view(), {"xx", {}})},
       {"cost", Column<arrow::Decimal32Builder, arrow::Decimal32>(
                    arrow::decimal32(5, 2), {arrow::Decimal32(-150), {}})},
       {"none", *arrow::MakeArrayOfNull(arrow::null(), 2)}});
  EXPECT_THAT(
      Read(),
      ElementsAre(
          R"({"half":1.5,"took":-5,"flag":true,"text":"a\"b","data":"eHg=","cost":-1.50,"none":null})",
          R"({"half":null,"took":null,"flag":false,"text":null,"data":null,"cost":null,"none":null})"));
}

TEST_F(ParquetRowsTest, OldStampsKeepTheirCenturies) {
  const auto stamps = Column<arrow::TimestampBuilder, int64_t>(
      arrow::timestamp(arrow::TimeUnit::MICRO),
      {-62135596800000000, 253370764800000000, 1700000000123456});
  Write({{"t", stamps}}, true, /*int96=*/true);
  EXPECT_THAT(Read(), ElementsAre(R"({"t":"0001-01-01T00:00:00"})",
                                  R"({"t":"9999-01-01T00:00:00"})",
                                  R"({"t":"2023-11-14T22:13:20.123456"})"));
}

TEST_F(ParquetRowsTest, KeysOfMapsAreTexts) {
  arrow::MapBuilder builder(arrow::default_memory_pool(),
                            std::make_shared<arrow::Date32Builder>(),
                            std::make_shared<arrow::Int64Builder>());
  ASSERT_TRUE(builder.Append().ok());
  ASSERT_TRUE(
      static_cast<arrow::Date32Builder*>(builder.key_builder())->Append(19723).ok());
  ASSERT_TRUE(static_cast<arrow::Int64Builder*>(builder.item_builder())->Append(7).ok());
  Write({{"m", *builder.Finish()}});
  EXPECT_THAT(Read(), ElementsAre(R"({"m":{"2024-01-01":7}})"));
}

TEST_F(ParquetRowsTest, GoesOnAtAnyRow) {
  std::vector<std::optional<int64_t>> numbers;
  for (int64_t i = 0; i < 25; ++i) numbers.push_back(i);
  Write({{"i", Column<arrow::Int64Builder, int64_t>(arrow::int64(), numbers)}}, true,
        false, /*group_rows=*/10);
  for (int64_t from = 0; from <= 25; ++from) {
    const auto rows = Read(from, 3);
    ASSERT_EQ(rows.size(), static_cast<size_t>(25 - from));
    if (from == 25) continue;
    EXPECT_EQ(rows[0], fmt::format("{{\"i\":{}}}", from));
  }
  EXPECT_THAT(Read(26), ElementsAre(HasSubstr("fewer rows")));
}

// A footer whose row count is not that of its row groups would lose rows, or never end.
TEST_F(ParquetRowsTest, AFooterThatCountsOtherRowsIsBroken) {
  std::vector<std::optional<int64_t>> numbers(21, 5);
  Write({{"i", Column<arrow::Int64Builder, int64_t>(arrow::int64(), numbers)}}, false);
  // Thrift: field 3 of FileMetaData, a zigzag varint, behind the schema's two elements.
  const uint32_t footer_bytes =
      *reinterpret_cast<const uint32_t*>(bytes_.data() + bytes_.size() - 8);
  const size_t footer = bytes_.size() - 8 - footer_bytes;
  const size_t at = bytes_.find("\x16\x2a\x19", footer);
  ASSERT_NE(at, std::string::npos);
  for (const char rows : {'\x28', '\x2c', '\x29'}) {  // 20, 22, -21
    std::string other = bytes_;
    other[at + 1] = rows;
    Put(other);
    EXPECT_THAT(Read(), ElementsAre(HasSubstr("its row groups others")));
  }
}

TEST_F(ParquetRowsTest, WhateverByteIsBrokenItIsTheFilesFault) {
  Write({{"c", Texts({"red", "blue", {}})}}, true, false, 2);
  const std::string whole = bytes_;
  size_t faults = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string broken = whole;
    broken[i] = static_cast<char>(~broken[i]);
    Put(broken);
    const auto rows = ParquetRows::Open(io_, "in", 0, broken.size());
    auto end = rows.ok() ? Result<bool>(false) : Result<bool>(rows.error());
    while (end.ok() && !*end) {
      const auto next = (*rows)->Next(1000, 1 << 20);
      end = next.ok() ? Result<bool>(next->end) : Result<bool>(next.error());
    }
    if (end.ok()) continue;  // it stands for something
    ++faults;
    EXPECT_EQ(end.error().code, Code::kCorrupt)
        << "byte " << i << ": " << end.error().message;
  }
  EXPECT_GT(faults, whole.size() / 4);
}

TEST_F(ParquetRowsTest, ADiskThatCannotBeReadIsNotTheFilesFault) {
  Write({{"c", Texts({"red", "blue"})}}, true, false, 1);
  const auto rows = ParquetRows::Open(io_, "in", 0, bytes_.size());
  ASSERT_TRUE(rows.ok() && (*rows)->Next(1, 1 << 20).ok());
  io_.CutPower();
  const auto next = (*rows)->Next(1, 1 << 20);
  ASSERT_FALSE(next.ok());
  EXPECT_EQ(next.error().code, Code::kUnavailable) << next.error().message;
}

}  // namespace
}  // namespace weir::codec
