// What the names in a query mean: tables, views, functions.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "plan/ast_internal.h"
#include "plan/plan.h"
#include "sql/macros.h"

namespace weir::plan {

// Something wrong with a query, at a byte of its body.
struct Fault {
  std::optional<size_t> offset;
  std::string message, fix;
};

// The tables that can be read, by name in lower case; `views` are replaced by their
// queries wherever they are read.
struct Tables {
  std::map<std::string, InputTable> tables;
  std::map<std::string, Json> views;  // with their own views already replaced

  const InputTable* Find(const Json& base_table) const;
};

// "bronze.rides" of a BASE_TABLE reference.
std::string TableName(const Json& base_table);

// What DuckDB says about its functions.
struct Functions {
  std::set<std::string> names, aggregates,
      changing;  // `changing`: another value on another day, or at each call
  static Result<Functions> Load(duck::Session& session);
  bool IsAggregate(const Json& json) const {
    return IsCall(json) && aggregates.contains(CallName(json));
  }
  // Whether an aggregate is called in this expression itself (not in a subquery or
  // window).
  bool HasAggregate(const Json& expr) const;
};

// Calls `visit` for every BASE_TABLE reference that is not the name of a WITH query in
// scope.
void VisitTables(Json& query, const std::function<void(Json&)>& visit);

// Puts the queries of views in the place of their names.
void ReplaceViews(Json& query, const Tables& tables);

// DuckDB's message without position and candidates. It calls our relations by what they
// are to it.
std::string PlainMessage(const Error& error);
// What DuckDB proposes in a message's later lines: Candidate bindings: "a", "b"
std::string Candidates(const std::string& message);

// What is wrong with macros whether they are used or not.
void CheckMacros(const sql::Macros& macros, duck::Session& session,
                 const Functions& functions, std::vector<PlanProblem>* problems);

// Functions and clauses whose results are not determined by the input rows.
void FindUndetermined(const Json& query, const Functions& functions,
                      std::vector<Fault>* faults);

}  // namespace weir::plan
