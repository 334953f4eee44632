// Parquet files of others: whatever the bytes are, a row is JSON that the decoder takes
// or tells apart, and the rows do not depend on how they are asked for nor on where
// reading began again.
#include "codec/parquet_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "fuzz/fuzz.h"
#include "io/sim_io.h"

namespace weir::fuzz {
namespace {

constexpr size_t kRowsMax = 20'000;  // a footer may promise millions of nulls

struct Taken {
  std::vector<std::string> rows;
  std::string error;
  bool all = true;
};

Taken Take(io::Io& io, size_t size, int64_t from, int64_t rows_max, int64_t bytes_max) {
  Taken out;
  const auto rows = codec::ParquetRows::Open(io, "in", from, size);
  if (!rows.ok()) {
    CheckError(rows.error());
    out.error = rows.error().message;
    return out;
  }
  for (;;) {
    const auto next = (*rows)->Next(rows_max, bytes_max);
    if (!next.ok()) {
      CheckError(next.error());
      out.error = next.error().message;
      return out;
    }
    WEIR_CHECK(static_cast<int64_t>(next->rows.size()) <= rows_max);
    out.rows.insert(out.rows.end(), next->rows.begin(), next->rows.end());
    WEIR_CHECK(next->next == from + static_cast<int64_t>(out.rows.size()));
    if (next->end) return out;
    WEIR_CHECK(!next->rows.empty());
    if (out.rows.size() < kRowsMax) continue;
    out.all = false;
    return out;
  }
}

}  // namespace

WEIR_FUZZER(parquet_rows)(std::string_view bytes) {
  io::SimIo io;
  Must(io.WriteNew("in", bytes));
  const Taken whole = Take(io, bytes.size(), 0, 1'000'000, 1 << 20);
  for (size_t i = 0; i < std::min<size_t>(whole.rows.size(), 200); ++i) {
    const auto json = nlohmann::json::parse(whole.rows[i], nullptr, false);
    // Bytes that are no UTF-8 stand in it as they are.
    WEIR_CHECK(json.is_object() ||
               std::ranges::any_of(whole.rows[i], [](char c) { return c < 0; }));
  }
  const Taken parts =
      Take(io, bytes.size(), 0, 1 + static_cast<int64_t>(Choice(bytes, 1, 7)), 64);
  WEIR_CHECK(whole.error == parts.error);
  if (!whole.all || !parts.all) return;
  WEIR_CHECK(whole.rows == parts.rows);
  if (whole.rows.empty()) return;
  const size_t at = Choice(bytes, 2, whole.rows.size());
  const Taken rest = Take(io, bytes.size(), static_cast<int64_t>(at), 1000, 1 << 20);
  // What is wrong is told by the row groups that are read; that it is wrong must not be.
  WEIR_CHECK(rest.error.empty() == whole.error.empty());
  WEIR_CHECK(std::ranges::equal(rest.rows, std::span(whole.rows).subspan(at)));
}

}  // namespace weir::fuzz
