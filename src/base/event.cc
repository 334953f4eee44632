#include "base/event.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>

#include "base/time.h"

namespace weir {
namespace {
std::atomic<Severity> least_severity{Severity::kWarning};
}  // namespace

void SetEventSeverity(Severity least) { least_severity = least; }

std::string JsonQuoted(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == '"' || c == '\\') {
      switch (c) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        default:
          out += fmt::format("\\u{:04x}", c);
      }
      ++i;
      continue;
    }
    size_t length = c < 0x80                ? 1
                    : c >= 0xf0 && c < 0xf5 ? 4
                    : c >= 0xe0             ? 3
                    : c >= 0xc2             ? 2
                                            : 0;
    if (c >= 0xf5) length = 0;
    bool good = length != 0 && i + length <= text.size();
    for (size_t k = 1; good && k < length; ++k) {
      good = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
    }
    if (good) {
      out.append(text, i, length);
      i += length;
    } else {
      out += "\xef\xbf\xbd";
      ++i;
    }
  }
  return out + "\"";
}

Event::Event(std::string_view name, Severity severity) : severity_(severity) {
  if (severity_ < least_severity.load()) return;
  constexpr std::string_view kNames[] = {"info", "warning", "error"};
  SystemClock clock;
  line_ = fmt::format(R"({{"time":"{}","severity":"{}","event":{})",
                      FormatTimestamp(clock.Now()), kNames[static_cast<int>(severity)],
                      JsonQuoted(name));
}

Event::~Event() {
  if (line_.empty()) return;
  line_ += "}\n";
  // One write per event, so that lines of different threads never mix.
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line_.data(), line_.size());
}

void Event::Raw(std::string_view field, std::string_view json) {
  if (line_.empty()) return;
  line_ += "," + JsonQuoted(field) + ":";
  line_ += json;
}

void Event::Text(std::string_view field, std::string_view text) {
  if (line_.empty()) return;
  Raw(field, JsonQuoted(text));
}

}  // namespace weir
