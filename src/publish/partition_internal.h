// Rows to partitions.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "data/type.h"
#include "iceberg/table.h"

namespace weir::publish {

using Tuple = std::vector<iceberg::Literal>;

// The value of one row in Iceberg's domain. Nested values are not asked for.
iceberg::Literal LiteralAt(const arrow::Array& column, const data::Type& type,
                           int64_t row);

// Numbers the partition tuples it meets, from 0. A transform is computed once per
// distinct source value, not once per row.
class Partitioner {
 public:
  // kInvalid: a partition source that is no top-level column.
  static Result<Partitioner> Make(const data::Schema& schema,
                                  const iceberg::PartitionSpec& spec);

  // The partition number of each row; empty when all rows are in `*only`.
  Result<std::vector<int32_t>> Assign(const arrow::RecordBatch& rows, int32_t* only);
  const Tuple& tuple(int32_t number) const {
    return tuples_[static_cast<size_t>(number)];
  }
  int32_t NumberOf(const Tuple& tuple);

 private:
  struct Source {
    int column;
    data::Type type;
    iceberg::Transform transform;
    std::unordered_map<Hash128, int32_t, Hash128Hasher>
        memo;  // (coarsened) source value -> value number
    std::vector<iceberg::Literal> values;
    std::map<iceberg::Literal, int32_t> numbers;
  };
  Result<std::vector<int32_t>> ValueNumbers(Source& source,
                                            const arrow::RecordBatch& rows);

  std::vector<Source> sources_;
  std::vector<Tuple> tuples_;
  std::map<Tuple, int32_t> numbers_;
  std::map<std::vector<int32_t>, int32_t> by_values_;
};

}  // namespace weir::publish
