#include "duck/duck.h"

#include <arrow/api.h>
#include <arrow/compute/initialize.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "data/arrow.h"
#include "data/batch.h"

namespace weir::duck {
namespace {

using data::Field;
using data::Kind;
using data::Schema;
using data::Simple;
using testing::HasSubstr;

std::unique_ptr<Session> OpenSession(InstanceOptions options = {}) {
  auto session = Session::Open(options);
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

std::string Text(const RowBatches& batches) {
  std::string out;
  for (const auto& batch : batches) {
    for (int64_t i = 0; i < batch->num_rows(); ++i)
      out += (out.empty() ? "" : "\n") + data::RowText(*batch, i);
  }
  return out;
}

std::string Ask(Session& session, std::string_view sql) {
  auto rows = session.Query(sql, nullptr);
  return rows.ok() ? Text(*rows) : "error: " + rows.error().message;
}

std::string ErrorOf(const Status& status) {
  return status.ok() ? "" : status.error().message;
}

// Random values of any type; about one in five is NULL.
class RandomRows {
 public:
  explicit RandomRows(uint64_t seed) : random_(seed) {}

  std::shared_ptr<arrow::Array> Column(const data::Type& type, int64_t rows) {
    std::unique_ptr<arrow::ArrayBuilder> builder;
    EXPECT_TRUE(
        arrow::MakeBuilder(arrow::default_memory_pool(), data::ToArrow(type), &builder)
            .ok());
    for (int64_t i = 0; i < rows; ++i) Append(type, *builder, true);
    return *builder->Finish();
  }

  std::shared_ptr<arrow::RecordBatch> Batch(const Schema& schema, int64_t rows) {
    arrow::ArrayVector columns;
    for (const Field& field : schema.fields) columns.push_back(Column(field.type, rows));
    return arrow::RecordBatch::Make(data::ToArrow(schema), rows, columns);
  }

 private:
  int64_t Below(int64_t n) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(n));
  }

  std::string RandomText() {
    return std::string(static_cast<size_t>(Below(30)),
                       static_cast<char>('a' + Below(26)));
  }

  void Append(const data::Type& type, arrow::ArrayBuilder& b, bool nullable) {
    if (nullable && Below(5) == 0) return (void)b.AppendNull();
    switch (type.kind) {
      case Kind::kBool:
        return (void)static_cast<arrow::BooleanBuilder&>(b).Append(Below(2) == 1);
      case Kind::kInt32:
        return (void)static_cast<arrow::Int32Builder&>(b).Append(
            static_cast<int32_t>(random_()));
      case Kind::kInt64:
        return (void)static_cast<arrow::Int64Builder&>(b).Append(
            static_cast<int64_t>(random_()));
      case Kind::kFloat:
        return (void)static_cast<arrow::FloatBuilder&>(b).Append(
            static_cast<float>(Below(1000)) / 8);
      case Kind::kDouble:
        return (void)static_cast<arrow::DoubleBuilder&>(b).Append(
            static_cast<double>(Below(1000)) / 8);
      case Kind::kDecimal:
        return (void)static_cast<arrow::Decimal128Builder&>(b).Append(
            arrow::Decimal128(Below(99999) - 50000));
      case Kind::kDate:
        return (void)static_cast<arrow::Date32Builder&>(b).Append(
            static_cast<int32_t>(Below(40000)));
      case Kind::kTime:
        return (void)static_cast<arrow::Time64Builder&>(b).Append(Below(86400000000));
      case Kind::kTimestamp:
      case Kind::kTimestampTz:
        return (void)static_cast<arrow::TimestampBuilder&>(b).Append(
            Below(4000000000000000));
      case Kind::kString:
        return (void)static_cast<arrow::StringBuilder&>(b).Append(RandomText());
      case Kind::kBinary:
        return (void)static_cast<arrow::BinaryBuilder&>(b).Append(RandomText());
      case Kind::kUuid: {
        std::string bytes(16, '\0');
        for (char& c : bytes) c = static_cast<char>(random_());
        return (void)static_cast<arrow::FixedSizeBinaryBuilder&>(b).Append(bytes);
      }
      case Kind::kList: {
        auto& list = static_cast<arrow::ListBuilder&>(b);
        (void)list.Append();
        for (int64_t i = Below(4); i > 0; --i)
          Append(type.fields[0].type, *list.value_builder(), true);
        return;
      }
      case Kind::kMap: {
        auto& map = static_cast<arrow::MapBuilder&>(b);
        (void)map.Append();
        for (int64_t i = Below(3); i > 0; --i) {
          (void)static_cast<arrow::StringBuilder*>(map.key_builder())
              ->Append(std::to_string(i) + RandomText());
          Append(type.fields[1].type, *map.item_builder(), true);
        }
        return;
      }
      case Kind::kStruct: {
        auto& builder = static_cast<arrow::StructBuilder&>(b);
        (void)builder.Append();
        for (size_t i = 0; i < type.fields.size(); ++i) {
          Append(type.fields[i].type, *builder.field_builder(static_cast<int>(i)), true);
        }
        return;
      }
    }
  }

  std::mt19937_64 random_;
};

Schema EveryType() {
  data::Type map = Simple(Kind::kMap);
  map.fields = {{"key", Simple(Kind::kString), true}, {"value", Simple(Kind::kInt64)}};
  const data::Type inner = data::StructOf(
      {{"s", Simple(Kind::kString)}, {"l", data::ListOf(Simple(Kind::kInt32))}});
  return {{{"b", Simple(Kind::kBool)},
           {"i", Simple(Kind::kInt32)},
           {"l", Simple(Kind::kInt64)},
           {"f", Simple(Kind::kFloat)},
           {"d", Simple(Kind::kDouble)},
           {"d4", data::Decimal(4, 1)},
           {"d9", data::Decimal(9, 2)},
           {"d18", data::Decimal(18, 3)},
           {"d38", data::Decimal(38, 10)},
           {"date", Simple(Kind::kDate)},
           {"time", Simple(Kind::kTime)},
           {"ts", Simple(Kind::kTimestamp)},
           {"tz", Simple(Kind::kTimestampTz)},
           {"s", Simple(Kind::kString)},
           {"bin", Simple(Kind::kBinary)},
           {"u", Simple(Kind::kUuid)},
           {"ls", data::ListOf(Simple(Kind::kString))},
           {"st", inner},
           {"lst", data::ListOf(inner)},
           {"m", map}}};
}

// d4 holds at most 4 digits; the random decimals have 5.
Schema EveryTypeThatFits() {
  Schema schema = EveryType();
  schema.fields.erase(schema.fields.begin() + 5);
  return schema;
}

TEST(DuckTest, RowsOfEveryTypeComeBackAsTheyWent) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomRows random(seed);
  const Schema schema = EveryTypeThatFits();
  const auto session = OpenSession();
  ASSERT_EQ(ErrorOf(session->DeclareInput("bronze.all", schema)), "");
  const auto prepared = session->Prepare("SELECT * FROM bronze.all");
  ASSERT_TRUE(prepared.ok()) << prepared.error().message;
  EXPECT_EQ((*prepared)->output(), schema);
  for (const int64_t rows : {1, 7, 2047, 2048, 2049, 5000}) {
    for (const int64_t offset : {0, 1, 8, 13}) {
      const auto whole = random.Batch(schema, rows + offset + 3);
      const auto batch = whole->Slice(offset, rows);
      ASSERT_EQ(
          ErrorOf(session->SetInput("bronze.all", {batch, batch->Slice(0, 0), batch})),
          "");
      const auto out = session->Run(**prepared);
      ASSERT_TRUE(out.ok()) << out.error().message;
      std::vector<data::Batch> parts;
      for (const auto& part : *out) {
        ASSERT_TRUE(part->ValidateFull().ok());
        parts.push_back({part, {}});
      }
      const auto all = data::Concat(parts);
      ASSERT_TRUE(all.ok()) << all.error().message;
      const auto expected =
          data::Concat(std::vector<data::Batch>{{batch, {}}, {batch, {}}});
      ASSERT_TRUE(expected.ok());
      ASSERT_EQ(all->num_rows(), 2 * rows);
      for (int c = 0; c < all->rows->num_columns(); ++c) {
        ASSERT_TRUE(all->rows->column(c)->Equals(*expected->rows->column(c)))
            << schema.fields[static_cast<size_t>(c)].name << ", " << rows << " rows from "
            << offset;
      }
    }
  }
}

TEST(DuckTest, StringsOutliveTheBatchTheyCameFrom) {
  const Schema schema{{{"k", Simple(Kind::kInt64)}, {"s", Simple(Kind::kString)}}};
  const auto session = OpenSession();
  ASSERT_EQ(ErrorOf(session->DeclareInput("t", schema)), "");
  const auto prepared = session->Prepare(
      "SELECT s, count(*) AS n, max(s || '!') AS m FROM t GROUP BY s ORDER BY s");
  ASSERT_TRUE(prepared.ok());
  arrow::Int64Builder k;
  arrow::StringBuilder s;
  for (int i = 0; i < 5000; ++i) {
    (void)k.Append(i);
    (void)s.Append("a text of more than twelve bytes " + std::to_string(i % 3));
  }
  auto batch =
      arrow::RecordBatch::Make(data::ToArrow(schema), 5000, {*k.Finish(), *s.Finish()});
  ASSERT_EQ(ErrorOf(session->SetInput("t", {std::move(batch)})), "");
  const auto out = session->Run(**prepared);
  ASSERT_EQ(ErrorOf(session->SetInput("t", {})), "");
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(
      Text(*out),
      "a text of more than twelve bytes 0 | 1667 | a text of more than twelve bytes 0!\n"
      "a text of more than twelve bytes 1 | 1667 | a text of more than twelve bytes 1!\n"
      "a text of more than twelve bytes 2 | 1666 | a text of more than twelve bytes 2!");
}

// A buffer whose last byte is followed by memory that ends the process when it is read.
class BufferAtAnEdge {
 public:
  explicit BufferAtAnEdge(const arrow::Buffer& content) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    pages_ = static_cast<uint8_t*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(pages_, MAP_FAILED);
    EXPECT_EQ(mprotect(pages_ + page, page, PROT_NONE), 0);
    uint8_t* const begin = pages_ + page - content.size();
    std::copy_n(content.data(), content.size(), begin);
    buffer_ = std::make_shared<arrow::Buffer>(begin, content.size());
  }
  ~BufferAtAnEdge() { munmap(pages_, 2 * static_cast<size_t>(sysconf(_SC_PAGESIZE))); }

  const std::shared_ptr<arrow::Buffer>& buffer() const { return buffer_; }

 private:
  uint8_t* pages_;
  std::shared_ptr<arrow::Buffer> buffer_;
};

TEST(DuckTest, NothingIsReadBehindTheValidityOfASlice) {
  const Schema schema{
      {{"a", Simple(Kind::kInt64)}, {"l", data::ListOf(Simple(Kind::kInt64))}}};
  auto element = std::make_shared<arrow::Int64Builder>();
  arrow::ListBuilder l(arrow::default_memory_pool(), element);
  arrow::Int64Builder a;
  for (int i = 0; i < 8; ++i) {
    (void)(i % 3 == 0 ? a.AppendNull() : a.Append(i));
    (void)l.Append();
    (void)(i % 2 == 0 ? element->AppendNull() : element->Append(i));
  }
  const auto numbers = (*a.Finish())->data()->Copy();
  const auto lists = (*l.Finish())->data()->Copy();
  const auto elements = lists->child_data[0]->Copy();
  const BufferAtAnEdge number_bits(*arrow::SliceBuffer(numbers->buffers[0], 0, 1));
  const BufferAtAnEdge element_bits(*arrow::SliceBuffer(elements->buffers[0], 0, 1));
  numbers->buffers[0] = number_bits.buffer();
  elements->buffers[0] = element_bits.buffer();
  lists->child_data[0] = elements;
  const auto whole = arrow::RecordBatch::Make(data::ToArrow(schema), 8,
                                              arrow::ArrayDataVector{numbers, lists});
  const auto session = OpenSession();
  ASSERT_EQ(ErrorOf(session->DeclareInput("t", schema)), "");
  ASSERT_EQ(ErrorOf(session->SetInput("t", {whole->Slice(3, 5)})), "");
  EXPECT_EQ(Ask(*session, "SELECT a, l[1] AS e FROM t"),
            "NULL | 3\n4 | NULL\n5 | 5\nNULL | NULL\n7 | 7");
}

class CountingSource final : public BatchSource {
 public:
  CountingSource(std::vector<int> columns, int64_t rows)
      : columns_(std::move(columns)), left_(rows) {}
  Result<std::shared_ptr<arrow::RecordBatch>> Next() override {
    if (left_ == 0) return std::shared_ptr<arrow::RecordBatch>();
    if (left_ < 0) return Unavailable("the disk is gone");
    const int64_t rows = std::min<int64_t>(left_, 3000);
    left_ -= rows;
    arrow::Int64Builder builder;
    for (int64_t i = 0; i < rows; ++i) (void)builder.Append(i);
    const auto array = *builder.Finish();
    arrow::FieldVector fields;
    arrow::ArrayVector arrays;
    for (const int c : columns_) {
      fields.push_back(arrow::field("c" + std::to_string(c), arrow::int64()));
      arrays.push_back(array);
    }
    return arrow::RecordBatch::Make(arrow::schema(fields), rows, arrays);
  }

 private:
  std::vector<int> columns_;
  int64_t left_;
};

TEST(DuckTest, SourcesAreAskedOnlyForTheColumnsTheQueryNeeds) {
  const Schema schema{{{"a", Simple(Kind::kInt64)},
                       {"b", Simple(Kind::kInt64)},
                       {"c", Simple(Kind::kInt64)}}};
  const auto session = OpenSession();
  std::vector<std::vector<int>> asked;
  ASSERT_EQ(
      ErrorOf(session->DeclareSource(
          "big.t", schema,
          [&](const std::vector<int>& columns) -> Result<std::unique_ptr<BatchSource>> {
            asked.push_back(columns);
            return std::unique_ptr<BatchSource>(new CountingSource(columns, 7000));
          })),
      "");
  EXPECT_EQ(Ask(*session, "SELECT count(*) FROM big.t"), "7000");
  EXPECT_EQ(Ask(*session, "SELECT max(c) FROM big.t"), "2999");
  EXPECT_EQ(Ask(*session, "SELECT sum(c - a)::BIGINT FROM big.t"), "0");
  EXPECT_THAT(asked, testing::ElementsAre(testing::SizeIs(1), testing::ElementsAre(2),
                                          testing::UnorderedElementsAre(0, 2)));
}

TEST(DuckTest, ASourcesErrorKeepsItsCode) {
  const Schema schema{{{"a", Simple(Kind::kInt64)}}};
  const auto session = OpenSession();
  ASSERT_EQ(
      ErrorOf(session->DeclareSource(
          "t", schema,
          [](const std::vector<int>& columns) -> Result<std::unique_ptr<BatchSource>> {
            return std::unique_ptr<BatchSource>(new CountingSource(columns, -1));
          })),
      "");
  const auto out = session->Query("SELECT max(a) FROM t", nullptr);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::kUnavailable);
  EXPECT_EQ(out.error().message, "the disk is gone");
}

TEST(DuckTest, DeclaringAgainReplaces) {
  const auto session = OpenSession();
  ASSERT_EQ(ErrorOf(session->DeclareInput("bronze.ride$rejected",
                                          {{{"a", Simple(Kind::kInt64)}}})),
            "");
  const auto prepared =
      session->Prepare("SELECT count(*) AS n FROM bronze.\"ride$rejected\"");
  ASSERT_TRUE(prepared.ok()) << prepared.error().message;
  ASSERT_EQ(ErrorOf(session->DeclareInput("bronze.ride$rejected",
                                          {{{"b", Simple(Kind::kString)}}})),
            "");
  EXPECT_EQ(session->Describe("FROM bronze.\"ride$rejected\"")->fields[0].name, "b");
  EXPECT_EQ(Text(*session->Run(**prepared)), "0");
}

TEST(DuckTest, BatchesOfAnotherShapeAreRefused) {
  const auto session = OpenSession();
  ASSERT_EQ(ErrorOf(session->DeclareInput("t", {{{"a", Simple(Kind::kInt64)}}})), "");
  RandomRows random(1);
  EXPECT_EQ(
      ErrorOf(session->SetInput("t", {random.Batch({{{"a", Simple(Kind::kInt32)}}}, 3)})),
      "t: column a is int32, declared is int64");
  EXPECT_EQ(ErrorOf(session->SetInput("nope", {})), "nope is not a declared relation");
}

struct SettingCase {
  const char *name, *setting, *value;
};
class SettingTest : public testing::TestWithParam<SettingCase> {};
TEST_P(SettingTest, IsInForce) {
  const auto session = OpenSession({.threads = 1, .memory_bytes_max = 64 << 20});
  EXPECT_EQ(Ask(*session, std::string("SELECT current_setting('") + GetParam().setting +
                              "')::VARCHAR"),
            GetParam().value);
}
INSTANTIATE_TEST_SUITE_P(
    , SettingTest,
    testing::Values(SettingCase{"Threads", "threads", "1"},
                    SettingCase{"Memory", "memory_limit", "64.0 MiB"},
                    SettingCase{"TimeZone", "TimeZone", "UTC"},
                    SettingCase{"NullOrder", "default_null_order", "NULLS_LAST"},
                    SettingCase{"Collation", "default_collation", ""},
                    SettingCase{"Ieee", "ieee_floating_point_ops", "true"},
                    SettingCase{"Install", "autoinstall_known_extensions", "false"},
                    SettingCase{"Load", "autoload_known_extensions", "false"},
                    SettingCase{"Access", "enable_external_access", "false"},
                    SettingCase{"Temp", "temp_directory", ""},
                    SettingCase{"Locked", "lock_configuration", "true"}),
    [](const auto& info) { return info.param.name; });

TEST(DuckTest, SettingsDoWhatTheySay) {
  const auto session = OpenSession();
  EXPECT_EQ(Ask(*session,
                "SELECT string_agg(coalesce(a::VARCHAR, 'null'), ' ') FROM (SELECT a "
                "FROM (VALUES (2), (NULL), (1)) t(a) ORDER BY a DESC)"),
            "2 1 null");
  EXPECT_EQ(
      Ask(*session,
          "SELECT date_trunc('hour', TIMESTAMPTZ '2018-01-01 10:30:00+05:30')::VARCHAR"),
      "2018-01-01 05:00:00+00");
  EXPECT_EQ(Ask(*session, "SELECT (1.0::DOUBLE / 0.0)::VARCHAR"), "inf");
  EXPECT_EQ(Ask(*session, "SELECT 'a' < 'B', 'B' < 'a'"), "false | true");
  EXPECT_THAT(Ask(*session, "SET threads = 4"), HasSubstr("locked"));
  EXPECT_THAT(Ask(*session, "SELECT * FROM read_csv('/etc/passwd')"),
              HasSubstr("disabled"));
  EXPECT_THAT(Ask(*session, "COPY (SELECT 1) TO 'out.csv'"), HasSubstr("disabled"));
  EXPECT_THAT(Ask(*session, "ATTACH 'x.db'"), HasSubstr("disabled"));
  EXPECT_THAT(Ask(*session, "LOAD httpfs"), HasSubstr("disabled"));
}

TEST(DuckTest, ConfigurationComesBeforeTheFirstStatement) {
  const auto session = OpenSession();
  EXPECT_EQ(ErrorOf(session->Execute("CREATE MACRO twice(x) AS 2 * x")), "");
  EXPECT_EQ(Ask(*session, "SELECT twice(21)"), "42");
  EXPECT_THAT(ErrorOf(session->Execute("SET threads = 2")),
              HasSubstr("before the first statement"));
  EXPECT_EQ(ErrorOf(session->DeclareInput("late.t", {{{"a", Simple(Kind::kInt64)}}})),
            "");
}

TEST(DuckTest, ResultsLargerThanMemorySpillToTheTempFolder) {
  const auto dir = std::filesystem::temp_directory_path() /
                   ("weir-duck-" + std::to_string(std::random_device()()));
  const auto session =
      OpenSession({.threads = 1, .memory_bytes_max = 48 << 20, .temp_dir = dir.string()});
  EXPECT_EQ(Ask(*session,
                "SELECT count(*), max(i) FROM (SELECT i, row_number() OVER (ORDER BY "
                "hash(i)) AS r FROM range(3000000) t(i))"),
            "3000000 | 2999999");
  std::filesystem::remove_all(dir);
}

// DuckDB names its spill the same in every database. One that shared the folder of
// another would write over it, and take it away when it ends.
TEST(DuckTest, SessionsThatSpillAtTheSameTimeDoNotDisturbEachOther) {
  const auto dir = std::filesystem::temp_directory_path() /
                   ("weir-duck-" + std::to_string(std::random_device()()));
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2; ++i) {
        const auto session = OpenSession(
            {.threads = 1, .memory_bytes_max = 48 << 20, .temp_dir = dir.string()});
        EXPECT_EQ(Ask(*session, fmt::format("SELECT count(*), sum(i), max(r) FROM "
                                            "(SELECT i, row_number() OVER (ORDER BY "
                                            "hash(i + {})) AS r FROM range(2000000) "
                                            "t(i))",
                                            1000 * t)),
                  "2000000 | 1999999000000 | 2000000");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(std::filesystem::is_empty(dir)) << "what a session spilled goes with it";
  std::filesystem::remove_all(dir);
}

TEST(DuckTest, SpillOfAKilledProcessGoesAndThatOfALivingOneStays) {
  const auto dir = std::filesystem::temp_directory_path() /
                   ("weir-duck-" + std::to_string(std::random_device()()));
  const InstanceOptions options{
      .threads = 1, .memory_bytes_max = 48 << 20, .temp_dir = dir.string()};
  const auto living = OpenSession(options);
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(dir), {}), 1);
  const std::filesystem::path kept = *std::filesystem::directory_iterator(dir);
  std::filesystem::copy(kept, dir / "duck-aaaaaa");
  std::ofstream(dir / "duck-aaaaaa" / "duckdb_temp_storage_S32K-0.tmp") << "spill";
  std::ofstream(dir / "notes") << "not ours";
  const auto next = OpenSession(options);
  EXPECT_FALSE(std::filesystem::exists(dir / "duck-aaaaaa"));
  EXPECT_TRUE(std::filesystem::exists(kept));
  EXPECT_TRUE(std::filesystem::exists(dir / "notes"));
  std::filesystem::remove_all(dir);
}

// Asking needs no place to write while the memory suffices.
TEST(DuckTest, AFolderThatCannotBeMadeMattersOnlyToThoseWhoSpill) {
  const auto session = OpenSession(
      {.threads = 1, .memory_bytes_max = 48 << 20, .temp_dir = "/proc/none/tmp"});
  EXPECT_EQ(Ask(*session, "SELECT 42"), "42");
  EXPECT_THAT(Ask(*session,
                  "SELECT max(i) FROM (SELECT i, row_number() OVER (ORDER BY hash(i)) "
                  "AS r FROM range(3000000) t(i))"),
              HasSubstr("/proc/none/tmp"));
}

struct TypeCase {
  const char *name, *expression, *type, *value;
};
class OutputTypeTest : public testing::TestWithParam<TypeCase> {};
TEST_P(OutputTypeTest, IsOneThatIcebergHolds) {
  const auto session = OpenSession();
  Schema schema;
  const auto out = session->Query(
      std::string("SELECT 7 AS a, ") + GetParam().expression + " AS v -- the end",
      &schema);
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(data::TypeName(schema.fields[1].type), GetParam().type);
  EXPECT_EQ(schema.fields[1].name, "v");
  EXPECT_TRUE((*out)[0]->ValidateFull().ok());
  EXPECT_EQ(Text(*out), std::string("7 | ") + GetParam().value);
  EXPECT_EQ(*data::FromArrow(*(*out)[0]->column(1)->type()), schema.fields[1].type);
}
INSTANTIATE_TEST_SUITE_P(
    , OutputTypeTest,
    testing::Values(
        TypeCase{"Sum", "sum(3::BIGINT)", "decimal(38,0)", "3"},
        TypeCase{"Hugeint", "(-170141183460469231731)::HUGEINT", "decimal(38,0)",
                 "-170141183460469231731"},
        TypeCase{"Ubigint", "18446744073709551615::UBIGINT", "decimal(20,0)",
                 "18446744073709551615"},
        TypeCase{"Uinteger", "4294967295::UINTEGER", "long", "4294967295"},
        TypeCase{"Usmallint", "65535::USMALLINT", "int", "65535"},
        TypeCase{"Tinyint", "(-3)::TINYINT", "int", "-3"},
        TypeCase{"Null", "NULL", "int", "NULL"},
        TypeCase{"Json", "'{\"a\": 1}'::JSON", "string", "{\"a\": 1}"},
        TypeCase{"Array", "[1, 2]::INTEGER[2]", "list<int>",
                 "list<element: int32>[1, 2]"},
        TypeCase{
            "NestedHugeint", "[{'x': 5::HUGEINT}]", "list<struct<x: decimal(38,0)>>",
            "list<element: struct<x: decimal128(38, 0)>>[{x:decimal128(38, 0) = 5}]"}),
    [](const auto& info) { return info.param.name; });

TEST(DuckTest, NanosecondsAndSecondsBecomeMicroseconds) {
  const auto session = OpenSession();
  for (const char* type : {"TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP"}) {
    const std::string stamp = std::string("'2018-01-11 18:24:44'::") + type;
    EXPECT_EQ(
        data::TypeName(session->Describe("SELECT " + stamp + " AS v")->fields[0].type),
        "timestamp");
    EXPECT_EQ(Ask(*session, "SELECT " + stamp + " AS v"),
              Ask(*session, "SELECT TIMESTAMP '2018-01-11 18:24:44' AS v"));
  }
}

TEST(DuckTest, UuidsAreSixteenBytes) {
  const auto session = OpenSession();
  Schema schema;
  const auto out = session->Query(
      "SELECT '00112233-4455-6677-8899-aabbccddeeff'::UUID AS u UNION ALL SELECT NULL",
      &schema);
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(data::TypeName(schema.fields[0].type), "uuid");
  const auto& column =
      static_cast<const arrow::FixedSizeBinaryArray&>(*(*out)[0]->column(0));
  EXPECT_EQ(column.GetView(0),
            std::string_view(
                "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16));
}

struct RefusedCase {
  const char *name, *expression, *message;
};
class RefusedTypeTest : public testing::TestWithParam<RefusedCase> {};
TEST_P(RefusedTypeTest, NamesTheCastToWrite) {
  const auto session = OpenSession();
  const auto out =
      session->Describe(std::string("SELECT ") + GetParam().expression + " AS v");
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::kInvalid);
  EXPECT_THAT(out.error().message, HasSubstr(GetParam().message));
}
INSTANTIATE_TEST_SUITE_P(
    , RefusedTypeTest,
    testing::Values(RefusedCase{"Interval", "INTERVAL 1 HOUR",
                                "column v is an INTERVAL, which an Iceberg table cannot "
                                "hold: write date_diff("},
                    RefusedCase{"Enum", "'a'::ENUM('a', 'b')", "CAST(v AS VARCHAR)"},
                    RefusedCase{"Union", "union_value(n := 1)", "a UNION"},
                    RefusedCase{"Bit", "'101'::BIT", "a BIT string"},
                    RefusedCase{"Map", "MAP {1: 'a'}", "map_entries(v)"},
                    RefusedCase{"NestedInterval", "{'x': INTERVAL 1 HOUR}",
                                "column v.x is an INTERVAL"},
                    RefusedCase{"NestedUuid", "{'x': uuid()}", "cast that to VARCHAR"}),
    [](const auto& info) { return info.param.name; });

TEST(DuckTest, ASumBeyond38DigitsIsAnError) {
  const auto session = OpenSession();
  EXPECT_THAT(
      Ask(*session, "SELECT (170141183460469231731687303715884105727)::HUGEINT AS v"),
      HasSubstr("error: "));
}

TEST(DuckTest, NoRowsHaveNoFirstRow) {
  const auto session = OpenSession();
  EXPECT_EQ(Ask(*session,
                "SELECT i FROM range(0) t(i) QUALIFY row_number() OVER (ORDER "
                "BY i) = 1"),
            "");
}

TEST(DuckTest, ErrorsSayWhere) {
  const auto session = OpenSession();
  ASSERT_EQ(ErrorOf(session->DeclareInput("t", {{{"a", Simple(Kind::kString)}}})), "");
  const auto at = [&](std::string_view sql) -> int {
    const auto out = session->Query(sql, nullptr);
    if (out.ok()) return -2;
    EXPECT_EQ(out.error().code, Code::kInvalid);
    const auto offset = ErrorOffset(out.error());
    return offset ? static_cast<int>(*offset) : -1;
  };
  EXPECT_EQ(at("SELECT a frm t"), 13);
  EXPECT_EQ(at("SELECT 1, b FROM t"), 10);
  EXPECT_EQ(at("SELECT 'x'::INTEGER AS i, 5::HUGEINT AS h"), 10);
  const auto parsed = session->ParseToJson("SELECT a FROM t WHERE");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().message, "syntax error at end of input (at character 22)");
}

TEST(DuckTest, ParseTreesGoOutAndComeBack) {
  const auto session = OpenSession();
  const auto json = session->ParseToJson(
      "select a, sum(b) filter (where c) from silver.t group by all");
  ASSERT_TRUE(json.ok()) << json.error().message;
  const auto sql = session->JsonToSql(*json);
  ASSERT_TRUE(sql.ok()) << sql.error().message;
  EXPECT_EQ(*sql, "SELECT a, sum(b) FILTER (WHERE c) FROM silver.t GROUP BY ALL");
}

TEST(DuckTest, StreamingStopsWhenToldTo) {
  const auto session = OpenSession();
  CancelToken cancel;
  int batches = 0;
  int columns = 0;
  const auto begin = [&](const Schema& schema) -> Status {
    columns = static_cast<int>(schema.fields.size());
    return {};
  };
  Status status =
      session->QueryStreaming("SELECT i, i + 1 AS j FROM range(1000000000) t(i)", cancel,
                              begin, [&](auto) -> Result<bool> { return ++batches < 3; });
  EXPECT_TRUE(status.ok()) << ErrorOf(status);
  EXPECT_EQ(batches, 3);
  EXPECT_EQ(columns, 2);
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel.Cancel();
  });
  status =
      session->QueryStreaming("SELECT count(*) FROM range(100000000000) t(i)", cancel,
                              begin, [&](auto) -> Result<bool> { return true; });
  canceller.join();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kCancelled);
  EXPECT_EQ(Ask(*session, "SELECT 1"), "1");
}

TEST(DuckTest, AnErrorInTheMiddleOfAStreamIsReported) {
  const auto session = OpenSession();
  const Status status = session->QueryStreaming(
      "SELECT CASE WHEN i = 50000 THEN 'x' ELSE '1' END::INTEGER AS v FROM range(100000) "
      "t(i)",
      CancelToken(), [](const Schema&) -> Status { return {}; },
      [](auto) -> Result<bool> { return true; });
  EXPECT_THAT(ErrorOf(status), HasSubstr("Could not convert string 'x'"));
}

}  // namespace
}  // namespace weir::duck
