#include "sql/time_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/type.h"

namespace weir::sql {
namespace {

using data::SameName;

struct Kind {
  std::string_view name, usage;
  int intervals, intervals_max;
};
constexpr std::array kKinds = {
    Kind{"TUMBLE", "TUMBLE(TABLE t, DESCRIPTOR(ts), size)", 1, 2},
    Kind{"HOP", "HOP(TABLE t, DESCRIPTOR(ts), slide, size)", 2, 2},
    Kind{"CUMULATE", "CUMULATE(TABLE t, DESCRIPTOR(ts), step, size)", 2, 2},
    Kind{"SESSION", "SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), gap, MAX length)", 1,
         2}};

class Expander : private CallText {
 public:
  Expander(const std::vector<Token>& tokens, size_t at, std::string_view text,
           const CallProblem& problem)
      : CallText(tokens, at, text, problem) {
    for (const Kind& kind : kKinds) {
      if (SameName(kind.name, Word(0))) kind_ = &kind;
    }
  }

  std::optional<ExpandedText> Expand() {
    at_ += 3;  // TUMBLE ( TABLE
    table_ = TakeName();
    if (table_.begin == table_.end) return Wrong("expected a table");
    if (SameName(Word(0), "PARTITION") && SameName(Word(1), "BY")) {
      if (kind_->name != "SESSION") return Wrong("only SESSION has PARTITION BY");
      at_ += 2;
      const bool list = IsSymbol('(');
      if (list) ++at_;
      do {
        keys_.push_back(TakeName());
        if (keys_.back().empty()) return Wrong("expected a column");
      } while (TakeKeyComma(list));
      if (list && !Take(')')) return Wrong("expected ')'");
    }
    if (!Take(',') || !SameName(Word(0), "DESCRIPTOR"))
      return Wrong("expected DESCRIPTOR");
    ++at_;
    if (!Take('(')) return Wrong("expected '('");
    time_ = TakeName();
    if (time_.empty() || !Take(')')) return Wrong("expected one column and ')'");
    while (Take(',')) {
      if (kind_->name == "SESSION" && !intervals_.empty() && !TakeWord("MAX"))
        return Wrong("expected MAX before its second interval");
      const Span interval = TakeArgument();
      if (interval.empty()) return Wrong("expected an interval");
      if (!CheckInterval(kind_->name, interval, "its sizes are intervals",
                         "group by date_trunc('{}', …)"))
        return std::nullopt;
      intervals_.push_back(interval);
    }
    if (!Take(')')) return Wrong("expected ')'");
    const int count = static_cast<int>(intervals_.size());
    if (count < kind_->intervals || count > kind_->intervals_max)
      return Wrong(fmt::format("{} intervals are given", count));
    if (kind_->name == "TUMBLE") {
      Tumble();
    } else if (kind_->name == "SESSION") {
      Session();
    } else {
      Several(kind_->name == "HOP");
    }
    return Finish();
  }

 private:
  std::optional<ExpandedText> Wrong(const std::string& what) {
    return CallText::Wrong(fmt::format("{}: {}", kind_->name, what),
                           fmt::format("write {}", kind_->usage));
  }

  // Without brackets the keys end before DESCRIPTOR.
  bool TakeKeyComma(bool list) {
    if (!IsSymbol(',') || (!list && SameName(Word(1), "DESCRIPTOR"))) return false;
    ++at_;
    return true;
  }

  // Our words with, in the place of each %t %s %0 %1, the time column, the table and the
  // intervals.
  void Write(std::string_view pattern) {
    CallText::Write(pattern, [&](char what) {
      return what == 't'   ? time_
             : what == 's' ? table_
                           : intervals_[static_cast<size_t>(what - '0')];
    });
  }

  // The time column, rounded down to a multiple of an interval since 1970.
  void Floor(char size, bool shifted) {
    const std::string w = fmt::format("epoch_us(%{})", size);
    const std::string t =
        shifted ? "(epoch_us(%t) - epoch_us(%1))" : std::string("epoch_us(%t)");
    Write(fmt::format("%t - to_microseconds((({0} %% {1}) + {1}) %% {1})", t, w));
  }

  void Tumble() {
    const bool shifted = intervals_.size() == 2;
    Write("(SELECT *, ");
    Floor('0', shifted);
    Write(" AS window_start, ");
    Floor('0', shifted);
    Write(" + %0 AS window_end FROM %s)");
  }

  void Several(bool hop) {
    Write("(SELECT * EXCLUDE (_weir_n), ");
    Floor(hop ? '0' : '1', false);
    Write(hop ? " - to_microseconds(_weir_n * epoch_us(%0)) AS window_start, "
              : " AS window_start, ");
    Floor(hop ? '0' : '1', false);
    Write(hop ? " - to_microseconds(_weir_n * epoch_us(%0)) + %1 AS window_end "
              : " + to_microseconds((_weir_n + 1) * epoch_us(%0)) AS window_end ");
    Write(
        "FROM (SELECT *, unnest(range(0, CAST(ceil(epoch_us(%1) / epoch_us(%0)) AS "
        "BIGINT))) AS _weir_n FROM %s) WHERE window_end > %t)");
  }

  // OVER (PARTITION BY keys ORDER BY time)
  void Over(bool descending = false) {
    Say(" OVER (");
    for (size_t i = 0; i < keys_.size(); ++i) {
      Say(i == 0 ? "PARTITION BY " : ", ");
      Copy(keys_[i]);
    }
    Write(descending ? " ORDER BY %t DESC)" : " ORDER BY %t)");
  }

  // A row begins a session when it is farther than the gap behind the row before, and
  // ends one when the next is. Its session begins at the last beginning up to it and ends
  // at the first end from it on, so that a change matters to no other session. A row
  // without a time is in none.
  void Session() {
    if (intervals_.size() == 2) return Pieces();
    WholeSession();
  }

  // A session longer than MAX is cut at multiples of it from its first row on.
  void Pieces() {
    Write(
        "(SELECT * EXCLUDE (window_start, window_end), window_start + "
        "to_microseconds((epoch_us(%t) - epoch_us(window_start)) // epoch_us(%1) * "
        "epoch_us(%1)) AS window_start, least(window_end, window_start + "
        "to_microseconds(((epoch_us(%t) - epoch_us(window_start)) // epoch_us(%1) + 1) * "
        "epoch_us(%1))) AS window_end FROM ");
    WholeSession();
    Write(")");
  }

  void WholeSession() {
    Write(
        "(SELECT * EXCLUDE (_weir_begins, _weir_ends), CASE WHEN %t IS NOT NULL THEN "
        "max(_weir_begins)");
    Over();
    Write(" END AS window_start, CASE WHEN %t IS NOT NULL THEN min(_weir_ends)");
    Over(/*descending=*/true);
    Write(
        " END + %0 AS window_end FROM (SELECT *, CASE WHEN coalesce(epoch_us(%t) - "
        "epoch_us(lag(%t)");
    Over();
    Write(
        ") > epoch_us(%0), true) THEN %t END AS _weir_begins, CASE WHEN "
        "coalesce(epoch_us(lead(%t)");
    Over();
    Write(") - epoch_us(%t) > epoch_us(%0), true) THEN %t END AS _weir_ends FROM %s))");
  }

  const Kind* kind_ = nullptr;
  Span table_, time_;
  std::vector<Span> keys_, intervals_;
};

}  // namespace

bool IsTimeWindow(const std::vector<Token>& tokens, size_t at, std::string_view text) {
  if (at + 2 >= tokens.size() || tokens[at].kind != TokenKind::kWord ||
      tokens[at + 1].In(text) != "(" || !SameName(tokens[at + 2].In(text), "TABLE"))
    return false;
  return std::any_of(kKinds.begin(), kKinds.end(), [&](const Kind& kind) {
    return SameName(kind.name, tokens[at].In(text));
  });
}

std::optional<ExpandedText> ExpandTimeWindow(const std::vector<Token>& tokens, size_t at,
                                             std::string_view text,
                                             const CallProblem& problem) {
  return Expander(tokens, at, text, problem).Expand();
}

}  // namespace weir::sql
