// RESOLVE in FROM: which records are one, as the subquery that it stands for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/call_text.h"

namespace weir::sql {

// Whether a call of RESOLVE or RESOLVE_HISTORY begins at token `at`: RESOLVE(TABLE …
bool IsResolve(const std::vector<Token>& tokens, size_t at, std::string_view text);

// The call that begins at token `at`:
//   RESOLVE(TABLE t, RECORD (a, …), BY (x, …) [, SEQUENCE BY s] [, MAX n])
// Rows with equal RECORD columns are one record. Two records are linked when they share a
// value of the same BY column, NULL being none, and one that more than n records carry
// links nothing. Records that links lead to from one another are one identity. The call
// gives a row per record: its columns and `unified_id`, which is the MD5 of the first
// record of the identity (least s, then least record, NULLs last), as a JSON array of its
// columns as text.
//   RESOLVE_HISTORY(TABLE t, RECORD …, BY … [, SEQUENCE BY s] [, VALID (a, b)] [, MAX n])
// says the same for each time: a row counts from a on and until before b (NULL: for ever;
// without VALID, from s on). The call gives a row per record and span of time in which it
// has one id: also `valid_from` and `valid_to` (NULL: still). nullopt: a fault, which was
// told to `problem`.
std::optional<ExpandedText> ExpandResolve(const std::vector<Token>& tokens, size_t at,
                                          std::string_view text,
                                          const CallProblem& problem);

// What the subquery is made for.
struct ResolveShape {
  size_t records = 0, values = 0;  // columns
  bool sequence = false;
  bool history = false;
  int64_t most = -1;  // MAX; -1: none
};

// The subquery begins with `WITH RECURSIVE weir_rows AS (…)`, which gives columns r0 …,
// v0 …, s (with a sequence), since and until (with history). These WITH queries follow,
// each with a comma before it; the last, weir_components, gives r0 … and the columns f0 …
// of the first record of the same identity, with history also since and until.
inline constexpr std::string_view kResolveRows = "weir_rows",
                                  kResolveResult = "weir_components";
std::string ResolveQueries(const ResolveShape& shape);

}  // namespace weir::sql
