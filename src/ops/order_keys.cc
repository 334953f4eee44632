#include "ops/order_keys.h"

#include <arrow/api.h>

#include <limits>

namespace weir::ops {
namespace {

constexpr uint64_t kSign = uint64_t{1} << 63;
constexpr int64_t kLast = std::numeric_limits<int64_t>::max();

int64_t PrefixOf(std::string_view bytes) {
  uint64_t out = 0;
  for (size_t i = 0; i < 8; ++i)
    out = out << 8 | (i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0);
  return static_cast<int64_t>(out ^ kSign);
}

}  // namespace

Status OrderKeys::Load(const OrderSpec& spec, BatchColumns& columns) {
  WEIR_TRY(LoadMajors(spec, columns));
  return LoadMinors(spec, columns);
}

Status OrderKeys::LoadMajors(const OrderSpec& spec, BatchColumns& columns) {
  const int first = spec.columns[0];
  const InputColumn& input = columns.Column(first);
  const bool descending = spec.Descending(0);
  const bool has_nulls = spec.first_nulls && !input.valid().empty();
  const bool ordinal = IsOrdinal(input.type());
  if (ordinal && !descending && !has_nulls) {
    majors_ = columns.Ordinals(first);
    return {};
  }
  own_majors_.resize(columns.rows());
  majors_ = own_majors_.data();
  if (ordinal) {
    const int64_t* ordinals = columns.Ordinals(first);
    for (size_t row = 0; row < columns.rows(); ++row)
      own_majors_[row] = descending ? ~ordinals[row] : ordinals[row];
  } else {
    const data::RowBytes bytes =
        WEIR_TRY(data::EncodeKeys(*columns.batch(), std::span(&first, 1)));
    for (size_t row = 0; row < columns.rows(); ++row) {
      const int64_t prefix = PrefixOf(bytes[row]);
      own_majors_[row] = descending ? ~prefix : prefix;
    }
  }
  for (size_t row = 0; has_nulls && row < columns.rows(); ++row) {
    if (input.IsNull(row)) own_majors_[row] = kLast;
  }
  return {};
}

// The null flag of the first column where it counts, the first column where its number is
// only a prefix, the others.
Status OrderKeys::LoadMinors(const OrderSpec& spec, BatchColumns& columns) {
  const InputColumn& first = columns.Column(spec.columns[0]);
  const size_t from = IsOrdinal(first.type()) ? 1 : 0;
  form_ = MinorForm::kNone;
  if (from == spec.columns.size() && !spec.first_nulls) return {};
  const auto rest = std::span(spec.columns).subspan(from);
  if (!spec.terminated && !spec.first_nulls && rest.size() == 1 &&
      !spec.Descending(from)) {
    text_ = &columns.Column(rest[0]);
    form_ = MinorForm::kText;
    if (text_->type().kind == data::Kind::kString) return {};
  }
  form_ = MinorForm::kEncoded;
  bool any_descending = false;
  for (size_t i = from; i < spec.columns.size(); ++i)
    any_descending |= spec.Descending(i);
  if (!spec.first_nulls && !any_descending) {
    encoded_ = WEIR_TRY(data::EncodeKeys(*columns.batch(), rest));
    return {};
  }

  std::vector<data::RowBytes> parts;
  for (const int column : rest)
    parts.push_back(WEIR_TRY(data::EncodeKeys(*columns.batch(), std::span(&column, 1))));
  encoded_ = {};
  for (size_t row = 0; row < columns.rows(); ++row) {
    if (spec.first_nulls) encoded_.bytes.push_back(first.IsNull(row) ? 1 : 0);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (!spec.Descending(from + i)) {
        encoded_.bytes.append(parts[i][row]);
        continue;
      }
      const bool null = columns.Column(rest[i]).IsNull(row);
      encoded_.bytes.push_back(null ? 1 : 0);
      if (null) continue;
      for (const char byte : parts[i][row])
        encoded_.bytes.push_back(static_cast<char>(~byte));
    }
    encoded_.offsets.push_back(static_cast<uint32_t>(encoded_.bytes.size()));
  }
  return {};
}

void OrderKeys::AppendTo(size_t row, std::string* out) const {
  const uint64_t major = static_cast<uint64_t>(majors_[row]) ^ kSign;
  for (int shift = 56; shift >= 0; shift -= 8)
    out->push_back(static_cast<char>(major >> shift));
  out->append(Minor(row));
}

}  // namespace weir::ops
