// Calls in FROM that take a table (TUMBLE(TABLE t, …)), read token by token and written
// as the subquery that they stand for.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/type.h"
#include "sql/token.h"

namespace weir::sql {

// SQL text made of our words and of stretches of the file.
struct ExpandedText {
  struct Part {
    std::string text;
    size_t begin = 0;  // in the file, where the text comes from or stands for
  };
  std::vector<Part> parts;
  size_t tokens = 0;  // how many the call has
};

// Is told of a fault: its byte in the file, a message and a fix.
using CallProblem = std::function<void(size_t, std::string, std::string)>;

class CallText {
 public:
  CallText(const std::vector<Token>& tokens, size_t at, std::string_view text,
           const CallProblem& problem)
      : tokens_(tokens), begin_(at), at_(at), text_(text), problem_(problem) {}

 protected:
  // Tokens from `begin` on, up to before `end`.
  struct Span {
    size_t begin = 0, end = 0;
    bool empty() const { return begin == end; }
  };

  std::string_view Word(size_t n) const {
    return at_ + n < tokens_.size() ? tokens_[at_ + n].In(text_) : std::string_view();
  }
  bool IsWord(std::string_view word, size_t n = 0) const {
    return at_ + n < tokens_.size() && tokens_[at_ + n].kind == TokenKind::kWord &&
           data::SameName(Word(n), word);
  }
  bool IsSymbol(char c, size_t n = 0) const {
    return at_ + n < tokens_.size() && tokens_[at_ + n].kind == TokenKind::kSymbol &&
           Word(n) == std::string_view(&c, 1);
  }
  bool Take(char c) { return IsSymbol(c) && ++at_; }
  bool TakeWord(std::string_view word) { return IsWord(word) && ++at_; }

  // At the present token. Returns nothing, so that a parser can return what this does.
  std::optional<ExpandedText> Wrong(std::string message, std::string fix) {
    problem_(tokens_[std::min(at_, tokens_.size() - 1)].begin, std::move(message),
             std::move(fix));
    return std::nullopt;
  }

  // a, "a", a.b
  Span TakeName() {
    const auto is_name = [&](size_t n) {
      return at_ + n < tokens_.size() && (tokens_[at_ + n].kind == TokenKind::kWord ||
                                          tokens_[at_ + n].kind == TokenKind::kQuoted);
    };
    if (!is_name(0)) return {at_, at_};
    Span span{at_, ++at_};
    while (IsSymbol('.') && is_name(1)) span.end = at_ += 2;
    return span;
  }

  // Up to the comma or bracket behind it.
  Span TakeArgument() {
    Span span{at_, at_};
    for (int depth = 0; at_ < tokens_.size() && tokens_[at_].kind != TokenKind::kEnd;
         ++at_) {
      if (IsSymbol('(')) ++depth;
      if (depth == 0 && (IsSymbol(',') || IsSymbol(')'))) break;
      if (IsSymbol(')')) --depth;
      span.end = at_ + 1;
    }
    return span;
  }

  // Whether it is an interval of a fixed length; otherwise `what` says that it must be
  // one, and `instead`, with {} for the unit, what to write for one without such a
  // length.
  bool CheckInterval(std::string_view call, Span span, std::string_view what,
                     std::string_view instead);

  void Say(std::string text) {
    out_.parts.push_back({std::move(text), tokens_[begin_].begin});
  }
  void Copy(Span span) {
    const size_t from = tokens_[span.begin].begin, to = tokens_[span.end - 1].end;
    out_.parts.push_back({std::string(text_.substr(from, to - from)), from});
  }
  // Our words with, in the place of each % and a letter or digit, the stretch of the file
  // that `place` names; %% is a %.
  void Write(std::string_view pattern, const std::function<Span(char)>& place);
  ExpandedText Finish() {
    out_.tokens = at_ - begin_;
    return std::move(out_);
  }

  const std::vector<Token>& tokens_;
  const size_t begin_;
  size_t at_;
  const std::string_view text_;
  const CallProblem& problem_;

 private:
  ExpandedText out_;
};

}  // namespace weir::sql
