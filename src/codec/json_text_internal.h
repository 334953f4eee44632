// Writing JSON text.
#pragma once

#include <string>
#include <string_view>

namespace weir::codec {

// The text as a JSON string; its bytes are taken to be UTF-8.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace weir::codec
