// Model files: tokens cover the text in order, faults stand inside it, and the body is
// made of the file's own text.
#include "sql/model.h"

#include "fuzz/fuzz.h"
#include "query/as_of.h"
#include "sql/token.h"

namespace weir::fuzz {
namespace {

void CheckTokens(std::string_view text) {
  const std::vector<sql::Token> tokens = sql::Tokenize(text);
  WEIR_CHECK(!tokens.empty() && tokens.back().kind == sql::TokenKind::kEnd);
  size_t at = 0;
  for (const sql::Token& token : tokens) {
    WEIR_CHECK(token.begin >= at && token.end >= token.begin && token.end <= text.size());
    WEIR_CHECK(token.kind == sql::TokenKind::kEnd || token.end > token.begin);
    at = token.end;
    const sql::Place place = sql::PlaceOf(text, token.begin);
    WEIR_CHECK(place.line >= 1 && place.column >= 1);
    static_cast<void>(sql::TokenValue(token, text));
    static_cast<void>(sql::LineOf(text, token.begin));
  }
}

void CheckModel(const sql::Model& model, std::string_view text) {
  WEIR_CHECK(model.text == text && !model.name.empty());
  WEIR_CHECK(model.IsCdc() == model.body.empty());
  sql::Origin before;
  for (const sql::Origin& origin : model.origins) {
    WEIR_CHECK(origin.body >= before.body);
    WEIR_CHECK(!model.flows.empty() || origin.file >= before.file);
    WEIR_CHECK(origin.body <= model.body.size() && origin.file <= text.size());
    before = origin;
  }
  for (const size_t offset : {size_t{0}, model.body.size() / 2, model.body.size()}) {
    const sql::Place place = model.PlaceInFile(offset);
    WEIR_CHECK(place.line >= 1 && place.column >= 1);
  }
  for (const sql::Token& token : sql::Tokenize(model.body))
    WEIR_CHECK(token.kind != sql::TokenKind::kBroken);
}

}  // namespace

WEIR_FUZZER(model)(std::string_view bytes) {
  CheckTokens(bytes);
  std::vector<sql::SqlProblem> problems;
  const auto model = sql::ParseModel("m.sql", bytes, &problems);
  WEIR_CHECK(model.has_value() == problems.empty());
  for (const sql::SqlProblem& problem : problems) {
    WEIR_CHECK(!problem.message.empty());
    WEIR_CHECK(problem.place.line >= 1 && problem.place.column >= 1);
  }
  if (model) CheckModel(*model, bytes);
  static_cast<void>(query::RewriteAsOf(bytes));
}

}  // namespace weir::fuzz
