#include "generate/stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "generate/dice.h"
#include "generate/output_file.h"

namespace weir::generate {
namespace {

constexpr uint64_t kFirst = 1, kAgain = 2;  // purposes of dice

void DeliverOne(uint32_t event, Millis happened, const Trouble& trouble, uint64_t seed,
                std::vector<Delivery>* out) {
  Dice dice = DiceOf(seed, kFirst, event);
  Millis delay = dice.Between(20, std::max<Millis>(20, trouble.delay));
  if (dice.Chance(trouble.parked)) {
    delay = dice.Between(trouble.parked_from, trouble.parked_to);
  } else if (dice.Chance(trouble.late)) {
    delay = dice.Between(std::min(trouble.delay, trouble.late_by), trouble.late_by);
  }
  Delivery first{
      .at = happened + delay, .event = event, .dice = static_cast<uint16_t>(dice.Next())};
  if (dice.Chance(trouble.broken)) {
    first.form = Delivered::kBroken;
    out->push_back(first);
    return;
  }
  out->push_back(first);
  Dice again = DiceOf(seed, kAgain, event);
  auto repeat = [&](double share, Millis from, Millis to, Delivered form) {
    const Millis after = again.Between(from, to);
    if (!again.Chance(share)) return;
    Delivery copy = first;
    copy.at += after;
    copy.form = form;
    out->push_back(copy);
  };
  repeat(trouble.retried, 50, 2 * kMinute, Delivered::kPlain);
  repeat(trouble.again_in_hours, kHour, kDay, Delivered::kPlain);
  repeat(trouble.again_in_days, kDay, trouble.again_to, Delivered::kPlain);
  repeat(trouble.conflicting, kMinute, 2 * kMinute, Delivered::kConflicting);
}

}  // namespace

std::vector<Delivery> Deliver(const std::vector<Millis>& times, const Trouble& trouble,
                              uint64_t seed) {
  std::vector<Delivery> deliveries;
  deliveries.reserve(times.size() + times.size() / 16);
  for (size_t i = 0; i < times.size(); ++i)
    DeliverOne(static_cast<uint32_t>(i), times[i], trouble, seed, &deliveries);
  std::stable_sort(deliveries.begin(), deliveries.end(),
                   [](const Delivery& a, const Delivery& b) { return a.at < b.at; });
  return deliveries;
}

void DeliverLast(uint32_t event, std::vector<Delivery>* deliveries) {
  deliveries->push_back(
      {.at = deliveries->empty() ? 0 : deliveries->back().at + 1, .event = event});
}

Verdict Judge::Decide(size_t identity, Millis at, uint8_t content, Millis* newest) {
  const Millis watermark = *newest == kNever ? kNever : *newest - lateness_;
  if (seen_[identity] != kNever &&
      (watermark - seen_[identity] < memory_ || watermark <= at)) {
    return content == content_[identity] ? Verdict::kDuplicate
                                         : Verdict::kConflictingDuplicate;
  }
  content_[identity] = content;
  if (watermark != kNever && at < watermark) {
    seen_[identity] = watermark;
    return Verdict::kLate;
  }
  if (at < ahead_) *newest = std::max(*newest, at);
  // Before the first watermark there is none to remember; any real one is far ahead of
  // it.
  seen_[identity] = *newest == kNever ? kNever / 2 : *newest - lateness_;
  return Verdict::kAccepted;
}

void Ledger::Count(Verdict verdict) {
  ++received;
  switch (verdict) {
    case Verdict::kAccepted:
      ++accepted;
      break;
    case Verdict::kConflictingDuplicate:
      ++conflicting;
      [[fallthrough]];
    case Verdict::kDuplicate:
      ++duplicate;
      break;
    case Verdict::kLate:
      ++late;
      break;
    case Verdict::kRejected:
      ++rejected;
      break;
  }
}

Result<SourceFate> WriteSource(io::Io& io, const std::string& out,
                               const SourceText& source, const std::vector<Millis>& times,
                               const std::vector<Delivery>& deliveries) {
  SourceFate fate;
  fate.accepted.resize(times.size());
  Judge judge(times.size(), source.lateness);
  judge.SetAhead(source.ahead);
  const std::string folder = io::Join(io::Join(out, "data"), source.name);
  std::optional<OutputFile> file;
  std::string open_name;
  for (const Delivery& delivery : deliveries) {
    const std::string name =
        source.file ? source.file(delivery) : source.name + ".ndjson";
    if (name != open_name) {
      WEIR_CHECK(open_name < name);  // Weir reads files in the order of their names
      if (file) fate.bytes += WEIR_TRY(file->Finish());
      file.emplace(WEIR_TRY(OutputFile::Open(io, io::Join(folder, name))));
      open_name = name;
      if (source.header) WEIR_TRY(file->WriteLine(source.header(name)));
    }
    source.write(delivery, &file->buffer());
    file->buffer().push_back('\n');
    WEIR_TRY(file->FlushIfFull());
    if (delivery.form == Delivered::kBroken) {
      fate.ledger.Count(Verdict::kRejected);
      continue;
    }
    const bool conflicting = delivery.form == Delivered::kConflicting;
    const Verdict verdict =
        judge.Decide(delivery.event, times[delivery.event], conflicting);
    fate.ledger.Count(verdict);
    if (verdict == Verdict::kAccepted) {
      WEIR_CHECK(!conflicting);  // it follows the plain one, whose identity is known
      fate.accepted[delivery.event] = true;
    }
  }
  if (file) fate.bytes += WEIR_TRY(file->Finish());
  fate.watermark = judge.watermark();
  return fate;
}

Status WriteLedgers(io::Io& io, const std::string& out,
                    const std::map<std::string, Ledger>& by_source) {
  JsonObject all;
  for (const auto& [source, ledger] : by_source) {
    all.Set(source, JsonObject()
                        .Set("received", ledger.received)
                        .Set("accepted", ledger.accepted)
                        .Set("rejected", ledger.rejected)
                        .Set("duplicate", ledger.duplicate)
                        .Set("conflicting", ledger.conflicting)
                        .Set("late", ledger.late)
                        .Set("blocked", ledger.blocked));
  }
  OutputFile file =
      WEIR_TRY(OutputFile::Open(io, io::Join(io::Join(out, "answer"), "ledger.json")));
  WEIR_TRY(file.WriteLine(all.text()));
  WEIR_TRY(file.Finish());
  return {};
}

Status WriteAnswer(io::Io& io, const std::string& out, const std::string& table,
                   const std::vector<JsonObject>& rows) {
  OutputFile file = WEIR_TRY(
      OutputFile::Open(io, io::Join(io::Join(out, "answer"), table + ".ndjson")));
  for (const JsonObject& row : rows) WEIR_TRY(file.WriteLine(row.text()));
  WEIR_TRY(file.Finish());
  return {};
}

void CutShort(uint16_t dice, size_t start, std::string* text) {
  const size_t length = text->size() - start;
  text->erase(text->size() - std::min<size_t>(length - 1, 1 + dice % 20));
}

}  // namespace weir::generate
