#include <fmt/format.h>

#include <algorithm>

#include "data/type.h"
#include "sql/statement_internal.h"

namespace weir::sql {

using data::SameName;

bool StatementReader::IsWord(std::string_view word, size_t n) const {
  return At(n).kind == TokenKind::kWord && SameName(Word(n), word);
}

std::string StatementReader::Here() const {
  return At().kind == TokenKind::kEnd ? "the end of the file"
                                      : fmt::format("'{}'", Word());
}

bool StatementReader::Problem(size_t offset, std::string message, std::string fix) {
  file_.problems->push_back({PlaceOf(text_, offset), std::move(message), std::move(fix),
                             LineOf(text_, offset)});
  return false;
}

bool StatementReader::Expected(std::string_view what, std::string fix) {
  return Problem(At().begin, fmt::format("expected {}, found {}", what, Here()),
                 std::move(fix));
}

std::string StatementReader::Suggestion(const std::vector<std::string>& words) const {
  const std::string closest = At().kind == TokenKind::kWord ? Closest(Word(), words) : "";
  return closest.empty() ? "" : fmt::format("did you mean {}?", closest);
}

bool StatementReader::Once(std::string_view clause, size_t begin) {
  if (std::find(seen_.begin(), seen_.end(), clause) != seen_.end())
    return Problem(begin, fmt::format("{} is written twice", clause));
  seen_.emplace_back(clause);
  return true;
}

bool StatementReader::TableName(std::string_view what, std::string* name) {
  const size_t begin = At().begin;
  std::vector<std::string> parts;
  do {
    if (!IsName()) return Expected(fmt::format("{}'s name", what), "schema.name");
    parts.push_back(data::LowerName(TokenValue(At(), text_)));
    Skip();
  } while (TakeSymbol('.'));
  if (parts.size() != 2) {
    return Problem(begin, fmt::format("{}'s name has two parts", what),
                   fmt::format("for example silver.{}", parts.back()));
  }
  *name = parts[0] + "." + parts[1];
  return true;
}

bool StatementReader::Names(std::vector<Written>* names) {
  if (!TakeSymbol('(')) return Expected("'(' and column names");
  do {
    if (!IsName()) return Expected("a column name");
    names->push_back({TokenValue(At(), text_), At().begin});
    Skip();
  } while (TakeSymbol(','));
  return TakeSymbol(')') || Expected("',' or ')'");
}

bool StatementReader::Names(std::vector<std::string>* names) {
  std::vector<Written> written;
  if (!Names(&written)) return false;
  for (Written& name : written) names->push_back(std::move(name.text));
  return true;
}

bool StatementReader::SkipParentheses() {
  int depth = 0;
  do {
    if (At().kind == TokenKind::kEnd) return false;
    depth += IsSymbol('(') ? 1 : IsSymbol(')') ? -1 : 0;
    Skip();
  } while (depth > 0);
  return true;
}

}  // namespace weir::sql
