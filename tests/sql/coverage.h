// docs/sql_coverage.md, made from what the planner says about tests/sql/coverage.txt.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "case.h"

namespace weir::sqltest {

// The document. `constructs` is coverage.txt; `cases` are those of all files. kInvalid: a
// construct whose case is missing.
Result<std::string> CoverageDocument(std::string_view constructs,
                                     const std::vector<Case>& cases);

}  // namespace weir::sqltest
