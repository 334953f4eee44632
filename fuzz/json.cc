// JSON records: whatever the bytes are, every record gets its row or its faults, the same
// ones alone as among others, and what is kept as text is JSON.
#include <arrow/api.h>

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "codec/json.h"
#include "contract/contract.h"
#include "contract/json_hash_internal.h"
#include "fuzz/fuzz.h"

namespace weir::fuzz {
namespace {

using data::Kind;
using data::Simple;

data::Type MapOf(data::Type value) {
  data::Type type = Simple(Kind::kMap);
  type.fields = {{"key", Simple(Kind::kString), true}, {"value", std::move(value)}};
  return type;
}

// One field of each type, with short names that a mutation finds.
contract::Contract Declared() {
  contract::Contract contract;
  contract.id = contract.name = "fuzz";
  contract.schema.fields = {
      {"b", Simple(Kind::kBool)},
      {"i", Simple(Kind::kInt32)},
      {"l", Simple(Kind::kInt64)},
      {"f", Simple(Kind::kFloat)},
      {"d", Simple(Kind::kDouble)},
      {"n", data::Decimal(10, 2)},
      {"w", data::Decimal(38, 0)},
      {"a", Simple(Kind::kDate)},
      {"t", Simple(Kind::kTime)},
      {"z", Simple(Kind::kTimestamp)},
      {"u", Simple(Kind::kTimestampTz)},
      {"s", Simple(Kind::kString)},
      {"y", Simple(Kind::kBinary)},
      {"g", Simple(Kind::kUuid)},
      {"o", data::StructOf({{"x", Simple(Kind::kInt64)},
                            {"p", data::StructOf({{"q", Simple(Kind::kString)}})}})},
      {"r", data::ListOf(data::StructOf({{"x", Simple(Kind::kDouble)}}))},
      {"m", MapOf(Simple(Kind::kInt64))},
  };
  data::AssignFieldIds(contract.schema, 0);
  contract.conditions = {{.path = "s", .required = true, .allowed = {"", "a", "ab"}},
                         {.path = "l", .minimum = -1.5, .maximum = 9.0},
                         {.path = "o.x", .when_field = "s", .when_values = {"a"}},
                         {.path = "o.p.q", .length_max = 3, .pattern = "[a-z]*"}};
  return contract;
}

struct Decoders {
  contract::Contract contract = Declared();
  std::unique_ptr<codec::JsonDecoder> all, again, extra;
  std::unique_ptr<contract::Checker> checker;

  Decoders() {
    const codec::JsonOptions options{.record_bytes_max = 4096, .depth_max = 20};
    all = Must(codec::NewJsonDecoder(contract.schema, options));
    again = Must(codec::NewJsonDecoder(contract.schema, options));
    codec::JsonOptions wide{.record_bytes_max = 1 << 20, .depth_max = 64};
    extra = Must(codec::NewJsonDecoder({}, wide));
    checker = Must(contract::NewChecker(contract));
  }
};

// A row's cells and faults as text.
std::string RowText(const codec::DecodedRows& decoded, int64_t row) {
  std::string text;
  for (int c = 0; c < decoded.rows->num_columns(); ++c)
    text += (*decoded.rows->column(c)->GetScalar(row))->ToString() + "|";
  for (const codec::RowFault& fault : decoded.faults) {
    if (fault.row == row)
      text += std::to_string(static_cast<int>(fault.fault)) + fault.field + ":" +
              fault.actual + "|";
  }
  return text;
}

void CheckOne(Decoders& decoders, const codec::DecodedRows& decoded, int64_t row,
              std::string_view record) {
  const arrow::RecordBatch& rows = *decoded.rows;
  bool is_json = true;
  for (const codec::RowFault& fault : decoded.faults) {
    if (fault.row == row && fault.fault != codec::Fault::kWrongType) is_json = false;
  }
  if (!is_json) {
    for (int c = 0; c < rows.num_columns(); ++c) WEIR_CHECK(rows.column(c)->IsNull(row));
    return;
  }
  // Numbers that no double holds are JSON, but the other parser refuses them.
  if (record.find_first_of("eE") == std::string_view::npos && record.size() < 300)
    WEIR_CHECK(nlohmann::json::accept(record));
  const auto& extra =
      static_cast<const arrow::StringArray&>(*rows.column(rows.num_columns() - 2));
  if (extra.IsNull(row)) return;
  // What is kept says the same when it is read again.
  const std::string_view kept = extra.GetView(row);
  const auto reread =
      Must(decoders.extra->Decode(std::span<const std::string_view>(&kept, 1)));
  WEIR_CHECK(reread.faults.empty());
  const auto& text = static_cast<const arrow::StringArray&>(*reread.rows->column(0));
  contract::JsonHasher hasher;
  if (text.IsNull(0)) {
    WEIR_CHECK(kept.find('"') == std::string_view::npos);
  } else {
    WEIR_CHECK(hasher.Hash(text.GetView(0)) == hasher.Hash(kept));
  }
}

}  // namespace

WEIR_FUZZER(json)(std::string_view bytes) {
  static Decoders* const decoders = new Decoders();
  std::vector<std::string_view> records;
  for (std::string_view rest = bytes; records.size() < 64;) {
    const size_t end = rest.find('\n');
    records.push_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  const codec::DecodedRows together = Must(decoders->all->Decode(records));
  WEIR_CHECK(together.rows->num_rows() == static_cast<int64_t>(records.size()));
  WEIR_CHECK(together.rows->ValidateFull().ok());
  int32_t before = 0;
  for (const codec::RowFault& fault : together.faults) {
    WEIR_CHECK(fault.row >= before && fault.row < static_cast<int32_t>(records.size()));
    WEIR_CHECK(fault.actual.size() <= 250);
    before = fault.row;
  }
  const auto hashes = Must(contract::ContentHashes(decoders->contract, together));
  const auto rejections = Must(decoders->checker->Check(together));
  std::map<int32_t, contract::Reason> reasons;
  for (const contract::Rejection& r : rejections)
    WEIR_CHECK(reasons.emplace(r.row, r.reason).second);

  for (size_t i = 0; i < records.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const auto alone =
        Must(decoders->again->Decode(std::span<const std::string_view>(&records[i], 1)));
    WEIR_CHECK(RowText(alone, 0) == RowText(together, row));
    WEIR_CHECK(Must(contract::ContentHashes(decoders->contract, alone))[0] == hashes[i]);
    const auto verdict = Must(decoders->checker->Check(alone));
    const auto reason = reasons.find(static_cast<int32_t>(i));
    WEIR_CHECK(verdict.size() == (reason == reasons.end() ? 0u : 1u));
    if (!verdict.empty()) WEIR_CHECK(verdict[0].reason == reason->second);
    CheckOne(*decoders, together, row, records[i]);
  }
}

}  // namespace weir::fuzz
