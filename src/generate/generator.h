// The generators of the example systems, by name: input streams with all the trouble of
// real ones, and the right answer to them.
//
// A generator writes under `out`
//
//     data/<source>/...               input of each source, in the order of file names
//     answer/<schema>.<table>.ndjson  rows each table must have: all columns, any order
//     answer/ledger.json              where the records of each source must go
//
// The answer is computed from the true entities in plain C++: it shares no code with the
// engine, and is not SQL. Same options, same bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/io.h"

namespace weir::generate {

struct SystemOptions {
  std::string out;   // folder, made when missing; what it would write must not be there
  double scale = 1;  // 1 is a first look of seconds; each generator says what it means
  uint64_t seed = 7;
};

struct Generator {
  std::string_view name, about;
  // Returns a line that says what was written.
  Result<std::string> (*run)(io::Io& io, const SystemOptions& options);
};

// All but `rides`, which has options of its own (rides.h).
const std::vector<Generator>& Generators();

Result<std::string> GenerateAttribution(io::Io& io, const SystemOptions& options);
Result<std::string> GenerateClickstream(io::Io& io, const SystemOptions& options);
Result<std::string> GenerateFeed(io::Io& io, const SystemOptions& options);
Result<std::string> GenerateFraud(io::Io& io, const SystemOptions& options);
Result<std::string> GenerateCustomer360(io::Io& io, const SystemOptions& options);

}  // namespace weir::generate
