// TUMBLE, HOP, CUMULATE and SESSION in FROM, as the subqueries they stand for.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "sql/call_text.h"

namespace weir::sql {

// Whether a call of a time window begins at token `at`: TUMBLE(TABLE …
bool IsTimeWindow(const std::vector<Token>& tokens, size_t at, std::string_view text);

// The call that begins at token `at`. The window of a row is the half-open interval
// window_start to window_end, aligned to 1970-01-01 00:00 UTC:
//   TUMBLE(TABLE t, DESCRIPTOR(ts), size [, offset])   one window
//   HOP(TABLE t, DESCRIPTOR(ts), slide, size)          every window with the row in it
//   CUMULATE(TABLE t, DESCRIPTOR(ts), step, size)      those of a size that grows by step
//   SESSION(TABLE t [PARTITION BY k, …], DESCRIPTOR(ts), gap)
//     from the first row of a key to `gap` after its last, while no two rows that follow
//     one another are farther apart than `gap`
// as Flink defines them. Sizes are of fixed length: no months or years. nullopt: a fault,
// which was told to `problem` with its place in the text, a message and a fix.
std::optional<ExpandedText> ExpandTimeWindow(const std::vector<Token>& tokens, size_t at,
                                             std::string_view text,
                                             const CallProblem& problem);

}  // namespace weir::sql
