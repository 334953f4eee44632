#include "base/json.h"

#include <nlohmann/json.hpp>

namespace weir {

using Json = nlohmann::json;

bool NestsDeeper(std::string_view json, int depth_max) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

Json ParseJsonOrThrow(std::string_view text) {
  if (NestsDeeper(text, kJsonDepthMax)) {
    throw Json::other_error::create(
        501, "nested deeper than " + std::to_string(kJsonDepthMax), nullptr);
  }
  return Json::parse(text);
}

Json ParseJson(std::string_view text) {
  if (NestsDeeper(text, kJsonDepthMax)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

uint64_t IntegerBetween(const Json& json, int64_t min, uint64_t max) {
  if (json.is_number_unsigned()) {
    const auto value = json.get<uint64_t>();
    if (value <= max) return value;
  } else if (json.is_number_integer()) {
    const auto value = json.get<int64_t>();
    if (value >= min && (value < 0 || static_cast<uint64_t>(value) <= max))
      return static_cast<uint64_t>(value);
  } else {
    throw Json::type_error::create(302, "an integer is wanted", &json);
  }
  throw Json::out_of_range::create(406, "number out of range", &json);
}

const Json* MemberOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

}  // namespace weir
