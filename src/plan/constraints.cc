#include <fmt/format.h>

#include "data/type.h"
#include "plan/constraints_internal.h"
#include "plan/query_internal.h"

namespace weir::plan {
namespace {

std::string Literal(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = std::min(text.find_first_not_of(kBlank), text.size());
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

// A condition that fails of a row is violated by it, as one that is NULL.
bool CanFail(const Json& condition) {
  bool can = false;
  Visit(condition, [&](const Json& json) {
    can |= IsCall(json) || IsClass(json, "CAST");
    return !can;
  });
  return can;
}

std::optional<Fault> NotRowByRow(const Json& condition, const Functions& functions) {
  const auto fault = [](std::string what, std::string fix) {
    return Fault{std::nullopt, "looks at one row and " + std::move(what), std::move(fix)};
  };
  if (HasSubquery(condition)) {
    return fault("has no subqueries",
                 "join the other table in the query, and speak of its column");
  }
  if (HasWindow(condition))
    return fault("has no window functions",
                 "make the value a column of the query, and speak of that");
  if (functions.HasAggregate(condition))
    return fault("has no aggregates",
                 "make the value a column of the query, and speak of that");
  if (HasWatermark(condition))
    return fault("does not know the watermark",
                 "compare two columns of the query, or put the condition into WHERE");
  return std::nullopt;
}

}  // namespace

Json Expectation::Violated() const {
  // NOT coalesce(condition, false)
  Json never = {{"class", "CONSTANT"},
                {"type", "VALUE_CONSTANT"},
                {"alias", ""},
                {"value",
                 {{"type", {{"id", "BOOLEAN"}, {"type_info", nullptr}}},
                  {"is_null", false},
                  {"value", false}}}};
  Json known = {{"class", "OPERATOR"},
                {"type", "OPERATOR_COALESCE"},
                {"alias", ""},
                {"children", {condition, std::move(never)}}};
  return Not(std::move(known));
}

Result<std::vector<Expectation>> ParseExpectations(Ast& ast, const sql::Model& model,
                                                   const Functions& functions,
                                                   std::vector<Fault>* faults) {
  std::vector<Expectation> out;
  for (const sql::Constraint& constraint : model.constraints) {
    const size_t number = out.size();
    auto condition = ast.ParseExpr("(" + constraint.condition + "\n)");
    if (!condition.ok()) return std::move(condition).error();
    out.push_back({constraint.name, std::string(Trimmed(constraint.condition)),
                   constraint.on_violation, Plain(*std::move(condition))});
    Json& parsed = out.back().condition;
    const auto add = [&](Fault fault) {
      faults->push_back({number,
                         fmt::format("constraint {} {}", constraint.name, fault.message),
                         std::move(fault.fix)});
    };
    if (auto fault = NotRowByRow(out.back().condition, functions)) {
      add(*std::move(fault));
      continue;
    }
    std::vector<Fault> undetermined;
    if (!model.nondeterministic)
      FindUndetermined(out.back().condition, functions, &undetermined);
    for (Fault& fault : undetermined) {
      fault.message = "is not determined: " + fault.message;
      add(std::move(fault));
    }
    if (!model.nondeterministic && CanFail(parsed)) parsed = Try(std::move(parsed));
  }
  return out;
}

std::vector<std::string> RejectedColumns() {
  return {"_reason", "_constraint", "_expression", "_error", "_inputs"};
}

Json Judged::Keeps() const {
  Json all;
  for (const Expectation& expectation : expectations_) {
    if (expectation.keeps_out()) all = And(std::move(all), expectation.condition);
  }
  return all;
}

Json Judged::Rejects() const {
  Json all;
  for (const Expectation& expectation : expectations_) {
    if (expectation.on_violation == sql::OnViolation::kQuarantine)
      all = And(std::move(all), expectation.condition);
  }
  if (all.is_null()) return all;
  return Expectation{"", "", sql::OnViolation::kQuarantine, std::move(all)}.Violated();
}

Result<std::vector<Json>> Judged::Reasons(const std::vector<Json>& violated) const {
  std::string names, texts;
  for (size_t i = 0; i < expectations_.size(); ++i) {
    const Expectation& expectation = expectations_[i];
    if (expectation.on_violation != sql::OnViolation::kQuarantine) continue;
    const std::string when = WEIR_TRY(ast_.PrintExpr(violated[i]));
    names += fmt::format(", CASE WHEN {} THEN {} END", when, Literal(expectation.name));
    texts += fmt::format(", CASE WHEN {} THEN {} END", when, Literal(expectation.text));
  }
  std::vector<Json> out;
  for (const std::string& text :
       {std::string("'constraint'"), fmt::format("concat_ws(', '{})", names),
        fmt::format("concat_ws(' AND '{})", texts), std::string("CAST(NULL AS VARCHAR)"),
        std::string("CAST(NULL AS VARCHAR)")})
    out.push_back(Plain(WEIR_TRY(ast_.ParseExpr(text))));
  return out;
}

// SELECT list FROM (query) AS alias
Result<Json> Judged::Over(const Json& query, std::string_view list) const {
  Json out = WEIR_TRY(ast_.Parse(
      fmt::format("SELECT {} FROM (SELECT 1) AS {}", list, duck::QuoteName(alias_))));
  out["from_table"]["subquery"]["node"] = query;
  return out;
}

Result<Json> Judged::Kept(const Json& query) const {
  Json keeps = Keeps();
  if (keeps.is_null()) return query;
  Json out = WEIR_TRY(Over(query, "*"));
  out["where_clause"] = std::move(keeps);
  return out;
}

Result<Json> Judged::Rejected(const Json& query, const data::Schema& output) const {
  std::vector<Json> violated;
  for (const Expectation& expectation : expectations_)
    violated.push_back(expectation.Violated());
  std::vector<Json> reasons = WEIR_TRY(Reasons(violated));
  const std::vector<std::string> names = RejectedColumns();
  std::string list;  // as the table stores them, so that all parts agree
  for (const data::Field& field : output.fields) {
    const std::string name = duck::QuoteName(field.name);
    list += fmt::format("{}CAST({} AS {}) AS {}", list.empty() ? "" : ", ", name,
                        duck::TypeInSql(field.type), name);
  }
  Json out = WEIR_TRY(Over(query, list));
  for (size_t i = 0; i < names.size(); ++i) {
    reasons[i]["alias"] = names[i];
    out["select_list"].push_back(std::move(reasons[i]));
  }
  out["where_clause"] = Rejects();
  return out;
}

Result<std::string> Judged::RejectedSql(const Checked& checked,
                                        const data::Schema& output) const {
  std::vector<Json> parts = checked.failed;
  if (!Rejects().is_null())
    parts.insert(parts.begin(), WEIR_TRY(Rejected(checked.query, output)));
  std::string sql;
  for (const Json& part : parts)
    sql += fmt::format("{}({})", sql.empty() ? "" : " UNION ALL ",
                       WEIR_TRY(ast_.Print(WithoutUses(part))));
  return parts.size() == 1 ? ast_.Print(WithoutUses(parts[0])) : sql;
}

Result<Json> Judged::Violations(const Json& query) const {
  std::string counts;
  for (size_t i = 0; i < expectations_.size(); ++i) {
    counts += fmt::format("{}count(*) FILTER (WHERE {}) AS v{}", i == 0 ? "" : ", ",
                          WEIR_TRY(ast_.PrintExpr(expectations_[i].Violated())), i);
  }
  return Over(query, counts);
}

}  // namespace weir::plan
