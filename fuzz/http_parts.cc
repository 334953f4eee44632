// What the HTTP server does with a target and an encoded body: bounded, and a path that
// is its own normal form.
#include "fuzz/fuzz.h"
#include "net/body_internal.h"
#include "net/target_internal.h"

namespace weir::fuzz {
namespace {

bool IsPlain(std::string_view path) {
  return path.find_first_of("%?#+ ") == std::string_view::npos &&
         path.find_first_not_of(
             "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") ==
             std::string_view::npos;
}

}  // namespace

WEIR_FUZZER(http_parts)(std::string_view bytes) {
  constexpr size_t kMax = 64 << 10;
  for (const auto coding :
       {net::BodyCoding::kGzip, net::BodyCoding::kZstd, net::BodyCoding::kIdentity}) {
    const net::DecodedBody body = net::DecodeBody(coding, bytes, kMax);
    WEIR_CHECK(body.status == 200 || body.status == 400 || body.status == 413);
    WEIR_CHECK(body.body.size() <= kMax);
    WEIR_CHECK(body.status == 200 || !body.message.empty());
  }
  static_cast<void>(net::ParseBodyCoding(bytes));

  const auto target = net::ParseTarget(bytes);
  if (!target) return;
  WEIR_CHECK(target->path.starts_with('/'));
  for (const std::string_view part : {"/../", "/./", "//"})
    WEIR_CHECK(target->path.find(part) == std::string::npos);
  WEIR_CHECK(!target->path.ends_with("/..") && !target->path.ends_with("/."));
  WEIR_CHECK(target->path.find('\0') == std::string::npos);
  if (IsPlain(target->path)) {
    const auto again = net::ParseTarget(target->path);
    WEIR_CHECK(again && again->path == target->path && again->query.empty());
  }
}

}  // namespace weir::fuzz
