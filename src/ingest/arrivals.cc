#include "ingest/arrivals.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include "data/arrow.h"
#include "io/io.h"

namespace weir::ingest {
namespace {

using data::Kind;
using data::Simple;

// "2024010112" by "yyyyMMddHH" as "2024-01-01T12:00:00Z".
std::optional<Micros> TimeIn(std::string_view text, std::string_view form) {
  if (text.size() != form.size()) return std::nullopt;
  std::string year, month, day, hour, minute;
  for (size_t i = 0; i < form.size(); ++i) {
    if (form[i] == '-' || form[i] == '_') {
      if (text[i] != form[i]) return std::nullopt;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    std::string& part = form[i] == 'y'   ? year
                        : form[i] == 'M' ? month
                        : form[i] == 'd' ? day
                        : form[i] == 'H' ? hour
                                         : minute;
    part += text[i];
  }
  bool has_zone = false;
  return ParseTimestamp(
      fmt::format("{}-{}-{}T{}:{}:00Z", year, month, day, hour.empty() ? "00" : hour,
                  minute.empty() ? "00" : minute),
      &has_zone);
}

struct Columns {
  static std::shared_ptr<arrow::DataType> Time() {
    return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
  }

  arrow::StringBuilder path, checksum, state, why;
  arrow::Int32Builder partition;
  arrow::Int64Builder ordinal, size, rows, accepted, rejected, duplicate, late;
  arrow::TimestampBuilder modified{Time(), arrow::default_memory_pool()},
      found{Time(), arrow::default_memory_pool()},
      first_event{Time(), arrow::default_memory_pool()},
      last_event{Time(), arrow::default_memory_pool()},
      from{Time(), arrow::default_memory_pool()},
      to{Time(), arrow::default_memory_pool()};
};

Status Append(arrow::TimestampBuilder& builder, Micros time) {
  if (time == kNoTime) {
    WEIR_ARROW_OK(builder.AppendNull());
  } else {
    WEIR_ARROW_OK(builder.Append(time));
  }
  return {};
}

}  // namespace

data::Schema ArrivalSchema() {
  data::Schema schema;
  const auto add = [&](const char* name, Kind kind) {
    schema.fields.push_back({name, Simple(kind)});
  };
  add("path", Kind::kString);
  add("ordinal", Kind::kInt64);
  add("partition", Kind::kInt32);
  add("size", Kind::kInt64);
  add("checksum", Kind::kString);
  add("modified_at", Kind::kTimestampTz);
  add("discovered_at", Kind::kTimestampTz);
  for (const char* count : {"rows", "accepted", "rejected", "duplicate", "late"})
    add(count, Kind::kInt64);
  add("first_event_time", Kind::kTimestampTz);
  add("last_event_time", Kind::kTimestampTz);
  add("interval_start", Kind::kTimestampTz);
  add("interval_end", Kind::kTimestampTz);
  add("state", Kind::kString);
  add("reason", Kind::kString);
  return schema;
}

Result<data::Batch> ArrivalRows(const contract::Contract& contract,
                                std::span<const Arrival> arrivals) {
  Columns columns;
  for (const Arrival& file : arrivals) {
    WEIR_ARROW_OK(columns.path.Append(file.path));
    WEIR_ARROW_OK(file.ordinal < 0 ? columns.ordinal.AppendNull()
                                   : columns.ordinal.Append(file.ordinal));
    WEIR_ARROW_OK(columns.partition.Append(file.partition));
    WEIR_ARROW_OK(columns.size.Append(static_cast<int64_t>(file.size)));
    WEIR_ARROW_OK(columns.checksum.Append(fmt::format("{:016x}", file.checksum)));
    WEIR_TRY(Append(columns.modified, file.modified));
    WEIR_TRY(Append(columns.found, file.found));
    WEIR_ARROW_OK(columns.rows.Append(file.rows));
    WEIR_ARROW_OK(columns.accepted.Append(file.accepted));
    WEIR_ARROW_OK(columns.rejected.Append(file.rejected));
    WEIR_ARROW_OK(columns.duplicate.Append(file.duplicate));
    WEIR_ARROW_OK(columns.late.Append(file.late));
    WEIR_TRY(Append(columns.first_event, file.first_event));
    WEIR_TRY(Append(columns.last_event, file.last_event));
    const auto interval = contract.expects
                              ? IntervalOf(*contract.expects, io::BaseName(file.path))
                              : std::nullopt;
    WEIR_TRY(Append(columns.from, interval ? interval->first : kNoTime));
    WEIR_TRY(Append(columns.to, interval ? interval->second : kNoTime));
    WEIR_ARROW_OK(columns.state.Append(file.state));
    WEIR_ARROW_OK(file.why.empty() ? columns.why.AppendNull()
                                   : columns.why.Append(file.why));
  }
  arrow::ArrayVector arrays;
  for (arrow::ArrayBuilder* builder : std::initializer_list<arrow::ArrayBuilder*>{
           &columns.path, &columns.ordinal, &columns.partition, &columns.size,
           &columns.checksum, &columns.modified, &columns.found, &columns.rows,
           &columns.accepted, &columns.rejected, &columns.duplicate, &columns.late,
           &columns.first_event, &columns.last_event, &columns.from, &columns.to,
           &columns.state, &columns.why})
    arrays.push_back(WEIR_ARROW(builder->Finish()));
  return data::Batch{
      arrow::RecordBatch::Make(data::ToArrow(ArrivalSchema()),
                               static_cast<int64_t>(arrivals.size()), std::move(arrays)),
      {}};
}

std::optional<std::pair<Micros, Micros>> IntervalOf(
    const contract::ExpectedFiles& expected, std::string_view name) {
  const std::string_view pattern = expected.pattern;
  const size_t open = pattern.find('{'), close = pattern.find('}');
  const std::string_view before = pattern.substr(0, open),
                         form = pattern.substr(open + 1, close - open - 1),
                         after = pattern.substr(close + 1);
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (name.ends_with(packed) && !after.ends_with(packed))
      name.remove_suffix(packed.size());
  }
  if (name.size() != before.size() + form.size() + after.size() ||
      !name.starts_with(before) || !name.ends_with(after))
    return std::nullopt;
  const auto from = TimeIn(name.substr(before.size(), form.size()), form);
  if (!from) return std::nullopt;
  return std::pair(*from, *from + expected.every);
}

}  // namespace weir::ingest
