#include "iceberg/deletion_vector.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "base/hash.h"
#include "io/sim_io.h"

namespace weir::iceberg {
namespace {

std::string FromHex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(
        static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

Positions Of(const std::vector<int64_t>& values) {
  Positions out;
  for (const int64_t value : values) out.Add(value);
  return out;
}

const char* const kBlob =
    "0000002cd1d339640100000000000000000000003a300000010000000000050010000000"
    "0300040007000b0012001d00acd74a79";

TEST(PositionsTest, WriteTheBlobThatJavaWrites) {
  EXPECT_EQ(Of({3, 4, 7, 11, 18, 29}).ToBlob(), FromHex(kBlob));
  EXPECT_EQ(Of({}).ToBlob(), FromHex("0000000cd1d339640000000000000000bf18480c"));
  const Result<Positions> back = Positions::FromBlob(FromHex(kBlob));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->ToVector(), (std::vector<int64_t>{3, 4, 7, 11, 18, 29}));
}

TEST(PositionsTest, AreASetOfLongs) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  std::set<int64_t> expected;
  Positions positions;
  for (int i = 0; i < 5000; ++i) {
    const int64_t high = static_cast<int64_t>(random() % 3) << 32;
    const int64_t value =
        high + static_cast<int64_t>(random() % 20'000) + (i % 2 == 0 ? 4294960000 : 0);
    EXPECT_EQ(positions.Add(value), expected.insert(value).second) << "seed " << seed;
  }
  const std::vector<int64_t> all(expected.begin(), expected.end());
  Positions copy = positions;
  EXPECT_EQ(positions.ToVector(), all) << "seed " << seed;
  EXPECT_EQ(positions.size(), static_cast<int64_t>(all.size()));
  EXPECT_EQ(Positions::FromBlob(positions.ToBlob())->ToVector(), all) << "seed " << seed;
  EXPECT_TRUE(copy.Contains(all[17]));
  EXPECT_FALSE(copy.Contains(all.back() + 1));

  constexpr int64_t kFirst = 4294967296 - 3000, kCount = 9000;  // across a 32-bit border
  bool mask[kCount];
  positions.FillMask(kFirst, kCount, mask);
  for (int64_t i = 0; i < kCount; ++i)
    ASSERT_EQ(mask[i], expected.contains(kFirst + i)) << i << ", seed " << seed;
}

TEST(PositionsTest, NameEveryBrokenByte) {
  const std::string blob = Of({1, 2, 3, 70'000, 1ll << 33}).ToBlob();
  for (size_t i = 0; i < blob.size(); ++i) {
    std::string broken = blob;
    broken[i] ^= 0x10;
    EXPECT_FALSE(Positions::FromBlob(broken).ok()) << "byte " << i;
    EXPECT_FALSE(Positions::FromBlob(std::string_view(blob).substr(0, i)).ok())
        << "cut at " << i;
  }
}

// A blob around one bitmap, with the right length and checksum.
std::string BlobOf(std::string_view bitmap) {
  const auto number = [](uint32_t value) {
    value = __builtin_bswap32(value);
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  std::string body = FromHex("d1d33964010000000000000000000000");
  body += bitmap;
  return number(static_cast<uint32_t>(body.size())) + body + number(Crc32(body));
}

struct BitmapCase {
  const char* name;
  const char* hex;  // one bitmap in roaring's portable format
  bool sound;
};
class BitmapTest : public testing::TestWithParam<BitmapCase> {};
// The library would read and write beyond containers that break the format's rules.
TEST_P(BitmapTest, IsTakenOnlyIfItsContainersAreSound) {
  const auto positions = Positions::FromBlob(BlobOf(FromHex(GetParam().hex)));
  ASSERT_EQ(positions.ok(), GetParam().sound);
  if (!positions.ok()) {
    EXPECT_EQ(positions.error().code, Code::kCorrupt);
  }
}
INSTANTIATE_TEST_SUITE_P(, BitmapTest,
                         testing::Values(BitmapCase{"Array",
                                                    "3a3000000100000000000100"
                                                    "10000000"
                                                    "01000200",
                                                    true},
                                         BitmapCase{"ArrayDescends",
                                                    "3a3000000100000000000100"
                                                    "10000000"
                                                    "02000100",
                                                    false},
                                         BitmapCase{"ArrayHoldsAValueTwice",
                                                    "3a3000000100000000000100"
                                                    "10000000"
                                                    "01000100",
                                                    false},
                                         BitmapCase{"Runs",
                                                    "3b300000"
                                                    "01"
                                                    "00000300"
                                                    "0200"
                                                    "00000100"
                                                    "05000100",
                                                    true},
                                         BitmapCase{"RunsOverlap",
                                                    "3b300000"
                                                    "01"
                                                    "00000500"
                                                    "0200"
                                                    "00000200"
                                                    "02000200",
                                                    false},
                                         BitmapCase{"RunBeyondTheContainer",
                                                    "3b300000"
                                                    "01"
                                                    "00000200"
                                                    "0100"
                                                    "feff0200",
                                                    false},
                                         BitmapCase{"RunsCountedWrong",
                                                    "3b300000"
                                                    "01"
                                                    "00000700"
                                                    "0200"
                                                    "00000100"
                                                    "05000100",
                                                    false},
                                         BitmapCase{"NoRuns",
                                                    "3b300000"
                                                    "01"
                                                    "00000000"
                                                    "0000",
                                                    false},
                                         BitmapCase{"KeysDescend",
                                                    "3a30000002000000"
                                                    "05000000"
                                                    "01000000"
                                                    "1800000018000000"
                                                    "0100"
                                                    "0200",
                                                    false},
                                         BitmapCase{"CutShort",
                                                    "3a3000000100000000000100"
                                                    "10000000"
                                                    "0100",
                                                    false},
                                         BitmapCase{"NoCookie",
                                                    "3c3000000100000000000100"
                                                    "10000000"
                                                    "01000200",
                                                    false}),
                         [](const auto& info) { return info.param.name; });

TEST(PositionsTest, BitsetsAreCounted) {
  std::string bitmap = FromHex(
      "3a3000000100000000008713"
      "10000000");                      // says 5,000
  bitmap += std::string(8192, '\x01');  // has 8,192
  EXPECT_FALSE(Positions::FromBlob(BlobOf(bitmap)).ok());
  bitmap[10] = '\xff', bitmap[11] = '\x1f';
  const auto positions = Positions::FromBlob(BlobOf(bitmap));
  ASSERT_TRUE(positions.ok());
  EXPECT_EQ(positions->size(), 8192);
}

TEST(VectorFileTest, RoundTripsManyVectorsInOneFile) {
  io::SimIo io;
  ASSERT_TRUE(io.CreateDirs("/t/data").ok());
  DataFile first, second;
  first.path = "file:///t/data/a.parquet";
  first.spec_id = 3;
  first.partition = {int32_t{7}};
  second.path = "file:///t/data/b.parquet";
  const Positions some = Of({0, 5}), many = Of({1, 2, 3, 4, 100});
  const auto written =
      WriteVectors(io, "/t/data/x.puffin", {{&first, &some}, {&second, &many}});
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ((*written)[0].path, "file:///t/data/x.puffin");
  EXPECT_EQ((*written)[0].partition, first.partition);
  EXPECT_EQ((*written)[0].spec_id, 3);
  EXPECT_EQ((*written)[0].content_offset, 4);
  EXPECT_EQ((*written)[1].referenced_data_file, second.path);

  // Synced, name and all: it is there after a power cut.
  io.PowerOn(1, io::AfterCut::kDropUnsynced);
  EXPECT_EQ(ReadVector(io, (*written)[0])->ToVector(), some.ToVector());
  EXPECT_EQ(ReadVector(io, (*written)[1])->ToVector(), many.ToVector());

  const std::string bytes = *io.ReadAll("/t/data/x.puffin");
  EXPECT_EQ(bytes.substr(0, 4), "PFA1");
  EXPECT_EQ(bytes.substr(bytes.size() - 4), "PFA1");
  EXPECT_EQ(static_cast<int64_t>(bytes.size()), (*written)[0].file_bytes);

  DataFile wrong = (*written)[0];
  wrong.record_count = 3;
  EXPECT_EQ(ReadVector(io, wrong).error().code, Code::kCorrupt);
  const Positions none;
  EXPECT_EQ(WriteVectors(io, "/t/data/y.puffin", {{&first, &none}}).error().code,
            Code::kInvalid);
}

TEST(VectorFileTest, ReadsWhatSparkWrote) {
  std::ifstream in(WEIR_SOURCE_DIR
                   "/src/iceberg/testdata/spark_v3/deletion-vectors.puffin",
                   std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  std::ifstream about(WEIR_SOURCE_DIR
                      "/src/iceberg/testdata/spark_v3/deletion-vectors.json");
  io::SimIo io;
  ASSERT_TRUE(io.WriteNew("/x.puffin", bytes.str()).ok());
  int count = 0;
  const nlohmann::json footer = nlohmann::json::parse(about);
  for (const auto& blob : footer["blobs"]) {
    DataFile vector;
    vector.is_deletion_vector = true;
    vector.path = "file:/x.puffin";
    vector.record_count =
        std::stoll(blob["properties"]["cardinality"].get<std::string>());
    vector.content_offset = blob["offset"];
    vector.content_bytes = blob["length"];
    const Result<Positions> positions = ReadVector(io, vector);
    ASSERT_TRUE(positions.ok()) << positions.error().message;
    // Its bytes may differ from ours where an array and runs are equally short.
    EXPECT_EQ(Positions::FromBlob(positions->ToBlob())->ToVector(),
              positions->ToVector());
    ++count;
  }
  EXPECT_EQ(count, 6);
}

}  // namespace
}  // namespace weir::iceberg
