// Query results as text for people, JSON and CSV for programs.
#pragma once

#include <arrow/type_fwd.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/type.h"

namespace weir::query {

enum class Format : uint8_t {
  kText,  // aligned columns; NULL is shown as NULL
  kJson,  // one array of objects
  kCsv,   // RFC 4180 with a header; NULL is an empty field, an empty text is ""
};

// Where the output goes, in pieces.
using Sink = std::function<Status(std::string_view)>;

// Begin, Rows…, End, in this order.
class Printer {
 public:
  virtual ~Printer() = default;
  virtual Status Begin(const data::Schema& schema) = 0;
  virtual Status Rows(const arrow::RecordBatch& rows) = 0;
  virtual Status End() = 0;
};
std::unique_ptr<Printer> NewPrinter(Format format, Sink sink);

// Cells that are text already: for `ls` and `show`. Columns of nothing but numbers stand
// to the right.
std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows);

// One value as it stands in a text table: 2018-01-11T18:24:44.5Z, 12.50, [a, b], {x: 1}.
void AppendText(const arrow::Array& column, int64_t row, std::string* out);
void AppendJson(const arrow::Array& column, int64_t row, std::string* out);

}  // namespace weir::query
