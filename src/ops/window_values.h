// What window functions know when they have come to a row: counts, sums and extremes of
// the rows up to it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/exact_sum.h"
#include "ops/window.h"

namespace weir::ops {

struct CellView {
  bool null = true;
  std::string_view cell;
};

// The cells of a row's bytes (AppendRow). kCorrupt: they are no row of these columns.
Status ParseRow(std::string_view row, const data::Schema& schema,
                std::vector<CellView>* out);

// As AppendRow appends one column.
void AppendCell(CellView value, const data::Type& type, std::string* out);

// Of one call, over the rows so far.
struct RunningValue {
  int64_t count = 0;  // rows, or values that are not NULL
  Int128 sum = 0;
  NarrowSum narrow;
  std::shared_ptr<const WideSum> wide;  // what does not fit `narrow`
  bool present = false, null = true;    // of first, last and the extremes
  std::string cell;

  friend bool operator==(const RunningValue& a, const RunningValue& b);
};

bool IsRunning(WindowKind kind);

// Takes a row that is there `times` times in.
Status AddRow(const WindowCall& call, const data::Type& argument, CellView value,
              int64_t times, RunningValue* running);
// The call's result, as AppendCell appends it. kInvalid: it does not fit its type.
Status AppendResult(const WindowCall& call, const data::Type& argument,
                    const RunningValue& running, std::string* out);

// kInvalid: a call that has no meaning, or whose result type is not one it can have.
Status CheckCall(const WindowCall& call, const data::Schema& input);

}  // namespace weir::ops
