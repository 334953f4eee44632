// Names for versions of tables: made and taken away by any process, also beside the owner
// of the data directory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "iceberg/refs.h"
#include "iceberg/table.h"
#include "io/io.h"

namespace weir::commit {

struct NewTag {
  std::string name;
  std::vector<std::string> tables;
  // Which version of a table; empty: the present one. nullptr: it has none.
  std::function<Result<const iceberg::Snapshot*>(const std::string& table,
                                                 const iceberg::Metadata&)>
      pick;
  std::optional<Micros> age_max;  // see iceberg::Ref
  iceberg::IfTagExists if_exists = iceberg::IfTagExists::kRefuse;
};

struct TaggedVersion {
  std::string table;
  iceberg::Snapshot snapshot;
};

// Names one version of each table in one transaction, so the present versions are those
// of one cut: either all tables get the tag, or none does. Commits wait meanwhile, and
// keep the tag. kNotFound: no such directory, table or version; kConflict: a table has
// the tag already; kInvalid: the name cannot be one, or the directory was moved.
Result<std::vector<TaggedVersion>> CreateTag(io::Io& io, Clock& clock,
                                             const std::string& data_dir,
                                             const NewTag& tag);

// Takes the name away from all these tables, or from none (kNotFound: one has it not).
// The versions stay until their time to expire comes.
Status DropTag(io::Io& io, Clock& clock, const std::string& data_dir,
               const std::vector<std::string>& tables, const std::string& name);

}  // namespace weir::commit
