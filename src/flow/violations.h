// How many rows of a model violate each of its constraints, exactly, across restarts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/batch.h"
#include "sql/model.h"
#include "state/state.h"

namespace weir::flow {

// Used by the flow's thread.
class Violations {
 public:
  explicit Violations(std::vector<sql::Constraint> constraints);

  // Continues from what was last committed in this space of the store.
  Status Restore(state::Store& store, std::string space);
  // Changes of the plan's violations_stage.
  void Add(const data::Batch& rows);
  // The counts as a whole: of a model that is computed whole.
  void Set(const std::vector<int64_t>& counts);

  // kInvalid: rows violate a constraint ON VIOLATION FAIL UPDATE.
  Status Judge() const;
  void Checkpoint(state::Delta& delta);
  // What was put aside last is committed. Raises constraint_violated for each constraint
  // that more rows violate than after the commit before.
  void Committed(std::string_view model);

  // [{"constraint", "on_violation", "rows"}]
  std::string Json() const;

 private:
  struct One {
    sql::Constraint constraint;
    int64_t rows = 0, committed = 0;
    std::string example;  // a row that came last, as text
  };

  std::vector<One> all_;
  std::string space_;
};

}  // namespace weir::flow
