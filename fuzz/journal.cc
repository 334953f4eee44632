// The journal: entries numbered without gaps, the same after it was continued.
#include "log/journal.h"

#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/log_repair.h"
#include "ingest/file_catalog.h"
#include "io/sim_io.h"
#include "log/segment_internal.h"

namespace weir::fuzz {
namespace {

struct Taken {
  std::vector<std::string> entries;
  bool whole = false;
};

Taken Take(log::Journal& journal, ingest::FileCatalog* files) {
  Taken out;
  const Status read = journal.Read(1, [&](const log::Journal::Entry& entry) -> Status {
    out.entries.push_back(std::to_string(entry.number) + " " + entry.kind + " " +
                          entry.json);
    if (files == nullptr) return {};
    const Status replayed = files->Replay(entry);
    if (!replayed.ok()) CheckError(replayed.error());
    return {};
  });
  if (!read.ok()) CheckError(read.error());
  out.whole = read.ok();
  return out;
}

}  // namespace

WEIR_FUZZER(journal)(std::string_view bytes) {
  io::SimIo io;
  Must(io.CreateDirs("journal"));
  Must(io.WriteNew("journal/" + log::SegmentName({0, 0}), bytes));
  auto journal = log::Journal::Open(io, "journal");
  if (!journal.ok()) return CheckError(journal.error());
  ingest::FileCatalog files(io, "clicks", Must(ingest::FilePattern::Parse("in")));
  const Taken before = Take(**journal, &files);
  const int64_t last = (*journal)->last();
  const auto number = (*journal)->Append("idle", "{}");
  if (!number.ok()) return CheckError(number.error());
  WEIR_CHECK(*number == last + 1);
  Must((*journal)->Sync());
  journal->reset();
  auto again = log::Journal::Open(io, "journal");
  if (!again.ok()) return CheckError(again.error());
  WEIR_CHECK((*again)->last() == last + 1);
  const Taken after = Take(**again, nullptr);
  if (before.whole) {
    WEIR_CHECK(after.whole && after.entries.size() == before.entries.size() + 1);
    WEIR_CHECK(after.entries.back() == std::to_string(last + 1) + " idle {}");
  }
}

}  // namespace weir::fuzz

WEIR_FUZZER_REPAIR(weir::fuzz::RepairSegment)
