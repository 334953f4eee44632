// From a project to what runs: for each model the kind of incremental work, its SQL
// pieces, its key and its schema.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/type.h"
#include "duck/duck.h"
#include "plan/stage.h"
#include "sql/model.h"

namespace weir::plan {

// A table a model can read: a bronze table or another model's.
struct InputTable {
  std::string name;  // "bronze.ride_events"
  data::Schema schema;
  std::vector<std::string>
      key;  // columns whose values are unique together; empty: none known
  std::vector<std::string>
      order;  // tie columns (weir.order), put first by order completion
  bool append_only = false;
};

// How one model is kept. A plain VIEW is planned like the others but not kept: its query
// stands in its readers' plans.
struct ModelPlan {
  sql::Model model;
  std::vector<std::string>
      inputs;  // every table the body names, in the place of views the tables they read
  data::Schema output;           // ids not assigned
  std::vector<std::string> key;  // declared, or inferred (GROUP BY columns that reach the
                                 // output); empty: rows with multiplicity
  bool append_only = false;      // outputs only inserts
  bool verify_key = false;    // the key is only declared: the table must check it, also
                              // when it is append-only
  std::string completed_sql;  // the body with order completion: the model's meaning
  // Of the last stage that is more than row by row.
  BlockKind kind = BlockKind::kFullRefresh;
  std::string why_not_better;  // for kFullRefresh: what the planner could not do
  std::vector<Stage> stages;   // none for kFullRefresh
  int rows_stage = -1;         // gives the rows of the table

  // CONSTRAINT … EXPECT (docs/sql.md). `<name>$rejected` is planned as a model of its own
  // behind this one, whose rows come from these stages, too.
  std::string part_of;         // of `<name>$rejected`: the name; else empty
  std::string rejected_table;  // `<name>$rejected`; empty: there is none
  int rejected_stage = -1;     // gives its rows
  // Gives the rows of the query that violate any constraint. Its last columns say, in the
  // constraints' order, which; the ones before are the query's.
  int violations_stage = -1;
  // For kFullRefresh: one row, how many rows violate each constraint; empty: none has
  // any.
  std::string violations_sql;

  std::string fingerprint;  // of everything above that decides what the state means
};

using PlanProblem = sql::FileProblem;

// The plan of all models in topological order.
struct Plan {
  std::vector<InputTable> sources;
  std::vector<ModelPlan> models;
  const ModelPlan* Find(std::string_view name) const;
  // The model and, where there is one, its `$rejected`: what commits together.
  std::vector<const ModelPlan*> PartsOf(const ModelPlan& model) const;
  // The names of all models that read the model's tables, themselves or through others,
  // in the plan's order; `$rejected` tables too, its own first.
  std::vector<std::string> DependentsOf(std::string_view model) const;
};

// Plans `models` over `sources`. Faults (unknown table or column with "did you mean",
// cycles, now()/random(), a KEY that is not in the output …) go to `problems`; nullopt
// when there was any.
std::optional<Plan> MakePlan(std::vector<InputTable> sources,
                             std::vector<sql::Model> models,
                             std::vector<PlanProblem>* problems);

}  // namespace weir::plan
