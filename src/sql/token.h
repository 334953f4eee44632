// SQL text as tokens, in DuckDB's lexical rules: enough to find clauses without parsing
// expressions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sql/model.h"

namespace weir::sql {

enum class TokenKind : uint8_t {
  kWord,    // bare identifier or keyword
  kQuoted,  // "identifier"
  kString,  // '…', e'…', $tag$…$tag$
  kNumber,
  kSymbol,  // one character
  kBroken,  // a quote or comment that never ends; reaches to the end of the text
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t begin = 0, end = 0;  // bytes of the text

  std::string_view In(std::string_view text) const {
    return text.substr(begin, end - begin);
  }
};

// All tokens of the text without comments and blanks; the last is kEnd.
std::vector<Token> Tokenize(std::string_view text);

// What a string or identifier token says, without its quotes; other tokens as they stand.
std::string TokenValue(const Token& token, std::string_view text);

// Line and column (in characters) of a byte.
Place PlaceOf(std::string_view text, size_t offset);
// The line a byte stands in, without blanks around it.
std::string LineOf(std::string_view text, size_t offset);

// The candidate nearest to a misspelt word, ignoring case; empty: none is near.
std::string Closest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace weir::sql
