// Macros of a project: names for expressions and queries that are used in several models.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sql/model.h"

namespace weir::sql {

// CREATE MACRO name(a, b) AS expression, or AS TABLE query.
struct Macro {
  std::shared_ptr<const SourceText> source;
  size_t begin = 0;  // of its name, in the file
  std::string name;  // in lower case
  std::vector<Written> parameters;
  bool is_table = false;
  QueryText body;  // with the macros it calls expanded, once it is in Macros
};

// Expands calls as text: the macro's body in parentheses, with each argument, in
// parentheses too, in the place of its parameter. Every byte of the outcome knows where
// it was written, so that a fault points to the macro's file or to the call.
class Macros {
 public:
  // Names that are there twice and macros that call each other in a circle go to
  // `problems`.
  static Macros Make(std::vector<Macro> macros, std::vector<FileProblem>* problems);

  bool empty() const { return macros_.empty(); }
  const std::map<std::string, Macro>& all() const { return macros_; }

  // False: faults, told to `problems`. Every origin must have its source, as those of
  // macros have.
  bool Expand(QueryText* query, std::vector<FileProblem>* problems) const;
  // The query and the constraints of a model.
  bool Expand(Model* model, std::vector<FileProblem>* problems) const;

 private:
  std::map<std::string, Macro> macros_;
};

// The fault that stands at this byte of a query whose origins have their sources.
FileProblem ProblemAt(const QueryText& query, size_t offset, std::string message,
                      std::string fix);

}  // namespace weir::sql
