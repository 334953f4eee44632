// What a step of components looks at, and what comes out of it.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "ops/cells.h"

namespace weir::ops {

constexpr uint32_t kNone = ~uint32_t{0};

// The records that a step may change: those it touched, and all that values lead to from
// them, before the step (0) or after it (1). Records, values and times have numbers.
struct Region {
  struct Row {
    uint32_t record;
    std::array<bool, 2> there;
    // With history.
    uint32_t from = kNone, to = kNone;
    std::string order = {};
    std::vector<uint32_t> values = {};
  };
  // Which record carries which value; without history.
  struct Carried {
    uint32_t record, value;
    std::array<bool, 2> there;
  };

  bool with_values = true;  // else only what is known by record

  // By record.
  std::array<std::vector<std::string>, 2> first;  // least order key; empty: not there
  std::vector<CellColumn> cells;                  // the record columns
  // By value.
  std::vector<Hash128> values;
  std::unordered_map<Hash128, uint32_t, Hash128Hasher> value_numbers;

  // Without history.
  std::array<std::vector<bool>, 2> links;  // by value: whether it links its records
  std::vector<Carried> carried;

  // With history.
  std::vector<Row> rows;
  std::array<std::vector<uint32_t>, 2>
      stops;                       // by value: since when it links none for good
  std::vector<std::string> times;  // their keys
  std::vector<CellColumn> time_cells;
  std::unordered_map<std::string, uint32_t> time_numbers;

  size_t records() const { return first[0].size(); }
};

// A record, the first of its component and since when and until when it is.
struct Outcome {
  uint32_t record, first, since = kNone, until = kNone;
  friend auto operator<=>(const Outcome&, const Outcome&) = default;
};

}  // namespace weir::ops
