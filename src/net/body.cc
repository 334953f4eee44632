#include "net/body_internal.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

namespace weir::net {
namespace {

constexpr size_t kStepBytes = 64 << 10;
constexpr int kZstdWindowLogMax = 23;

DecodedBody Malformed(const char* what) { return {400, {}, what}; }
DecodedBody TooLarge() { return {413, {}, "the decoded body is too large"}; }

// Makes room for the next step of output, one byte more than allowed so that excess
// shows.
size_t Grow(std::string& out, size_t used, size_t bytes_max) {
  const size_t want = std::min(bytes_max + 1, std::max(used + kStepBytes, 2 * used));
  if (out.size() < want) out.resize(want);
  return out.size() - used;
}

DecodedBody Gunzip(std::string_view body, size_t bytes_max) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return {500, {}, "out of memory"};
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> guard(&stream, &inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  std::string out;
  size_t used = 0;
  for (;;) {
    const size_t room = Grow(out, used, bytes_max);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    stream.avail_out = static_cast<uInt>(room);
    const int result = inflate(&stream, Z_NO_FLUSH);
    used += room - stream.avail_out;
    if (used > bytes_max) return TooLarge();
    if (result == Z_STREAM_END) {
      if (stream.avail_in == 0) break;
      // A gzip file may have several members.
      if (inflateReset(&stream) != Z_OK) return Malformed("not a gzip body");
    } else if (result != Z_OK) {
      return Malformed(result == Z_BUF_ERROR ? "the gzip body is cut short"
                                             : "not a gzip body");
    }
  }
  out.resize(used);
  return {200, std::move(out), {}};
}

DecodedBody Unzstd(std::string_view body, size_t bytes_max) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx);
  if (context == nullptr) return {500, {}, "out of memory"};
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  ZSTD_inBuffer in{body.data(), body.size(), 0};
  std::string out;
  size_t used = 0;
  size_t open = 1;  // 0: at the end of a frame
  while (in.pos < in.size || open != 0) {
    const size_t room = Grow(out, used, bytes_max);
    ZSTD_outBuffer step{out.data() + used, room, 0};
    const size_t in_before = in.pos;
    open = ZSTD_decompressStream(context.get(), &step, &in);
    if (ZSTD_isError(open)) return Malformed("not a zstd body");
    used += step.pos;
    if (used > bytes_max) return TooLarge();
    if (open != 0 && in.pos == in_before && step.pos == 0) {
      return Malformed("the zstd body is cut short");
    }
  }
  out.resize(used);
  return {200, std::move(out), {}};
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == static_cast<unsigned char>(y);
  });
}

}  // namespace

BodyCoding ParseBodyCoding(std::string_view value) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
    value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t'))
    value.remove_suffix(1);
  if (value.empty() || EqualsIgnoringCase(value, "identity"))
    return BodyCoding::kIdentity;
  if (EqualsIgnoringCase(value, "gzip") || EqualsIgnoringCase(value, "x-gzip")) {
    return BodyCoding::kGzip;
  }
  if (EqualsIgnoringCase(value, "zstd")) return BodyCoding::kZstd;
  return BodyCoding::kUnknown;
}

DecodedBody DecodeBody(BodyCoding coding, std::string_view body, size_t bytes_max) {
  switch (coding) {
    case BodyCoding::kGzip:
      return Gunzip(body, bytes_max);
    case BodyCoding::kZstd:
      return Unzstd(body, bytes_max);
    case BodyCoding::kIdentity:
      return {200, std::string(body), {}};
    case BodyCoding::kUnknown:
      break;
  }
  return {415, {}, "unknown Content-Encoding; gzip and zstd are understood"};
}

}  // namespace weir::net
