#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "contract/contract_yaml_internal.h"

namespace weir::contract {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

int LineOf(const YAML::Node& node) {
  if (!node.IsDefined()) return 0;
  return node.Mark().line + 1;
}

YAML::Node Child(const YAML::Node& map, std::string_view key) {
  if (!map.IsDefined() || !map.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  for (const auto& entry : map) {
    if (entry.first.IsScalar() && entry.first.Scalar() == key) return entry.second;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  int depth = 0;
  size_t first = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size()) {
      depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
      if (text[i] != ',' || depth > 0) continue;
    }
    const std::string_view part = Trimmed(text.substr(first, i - first));
    if (!part.empty()) parts.emplace_back(part);
    first = i + 1;
  }
  return parts;
}

std::optional<std::string> NearestName(std::string_view word,
                                       std::span<const std::string_view> candidates) {
  std::string_view best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  const std::string lower = data::LowerName(word);
  for (const std::string_view candidate : candidates) {
    const size_t distance = EditDistance(lower, data::LowerName(candidate));
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (best.empty()) return std::nullopt;
  return std::string(best);
}

std::string Suggest(std::string_view word, std::span<const std::string_view> candidates) {
  if (const auto near = NearestName(word, candidates))
    return fmt::format("did you mean {}?", *near);
  return fmt::format("known are {}", fmt::join(candidates, ", "));
}

void Report::Add(int line, std::string message, std::string fix) {
  problems_->push_back({file_, line, std::move(message), std::move(fix)});
  ++count_;
}

void Report::Add(const YAML::Node& at, std::string message, std::string fix) {
  Add(LineOf(at), std::move(message), std::move(fix));
}

void Report::SortByLine() {
  std::stable_sort(problems_->end() - static_cast<std::ptrdiff_t>(count_),
                   problems_->end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
}

std::optional<std::string> Report::Text(const YAML::Node& node, std::string_view what) {
  if (!node.IsDefined() || node.IsNull()) return std::nullopt;
  if (!node.IsScalar()) {
    Add(node, fmt::format("{} is not a text", what),
        fmt::format("write {}: and one word or quoted text", what));
    return std::nullopt;
  }
  return node.Scalar();
}

std::optional<bool> Report::Flag(const YAML::Node& node, std::string_view what) {
  if (!node.IsDefined() || node.IsNull()) return std::nullopt;
  bool value;
  if (node.IsScalar() && YAML::convert<bool>::decode(node, value)) return value;
  Add(node, fmt::format("{} is neither true nor false", what),
      fmt::format("write {}: true", what));
  return std::nullopt;
}

std::optional<double> Report::Number(const YAML::Node& node, std::string_view what) {
  if (!node.IsDefined() || node.IsNull()) return std::nullopt;
  double value;
  if (node.IsScalar() && YAML::convert<double>::decode(node, value)) return value;
  Add(node, fmt::format("{} is not a number", what), fmt::format("write {}: 0", what));
  return std::nullopt;
}

std::optional<int64_t> Report::Count(const YAML::Node& node, std::string_view what) {
  if (!node.IsDefined() || node.IsNull()) return std::nullopt;
  int64_t value;
  if (node.IsScalar() && YAML::convert<int64_t>::decode(node, value) && value >= 0)
    return value;
  Add(node, fmt::format("{} is not a whole number from 0", what),
      fmt::format("write {}: 1", what));
  return std::nullopt;
}

std::vector<std::string> Report::Texts(const YAML::Node& node, std::string_view what) {
  if (!node.IsDefined() || node.IsNull()) return {};
  if (node.IsScalar()) return SplitList(node.Scalar());
  std::vector<std::string> texts;
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      if (auto text = Text(item, what)) texts.push_back(*text);
    }
    return texts;
  }
  Add(node, fmt::format("{} is not a list", what), fmt::format("write {}: [a, b]", what));
  return {};
}

void Report::KnownKeys(const YAML::Node& map, std::string_view where,
                       std::span<const std::string_view> known) {
  if (!map.IsDefined() || !map.IsMap()) return;
  for (const auto& entry : map) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    Add(entry.first, fmt::format("{} has no key '{}'", where, key), Suggest(key, known));
  }
}

namespace {
// Far more than a contract has; an alias that contains itself has no end.
constexpr int kYamlDepthMax = 100, kYamlNodesMax = 1'000'000;
}  // namespace

bool Report::DistinctKeys(const YAML::Node& node) {
  int nodes_left = kYamlNodesMax;
  if (DistinctKeys(node, kYamlDepthMax, &nodes_left)) return true;
  Add(node, "the text nests too deep, or is too large once its aliases are written out",
      "leave out aliases (*name) of what they stand in");
  return false;
}

bool Report::DistinctKeys(const YAML::Node& node, int depth_left, int* nodes_left) {
  if (depth_left == 0 || --*nodes_left < 0) return false;
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      if (!DistinctKeys(item, depth_left - 1, nodes_left)) return false;
    }
  }
  if (!node.IsMap()) return true;
  std::vector<std::string> keys;
  for (const auto& entry : node) {
    if (entry.first.IsScalar()) {
      const std::string& key = entry.first.Scalar();
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) {
        Add(entry.first, fmt::format("the key '{}' stands twice in one map", key),
            "keep one of the two");
      }
      keys.push_back(key);
    }
    if (!DistinctKeys(entry.second, depth_left - 1, nodes_left)) return false;
  }
  return true;
}

}  // namespace weir::contract
