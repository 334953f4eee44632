// Where one DuckDB database spills.
#pragma once

#include <string>

namespace weir::duck {

// A folder of its own below `parent` (made when missing): DuckDB names its spill the same
// in every database and removes all that has such names when it closes, so databases that
// shared a folder, in one process or in two, would write over each other's spill. The
// folder goes with the object. Those that killed processes left are removed by the next
// one made below the same parent: whoever lives holds a lock on theirs, stopped or not.
class SpillFolder {
 public:
  SpillFolder() = default;
  explicit SpillFolder(const std::string& parent);
  SpillFolder(const SpillFolder&) = delete;
  SpillFolder& operator=(const SpillFolder&) = delete;
  ~SpillFolder();

  // Where nothing can be made it names a folder that is not there: who need not spill
  // is not held up, and who does is told by DuckDB.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int lock_ = -1;  // of the folder; closing it lets go
};

}  // namespace weir::duck
