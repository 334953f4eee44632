// The table function through which DuckDB reads Weir's relations.
#pragma once

#include <duckdb.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "duck/duck.h"

namespace weir::duck {

// What DuckDB needs to take over batches with just these columns; made once per column
// list and kept.
struct ScanShape {
  std::vector<int> columns;  // of the relation
  std::vector<int> outputs;  // where each goes in DuckDB's chunk
  duckdb_arrow_converted_schema converted = nullptr;
  std::shared_ptr<arrow::Schema> arrow;
  ~ScanShape();
};

// A relation that SQL can name: batches set by the caller, or a pull source.
struct Relation {
  data::Schema schema;
  std::shared_ptr<arrow::Schema> arrow;
  RowBatches batches;
  SourceOpener opener;  // null: `batches` count
  std::vector<std::unique_ptr<ScanShape>> shapes;
};

// The relations of one session, reached from DuckDB by number: weir_scan(n).
class Scans {
 public:
  explicit Scans(duckdb_connection connection) : connection_(connection) {}
  Status Register();
  int64_t Add(std::shared_ptr<Relation> relation);
  void Remove(int64_t id) { relations_.erase(id); }

  // The error a relation's source gave during the last statement, with its own code.
  std::optional<Error> TakeError();
  // Scans stop with kCancelled once this token says so; null: never.
  void SetCancel(const CancelToken* cancel) { cancel_ = cancel; }

 private:
  friend struct ScanCallbacks;
  const duckdb_connection connection_;
  std::map<int64_t, std::shared_ptr<Relation>> relations_;
  int64_t next_id_ = 0;
  std::optional<Error> error_;
  const CancelToken* cancel_ = nullptr;
};

}  // namespace weir::duck
