#include "ingest/line_reader.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/hash.h"
#include "codec/parquet_rows.h"

namespace weir::ingest {
namespace {

constexpr size_t kBlock = 1 << 20;
constexpr std::string_view kMark = "\xef\xbb\xbf";  // of byte order

// Bytes in order; 0 read means the end.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  virtual Result<size_t> Read(char* out, size_t size) = 0;
};

constexpr uint64_t kToItsEnd = std::numeric_limits<uint64_t>::max();

Error ShorterThan(const std::string& path, uint64_t is, uint64_t was) {
  return Corrupt(fmt::format(
      "{} has {} bytes now and had {} when it was found: it was cut", path, is, was));
}

class PlainStream final : public ByteStream {
 public:
  PlainStream(std::unique_ptr<io::File> file, std::string path, uint64_t at, uint64_t end)
      : file_(std::move(file)), path_(std::move(path)), at_(at), end_(end) {}
  Result<size_t> Read(char* out, size_t size) override {
    const uint64_t left = end_ - std::min(at_, end_);
    const size_t n = WEIR_TRY(file_->ReadAt(at_, std::min<uint64_t>(size, left), out));
    at_ += n;
    if (n == 0 && at_ < end_ && end_ != kToItsEnd) return ShorterThan(path_, at_, end_);
    return n;
  }

 private:
  std::unique_ptr<io::File> file_;
  const std::string path_;
  uint64_t at_;
  const uint64_t end_;
};

class GzipStream final : public ByteStream {
 public:
  GzipStream(std::unique_ptr<io::File> file, const std::string& path, uint64_t end)
      : source_(std::move(file), path, 0, end), path_(path), in_(kBlock) {
    WEIR_CHECK(inflateInit2(&z_, 15 + 32) == Z_OK);
  }
  ~GzipStream() override { inflateEnd(&z_); }

  Result<size_t> Read(char* out, size_t size) override {
    z_.next_out = reinterpret_cast<Bytef*>(out);
    z_.avail_out = static_cast<uInt>(size);
    const Status read = Inflate();
    const size_t n = size - z_.avail_out;
    // The bytes before a fault are handed out first; the fault comes again.
    if (!read.ok() && n == 0) return read.error();
    return n;
  }

 private:
  Status Inflate() {
    while (z_.avail_out > 0) {
      if (z_.avail_in == 0) {
        const size_t n = WEIR_TRY(source_.Read(in_.data(), in_.size()));
        if (n == 0) {
          if (!between_members_)
            return Corrupt(fmt::format(
                "{}: the gzip stream ends in the middle; the file is cut", path_));
          return {};
        }
        z_.next_in = reinterpret_cast<Bytef*>(in_.data());
        z_.avail_in = static_cast<uInt>(n);
      }
      if (between_members_) {
        inflateReset(&z_);
        between_members_ = false;
      }
      const int code = inflate(&z_, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        between_members_ = true;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        return Corrupt(fmt::format("{}: broken gzip data: {}", path_,
                                   z_.msg == nullptr ? "unknown" : z_.msg));
      }
    }
    return {};
  }

  PlainStream source_;
  const std::string path_;
  std::vector<char> in_;
  z_stream z_{};
  bool between_members_ = false;
};

class ZstdStream final : public ByteStream {
 public:
  ZstdStream(std::unique_ptr<io::File> file, const std::string& path, uint64_t end)
      : source_(std::move(file), path, 0, end),
        path_(path),
        in_(kBlock),
        z_(ZSTD_createDStream()) {}
  ~ZstdStream() override { ZSTD_freeDStream(z_); }

  Result<size_t> Read(char* out, size_t size) override {
    ZSTD_outBuffer to{out, size, 0};
    const Status read = Decompress(&to);
    // The bytes before a fault are handed out first; the fault comes again.
    if (!read.ok() && to.pos == 0) return read.error();
    return to.pos;
  }

 private:
  Status Decompress(ZSTD_outBuffer* to) {
    if (fault_) return *fault_;
    while (to->pos < to->size) {
      if (from_.pos == from_.size) {
        from_ = {in_.data(), WEIR_TRY(source_.Read(in_.data(), in_.size())), 0};
        if (from_.size == 0) {
          if (!frame_ended_)
            return Corrupt(fmt::format(
                "{}: the zstd stream ends in the middle; the file is cut", path_));
          return {};
        }
      }
      const size_t code = ZSTD_decompressStream(z_, to, &from_);
      if (ZSTD_isError(code)) {
        fault_ = Corrupt(
            fmt::format("{}: broken zstd data: {}", path_, ZSTD_getErrorName(code)));
        return *fault_;
      }
      frame_ended_ = code == 0;
    }
    return {};
  }

  PlainStream source_;
  const std::string path_;
  std::vector<char> in_;
  ZSTD_DStream* z_;
  ZSTD_inBuffer from_{nullptr, 0, 0};
  bool frame_ended_ = false;
  std::optional<Error> fault_;  // a broken stream cannot be asked again
};

class Reader final : public LineReader {
 public:
  Reader(std::unique_ptr<ByteStream> stream, uint64_t from,
         const LineReaderOptions& options)
      : stream_(std::move(stream)),
        at_(from),
        record_bytes_max_(static_cast<size_t>(options.record_bytes_max)) {
    if (options.csv) csv_.emplace(*options.csv);
  }

  // The columns of all records that are read from here on.
  void SetColumns(std::shared_ptr<const codec::CsvColumns> columns) {
    columns_ = std::move(columns);
  }

  // Decompressed streams begin at byte 0 and are read up to where we continue.
  Status SkipTo(const std::string& path, uint64_t from) {
    std::vector<char> scratch(kBlock);
    while (from > 0) {
      const size_t n = WEIR_TRY(
          stream_->Read(scratch.data(), std::min<uint64_t>(from, scratch.size())));
      if (n == 0)
        return Corrupt(
            fmt::format("{} is shorter than what was read of it before", path));
      from -= n;
    }
    return {};
  }

  Result<Lines> Next(int64_t rows_max, int64_t bytes_max) override {
    if (fault_) return *fault_;
    Lines out;
    out.storage = std::make_shared<std::string>(std::move(rest_));
    rest_.clear();
    std::string& buffer = *out.storage;
    // Batches are about as long; more would double the buffer and copy all of it.
    buffer.reserve(last_size_ + 2 * kBlock);
    std::vector<std::pair<size_t, size_t>>
        spans;  // positions, since the buffer may move while it grows
    size_t line = 0,
           scanned =
               0;  // where the current line begins, and up to where it has no newline
    uint64_t dropped = 0;   // bytes of over-long lines taken out of the buffer
    bool dropping = false;  // inside the rest of an over-long line
    if (csv_) csv_->Reset();
    while (dropping || (static_cast<int64_t>(spans.size()) < rows_max &&
                        static_cast<int64_t>(line) < bytes_max)) {
      // The mark at the beginning is not part of the first field.
      if (csv_ && scanned == 0 && AtMark(buffer)) scanned = kMark.size();
      const size_t found = FindEnd(std::string_view(buffer).substr(scanned));
      const bool ends = found != std::string_view::npos;
      const size_t newline = ends ? scanned + found : buffer.size();
      if (dropping) {
        const size_t end = ends ? newline + 1 : newline;
        dropped += end - line;
        buffer.erase(line, end - line);
        scanned = line;
        dropping = !ends;
        if (!dropping) continue;
      } else if (ends) {
        AddLine(buffer, line, newline, &spans);
        line = scanned = newline + 1;
        continue;
      } else if (IsTooLong(buffer.size() - line)) {
        spans.emplace_back(line, record_bytes_max_ + 1);
        line = line + record_bytes_max_ + 1;
        scanned = buffer.size();
        dropping = true;
        first_ = false;
        continue;
      } else {
        scanned = buffer.size();
      }
      if (ended_) {
        if (line < buffer.size()) AddLine(buffer, line, buffer.size(), &spans);
        line = buffer.size();
        break;
      }
      if (Status filled = Fill(buffer); !filled.ok()) {
        fault_ = std::move(filled).error();
        break;
      }
    }
    if (fault_ && spans.empty()) return *fault_;
    at_ += line + dropped;
    last_size_ = buffer.size();
    rest_.assign(buffer, line);
    buffer.resize(line);
    // Looks ahead: the last batch of a file must know that it is the last.
    if (!ended_ && !fault_ && rest_.empty()) {
      if (Status filled = Fill(rest_); !filled.ok()) fault_ = std::move(filled).error();
    }
    out.end_of_file = ended_ && rest_.empty();
    out.end = at_;
    out.records.reserve(spans.size());
    for (const auto& [begin, size] : spans)
      out.records.emplace_back(buffer.data() + begin, size);
    out.framed = static_cast<int64_t>(spans.size());
    out.columns = columns_;
    return out;
  }

 private:
  // Where the record that goes on in `bytes` ends; npos: not in them.
  size_t FindEnd(std::string_view bytes) {
    if (csv_) return csv_->FindEnd(bytes);
    const void* found =
        bytes.empty() ? nullptr : std::memchr(bytes.data(), '\n', bytes.size());
    return found == nullptr
               ? std::string_view::npos
               : static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
  }

  bool AtMark(const std::string& buffer) const {
    return first_ && at_ == 0 && buffer.starts_with(kMark);
  }

  Status Fill(std::string& buffer) {
    const size_t before = buffer.size();
    buffer.resize(before + kBlock);
    auto n = stream_->Read(buffer.data() + before, kBlock);
    buffer.resize(before + (n.ok() ? *n : 0));
    if (!n.ok()) return std::move(n).error();
    ended_ = *n == 0;
    return {};
  }

  // Whatever ends it: one byte more may be the \r of its end. The same whether its end is
  // in sight or not.
  bool IsTooLong(size_t bytes) const { return bytes > record_bytes_max_ + 1; }

  void AddLine(const std::string& buffer, size_t begin, size_t end,
               std::vector<std::pair<size_t, size_t>>* spans) {
    if (IsTooLong(end - begin)) {
      first_ = false;
      spans->emplace_back(begin, record_bytes_max_ + 1);
      return;
    }
    if (begin == 0 && AtMark(buffer)) begin += kMark.size();
    first_ = false;
    if (end > begin && buffer[end - 1] == '\r') --end;
    const bool blank =
        std::all_of(buffer.begin() + static_cast<ptrdiff_t>(begin),
                    buffer.begin() + static_cast<ptrdiff_t>(end),
                    [&](char c) { return !csv_ && (c == ' ' || c == '\t'); });
    if (!blank) spans->emplace_back(begin, end - begin);
  }

  std::unique_ptr<ByteStream> stream_;
  uint64_t at_;  // decompressed byte where rest_ begins
  const size_t record_bytes_max_;
  std::optional<codec::CsvFramer> csv_;
  std::shared_ptr<const codec::CsvColumns> columns_;
  std::string rest_;      // read, but not handed out yet
  size_t last_size_ = 0;  // of the buffer of the batch before
  bool ended_ = false, first_ = true;
  std::optional<Error> fault_;  // comes after what stood before it
};

Result<std::unique_ptr<Reader>> OpenAt(io::Io& io, const std::string& path, uint64_t from,
                                       const LineReaderOptions& options) {
  const io::FileInfo info = WEIR_TRY(io.Stat(path));
  const uint64_t stored_bytes = options.stored_bytes;
  if (!info.is_regular) return Invalid(fmt::format("{} is not a regular file", path));
  if (stored_bytes != kToItsEnd && info.size < stored_bytes && from > info.size)
    return ShorterThan(path, info.size, stored_bytes);
  std::unique_ptr<io::File> file = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  std::unique_ptr<ByteStream> stream;
  if (path.ends_with(".gz")) {
    stream = std::make_unique<GzipStream>(std::move(file), path, stored_bytes);
  } else if (path.ends_with(".zst")) {
    stream = std::make_unique<ZstdStream>(std::move(file), path, stored_bytes);
  } else {
    if (from > info.size)
      return Corrupt(fmt::format("{} is shorter than what was read of it before", path));
    return std::make_unique<Reader>(
        std::make_unique<PlainStream>(std::move(file), path, from, stored_bytes), from,
        options);
  }
  auto reader = std::make_unique<Reader>(std::move(stream), from, options);
  WEIR_TRY(reader->SkipTo(path, from));
  return reader;
}

class RowReader final : public LineReader {
 public:
  RowReader(std::unique_ptr<codec::ParquetRows> rows, int64_t from)
      : rows_(std::move(rows)), at_(from) {}

  Result<Lines> Next(int64_t rows_max, int64_t bytes_max) override {
    codec::RowTexts texts = WEIR_TRY(rows_->Next(rows_max, bytes_max));
    Lines out;
    out.storage = std::move(texts.storage);
    out.records = std::move(texts.rows);
    out.framed = texts.next - at_;
    at_ = texts.next;
    out.end = static_cast<uint64_t>(at_);
    out.end_of_file = texts.end;
    return out;
  }

 private:
  const std::unique_ptr<codec::ParquetRows> rows_;
  int64_t at_;  // row
};

Result<std::unique_ptr<LineReader>> OpenRows(io::Io& io, const std::string& path,
                                             uint64_t from,
                                             const LineReaderOptions& options) {
  const io::FileInfo info = WEIR_TRY(io.Stat(path));
  if (!info.is_regular) return Invalid(fmt::format("{} is not a regular file", path));
  const auto row = static_cast<int64_t>(from);
  return std::unique_ptr<LineReader>(std::make_unique<RowReader>(
      WEIR_TRY(codec::ParquetRows::Open(io, path, row, options.stored_bytes)), row));
}

}  // namespace

Result<std::unique_ptr<LineReader>> LineReader::Open(io::Io& io, const std::string& path,
                                                     uint64_t from,
                                                     LineReaderOptions options) {
  if (options.parquet) return OpenRows(io, path, from, options);
  auto reader = WEIR_TRY(OpenAt(io, path, from, options));
  if (!options.csv) return std::unique_ptr<LineReader>(std::move(reader));
  if (!options.csv->header) {
    reader->SetColumns(
        std::make_shared<codec::CsvColumns>(codec::CsvColumnsOf(*options.csv)));
    return std::unique_ptr<LineReader>(std::move(reader));
  }
  std::unique_ptr<Reader> from_start =
      from == 0 ? std::move(reader) : WEIR_TRY(OpenAt(io, path, 0, options));
  Lines first;
  do {
    first = WEIR_TRY(from_start->Next(1, 1));
  } while (first.records.empty() && !first.end_of_file);
  if (first.records.empty())  // nothing stands in the file
    return std::unique_ptr<LineReader>(std::move(from_start));
  if (static_cast<int64_t>(first.records[0].size()) > options.record_bytes_max)
    return Corrupt(
        fmt::format("{}: its header is longer than {} bytes (weir.record.bytes)", path,
                    options.record_bytes_max));
  auto columns = codec::ReadCsvHeader(first.records[0], *options.csv);
  if (!columns.ok()) return Corrupt(fmt::format("{}: {}", path, columns.error().message));
  std::unique_ptr<Reader>& out = from == 0 ? from_start : reader;
  out->SetColumns(std::make_shared<codec::CsvColumns>(*std::move(columns)));
  return std::unique_ptr<LineReader>(std::move(out));
}

Result<uint64_t> ChecksumFile(io::Io& io, const std::string& path, uint64_t bytes) {
  const std::unique_ptr<io::File> file = WEIR_TRY(io.Open(path, io::OpenMode::kRead));
  std::string block(kBlock, '\0');
  uint64_t hash = 0;
  for (uint64_t at = 0; at < bytes;) {
    const size_t n = WEIR_TRY(
        file->ReadAt(at, std::min<uint64_t>(block.size(), bytes - at), block.data()));
    if (n == 0) return ShorterThan(path, at, bytes);
    hash = HashBytes64(std::string_view(block).substr(0, n), hash);
    at += n;
  }
  return hash;
}

}  // namespace weir::ingest
