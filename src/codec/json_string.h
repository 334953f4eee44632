// What stands inside the quotes of a JSON string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"

namespace weir::codec {

// Resolves the escapes of `raw` (the text between the quotes, valid UTF-8) into `out`,
// which has room for raw.size() bytes. Returns the length; nullopt for an unknown escape
// or a surrogate without its partner.
std::optional<size_t> UnescapeJson(std::string_view raw, char* out);

// Standard base64 with padding. `out` has room for text.size() / 4 * 3 bytes. Returns the
// length.
std::optional<size_t> DecodeBase64(std::string_view text, uint8_t* out);

// "123e4567-e89b-12d3-a456-426614174000" into 16 bytes, most significant first.
bool ParseUuid(std::string_view text, uint8_t* out);

// "hh:mm:ss[.fraction]" -> microseconds of the day; digits beyond microseconds are cut.
std::optional<Micros> ParseTimeOfDay(std::string_view text);

}  // namespace weir::codec
