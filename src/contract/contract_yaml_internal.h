// YAML nodes with a place to report to: what parsing a contract needs of them.
#pragma once

#include <yaml-cpp/yaml.h>

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contract/contract.h"

namespace weir::contract {

// Collects problems of one file. Readers take a node that may be missing: they then
// return nullopt and report nothing.
class Report {
 public:
  Report(std::string file, std::vector<Problem>* problems)
      : file_(std::move(file)), problems_(problems) {}

  void Add(int line, std::string message, std::string fix);
  void Add(const YAML::Node& at, std::string message, std::string fix);

  std::optional<std::string> Text(const YAML::Node& node, std::string_view what);
  std::optional<bool> Flag(const YAML::Node& node, std::string_view what);
  std::optional<double> Number(const YAML::Node& node, std::string_view what);
  std::optional<int64_t> Count(const YAML::Node& node,
                               std::string_view what);  // a whole number ≥ 0
  // A list of texts; one text is a list of one, or of several with commas between
  // (outside of parentheses).
  std::vector<std::string> Texts(const YAML::Node& node, std::string_view what);

  // Reports keys of the map that are not among the known ones.
  void KnownKeys(const YAML::Node& map, std::string_view where,
                 std::span<const std::string_view> known);
  // Reports keys that stand twice in one map, at any depth. False: the text has no end,
  // as an alias contains itself, or far too much; it must not be read further.
  bool DistinctKeys(const YAML::Node& node);

  size_t count() const { return count_; }
  void SortByLine();  // what was added here

 private:
  bool DistinctKeys(const YAML::Node& node, int depth_left, int* nodes_left);
  const std::string file_;
  std::vector<Problem>* const problems_;
  size_t count_ = 0;
};

int LineOf(const YAML::Node& node);  // from 1; 0 when the node is missing

// Looks a key up without adding it.
YAML::Node Child(const YAML::Node& map, std::string_view key);

// The candidate most like `word` when one is like it at all.
std::optional<std::string> NearestName(std::string_view word,
                                       std::span<const std::string_view> candidates);
// "did you mean X?" or, when nothing is near, "known are a, b, c".
std::string Suggest(std::string_view word, std::span<const std::string_view> candidates);

std::vector<std::string> SplitList(std::string_view text);
std::string_view Trimmed(std::string_view text);

}  // namespace weir::contract
