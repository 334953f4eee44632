// Cases of incremental SQL as text (README.md) and their judgement in every mode.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "modeltest/engine.h"
#include "plan/plan.h"
#include "values.h"

namespace weir::sqltest {

using flow::Changes;
using modeltest::Engine;
using modeltest::IsKept;
using modeltest::Oracle;
using modeltest::SchemaOf;

struct ModelText {
  std::string name, kind;  // kind: empty: any but a full refresh
  std::string body;        // SELECT …, or CREATE …
  int line = 0;            // of the body's first line in its file
};

// A statement that makes no table by itself: a flow, a macro.
struct StatementText {
  std::string word, name, body;
};

struct Feed {
  std::string table;
  std::vector<RowLine> rows;
};

struct Expectation {
  std::string model;
  bool is_change = false;  // rows are what the step changed; otherwise all rows
  std::vector<RowLine> rows;
  int line = 0;
};

struct CaseStep {
  std::vector<Feed> feeds;
  std::optional<Micros> watermark;  // when the rows of the step are in
  std::vector<Expectation> expected;
  int line = 0;
};

struct Case {
  std::string file, name;
  int line = 0;
  std::vector<std::string> comments;
  std::vector<plan::InputTable> tables;
  std::vector<ModelText> models;
  std::vector<StatementText> statements;
  std::vector<std::string> errors;  // "2:8 there is no table", in parts
  std::map<std::string, std::vector<std::string>> approximate;  // columns of models
  std::vector<CaseStep> steps;
};

// The cases of a file's text. kInvalid: what is wrong, with "file:line".
Result<std::vector<Case>> ParseCases(const std::string& file, std::string_view text);
// A file of one case.
std::string CaseText(const Case& c);

struct Planned {
  std::optional<plan::Plan> plan;
  std::vector<std::string> problems;  // "2:8 message [fix]", by the model's body
  std::vector<std::string> faulty;    // the model of each
};
Planned PlanCase(const Case& c);

// The kinds of the model's stages that are more than row by row, in their order: "join,
// aggregate".
std::string KindText(const plan::ModelPlan& model);

// Empty when the case holds in all modes.
std::vector<std::string> RunCase(const Case& c);

// The columns of a model that are compared with a tolerance.
Approximate ApproximateColumns(const Case& c, const plan::ModelPlan& model);

}  // namespace weir::sqltest
