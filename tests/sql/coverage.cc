#include "coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace weir::sqltest {
namespace {

constexpr std::string_view kHead = R"(# What becomes of each construct of SQL

Made by `sql_cases_test --coverage` from what the planner says; do not edit. A change of a row costs work that follows

- *row-wise*, *union*, *distinct*, *aggregate*, *top*, *join*: the change, and the rows it meets,
- *window*: the rows of its key from its place to where results stop changing,
- *recompute*: the rows of the keys that changed,
- *recompute of all rows*: the whole input of that block, on each change of it,
- *full refresh*: the whole table; it is computed again on its own lane.

Every answer is exact: equal to DuckDB's for the completed query (`weir show sql`), but for the last digits of sums and averages of floats, which
DuckDB rounds by the order of rows and Weir once. Constructs that have no one right answer are refused.

)";

constexpr std::string_view kTables =
    "table b.t (id BIGINT, k VARCHAR, n INTEGER, x DOUBLE, d DECIMAL(10,2), ts "
    "TIMESTAMP, l INTEGER[], s STRUCT(a INTEGER, b VARCHAR)) KEY (id)\n"
    "table b.u (id BIGINT, k VARCHAR, n INTEGER, ts TIMESTAMP) KEY (id)\n"
    "case c\n";

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// The tables' names with their schema, where a table can stand.
std::string Qualified(std::string sql) {
  for (const std::string_view table : {"t", "u"}) {
    for (const std::string_view before : {"FROM ", "JOIN ", "TABLE ", "PIVOT ", ", "}) {
      for (const std::string_view after : {" ", ",", ")", "\n"}) {
        sql = Replaced(sql + "\n", fmt::format("{}{}{}", before, table, after),
                       fmt::format("{}b.{}{}", before, table, after));
        sql.pop_back();
      }
    }
  }
  return sql;
}

// A stage is named as in KindText; those of keys without columns are told.
std::string Kinds(const plan::ModelPlan& model) {
  if (model.stages.empty()) return "full refresh: " + model.why_not_better;
  std::string out;
  for (const plan::Stage& stage : model.stages) {
    if (stage.kind == plan::BlockKind::kRowWise || !stage.of_rows) continue;
    out += (out.empty() ? "" : ", ") + std::string(plan::BlockKindName(stage.kind));
    if (stage.kind == plan::BlockKind::kRecompute && stage.one_group)
      out += " of all rows";
  }
  return out.empty() ? "row-wise" : out;
}

std::string Escaped(std::string text) { return Replaced(std::move(text), "|", "\\|"); }

}  // namespace

Result<std::string> CoverageDocument(std::string_view constructs,
                                     const std::vector<Case>& cases) {
  const std::vector<Case> base = WEIR_TRY(ParseCases("coverage", kTables));
  std::string out(kHead);
  std::map<std::string, int> counts;
  std::string body, missing;
  while (!constructs.empty()) {
    const size_t end = std::min(constructs.find('\n'), constructs.size());
    const std::string line(constructs.substr(0, end));
    constructs.remove_prefix(std::min(end + 1, constructs.size()));
    if (line.starts_with("## ")) {
      body += fmt::format(
          "{}\n\n| construct | for example | kept as | shown in |\n|---|---|---|---|\n",
          (body.empty() ? "" : "\n") + line);
      continue;
    }
    if (line.empty() || line.starts_with('#')) continue;
    const size_t first = line.find(" :: "), last = line.rfind(" :: ");
    const std::string name = line.substr(0, first),
                      sql = line.substr(first + 4, last - first - 4),
                      phrase = line.substr(last + 4);
    Case c = base[0];
    c.models = {{"g.m", "", Qualified(sql), 1}};
    const Planned planned = PlanCase(c);
    std::string kept;
    if (!planned.plan || planned.plan->models.empty()) {
      std::string problem = planned.problems.empty() ? "?" : planned.problems[0];
      kept = "refused: " + problem.substr(problem.find(' ') + 1);
      ++counts["refused"];
    } else {
      kept = Kinds(*planned.plan->Find("g.m"));
      const bool refreshed = kept.starts_with("full refresh");
      ++counts[refreshed                                       ? "full refresh"
               : kept.find("of all rows") != std::string::npos ? "recompute of all rows"
                                                               : "incremental"];
    }
    std::string file = "-";
    for (const Case& shown : cases) {
      if (phrase == "-" || file != "-") break;
      for (const ModelText& model : shown.models) {
        if (model.body.find(phrase) != std::string::npos) file = shown.file;
      }
    }
    if (phrase != "-" && file == "-") missing += fmt::format("{}: {}\n", name, phrase);
    body +=
        fmt::format("| {} | `{}` | {} | {} |\n", name, Escaped(sql), Escaped(kept),
                    file == "-" ? file : fmt::format("[{0}](../tests/sql/{0})", file));
  }
  if (!missing.empty()) return Invalid("no case has\n" + missing);
  out += "| constructs | |\n|---|---|\n";
  for (const auto& [kind, count] : counts)
    out += fmt::format("| {} | {} |\n", kind, count);
  return out + "\n" + body;
}

}  // namespace weir::sqltest
