// The place of each row of a batch in an order over several columns: a number that is
// compared first, and bytes for rows where it is equal. NULLs come last in either
// direction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ops/batch_columns.h"

namespace weir::ops {

struct OrderSpec {
  std::vector<int> columns;      // most significant first; not empty
  std::vector<bool> descending;  // per column; empty: all ascending
  bool first_nulls = false;      // whether rows whose first column is NULL have a place
  // Whether bytes stand after the minor part of one key (in a sorted set), so that no
  // minor may be the beginning of another.
  bool terminated = false;

  bool Descending(size_t i) const { return i < descending.size() && descending[i]; }
  friend bool operator==(const OrderSpec&, const OrderSpec&) = default;
};

class OrderKeys {
 public:
  Status Load(const OrderSpec& spec, BatchColumns& columns);

  const int64_t* majors() const { return majors_; }
  std::string_view Minor(size_t row) const {
    switch (form_) {
      case MinorForm::kNone:
        return {};
      case MinorForm::kText:
        return text_->IsNull(row) ? kAfterAllText : text_->Cell(row);
      case MinorForm::kEncoded:
        return encoded_[row];
    }
    return {};
  }
  // major and minor as one string in byte order.
  void AppendTo(size_t row, std::string* out) const;

 private:
  enum class MinorForm : uint8_t { kNone, kText, kEncoded };
  static constexpr std::string_view kAfterAllText =
      "\xff";  // no UTF-8 text has this byte

  Status LoadMajors(const OrderSpec& spec, BatchColumns& columns);
  Status LoadMinors(const OrderSpec& spec, BatchColumns& columns);

  const int64_t* majors_ = nullptr;
  std::vector<int64_t> own_majors_;
  MinorForm form_ = MinorForm::kNone;
  const InputColumn* text_ = nullptr;
  data::RowBytes encoded_;
};

}  // namespace weir::ops
