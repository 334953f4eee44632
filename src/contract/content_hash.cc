#include <arrow/api.h>
#include <arrow/util/bit_util.h>

#include <array>
#include <cstring>

#include "base/hash.h"
#include "contract/contract.h"
#include "contract/json_hash_internal.h"

namespace weir::contract {
namespace {

using data::Field;
using data::Kind;

constexpr uint64_t kNullValue = 0x6A09E667F3BCC909u;
constexpr uint64_t kObject = 0xBB67AE8584CAA73Bu;
constexpr uint64_t kList = 0x3C6EF372FE94F82Bu;

uint64_t HashInteger(uint64_t value) { return MixHash(value, 0xA54FF53A5F1D36F1u); }

uint64_t HashDouble(double value) {
  if (value == 0) value = 0;  // -0.0 is 0.0
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  return HashInteger(bits);
}

// Calls f(i, hash) for every value in [first, last) of a column that is not nested; nulls
// have a hash of their own. Numbers are hashed first and chosen after, because whether a
// value is null is hard to foresee.
template <class F>
void ForHashes(const Field& field, const arrow::Array& array, int64_t first, int64_t last,
               F&& f) {
  const uint8_t* const valid =
      array.null_count() == 0 ? nullptr : array.null_bitmap_data();
  const int64_t shift = array.offset();
  const auto each = [&](auto&& hash_of) {
    if (valid == nullptr) {
      for (int64_t i = first; i < last; ++i) f(i, hash_of(i));
      return;
    }
    for (int64_t i = first; i < last; ++i) {
      const uint64_t hash = hash_of(i);
      f(i, arrow::bit_util::GetBit(valid, i + shift) ? hash : kNullValue);
    }
  };
  switch (field.type.kind) {
    case Kind::kBool: {
      const auto& bits = static_cast<const arrow::BooleanArray&>(array);
      return each([&](int64_t i) { return HashInteger(bits.Value(i) ? 1 : 0); });
    }
    case Kind::kInt32:
    case Kind::kDate: {
      const auto* values = array.data()->GetValues<int32_t>(1);
      return each([=](int64_t i) {
        return HashInteger(static_cast<uint64_t>(int64_t{values[i]}));
      });
    }
    case Kind::kInt64:
    case Kind::kTime:
    case Kind::kTimestamp:
    case Kind::kTimestampTz: {
      const auto* values = array.data()->GetValues<int64_t>(1);
      return each(
          [=](int64_t i) { return HashInteger(static_cast<uint64_t>(values[i])); });
    }
    case Kind::kFloat: {
      const auto* values = array.data()->GetValues<float>(1);
      return each([=](int64_t i) { return HashDouble(values[i]); });
    }
    case Kind::kDouble: {
      const auto* values = array.data()->GetValues<double>(1);
      return each([=](int64_t i) { return HashDouble(values[i]); });
    }
    case Kind::kDecimal:
    case Kind::kUuid: {
      const auto& values = static_cast<const arrow::FixedSizeBinaryArray&>(array);
      return each([&](int64_t i) {
        return HashBytes64({reinterpret_cast<const char*>(values.GetValue(i)), 16});
      });
    }
    case Kind::kString:
    case Kind::kBinary: {
      const auto* offsets = array.data()->GetValues<int32_t>(1);
      const auto* bytes = reinterpret_cast<const char*>(array.data()->buffers[2]->data());
      for (int64_t i = first; i < last; ++i) {
        if (valid != nullptr && !arrow::bit_util::GetBit(valid, i + shift)) {
          f(i, kNullValue);
        } else {
          f(i, HashBytes64({bytes + offsets[i],
                            static_cast<size_t>(offsets[i + 1] - offsets[i])}));
        }
      }
      return;
    }
    default:
      return;
  }
}

void AddObject(const std::vector<Field>& fields, const std::string& prefix,
               const arrow::StructArray& array, int64_t first, int64_t last,
               std::span<uint64_t> sums);

// The hash of each value in [first, last), nulls too.
std::vector<uint64_t> ValueHashes(const Field& field, const arrow::Array& array,
                                  int64_t first, int64_t last) {
  std::vector<uint64_t> hashes(static_cast<size_t>(last - first), kNullValue);
  const auto at = [&](int64_t i) -> uint64_t& {
    return hashes[static_cast<size_t>(i - first)];
  };
  if (field.type.kind == Kind::kStruct) {
    std::vector<uint64_t> sums(hashes.size(), kObject);
    AddObject(field.type.fields, "", static_cast<const arrow::StructArray&>(array), first,
              last, sums);
    for (int64_t i = first; i < last; ++i) {
      if (array.IsValid(i)) at(i) = sums[static_cast<size_t>(i - first)];
    }
    return hashes;
  }
  if (field.type.kind != Kind::kList && field.type.kind != Kind::kMap) {
    ForHashes(field, array, first, last, [&](int64_t i, uint64_t hash) { at(i) = hash; });
    return hashes;
  }
  if (first == last) return hashes;
  const auto* offsets = array.data()->GetValues<int32_t>(1);
  const int64_t from = offsets[first], to = offsets[last];
  if (field.type.kind == Kind::kList) {
    const auto elements =
        ValueHashes(field.type.fields[0],
                    *static_cast<const arrow::ListArray&>(array).values(), from, to);
    for (int64_t i = first; i < last; ++i) {
      if (array.IsNull(i)) continue;
      at(i) = kList;
      for (int64_t e = offsets[i]; e < offsets[i + 1]; ++e)
        at(i) = MixHash(at(i), elements[static_cast<size_t>(e - from)]);
    }
    return hashes;
  }
  const auto& map = static_cast<const arrow::MapArray&>(array);
  const auto keys = ValueHashes(field.type.fields[0], *map.keys(), from, to);
  const auto values = ValueHashes(field.type.fields[1], *map.items(), from, to);
  for (int64_t i = first; i < last; ++i) {
    if (array.IsNull(i)) continue;
    at(i) = kObject;
    for (int64_t e = offsets[i]; e < offsets[i + 1]; ++e) {
      const auto entry = static_cast<size_t>(e - from);
      at(i) += MixHash(keys[entry], values[entry]);
    }
  }
  return hashes;
}

// Adds one field's part to the sum of each value's object: the mix of its path and its
// value. Objects add their own fields to the same sums. Where the object itself is null,
// its fields add nothing.
void AddField(const Field& field, const std::string& path, const arrow::Array& array,
              const arrow::Array* parent, int64_t first, int64_t last,
              std::span<uint64_t> sums) {
  const uint64_t name = HashBytes64(path);
  const bool hollow = parent != nullptr && parent->null_count() > 0;
  const auto add = [&](int64_t i, uint64_t value) {
    if (hollow && parent->IsNull(i)) return;
    sums[static_cast<size_t>(i - first)] += MixHash(name, value);
  };
  if (field.type.kind == Kind::kStruct) {
    for (int64_t i = first; i < last; ++i)
      add(i, array.IsValid(i) ? kObject : kNullValue);
    AddObject(field.type.fields, path + ".",
              static_cast<const arrow::StructArray&>(array), first, last, sums);
  } else if (field.type.is_nested()) {
    const std::vector<uint64_t> values = ValueHashes(field, array, first, last);
    for (int64_t i = first; i < last; ++i) add(i, values[static_cast<size_t>(i - first)]);
  } else {
    ForHashes(field, array, first, last, add);
  }
}

void AddObject(const std::vector<Field>& fields, const std::string& prefix,
               const arrow::StructArray& array, int64_t first, int64_t last,
               std::span<uint64_t> sums) {
  for (size_t f = 0; f < fields.size(); ++f) {
    AddField(fields[f], prefix + fields[f].name, *array.field(static_cast<int>(f)),
             &array, first, last, sums);
  }
}

// Takes the null parts of absent fields out again, so that a field the record does not
// carry adds nothing.
class AbsentParts {
 public:
  explicit AbsentParts(const arrow::ListArray& lists)
      : lists_(lists), paths_(static_cast<const arrow::StringArray&>(*lists.values())) {}

  uint64_t Of(int64_t row) {
    const int64_t first = lists_.value_offset(row), last = lists_.value_offset(row + 1);
    if (first == last) return 0;
    const auto* offsets = paths_.data()->GetValues<int32_t>(1);
    const char* bytes = reinterpret_cast<const char*>(paths_.value_data()->data());
    const std::string_view text(bytes + offsets[first],
                                static_cast<size_t>(offsets[last] - offsets[first]));
    // The same fields are absent again and again.
    Known& known = known_[HashBytes64(text) % known_.size()];
    if (known.count == last - first && known.text == text &&
        SameEnds(known.first, first, last - first))
      return known.sum;
    uint64_t sum = 0;
    for (int64_t i = first; i < last; ++i)
      sum += MixHash(HashBytes64(paths_.GetView(i)), kNullValue);
    known = {text, first, last - first, sum};
    return sum;
  }

 private:
  struct Known {
    std::string_view text;
    int64_t first = 0, count = 0;
    uint64_t sum = 0;
  };

  bool SameEnds(int64_t a, int64_t b, int64_t count) const {
    const auto* offsets = paths_.data()->GetValues<int32_t>(1);
    const int32_t shift = offsets[b] - offsets[a];
    for (int64_t i = 1; i < count; ++i) {
      if (offsets[b + i] - offsets[a + i] != shift) return false;
    }
    return true;
  }

  const arrow::ListArray& lists_;
  const arrow::StringArray& paths_;
  std::array<Known, 64> known_;
};

}  // namespace

Result<std::vector<uint64_t>> ContentHashes(const Contract& contract,
                                            const codec::DecodedRows& decoded) {
  const arrow::RecordBatch& rows = *decoded.rows;
  const auto declared = static_cast<int>(contract.schema.fields.size());
  if (rows.num_columns() != declared + 2)
    return Internal("rows to hash were decoded under another contract");
  std::vector<uint64_t> sums(static_cast<size_t>(rows.num_rows()), kObject);
  for (int c = 0; c < declared; ++c) {
    const Field& field = contract.schema.fields[static_cast<size_t>(c)];
    AddField(field, field.name, *rows.column(c), nullptr, 0, rows.num_rows(), sums);
  }
  const auto& extra = static_cast<const arrow::StringArray&>(*rows.column(declared));
  if (extra.null_count() < extra.length()) {
    JsonHasher hasher;
    for (int64_t row = 0; row < rows.num_rows(); ++row) {
      if (extra.IsValid(row))
        sums[static_cast<size_t>(row)] +=
            MixHash(HashBytes64("_extra"), hasher.Hash(extra.GetView(row)));
    }
  }
  const auto& absent = static_cast<const arrow::ListArray&>(*rows.column(declared + 1));
  if (absent.null_count() < absent.length()) {
    AbsentParts parts(absent);
    for (int64_t row = 0; row < rows.num_rows(); ++row)
      sums[static_cast<size_t>(row)] -= parts.Of(row);
  }
  return sums;
}

}  // namespace weir::contract
