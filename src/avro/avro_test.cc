#include "avro/avro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/time.h"

namespace weir::avro {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kGolden = WEIR_SOURCE_DIR "/src/iceberg/testdata";

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return out;
}

// A value as JSON, in the spelling of the golden files: bytes as hex, dates as text.
Json ToJson(Decoder& in, const Node& declared) {
  const Node& type = in.Branch(declared);
  switch (type.kind) {
    case Kind::kNull:
      return nullptr;
    case Kind::kBool:
      return in.Bool();
    case Kind::kInt: {
      const int32_t value = in.Int();
      return type.logical_type == "date" ? Json(FormatDate(value)) : Json(value);
    }
    case Kind::kLong:
    case Kind::kEnum:
      return in.Long();
    case Kind::kFloat:
      return in.Float();
    case Kind::kDouble:
      return in.Double();
    case Kind::kBytes:
      return {{"bytes_hex", Hex(in.Bytes())}};
    case Kind::kFixed:
      return {{"bytes_hex", Hex(in.Raw(type.size))}};
    case Kind::kString:
      return std::string(in.Bytes());
    case Kind::kRecord: {
      Json out = Json::object();
      for (const Field& field : type.fields) out[field.name] = ToJson(in, *field.type);
      return out;
    }
    case Kind::kArray:
    case Kind::kMap: {
      Json out = type.kind == Kind::kArray ? Json::array() : Json::object();
      for (int64_t count = in.BlockCount(); count > 0; count = in.BlockCount()) {
        for (; count > 0 && in.ok(); --count) {
          if (type.kind == Kind::kArray) {
            out.push_back(ToJson(in, *type.items));
          } else {
            const std::string key(in.Bytes());
            out[key] = ToJson(in, *type.items);
          }
        }
      }
      return out;
    }
    case Kind::kUnion:
      break;
  }
  return nullptr;
}

Result<Json> Records(std::string bytes) {
  FileReader file = WEIR_TRY(FileReader::Open(std::move(bytes)));
  Json out = Json::array();
  while (const auto block = WEIR_TRY(file.Next())) {
    Decoder in(block->bytes), skipping(block->bytes);
    for (int64_t i = 0; i < block->records && in.ok(); ++i) {
      out.push_back(ToJson(in, file.schema().root()));
      skipping.Skip(file.schema().root());
      EXPECT_EQ(in.rest().data(), skipping.rest().data())
          << "Skip and the reader disagree";
    }
    if (!in.ok()) return Corrupt("a record is cut short");
    if (!in.rest().empty()) return Corrupt("bytes are left over");
  }
  return out;
}

std::string Sample(Codec codec, int records) {
  FileWriter file(R"({"type":"record","name":"r","fields":[
      {"name":"n","type":"long","field-id":1},{"name":"text","type":["null","string"],"field-id":2}]})",
                  {{"owner", "weir"}}, codec);
  for (int i = 0; i < records; ++i) {
    Encoder out = file.record();
    out.Long(i);
    out.Long(i % 2);
    if (i % 2 == 1) out.Bytes("text of record " + std::to_string(i));
    file.EndRecord();
  }
  return std::move(file).Finish();
}

TEST(ContainerTest, ReadsWhatSparkWrote) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kGolden)) {
    if (entry.path().extension() != ".avro") continue;
    const Result<Json> records = Records(ReadFile(entry.path()));
    ASSERT_TRUE(records.ok()) << entry.path() << ": " << records.error().message;
    std::filesystem::path expected = entry.path();
    EXPECT_EQ(*records, Json::parse(ReadFile(expected.replace_extension(".json"))))
        << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 20);
}

TEST(ContainerTest, ReadsBackWhatItWrote) {
  for (const Codec codec : {Codec::kNull, Codec::kDeflate}) {
    for (const int count : {0, 1, 10'000}) {
      const std::string bytes = Sample(codec, count);
      const Result<Json> records = Records(bytes);
      ASSERT_TRUE(records.ok()) << records.error().message;
      ASSERT_EQ(records->size(), static_cast<size_t>(count));
      if (count > 0) {
        EXPECT_EQ((*records)[0], Json::parse(R"({"n":0,"text":null})"));
      }
      if (count > 1) {
        EXPECT_EQ((*records)[9999],
                  Json::parse(R"({"n":9999,"text":"text of record 9999"})"));
      }
      const Result<FileReader> file = FileReader::Open(bytes);
      EXPECT_EQ(file->metadata().at("owner"), "weir");
      EXPECT_EQ(file->schema().root().fields[1].id, 2);
    }
  }
}

TEST(ContainerTest, NamesAnyCut) {
  const std::string bytes = Sample(Codec::kDeflate, 50);
  ASSERT_TRUE(Records(bytes).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Result<Json> records = Records(bytes.substr(0, size));
    // Exactly after the header the file is a whole one without records.
    EXPECT_TRUE(!records.ok() || records->empty()) << "cut at " << size;
  }
}

TEST(ContainerTest, SurvivesBrokenBytes) {
  std::mt19937 random(17);
  const std::string whole = ReadFile(kGolden / "spark_v3" / "manifest.2.data.avro");
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = i % 2 == 0 ? whole : Sample(Codec::kNull, 20);
    for (int flips = 0; flips < 3; ++flips)
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << (random() % 8));
    static_cast<void>(
        Records(std::move(bytes)).ok());  // any answer, but no crash and no endless loop
  }
}

TEST(ContainerTest, RefusesUnknownCodecs) {
  std::string bytes = Sample(Codec::kNull, 1);
  bytes.replace(bytes.find("\x08null") + 1, 4, "zstd");
  const Result<FileReader> file = FileReader::Open(bytes);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, Code::kInvalid);
  EXPECT_THAT(file.error().message, testing::HasSubstr("zstd"));
}

struct LongCase {
  int64_t value;
  const char* hex;
};

TEST(BinaryTest, EncodesNumbersAsTheSpecificationShows) {
  const LongCase cases[] = {{0, "00"},
                            {-1, "01"},
                            {1, "02"},
                            {-64, "7f"},
                            {64, "8001"},
                            {-65, "8101"},
                            {INT64_MAX, "feffffffffffffffff01"},
                            {INT64_MIN, "ffffffffffffffffff01"}};
  for (const LongCase& c : cases) {
    std::string bytes;
    Encoder(&bytes).Long(c.value);
    EXPECT_EQ(Hex(bytes), c.hex);
    Decoder in(bytes);
    EXPECT_EQ(in.Long(), c.value);
    EXPECT_TRUE(in.ok() && in.rest().empty());
  }
  std::string bytes;
  Encoder out(&bytes);
  out.Bytes("foo");
  out.Float(1.5f);
  out.Double(-2.25);
  out.Bool(true);
  EXPECT_EQ(Hex(bytes),
            "06666f6f"
            "0000c03f"
            "00000000000002c0"
            "01");
}

TEST(BinaryTest, FailsForGoodAtTheFirstFault) {
  Decoder in("\x02\x80");
  EXPECT_EQ(in.Long(), 1);
  EXPECT_EQ(in.Long(), 0);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.Bytes(), "");
  EXPECT_FALSE(in.Bool());
  Decoder too_long(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11));
  too_long.Long();
  EXPECT_FALSE(too_long.ok());
}

TEST(BinaryTest, ReadsBlocksThatCarryTheirSize) {
  const Result<Schema> schema = Schema::Parse(R"({"type":"array","items":"int"})");
  const std::string bytes("\x03\x04\x02\x04\x02\x06\x00",
                          7);  // -2 items in 2 bytes: 1, 2; then 1 item: 3; end
  Decoder in(bytes);
  EXPECT_EQ(ToJson(in, schema->root()), Json({1, 2, 3}));
  EXPECT_TRUE(in.ok() && in.rest().empty());
}

TEST(SchemaTest, ResolvesNamesAndNamespaces) {
  const Result<Schema> schema =
      Schema::Parse(R"({"type":"record","name":"a.Node","fields":[
      {"name":"value","type":{"type":"fixed","name":"Four","size":4}},
      {"name":"again","type":"Four"},{"name":"full","type":"a.Four"},
      {"name":"next","type":["null","Node"]}]})");
  ASSERT_TRUE(schema.ok()) << schema.error().message;
  const Node& root = schema->root();
  EXPECT_EQ(root.fields[1].type, root.fields[0].type);
  EXPECT_EQ(root.fields[2].type, root.fields[0].type);
  EXPECT_EQ(root.fields[3].type->branches[1], &root);
  std::string deep;  // a chain longer than our stack should have to bear
  for (int i = 0; i < 100'000; ++i) deep += std::string("\0\0\0\0\0\0\0\0\0\0\0\0\2", 13);
  Decoder in(deep);
  in.Skip(root);
  EXPECT_FALSE(in.ok());
}

// Each record holds two of the next one: 2^40 nulls, written in no bytes.
TEST(SchemaTest, SkippingTakesAsLongAsTheBytes) {
  std::string type = "\"null\"";
  for (int i = 39; i >= 0; --i) {
    const std::string again = i == 39 ? "null" : fmt::format("R{}", i + 1);
    type = fmt::format(
        R"({{"type":"record","name":"R{}","fields":[{{"name":"a","type":{}}},{{"name":"b","type":"{}"}}]}})",
        i, type, again);
  }
  const Result<Schema> schema = Schema::Parse(type);
  ASSERT_TRUE(schema.ok()) << schema.error().message;
  Decoder in("x");
  in.Skip(schema->root());
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.rest(), "x");
}

TEST(FileTest, RecordsOfNoBytesAreRefused) {
  std::string file = std::move(FileWriter("\"int\"", {}, Codec::kNull)).Finish();
  const std::string sync = file.substr(file.size() - 16);
  Encoder out(&file);
  out.Long(int64_t{1} << 62);  // records
  out.Bytes("");
  out.Raw(sync);
  Result<FileReader> reader = FileReader::Open(file);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->Next().error().code, Code::kCorrupt);
}

TEST(SchemaTest, RefusesWhatIsNone) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += R"({"type":"array","items":)";
  for (const std::string& text :
       {std::string("{"), std::string("\"nothing\""), std::string("{}"), std::string("7"),
        std::string(R"({"type":"record","name":"r"})"),
        std::string(R"({"type":"array"})"),
        R"({"not":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}",
        deep + "\"int\"" + std::string(1000, '}')}) {
    EXPECT_FALSE(Schema::Parse(text).ok()) << text.substr(0, 60);
  }
}

}  // namespace
}  // namespace weir::avro
