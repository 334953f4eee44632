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

// The text of one of the user's files.
struct SourceText {
  std::string file, text;
};

// A fault and the file it stands in.
struct FileProblem {
  std::string file;
  SqlProblem problem;
};

// Where a stretch of a query comes from: from `body` on it is the file's text from `file`
// on, or, when it is `ours`, stands for what is written there.
struct Origin {
  size_t body = 0, file = 0;
  bool ours = false;
  std::shared_ptr<const SourceText> source = nullptr;  // null: the model's own file
};

// A query in DuckDB's dialect, made from the user's text: STREAM markers are taken out
// and time windows (TUMBLE(TABLE …) and its kin) are replaced by the subqueries they
// stand for; nothing else is changed.
struct QueryText {
  std::string body;
  std::vector<std::string> stream_inputs;  // tables named after FROM STREAM, JOIN STREAM
  std::vector<Origin> origins;             // ascending in `body`
};

// A piece of a statement as it is written, from byte `begin` of its file on. Empty: it is
// not there.
struct Written {
  std::string text;
  size_t begin = 0;
};

// (a, b), or all columns but these: * EXCEPT (a, b).
struct ColumnList {
  bool all_but = true;
  std::vector<Written> names;  // without quotes
  bool Has(std::string_view name) const;
};

// AUTO CDC: how a target follows a log of changes.
struct CdcRule {
  Written source;           // as written
  std::string source_name;  // in lower case
  bool is_stream = false;
  std::vector<Written> keys;  // without quotes
  Written sequence, delete_when, truncate_when;
  bool ignore_nulls = false;
  ColumnList columns, tracked;
  int scd_type = 1;
};

// CREATE FLOW … AS AUTO CDC INTO … or AS INSERT INTO …
struct Flow {
  std::shared_ptr<const SourceText> source;
  size_t begin = 0;  // of its name, in the file
  std::string name, target;
  std::optional<CdcRule> cdc;  // none: `query` is inserted
  QueryText query;
  bool by_name = false;  // columns go to those of their names
};

class Macros;

// A parsed model statement. Its query is `body`; of a table that flows go into it is made
// of theirs: at once for INSERT, by WriteCdcQuery (cdc.h) for AUTO CDC, which needs to
// know the columns of its sources.
struct Model : QueryText {
  std::string file;
  std::string name;  // "silver.trips", lower case
  ModelVerb verb = ModelVerb::kMaterializedView;
  std::vector<std::string> key;  // KEY (…); empty: infer
  std::vector<PartitionTerm> partitioned_by;
  std::vector<std::string> cluster_by;
  std::vector<Constraint> constraints;
  std::optional<Micros> target_lag;
  std::string comment;
  std::vector<std::pair<Written, std::string>> column_comments;
  std::vector<std::pair<std::string, std::string>> properties;  // TBLPROPERTIES
  bool nondeterministic = false;
  bool has_query = false;                // AS …; else flows go into it
  std::vector<Flow> flows;               // in the order of their names
  std::shared_ptr<const Macros> macros;  // what its text may call; null: none
  size_t begin = 0;                      // of its name, in the file
  std::string text;                      // the whole file

  bool IsCdc() const { return !flows.empty() && flows[0].cdc.has_value(); }
  Place PlaceInFile(size_t body_offset) const;
  // The fault that something at this byte of the body is; of the model itself without
  // one.
  FileProblem ProblemAt(std::optional<size_t> body_offset, std::string message,
                        std::string fix) const;
};

// Parses the statements of all files of a project, puts flows to their targets and gives
// all models the macros (macros.h), which are not yet expanded in their text. Faults
// go to `problems`; then what is returned lacks what was faulty. Needs no database.
std::vector<Model> ParseModels(const std::vector<SourceText>& files,
                               std::vector<FileProblem>* problems);

// A file that makes one model; nullopt when it has faults.
std::optional<Model> ParseModel(const std::string& file, std::string_view text,
                                std::vector<SqlProblem>* problems);

}  // namespace weir::sql
