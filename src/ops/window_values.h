// What window functions know when they have come to a row: counts, sums and extremes of
// the rows up to it.
#pragma once

#include <map>
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

// As marks of a window keep it (docs/formats/state.md).
void AppendRunning(const RunningValue& value, std::string* out);
// Takes it off `bytes`. kCorrupt: it is not there.
Status ParseRunning(std::string_view* bytes, RunningValue* out);

bool IsRunning(WindowKind kind);
// Whether the frame leaves rows behind.
bool Moves(const WindowCall& call);

int CompareCells(const data::Type& type, std::string_view a, std::string_view b);

// The values of a moving frame in order, with how often each is there.
class FrameValues {
 public:
  explicit FrameValues(const data::Type& type) : counts_(Less{&type}) {}
  void Add(std::string_view cell, int64_t times) {
    const auto it = counts_.try_emplace(std::string(cell)).first;
    if ((it->second += times) == 0) counts_.erase(it);
  }
  CellView Least() const {
    return counts_.empty() ? CellView() : CellView{false, counts_.begin()->first};
  }
  CellView Greatest() const {
    return counts_.empty() ? CellView() : CellView{false, counts_.rbegin()->first};
  }

 private:
  struct Less {
    const data::Type* type;
    bool operator()(const std::string& a, const std::string& b) const {
      return CompareCells(*type, a, b) < 0;
    }
  };
  std::map<std::string, int64_t, Less> counts_;
};

// Takes a row that is there `times` times in.
Status AddRow(const WindowCall& call, const data::Type& argument, CellView value,
              int64_t times, RunningValue* running);
// The call's result, as AppendCell appends it. kInvalid: it does not fit its type.
Status AppendResult(const WindowCall& call, const data::Type& argument,
                    const RunningValue& running, std::string* out);

// kInvalid: a call that has no meaning, or whose result type is not one it can have.
Status CheckCall(const WindowCall& call, const data::Schema& input);

}  // namespace weir::ops
