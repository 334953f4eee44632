#include "flow/violations.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/event.h"

namespace weir::flow {
namespace {

constexpr std::string_view kKey = "rows";
constexpr size_t kExampleBytesMax = 300;

std::string_view Name(sql::OnViolation on_violation) {
  switch (on_violation) {
    case sql::OnViolation::kCount:
      return "count";
    case sql::OnViolation::kQuarantine:
      return "quarantine";
    case sql::OnViolation::kDropRow:
      return "drop row";
    case sql::OnViolation::kFailUpdate:
      return "fail update";
  }
  return "?";
}

// The values of the query, "1 | ann | NULL".
std::string Text(const arrow::RecordBatch& rows, int columns, int64_t row) {
  std::string out;
  for (int i = 0; i < columns && out.size() < kExampleBytesMax; ++i) {
    const auto column = arrow::RecordBatch::Make(arrow::schema({rows.schema()->field(i)}),
                                                 rows.num_rows(), {rows.column(i)});
    out += (i == 0 ? "" : " | ") + data::RowText(*column, row);
  }
  if (out.size() > kExampleBytesMax) {
    out.resize(kExampleBytesMax);
    out += "…";
  }
  return out;
}

}  // namespace

Violations::Violations(std::vector<sql::Constraint> constraints) {
  for (sql::Constraint& constraint : constraints)
    all_.push_back({std::move(constraint), 0, 0, ""});
}

Status Violations::Restore(state::Store& store, std::string space) {
  space_ = std::move(space);
  for (One& one : all_) one.rows = one.committed = 0;
  if (all_.empty()) return {};
  const std::string_view keys[] = {kKey};
  const auto found = WEIR_TRY(store.GetMany(space_, keys));
  if (!found[0]) return {};
  // "2,0,17": in the order of the constraints, which the fingerprint in the space covers.
  const char* at = found[0]->data();
  const char* end = at + found[0]->size();
  for (One& one : all_) {
    const auto read = std::from_chars(at, end, one.rows);
    if (read.ec != std::errc())
      return Corrupt(fmt::format("the counts in state space {} cannot be read", space_));
    at = std::min(read.ptr + 1, end);
    one.committed = one.rows;
  }
  return {};
}

void Violations::Add(const data::Batch& rows) {
  const int columns = rows.rows->num_columns() - static_cast<int>(all_.size());
  for (size_t i = 0; i < all_.size(); ++i) {
    One& one = all_[i];
    const auto& violated = static_cast<const arrow::BooleanArray&>(
        *rows.rows->column(columns + static_cast<int>(i)));
    int64_t example = -1;
    for (int64_t row = 0; row < rows.num_rows(); ++row) {
      if (!violated.Value(row)) continue;
      one.rows += rows.weight(row);
      if (rows.weight(row) > 0) example = row;
    }
    if (example >= 0) one.example = Text(*rows.rows, columns, example);
  }
}

void Violations::Set(const std::vector<int64_t>& counts) {
  for (size_t i = 0; i < all_.size(); ++i) all_[i].rows = counts[i];
}

Status Violations::Judge() const {
  for (const One& one : all_) {
    if (one.constraint.on_violation != sql::OnViolation::kFailUpdate || one.rows == 0)
      continue;
    return Invalid(fmt::format(
        "{} {} violate{} constraint {}, EXPECT ({}) ON VIOLATION FAIL UPDATE{}; mend the "
        "rows it comes from, or change the constraint",
        one.rows, one.rows == 1 ? "row" : "rows", one.rows == 1 ? "s" : "",
        one.constraint.name, one.constraint.condition,
        one.example.empty() ? "" : ": " + one.example));
  }
  return {};
}

void Violations::Checkpoint(state::Delta& delta) {
  std::string text;
  bool changed = false;
  for (const One& one : all_) {
    text += fmt::format("{}{}", text.empty() ? "" : ",", one.rows);
    changed |= one.rows != one.committed;
  }
  if (changed) delta.Put(space_, kKey, text);
}

void Violations::Committed(std::string_view model) {
  for (One& one : all_) {
    if (one.rows > one.committed) {
      Event("constraint_violated", Severity::kWarning)
          .With("model", model)
          .With("constraint", one.constraint.name)
          .With("on_violation", Name(one.constraint.on_violation))
          .With("rows", one.rows)
          .With("more", one.rows - one.committed);
    }
    one.committed = one.rows;
  }
}

std::string Violations::Json() const {
  nlohmann::json out = nlohmann::json::array();
  for (const One& one : all_) {
    out.push_back({{"constraint", one.constraint.name},
                   {"on_violation", Name(one.constraint.on_violation)},
                   {"rows", one.rows}});
  }
  return out.dump();
}

}  // namespace weir::flow
