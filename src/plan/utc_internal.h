// Calls on points in time, written so that DuckDB need not ask a calendar.
#pragma once

#include "data/type.h"
#include "plan/ast_internal.h"

namespace weir::plan {

// The same expression with date_trunc, date_diff and casts to DATE and TIMESTAMP over
// TIMESTAMPTZ columns of `columns` computed on the TIMESTAMP of the same microseconds,
// which is the same thing because a session's time zone is always UTC. DuckDB goes
// through ICU's calendar fields for TIMESTAMPTZ, at ten to a hundred times the cost, and
// fails a whole session when a difference is too large for them ("Unable to subtract ICU
// calendar part"). Infinities go the way they did. `expr` is resolved: columns stand by
// their bare names.
Result<Json> InUtc(Ast& ast, Json expr, const data::Schema& columns);

}  // namespace weir::plan
