// One segment of the log, as the newest and as a sealed one: opened, read from anywhere
// and continued, with nothing invented.
#include "log/log.h"

#include <cstring>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/log_repair.h"
#include "io/sim_io.h"
#include "log/frame_internal.h"
#include "log/segment_internal.h"

namespace weir::fuzz {
namespace {

constexpr size_t kRecordsMax = 100'000;  // of one input; the rest is not looked at

struct Taken {
  std::vector<std::string> records;  // offset, verdict, time and bytes
  std::vector<int64_t> offsets;
  std::string error;
};

Taken Take(log::Log& log, int64_t from, bool payload) {
  Taken out;
  int64_t last = from - 1;
  const Status read = log.Read(
      {from},
      {.batch = [&](const log::RecordBatchView& batch) -> Result<bool> {
         int64_t offset = batch.first.value;
         WEIR_CHECK(offset > last);
         for (const log::Record& record : batch.records) {
           out.records.push_back(std::to_string(offset) + " " +
                                 std::to_string(static_cast<int>(record.verdict)) + " " +
                                 std::to_string(record.event_time) + " " +
                                 std::string(record.bytes));
           out.offsets.push_back(offset);
           last = offset++;
         }
         return out.records.size() < kRecordsMax;
       },
       .control = [&](const log::ControlRecord& control) -> Result<bool> {
         WEIR_CHECK(control.at.value >= from);
         return true;
       },
       .payload = payload});
  if (!read.ok()) {
    CheckError(read.error());
    out.error = read.error().message;
  }
  return out;
}

void CheckReads(log::Log& log, std::string_view bytes) {
  const Taken all = Take(log, log.begin().value, true);
  const Taken lean = Take(log, log.begin().value, false);
  if (all.error.empty() && lean.error.empty()) WEIR_CHECK(lean.offsets == all.offsets);
  if (all.offsets.empty() || all.records.size() >= kRecordsMax) return;
  const size_t at = Choice(bytes, 1, all.offsets.size());
  const Taken rest = Take(log, all.offsets[at], true);
  if (!rest.error.empty() || !all.error.empty()) return;
  const std::vector<std::string> expected(
      all.records.begin() + static_cast<ptrdiff_t>(at), all.records.end());
  WEIR_CHECK(rest.records == expected);
}

void CheckNewest(std::string_view bytes) {
  io::SimIo io;
  Must(io.CreateDirs("log"));
  Must(io.WriteNew("log/" + log::SegmentName({0, 0}), bytes));
  auto log = log::Log::Open(io, "log", {});
  if (!log.ok()) return CheckError(log.error());
  CheckReads(**log, bytes);
  const Taken before = Take(**log, 0, true);
  const int64_t end = (*log)->end().value;
  const log::Record record{.bytes = "continued", .event_time = 5};
  const auto at = (*log)->Append(7, std::span(&record, 1));
  if (!at.ok()) return CheckError(at.error());
  WEIR_CHECK(at->value == end);
  Must((*log)->Sync());
  log->reset();
  auto again = log::Log::Open(io, "log", {});
  if (!again.ok()) return CheckError(again.error());
  WEIR_CHECK((*again)->end().value == end + 1);
  const Taken after = Take(**again, 0, true);
  WEIR_CHECK(after.records.size() >= before.records.size());
  for (size_t i = 0; i < before.records.size(); ++i)
    WEIR_CHECK(after.records[i] == before.records[i]);
  if (after.error.empty()) WEIR_CHECK(after.records.back().ends_with(" continued"));
}

void CheckSealed(std::string_view bytes) {
  io::SimIo io;
  Must(io.CreateDirs("log"));
  Must(io.WriteNew("log/" + log::SegmentName({0, 0}), bytes));
  Must(io.WriteNew("log/" + log::SegmentName({0, 3}), log::EncodeSegmentHeader(9, 3)));
  auto log = log::Log::Open(io, "log", {});
  if (!log.ok()) return CheckError(log.error());
  CheckReads(**log, bytes);
}

}  // namespace

WEIR_FUZZER(log)(std::string_view bytes) {
  CheckNewest(bytes);
  CheckSealed(bytes);
}

}  // namespace weir::fuzz

WEIR_FUZZER_REPAIR(weir::fuzz::RepairSegment)
