// CONSTRAINT … EXPECT: the queries whose rows are those that a model keeps, and those
// that it rejects.
#pragma once

#include <string>
#include <vector>

#include "plan/ast_internal.h"
#include "plan/names_internal.h"
#include "plan/row_errors_internal.h"
#include "sql/model.h"

namespace weir::plan {

// A constraint whose condition names the columns of the model's query.
struct Expectation {
  std::string name, text;  // of the condition
  sql::OnViolation on_violation;
  Json condition;  // may be NULL, which violates it

  // Whether rows that violate it are no rows of the model.
  bool keeps_out() const { return on_violation != sql::OnViolation::kCount; }
  Json Violated() const;  // never NULL
};

// Parsed conditions. What cannot be judged row by row goes to `faults`; their offset is
// the constraint's number.
Result<std::vector<Expectation>> ParseExpectations(Ast& ast, const sql::Model& model,
                                                   const Functions& functions,
                                                   std::vector<Fault>* faults);

// What a rejected row carries behind the columns of the query, in this order
// (docs/formats/system_tables.md).
std::vector<std::string> RejectedColumns();

// SELECTs over `query`, whose rows are called by the model's name without its schema.
class Judged {
 public:
  Judged(Ast& ast, const sql::Model& model, const std::vector<Expectation>& expectations)
      : ast_(ast),
        alias_(model.name.substr(model.name.find('.') + 1)),
        expectations_(expectations) {}

  // The condition for rows of the model; null: all are.
  Json Keeps() const;
  Json Rejects() const;  // null: no row is rejected
  // The RejectedColumns of a row that violates constraints; `violated` says which.
  Result<std::vector<Json>> Reasons(const std::vector<Json>& violated) const;

  Result<Json> Kept(const Json& query) const;
  // The rows that violate what rejects, and those that failed.
  Result<std::string> RejectedSql(const Checked& checked,
                                  const data::Schema& output) const;
  Result<Json> Violations(const Json& query) const;  // see ModelPlan::violations_sql
  const std::string& alias() const { return alias_; }

 private:
  Result<Json> Over(const Json& query, std::string_view list) const;
  Result<Json> Rejected(const Json& query, const data::Schema& output) const;

  Ast& ast_;
  const std::string alias_;
  const std::vector<Expectation>& expectations_;
};

}  // namespace weir::plan
