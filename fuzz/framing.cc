// HTTP bodies into records: views in order, of an array its elements.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "serve/framing.h"

namespace weir::fuzz {
namespace {

void CheckViews(std::string_view body, const std::vector<std::string_view>& records) {
  const char* at = body.data();
  for (const std::string_view record : records) {
    WEIR_CHECK(!record.empty());
    WEIR_CHECK(record.data() >= at &&
               record.data() + record.size() <= body.data() + body.size());
    at = record.data() + record.size();
  }
}

}  // namespace

WEIR_FUZZER(framing)(std::string_view bytes) {
  using serve::BodyFormat;
  const auto lines = serve::SplitBody(BodyFormat::kNdjson, bytes);
  CheckViews(bytes, lines);
  for (const std::string_view line : lines)
    WEIR_CHECK(line.find('\n') == std::string_view::npos);
  CheckViews(bytes, serve::SplitBody(BodyFormat::kSniff, bytes));
  const auto values = serve::SplitBody(BodyFormat::kJson, bytes);
  CheckViews(bytes, values);

  // What is an array to another parser has its elements here.
  if (bytes.find('\0') == std::string_view::npos) {
    const auto json = nlohmann::json::parse(bytes, nullptr, false);
    if (json.is_array()) {
      WEIR_CHECK(values.size() == json.size());
      for (size_t i = 0; i < values.size(); ++i)
        WEIR_CHECK(nlohmann::json::parse(values[i], nullptr, false) == json[i]);
    }
  }
  const size_t line = bytes.find('\n');
  static_cast<void>(serve::ParseContentType(bytes.substr(0, line)));
}

}  // namespace weir::fuzz
