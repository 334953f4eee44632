// Reading statements token by token, with faults that say where and what to write.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sql/model.h"
#include "sql/token.h"

namespace weir::sql {

// What tags of a table and of its columns are as properties of the table: behind it the
// tag's name, or the column's name, a dot and the tag's.
inline constexpr std::string_view kTagProperty = "weir.tag.";
inline constexpr std::string_view kColumnTagProperty = "weir.column-tag.";

struct Macro;

// The tokens of a file, and how far they are read.
struct FileTokens {
  std::shared_ptr<const SourceText> source;
  std::string_view text;
  std::vector<Token> tokens;
  size_t next = 0;
  std::vector<SqlProblem>* problems = nullptr;
};

// What the parsers of all statements share. What reads something returns false when it
// has told a fault.
class StatementReader {
 public:
  explicit StatementReader(FileTokens& file) : file_(file), text_(file.text) {}

 protected:
  const Token& At(size_t n = 0) const {
    return file_.tokens[std::min(file_.next + n, file_.tokens.size() - 1)];
  }
  std::string_view Word(size_t n = 0) const { return At(n).In(text_); }
  bool IsWord(std::string_view word, size_t n = 0) const;
  bool IsSymbol(char c, size_t n = 0) const {
    return At(n).kind == TokenKind::kSymbol && Word(n)[0] == c;
  }
  bool IsName(size_t n = 0) const {
    return At(n).kind == TokenKind::kWord || At(n).kind == TokenKind::kQuoted;
  }
  bool IsEnd(size_t n = 0) const {
    return At(n).kind == TokenKind::kEnd || IsSymbol(';', n);
  }
  void Skip(size_t tokens = 1) { file_.next += tokens; }
  bool TakeWord(std::string_view word) { return IsWord(word) && ++file_.next; }
  bool TakeSymbol(char c) { return IsSymbol(c) && ++file_.next; }
  std::string Here() const;

  bool Problem(size_t offset, std::string message, std::string fix = "");
  bool Expected(std::string_view what, std::string fix = "");
  // "did you mean …?" of the word here.
  std::string Suggestion(const std::vector<std::string>& words) const;
  // Whether the clause that begins at `begin` comes for the first time.
  bool Once(std::string_view clause, size_t begin);

  // schema.name, in lower case.
  bool TableName(std::string_view what, std::string* name);
  // (a, b)
  bool Names(std::vector<Written>* names);
  bool Names(std::vector<std::string>* names);
  // From '(' to behind its ')'.
  bool SkipParentheses();
  // A query: all up to the end of the statement.
  bool Query(QueryText* out);

  FileTokens& file_;
  const std::string_view text_;

 private:
  std::vector<std::string> seen_;
};

// The statement of each kind from the word behind CREATE on; false: it has a fault.
bool ReadModel(FileTokens& file, Model* out);
bool ReadFlow(FileTokens& file, Flow* out);
bool ReadMacro(FileTokens& file, Macro* out);

}  // namespace weir::sql
