#include "sql/decay.h"

#include <fmt/format.h>

namespace weir::sql {
namespace {

using data::SameName;

constexpr std::string_view kNames[] = {"decay_sum", "decayed"};
constexpr std::string_view kUsages[] = {"decay_sum(value, ts, INTERVAL 12 HOUR)",
                                        "decayed(stored, at, INTERVAL 12 HOUR)"};
// log2 of a row's share. error() would be plainer, but DuckDB takes it into no TRY.
constexpr std::string_view kShare =
    "CASE WHEN %0 > 0 AND isfinite(CAST(%0 AS DOUBLE)) THEN log2(CAST(%0 AS DOUBLE)) + "
    "epoch_us(%1) / epoch_us(%2) WHEN %0 = 0 OR %0 IS NULL THEN NULL ELSE "
    "CAST('decay_sum takes numbers of 0 or more' AS DOUBLE) END";

class Expander : private CallText {
 public:
  using CallText::CallText;

  std::optional<ExpandedText> Expand() {
    call_ = SameName(Word(0), kNames[0]) ? 0 : 1;
    at_ += 2;  // decayed (
    std::vector<Span> arguments;
    const auto write = [&](std::string_view pattern) {
      Write(pattern, [&](char c) { return arguments[static_cast<size_t>(c - '0')]; });
    };
    do {
      arguments.push_back(TakeArgument());
      if (arguments.back().empty()) return Wrong("expected an argument");
    } while (Take(','));
    if (!Take(')')) return Wrong("expected ')'");
    if (arguments.size() != 3)
      return Wrong(fmt::format("{} arguments are given", arguments.size()));
    if (!CheckInterval(kNames[call_], arguments[2], "its half-life is an interval",
                       "write it in days"))
      return std::nullopt;
    if (call_ == 1) {
      write("coalesce(pow(2, %0 - epoch_us(%1) / epoch_us(%2)), 0)");
      return Finish();
    }
    if (IsWord("OVER")) return Wrong("it is no window function");
    Span filter;
    if (IsWord("FILTER") && IsSymbol('(', 1)) {
      at_ += 2;
      TakeWord("WHERE");
      filter = TakeArgument();
      if (filter.empty() || !Take(')')) return Wrong("expected a condition and ')'");
    }
    Say("list_reduce(list_sort(list(");
    write(kShare);
    Say(") FILTER (WHERE ");
    write(kShare);
    Say(" IS NOT NULL");
    if (!filter.empty()) {
      Say(" AND (");
      Copy(filter);
      Say(")");
    }
    Say(fmt::format("), 'DESC'), {})", kLogSumLambda));
    return Finish();
  }

 private:
  std::optional<ExpandedText> Wrong(const std::string& what) {
    return CallText::Wrong(fmt::format("{}: {}", kNames[call_], what),
                           fmt::format("write {}", kUsages[call_]));
  }

  size_t call_ = 0;
};

}  // namespace

bool IsDecay(const std::vector<Token>& tokens, size_t at, std::string_view text) {
  return at + 1 < tokens.size() && tokens[at].kind == TokenKind::kWord &&
         tokens[at + 1].In(text) == "(" &&
         (SameName(tokens[at].In(text), kNames[0]) ||
          SameName(tokens[at].In(text), kNames[1])) &&
         (at == 0 || tokens[at - 1].In(text) != ".");
}

std::optional<ExpandedText> ExpandDecay(const std::vector<Token>& tokens, size_t at,
                                        std::string_view text,
                                        const CallProblem& problem) {
  return Expander(tokens, at, text, problem).Expand();
}

}  // namespace weir::sql
