// One file of the log.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/io.h"
#include "log/frame_internal.h"

namespace weir::log {

// What a segment's name says. Owners come one after the other, so later ones sort later.
struct SegmentId {
  int64_t owner = 0;  // owner epoch of the process that wrote it; 0: nobody counted them
  int64_t first = 0;  // offset of its first record
  friend auto operator<=>(const SegmentId&, const SegmentId&) = default;
};

// What a reader needs to know. A sealed segment does not change any more.
struct Segment {
  std::string path;
  uint32_t salt = 0;
  int64_t first = 0;
  int64_t end = 0;     // next offset after its last record
  uint64_t bytes = 0;  // synced; what stands behind them is no part of the log
  std::vector<SparseEntry> sparse;  // ascending; may be empty
  std::shared_ptr<io::File> file;   // only while it is being written

  // Where to begin so that nothing at `from`, controls included, is missed.
  SparseEntry Before(int64_t from) const;
  // Takes a batch into the sparse index if it is due.
  void NoteBatch(int64_t offset, uint64_t position);
};

std::string SegmentName(SegmentId id);
// nullopt: not a segment's name.
std::optional<SegmentId> ParseSegmentName(std::string_view name);

// A segment of the log and how many of its bytes count.
struct Link {
  SegmentId id;
  std::optional<uint64_t> bytes_max;  // nullopt: all
  bool may_be_open = false;  // another owner followed, so it need not have been sealed
};
// The segments that are the log, ascending: from the newest one back, each the one that
// its follower was begun behind. `stragglers` get those that a replaced owner wrote after
// another had taken over; nothing in them was ever acknowledged.
Result<std::vector<Link>> FindChain(io::Io& io, const std::string& dir,
                                    std::vector<SegmentId>* stragglers);

// Reads what Open needs of a segment that others follow, without scanning it.
// `next_first` is where the following one begins.
Result<Segment> OpenSealed(io::Io& io, const std::string& path, const Link& link,
                           int64_t next_first);

// Opens the newest segment. Sealed, or not `ours`: `file` stays empty and nothing is
// written to it, since its owner may still be alive. Else it is scanned and a torn tail
// is cut. It is synced, because what the last process wrote need not have reached the
// disk.
struct NewestSegment {
  Segment segment;
  bool sealed = false;
  bool marked = false;  // its last frame is a mark
};
Result<NewestSegment> OpenNewest(io::Io& io, const std::string& path, int64_t first,
                                 bool ours);

// Visits everything in `segment` from offset `from` on; `expected` is set to the offset
// that is due next. false: the visitor wants no more.
Result<bool> ReadSegment(io::Io& io, const Segment& segment, LogOffset from,
                         const Log::Visitor& visitor, int64_t& expected);

}  // namespace weir::log
