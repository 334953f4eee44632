#include "plan/utc_internal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace weir::plan {
namespace {

// Parts that mean the same for both types, years before Christ included; a decade, a
// century, a millennium and the distance in quarters do not.
bool IsSharedPart(const Json& expr, bool difference) {
  static constexpr std::array kParts = {
      "microsecond", "microseconds", "millisecond", "milliseconds", "second", "seconds",
      "minute",      "minutes",      "hour",        "hours",        "day",    "days",
      "week",        "weeks",        "month",       "months",       "year",   "years"};
  if (!IsClass(expr, "CONSTANT")) return false;
  const Json& value = expr["value"];
  if (value.value("is_null", true) || !value["value"].is_string()) return false;
  std::string part = value["value"];
  std::transform(part.begin(), part.end(), part.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kParts.begin(), kParts.end(), part) != kParts.end() ||
         (!difference && (part == "quarter" || part == "quarters"));
}

class Rewriter {
 public:
  Rewriter(Ast& ast, const data::Schema& columns) : ast_(ast), columns_(columns) {}

  Result<Json> Rewrite(Json expr) {
    std::string text = WEIR_TRY(Shorter(expr));
    if (!text.empty()) {
      Json out = WEIR_TRY(ast_.ParseExpr(text));
      out["alias"] = AliasOf(expr);
      return out;
    }
    WEIR_TRY(RewriteChildren(expr));
    return expr;
  }

 private:
  Status RewriteChildren(Json& json) {
    for (Json& child : json) {
      if (IsExpr(child)) {
        child = WEIR_TRY(Rewrite(std::move(child)));
      } else if (child.is_structured()) {
        WEIR_TRY(RewriteChildren(child));
      }
    }
    return {};
  }

  // Empty: it stays.
  Result<std::string> Shorter(const Json& expr) {
    if (IsClass(expr, "CAST") && IsInstant(expr["child"])) {
      const std::string type = expr["cast_type"]["id"];
      if ((type != "DATE" && type != "TIMESTAMP") || expr.value("try_cast", false))
        return std::string();
      const std::string column = WEIR_TRY(ast_.PrintExpr(expr["child"]));
      return fmt::format("CASE WHEN isfinite({0}) THEN CAST({1} AS {2}) ELSE {3} END",
                         column, Plainly(column), type, WEIR_TRY(ast_.PrintExpr(expr)));
    }
    if (!IsCall(expr)) return std::string();
    const std::string name = CallName(expr);
    const Json& arguments = expr["children"];
    if ((name == "date_trunc" || name == "datetrunc") && arguments.size() == 2 &&
        IsSharedPart(arguments[0], false) && IsInstant(arguments[1])) {
      const std::string column = WEIR_TRY(ast_.PrintExpr(arguments[1]));
      return fmt::format(
          "CASE WHEN isfinite({0}) THEN make_timestamptz(epoch_us({1}({2}, {3}))) ELSE "
          "{4} END",
          column, name, WEIR_TRY(ast_.PrintExpr(arguments[0])), Plainly(column),
          WEIR_TRY(ast_.PrintExpr(expr)));
    }
    if ((name == "date_diff" || name == "datediff") && arguments.size() == 3 &&
        IsSharedPart(arguments[0], true) && IsInstant(arguments[1]) &&
        IsInstant(arguments[2])) {
      const std::string from = WEIR_TRY(ast_.PrintExpr(arguments[1])),
                        to = WEIR_TRY(ast_.PrintExpr(arguments[2]));
      return fmt::format(
          "CASE WHEN isfinite({0}) AND isfinite({1}) THEN {2}({3}, {4}, {5}) ELSE {6} "
          "END",
          from, to, name, WEIR_TRY(ast_.PrintExpr(arguments[0])), Plainly(from),
          Plainly(to), WEIR_TRY(ast_.PrintExpr(expr)));
    }
    return std::string();
  }

  static std::string Plainly(const std::string& column) {
    return fmt::format("make_timestamp(epoch_us({}))", column);
  }

  bool IsInstant(const Json& expr) const {
    if (!IsClass(expr, "COLUMN_REF") || expr["column_names"].size() != 1) return false;
    const data::Field* field = columns_.Find(NamesOf(expr)[0]);
    return field != nullptr && field->type.kind == data::Kind::kTimestampTz;
  }

  Ast& ast_;
  const data::Schema& columns_;
};

}  // namespace

Result<Json> InUtc(Ast& ast, Json expr, const data::Schema& columns) {
  return Rewriter(ast, columns).Rewrite(std::move(expr));
}

}  // namespace weir::plan
