#include "ingest/file_gate.h"

#include <arrow/api.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <unordered_set>

#include "data/arrow.h"
#include "data/batch.h"

namespace weir::ingest {

using contract::FileGate;
using Metric = contract::FileGate::Metric;

struct FileGates::One {
  FileGate gate;
  int column = -1;
  std::unique_ptr<RE2> pattern;
  std::unordered_set<Hash128, Hash128Hasher> seen;  // of kDuplicateValues
  int64_t bad = 0;                                  // rows

  bool IsValid(std::string_view text) const {
    const auto& valid = gate.valid;
    if (!valid.empty() && std::find(valid.begin(), valid.end(), text) == valid.end())
      return false;
    return pattern == nullptr || RE2::FullMatch(text, *pattern);
  }
};

void FileGates::Free::operator()(One* one) const { delete one; }

namespace {

std::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kRowCount:
      return "rowCount";
    case Metric::kNullValues:
      return "nullValues";
    case Metric::kInvalidValues:
      return "invalidValues";
    case Metric::kDuplicateValues:
      return "duplicateValues";
  }
  return "";
}

std::string_view Adjective(Metric metric) {
  switch (metric) {
    case Metric::kRowCount:
      return "";
    case Metric::kNullValues:
      return "null";
    case Metric::kInvalidValues:
      return "invalid";
    case Metric::kDuplicateValues:
      return "duplicate";
  }
  return "";
}

std::string Number(const FileGate& gate, double value) {
  return gate.percent ? fmt::format("{:.4g} %", value) : fmt::format("{:.15g}", value);
}

std::string Expected(const FileGate& gate) {
  const bool both = gate.minimum && gate.maximum;
  if (both && *gate.minimum == *gate.maximum && !gate.outside)
    return Number(gate, *gate.minimum);
  if (both)
    return fmt::format("{}{} to {}", gate.outside ? "not " : "",
                       Number(gate, *gate.minimum), Number(gate, *gate.maximum));
  if (gate.minimum)
    return fmt::format("{} {}",
                       gate.exclusive_minimum ? ">" : ">=", Number(gate, *gate.minimum));
  return fmt::format("{} {}",
                     gate.exclusive_maximum ? "<" : "<=", Number(gate, *gate.maximum));
}

bool Passes(const FileGate& gate, double value) {
  const bool inside =
      (!gate.minimum ||
       (gate.exclusive_minimum ? value > *gate.minimum : value >= *gate.minimum)) &&
      (!gate.maximum ||
       (gate.exclusive_maximum ? value < *gate.maximum : value <= *gate.maximum));
  return inside != gate.outside;
}

}  // namespace

Result<FileGates> FileGates::New(const contract::Contract& contract) {
  FileGates out;
  for (const FileGate& gate : contract.gates) {
    std::unique_ptr<One, Free> one(new One{gate});
    if (!gate.field.empty()) {
      one->column = contract.schema.IndexOf(gate.field);
      if (one->column < 0)
        return Internal(fmt::format("a file gate on {}, which is no field", gate.field));
    }
    if (!gate.pattern.empty()) one->pattern = std::make_unique<RE2>(gate.pattern);
    out.gates_.push_back(std::move(one));
  }
  return out;
}

Status FileGates::Add(const Checked& checked) {
  const arrow::RecordBatch& rows = *checked.decoded.rows;
  rows_ += rows.num_rows();
  refused_ += std::count(checked.rejected.begin(), checked.rejected.end(), 1);
  for (const auto& one : gates_) {
    if (one->column < 0) continue;
    const arrow::Array& column = *rows.column(one->column);
    // A value of another type is null in the column, but it is there, and it is invalid.
    int64_t wrong = 0;
    int32_t last = -1;
    for (const codec::RowFault& fault : checked.decoded.faults) {
      if (fault.fault != codec::Fault::kWrongType || fault.row == last ||
          fault.field.substr(0, fault.field.find_first_of(".[")) != one->gate.field)
        continue;
      last = fault.row;
      if (column.IsNull(fault.row)) ++wrong;
    }
    switch (one->gate.metric) {
      case Metric::kRowCount:
        break;
      case Metric::kNullValues:
        one->bad += column.null_count() - wrong;
        break;
      case Metric::kInvalidValues:
        one->bad += wrong;
        for (int64_t i = 0; i < column.length(); ++i) {
          if (column.IsNull(i)) continue;
          const bool text = column.type_id() == arrow::Type::STRING;
          const bool valid =
              text ? one->IsValid(
                         static_cast<const arrow::StringArray&>(column).GetView(i))
                   : one->IsValid(WEIR_ARROW(column.GetScalar(i))->ToString());
          if (!valid) ++one->bad;
        }
        break;
      case Metric::kDuplicateValues: {
        const auto hashes = WEIR_TRY(data::HashKeys(rows, std::vector<int>{one->column}));
        for (int64_t i = 0; i < column.length(); ++i) {
          if (column.IsValid(i) &&
              !one->seen.insert(hashes[static_cast<size_t>(i)]).second)
            ++one->bad;
        }
        break;
      }
    }
  }
  return {};
}

std::optional<GateFailure> FileGates::Failure() const {
  for (const auto& one : gates_) {
    const FileGate& gate = one->gate;
    double value =
        static_cast<double>(gate.metric == Metric::kRowCount ? rows_ : one->bad);
    if (gate.percent) value = rows_ == 0 ? 0 : 100 * value / static_cast<double>(rows_);
    if (Passes(gate, value)) continue;
    if (gate.metric == Metric::kRowCount)
      return GateFailure{"rowCount",
                         fmt::format("{} rows, expected {}", rows_, Expected(gate))};
    return GateFailure{fmt::format("{} of {}", MetricName(gate.metric), gate.field),
                       fmt::format("{} {}, expected {}", Number(gate, value),
                                   Adjective(gate.metric), Expected(gate))};
  }
  return std::nullopt;
}

}  // namespace weir::ingest
