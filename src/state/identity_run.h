// A part of the identity memory that stands on disk: entries that left the table in
// memory because there were too many. Immutable; a filter of about 2.3 bytes an entry
// stays in memory and says which identities may be inside. Byte table:
// docs/formats/state.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"
#include "io/io.h"
#include "state/identity_table.h"

namespace weir::state {

class IdentityRun {
 public:
  // Writes the table's entries to a new file, synced; the folder is the caller's to sync.
  // kConflict: the name is taken. Linear in the size of the table.
  static Status Write(io::Io& io, const std::string& path, const IdentityTable& table);

  // Reads the filter; kCorrupt names the file.
  static Result<IdentityRun> Open(io::Io& io, const std::string& path);

  // Calls `candidate` with the index of each id that may be inside: all that are, and
  // about 1 in 4,000 of those that are not.
  void Probe(std::span<const Hash128> ids,
             const std::function<void(size_t)>& candidate) const;

  // The entry of an id, from disk. kCorrupt when the bytes fail their checksum.
  Result<std::optional<IdentityEntry>> Find(Hash128 id) const;

  int64_t count() const { return static_cast<int64_t>(fingerprints_.size()); }
  int64_t bytes() const {  // in memory
    return static_cast<int64_t>(fingerprints_.capacity() * sizeof(uint16_t) +
                                starts_.capacity() * sizeof(uint32_t));
  }

 private:
  IdentityRun() = default;
  size_t BucketOf(Hash128 id) const { return id.low & (starts_.size() - 2); }

  std::string path_;
  std::unique_ptr<io::File> file_;
  std::vector<uint32_t> starts_;  // of each bucket, in entries; one more at the end
  std::vector<uint16_t> fingerprints_;
};

}  // namespace weir::state
