#include "contract/gate_internal.h"

#include <fmt/format.h>
#include <re2/re2.h>

namespace weir::contract {
namespace {

constexpr std::string_view kGate = "weir.gate";
constexpr std::string_view kFieldMetrics[] = {"nullValues", "invalidValues",
                                              "duplicateValues"};
constexpr std::string_view kBounds =
    "mustBe, mustBeGreaterThan, mustBeGreaterOrEqualTo, mustBeLessThan, "
    "mustBeLessOrEqualTo, mustBeBetween or mustNotBeBetween";

class GateReader {
 public:
  GateReader(const YAML::Node& rule, std::string field, Report& report)
      : rule_(rule), report_(report) {
    out_.field = std::move(field);
  }

  std::optional<FileGate> Read() {
    const size_t before = report_.count();
    ReadMetric();
    ReadUnit();
    ReadBounds();
    if (out_.metric == FileGate::Metric::kInvalidValues) ReadValid();
    if (report_.count() > before) return std::nullopt;
    return std::move(out_);
  }

 private:
  void ReadMetric() {
    YAML::Node node = Child(rule_, "metric");
    if (!node.IsDefined()) node = Child(rule_, "rule");
    const std::string metric = report_.Text(node, "metric").value_or("");
    if (out_.field.empty()) {
      if (metric == "rowCount") return;
      report_.Add(
          rule_,
          fmt::format("a file gate on the whole schema has the metric '{}'", metric),
          "write metric: rowCount; the others stand at the quality of a property");
      return;
    }
    if (metric == "nullValues") out_.metric = FileGate::Metric::kNullValues;
    if (metric == "invalidValues") out_.metric = FileGate::Metric::kInvalidValues;
    if (metric == "duplicateValues") out_.metric = FileGate::Metric::kDuplicateValues;
    if (out_.metric == FileGate::Metric::kRowCount) {
      report_.Add(
          rule_, fmt::format("a file gate on {} has the metric '{}'", out_.field, metric),
          metric == "rowCount" ? "write it at the quality of the schema object"
                               : Suggest(metric, kFieldMetrics));
    }
  }

  void ReadUnit() {
    const YAML::Node node = Child(rule_, "unit");
    const std::string unit = report_.Text(node, "unit").value_or("rows");
    out_.percent = unit == "percent";
    if (!out_.percent && unit != "rows")
      report_.Add(node, fmt::format("the unit '{}' is not read", unit),
                  "write unit: rows or unit: percent");
    if (out_.percent && out_.field.empty())
      report_.Add(node, "rowCount has no percent", "remove unit:");
  }

  void ReadBounds() {
    int lows = 0, highs = 0;
    const size_t before = report_.count();
    const auto one = [&](const char* key, bool low, bool high, bool exclusive) {
      const YAML::Node node = Child(rule_, key);
      const auto value = report_.Number(node, key);
      if (!value) return;
      lows += low;
      highs += high;
      if (low) out_.minimum = value;
      if (high) out_.maximum = value;
      if (low) out_.exclusive_minimum = exclusive;
      if (high) out_.exclusive_maximum = exclusive;
    };
    one("mustBe", true, true, false);
    one("mustBeGreaterThan", true, false, true);
    one("mustBeGreaterOrEqualTo", true, false, false);
    one("mustBeLessThan", false, true, true);
    one("mustBeLessOrEqualTo", false, true, false);
    for (const char* key : {"mustBeBetween", "mustNotBeBetween"}) {
      const YAML::Node node = Child(rule_, key);
      if (!node.IsDefined()) continue;
      if (!node.IsSequence() || node.size() != 2) {
        report_.Add(node, fmt::format("{} is not a pair of numbers", key),
                    fmt::format("write {}: [1, 100]", key));
        continue;
      }
      ++lows;
      ++highs;
      out_.minimum = report_.Number(node[0], key);
      out_.maximum = report_.Number(node[1], key);
      out_.outside = std::string_view(key) == "mustNotBeBetween";
    }
    if (report_.count() > before) return;
    if (lows + highs == 0)
      report_.Add(rule_, "the file gate has no bound",
                  fmt::format("add one of {}", kBounds));
    if (lows > 1 || highs > 1)
      report_.Add(rule_, "the file gate has bounds that do not go together", "keep one");
  }

  void ReadValid() {
    const YAML::Node arguments = Child(rule_, "arguments");
    out_.valid = report_.Texts(Child(arguments, "validValues"), "validValues");
    const YAML::Node pattern = Child(arguments, "pattern");
    out_.pattern = report_.Text(pattern, "pattern").value_or("");
    if (out_.valid.empty() && out_.pattern.empty()) {
      report_.Add(
          rule_,
          fmt::format("the file gate on {} does not say what is valid", out_.field),
          "add arguments: {validValues: [a, b]} or {pattern: '…'}");
    }
    if (const RE2 compiled(out_.pattern, RE2::Quiet); !compiled.ok())
      report_.Add(pattern,
                  fmt::format("the pattern cannot be read: {}", compiled.error()),
                  "patterns are RE2's: no look-around and no back-references");
  }

  const YAML::Node rule_;
  Report& report_;
  FileGate out_;
};

}  // namespace

bool IsFileGate(const YAML::Node& rule, Report& report) {
  const YAML::Node customs = Child(rule, "customProperties");
  if (!customs.IsDefined() || !customs.IsSequence()) return false;
  for (const YAML::Node& custom : customs) {
    if (report.Text(Child(custom, "property"), "property").value_or("") != kGate)
      continue;
    const YAML::Node value = Child(custom, "value");
    if (report.Text(value, "weir.gate").value_or("") == "file") return true;
    report.Add(custom, "weir.gate is not 'file'",
               "write {property: weir.gate, value: file}: the rule then judges each file "
               "before any of its records enters");
  }
  return false;
}

std::optional<FileGate> ReadFileGate(const YAML::Node& rule, const std::string& field,
                                     Report& report) {
  return GateReader(rule, field, report).Read();
}

}  // namespace weir::contract
