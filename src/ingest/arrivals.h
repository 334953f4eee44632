// The files of a source as rows of bronze."<source>$arrivals"
// (docs/formats/system_tables.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "contract/contract.h"
#include "data/batch.h"
#include "data/type.h"

namespace weir::ingest {

// What became of a file, once nothing more of it will be read.
struct Arrival {
  std::string path;
  int64_t ordinal = 0;  // in the source's reading order; of reference data -1
  int partition = 0;
  uint64_t size = 0, checksum = 0;
  Micros modified = 0, found = kNoTime;
  int64_t rows = 0, accepted = 0, rejected = 0, duplicate = 0, late = 0;
  Micros first_event = kNoTime, last_event = kNoTime;  // of the accepted records
  std::string_view state;                              // read | quarantined | broken
  std::string why;                                     // of the latter two
};

data::Schema ArrivalSchema();
Result<data::Batch> ArrivalRows(const contract::Contract& contract,
                                std::span<const Arrival> arrivals);

// The interval that a file of this name is for: from, to (excluded). nullopt: the name is
// not one that is expected.
std::optional<std::pair<Micros, Micros>> IntervalOf(
    const contract::ExpectedFiles& expected, std::string_view name);

}  // namespace weir::ingest
