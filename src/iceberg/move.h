// Tables whose files were moved to another folder: Iceberg names files by absolute paths,
// in every snapshot, so all metadata has to be written anew.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "iceberg/table.h"
#include "io/io.h"

namespace weir::iceberg {

// What stood below folder `from` stands below `to` now. Both are absolute, without a
// slash at the end.
class Move {
 public:
  Move(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  // Where the file or folder of this URI (or path) is now, in our spelling of URIs;
  // whatever is not below `from` comes back as it is.
  std::string operator()(std::string_view uri) const;

 private:
  std::string from_, to_;
};

// Writes metadata, manifest lists, manifests and deletion vectors that name the new
// places, for all snapshots: all synced. Snapshots keep their ids, rows their row ids.
// `location` is the metadata file as the catalog names it, at the old place. `obsolete`
// of the result are the files that were replaced, where they are now; the metadata log
// begins empty, since the files of the old one name the old place. kInvalid: the table
// has delete files that are not deletion vectors.
Result<Staged> StageMove(io::Io& io, std::string_view table, std::string_view location,
                         const Move& move, Micros now);

}  // namespace weir::iceberg
