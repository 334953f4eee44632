#include "sql/resolve.h"

#include <fmt/format.h>

#include <charconv>

namespace weir::sql {
namespace {

using data::SameName;

constexpr std::string_view kUsage =
    "RESOLVE(TABLE t, RECORD (source, id), BY (email, phone), SEQUENCE BY seen_at, MAX "
    "100)";

class Expander : private CallText {
 public:
  using CallText::CallText;

  std::optional<ExpandedText> Expand() {
    at_ += 3;  // RESOLVE ( TABLE
    const Span table = TakeName();
    if (table.empty()) return Wrong("expected a table");
    if (!Take(',') || !TakeWord("RECORD")) return Wrong("expected RECORD (columns)");
    std::vector<Span> records, values;
    if (!Columns("RECORD", &records)) return std::nullopt;
    if (!Take(',') || !TakeWord("BY")) return Wrong("expected BY (columns)");
    if (!Columns("BY", &values)) return std::nullopt;
    ResolveShape shape{records.size(), values.size()};
    Span sequence;
    while (Take(',')) {
      if (IsWord("SEQUENCE") && IsWord("BY", 1) && sequence.empty()) {
        at_ += 2;
        sequence = TakeName();
        if (sequence.empty()) return Wrong("expected one column after SEQUENCE BY");
        shape.sequence = true;
      } else if (IsWord("MAX") && shape.most < 0) {
        ++at_;
        if (!Number(&shape.most)) return Wrong("MAX is a number of records, 2 or more");
      } else {
        return Wrong("expected SEQUENCE BY or MAX, each once");
      }
    }
    if (!Take(')')) return Wrong("expected ')'");

    Say(fmt::format("(WITH RECURSIVE {} AS (SELECT ", kResolveRows));
    for (size_t i = 0; i < records.size(); ++i) Column(records[i], "r", i, i == 0);
    for (size_t i = 0; i < values.size(); ++i) Column(values[i], "v", i, false);
    if (shape.sequence) {
      Say(", ");
      Copy(sequence);
      Say(" AS s");
    }
    Say(" FROM ");
    Copy(table);
    Say(")" + ResolveQueries(shape) + " SELECT ");
    std::string first;
    for (size_t i = 0; i < records.size(); ++i) {
      Say(fmt::format("r{} AS ", i));
      Copy(LastOf(records[i]));
      Say(", ");
      first += fmt::format("{}CAST(f{} AS VARCHAR)", i == 0 ? "" : ", ", i);
    }
    Say(fmt::format("md5(CAST(to_json([{}]) AS VARCHAR)) AS unified_id FROM {})", first,
                    kResolveResult));
    return Finish();
  }

 private:
  std::optional<ExpandedText> Wrong(const std::string& what) {
    return CallText::Wrong("RESOLVE: " + what, fmt::format("write {}", kUsage));
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

  void Column(Span name, const char* prefix, size_t number, bool is_first) {
    if (!is_first) Say(", ");
    Copy(name);
    Say(fmt::format(" AS {}{}", prefix, number));
  }
};

// "r0, r1" with a pattern in which {} is the number.
std::string Each(size_t count, std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < count; ++i)
    out += (i == 0 ? "" : ", ") + fmt::format(fmt::runtime(pattern), i);
  return out;
}

}  // namespace

// Records are numbered in their order. A value leads each of its records to the first of
// them and back, so that there are no more edges than rows. The least number reaches all
// records of a component.
std::string ResolveQueries(const ResolveShape& shape) {
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
  out += ", weir_links AS (";
  for (size_t i = 0; i < shape.values; ++i) {
    out += fmt::format(
        "{0}SELECT n AS a, b FROM weir_numbered JOIN (SELECT v{1} AS v, min(n) AS b FROM "
        "weir_numbered WHERE v{1} IS NOT NULL GROUP BY v{1}{2}) AS weir_value ON v{1} = "
        "v",
        i == 0 ? "" : " UNION ALL ", i,
        shape.most < 0 ? "" : fmt::format(" HAVING count(DISTINCT n) <= {}", shape.most));
  }
  out +=
      "), weir_edges AS (SELECT a, b FROM weir_links UNION SELECT b AS a, a AS b FROM "
      "weir_links)";
  out +=
      ", weir_reached(n, l) USING KEY (n) AS (SELECT DISTINCT n, n AS l FROM "
      "weir_numbered UNION SELECT weir_edges.b AS n, min(weir_reached.l) AS l FROM "
      "weir_reached JOIN weir_edges ON weir_edges.a = weir_reached.n JOIN "
      "recurring.weir_reached AS weir_known ON weir_known.n = weir_edges.b WHERE "
      "weir_reached.l < weir_known.l GROUP BY weir_edges.b)";
  out += fmt::format(", weir_records AS (SELECT DISTINCT n, {} FROM weir_numbered)",
                     records);
  out += fmt::format(
      ", {} AS (SELECT {}, {} FROM weir_records AS weir_record JOIN weir_reached ON "
      "weir_reached.n = weir_record.n JOIN weir_records AS weir_first_record ON "
      "weir_first_record.n = weir_reached.l)",
      kResolveResult, Each(shape.records, "weir_record.r{0} AS r{0}"),
      Each(shape.records, "weir_first_record.r{0} AS f{0}"));
  return out;
}

bool IsResolve(const std::vector<Token>& tokens, size_t at, std::string_view text) {
  return at + 2 < tokens.size() && tokens[at].kind == TokenKind::kWord &&
         SameName(tokens[at].In(text), "RESOLVE") && tokens[at + 1].In(text) == "(" &&
         SameName(tokens[at + 2].In(text), "TABLE");
}

std::optional<ExpandedText> ExpandResolve(const std::vector<Token>& tokens, size_t at,
                                          std::string_view text,
                                          const CallProblem& problem) {
  return Expander(tokens, at, text, problem).Expand();
}

}  // namespace weir::sql
