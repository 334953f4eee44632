#include "ingest/pipeline.h"

#include <arrow/api.h>

#include <numeric>

#include "data/arrow.h"
#include "data/batch.h"

namespace weir::ingest {
namespace {

using log::Verdict;

std::shared_ptr<arrow::Array> Filled(int64_t rows,
                                     const std::shared_ptr<arrow::DataType>& type,
                                     int64_t value) {
  const auto width = static_cast<size_t>(type->byte_width());
  std::shared_ptr<arrow::Buffer> buffer =
      *arrow::AllocateBuffer(rows * static_cast<int64_t>(width));
  if (width == 4) {
    auto* out = reinterpret_cast<int32_t*>(buffer->mutable_data());
    std::fill(out, out + rows, static_cast<int32_t>(value));
  } else {
    auto* out = reinterpret_cast<int64_t*>(buffer->mutable_data());
    std::fill(out, out + rows, value);
  }
  return arrow::MakeArray(
      arrow::ArrayData::Make(type, rows, {nullptr, std::move(buffer)}, 0));
}

std::shared_ptr<arrow::Array> Values(std::span<const int64_t> values,
                                     const std::shared_ptr<arrow::DataType>& type) {
  std::shared_ptr<arrow::Buffer> buffer =
      *arrow::AllocateBuffer(static_cast<int64_t>(values.size_bytes()));
  std::copy(values.begin(), values.end(),
            reinterpret_cast<int64_t*>(buffer->mutable_data()));
  return arrow::MakeArray(arrow::ArrayData::Make(
      type, static_cast<int64_t>(values.size()), {nullptr, std::move(buffer)}, 0));
}

// The rows of one verdict: their positions in the decoded batch and their offsets.
struct Chosen {
  std::vector<int32_t> rows;
  std::vector<int64_t> offsets;
};

struct Origin {
  const std::string& source;
  int partition;
  int64_t first;                        // offset of the batch
  std::span<const Micros> received_at;  // by offset, or one for all
};

std::shared_ptr<arrow::Array> Arrivals(const Chosen& chosen, const Origin& origin) {
  static const auto type = arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
  if (origin.received_at.size() == 1)
    return Filled(static_cast<int64_t>(chosen.rows.size()), type, origin.received_at[0]);
  std::vector<int64_t> values;
  values.reserve(chosen.offsets.size());
  for (const int64_t offset : chosen.offsets)
    values.push_back(origin.received_at[static_cast<size_t>(offset - origin.first)]);
  return Values(values, type);
}

Result<std::shared_ptr<arrow::Array>> RepeatedText(int64_t rows, std::string_view text) {
  return WEIR_ARROW(
      arrow::MakeArrayFromScalar(arrow::StringScalar(std::string(text)), rows));
}

Result<std::shared_ptr<arrow::Array>> RawColumn(const Checked& checked,
                                                const Chosen& chosen) {
  arrow::BinaryBuilder builder;
  for (const int32_t row : chosen.rows)
    WEIR_ARROW_OK(builder.Append(checked.records[static_cast<size_t>(row)]));
  return WEIR_ARROW(builder.Finish());
}

// _source, _partition, _offset, _received_at, _raw
Status AppendOrigin(const Checked& checked, const Chosen& chosen, const Origin& origin,
                    arrow::ArrayVector* columns) {
  const auto n = static_cast<int64_t>(chosen.rows.size());
  columns->push_back(WEIR_TRY(RepeatedText(n, origin.source)));
  columns->push_back(Filled(n, arrow::int32(), origin.partition));
  columns->push_back(Values(chosen.offsets, arrow::int64()));
  columns->push_back(Arrivals(chosen, origin));
  columns->push_back(WEIR_TRY(RawColumn(checked, chosen)));
  return {};
}

data::Batch ToBatch(const data::Schema& schema, int64_t rows,
                    arrow::ArrayVector columns) {
  return {arrow::RecordBatch::Make(data::ToArrow(schema), rows, std::move(columns)), {}};
}

Result<data::Batch> AcceptedRows(const Checked& checked, const Chosen& chosen,
                                 const data::Schema& schema, const Origin& origin) {
  const auto n = static_cast<int64_t>(chosen.rows.size());
  data::Batch taken{checked.decoded.rows, {}};
  // Rows are chosen in order and once each, so as many as there are is all of them.
  const bool all = n == taken.rows->num_rows();
  if (!all) taken = WEIR_TRY(data::Take(taken, chosen.rows));
  arrow::ArrayVector columns = taken.rows->columns();
  // Of reference data a row is what it says, wherever it stands in the file.
  if (static_cast<size_t>(taken.rows->num_columns()) == schema.fields.size())
    return ToBatch(schema, n, std::move(columns));
  columns.push_back(Filled(n, arrow::int32(), origin.partition));
  columns.push_back(Values(chosen.offsets, arrow::int64()));
  columns.push_back(Arrivals(chosen, origin));
  return ToBatch(schema, n, std::move(columns));
}

Result<data::Batch> ParkedRows(const Checked& checked, const Chosen& chosen,
                               const data::Schema& schema, const Origin& origin) {
  const data::Batch taken = WEIR_TRY(data::Take({checked.decoded.rows, {}}, chosen.rows));
  arrow::ArrayVector columns = taken.rows->columns();
  WEIR_TRY(AppendOrigin(checked, chosen, origin, &columns));
  return ToBatch(schema, static_cast<int64_t>(chosen.rows.size()), std::move(columns));
}

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::New(const contract::Contract& contract,
                                                int64_t record_bytes_max,
                                                const codec::CsvDialect* csv) {
  auto out = std::unique_ptr<Pipeline>(new Pipeline);
  out->contract_ = &contract;
  out->tables_ = TablesOf(contract);
  codec::JsonOptions options;
  options.record_bytes_max = static_cast<size_t>(record_bytes_max);
  options.zoneless_allowed = contract.zoneless_allowed;
  if (csv != nullptr) {
    out->csv_ = WEIR_TRY(codec::NewCsvDecoder(contract.schema, *csv, options));
  } else {
    out->decoder_ = WEIR_TRY(codec::NewJsonDecoder(contract.schema, options));
  }
  out->checker_ = WEIR_TRY(contract::NewChecker(contract));
  for (const std::string& name : contract.identity)
    out->identity_columns_.push_back(contract.schema.IndexOf(name));
  const auto& key =
      contract.partition_key.empty() ? contract.identity : contract.partition_key;
  for (const std::string& name : key)
    out->key_columns_.push_back(contract.schema.IndexOf(name));
  if (!contract.event_time.empty())
    out->event_time_column_ = contract.schema.IndexOf(contract.event_time);
  return out;
}

VerdictRule RuleOf(const contract::Contract& contract, bool live) {
  VerdictRule rule;
  rule.has_event_time = !contract.event_time.empty();
  rule.has_identity = !contract.identity.empty();
  rule.lateness = contract.lateness;
  rule.identity_memory = contract.identity_memory;
  // A re-readable source has no arrival stamps of its own that would say when a record
  // was written, so the allowance is off unless asked for.
  if (contract.future_allowance && (live || contract.future_allowance_declared))
    rule.future_allowance = contract.future_allowance;
  return rule;
}

Result<Checked> Pipeline::Check(std::span<const std::string_view> records,
                                const codec::CsvColumns* columns) {
  Checked out;
  out.records.assign(records.begin(), records.end());
  static const codec::CsvColumns kNone;
  out.decoded = csv_ == nullptr
                    ? WEIR_TRY(decoder_->Decode(records))
                    : WEIR_TRY(csv_->Decode(records, columns ? *columns : kNone));
  out.rejections = WEIR_TRY(checker_->Check(out.decoded));
  const auto& rows = *out.decoded.rows;
  out.rejected.assign(records.size(), 0);
  for (const contract::Rejection& rejection : out.rejections)
    out.rejected[static_cast<size_t>(rejection.row)] = 1;
  if (!identity_columns_.empty()) {
    out.identity = WEIR_TRY(data::HashKeys(rows, identity_columns_));
    out.content = WEIR_TRY(contract::ContentHashes(*contract_, out.decoded));
  } else {
    out.content.assign(records.size(), 0);
  }
  out.event_time.assign(records.size(), kNoTime);
  if (event_time_column_ >= 0) {
    const auto& column = *rows.column(event_time_column_);
    const auto* values = column.data()->GetValues<int64_t>(1);
    for (int64_t i = 0; i < column.length(); ++i) {
      if (column.IsValid(i)) out.event_time[static_cast<size_t>(i)] = values[i];
    }
  }
  return out;
}

Result<std::vector<int>> Pipeline::Route(const Checked& checked, int partitions) const {
  std::vector<int> out(checked.records.size(), 0);
  if (partitions == 1) return out;
  std::vector<std::shared_ptr<arrow::Array>> columns;
  for (const int column : key_columns_)
    columns.push_back(checked.decoded.rows->column(column));
  std::string text;
  for (size_t i = 0; i < out.size(); ++i) {
    text.clear();
    bool has_key = !columns.empty() && !checked.rejected[i];
    for (const auto& column : columns) {
      const auto row = static_cast<int64_t>(i);
      if (!has_key || column->IsNull(row)) {
        has_key = false;
        break;
      }
      if (&column != &columns.front()) text.push_back('\x1f');
      if (column->type_id() == arrow::Type::STRING) {
        text += static_cast<const arrow::StringArray&>(*column).GetView(row);
      } else {
        text += WEIR_ARROW(column->GetScalar(row))->ToString();
      }
    }
    const uint32_t hash = Crc32(has_key ? std::string_view(text) : checked.records[i]);
    out[i] = static_cast<int>(hash % static_cast<uint32_t>(partitions));
  }
  return out;
}

Result<JudgedBatch> Pipeline::Build(const Checked& checked, std::span<const int32_t> rows,
                                    std::span<const Verdict> verdicts, int partition,
                                    LogOffset first,
                                    std::span<const Micros> received_at) const {
  WEIR_CHECK(received_at.size() == 1 || received_at.size() == rows.size());
  JudgedBatch out;
  out.first = first;
  Chosen accepted, rejected, late, conflicting;
  accepted.rows.reserve(rows.size());
  accepted.offsets.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t row = rows[i];
    const int64_t offset = first.value + static_cast<int64_t>(i);
    out.bytes += static_cast<int64_t>(checked.records[static_cast<size_t>(row)].size());
    Chosen* chosen = nullptr;
    switch (verdicts[static_cast<size_t>(row)]) {
      case Verdict::kAccepted:
        chosen = &accepted;
        ++out.counts.accepted;
        break;
      case Verdict::kRejected:
        chosen = &rejected;
        ++out.counts.rejected;
        break;
      case Verdict::kLate:
        chosen = &late;
        ++out.counts.late;
        break;
      case Verdict::kConflict:
        chosen = &conflicting;
        ++out.counts.conflicting;
        ++out.counts.duplicate;
        break;
      case Verdict::kDuplicate:
        ++out.counts.duplicate;
        break;
      case Verdict::kBlocked:
        ++out.counts.blocked;
        break;
    }
    if (chosen == nullptr) continue;
    chosen->rows.push_back(row);
    chosen->offsets.push_back(offset);
  }
  const Origin origin{contract_->name, partition, first.value, received_at};
  if (!accepted.rows.empty())
    out.accepted =
        WEIR_TRY(AcceptedRows(checked, accepted, tables_.bronze_schema, origin));
  if (!late.rows.empty())
    out.late = WEIR_TRY(ParkedRows(checked, late, tables_.late_schema, origin));
  if (!conflicting.rows.empty())
    out.conflicting =
        WEIR_TRY(ParkedRows(checked, conflicting, tables_.late_schema, origin));
  if (rejected.rows.empty()) return out;

  arrow::ArrayVector columns;
  WEIR_TRY(AppendOrigin(checked, rejected, origin, &columns));
  arrow::StringBuilder reason, field, expected, actual;
  auto next = checked.rejections.begin();
  for (const int32_t row : rejected.rows) {
    next = std::lower_bound(
        checked.rejections.begin(), checked.rejections.end(), row,
        [](const contract::Rejection& r, int32_t wanted) { return r.row < wanted; });
    WEIR_CHECK(next != checked.rejections.end() && next->row == row);
    ++out.counts.rejected_by_reason[static_cast<size_t>(next->reason)];
    WEIR_ARROW_OK(reason.Append(contract::ReasonName(next->reason)));
    WEIR_ARROW_OK(next->field.empty() ? field.AppendNull() : field.Append(next->field));
    WEIR_ARROW_OK(next->expected.empty() ? expected.AppendNull()
                                         : expected.Append(next->expected));
    WEIR_ARROW_OK(next->actual.empty() ? actual.AppendNull()
                                       : actual.Append(next->actual));
  }
  const auto n = static_cast<int64_t>(rejected.rows.size());
  for (auto* builder : {&reason, &field, &expected, &actual})
    columns.push_back(WEIR_ARROW(builder->Finish()));
  columns.push_back(WEIR_TRY(RepeatedText(n, contract_->version)));
  for (int i = 0; i < 2; ++i)
    columns.push_back(WEIR_ARROW(arrow::MakeArrayOfNull(
        arrow::utf8(), n)));  // producer, deployment: no source tells them yet
  out.rejected = ToBatch(tables_.rejected_schema, n, std::move(columns));
  return out;
}

}  // namespace weir::ingest
