// 32-bit roaring bitmaps as bytes (the portable format of the Roaring specification).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace weir::iceberg {

// How many bytes at the front of `bytes` are one bitmap that keeps every rule of the
// format: keys and values ascending, runs disjoint, cardinalities as they are. nullopt:
// none stands there. The library looks at lengths only, and what it makes of a bitmap
// that breaks the rules must not be worked with: it reads and writes beyond its
// containers.
std::optional<size_t> SoundBitmapBytes(std::string_view bytes);

}  // namespace weir::iceberg
