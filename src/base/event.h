// Events: what an operator of Weir should know, as a stable name and fields, one JSON
// line on stderr.
//   Event("segment_rolled").With("partition", 0).With("bytes", size);
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace weir {

enum class Severity : uint8_t { kInfo, kWarning, kError };

// Below this nothing is written. Default: kWarning. Set once at start.
void SetEventSeverity(Severity least);

// Written when it goes out of scope. Safe for concurrent use.
class Event {
 public:
  explicit Event(std::string_view name, Severity severity = Severity::kInfo);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  template <class T>
  Event& With(std::string_view field, const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      Raw(field, value ? "true" : "false");
    } else if constexpr (std::is_arithmetic_v<T>) {
      Raw(field, std::to_string(value));
    } else {
      Text(field, value);
    }
    return *this;
  }

 private:
  void Raw(std::string_view field, std::string_view json);
  void Text(std::string_view field, std::string_view text);

  const Severity severity_;
  std::string line_;
};

// `text` as a JSON string with its quotes; bytes that are not UTF-8 are replaced.
std::string JsonQuoted(std::string_view text);

}  // namespace weir
