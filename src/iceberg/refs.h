// Names of snapshots: tags, which keep a version for as long as they are there, and
// branches, which other programs make. And how a commit goes on when somebody named a
// snapshot beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iceberg/table.h"

namespace weir::iceberg {

struct Ref {
  std::string name;
  SnapshotId snapshot;
  bool is_tag = true;  // else a branch
  // Expiry lets the name go when its snapshot is older than this; nullopt: never.
  std::optional<Micros> age_max;
};

// All but the branch main, by name. What others wrote and the format does not know is
// left out.
std::vector<Ref> RefsOf(const Metadata& metadata);

// kNotFound: there is no tag of that name; the message says which there are.
Result<Ref> FindTag(std::string_view table, const Metadata& metadata,
                    std::string_view name);

enum class IfTagExists { kRefuse, kReplace };
// The tag's snapshot must be in `metadata`. `age_max` counts from the snapshot's commit,
// as Iceberg has it, and is cut to milliseconds. kInvalid: the name cannot be one, or the
// tag would be let go at once (`now`); kConflict: the tag exists, or a branch has the
// name.
Result<Metadata> WithTag(std::string_view table, const Metadata& metadata, const Ref& tag,
                         IfTagExists if_exists, Micros now);
// kNotFound as FindTag.
Result<Metadata> WithoutTag(std::string_view table, const Metadata& metadata,
                            std::string_view name);

// Lets go the names whose snapshots are too old for them.
void ExpireRefs(Metadata* metadata, Micros now);

// Stages a change of names by a process that does not own the data directory. Its file
// has a name that no owner's sweep takes for an orphan of its predecessors, and no file
// becomes obsolete: the owner's next commit sees to that.
Result<Staged> StageRefs(io::Io& io, std::string_view table, const Metadata& changed,
                         std::string_view base_location, Micros now);

// `staged` was made on staged.base_location, but the table is at `location` by now. When
// only names and properties were changed between the two, the same change upon
// `location`, in a metadata file of its own; what `staged` wanted to expire stays, since
// a new name may want it. nullopt: more was changed.
Result<std::optional<Staged>> Rebase(io::Io& io, const Staged& staged,
                                     const std::string& location);

}  // namespace weir::iceberg
