#include "ingest/verdict.h"

#include <utility>

namespace weir::ingest {

using log::Verdict;

bool PartitionWatermark::Raise(Micros mark) {
  if (mark <= value_) return false;
  return std::exchange(value_, mark) == kNoTime;
}

bool PartitionWatermark::Accept(Micros event_time, Micros arrival) {
  if (!has_event_time_ || event_time == kNoTime) return false;
  if (future_allowance_ && event_time > arrival + *future_allowance_) return false;
  return Raise(event_time - lateness_);
}

bool PartitionWatermark::Wake(Micros floor) { return floor != kNoTime && Raise(floor); }

PartitionJudge::PartitionJudge(VerdictRule rule, state::Identities identities,
                               Micros watermark)
    : rule_(rule), identities_(std::move(identities)), watermark_(rule, watermark) {}

void PartitionJudge::Began(Micros began) {
  began_ = began;
  identities_.WatermarkBegan(began);
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
      if (const auto* known = identities_.Lookup(evidence.identity[row], watermark())) {
        out[row] = known->content == evidence.content[row] ? Verdict::kDuplicate
                                                           : Verdict::kConflict;
        continue;
      }
    }
    const bool late = rule_.has_event_time && watermark() != kNoTime && time != kNoTime &&
                      time < watermark();
    if (!late && watermark_.Accept(time, arrival)) Began(watermark());
    out[row] = late ? Verdict::kLate : Verdict::kAccepted;
    if (rule_.has_identity) {
      identities_.Insert(evidence.identity[row], evidence.content[row], watermark(),
                         time);
    }
  }
  return {};
}

Status PartitionJudge::Remember(std::span<const log::Record> records, Micros arrival) {
  return RememberPast(records, arrival, watermark_);
}

Status PartitionJudge::RememberPast(std::span<const log::Record> records, Micros arrival,
                                    PartitionWatermark& past) {
  if (rule_.has_identity) WEIR_TRY(identities_.MakeRoom(records.size()));
  for (const log::Record& record : records) {
    if (record.verdict != Verdict::kAccepted && record.verdict != Verdict::kLate)
      continue;
    if (record.verdict == Verdict::kAccepted && past.Accept(record.event_time, arrival))
      Began(past.value());
    if (rule_.has_identity) {
      RememberOne({record.identity, record.content,
                   past.value() == kNoTime ? began_ : past.value(), record.event_time});
    }
  }
  return {};
}

Status PartitionJudge::RememberFound(std::span<const state::Identities::Entry> found) {
  WEIR_TRY(identities_.MakeRoom(found.size()));
  for (const auto& entry : found) RememberOne(entry);
  return {};
}

void PartitionJudge::RememberOne(const state::Identities::Entry& entry) {
  if (identities_.Lookup(entry.id, watermark()) != nullptr) return;
  identities_.Insert(entry.id, entry.content, entry.judged_at_watermark,
                     entry.event_time);
}

void PartitionJudge::Wake(Micros floor) {
  if (watermark_.Wake(floor)) Began(floor);
}

}  // namespace weir::ingest
