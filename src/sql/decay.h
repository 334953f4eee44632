// decay_sum and decayed, as the expressions that they stand for.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "sql/call_text.h"

namespace weir::sql {

// Whether a call of one of the two begins at token `at`.
bool IsDecay(const std::vector<Token>& tokens, size_t at, std::string_view text);

// The call that begins at token `at`:
//   decay_sum(value, ts, half_life) [FILTER (WHERE …)]
//     log2 of the sum of value · 2^(ts / half_life): what it is worth is independent of
//     now, so it changes only as rows do. Values are numbers of 0 or more; rows without
//     value or time do not count, and NULL stands for a sum of 0.
//   decayed(stored, at, half_life)
//     the sum of value · 2^((ts - at) / half_life): what `stored` is worth at a time. 0
//     for NULL.
// nullopt: a fault, which was told to `problem`.
std::optional<ExpandedText> ExpandDecay(const std::vector<Token>& tokens, size_t at,
                                        std::string_view text,
                                        const CallProblem& problem);

// The second argument of the list_reduce that decay_sum stands for: log2(2^a + 2^b),
// where a is not less.
inline constexpr std::string_view kLogSumLambda =
    "lambda weir_a, weir_b: weir_a + log2(1 + pow(2, weir_b - weir_a))";

// Statements that teach a session of DuckDB both functions (without FILTER).
inline constexpr std::string_view kDecayMacros[] = {
    "CREATE MACRO decay_sum(value, ts, half_life) AS list_reduce(list_sort(list(CASE "
    "WHEN "
    "value > 0 THEN log2(CAST(value AS DOUBLE)) + epoch_us(ts) / epoch_us(half_life) "
    "END) "
    "FILTER (WHERE value > 0 AND ts IS NOT NULL), 'DESC'), lambda weir_a, weir_b: weir_a "
    "+ log2(1 + pow(2, weir_b - weir_a)))",
    "CREATE MACRO decayed(stored, moment, half_life) AS coalesce(pow(2, stored - "
    "epoch_us(moment) / epoch_us(half_life)), 0)"};

}  // namespace weir::sql
