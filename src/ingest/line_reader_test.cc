#include "ingest/line_reader.h"

#include <gmock/gmock.h>
#include <zlib.h>
#include <zstd.h>

#include <random>

#include "io/sim_io.h"

namespace weir::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kBom = "\xef\xbb\xbf";

std::string Gzip(std::string_view text) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string Zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class LineReaderTest : public testing::Test {
 protected:
  void Put(const std::string& name, std::string_view bytes) {
    if (io_.Exists(name)) {
      ASSERT_TRUE(io_.Remove(name).ok());
    }
    ASSERT_TRUE(io_.WriteNew(name, bytes).ok());
  }
  std::unique_ptr<LineReader> Open(const std::string& name, uint64_t from = 0,
                                   int64_t record_bytes_max = 1 << 20) {
    auto reader = LineReader::Open(io_, name, from, {record_bytes_max});
    EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error().message);
    return *std::move(reader);
  }

  struct All {
    std::vector<std::string> records;
    std::vector<std::pair<uint64_t, size_t>>
        ends;  // `end` of each batch, and the records up to there
    std::optional<Error> error;
  };
  // Everything, `rows` records at a time.
  All Read(const std::string& name, uint64_t from = 0, int64_t rows = 1000,
           int64_t bytes = 1 << 20, int64_t record_bytes_max = 1 << 20) {
    All out;
    const auto reader = Open(name, from, record_bytes_max);
    for (;;) {
      const Result<Lines> lines = reader->Next(rows, bytes);
      if (!lines.ok()) {
        out.error = lines.error();
        return out;
      }
      EXPECT_EQ(lines->framed, static_cast<int64_t>(lines->records.size()));
      EXPECT_LE(lines->framed, rows);
      out.records.insert(out.records.end(), lines->records.begin(), lines->records.end());
      out.ends.emplace_back(lines->end, out.records.size());
      if (lines->end_of_file) return out;
      EXPECT_FALSE(lines->records.empty());
    }
  }
  std::vector<std::string> Records(std::string_view text) {
    Put("f.ndjson", text);
    return Read("f.ndjson").records;
  }

  io::SimIo io_;
};

TEST_F(LineReaderTest, FramesLines) {
  const struct {
    const char* name;
    std::string text;
    std::vector<std::string> records;
  } kCases[] = {
      {"nothing", "", {}},
      {"one line", "a\n", {"a"}},
      {"no newline at the end", "a\nb", {"a", "b"}},
      {"CRLF", "a\r\nb\r\n", {"a", "b"}},
      {"CR inside a line stays", "a\rb\n", {"a\rb"}},
      {"CR at the very end", "a\r", {"a"}},
      {"blank lines are no records", "\n\na\n \t\n\r\n \r\nb\n\n", {"a", "b"}},
      {"only blank lines", "\n \n\r\n", {}},
      {"blanks around a record stay", " a \n", {" a "}},
      {"a byte order mark is no record", kBom, {}},
      {"nor a part of one", std::string(kBom) + "a\nb\n", {"a", "b"}},
      {"a blank line after it", std::string(kBom) + "\na\n", {"a"}},
      {"elsewhere it stays",
       "a\n" + std::string(kBom) + "b\n",
       {"a", std::string(kBom) + "b"}},
      {"after a blank line too",
       "\n" + std::string(kBom) + "b\n",
       {std::string(kBom) + "b"}},
      {"zero bytes are bytes", std::string("a\0b\nc", 5), {std::string("a\0b", 3), "c"}},
  };
  for (const auto& c : kCases) EXPECT_EQ(Records(c.text), c.records) << c.name;
}

TEST_F(LineReaderTest, ABatchEndsAtItsRowsOrBytes) {
  Put("f.ndjson", "aa\nbb\ncc\ndd\n");
  const auto reader = Open("f.ndjson");
  Lines lines = *reader->Next(3, 1000);
  EXPECT_THAT(lines.records, ElementsAre("aa", "bb", "cc"));
  EXPECT_EQ(lines.end, 9u);
  EXPECT_FALSE(lines.end_of_file);
  lines = *reader->Next(3, 1000);
  EXPECT_THAT(lines.records, ElementsAre("dd"));
  EXPECT_TRUE(lines.end_of_file);

  const auto by_bytes = Open("f.ndjson");
  EXPECT_THAT((*by_bytes->Next(100, 4)).records, ElementsAre("aa", "bb"));
  EXPECT_THAT((*by_bytes->Next(100, 1)).records, ElementsAre("cc"));
}

TEST_F(LineReaderTest, TheLastBatchKnowsThatItIsTheLast) {
  Put("f.ndjson", "a\nb\n");
  const All all = Read("f.ndjson", 0, 1);
  EXPECT_EQ(all.ends.size(), 2u);
}

TEST_F(LineReaderTest, BatchesOfOneLengthTakeLittleMoreThanTheirBytes) {
  std::string text;
  for (int i = 0; i < 500'000; ++i) text.append(96, 'x').push_back('\n');
  Put("f.ndjson", text);
  const auto reader = Open("f.ndjson");
  std::vector<size_t> spare;
  for (bool first = true;; first = false) {
    const auto lines = reader->Next(100'000, 1 << 30);
    ASSERT_TRUE(lines.ok());
    // The first one cannot know how long it becomes.
    if (!first) spare.push_back(lines->storage->capacity() - lines->storage->size());
    if (lines->end_of_file) break;
  }
  EXPECT_THAT(spare, testing::SizeIs(4));
  EXPECT_THAT(spare, testing::Each(testing::Le(size_t{4} << 20)));
}

TEST_F(LineReaderTest, ATooLongLineIsCutAndTheRestOfItIsSkipped) {
  for (const size_t length :
       {10, 11, 12, 13, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20}) {
    for (const char* newline : {"\n", "\r\n", ""}) {
      SCOPED_TRACE(fmt::format("{} bytes, {} of newline", length,
                               std::string_view(newline).size()));
      const std::string line(length, 'x');
      Put("f.ndjson", "a\n" + line + newline + (*newline == 0 ? "" : "b\n"));
      const All all = Read("f.ndjson", 0, 1000, 1 << 20, /*record_bytes_max=*/10);
      ASSERT_EQ(all.records.size(), *newline == 0 ? 2u : 3u);
      EXPECT_EQ(all.records[1],
                line.substr(0, 11));  // one byte more than allowed tells the decoder
      EXPECT_EQ(all.ends.back().first, io_.Stat("f.ndjson")->size);
    }
  }
}

TEST_F(LineReaderTest, ALineIsAsLongWhereverABlockOfTheFileEnds) {
  // A line of exactly the allowed length whose \r\n lies across the end of what is read
  // at once.
  for (int shift = -3; shift <= 3; ++shift) {
    const std::string before((1 << 20) - 22 + shift, 'y');
    const std::string line(20, 'x');
    Put("f.ndjson", before + "\n" + line + "\r\nb\n");
    const All all = Read("f.ndjson", before.size() + 1, 1000, 1 << 20, 20);
    EXPECT_THAT(all.records, ElementsAre(line, "b"));
    EXPECT_THAT(Read("f.ndjson", 0, 1000, 1 << 21, 20).records,
                ElementsAre(std::string(21, 'y'), line, "b"))
        << shift;
  }
}

TEST_F(LineReaderTest, ResumesAtEveryPlaceABatchEnded) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    std::string text = round % 3 == 0 ? kBom : "";
    for (int i = 0; i < 40; ++i) {
      text += std::string(random() % 30, static_cast<char>('a' + i % 26));
      text += i % 7 == 0 ? "\r\n" : i % 11 == 0 ? "\n\n \n" : "\n";
    }
    if (round % 2 == 0) text += "last";
    Put("f.ndjson", text);
    Put("f.ndjson.gz", Gzip(text));
    Put("f.ndjson.zst", Zstd(text));
    for (const char* name : {"f.ndjson", "f.ndjson.gz", "f.ndjson.zst"}) {
      SCOPED_TRACE(fmt::format("{}, seed {}, round {}", name, seed, round));
      const All whole = Read(name, 0, 1000, 1 << 20, 12);
      const All steps = Read(name, 0, 1, 1 << 20, 12);
      ASSERT_EQ(steps.records, whole.records);
      for (const auto& [end, count] : steps.ends) {
        const std::vector<std::string> rest(
            whole.records.begin() + static_cast<int64_t>(count), whole.records.end());
        ASSERT_EQ(Read(name, end, 3, 20, 12).records, rest) << "from byte " << end;
      }
    }
  }
}

TEST_F(LineReaderTest, ReadsSeveralGzipMembersAndZstdFramesAsOne) {
  Put("f.gz", Gzip("a\nb") + Gzip("c\n") + Gzip("") + Gzip("d"));
  EXPECT_THAT(Read("f.gz").records, ElementsAre("a", "bc", "d"));
  Put("f.zst", Zstd("a\nb") + Zstd("c\n") + Zstd("") + Zstd("d"));
  EXPECT_THAT(Read("f.zst").records, ElementsAre("a", "bc", "d"));
}

TEST_F(LineReaderTest, ReadsWhatUnpacksToMuchMoreThanABlock) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += fmt::format("{{\"n\":{}}}\n", i % 3);
  text += std::string(700'000, 'z');
  for (const size_t tail : {0, 1, 4096, 300'000}) {
    const std::string all = text + std::string(tail, 'z');
    Put("f.gz", Gzip(all));
    Put("f.zst", Zstd(all));
    for (const char* name : {"f.gz", "f.zst"}) {
      const All read = Read(name, 0, 10'000, 1 << 20, 4 << 20);
      ASSERT_FALSE(read.error) << name << ": " << read.error->message;
      ASSERT_EQ(read.records.size(), 100'001u) << name;
      EXPECT_EQ(read.records.back().size(), 700'000 + tail);
    }
  }
}

TEST_F(LineReaderTest, WhatHasNoRoomInOneReadComesWithTheNext) {
  // The last block of the second frame lies across the end of a read of 1 MiB, with no
  // input left behind it.
  const std::string line(1 << 20, 'x');
  Put("f.zst", Zstd("first line\n") + Zstd(line));
  Put("f.gz", Gzip("first line\n") + Gzip(line));
  for (const char* name : {"f.zst", "f.gz"}) {
    const All read = Read(name, 0, 10, 4 << 20, 4 << 20);
    ASSERT_FALSE(read.error) << read.error->message;
    EXPECT_EQ(read.records.back(), line) << name;
  }
}

TEST_F(LineReaderTest, ACutOrBrokenStreamIsNamedAfterWhatStoodBefore) {
  std::string text;
  std::mt19937_64 random(1);
  std::vector<std::string> lines;
  for (int i = 0; i < 200'000; ++i) {
    lines.push_back(std::to_string(random()));
    text += lines.back() + "\n";
  }
  for (const char* name : {"f.gz", "f.zst"}) {
    const std::string packed = std::string_view(name) == "f.gz" ? Gzip(text) : Zstd(text);
    for (const double share : {0.3, 0.9999}) {
      SCOPED_TRACE(fmt::format("{} cut to {}", name, share));
      Put(name, packed.substr(
                    0, static_cast<size_t>(static_cast<double>(packed.size()) * share)));
      const All all = Read(name, 0, 1000);
      ASSERT_TRUE(all.error);
      EXPECT_EQ(all.error->code, Code::kCorrupt);
      EXPECT_THAT(all.error->message, HasSubstr(name));
      ASSERT_GT(all.records.size(),
                static_cast<size_t>(static_cast<double>(lines.size()) * share * 0.8));
      EXPECT_TRUE(std::equal(all.records.begin(), all.records.end(), lines.begin()));
    }
    SCOPED_TRACE(name);
    std::string broken = packed;
    broken[packed.size() / 2] = static_cast<char>(broken[packed.size() / 2] ^ 0x55);
    Put(name, broken);
    EXPECT_EQ(Read(name).error->code, Code::kCorrupt);
  }
  Put("f.gz", "this is not gzip");
  EXPECT_EQ(Read("f.gz").error->code, Code::kCorrupt);
}

TEST_F(LineReaderTest, AFaultComesAgain) {
  Put("f.gz", Gzip("a\nb\n").substr(0, 15));
  const auto reader = Open("f.gz");
  Result<Lines> lines = reader->Next(10, 100);
  while (lines.ok()) lines = reader->Next(10, 100);
  EXPECT_FALSE(reader->Next(10, 100).ok());
}

TEST_F(LineReaderTest, AFileShorterThanWhatWasReadOfItIsNotRead) {
  Put("f.ndjson", "a\nb\n");
  Put("f.gz", Gzip("a\nb\n"));
  EXPECT_THAT(Read("f.ndjson", 4).records, IsEmpty());
  for (const char* name : {"f.ndjson", "f.gz"}) {
    const auto opened = LineReader::Open(io_, name, 5, {100});
    ASSERT_FALSE(opened.ok()) << name;
    EXPECT_EQ(opened.error().code, Code::kCorrupt);
  }
}

TEST_F(LineReaderTest, ReadsAFileAsItWasWhenItWasFound) {
  Put("f.ndjson", "a\nb\nhalf a li");
  Put("f.gz", Gzip("a\nb\n") + Gzip("c\n"));
  const auto records = [&](const char* name, uint64_t stored_bytes) -> std::string {
    auto reader = LineReader::Open(io_, name, 0, {100, stored_bytes});
    std::string out;
    for (;;) {
      const Result<Lines> lines = (*reader)->Next(10, 100);
      if (!lines.ok()) return out + lines.error().message;
      for (const std::string_view record : lines->records)
        out += std::string(record) + "|";
      if (lines->end_of_file) return out;
    }
  };
  EXPECT_EQ(records("f.ndjson", 4), "a|b|");
  EXPECT_EQ(records("f.gz", Gzip("a\nb\n").size()), "a|b|");
  EXPECT_EQ(records("f.ndjson", 20),
            "a|b|f.ndjson has 13 bytes now and had 20 when it was found: it was cut");
}

TEST_F(LineReaderTest, AnEmptyCompressedFileIsACutOne) {
  for (const char* name : {"f.gz", "f.zst"}) {
    Put(name, "");
    ASSERT_TRUE(Read(name).error) << name;
    EXPECT_THAT(Read(name).error->message, HasSubstr("the file is cut"));
  }
  Put("f.zst", Zstd(""));
  EXPECT_FALSE(Read("f.zst").error);
}

TEST_F(LineReaderTest, OnlyRegularFilesAreRead) {
  ASSERT_TRUE(io_.CreateDirs("folder.ndjson").ok());
  EXPECT_EQ(LineReader::Open(io_, "folder.ndjson", 0, {100}).error().code,
            Code::kInvalid);
  EXPECT_EQ(LineReader::Open(io_, "missing.ndjson", 0, {100}).error().code,
            Code::kNotFound);
}

TEST_F(LineReaderTest, TheChecksumIsOfTheContent) {
  Put("a", std::string(3 << 20, 'x'));
  Put("b", std::string(3 << 20, 'x'));
  Put("c", std::string(3 << 20, 'x') + "y");
  Put("d", "");
  constexpr uint64_t kBytes = 3 << 20;
  EXPECT_EQ(*ChecksumFile(io_, "a", kBytes), *ChecksumFile(io_, "b", kBytes));
  EXPECT_NE(*ChecksumFile(io_, "a", kBytes), *ChecksumFile(io_, "c", kBytes + 1));
  EXPECT_EQ(*ChecksumFile(io_, "a", kBytes), *ChecksumFile(io_, "c", kBytes));
  EXPECT_TRUE(ChecksumFile(io_, "d", 0).ok());
  EXPECT_EQ(ChecksumFile(io_, "d", 1).error().code, Code::kCorrupt);
  EXPECT_EQ(ChecksumFile(io_, "e", 0).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace weir::ingest
