// Small texts and bytes with a grammar of their own: stamps, durations, sizes, decimals,
// transforms, single values of Iceberg. What is written reads as the same.
#include <cmath>

#include "base/time.h"
#include "codec/json_number.h"
#include "codec/json_string.h"
#include "fuzz/fuzz.h"
#include "iceberg/literal_internal.h"
#include "iceberg/table.h"
#include "ingest/file_catalog.h"
#include "log/segment_internal.h"
#include "project/project.h"
#include "query/as_of.h"

namespace weir::fuzz {
namespace {

void CheckTime(std::string_view text) {
  bool zone = false;
  if (const auto time = ParseTimestamp(text, &zone)) {
    const auto again = ParseTimestamp(FormatTimestamp(*time), &zone);
    WEIR_CHECK(again == time && zone);
  }
  if (const auto days = ParseDate(text)) WEIR_CHECK(ParseDate(FormatDate(*days)) == days);
  const auto duration = ParseDuration(text);
  if (!duration.ok()) {
    CheckError(duration.error());
  } else {
    WEIR_CHECK(Must(ParseDuration(FormatDuration(*duration))) == *duration);
  }
  if (const auto time = codec::ParseTimeOfDay(text))
    WEIR_CHECK(*time >= 0 && *time < Micros{86'400} * 1'000'000);
  const auto as_of = query::ParseAsOf(text);
  if (!as_of.ok()) CheckError(as_of.error());
}

void CheckNumber(const std::string& text) {
  const auto number = codec::ScanNumber(text.c_str());
  if (!number) return;
  WEIR_CHECK(number->end > number->first && number->end <= text.c_str() + text.size());
  for (const int scale : {0, 2, 38})
    static_cast<void>(codec::ExactScaled(*number, scale, 38));
  const auto nearest = codec::NearestDouble(*number);
  if (nearest) WEIR_CHECK(std::isfinite(*nearest));
  const auto narrow = codec::NearestFloat(*number);
  if (narrow) WEIR_CHECK(std::isfinite(*narrow));
}

void CheckText(const std::string& text) {
  std::string room(text.size() + 3, '\0');
  if (const auto size =
          codec::DecodeBase64(text, reinterpret_cast<uint8_t*>(room.data())))
    WEIR_CHECK(*size <= text.size() / 4 * 3);
  uint8_t uuid[16];
  static_cast<void>(codec::ParseUuid(text, uuid));
  const auto bytes = project::ParseBytes(text);
  if (!bytes.ok()) CheckError(bytes.error());
  const auto pattern = ingest::FilePattern::Parse(text);
  if (!pattern.ok()) {
    CheckError(pattern.error());
  } else {
    for (const char* name : {"a.ndjson", "events-1.ndjson", "events-99999999999.ndjson"})
      WEIR_CHECK(pattern->PartitionOf(name) >= -1);
  }
  if (const auto first = log::ParseSegmentName(text))
    WEIR_CHECK(log::SegmentName(*first) == text);
}

void CheckIceberg(const std::string& text) {
  const auto path = iceberg::PathOf(text);
  if (path.ok()) WEIR_CHECK(Must(iceberg::PathOf(iceberg::UriOf(*path))) == *path);
  const auto transform = iceberg::ParseTransform(text);
  if (transform.ok()) {
    const std::string name = iceberg::TransformName(*transform);
    WEIR_CHECK(iceberg::TransformName(Must(iceberg::ParseTransform(name))) == name);
  }
  using data::Kind;
  const data::Type types[] = {
      data::Simple(Kind::kBool),   data::Simple(Kind::kInt32),
      data::Simple(Kind::kInt64),  data::Simple(Kind::kFloat),
      data::Simple(Kind::kDouble), data::Simple(Kind::kDate),
      data::Simple(Kind::kTime),   data::Simple(Kind::kTimestamp),
      data::Simple(Kind::kString), data::Simple(Kind::kBinary),
      data::Simple(Kind::kUuid),   data::Decimal(10, 2),
      data::Decimal(38, 10),       data::Simple(Kind::kTimestampTz)};
  static constexpr iceberg::Transform kTransforms[] = {
      {iceberg::TransformKind::kIdentity, 0}, {iceberg::TransformKind::kBucket, 16},
      {iceberg::TransformKind::kTruncate, 7}, {iceberg::TransformKind::kYear, 0},
      {iceberg::TransformKind::kMonth, 0},    {iceberg::TransformKind::kDay, 0},
      {iceberg::TransformKind::kHour, 0},     {iceberg::TransformKind::kVoid, 0}};
  for (const data::Type& type : types) {
    const auto literal = iceberg::FromBinaryValue(type, text);
    if (!literal.ok()) continue;
    const std::string binary = iceberg::BinaryValue(type, *literal);
    const auto again = iceberg::FromBinaryValue(type, binary);
    WEIR_CHECK(again.ok() && iceberg::BinaryValue(type, *again) == binary);
    if (type.kind == Kind::kBinary || type.kind == Kind::kString)
      WEIR_CHECK(binary == text);
    if (!std::holds_alternative<std::monostate>(*literal))
      WEIR_CHECK(iceberg::Compare(type, *literal, *literal) == 0);
    const bool is_time = type.kind == Kind::kDate || type.kind == Kind::kTimestamp ||
                         type.kind == Kind::kTimestampTz;
    const bool takes_part = type.kind != Kind::kBool && type.kind != Kind::kFloat &&
                            type.kind != Kind::kDouble;
    for (const iceberg::Transform& t : kTransforms) {
      const bool of_time = t.kind >= iceberg::TransformKind::kYear &&
                           t.kind <= iceberg::TransformKind::kHour;
      if (of_time && !is_time) continue;
      if (t.kind == iceberg::TransformKind::kHour && type.kind == Kind::kDate) continue;
      if (t.kind == iceberg::TransformKind::kBucket && !takes_part) continue;
      if (t.kind == iceberg::TransformKind::kTruncate &&
          (!takes_part || is_time || type.kind == Kind::kTime ||
           type.kind == Kind::kUuid)) {
        continue;
      }
      static_cast<void>(iceberg::Apply(t, type, *literal));
    }
  }
}

}  // namespace

WEIR_FUZZER(values)(std::string_view bytes) {
  const std::string text(bytes);
  CheckTime(bytes);
  CheckNumber(text);
  CheckText(text);
  CheckIceberg(text);
}

}  // namespace weir::fuzz
