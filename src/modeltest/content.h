// What tables hold, as multisets of rows, and how two of them differ.
#pragma once

#include <random>
#include <vector>

#include "base/result.h"
#include "data/batch.h"
#include "data/type.h"

namespace weir::modeltest {

// A multiset of rows: the sum of changes.
class Content {
 public:
  explicit Content(data::Schema schema);

  Status Add(const std::vector<data::Batch>& changes);
  const data::Schema& schema() const { return schema_; }
  // Each row once, with its weight; no weight is 0.
  const data::Batch& rows() const { return rows_; }
  // Rows as often as their weight says, shuffled. kInternal when a weight is negative.
  Result<data::Batch> Expanded(std::mt19937_64& random) const;

 private:
  data::Schema schema_;
  data::Batch rows_;
};

// The sum of a step's changes, rows that cancel taken out. May have no rows.
Result<data::Batch> Sum(const data::Schema& schema,
                        const std::vector<data::Batch>& changes);

// The rows of two multisets that have no counterpart in the other, each with how often.
struct Unequal {
  data::Batch only_a, only_b;
  bool none() const { return only_a.num_rows() == 0 && only_b.num_rows() == 0; }
};

// Values are equal when they are the same (NaN equals NaN, -0.0 equals 0.0); floats in
// column i also when they differ by at most tolerances[i] times the greater of the two.
Result<Unequal> Compare(const data::Schema& schema, const data::Batch& a,
                        const data::Batch& b, const std::vector<double>& tolerances);

}  // namespace weir::modeltest
