#include <fmt/format.h>
#include <zlib.h>

#include "avro/avro.h"
#include "base/hash.h"

namespace weir::avro {
namespace {

constexpr std::string_view kMagic("Obj\x01", 4);
constexpr size_t kSyncBytes = 16;
constexpr size_t kBlockBytes = 64 << 10;          // uncompressed; what Java writes
constexpr size_t kInflatedBytesMax = 1ull << 30;  // of one block: a guard against bombs

std::string Deflate(std::string_view bytes) {
  z_stream stream{};
  WEIR_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) ==
             Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  WEIR_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Status Inflate(std::string_view bytes, std::string* out) {
  z_stream stream{};
  WEIR_CHECK(inflateInit2(&stream, -MAX_WBITS) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  out->resize(std::max<size_t>(kBlockBytes * 2, bytes.size() * 4));
  int code = Z_OK;
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(out->data()) + stream.total_out;
    stream.avail_out = static_cast<uInt>(out->size() - stream.total_out);
    code = inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK || stream.avail_out > 0 || out->size() >= kInflatedBytesMax) break;
    out->resize(out->size() * 2);
  }
  out->resize(stream.total_out);
  inflateEnd(&stream);
  if (code != Z_STREAM_END) return Corrupt("avro file: a block does not inflate");
  return {};
}

}  // namespace

FileWriter::FileWriter(std::string_view schema_json,
                       const std::map<std::string, std::string>& metadata, Codec codec)
    : codec_(codec) {
  out_ = kMagic;
  Encoder header(&out_);
  header.Long(static_cast<int64_t>(metadata.size()) + 2);
  header.Bytes("avro.schema");
  header.Bytes(schema_json);
  header.Bytes("avro.codec");
  header.Bytes(codec == Codec::kDeflate ? "deflate" : "null");
  for (const auto& [key, value] : metadata) {
    header.Bytes(key);
    header.Bytes(value);
  }
  header.Long(0);
  // The marker only has to be unlikely inside the data; a hash of the header keeps equal
  // files equal.
  const Hash128 hash = HashBytes128(out_);
  sync_.resize(kSyncBytes);
  std::memcpy(sync_.data(), &hash, kSyncBytes);
  out_ += sync_;
}

void FileWriter::EndRecord() {
  ++block_records_;
  if (block_.size() >= kBlockBytes) FlushBlock();
}

void FileWriter::FlushBlock() {
  if (block_records_ == 0) return;
  Encoder out(&out_);
  out.Long(block_records_);
  out.Bytes(codec_ == Codec::kDeflate ? Deflate(block_) : block_);
  out.Raw(sync_);
  block_.clear();
  block_records_ = 0;
}

std::string FileWriter::Finish() && {
  FlushBlock();
  return std::move(out_);
}

Result<FileReader> FileReader::Open(std::string bytes) {
  FileReader reader;
  reader.bytes_ = std::make_unique<const std::string>(std::move(bytes));
  Decoder header(*reader.bytes_);
  if (header.Raw(kMagic.size()) != kMagic)
    return Corrupt("avro file: the magic bytes are missing");
  for (int64_t count = header.BlockCount(); count > 0; count = header.BlockCount()) {
    for (; count > 0 && header.ok(); --count) {
      std::string key(header.Bytes());
      reader.metadata_[std::move(key)] = header.Bytes();
    }
  }
  reader.sync_ = header.Raw(kSyncBytes);
  if (!header.ok()) return Corrupt("avro file: the header is cut short");
  reader.rest_ = header.rest();

  const std::string& codec = reader.metadata_["avro.codec"];
  if (codec == "deflate") {
    reader.codec_ = Codec::kDeflate;
  } else if (!codec.empty() && codec != "null") {
    return Invalid("avro file: codec " + codec +
                   " is not supported (null and deflate are)");
  }
  reader.schema_ = WEIR_TRY(Schema::Parse(reader.metadata_["avro.schema"]));
  return reader;
}

Result<std::optional<FileReader::Block>> FileReader::Next() {
  if (rest_.empty()) return std::optional<Block>();
  Decoder in(rest_);
  Block block;
  block.records = in.Long();
  block.bytes = in.Bytes();
  if (in.Raw(kSyncBytes) != sync_ || !in.ok() || block.records < 0) {
    return Corrupt("avro file: a block is cut short or its marker is wrong");
  }
  rest_ = in.rest();
  if (codec_ == Codec::kDeflate) {
    WEIR_TRY(Inflate(block.bytes, &inflated_));
    block.bytes = inflated_;
  }
  if (static_cast<uint64_t>(block.records) > block.bytes.size())
    return Corrupt(fmt::format("avro file: a block says that {} records are in {} bytes",
                               block.records, block.bytes.size()));
  return std::optional(block);
}

}  // namespace weir::avro
