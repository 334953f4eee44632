// Unit tests of models: tests/*.yml of a project (docs/unit_tests.md). Rows are given for
// tables, and the rows of a model that follow from them are compared with those expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contract/contract.h"
#include "data/batch.h"
#include "data/type.h"
#include "plan/plan.h"

namespace weir::modeltest {

// Rows that come to a table, in the order of the file.
struct GivenRows {
  std::string table;  // lower case
  data::Batch rows;   // all columns of the table
};

// What comes in, and what the model must hold then.
struct UnitTestStep {
  std::vector<GivenRows> given;
  Micros watermark = kNoTime;        // when the rows are in; kNoTime: as before
  std::vector<std::string> columns;  // of the model that are compared
  data::Schema schema;               // of these columns
  data::Batch expected;
  int line = 0;
};

struct UnitTest {
  std::string file, name, model;
  int line = 0;
  double tolerance = 1e-9;  // of floats, relative
  std::vector<UnitTestStep> steps;
};

// The tests of one file. Faults go to `problems` with line and fix; nothing of a faulty
// test is given out. `plan` says which tables and columns there are.
std::vector<UnitTest> ParseUnitTests(const std::string& file, std::string_view text,
                                     const plan::Plan& plan,
                                     std::vector<contract::Problem>* problems);

struct UnitTestResult {
  // Which way of computing gave other rows than expected: "all rows at once", "row by
  // row", or "DuckDB". Empty: the test passed.
  std::string how;
  size_t step = 0;    // the first that failed
  std::string error;  // the model could not be computed at all
  data::Schema schema;
  data::Batch missing, unexpected;  // with how often, as weights
  bool passed() const { return how.empty() && error.empty(); }
};

// Plans what stands between the given tables and the model, and computes it three times:
// by the incremental operators with all rows of a step at once, by them row by row, and
// by DuckDB running the completed SQL. Every way must give the rows expected. A model for
// which rows are given is an input like a source.
UnitTestResult RunUnitTest(const UnitTest& test, const plan::Plan& plan);

}  // namespace weir::modeltest
