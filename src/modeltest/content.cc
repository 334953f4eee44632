#include "modeltest/content.h"

#include <arrow/api.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "data/arrow.h"

namespace weir::modeltest {
namespace {

using data::Kind;

bool NearlyEqual(double a, double b, double tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

double FloatAt(const arrow::Array& array, int64_t row) {
  return array.type_id() == arrow::Type::FLOAT
             ? static_cast<const arrow::FloatArray&>(array).Value(row)
             : static_cast<const arrow::DoubleArray&>(array).Value(row);
}

data::Batch Empty(const data::Schema& schema) {
  return {*arrow::RecordBatch::MakeEmpty(data::ToArrow(schema)), {}};
}

// The columns named differently by DuckDB's result or nested names do not matter.
data::Batch Renamed(const data::Schema& schema, const data::Batch& batch) {
  return {arrow::RecordBatch::Make(data::ToArrow(schema), batch.num_rows(),
                                   batch.rows->columns()),
          batch.weights};
}

struct Unmatched {
  int64_t row;
  int32_t weight;
};

Result<data::Batch> RowsOf(const data::Batch& batch, const std::vector<Unmatched>& rows) {
  std::vector<int32_t> order, weights;
  for (const Unmatched& row : rows) {
    if (row.weight == 0) continue;
    order.push_back(static_cast<int32_t>(row.row));
    weights.push_back(row.weight);
  }
  data::Batch out = WEIR_TRY(data::Take(batch, order));
  out.weights = std::move(weights);
  return out;
}

}  // namespace

Content::Content(data::Schema schema)
    : schema_(std::move(schema)), rows_(Empty(schema_)) {}

Status Content::Add(const std::vector<data::Batch>& changes) {
  std::vector<data::Batch> all = {rows_};
  for (const data::Batch& batch : changes) {
    if (batch.num_rows() > 0) all.push_back(Renamed(schema_, batch));
  }
  if (all.size() == 1) return {};
  rows_ = WEIR_TRY(data::Consolidate(WEIR_TRY(data::Concat(all))));
  return {};
}

Result<data::Batch> Content::Expanded(std::mt19937_64& random) const {
  std::vector<int32_t> order;
  for (int64_t row = 0; row < rows_.num_rows(); ++row) {
    if (rows_.weight(row) < 0)
      return Internal("a row is there less than no time: " +
                      data::RowText(*rows_.rows, row));
    order.insert(order.end(), static_cast<size_t>(rows_.weight(row)),
                 static_cast<int32_t>(row));
  }
  std::shuffle(order.begin(), order.end(), random);
  data::Batch out = WEIR_TRY(data::Take(rows_, order));
  out.weights.clear();
  return out;
}

Result<data::Batch> Sum(const data::Schema& schema,
                        const std::vector<data::Batch>& changes) {
  Content sum(schema);
  WEIR_TRY(sum.Add(changes));
  return sum.rows();
}

Result<Unequal> Compare(const data::Schema& schema, const data::Batch& a,
                        const data::Batch& b, const std::vector<double>& tolerances) {
  // What is left of a - b, first exactly …
  data::Batch minus = Renamed(schema, b);
  minus.weights.resize(static_cast<size_t>(b.num_rows()));
  for (int64_t i = 0; i < b.num_rows(); ++i)
    minus.weights[static_cast<size_t>(i)] = -b.weight(i);
  const data::Batch left = WEIR_TRY(Sum(schema, {a, minus}));
  if (left.num_rows() == 0) return Unequal{Empty(schema), Empty(schema)};
  // … then pairwise where floats may differ a little.
  std::vector<Unmatched> only_a, only_b;
  for (int64_t row = 0; row < left.num_rows(); ++row) {
    const int32_t weight = left.weight(row);
    (weight > 0 ? only_a : only_b).push_back({row, std::abs(weight)});
  }
  std::vector<int> exact, floats;
  for (int column = 0; column < left.rows->num_columns(); ++column) {
    const Kind kind = schema.fields[static_cast<size_t>(column)].type.kind;
    const bool is_approximate = tolerances[static_cast<size_t>(column)] > 0 &&
                                (kind == Kind::kDouble || kind == Kind::kFloat);
    (is_approximate ? floats : exact).push_back(column);
  }
  if (!floats.empty()) {
    std::vector<std::string> keys(static_cast<size_t>(left.num_rows()));
    if (!exact.empty()) {
      const auto encoded = WEIR_TRY(data::EncodeKeys(*left.rows, exact));
      for (size_t i = 0; i < keys.size(); ++i) keys[i] = encoded[i];
    }
    const auto near = [&](int64_t x, int64_t y) {
      if (keys[static_cast<size_t>(x)] != keys[static_cast<size_t>(y)]) return false;
      return std::all_of(floats.begin(), floats.end(), [&](int c) {
        const arrow::Array& column = *left.rows->column(c);
        if (column.IsNull(x) || column.IsNull(y))
          return column.IsNull(x) == column.IsNull(y);
        return NearlyEqual(FloatAt(column, x), FloatAt(column, y),
                           tolerances[static_cast<size_t>(c)]);
      });
    };
    for (Unmatched& x : only_a) {
      for (Unmatched& y : only_b) {
        if (x.weight == 0 || y.weight == 0 || !near(x.row, y.row)) continue;
        const int32_t pairs = std::min(x.weight, y.weight);
        x.weight -= pairs;
        y.weight -= pairs;
      }
    }
  }
  return Unequal{WEIR_TRY(RowsOf(left, only_a)), WEIR_TRY(RowsOf(left, only_b))};
}

}  // namespace weir::modeltest
