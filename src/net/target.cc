#include "net/target_internal.h"

#include <algorithm>

namespace weir::net {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Plus : uint8_t { kPlus, kBlank };

std::optional<std::string> PercentDecode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' && plus == Plus::kBlank ? ' ' : text[i];
    }
  }
  return out;
}

std::optional<std::string> NormalisePath(std::string_view text) {
  std::string path;
  while (!text.empty()) {
    text.remove_prefix(1);  // the '/'
    const std::string_view raw = text.substr(0, text.find('/'));
    text.remove_prefix(raw.size());
    const auto segment = PercentDecode(raw, Plus::kPlus);
    if (!segment || segment->find('/') != std::string::npos ||
        segment->find('\0') != std::string::npos) {
      return std::nullopt;
    }
    if (segment->empty() || *segment == ".") continue;
    if (*segment == "..") {
      if (path.empty()) return std::nullopt;
      path.resize(path.rfind('/'));
      continue;
    }
    path += '/';
    path += *segment;
  }
  return path.empty() ? "/" : path;
}

}  // namespace

std::optional<Target> ParseTarget(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    text.remove_prefix(std::min(text.find_first_of("/?"), text.size()));
    if (!text.starts_with('/')) {
      const auto rooted = ParseTarget("/" + std::string(text));
      return rooted;
    }
  }
  if (!text.starts_with('/')) return std::nullopt;
  Target target;
  std::string_view query;
  if (const size_t mark = text.find('?'); mark != std::string_view::npos) {
    query = text.substr(mark + 1);
    text = text.substr(0, mark);
  }
  auto path = NormalisePath(text);
  if (!path) return std::nullopt;
  target.path = *std::move(path);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    auto name = PercentDecode(pair.substr(0, equals), Plus::kBlank);
    auto value =
        PercentDecode(pair.substr(std::min(equals + 1, pair.size())), Plus::kBlank);
    if (!name || !value) return std::nullopt;
    target.query[*std::move(name)] = *std::move(value);
  }
  return target;
}

}  // namespace weir::net
