#include "sql/model.h"

#include <fmt/format.h>

#include <charconv>

#include "data/type.h"
#include "sql/time_windows.h"
#include "sql/token.h"

namespace weir::sql {
namespace {

using data::SameName;

const std::vector<std::string> kClauses = {"KEY",           "PARTITIONED",      "CLUSTER",
                                           "CONSTRAINT",    "TARGET_LAG",       "COMMENT",
                                           "TBLPROPERTIES", "NONDETERMINISTIC", "AS"};

// Words that may follow a table named STREAM; anything else after it is the table the
// stream is of.
const std::vector<std::string> kAfterTable = {
    "AS",    "WHERE", "GROUP", "ORDER",  "JOIN",   "LEFT",   "RIGHT",   "FULL",
    "INNER", "CROSS", "LIMIT", "ON",     "USING",  "UNION",  "EXCEPT",  "INTERSECT",
    "ASOF",  "SEMI",  "ANTI",  "SELECT", "HAVING", "WINDOW", "QUALIFY", "NATURAL"};

bool IsOneOf(std::string_view word, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& w) { return SameName(w, word); });
}

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

class ModelParser {
 public:
  ModelParser(const std::string& file, std::string_view text,
              std::vector<SqlProblem>* problems)
      : text_(text), tokens_(Tokenize(text)), problems_(problems) {
    model_.file = file;
    model_.text = std::string(text);
  }

  std::optional<Model> Parse() {
    const size_t before = problems_->size();
    if (CheckTokens() && ParseVerb() && ParseName()) {
      while (ParseClause()) {
      }
    }
    if (problems_->size() != before) return std::nullopt;
    return std::move(model_);
  }

 private:
  const Token& At(size_t n = 0) const {
    return tokens_[std::min(next_ + n, tokens_.size() - 1)];
  }
  std::string_view Word(size_t n = 0) const { return At(n).In(text_); }
  bool IsWord(std::string_view word, size_t n = 0) const {
    return At(n).kind == TokenKind::kWord && SameName(Word(n), word);
  }
  bool IsSymbol(char c, size_t n = 0) const {
    return At(n).kind == TokenKind::kSymbol && Word(n)[0] == c;
  }
  bool IsName(size_t n = 0) const {
    return At(n).kind == TokenKind::kWord || At(n).kind == TokenKind::kQuoted;
  }
  bool TakeWord(std::string_view word) { return IsWord(word) && ++next_; }
  bool TakeSymbol(char c) { return IsSymbol(c) && ++next_; }
  std::string Here() const {
    return At().kind == TokenKind::kEnd ? "the end of the file"
                                        : fmt::format("'{}'", Word());
  }

  bool Problem(size_t offset, std::string message, std::string fix = "") {
    problems_->push_back({PlaceOf(text_, offset), std::move(message), std::move(fix),
                          LineOf(text_, offset)});
    return false;
  }
  bool Expected(std::string_view what, std::string fix = "") {
    return Problem(At().begin, fmt::format("expected {}, found {}", what, Here()),
                   std::move(fix));
  }

  bool CheckTokens() {
    for (const Token& token : tokens_) {
      if (token.kind != TokenKind::kBroken) continue;
      const bool comment = text_.substr(token.begin, 2) == "/*";
      return Problem(token.begin,
                     comment ? "this comment never ends" : "this quote is never closed");
    }
    return true;
  }

  bool Later(std::string_view what) {
    return Problem(At().begin, fmt::format("{} comes with a later version", what),
                   "write it as a MATERIALIZED VIEW for now");
  }

  bool ParseVerb() {
    if (At().kind == TokenKind::kEnd) {
      return Problem(0, "this file holds no model",
                     "CREATE MATERIALIZED VIEW schema.name AS SELECT …");
    }
    if (!TakeWord("CREATE")) {
      if (IsWord("APPLY") || IsWord("AUTO")) return Later("AUTO CDC");
      return Expected("CREATE",
                      IsWord("SELECT") || IsWord("WITH")
                          ? "put CREATE MATERIALIZED VIEW schema.name AS before the query"
                          : Suggestion({"CREATE"}));
    }
    if (TakeWord("OR") && !TakeWord("REFRESH")) {
      return Expected("REFRESH",
                      IsWord("REPLACE")
                          ? "models replace themselves: CREATE, or CREATE OR REFRESH"
                          : Suggestion({"REFRESH"}));
    }
    if (IsWord("FLOW")) return Later("CREATE FLOW … AUTO CDC");
    if (IsWord("TEMPORARY") || IsWord("PRIVATE")) ++next_;
    if (TakeWord("MATERIALIZED"))
      return TakeWord("VIEW") || Expected("VIEW", Suggestion({"VIEW"}));
    if (TakeWord("STREAMING")) {
      model_.verb = ModelVerb::kStreamingTable;
      return TakeWord("TABLE") || Expected("TABLE", Suggestion({"TABLE"}));
    }
    model_.verb = ModelVerb::kView;
    if (TakeWord("VIEW")) return true;
    if (IsWord("TABLE")) {
      return Expected("MATERIALIZED VIEW, STREAMING TABLE or VIEW",
                      "a table is either kept equal to its query (MATERIALIZED VIEW) or "
                      "fed row by row (STREAMING TABLE)");
    }
    return Expected("MATERIALIZED VIEW, STREAMING TABLE or VIEW",
                    Suggestion({"MATERIALIZED", "STREAMING", "VIEW", "FLOW"}));
  }

  std::string Suggestion(const std::vector<std::string>& words) const {
    const std::string closest =
        At().kind == TokenKind::kWord ? Closest(Word(), words) : "";
    return closest.empty() ? "" : fmt::format("did you mean {}?", closest);
  }

  bool ParseName() {
    if (IsWord("IF") && IsWord("NOT", 1) && IsWord("EXISTS", 2)) next_ += 3;
    const size_t begin = At().begin;
    std::vector<std::string> parts;
    do {
      if (!IsName()) return Expected("the model's name", "schema.name");
      parts.push_back(data::LowerName(TokenValue(At(), text_)));
      ++next_;
    } while (TakeSymbol('.'));
    if (parts.size() != 2) {
      return Problem(begin, "a model's name has two parts",
                     fmt::format("for example silver.{}", parts.back()));
    }
    for (const std::string& part : parts) {
      if (part.empty() || part[0] == '_' || part.find_first_of("$./\\") != part.npos) {
        return Problem(begin, fmt::format("'{}' cannot be a name: _ in front and the "
                                          "characters $ . / \\ are Weir's own",
                                          part));
      }
    }
    model_.name = parts[0] + "." + parts[1];
    return !IsSymbol('(') || ParseConstraintList();
  }

  bool ParseConstraintList() {
    if (!IsWord("CONSTRAINT", 1)) {
      return Problem(At().begin, "a model does not list its columns",
                     "name them in the SELECT, with AS");
    }
    do {
      ++next_;
      if (!TakeWord("CONSTRAINT")) return Expected("CONSTRAINT");
      if (!ParseConstraint()) return false;
    } while (IsSymbol(','));
    return TakeSymbol(')') || Expected("',' or ')'");
  }

  // One clause; false when there is nothing more to read.
  bool ParseClause() {
    const size_t begin = At().begin;
    if (TakeWord("AS")) return ParseBody();
    if (At().kind == TokenKind::kEnd || IsSymbol(';')) return Expected("AS SELECT …");
    if (IsWord("SELECT") || IsWord("WITH"))
      return Expected("AS before the query", fmt::format("AS {} …", Word()));
    if (TakeWord("KEY")) return Once("KEY", begin) && ParseNames(&model_.key);
    if (TakeWord("PARTITIONED"))
      return Once("PARTITIONED BY", begin) && TakeBy() && ParsePartitions();
    if (TakeWord("CLUSTER"))
      return Once("CLUSTER BY", begin) && TakeBy() && ParseNames(&model_.cluster_by);
    if (TakeWord("CONSTRAINT")) return ParseConstraint();
    if (TakeWord("TARGET_LAG")) return Once("TARGET_LAG", begin) && ParseTargetLag();
    if (TakeWord("COMMENT")) return Once("COMMENT", begin) && ParseComment();
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
          "TBLPROPERTIES, NONDETERMINISTIC, AS";
    return Expected("a clause", fix);
  }

  bool Once(std::string_view clause, size_t begin) {
    if (IsOneOf(clause, seen_))
      return Problem(begin, fmt::format("{} is written twice", clause));
    seen_.emplace_back(clause);
    return true;
  }

  bool TakeBy() { return TakeWord("BY") || Expected("BY"); }

  bool ParseNames(std::vector<std::string>* names) {
    if (!TakeSymbol('(')) return Expected("'(' and column names");
    do {
      if (!IsName()) return Expected("a column name");
      names->push_back(TokenValue(At(), text_));
      ++next_;
    } while (TakeSymbol(','));
    return TakeSymbol(')') || Expected("',' or ')'");
  }

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
      ++next_;
      model_.partitioned_by.push_back(std::move(term));
      return true;
    }
    term.transform = data::LowerName(term.column);
    if (term.transform.back() == 's')
      term.transform.pop_back();  // Spark's days(), hours()
    if (!IsOneOf(term.transform, transforms)) {
      const std::string fix = Suggestion(transforms);
      return Problem(
          At().begin, fmt::format("{} is not a partition transform", Word()),
          fix.empty() ? "year, month, day, hour, bucket(n, column), truncate(n, column)"
                      : fix);
    }
    next_ += 2;
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
      ++next_;
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
    ++next_;
    if (!TakeWord("EXPECT")) {
      return Expected("EXPECT", IsWord("CHECK") ? "write EXPECT (condition)"
                                                : Suggestion({"EXPECT"}));
    }
    const size_t open = At().end;
    if (!IsSymbol('(') || !SkipParentheses()) return Expected("'(' and a condition");
    constraint.condition =
        std::string(text_.substr(open, tokens_[next_ - 1].begin - open));
    if (tokens_[next_ - 1].begin == open) return Problem(open, "the condition is empty");
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

  // From '(' to behind its ')'.
  bool SkipParentheses() {
    int depth = 0;
    do {
      if (At().kind == TokenKind::kEnd) return false;
      depth += IsSymbol('(') ? 1 : IsSymbol(')') ? -1 : 0;
      ++next_;
    } while (depth > 0);
    return true;
  }

  bool ParseTargetLag() {
    TakeSymbol('=');
    if (At().kind != TokenKind::kString)
      return Expected("a duration in quotes", "TARGET_LAG = '30 seconds'");
    model_.target_lag = ParseLag(TokenValue(At(), text_));
    if (!model_.target_lag)
      return Problem(At().begin, fmt::format("{} is not a duration", Word()),
                     "for example '30 seconds' or '1 hour'");
    ++next_;
    return true;
  }

  bool ParseComment() {
    TakeSymbol('=');
    if (At().kind != TokenKind::kString) return Expected("a text in quotes");
    model_.comment = TokenValue(At(), text_);
    ++next_;
    return true;
  }

  bool ParseProperties() {
    if (!TakeSymbol('(')) return Expected("'(' and 'name' = 'value'");
    do {
      std::string name;
      do {
        if (!IsName() && At().kind != TokenKind::kString)
          return Expected("a property name");
        name += (name.empty() ? "" : ".") + TokenValue(At(), text_);
        ++next_;
      } while (TakeSymbol('.'));
      if (!TakeSymbol('=')) return Expected("'='");
      if (At().kind == TokenKind::kEnd || At().kind == TokenKind::kSymbol)
        return Expected("a value");
      model_.properties.emplace_back(std::move(name), TokenValue(At(), text_));
      ++next_;
    } while (TakeSymbol(','));
    return TakeSymbol(')') || Expected("',' or ')'");
  }

  // The query: everything to the end, without STREAM markers and the last semicolon.
  // Always returns false: nothing comes after it.
  bool ParseBody() {
    const size_t first = next_;
    if (!IsWord("SELECT") && !IsWord("WITH") && !IsWord("FROM") && !IsSymbol('(') &&
        !IsWord("VALUES")) {
      return Expected("SELECT", Suggestion({"SELECT", "WITH", "FROM"}));
    }
    size_t file_from = At().begin;
    size_t last_end = file_from;
    bool on_close = false;
    model_.offset_map = {{0, file_from}};
    for (; At().kind != TokenKind::kEnd; ++next_) {
      if (IsSymbol(';')) {
        if (At(1).kind == TokenKind::kEnd) break;
        return Problem(At(1).begin, "a file holds one model",
                       "put the next statement into a file of its own");
      }
      if (IsWord("EMIT") && IsWord("ON", 1) && IsWord("WINDOW", 2)) {
        if (!IsWord("CLOSE", 3)) return Expected("EMIT ON WINDOW CLOSE");
        next_ += 4;
        on_close = true;
        if (IsSymbol(';') && At(1).kind == TokenKind::kEnd) break;
        if (At().kind == TokenKind::kEnd) break;
        return Expected("the end of the file", "EMIT ON WINDOW CLOSE comes last");
      }
      if (IsTimeWindow(tokens_, next_, text_)) {
        if (!TimeWindow(&file_from)) return false;
        last_end = file_from;
        continue;
      }
      const size_t stream = StreamTokens();
      last_end = At().end;
      if (stream == 0) continue;
      // Cut "STREAM" or "STREAM (" out; of the second form the ')' too.
      CutOut(&file_from, At().begin, At(stream).begin);
      next_ += stream;
      model_.stream_inputs.push_back(TakeTableName());
      last_end = At().end;
      if (stream == 2) {
        ++next_;
        if (!IsSymbol(')')) return Expected("')' after STREAM(table");
        CutOut(&file_from, At().begin, At().end);
        last_end = At().end;
      }
    }
    model_.body += text_.substr(file_from, last_end - file_from);
    if (on_close) OnlyClosedWindows();
    CheckStreams(first);
    return false;
  }

  // EMIT ON WINDOW CLOSE: the windows that no row can come to any more.
  void OnlyClosedWindows() {
    constexpr std::string_view kBefore = "SELECT * FROM (",
                               kAfter = "\n) WHERE window_end <= watermark()";
    for (auto& [body, file] : model_.offset_map) body += kBefore.size();
    model_.offset_map.insert(model_.offset_map.begin(),
                             {0, model_.offset_map.front().second});
    model_.offset_map.emplace_back(kBefore.size() + model_.body.size(),
                                   model_.offset_map.front().second);
    model_.body = fmt::format("{}{}{}", kBefore, model_.body, kAfter);
  }

  // Puts the subquery of a time window in the place of its call, leaving the last token
  // of the call current.
  bool TimeWindow(size_t* file_from) {
    const auto expanded = ExpandTimeWindow(
        tokens_, next_, text_, [&](size_t offset, std::string message, std::string fix) {
          Problem(offset, std::move(message), std::move(fix));
        });
    if (!expanded) return false;
    const size_t begin = At().begin;
    next_ += expanded->tokens - 1;
    CutOut(file_from, begin, At().end);
    model_.offset_map.pop_back();
    for (const ExpandedText::Part& part : expanded->parts) {
      model_.offset_map.emplace_back(model_.body.size(), part.begin);
      model_.body += part.text;
    }
    model_.offset_map.emplace_back(model_.body.size(), *file_from);
    return true;
  }

  void CutOut(size_t* file_from, size_t begin, size_t end) {
    model_.body += text_.substr(*file_from, begin - *file_from);
    *file_from = end;
    model_.offset_map.emplace_back(model_.body.size(), end);
  }

  // How many tokens a STREAM marker at the current place has; 0: there is none.
  size_t StreamTokens() const {
    if (!IsWord("STREAM") || next_ == 0) return 0;
    const std::string_view before = tokens_[next_ - 1].In(text_);
    if (!SameName(before, "FROM") && !SameName(before, "JOIN")) return 0;
    if (IsSymbol('(', 1) && IsName(2)) return 2;
    const bool is_table =
        At(1).kind == TokenKind::kQuoted ||
        (At(1).kind == TokenKind::kWord && !IsOneOf(Word(1), kAfterTable));
    return is_table ? 1 : 0;
  }

  // "bronze.rides", leaving the last token of the name current.
  std::string TakeTableName() {
    std::string name = data::LowerName(TokenValue(At(), text_));
    while (IsSymbol('.', 1) && IsName(2)) {
      next_ += 2;
      name += "." + data::LowerName(TokenValue(At(), text_));
    }
    return name;
  }

  void CheckStreams(size_t first) {
    const size_t begin = tokens_[first].begin;
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
  }

  const std::string_view text_;
  const std::vector<Token> tokens_;
  std::vector<SqlProblem>* problems_;
  Model model_;
  size_t next_ = 0;
  std::vector<std::string> seen_;
};

}  // namespace

Place Model::PlaceInFile(size_t body_offset) const {
  std::pair<size_t, size_t> from{0, 0};
  for (const auto& pair : offset_map) {
    if (pair.first <= body_offset) from = pair;
  }
  return PlaceOf(text, from.second + (body_offset - from.first));
}

std::optional<Model> ParseModel(const std::string& file, std::string_view text,
                                std::vector<SqlProblem>* problems) {
  return ModelParser(file, text, problems).Parse();
}

}  // namespace weir::sql
