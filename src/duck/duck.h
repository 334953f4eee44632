// The only door to DuckDB: SQL over Arrow batches, with pinned settings.
#pragma once

#include <arrow/type_fwd.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "data/type.h"

namespace weir::duck {

struct InstanceOptions {
  int threads = 1;
  int64_t memory_bytes_max = 256 << 20;
  std::string temp_dir;  // each database spills to a folder of its own in it; empty: none
};

using RowBatches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

// A pull source of batches for a scanned relation; null at the end. `columns` are the
// positions the query needs, in that order; the batches returned have just these columns.
// Called from one thread at a time.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual Result<std::shared_ptr<arrow::RecordBatch>> Next() = 0;
};
using SourceOpener =
    std::function<Result<std::unique_ptr<BatchSource>>(const std::vector<int>& columns)>;

// A statement prepared once and run many times over different batches.
class Prepared {
 public:
  virtual ~Prepared() = default;
  virtual const data::Schema& output() const = 0;
};

// One DuckDB database with one connection: TimeZone UTC, binary collation, NULLS LAST as
// default order, no external access, no extension loading, configuration locked. Used by
// one thread at a time. Errors of SQL are kInvalid with DuckDB's message and, where it
// has one, the position ("… (at character 17)", see ErrorOffset).
class Session {
 public:
  virtual ~Session() = default;
  static Result<std::unique_ptr<Session>> Open(InstanceOptions options);

  // Makes `name` (may be qualified: "silver.trips") a relation of this schema in SQL. Its
  // rows are those of the batch last given to SetInput, or of the opener. Declaring a
  // name again replaces it.
  virtual Status DeclareInput(std::string_view name, const data::Schema& schema) = 0;
  virtual Status DeclareSource(std::string_view name, const data::Schema& schema,
                               SourceOpener opener) = 0;
  // The batches' schema must be the declared one. Zero copy: they must live until the
  // next SetInput of this name.
  virtual Status SetInput(std::string_view name, RowBatches batches) = 0;

  virtual Result<std::unique_ptr<Prepared>> Prepare(std::string_view sql) = 0;
  virtual Result<RowBatches> Run(Prepared& statement) = 0;
  virtual Result<RowBatches> Query(std::string_view sql, data::Schema* output) = 0;
  // As Query, but hands over result batches as they come, until `visit` returns false or
  // `cancel` says stop.
  virtual Status QueryStreaming(
      std::string_view sql, const CancelToken& cancel,
      const std::function<Status(const data::Schema&)>& begin,
      const std::function<Result<bool>(std::shared_ptr<arrow::RecordBatch>)>& visit) = 0;
  virtual Result<data::Schema> Describe(std::string_view sql) = 0;
  // DuckDB's own parse tree of a SELECT as JSON (json_serialize_sql) and back. kInvalid
  // with position on a syntax error.
  virtual Result<std::string> ParseToJson(std::string_view select) = 0;
  virtual Result<std::string> JsonToSql(std::string_view json) = 0;
  // Statements that give no rows ("SET …", "CREATE MACRO …"). Only before the first
  // Prepare.
  virtual Status Execute(std::string_view sql) = 0;
};

// Where in the SQL text an error stands (bytes from 0), if DuckDB said so.
std::optional<size_t> ErrorOffset(const Error& error);

// "a" and "silver"."trips" as SQL; a type as DuckDB spells it ("DECIMAL(38,0)").
std::string QuoteName(std::string_view name);
std::string QuoteTable(std::string_view name);
std::string TypeInSql(const data::Type& type);

// How a DuckDB type is stored in Iceberg (docs/types.md): HUGEINT -> decimal(38,0),
// UBIGINT -> decimal(20,0), smaller unsigned widened, TIMESTAMP WITH TIME ZONE ->
// timestamptz, JSON -> string. kInvalid for INTERVAL, ENUM, UNION, BIT, maps with
// non-string keys: the message names the cast to write. Query outputs are already
// converted so.

}  // namespace weir::duck
