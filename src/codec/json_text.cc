#include <fmt/format.h>

#include <iterator>

#include "codec/json_text_internal.h"

namespace weir::codec {

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out->append(text.substr(from, i - from));
    from = i + 1;
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", c);
    }
  }
  out->append(text.substr(from));
  out->push_back('"');
}

}  // namespace weir::codec
