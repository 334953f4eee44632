#include "sql/token.h"

#include <algorithm>

#include "data/type.h"

namespace weir::sql {
namespace {

bool IsWordStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWordPart(char c) { return IsWordStart(c) || IsDigit(c) || c == '$'; }
bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

// Reads tokens one by one; `at` is where the next begins.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Token Next() {
    if (!SkipBlanks()) return Broken();
    begin_ = at_;
    if (at_ == text_.size()) return Make(TokenKind::kEnd);
    const char c = text_[at_];
    if ((c == 'e' || c == 'E') && Peek(1) == '\'')
      return Quoted('\'', 2, TokenKind::kString, true);
    if (c == '\'') return Quoted('\'', 1, TokenKind::kString, false);
    if (c == '"') return Quoted('"', 1, TokenKind::kQuoted, false);
    if (c == '$' && (Peek(1) == '$' || IsWordStart(Peek(1)))) return DollarQuoted();
    if (IsWordStart(c)) {
      while (IsWordPart(Peek(0))) ++at_;
      return Make(TokenKind::kWord);
    }
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number();
    ++at_;
    return Make(TokenKind::kSymbol);
  }

 private:
  char Peek(size_t n) const { return at_ + n < text_.size() ? text_[at_ + n] : '\0'; }
  Token Make(TokenKind kind) const { return {kind, begin_, at_}; }
  Token Broken() {
    at_ = text_.size();
    return Make(TokenKind::kBroken);
  }

  // False: a comment that never ends.
  bool SkipBlanks() {
    for (;;) {
      begin_ = at_;
      while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
      if (Peek(0) == '-' && Peek(1) == '-') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (Peek(0) == '/' && Peek(1) == '*') {
        begin_ = at_;
        if (!SkipComment()) return false;
      } else {
        return true;
      }
    }
  }

  bool SkipComment() {  // they nest
    int depth = 0;
    do {
      if (at_ >= text_.size()) return false;
      if (Peek(0) == '/' && Peek(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (Peek(0) == '*' && Peek(1) == '/') {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    } while (depth > 0);
    return true;
  }

  Token Quoted(char quote, size_t open, TokenKind kind, bool escapes) {
    for (at_ += open; at_ < text_.size(); ++at_) {
      if (escapes && text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == quote) {
        if (Peek(1) != quote) {
          ++at_;
          return Make(kind);
        }
        ++at_;
      }
    }
    return Broken();
  }

  Token DollarQuoted() {
    size_t open = at_ + 1;
    while (open < text_.size() && IsWordPart(text_[open]) && text_[open] != '$') ++open;
    if (open >= text_.size() || text_[open] != '$') {  // $name: a parameter
      at_ = open;
      return Make(TokenKind::kSymbol);
    }
    const std::string_view mark = text_.substr(at_, open + 1 - at_);
    const size_t close = text_.find(mark, open + 1);
    if (close == text_.npos) return Broken();
    at_ = close + mark.size();
    return Make(TokenKind::kString);
  }

  Token Number() {
    while (IsDigit(Peek(0)) || Peek(0) == '.' || Peek(0) == '_' ||
           ((Peek(0) == '-' || Peek(0) == '+') &&
            (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E')) ||
           ((Peek(0) == 'e' || Peek(0) == 'E') &&
            (IsDigit(Peek(1)) || Peek(1) == '-' || Peek(1) == '+'))) {
      ++at_;
    }
    return Make(TokenKind::kNumber);
  }

  const std::string_view text_;
  size_t at_ = 0, begin_ = 0;
};

std::string Unquote(std::string_view inside, char quote, bool escapes) {
  std::string out;
  for (size_t i = 0; i < inside.size(); ++i) {
    if ((inside[i] == quote || (escapes && inside[i] == '\\')) && i + 1 < inside.size())
      ++i;
    out += inside[i];
  }
  return out;
}

// Changes of one letter (put in, left out, replaced, swapped with its neighbour) that
// make one word of the other.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1,
                          d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::vector<Token> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  Lexer lexer(text);
  do {
    tokens.push_back(lexer.Next());
  } while (tokens.back().kind != TokenKind::kEnd);
  return tokens;
}

std::string TokenValue(const Token& token, std::string_view text) {
  const std::string_view raw = token.In(text);
  if (token.kind == TokenKind::kQuoted)
    return Unquote(raw.substr(1, raw.size() - 2), '"', false);
  if (token.kind != TokenKind::kString) return std::string(raw);
  if (raw[0] == '\'') return Unquote(raw.substr(1, raw.size() - 2), '\'', false);
  if (raw[0] != '$') return Unquote(raw.substr(2, raw.size() - 3), '\'', true);
  const size_t mark = raw.find('$', 1) + 1;
  return std::string(raw.substr(mark, raw.size() - 2 * mark));
}

Place PlaceOf(std::string_view text, size_t offset) {
  Place place{1, 1};
  for (size_t i = 0; i < std::min(offset, text.size()); ++i) {
    if (text[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      ++place.column;
    }
  }
  return place;
}

std::string LineOf(std::string_view text, size_t offset) {
  offset = std::min(offset, text.size());
  const size_t before = offset == 0 ? text.npos : text.rfind('\n', offset - 1);
  size_t begin = before == text.npos ? 0 : before + 1;
  size_t end = std::min(text.find('\n', offset), text.size());
  while (begin < end && IsBlank(text[begin])) ++begin;
  while (end > begin && IsBlank(text[end - 1])) --end;
  return std::string(text.substr(begin, end - begin));
}

std::string Closest(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string lower = data::LowerName(word);
  std::string best;
  size_t best_distance = std::max<size_t>(1, lower.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = Distance(lower, data::LowerName(candidate));
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

}  // namespace weir::sql
