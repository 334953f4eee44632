// The journal: decisions that a replay must repeat, in the order they were made: files
// discovered, cuts of each step, partitions going idle or waking, contract switches. One
// line of JSON an entry inside checksummed frames; docs/formats/journal.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/io.h"

namespace weir::log {

// Used by one thread. A torn tail is cut on open; a bad checksum in the middle is
// kCorrupt. After a failed sync every call fails.
class Journal {
 public:
  virtual ~Journal() = default;
  // `owner`: as LogOptions::owner.
  static Result<std::unique_ptr<Journal>> Open(io::Io& io, const std::string& dir,
                                               int64_t owner = 0);

  // Returns the entry's number, counted from 1 without gaps.
  virtual Result<int64_t> Append(std::string_view kind, std::string_view json) = 0;
  virtual Status Sync() = 0;
  virtual int64_t last() const = 0;

  struct Entry {
    int64_t number;
    std::string kind, json;
  };
  virtual Status Read(int64_t from, const std::function<Status(const Entry&)>& visit) = 0;
};

}  // namespace weir::log
