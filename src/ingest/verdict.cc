#include "ingest/verdict.h"

namespace weir::ingest {

using log::Verdict;

PartitionJudge::PartitionJudge(VerdictRule rule, state::Identities identities,
                               Micros watermark)
    : rule_(rule), identities_(std::move(identities)), watermark_(watermark) {}

void PartitionJudge::MoveWatermark(Micros event_time, Micros arrival) {
  if (!rule_.has_event_time || event_time == kNoTime) return;
  if (rule_.future_allowance && event_time > arrival + *rule_.future_allowance) return;
  const Micros mark = event_time - rule_.lateness;
  if (mark <= watermark_) return;
  const bool first = watermark_ == kNoTime;
  watermark_ = mark;
  if (first) identities_.WatermarkBegan(mark);
}

Status PartitionJudge::Judge(const Evidence& evidence, std::span<const int32_t> rows,
                             Micros arrival, std::span<Verdict> out) {
  // How far ahead of the verdict the identity table is touched, so that its cache misses
  // overlap.
  constexpr size_t kAhead = 8;
  if (rule_.has_identity) {
    if (rows.size() == evidence.identity.size()) {
      WEIR_TRY(identities_.Recall(evidence.identity));
    } else {
      std::vector<Hash128> ids;
      ids.reserve(rows.size());
      for (const int32_t row : rows)
        ids.push_back(evidence.identity[static_cast<size_t>(row)]);
      WEIR_TRY(identities_.Recall(ids));
    }
    for (size_t i = 0; i < std::min(kAhead, rows.size()); ++i) {
      identities_.Prefetch({&evidence.identity[static_cast<size_t>(rows[i])], 1});
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<size_t>(rows[i]);
    if (rule_.has_identity && i + kAhead < rows.size()) {
      identities_.Prefetch(
          {&evidence.identity[static_cast<size_t>(rows[i + kAhead])], 1});
    }
    if (evidence.rejected[row]) {
      out[row] = Verdict::kRejected;
      continue;
    }
    const Micros time = evidence.event_time[row];
    if (rule_.has_identity) {
      if (const auto* known = identities_.Lookup(evidence.identity[row], watermark_)) {
        out[row] = known->content == evidence.content[row] ? Verdict::kDuplicate
                                                           : Verdict::kConflict;
        continue;
      }
    }
    const bool late = rule_.has_event_time && watermark_ != kNoTime && time != kNoTime &&
                      time < watermark_;
    if (!late) MoveWatermark(time, arrival);
    out[row] = late ? Verdict::kLate : Verdict::kAccepted;
    if (rule_.has_identity) {
      identities_.Insert(evidence.identity[row], evidence.content[row], watermark_, time);
    }
  }
  return {};
}

Status PartitionJudge::Remember(std::span<const log::Record> records, Micros arrival) {
  if (rule_.has_identity) WEIR_TRY(identities_.MakeRoom(records.size()));
  for (const log::Record& record : records) {
    if (record.verdict != Verdict::kAccepted && record.verdict != Verdict::kLate)
      continue;
    if (record.verdict == Verdict::kAccepted) MoveWatermark(record.event_time, arrival);
    if (rule_.has_identity) {
      identities_.Insert(record.identity, record.content, watermark_, record.event_time);
    }
  }
  return {};
}

void PartitionJudge::Wake(Micros floor) {
  if (floor == kNoTime || floor <= watermark_) return;
  const bool first = watermark_ == kNoTime;
  watermark_ = floor;
  if (first) identities_.WatermarkBegan(floor);
}

}  // namespace weir::ingest
