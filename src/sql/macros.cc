#include "sql/macros.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "data/type.h"
#include "sql/decay.h"
#include "sql/statement_internal.h"
#include "sql/token.h"

namespace weir::sql {
namespace {

using data::SameName;

// CREATE [OR REPLACE] MACRO, from behind the word MACRO.
class MacroReader : StatementReader {
 public:
  MacroReader(FileTokens& file, Macro* out) : StatementReader(file), macro_(*out) {}

  bool Read() {
    macro_.source = file_.source;
    macro_.begin = At().begin;
    if (!IsName()) return Expected("the macro's name", "CREATE MACRO name(a, b) AS …");
    macro_.name = data::LowerName(TokenValue(At(), text_));
    Skip();
    if (IsSymbol('.')) {
      return Problem(macro_.begin, "a macro's name has one part",
                     "leave the schema out: macros belong to the project");
    }
    if (!Parameters()) return false;
    if (!TakeWord("AS")) return Expected("AS", Suggestion({"AS"}));
    macro_.is_table = TakeWord("TABLE");
    const bool read = macro_.is_table ? Table() : Expression();
    for (Origin& origin : macro_.body.origins) origin.source = file_.source;
    return read;
  }

 private:
  bool Parameters() {
    if (!TakeSymbol('(')) return Expected("'(' and the parameters", "name(a, b)");
    if (TakeSymbol(')')) return true;
    do {
      if (!IsName()) return Expected("a parameter");
      Written parameter{TokenValue(At(), text_), At().begin};
      for (const Written& other : macro_.parameters) {
        if (SameName(other.text, parameter.text))
          return Problem(parameter.begin,
                         fmt::format("two parameters are named {}", parameter.text));
      }
      macro_.parameters.push_back(std::move(parameter));
      Skip();
      if (!IsSymbol(',') && !IsSymbol(')')) {
        return Expected("',' or ')'",
                        "a parameter is a name, without a type or a "
                        "default value");
      }
    } while (TakeSymbol(','));
    return TakeSymbol(')') || Expected("')'");
  }

  bool Expression() {
    const size_t begin = At().begin;
    int depth = 0;
    for (; !IsEnd(); Skip()) {
      depth += IsSymbol('(') || IsSymbol('[') || IsSymbol('{')   ? 1
               : IsSymbol(')') || IsSymbol(']') || IsSymbol('}') ? -1
                                                                 : 0;
      if (IsDecay(file_.tokens, file_.next, text_))
        return Problem(At().begin,
                       fmt::format("a macro that is an expression does not call {}",
                                   data::LowerName(Word())),
                       "call it in the query, or in a macro AS TABLE");
      if (depth == 0 && IsSymbol(','))
        return Expected("the end of the macro", "a macro is one expression");
    }
    if (At().begin == begin || depth != 0) return Expected("an expression");
    const size_t end = file_.tokens[file_.next - 1].end;
    macro_.body.body = std::string(text_.substr(begin, end - begin));
    macro_.body.origins = {{0, begin}};
    return true;
  }

  bool Table() {
    const size_t begin = At().begin;
    if (!Query(&macro_.body)) return false;
    if (macro_.body.stream_inputs.empty()) return true;
    return Problem(begin, "a macro reads no stream",
                   "write STREAM in the model that uses it");
  }

  Macro& macro_;
};

FileProblem ProblemIn(const SourceText& source, size_t offset, std::string message,
                      std::string fix) {
  return {source.file,
          {PlaceOf(source.text, offset), std::move(message), std::move(fix),
           LineOf(source.text, offset)}};
}

// The origin of a byte of the query, as one of a query that begins there.
Origin OriginAt(const QueryText& query, size_t offset) {
  Origin out;
  for (const Origin& origin : query.origins) {
    if (origin.body > offset) break;
    out = origin;
  }
  if (!out.ours) out.file += offset - out.body;
  out.body = 0;
  return out;
}

void Append(const QueryText& from, size_t begin, size_t end, QueryText* out) {
  if (begin == end) return;
  const size_t at = out->body.size();
  Origin first = OriginAt(from, begin);
  first.body = at;
  out->origins.push_back(std::move(first));
  for (Origin origin : from.origins) {
    if (origin.body <= begin || origin.body >= end) continue;
    origin.body = at + (origin.body - begin);
    out->origins.push_back(std::move(origin));
  }
  out->body += from.body.substr(begin, end - begin);
}

void Append(const QueryText& from, QueryText* out) {
  Append(from, 0, from.body.size(), out);
}

// Text of ours that stands for what `from` says at `offset`.
void Say(std::string_view text, const QueryText& from, size_t offset, QueryText* out) {
  Origin origin = OriginAt(from, offset);
  origin.ours = true;
  origin.body = out->body.size();
  out->origins.push_back(std::move(origin));
  out->body += text;
}

// One text on its way from calls to what they stand for.
class Expander {
 public:
  Expander(const std::map<std::string, Macro>& macros, const QueryText& query,
           std::vector<FileProblem>* problems)
      : macros_(macros),
        query_(query),
        tokens_(Tokenize(query.body)),
        problems_(*problems) {}

  std::optional<QueryText> Expand() {
    QueryText out;
    out.stream_inputs = query_.stream_inputs;
    if (!Copy(0, tokens_.size() - 1, 0, query_.body.size(), &out)) return std::nullopt;
    return out;
  }

 private:
  bool IsSymbol(size_t token, char c) const {
    return token < tokens_.size() && tokens_[token].kind == TokenKind::kSymbol &&
           query_.body[tokens_[token].begin] == c;
  }
  bool IsWord(size_t token, std::string_view word) const {
    return token < tokens_.size() && tokens_[token].kind == TokenKind::kWord &&
           SameName(tokens_[token].In(query_.body), word);
  }

  bool Fault(size_t token, std::string message, std::string fix) {
    problems_.push_back(
        ProblemAt(query_, tokens_[token].begin, std::move(message), std::move(fix)));
    return false;
  }

  // The macro that is called at this token.
  const Macro* CallAt(size_t token) const {
    const TokenKind kind = tokens_[token].kind;
    if ((kind != TokenKind::kWord && kind != TokenKind::kQuoted) ||
        !IsSymbol(token + 1, '(') || (token > 0 && IsWord(token - 1, "AS")))
      return nullptr;
    const auto found =
        macros_.find(data::LowerName(TokenValue(tokens_[token], query_.body)));
    return found == macros_.end() ? nullptr : &found->second;
  }

  // The tokens from `first` to before `last`, and the text between `begin` and `end`
  // around them.
  bool Copy(size_t first, size_t last, size_t begin, size_t end, QueryText* out) {
    size_t from = begin;
    for (size_t i = first; i < last; ++i) {
      const Macro* macro = CallAt(i);
      if (macro == nullptr) continue;
      Append(query_, from, tokens_[i].begin, out);
      size_t close = i + 1;
      if (!Call(*macro, i, &close, out)) return false;
      from = tokens_[close].end;
      i = close;
    }
    Append(query_, from, end, out);
    return true;
  }

  bool Call(const Macro& macro, size_t name, size_t* close, QueryText* out) {
    if (name > 0 && IsSymbol(name - 1, '.')) {
      return Fault(name, fmt::format("{} is a macro, not a method", macro.name),
                   fmt::format("write {}(…) with all its arguments", macro.name));
    }
    // Arguments: tokens between commas.
    std::vector<std::pair<size_t, size_t>> arguments;
    int depth = 0;
    size_t begin = name + 2, at = name + 1;
    for (; at + 1 < tokens_.size(); ++at) {
      if (IsSymbol(at, '(') || IsSymbol(at, '[') || IsSymbol(at, '{')) ++depth;
      if (IsSymbol(at, ')') || IsSymbol(at, ']') || IsSymbol(at, '}')) --depth;
      if (depth == 0 || (depth == 1 && IsSymbol(at, ','))) {
        if (at > begin || depth == 1 || !arguments.empty())
          arguments.emplace_back(begin, at);
        begin = at + 1;
      }
      if (depth == 0) break;
    }
    if (depth != 0) return Fault(name + 1, "this parenthesis is never closed", "");
    *close = at;
    const auto usage = [&] {
      std::string list;
      for (const Written& parameter : macro.parameters)
        list += (list.empty() ? "" : ", ") + parameter.text;
      return fmt::format("write {}({})", macro.name, list);
    };
    if (arguments.size() != macro.parameters.size()) {
      return Fault(
          name,
          fmt::format("the macro {} takes {} argument{}, {} {} given", macro.name,
                      macro.parameters.size(), macro.parameters.size() == 1 ? "" : "s",
                      arguments.size(), arguments.size() == 1 ? "is" : "are"),
          usage());
    }
    for (const char* word : {"OVER", "FILTER"}) {
      if (!IsWord(at + 1, word)) continue;
      return Fault(at + 1,
                   fmt::format("{} is a macro, which has no {}", macro.name, word),
                   fmt::format("put {} into the macro", word));
    }
    std::vector<QueryText> values;
    for (const auto& [first, last] : arguments) {
      if (first == last) return Fault(first, "an argument is missing", usage());
      if (last - first > 2 && IsSymbol(first + 1, ':') && IsSymbol(first + 2, '='))
        return Fault(first, "a macro's arguments have no names", usage());
      const bool simple = last - first == 1;
      QueryText& value = values.emplace_back();
      if (!simple) Say("(", query_, tokens_[first].begin, &value);
      if (!Copy(first, last, tokens_[first].begin, tokens_[last - 1].end, &value))
        return false;
      if (!simple) Say("\n)", query_, tokens_[first].begin, &value);
    }
    Say("(", query_, tokens_[name].begin, out);
    Body(macro, values, out);
    Say("\n)", query_, tokens_[name].begin, out);
    return true;
  }

  // The macro's body with values in the place of its parameters.
  static void Body(const Macro& macro, const std::vector<QueryText>& values,
                   QueryText* out) {
    const std::string& text = macro.body.body;
    const std::vector<Token> tokens = Tokenize(text);
    const auto symbol = [&](size_t i, char c) {
      return i < tokens.size() && tokens[i].kind == TokenKind::kSymbol &&
             text[tokens[i].begin] == c;
    };
    size_t from = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      if (tokens[i].kind != TokenKind::kWord && tokens[i].kind != TokenKind::kQuoted)
        continue;
      // Of something else: a field, a function, a type or an alias, a struct's own name.
      if (i > 0 && (symbol(i - 1, '.') || SameName(tokens[i - 1].In(text), "AS") ||
                    (i > 1 && symbol(i - 1, ':') && symbol(i - 2, ':'))))
        continue;
      if (symbol(i + 1, '(')) continue;
      if (i > 0 && (symbol(i - 1, '{') || symbol(i - 1, ',')) && symbol(i + 1, ':') &&
          !symbol(i + 2, ':'))
        continue;
      const std::string name = TokenValue(tokens[i], text);
      const auto parameter =
          std::find_if(macro.parameters.begin(), macro.parameters.end(),
                       [&](const Written& p) { return SameName(p.text, name); });
      if (parameter == macro.parameters.end()) continue;
      Append(macro.body, from, tokens[i].begin, out);
      Append(values[static_cast<size_t>(parameter - macro.parameters.begin())], out);
      from = tokens[i].end;
    }
    Append(macro.body, from, text.size(), out);
  }

  const std::map<std::string, Macro>& macros_;
  const QueryText& query_;
  const std::vector<Token> tokens_;
  std::vector<FileProblem>& problems_;
};

// The macros that a text calls.
std::vector<std::string> Calls(const std::string& text,
                               const std::map<std::string, Macro>& macros) {
  std::vector<std::string> out;
  const std::vector<Token> tokens = Tokenize(text);
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const std::string name = data::LowerName(TokenValue(tokens[i], text));
    if (tokens[i + 1].In(text) == "(" && macros.contains(name)) out.push_back(name);
  }
  return out;
}

}  // namespace

FileProblem ProblemAt(const QueryText& query, size_t offset, std::string message,
                      std::string fix) {
  const Origin origin = OriginAt(query, offset);
  return ProblemIn(*origin.source, origin.file, std::move(message), std::move(fix));
}

bool ReadMacro(FileTokens& file, Macro* out) { return MacroReader(file, out).Read(); }

Macros Macros::Make(std::vector<Macro> macros, std::vector<FileProblem>* problems) {
  std::map<std::string, Macro> written;
  const auto fault = [&](const Macro& macro, std::string message, std::string fix) {
    problems->push_back(
        ProblemIn(*macro.source, macro.begin, std::move(message), std::move(fix)));
  };
  for (Macro& macro : macros) {
    const auto other = written.find(macro.name);
    if (other != written.end()) {
      fault(macro,
            fmt::format("{} defines the macro {} too", other->second.source->file,
                        macro.name),
            "rename one");
      continue;
    }
    written.emplace(macro.name, std::move(macro));
  }
  // Each behind those it calls.
  Macros out;
  std::vector<std::string> path;
  std::set<std::string> done;
  const std::function<void(const std::string&)> enter = [&](const std::string& name) {
    if (done.contains(name)) return;
    const auto on_path = std::find(path.begin(), path.end(), name);
    Macro& macro = written.at(name);
    if (on_path != path.end()) {
      std::string circle;
      for (auto at = on_path; at != path.end(); ++at) circle += *at + " → ";
      fault(macro, fmt::format("macros call each other in a circle: {}{}", circle, name),
            "a macro is put in the place of its call, so it must come to an end");
      done.insert(name);
      return;
    }
    path.push_back(name);
    for (const std::string& called : Calls(macro.body.body, written)) enter(called);
    path.pop_back();
    if (!done.insert(name).second) return;  // in a circle
    if (out.Expand(&macro.body, problems)) out.macros_.emplace(name, macro);
  };
  for (const auto& [name, _] : written) enter(name);
  return out;
}

bool Macros::Expand(QueryText* query, std::vector<FileProblem>* problems) const {
  if (macros_.empty()) return true;
  auto expanded = Expander(macros_, *query, problems).Expand();
  if (!expanded) return false;
  *query = *std::move(expanded);
  return true;
}

bool Macros::Expand(Model* model, std::vector<FileProblem>* problems) const {
  if (macros_.empty()) return true;
  const auto own = std::make_shared<SourceText>(SourceText{model->file, model->text});
  for (Origin& origin : model->origins) {
    if (origin.source == nullptr) origin.source = own;
  }
  QueryText& query = *model;
  bool ok = query.body.empty() || Expand(&query, problems);
  for (Constraint& constraint : model->constraints) {
    QueryText condition;
    condition.body = constraint.condition;
    size_t begin = 0;  // of the constraint's line and column
    for (int line = 1; line < constraint.place.line; ++line)
      begin = model->text.find('\n', begin) + 1;
    condition.origins = {{0, begin, true, own}};
    if (Expand(&condition, problems)) {
      constraint.condition = condition.body;
    } else {
      ok = false;
    }
  }
  return ok;
}

}  // namespace weir::sql
