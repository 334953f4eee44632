// CREATE FLOW … AS AUTO CDC INTO … and … AS INSERT INTO ….
#include <fmt/format.h>

#include <algorithm>

#include "data/type.h"
#include "sql/statement_internal.h"

namespace weir::sql {
namespace {

const std::vector<std::string> kCdcClauses = {"KEYS",    "SEQUENCE", "APPLY", "IGNORE",
                                              "COLUMNS", "STORED",   "TRACK"};

class FlowReader : StatementReader {
 public:
  FlowReader(FileTokens& file, Flow* out) : StatementReader(file), flow_(*out) {}

  bool Read() {
    Skip();  // FLOW
    flow_.source = file_.source;
    flow_.begin = At().begin;
    do {
      if (!IsName()) return Expected("the flow's name", "CREATE FLOW name AS …");
      flow_.name +=
          (flow_.name.empty() ? "" : ".") + data::LowerName(TokenValue(At(), text_));
      Skip();
    } while (TakeSymbol('.'));
    if (IsWord("COMMENT") && At(1).kind == TokenKind::kString) Skip(2);
    if (!TakeWord("AS")) return Expected("AS", "CREATE FLOW name AS AUTO CDC INTO …");
    if (TakeWord("INSERT")) return Insert();
    if (TakeWord("AUTO"))
      return TakeWord("CDC") ? Cdc() : Expected("CDC", Suggestion({"CDC"}));
    if (IsWord("APPLY")) return Expected("AUTO CDC INTO", "write AUTO CDC INTO");
    return Expected("AUTO CDC INTO or INSERT INTO", Suggestion({"AUTO", "INSERT"}));
  }

 private:
  bool Into() {
    return (TakeWord("INTO") || Expected("INTO", Suggestion({"INTO"}))) &&
           TableName("the target", &flow_.target);
  }

  bool Insert() {
    if (IsWord("ONCE")) {
      return Expected("INTO", "leave ONCE out: a flow goes on from where it is");
    }
    if (!Into()) return false;
    if (TakeWord("BY")) {
      if (!TakeWord("NAME")) return Expected("NAME", Suggestion({"NAME"}));
      flow_.by_name = true;
    }
    const size_t begin = At().begin;
    if (!Query(&flow_.query)) return false;
    if (!flow_.query.stream_inputs.empty()) return true;
    return Problem(begin, "a flow reads at least one table as a stream",
                   "write FROM STREAM table");
  }

  bool Cdc() {
    flow_.cdc.emplace();
    CdcRule& cdc = *flow_.cdc;
    if (!Into()) return false;
    if (!TakeWord("FROM")) return Expected("FROM", Suggestion({"FROM"}));
    if (!Source(&cdc)) return false;
    while (!IsEnd()) {
      if (!Clause(&cdc)) return false;
    }
    if (cdc.keys.empty())
      return Expected("KEYS (…)", "say which columns tell the rows of the target apart");
    if (cdc.sequence.text.empty())
      return Expected("SEQUENCE BY …", "say which of two changes is the later one");
    if (!stored_) return Expected("STORED AS SCD TYPE 1 or 2");
    if (has_tracked_ && cdc.scd_type == 1) {
      return Problem(tracked_at_, "TRACK HISTORY ON is of SCD TYPE 2: type 1 has none",
                     "write STORED AS SCD TYPE 2, or leave TRACK HISTORY ON out");
    }
    return true;
  }

  // t, STREAM t, STREAM(t)
  bool Source(CdcRule* cdc) {
    bool closes = false;
    if (IsWord("STREAM") && (IsSymbol('(', 1) || (IsName(1) && !IsWord("KEYS", 1)))) {
      cdc->is_stream = true;
      Skip();
      closes = TakeSymbol('(');
    }
    const size_t begin = At().begin;
    if (IsSymbol('(')) {
      return Expected("a table",
                      "make the query a VIEW of its own and name that behind FROM");
    }
    if (!TableName("the source", &cdc->source_name)) return false;
    cdc->source = Text(begin);
    return !closes || TakeSymbol(')') || Expected("')'");
  }

  bool Clause(CdcRule* cdc) {
    const size_t begin = At().begin;
    if (TakeWord("KEYS")) return Once("KEYS", begin) && Names(&cdc->keys);
    if (TakeWord("SEQUENCE")) {
      if (!Once("SEQUENCE BY", begin)) return false;
      return (TakeWord("BY") || Expected("BY")) && Expression(&cdc->sequence);
    }
    if (TakeWord("APPLY")) return Apply(cdc, begin);
    if (TakeWord("IGNORE")) {
      cdc->ignore_nulls = true;
      if (!Once("IGNORE NULL UPDATES", begin)) return false;
      return (TakeWord("NULL") || Expected("NULL UPDATES")) &&
             (TakeWord("UPDATES") || Expected("UPDATES", Suggestion({"UPDATES"})));
    }
    if (TakeWord("COLUMNS")) return Once("COLUMNS", begin) && Columns(&cdc->columns);
    if (TakeWord("STORED")) return Once("STORED AS", begin) && Stored(cdc);
    if (TakeWord("TRACK")) {
      has_tracked_ = true;
      tracked_at_ = begin;
      if (!Once("TRACK HISTORY ON", begin)) return false;
      return (TakeWord("HISTORY") || Expected("HISTORY", Suggestion({"HISTORY"}))) &&
             (TakeWord("ON") || Expected("ON")) && Columns(&cdc->tracked);
    }
    if (IsWord("WHERE")) {
      return Expected(
          "a clause of AUTO CDC",
          "make the filtered rows a VIEW of their own and name it behind FROM");
    }
    std::string fix = Suggestion(kCdcClauses);
    if (fix.empty()) {
      fix =
          "clauses are KEYS, SEQUENCE BY, APPLY AS DELETE WHEN, APPLY AS TRUNCATE WHEN, "
          "IGNORE NULL UPDATES, COLUMNS, STORED AS SCD TYPE, TRACK HISTORY ON";
    }
    return Expected("a clause of AUTO CDC", fix);
  }

  bool Apply(CdcRule* cdc, size_t begin) {
    if (!TakeWord("AS")) return Expected("AS DELETE WHEN or AS TRUNCATE WHEN");
    const bool is_delete = IsWord("DELETE");
    if (!TakeWord("DELETE") && !TakeWord("TRUNCATE"))
      return Expected("DELETE or TRUNCATE", Suggestion({"DELETE", "TRUNCATE"}));
    if (!Once(is_delete ? "APPLY AS DELETE WHEN" : "APPLY AS TRUNCATE WHEN", begin))
      return false;
    if (!TakeWord("WHEN")) return Expected("WHEN and a condition", Suggestion({"WHEN"}));
    return Expression(is_delete ? &cdc->delete_when : &cdc->truncate_when);
  }

  bool Stored(CdcRule* cdc) {
    stored_ = true;
    if (!TakeWord("AS") || !TakeWord("SCD") || !TakeWord("TYPE"))
      return Expected("STORED AS SCD TYPE 1 or 2");
    if (Word() != "1" && Word() != "2")
      return Expected("1 or 2", "1 keeps the newest row of a key, 2 all its versions");
    cdc->scd_type = Word() == "1" ? 1 : 2;
    Skip();
    return true;
  }

  // (a, b) · * EXCEPT (a, b)
  bool Columns(ColumnList* list) {
    if (!TakeSymbol('*')) {
      list->all_but = false;
      return Names(&list->names);
    }
    if (!TakeWord("EXCEPT") && !TakeWord("EXCLUDE")) return true;
    return Names(&list->names);
  }

  // An expression: all up to the next clause.
  bool Expression(Written* out) {
    const size_t begin = At().begin;
    int depth = 0, cases = 0;
    while (At().kind != TokenKind::kEnd) {
      if (depth == 0 && cases == 0 && (IsEnd() || BeginsClause())) break;
      depth += IsSymbol('(') || IsSymbol('[') || IsSymbol('{')   ? 1
               : IsSymbol(')') || IsSymbol(']') || IsSymbol('}') ? -1
                                                                 : 0;
      if (depth < 0) return Expected("a clause of AUTO CDC");
      cases += IsWord("CASE") ? 1 : IsWord("END") && cases > 0 ? -1 : 0;
      Skip();
    }
    if (At().begin == begin) return Expected("an expression");
    *out = Text(begin);
    return true;
  }

  // Words that are names too: two of them make a clause.
  bool BeginsClause() const {
    return (IsWord("KEYS") && IsSymbol('(', 1)) ||
           (IsWord("SEQUENCE") && IsWord("BY", 1)) ||
           (IsWord("APPLY") && IsWord("AS", 1)) ||
           (IsWord("IGNORE") && IsWord("NULL", 1)) ||
           (IsWord("COLUMNS") && (IsSymbol('(', 1) || IsSymbol('*', 1))) ||
           (IsWord("STORED") && IsWord("AS", 1)) ||
           (IsWord("TRACK") && IsWord("HISTORY", 1));
  }

  // From `begin` to the token before this one.
  Written Text(size_t begin) const {
    const size_t end = file_.tokens[file_.next - 1].end;
    return {std::string(text_.substr(begin, end - begin)), begin};
  }

  Flow& flow_;
  bool stored_ = false, has_tracked_ = false;
  size_t tracked_at_ = 0;
};

}  // namespace

bool ReadFlow(FileTokens& file, Flow* out) { return FlowReader(file, out).Read(); }

}  // namespace weir::sql
