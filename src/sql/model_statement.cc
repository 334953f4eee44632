// CREATE MATERIALIZED VIEW, STREAMING TABLE and VIEW.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "data/type.h"
#include "sql/decay.h"
#include "sql/statement_internal.h"

namespace weir::sql {
namespace {

using data::SameName;

const std::vector<std::string> kClauses = {"KEY",           "PARTITIONED",      "CLUSTER",
                                           "CONSTRAINT",    "TARGET_LAG",       "COMMENT",
                                           "TBLPROPERTIES", "NONDETERMINISTIC", "AS"};

std::optional<int64_t> UnitMicros(std::string_view unit) {
  constexpr int64_t kSecond = 1000000;
  const std::pair<const char*, int64_t> units[] = {{"millisecond", kSecond / 1000},
                                                   {"ms", kSecond / 1000},
                                                   {"second", kSecond},
                                                   {"sec", kSecond},
                                                   {"s", kSecond},
                                                   {"minute", 60 * kSecond},
                                                   {"min", 60 * kSecond},
                                                   {"m", 60 * kSecond},
                                                   {"hour", 3600 * kSecond},
                                                   {"h", 3600 * kSecond},
                                                   {"day", 86400 * kSecond},
                                                   {"d", 86400 * kSecond}};
  for (const auto& [name, micros] : units) {
    if (SameName(name, unit) || SameName(std::string(name) + "s", unit)) return micros;
  }
  return std::nullopt;
}

// "30 seconds", "1 hour 30 minutes"
std::optional<Micros> ParseLag(std::string_view text) {
  const std::vector<Token> tokens = Tokenize(text);
  Micros total = 0;
  size_t i = 0;
  for (; tokens[i].kind == TokenKind::kNumber && tokens[i + 1].kind == TokenKind::kWord;
       i += 2) {
    const std::string_view number = tokens[i].In(text);
    int64_t n = 0;
    const auto read = std::from_chars(number.data(), number.data() + number.size(), n);
    const auto unit = UnitMicros(tokens[i + 1].In(text));
    if (read.ptr != number.data() + number.size() || read.ec != std::errc() || !unit ||
        n > 1000000)
      return std::nullopt;
    total += n * *unit;
  }
  if (i == 0 || tokens[i].kind != TokenKind::kEnd) return std::nullopt;
  return total;
}

class ModelReader : StatementReader {
 public:
  ModelReader(FileTokens& file, Model* out) : StatementReader(file), model_(*out) {}

  bool Read() {
    const size_t before = file_.problems->size();
    if (ReadVerb() && ReadName()) {
      while (ParseClause()) {
      }
    }
    return file_.problems->size() == before;
  }

 private:
  bool ReadVerb() {
    if (TakeWord("OR") && !TakeWord("REFRESH")) {
      return Expected("REFRESH",
                      IsWord("REPLACE")
                          ? "models replace themselves: CREATE, or CREATE OR REFRESH"
                          : Suggestion({"REFRESH"}));
    }
    if (IsWord("TEMPORARY") || IsWord("PRIVATE")) Skip();
    if (TakeWord("MATERIALIZED"))
      return TakeWord("VIEW") || Expected("VIEW", Suggestion({"VIEW"}));
    if (TakeWord("STREAMING")) {
      model_.verb = ModelVerb::kStreamingTable;
      return TakeWord("TABLE") || Expected("TABLE", Suggestion({"TABLE"}));
    }
    model_.verb = ModelVerb::kView;
    if (TakeWord("VIEW")) return true;
    constexpr std::string_view kVerbs =
        "MATERIALIZED VIEW, STREAMING TABLE, VIEW or FLOW";
    if (IsWord("TABLE")) {
      return Expected(kVerbs,
                      "a table is either kept equal to its query (MATERIALIZED VIEW) or "
                      "fed row by row (STREAMING TABLE)");
    }
    return Expected(kVerbs, Suggestion({"MATERIALIZED", "STREAMING", "VIEW", "FLOW"}));
  }

  bool ReadName() {
    if (IsWord("IF") && IsWord("NOT", 1) && IsWord("EXISTS", 2)) Skip(3);
    model_.begin = At().begin;
    if (!TableName("the model", &model_.name)) return false;
    const size_t dot = model_.name.find('.');
    for (const std::string& part :
         {model_.name.substr(0, dot), model_.name.substr(dot + 1)}) {
      if (part.empty() || part[0] == '_' || part.find_first_of("$./\\") != part.npos) {
        return Problem(model_.begin,
                       fmt::format("'{}' cannot be a name: _ in front and the "
                                   "characters $ . / \\ are Weir's own",
                                   part));
      }
    }
    return !IsSymbol('(') || ParseColumnList();
  }

  // (column COMMENT 'text' WITH TAG (name = 'value'), …, CONSTRAINT …)
  bool ParseColumnList() {
    const size_t begin = At().begin;
    do {
      Skip();
      if (TakeWord("CONSTRAINT")) {
        if (!ParseConstraint()) return false;
        continue;
      }
      if (!IsName()) return Expected("a column or CONSTRAINT");
      Written column{TokenValue(At(), text_), At().begin};
      Skip();
      std::string comment;
      const bool has_comment = TakeWord("COMMENT");
      if (has_comment) {
        if (At().kind != TokenKind::kString) return Expected("a text in quotes");
        comment = TokenValue(At(), text_);
        Skip();
      }
      const std::string prefix = std::string(kColumnTagProperty) + column.text + ".";
      if (TakeTag()) {
        if (!ParseTags(prefix)) return false;
      } else if (!has_comment) {
        return Problem(begin, "a model's columns are listed only to comment and tag them",
                       "name them in the SELECT, with AS; here column COMMENT 'text' or "
                       "column WITH TAG (name = 'value')");
      }
      model_.column_comments.emplace_back(std::move(column), std::move(comment));
    } while (IsSymbol(','));
    return TakeSymbol(')') || Expected("',' or ')'");
  }

  // One clause; false when there is nothing more to read.
  bool ParseClause() {
    const size_t begin = At().begin;
    if (TakeWord("AS")) return ParseBody();
    if (IsEnd()) return NoQuery();
    if (IsWord("SELECT") || (IsWord("WITH") && !IsWord("TAG", 1)))
      return Expected("AS before the query", fmt::format("AS {} …", Word()));
    if (TakeWord("KEY")) return Once("KEY", begin) && Names(&model_.key);
    if (TakeWord("PARTITIONED"))
      return Once("PARTITIONED BY", begin) && TakeBy() && ParsePartitions();
    if (TakeWord("CLUSTER"))
      return Once("CLUSTER BY", begin) && TakeBy() && Names(&model_.cluster_by);
    if (TakeWord("CONSTRAINT")) return ParseConstraint();
    if (TakeWord("TARGET_LAG")) return Once("TARGET_LAG", begin) && ParseTargetLag();
    if (TakeWord("COMMENT")) return Once("COMMENT", begin) && ParseComment();
    if (TakeTag()) return Once("TAG", begin) && ParseTags(std::string(kTagProperty));
    if (TakeWord("TBLPROPERTIES"))
      return Once("TBLPROPERTIES", begin) && ParseProperties();
    if (TakeWord("NONDETERMINISTIC")) {
      model_.nondeterministic = true;
      return Once("NONDETERMINISTIC", begin);
    }
    if (IsWord("PRIMARY") && IsWord("KEY", 1))
      return Expected("a clause", "write KEY (…)");
    if (IsWord("PARTITION")) return Expected("a clause", "did you mean PARTITIONED BY?");
    if (IsWord("SCHEDULE") || IsWord("FRESHNESS") || IsWord("REFRESH"))
      return Expected("a clause", "write TARGET_LAG = '30 seconds'");
    std::string fix = Suggestion(kClauses);
    if (fix.empty())
      fix =
          "clauses are KEY, PARTITIONED BY, CLUSTER BY, CONSTRAINT, TARGET_LAG, COMMENT, "
          "WITH TAG, TBLPROPERTIES, NONDETERMINISTIC, AS";
    return Expected("a clause", fix);
  }

  // The query, to the end of the statement. Always returns false: nothing comes after it.
  bool ParseBody() {
    const size_t begin = At().begin;
    model_.has_query = true;
    if (!Query(&model_)) return false;
    if (model_.verb == ModelVerb::kStreamingTable && model_.stream_inputs.empty()) {
      Problem(begin, "a streaming table reads at least one table as a stream",
              "write FROM STREAM table, or make it a MATERIALIZED VIEW");
    } else if (model_.verb != ModelVerb::kStreamingTable &&
               !model_.stream_inputs.empty()) {
      Problem(begin,
              fmt::format("only a streaming table reads FROM STREAM {}",
                          model_.stream_inputs[0]),
              "write CREATE STREAMING TABLE, or leave STREAM out");
    }
    return false;
  }

  // Flows go into a streaming table that is declared without AS.
  bool NoQuery() {
    if (model_.verb == ModelVerb::kStreamingTable) return false;
    return Expected("AS SELECT …");
  }

  bool TakeBy() { return TakeWord("BY") || Expected("BY"); }

  bool ParsePartitions() {
    if (!TakeSymbol('(')) return Expected("'(' and what to partition by");
    do {
      if (!ParsePartitionTerm()) return false;
    } while (TakeSymbol(','));
    return TakeSymbol(')') || Expected("',' or ')'");
  }

  bool ParsePartitionTerm() {
    if (!IsName()) return Expected("a column or a transform of one");
    PartitionTerm term{"identity", 0, TokenValue(At(), text_)};
    const std::vector<std::string> transforms = {"year",   "month",    "day",     "hour",
                                                 "bucket", "truncate", "identity"};
    if (!IsSymbol('(', 1)) {
      Skip();
      model_.partitioned_by.push_back(std::move(term));
      return true;
    }
    term.transform = data::LowerName(term.column);
    if (term.transform.back() == 's')
      term.transform.pop_back();  // Spark's days(), hours()
    if (std::find(transforms.begin(), transforms.end(), term.transform) ==
        transforms.end()) {
      const std::string fix = Suggestion(transforms);
      return Problem(
          At().begin, fmt::format("{} is not a partition transform", Word()),
          fix.empty() ? "year, month, day, hour, bucket(n, column), truncate(n, column)"
                      : fix);
    }
    Skip(2);
    const bool takes_number = term.transform == "bucket" || term.transform == "truncate";
    bool has_column = false;
    do {
      if (takes_number && At().kind == TokenKind::kNumber) {
        const std::string_view number = Word();
        std::from_chars(number.data(), number.data() + number.size(), term.parameter);
      } else if (IsName() && !has_column) {
        term.column = TokenValue(At(), text_);
        has_column = true;
      } else {
        return Expected("a column name");
      }
      Skip();
    } while (TakeSymbol(','));
    if (!has_column) return Expected("a column name");
    if (takes_number && term.parameter <= 0)
      return Expected("a number", fmt::format("{}(16, {})", term.transform, term.column));
    model_.partitioned_by.push_back(std::move(term));
    return TakeSymbol(')') || Expected("')'");
  }

  // After the word CONSTRAINT.
  bool ParseConstraint() {
    Constraint constraint;
    constraint.place = PlaceOf(text_, At().begin);
    if (!IsName() || IsWord("EXPECT"))
      return Expected("the constraint's name", "CONSTRAINT name EXPECT (condition)");
    constraint.name = TokenValue(At(), text_);
    for (const Constraint& other : model_.constraints) {
      if (SameName(other.name, constraint.name))
        return Problem(At().begin,
                       fmt::format("constraint {} is there twice", other.name));
    }
    Skip();
    if (!TakeWord("EXPECT")) {
      return Expected("EXPECT", IsWord("CHECK") ? "write EXPECT (condition)"
                                                : Suggestion({"EXPECT"}));
    }
    const size_t open = At().end, first = file_.next;
    if (!IsSymbol('(') || !SkipParentheses()) return Expected("'(' and a condition");
    for (size_t i = first; i < file_.next; ++i) {
      if (IsDecay(file_.tokens, i, text_))
        return Problem(file_.tokens[i].begin,
                       fmt::format("a constraint does not call {}",
                                   data::LowerName(file_.tokens[i].In(text_))),
                       "make its value a column of the query");
    }
    constraint.condition =
        std::string(text_.substr(open, file_.tokens[file_.next - 1].begin - open));
    if (file_.tokens[file_.next - 1].begin == open)
      return Problem(open, "the condition is empty");
    if (TakeWord("ON")) {
      if (!TakeWord("VIOLATION")) return Expected("VIOLATION", Suggestion({"VIOLATION"}));
      if (!ParseViolation(&constraint.on_violation)) return false;
    }
    model_.constraints.push_back(std::move(constraint));
    return true;
  }

  bool ParseViolation(OnViolation* out) {
    const bool ok =
        (TakeWord("QUARANTINE") && (*out = OnViolation::kQuarantine, true)) ||
        (TakeWord("DROP") && TakeWord("ROW") && (*out = OnViolation::kDropRow, true)) ||
        (TakeWord("FAIL") && TakeWord("UPDATE") &&
         (*out = OnViolation::kFailUpdate, true));
    if (ok) return true;
    const std::string fix = Suggestion({"QUARANTINE", "DROP", "FAIL", "ROW", "UPDATE"});
    return Expected("QUARANTINE, DROP ROW or FAIL UPDATE", fix);
  }

  bool ParseTargetLag() {
    TakeSymbol('=');
    if (At().kind != TokenKind::kString)
      return Expected("a duration in quotes", "TARGET_LAG = '30 seconds'");
    model_.target_lag = ParseLag(TokenValue(At(), text_));
    if (!model_.target_lag)
      return Problem(At().begin, fmt::format("{} is not a duration", Word()),
                     "for example '30 seconds' or '1 hour'");
    Skip();
    return true;
  }

  bool ParseComment() {
    TakeSymbol('=');
    if (At().kind != TokenKind::kString) return Expected("a text in quotes");
    model_.comment = TokenValue(At(), text_);
    Skip();
    return true;
  }

  // [WITH] TAG
  bool TakeTag() {
    if (!IsWord("TAG") && !(IsWord("WITH") && IsWord("TAG", 1))) return false;
    Skip(IsWord("WITH") ? 2 : 1);
    return true;
  }

  // (name = 'value', …): properties of the table, called `prefix` and the name.
  bool ParseTags(const std::string& prefix) {
    if (!TakeSymbol('(')) return Expected("'(' and name = 'value'");
    do {
      const size_t begin = At().begin;
      if (!IsName()) return Expected("a tag's name");
      std::string name = prefix + data::LowerName(TokenValue(At(), text_));
      for (const auto& [other, value] : model_.properties) {
        if (other == name)
          return Problem(begin,
                         fmt::format("tag {} is there twice", name.substr(prefix.size())),
                         "leave one out");
      }
      Skip();
      if (!TakeSymbol('=')) return Expected("'='");
      if (At().kind != TokenKind::kString) return Expected("a text in quotes");
      model_.properties.emplace_back(std::move(name), TokenValue(At(), text_));
      Skip();
    } while (TakeSymbol(','));
    return TakeSymbol(')') || Expected("',' or ')'");
  }

  bool ParseProperties() {
    if (!TakeSymbol('(')) return Expected("'(' and 'name' = 'value'");
    do {
      std::string name;
      do {
        if (!IsName() && At().kind != TokenKind::kString)
          return Expected("a property name");
        name += (name.empty() ? "" : ".") + TokenValue(At(), text_);
        Skip();
      } while (TakeSymbol('.'));
      if (!TakeSymbol('=')) return Expected("'='");
      if (At().kind == TokenKind::kEnd || At().kind == TokenKind::kSymbol)
        return Expected("a value");
      model_.properties.emplace_back(std::move(name), TokenValue(At(), text_));
      Skip();
    } while (TakeSymbol(','));
    return TakeSymbol(')') || Expected("',' or ')'");
  }

  Model& model_;
};

}  // namespace

bool ReadModel(FileTokens& file, Model* out) { return ModelReader(file, out).Read(); }

}  // namespace weir::sql
