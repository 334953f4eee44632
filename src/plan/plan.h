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
#include "ops/aggregate.h"
#include "sql/model.h"

namespace weir::plan {

enum class BlockKind : uint8_t { kRowWise, kDistinct, kAggregate, kTop, kFullRefresh };
std::string_view BlockKindName(BlockKind kind);

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
// stands in its readers' plans. The weight column travels through SQL as `_weight`
// (INTEGER).
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
  BlockKind kind = BlockKind::kFullRefresh;
  std::string why_not_better;  // for kFullRefresh: what the planner could not do

  // kRowWise: pre_sql gives the output columns and `_weight`.
  // kAggregate, kDistinct, kTop: pre_sql gives the operator's input columns and
  // `_weight`; post_sql makes output rows of the operator's rows, both sides of a change
  // alike, and gives the output columns and `_weight`. The operator's rows are
  // aggregate.output for kAggregate, pre_schema else. kAggregate and kTop without keys
  // have one group: all rows belong on one shard. Both read the input table by its own
  // name (an input relation with all its columns and `_weight`) or, for post_sql, the
  // relation `_groups`.
  std::string pre_sql, post_sql;
  bool pre_is_projection =
      false;  // pre_sql only picks columns: `pre_columns` of the input, no SQL needed
  std::vector<int> pre_columns;
  bool post_is_projection =
      false;  // post_sql only picks columns: `post_columns` of the operator's rows
  std::vector<int> post_columns;
  data::Schema pre_schema;         // without _weight
  std::vector<int> exchange_keys;  // columns of pre_schema that decide the shard; empty:
                                   // any shard will do for kRowWise
  ops::AggregateSpec aggregate;
  ops::TopSpec top;

  std::string fingerprint;  // of everything above that decides what the state means
};

struct PlanProblem {
  std::string file;
  sql::SqlProblem problem;
};

// The plan of all models in topological order.
struct Plan {
  std::vector<InputTable> sources;
  std::vector<ModelPlan> models;
  const ModelPlan* Find(std::string_view name) const;
};

// Plans `models` over `sources`. Faults (unknown table or column with "did you mean",
// cycles, now()/random(), a KEY that is not in the output …) go to `problems`; nullopt
// when there was any.
std::optional<Plan> MakePlan(std::vector<InputTable> sources,
                             std::vector<sql::Model> models,
                             std::vector<PlanProblem>* problems);

}  // namespace weir::plan
