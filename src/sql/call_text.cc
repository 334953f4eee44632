#include "sql/call_text.h"

#include <fmt/format.h>

#include <array>

namespace weir::sql {

bool CallText::CheckInterval(std::string_view call, Span span, std::string_view what,
                             std::string_view instead) {
  static constexpr std::array kNoLength = {"month",  "year",    "quarter",
                                           "decade", "century", "millennium"};
  std::string all;
  for (size_t i = span.begin; i < span.end; ++i)
    all += data::LowerName(TokenValue(tokens_[i], text_)) + " ";
  const size_t begin = tokens_[span.begin].begin;
  for (const char* unit : kNoLength) {
    if (all.find(unit) == all.npos) continue;
    problem_(begin, fmt::format("{}: a {} has no fixed length", call, unit),
             fmt::format(fmt::runtime(instead), unit));
    return false;
  }
  if (all.starts_with("interval ")) return true;
  problem_(begin, fmt::format("{}: {}", call, what), "write INTERVAL '10 minutes'");
  return false;
}

void CallText::Write(std::string_view pattern, const std::function<Span(char)>& place) {
  std::string words;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      words += pattern[i];
      continue;
    }
    const char what = pattern[++i];
    if (what == '%') {
      words += '%';
      continue;
    }
    Say(std::move(words));
    words.clear();
    Copy(place(what));
  }
  if (!words.empty()) Say(std::move(words));
}

}  // namespace weir::sql
