// Model files: one statement with the verbs of Spark Declarative Pipelines around a
// SELECT in DuckDB's dialect.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir::sql {

// Where something stands in the user's file, from 1.
struct Place {
  int line = 0, column = 0;
};

// A fault in a model, pointing into the user's file.
struct SqlProblem {
  Place place;
  std::string message;  // what is wrong
  std::string fix;      // what to write instead; may be empty
  std::string excerpt;  // the line it stands in
};

enum class ModelVerb : uint8_t { kMaterializedView, kStreamingTable, kView };
enum class OnViolation : uint8_t { kCount, kQuarantine, kDropRow, kFailUpdate };

struct Constraint {
  std::string name, condition;
  OnViolation on_violation = OnViolation::kCount;
  Place place;
};
struct PartitionTerm {
  std::string transform;
  int parameter = 0;
  std::string column;
};  // day(requested_at) -> {"day", 0, "requested_at"}

// A parsed model statement. `body` is DuckDB SELECT text: STREAM markers are taken out
// and time windows (TUMBLE(TABLE …) and its kin) are replaced by the subqueries they
// stand for; nothing else is changed.
struct Model {
  std::string file;
  std::string name;  // "silver.trips", lower case
  ModelVerb verb = ModelVerb::kMaterializedView;
  std::vector<std::string> key;  // KEY (…); empty: infer
  std::vector<PartitionTerm> partitioned_by;
  std::vector<std::string> cluster_by;
  std::vector<Constraint> constraints;
  std::optional<Micros> target_lag;
  std::string comment;
  std::vector<std::pair<std::string, std::string>> properties;  // TBLPROPERTIES
  bool nondeterministic = false;
  std::string body;
  std::vector<std::string> stream_inputs;  // tables named after FROM STREAM / JOIN STREAM
  // body offset -> file offset, as ascending (body, file) pairs: text between two pairs
  // is the same in both.
  std::vector<std::pair<size_t, size_t>> offset_map;
  std::string text;  // the whole file
  Place PlaceInFile(size_t body_offset) const;
};

// Parses one file. Faults go to `problems`; nullopt when there was any. Needs no
// database.
std::optional<Model> ParseModel(const std::string& file, std::string_view text,
                                std::vector<SqlProblem>* problems);

}  // namespace weir::sql
