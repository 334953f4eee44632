#include "sql/resolve.h"

#include <fmt/format.h>

#include <charconv>

namespace weir::sql {
namespace {

using data::SameName;

constexpr std::string_view kResolve = "RESOLVE", kHistory = "RESOLVE_HISTORY";
constexpr std::string_view kUsage =
    "RESOLVE(TABLE t, RECORD (source, id), BY (email, phone), SEQUENCE BY seen_at, MAX "
    "100)";
constexpr std::string_view kHistoryUsage =
    "RESOLVE_HISTORY(TABLE t, RECORD (source, id), BY (email, phone), VALID (since, "
    "until))";

class Expander : private CallText {
 public:
  using CallText::CallText;

  std::optional<ExpandedText> Expand() {
    shape_.history = SameName(Word(0), kHistory);
    at_ += 3;  // RESOLVE ( TABLE
    const Span table = TakeName();
    if (table.empty()) return Wrong("expected a table");
    if (!Take(',') || !TakeWord("RECORD")) return Wrong("expected RECORD (columns)");
    if (!Columns("RECORD", &records_)) return std::nullopt;
    if (!Take(',') || !TakeWord("BY")) return Wrong("expected BY (columns)");
    if (!Columns("BY", &values_)) return std::nullopt;
    shape_.records = records_.size();
    shape_.values = values_.size();
    while (Take(',')) {
      if (!Clause()) return std::nullopt;
    }
    if (!Take(')')) return Wrong("expected ')'");
    if (shape_.history && valid_.empty() && !shape_.sequence)
      return Wrong("it needs SEQUENCE BY or VALID, which say when");

    Say(fmt::format("(WITH RECURSIVE {} AS (SELECT ", kResolveRows));
    for (size_t i = 0; i < records_.size(); ++i)
      Column(records_[i], fmt::format("r{}", i), i == 0);
    for (size_t i = 0; i < values_.size(); ++i)
      Column(values_[i], fmt::format("v{}", i), false);
    if (shape_.sequence) Column(sequence_, "s", false);
    if (shape_.history) {
      Column(valid_.empty() ? sequence_ : valid_[0], "since", false);
      if (valid_.empty()) Say(", CASE WHEN false THEN ");
      if (valid_.empty()) Copy(sequence_);
      if (valid_.empty()) Say(" END AS until");
      if (!valid_.empty()) Column(valid_[1], "until", false);
    }
    Say(" FROM ");
    Copy(table);
    Say(")" + ResolveQueries(shape_) + " SELECT ");
    std::string first;
    for (size_t i = 0; i < records_.size(); ++i) {
      Say(fmt::format("r{} AS ", i));
      Copy(LastOf(records_[i]));
      Say(", ");
      first += fmt::format("{}CAST(f{} AS VARCHAR)", i == 0 ? "" : ", ", i);
    }
    Say(fmt::format("md5(CAST(to_json([{}]) AS VARCHAR)) AS unified_id{} FROM {})", first,
                    shape_.history ? ", since AS valid_from, until AS valid_to" : "",
                    kResolveResult));
    return Finish();
  }

 private:
  std::optional<ExpandedText> Wrong(const std::string& what) {
    return CallText::Wrong(
        fmt::format("{}: {}", shape_.history ? kHistory : kResolve, what),
        fmt::format("write {}", shape_.history ? kHistoryUsage : kUsage));
  }

  // SEQUENCE BY, VALID or MAX.
  bool Clause() {
    const char* wrong = nullptr;
    if (IsWord("SEQUENCE") && IsWord("BY", 1) && !shape_.sequence) {
      at_ += 2;
      sequence_ = TakeName();
      shape_.sequence = true;
      if (sequence_.empty()) wrong = "expected one column after SEQUENCE BY";
    } else if (IsWord("VALID") && valid_.empty() && shape_.history) {
      ++at_;
      if (!Columns("VALID", &valid_)) return false;
      if (valid_.size() != 2) wrong = "VALID has two columns, since when and until when";
    } else if (IsWord("MAX") && shape_.most < 0) {
      ++at_;
      if (!Number(&shape_.most)) wrong = "MAX is a number of records, 2 or more";
    } else {
      wrong = shape_.history ? "expected SEQUENCE BY, VALID or MAX, each once"
                             : "expected SEQUENCE BY or MAX, each once";
    }
    if (wrong != nullptr) Wrong(wrong);
    return wrong == nullptr;
  }

  static Span LastOf(Span name) { return {name.end - 1, name.end}; }

  // (a, b)
  bool Columns(std::string_view clause, std::vector<Span>* out) {
    if (!Take('(')) {
      Wrong(fmt::format("expected '(' after {}", clause));
      return false;
    }
    do {
      const Span name = TakeName();
      if (name.empty()) {
        Wrong(fmt::format("{} takes names of columns", clause));
        return false;
      }
      for (const Span& other : *out) {
        const Token &a = tokens_[other.end - 1], &b = tokens_[name.end - 1];
        if (!SameName(TokenValue(a, text_), TokenValue(b, text_))) continue;
        at_ = name.begin;
        Wrong(fmt::format("{} names {} twice", clause, TokenValue(b, text_)));
        return false;
      }
      out->push_back(name);
    } while (Take(','));
    if (Take(')')) return true;
    Wrong(fmt::format("expected ',' or ')' in {}", clause));
    return false;
  }

  bool Number(int64_t* out) {
    const std::string_view word = Word(0);
    const auto [end, error] =
        std::from_chars(word.data(), word.data() + word.size(), *out);
    if (error != std::errc() || end != word.data() + word.size() || *out < 2)
      return false;
    ++at_;
    return true;
  }

  void Column(Span name, const std::string& as, bool is_first) {
    if (!is_first) Say(", ");
    Copy(name);
    Say(" AS " + as);
  }

  ResolveShape shape_;
  std::vector<Span> records_, values_, valid_;
  Span sequence_;
};

// "r0, r1" with a pattern in which {} is the number.
std::string Each(size_t count, std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < count; ++i)
    out += (i == 0 ? "" : ", ") + fmt::format(fmt::runtime(pattern), i);
  return out;
}

// Who reaches whom, by the least number: `nodes` gives columns `keys`, n; `edges` gives
// `keys`, a, b.
std::string Reached(std::string_view name, std::string_view nodes, std::string_view edges,
                    std::string_view keys) {
  // "g, t, ", "weir_e.g AS g, weir_e.t AS t, ", " AND weir_e.g = weir_r.g …"
  std::string list, named, group, same, same_known;
  for (const char key : keys) {
    list += fmt::format("{}, ", key);
    named += fmt::format("weir_edge.{0} AS {0}, ", key);
    group += fmt::format("weir_edge.{}, ", key);
    same += fmt::format("weir_edge.{0} = {1}.{0} AND ", key, name);
    same_known += fmt::format("weir_known.{0} = weir_edge.{0} AND ", key);
  }
  return fmt::format(
      ", {0}({1}n, l) USING KEY ({1}n) AS (SELECT DISTINCT {1}n, n AS l FROM {2} UNION "
      "SELECT {3}weir_edge.b AS n, min({0}.l) AS l FROM {0} JOIN {4} AS weir_edge ON "
      "{5}weir_edge.a = {0}.n JOIN recurring.{0} AS weir_known ON {6}weir_known.n = "
      "weir_edge.b WHERE {0}.l < weir_known.l GROUP BY {7}weir_edge.b)",
      name, list, nodes, named, edges, same, same_known, group);
}

// A value leads each of its nodes to the first of them and back, so that there are no
// more edges than rows.
std::string Edges(std::string_view name, std::string_view nodes, size_t values,
                  std::string_view keys, int64_t most) {
  std::string list, named, same, group;
  for (const char key : keys) {
    list += fmt::format("{}, ", key);
    named += fmt::format("{0} AS {0}0, ", key);
    same += fmt::format("{0} = {0}0 AND ", key);
    group += fmt::format("{}, ", key);
  }
  std::string out = fmt::format(", {}_one_way AS (", name);
  for (size_t i = 0; i < values; ++i) {
    out += fmt::format(
        "{0}SELECT {1}n AS a, b FROM {2} JOIN (SELECT {3}v{4} AS v, min(n) AS b FROM {2} "
        "WHERE v{4} IS NOT NULL GROUP BY {5}v{4}{6}) AS weir_value ON {7}v{4} = v",
        i == 0 ? "" : " UNION ALL ", list, nodes, named, i, group,
        most < 0 ? "" : fmt::format(" HAVING count(DISTINCT n) <= {}", most), same);
  }
  return out + fmt::format(
                   "), {0} AS (SELECT {1}a, b FROM {0}_one_way UNION SELECT {1}b AS a, a "
                   "AS b FROM {0}_one_way)",
                   name, list);
}

// Records are numbered in their order.
std::string ComponentQueries(const ResolveShape& shape) {
  const std::string records = Each(shape.records, "r{}"),
                    order = Each(shape.records, "r{} ASC NULLS LAST");
  std::string out;
  if (shape.sequence) {
    out += fmt::format(
        ", weir_first AS (SELECT *, min(s) OVER (PARTITION BY {}) AS s0 FROM {})",
        records, kResolveRows);
  }
  out += fmt::format(
      ", weir_numbered AS (SELECT *, dense_rank() OVER (ORDER BY {}{}) AS n FROM {})",
      shape.sequence ? "s0 ASC NULLS LAST, " : "", order,
      shape.sequence ? "weir_first" : kResolveRows);
  out += Edges("weir_edges", "weir_numbered", shape.values, "", shape.most);
  out += Reached("weir_reached", "weir_numbered", "weir_edges", "");
  out += fmt::format(", weir_records AS (SELECT DISTINCT n, {} FROM weir_numbered)",
                     records);
  return out + fmt::format(
                   ", {} AS (SELECT {}, {} FROM weir_records AS weir_record JOIN "
                   "weir_reached ON weir_reached.n = weir_record.n JOIN weir_records AS "
                   "weir_first_record ON weir_first_record.n = weir_reached.l)",
                   kResolveResult, Each(shape.records, "weir_record.r{0} AS r{0}"),
                   Each(shape.records, "weir_first_record.r{0} AS f{0}"));
}

// Regions g are components over all time. At each time t at which something of a region
// begins or ends, its rows that are valid then make components of their own, which hold
// until the next such time. Equal neighbours become one.
std::string HistoryQueries(const ResolveShape& shape) {
  const std::string records = Each(shape.records, "r{}"),
                    firsts = Each(shape.records, "f{}"),
                    order = Each(shape.records, "r{} ASC NULLS LAST");
  const auto add = [](std::string_view name, std::string query) {
    return fmt::format(", {} AS ({})", name, query);
  };
  std::string out = add(
      "weir_valid",
      fmt::format("SELECT *, dense_rank() OVER (ORDER BY {}) AS n FROM {} WHERE since "
                  "IS NOT NULL AND (until IS NULL OR since < until)",
                  order, kResolveRows));
  out += Edges("weir_ever", "weir_valid", shape.values, "", -1);
  out += Reached("weir_region", "weir_valid", "weir_ever", "");
  out +=
      add("weir_placed",
          "SELECT weir_valid.*, weir_region.l AS g FROM weir_valid JOIN weir_region ON "
          "weir_region.n = weir_valid.n");
  out += add("weir_times",
             "SELECT g, since AS t FROM weir_placed UNION SELECT g, until AS t FROM "
             "weir_placed WHERE until IS NOT NULL");
  out += add("weir_spans",
             "SELECT weir_time.g AS g, weir_time.t AS t, min(weir_next.t) AS t1 FROM "
             "weir_times AS weir_time LEFT JOIN weir_times AS weir_next ON weir_next.g = "
             "weir_time.g AND weir_next.t > weir_time.t GROUP BY weir_time.g, "
             "weir_time.t");
  out +=
      add("weir_then",
          fmt::format(
              "SELECT t, t1, weir_placed.* EXCLUDE (n), n AS record, min({}) OVER "
              "(PARTITION BY weir_placed.g, t, n) AS s0 FROM weir_placed JOIN weir_spans "
              "ON weir_spans.g = weir_placed.g AND since <= t AND (until IS NULL OR t < "
              "until)",
              shape.sequence ? "s" : "since"));
  out += add("weir_numbered",
             fmt::format("SELECT *, dense_rank() OVER (PARTITION BY g, t ORDER BY s0 ASC "
                         "NULLS LAST, {}) AS n FROM weir_then",
                         order));
  out += Edges("weir_edges", "weir_numbered", shape.values, "gt", shape.most);
  out += Reached("weir_reached", "weir_numbered", "weir_edges", "gt");
  out += add(
      "weir_records",
      fmt::format("SELECT DISTINCT g, t, t1, n, record, {} FROM weir_numbered", records));
  out += add(
      "weir_states",
      fmt::format("SELECT weir_record.record AS record, weir_record.t AS t, "
                  "weir_record.t1 AS t1, weir_first_record.record AS named, {}, {} FROM "
                  "weir_records AS weir_record JOIN weir_reached ON weir_reached.g = "
                  "weir_record.g AND weir_reached.t = weir_record.t AND weir_reached.n = "
                  "weir_record.n JOIN weir_records AS weir_first_record ON "
                  "weir_first_record.g = weir_reached.g AND weir_first_record.t = "
                  "weir_reached.t AND weir_first_record.n = weir_reached.l",
                  Each(shape.records, "weir_record.r{0} AS r{0}"),
                  Each(shape.records, "weir_first_record.r{0} AS f{0}")));
  out +=
      add("weir_begun",
          "SELECT weir_state.*, CASE WHEN weir_before.record IS NULL THEN 1 ELSE 0 END "
          "AS begins FROM weir_states AS weir_state LEFT JOIN weir_states AS "
          "weir_before ON weir_before.record = weir_state.record AND weir_before.named "
          "= weir_state.named AND weir_before.t1 = weir_state.t");
  out +=
      add("weir_runs",
          "SELECT *, sum(begins) OVER (PARTITION BY record, named ORDER BY t ASC NULLS "
          "LAST) AS run FROM weir_begun");
  return out +
         add(kResolveResult,
             fmt::format("SELECT {0}, {1}, min(t) AS since, CASE WHEN count(*) = "
                         "count(t1) THEN max(t1) END AS until FROM weir_runs GROUP BY "
                         "record, named, run, {0}, {1}",
                         records, firsts));
}

}  // namespace

std::string ResolveQueries(const ResolveShape& shape) {
  return shape.history ? HistoryQueries(shape) : ComponentQueries(shape);
}

bool IsResolve(const std::vector<Token>& tokens, size_t at, std::string_view text) {
  return at + 2 < tokens.size() && tokens[at].kind == TokenKind::kWord &&
         (SameName(tokens[at].In(text), kResolve) ||
          SameName(tokens[at].In(text), kHistory)) &&
         tokens[at + 1].In(text) == "(" && SameName(tokens[at + 2].In(text), "TABLE");
}

std::optional<ExpandedText> ExpandResolve(const std::vector<Token>& tokens, size_t at,
                                          std::string_view text,
                                          const CallProblem& problem) {
  return Expander(tokens, at, text, problem).Expand();
}

}  // namespace weir::sql
