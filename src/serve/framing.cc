#include "serve/framing.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string>

namespace weir::serve {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kBlanks = " \t\r\n";

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// Behind the string that opens at `at`; npos: it never ends.
size_t SkipString(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

// The elements of an array by its commas, strings and brackets alone; whether each is
// JSON is the decoder's to say, so that one bad element does not spoil its neighbours.
// nullopt: the brackets do not match, an element is missing, or something follows.
std::optional<std::vector<std::string_view>> SplitArray(std::string_view array) {
  std::vector<std::string_view> elements;
  size_t depth = 0, begin = 1;
  for (size_t at = 0; at < array.size();) {
    const char c = array[at];
    if (c == '"') {
      at = SkipString(array, at);
      if (at == std::string_view::npos) return std::nullopt;
      continue;
    }
    if (c == '[' || c == '{') {
      ++depth;
    } else if ((c == ',' && depth == 1) || c == ']' || c == '}') {
      if (c != ',') --depth;
      if (c == ',' || depth == 0) {
        const std::string_view element = Trim(array.substr(begin, at - begin));
        const bool last = c != ',';
        if (last && c != ']') return std::nullopt;
        if (element.empty() && !(last && elements.empty())) return std::nullopt;
        if (!element.empty()) elements.push_back(element);
        if (last)
          return at + 1 == array.size() ? std::optional(std::move(elements))
                                        : std::nullopt;
        begin = at + 1;
      }
    }
    ++at;
  }
  return std::nullopt;
}

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const void* end = std::memchr(text.data(), '\n', text.size());
    const size_t length =
        end == nullptr ? text.size()
                       : static_cast<size_t>(static_cast<const char*>(end) - text.data());
    std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(kBlanks) != std::string_view::npos) lines.push_back(line);
  }
  return lines;
}

}  // namespace

std::optional<BodyFormat> ParseContentType(std::string_view value) {
  std::string type(Trim(value.substr(0, value.find(';'))));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (type == "application/json" ||
      (type.starts_with("application/") && type.ends_with("+json"))) {
    return BodyFormat::kJson;
  }
  for (const std::string_view lines :
       {"application/x-ndjson", "application/ndjson", "application/jsonl",
        "application/x-jsonlines", "application/jsonlines"}) {
    if (type == lines) return BodyFormat::kNdjson;
  }
  // The last is what `curl -d` says when nobody tells it otherwise.
  if (type.empty() || type == "text/plain" ||
      type == "application/x-www-form-urlencoded") {
    return BodyFormat::kSniff;
  }
  return std::nullopt;
}

std::vector<std::string_view> SplitBody(BodyFormat format, std::string_view body) {
  std::string_view text = body;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::string_view trimmed = Trim(text);
  if (trimmed.empty()) return {};
  const bool array = trimmed.starts_with('[');
  if (format == BodyFormat::kNdjson || (format == BodyFormat::kSniff && !array))
    return SplitLines(text);
  if (!array) return {trimmed};
  auto elements = SplitArray(trimmed);
  return elements ? *std::move(elements) : std::vector{body};
}

}  // namespace weir::serve
