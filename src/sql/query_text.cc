// The query of a statement: the user's text with STREAM markers, time windows, RESOLVE
// and EMIT replaced by what they mean.
#include <fmt/format.h>

#include <algorithm>

#include "data/type.h"
#include "sql/decay.h"
#include "sql/resolve.h"
#include "sql/statement_internal.h"
#include "sql/time_windows.h"

namespace weir::sql {
namespace {

using data::SameName;

// Words that may follow a table named STREAM; anything else after it is the table the
// stream is of.
const std::vector<std::string> kAfterTable = {
    "AS",    "WHERE", "GROUP", "ORDER",  "JOIN",   "LEFT",   "RIGHT",   "FULL",
    "INNER", "CROSS", "LIMIT", "ON",     "USING",  "UNION",  "EXCEPT",  "INTERSECT",
    "ASOF",  "SEMI",  "ANTI",  "SELECT", "HAVING", "WINDOW", "QUALIFY", "NATURAL"};

class QueryReader : StatementReader {
 public:
  QueryReader(FileTokens& file, QueryText* out) : StatementReader(file), out_(*out) {}

  bool Read() {
    if (!IsWord("SELECT") && !IsWord("WITH") && !IsWord("FROM") && !IsSymbol('(') &&
        !IsWord("VALUES")) {
      return Expected("SELECT", Suggestion({"SELECT", "WITH", "FROM"}));
    }
    from_ = At().begin;
    size_t last_end = from_;
    bool on_close = false;
    out_.origins = {{0, from_}};
    for (; !IsEnd(); Skip()) {
      if (IsWord("EMIT") && IsWord("ON", 1) && IsWord("WINDOW", 2)) {
        if (!IsWord("CLOSE", 3)) return Expected("EMIT ON WINDOW CLOSE");
        Skip(4);
        on_close = true;
        if (IsEnd()) break;
        return Expected("the end of the file", "EMIT ON WINDOW CLOSE comes last");
      }
      const auto expand = IsTimeWindow(file_.tokens, file_.next, text_)
                              ? &ExpandTimeWindow
                          : IsResolve(file_.tokens, file_.next, text_) ? &ExpandResolve
                          : IsDecay(file_.tokens, file_.next, text_)   ? &ExpandDecay
                                                                       : nullptr;
      if (expand != nullptr) {
        if (!Expand(expand)) return false;
        last_end = from_;
        continue;
      }
      const size_t stream = StreamTokens();
      last_end = At().end;
      if (stream == 0) continue;
      // Cut "STREAM" or "STREAM (" out; of the second form the ')' too.
      CutOut(At().begin, At(stream).begin);
      Skip(stream);
      out_.stream_inputs.push_back(TakeTableName());
      last_end = At().end;
      if (stream == 2) {
        Skip();
        if (!IsSymbol(')')) return Expected("')' after STREAM(table");
        CutOut(At().begin, At().end);
        last_end = At().end;
      }
    }
    out_.body += text_.substr(from_, last_end - from_);
    if (on_close) OnlyClosedWindows();
    return true;
  }

 private:
  // EMIT ON WINDOW CLOSE: the windows that no row can come to any more.
  void OnlyClosedWindows() {
    constexpr std::string_view kBefore = "SELECT * FROM (",
                               kAfter = "\n) WHERE window_end <= watermark()";
    const size_t begin = out_.origins.front().file;
    for (Origin& origin : out_.origins) origin.body += kBefore.size();
    out_.origins.insert(out_.origins.begin(), {0, begin, true});
    out_.origins.push_back({kBefore.size() + out_.body.size(), begin, true});
    out_.body = fmt::format("{}{}{}", kBefore, out_.body, kAfter);
  }

  // Puts the subquery that a call stands for in its place, leaving the last token of the
  // call current.
  bool Expand(decltype(&ExpandTimeWindow) expand) {
    const auto expanded =
        expand(file_.tokens, file_.next, text_,
               [&](size_t offset, std::string message, std::string fix) {
                 Problem(offset, std::move(message), std::move(fix));
               });
    if (!expanded) return false;
    const size_t begin = At().begin;
    Skip(expanded->tokens - 1);
    CutOut(begin, At().end);
    out_.origins.pop_back();
    for (const ExpandedText::Part& part : expanded->parts) {
      out_.origins.push_back({out_.body.size(), part.begin});
      out_.body += part.text;
    }
    out_.origins.push_back({out_.body.size(), from_});
    return true;
  }

  void CutOut(size_t begin, size_t end) {
    out_.body += text_.substr(from_, begin - from_);
    from_ = end;
    out_.origins.push_back({out_.body.size(), end});
  }

  // How many tokens a STREAM marker at the current place has; 0: there is none.
  size_t StreamTokens() const {
    if (!IsWord("STREAM") || file_.next == 0) return 0;
    const std::string_view before = file_.tokens[file_.next - 1].In(text_);
    if (!SameName(before, "FROM") && !SameName(before, "JOIN")) return 0;
    if (IsSymbol('(', 1) && IsName(2)) return 2;
    const bool is_table =
        At(1).kind == TokenKind::kQuoted ||
        (At(1).kind == TokenKind::kWord &&
         std::none_of(kAfterTable.begin(), kAfterTable.end(),
                      [&](const std::string& word) { return IsWord(word, 1); }));
    return is_table ? 1 : 0;
  }

  // "bronze.rides", leaving the last token of the name current.
  std::string TakeTableName() {
    std::string name = data::LowerName(TokenValue(At(), text_));
    while (IsSymbol('.', 1) && IsName(2)) {
      Skip(2);
      name += "." + data::LowerName(TokenValue(At(), text_));
    }
    return name;
  }

  QueryText& out_;
  size_t from_ = 0;  // in the file: what is before stands in the body
};

}  // namespace

bool StatementReader::Query(QueryText* out) { return QueryReader(file_, out).Read(); }

}  // namespace weir::sql
