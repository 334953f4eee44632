// The target of a request line.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace weir::net {

struct Target {
  std::string path;  // "/v1/events/clicks": decoded; no empty, "." or ".." segments
  std::map<std::string, std::string> query;
};

// nullopt: neither "/path?query" nor "http://host/path?query"; a bad escape; an escaped
// '/' or NUL; a path above the root.
std::optional<Target> ParseTarget(std::string_view text);

}  // namespace weir::net
