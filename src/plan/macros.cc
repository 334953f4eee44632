#include <fmt/format.h>

#include <algorithm>

#include "plan/names_internal.h"

namespace weir::plan {
namespace {

using data::SameName;

// An expression speaks of its parameters alone: what else its caller happens to have a
// column for would be another thing in each model. In a subquery a parameter's value
// could be taken for columns that are read there.
class NameCheck {
 public:
  // `before`: bytes of the tree's text in front of the macro's.
  NameCheck(const sql::Macro& macro, size_t before, std::vector<PlanProblem>* problems)
      : macro_(macro), before_(before), problems_(*problems) {}

  // `own`: parameters of the lambdas around it.
  void Check(const Json& json, bool in_subquery, std::set<std::string> own) {
    if (!json.is_structured()) return;
    in_subquery |= IsClass(json, "SUBQUERY");
    if (IsClass(json, "LAMBDA")) {
      Visit(json["lhs"], [&](const Json& name) {
        if (IsClass(name, "COLUMN_REF")) own.insert(data::LowerName(NamesOf(name)[0]));
        return true;
      });
    }
    if (IsClass(json, "COLUMN_REF")) return CheckColumn(json, in_subquery, own);
    for (const Json& child : json) Check(child, in_subquery, own);
  }

 private:
  void CheckColumn(const Json& column, bool in_subquery,
                   const std::set<std::string>& own) {
    const std::string name = NamesOf(column)[0];
    const bool is_parameter =
        std::any_of(macro_.parameters.begin(), macro_.parameters.end(),
                    [&](const sql::Written& p) { return SameName(p.text, name); });
    const size_t at = std::max(LocationOf(column).value_or(before_), before_) - before_;
    if (is_parameter && in_subquery) {
      problems_.push_back(sql::ProblemAt(
          macro_.body, at,
          fmt::format(
              "the parameter {} stands in a subquery, where it could mean a column",
              name),
          "make it a macro AS TABLE, and join with that"));
    } else if (!is_parameter && !in_subquery && !own.contains(data::LowerName(name))) {
      problems_.push_back(sql::ProblemAt(
          macro_.body, at,
          fmt::format("{} is not a parameter of the macro {}", name, macro_.name),
          "give it as an argument"));
    }
  }

  const sql::Macro& macro_;
  const size_t before_;
  std::vector<PlanProblem>& problems_;
};

}  // namespace

void CheckMacros(const sql::Macros& macros, duck::Session& session,
                 const Functions& functions, std::vector<PlanProblem>* problems) {
  constexpr std::string_view kSelect = "SELECT ";
  for (const auto& [name, macro] : macros.all()) {
    const auto fault = [&](size_t offset, std::string message, std::string fix) {
      problems->push_back(
          sql::ProblemAt(macro.body, offset, std::move(message), std::move(fix)));
    };
    if (functions.names.contains(name)) {
      fault(0, fmt::format("the macro {0} has the name of a function of SQL", name),
            fmt::format("call it my_{}, or what it is for", name));
      continue;
    }
    const size_t before = macro.is_table ? 0 : kSelect.size();
    const auto tree = Ast(session).Parse(
        macro.is_table ? macro.body.body : std::string(kSelect) + macro.body.body);
    if (!tree.ok()) {
      fault(std::max(duck::ErrorOffset(tree.error()).value_or(before), before) - before,
            fmt::format("macro {}: {}", name, PlainMessage(tree.error())),
            Candidates(tree.error().message));
      continue;
    }
    if (!macro.is_table)
      NameCheck(macro, before, problems).Check((*tree)["select_list"], false, {});
  }
}

}  // namespace weir::plan
