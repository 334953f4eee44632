// JSON that others wrote: what nlohmann::json leaves to its user.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <type_traits>

namespace weir {

// nlohmann::json copies and writes a tree by recursion, so text that nests deeper than
// this is not given to it.
inline constexpr int kJsonDepthMax = 200;

// Whether brackets outside of strings nest deeper. The text need not be JSON.
bool NestsDeeper(std::string_view json, int depth_max);

// Throws json::exception when it is not JSON or nests too deep.
nlohmann::json ParseJsonOrThrow(std::string_view text);
// The same, but is_discarded() instead of an exception.
nlohmann::json ParseJson(std::string_view text);

// The bits of an integer from `min` to `max`. Throws json::exception for anything else.
uint64_t IntegerBetween(const nlohmann::json& json, int64_t min, uint64_t max);
// nullptr: there is no such member.
const nlohmann::json* MemberOf(const nlohmann::json& object, const char* key);

// An integer that T holds. Throws json::exception for anything else, where get<T>() would
// cut it.
template <class T>
T IntegerOf(const nlohmann::json& json) {
  static_assert(std::is_integral_v<T>);
  using Limits = std::numeric_limits<T>;
  return static_cast<T>(IntegerBetween(json, static_cast<int64_t>(Limits::min()),
                                       static_cast<uint64_t>(Limits::max())));
}

// Of a member that may be missing.
template <class T>
T IntegerOr(const nlohmann::json& object, const char* key, T otherwise) {
  const nlohmann::json* const member = MemberOf(object, key);
  return member == nullptr ? otherwise : IntegerOf<T>(*member);
}

}  // namespace weir
