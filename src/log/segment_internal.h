// One file of the log.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/io.h"
#include "log/frame_internal.h"

namespace weir::log {

// What a reader needs to know. A sealed segment does not change any more.
struct Segment {
  std::string path;
  uint32_t salt = 0;
  int64_t first = 0;
  int64_t end = 0;                  // next offset after its last record
  uint64_t bytes = 0;               // synced
  std::vector<SparseEntry> sparse;  // ascending; may be empty
  std::shared_ptr<io::File> file;   // only while it is being written

  // Where to begin so that nothing at `from`, controls included, is missed.
  SparseEntry Before(int64_t from) const;
  // Takes a batch into the sparse index if it is due.
  void NoteBatch(int64_t offset, uint64_t position);
};

std::string SegmentName(int64_t first);
// The first offset a file name stands for; nullopt: not a segment's name.
std::optional<int64_t> ParseSegmentName(std::string_view name);

// Reads what Open needs of a segment that others follow, without scanning it.
// `next_first` is where the following one begins.
Result<Segment> OpenSealed(io::Io& io, const std::string& path, int64_t first,
                           int64_t next_first);

// Opens the newest segment. Sealed: `file` stays empty. Else it is scanned and a torn
// tail is cut. It is synced, because what the last process wrote need not have reached
// the disk.
struct NewestSegment {
  Segment segment;
  bool sealed = false;
  bool marked = false;  // its last frame is a mark
};
Result<NewestSegment> OpenNewest(io::Io& io, const std::string& path, int64_t first);

// Visits everything in `segment` from offset `from` on; `expected` is set to the offset
// that is due next. false: the visitor wants no more.
Result<bool> ReadSegment(io::Io& io, const Segment& segment, LogOffset from,
                         const Log::Visitor& visitor, int64_t& expected);

}  // namespace weir::log
