// Types, rows and tables' contents as text: what .test files are written in.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/batch.h"
#include "data/type.h"
#include "modeltest/content.h"

namespace weir::sqltest {

using modeltest::Content;
using modeltest::Sum;

// "BIGINT", "DECIMAL(10,2)", "VARCHAR[]", "STRUCT(a INTEGER, b VARCHAR)".
Result<data::Type> ParseType(std::string_view text);
// "id BIGINT, name VARCHAR".
Result<data::Schema> ParseColumns(std::string_view text);
std::string ColumnsText(const data::Schema& schema);

// Rows as lines "+ 1 ann 10": with `weights`, a sign or a signed weight first ("-2"),
// then the values with blanks between them. A value is NULL, a word, a quoted text
// ('it''s', with \n \t \\ \xHH), [a, b] or {field: value, …}.
struct RowLine {
  std::string text;
  int line = 0;  // of the file, for messages
};
Result<data::Batch> ParseRows(const data::Schema& schema,
                              const std::vector<RowLine>& lines, bool weights);

// The inverse, one line a row. Sorted when `sorted`.
enum class WeightText : uint8_t { kSign, kRepeat };
std::vector<std::string> RowTexts(const data::Schema& schema, const data::Batch& batch,
                                  WeightText weights);

// How columns are compared: exactly (NaN equals NaN, -0.0 equals 0.0), or, where true,
// floats with a relative difference of 1e-9.
using Approximate = std::vector<bool>;

// Empty when the batches are equal multisets; otherwise the rows that differ, as text:
// "only in A: …".
Result<std::string> Difference(const data::Schema& schema, const data::Batch& a,
                               std::string_view a_name, const data::Batch& b,
                               std::string_view b_name, const Approximate& approximate);

}  // namespace weir::sqltest
