#include <arrow/c/bridge.h>
#include <duckdb.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/arrow.h"
#include "duck/duck.h"
#include "duck/scan_internal.h"
#include "duck/spill_folder_internal.h"
#include "duck/types_internal.h"

namespace weir::duck {
namespace {

constexpr std::string_view kPositionMark = " (at character ";

using Statement = Owned<duckdb_prepared_statement, duckdb_destroy_prepare>;

struct QueryResult {
  duckdb_result result{};
  QueryResult() = default;
  QueryResult(const QueryResult&) = delete;
  QueryResult& operator=(const QueryResult&) = delete;
  ~QueryResult() { duckdb_destroy_result(&result); }
};

Code CodeOf(const std::string& exception_type) {
  if (exception_type == "INTERNAL" || exception_type == "FATAL") return Code::kInternal;
  if (exception_type == "Out of Memory" || exception_type == "IO")
    return Code::kUnavailable;
  if (exception_type == "Interrupt") return Code::kCancelled;
  return Code::kInvalid;
}

// DuckDB is told to report errors as JSON: {"exception_type", "exception_message",
// "position"}. `prefix` bytes of our own stand before the user's SQL.
Error SqlError(const char* text, size_t prefix = 0) {
  const std::string_view all(text == nullptr ? "" : text);
  const size_t brace = all.find('{');
  const auto json = brace == all.npos
                        ? nlohmann::json()
                        : nlohmann::json::parse(all.substr(brace), nullptr, false);
  if (!json.is_object() || !json.contains("exception_message"))
    return Invalid(std::string(all));
  std::string message = json["exception_message"];
  if (json.contains("position")) {
    const size_t position =
        std::strtoull(json["position"].get<std::string>().c_str(), nullptr, 10);
    if (position >= prefix)
      message += fmt::format("{}{})", kPositionMark, position - prefix + 1);
  }
  return {CodeOf(json.value("exception_type", "")), std::move(message)};
}

// Result columns arrive with uuid as plain bytes; everything else has the layout of
// data::ToArrow already.
std::shared_ptr<arrow::Schema> ImportSchema(const data::Schema& output, bool* has_uuid) {
  data::Schema raw = output;
  *has_uuid = false;
  for (data::Field& field : raw.fields) {
    if (field.type.kind != data::Kind::kUuid) continue;
    field.type.kind = data::Kind::kBinary;
    *has_uuid = true;
  }
  return data::ToArrow(raw);
}

bool HasNestedUuid(const data::Type& type) {
  for (const data::Field& field : type.fields) {
    if (field.type.kind == data::Kind::kUuid || HasNestedUuid(field.type)) return true;
  }
  return false;
}

Result<std::shared_ptr<arrow::RecordBatch>> FixUuids(
    const arrow::RecordBatch& batch, const std::shared_ptr<arrow::Schema>& schema) {
  arrow::ArrayVector columns = batch.columns();
  for (int c = 0; c < schema->num_fields(); ++c) {
    if (schema->field(c)->type()->id() != arrow::Type::FIXED_SIZE_BINARY) continue;
    const auto& bytes =
        static_cast<const arrow::BinaryArray&>(*columns[static_cast<size_t>(c)]);
    arrow::FixedSizeBinaryBuilder builder(schema->field(c)->type());
    WEIR_ARROW_OK(builder.Reserve(bytes.length()));
    for (int64_t i = 0; i < bytes.length(); ++i) {
      if (bytes.IsNull(i)) {
        builder.UnsafeAppendNull();
      } else {
        builder.UnsafeAppend(bytes.GetView(i));
      }
    }
    columns[static_cast<size_t>(c)] = WEIR_ARROW(builder.Finish());
  }
  return arrow::RecordBatch::Make(schema, batch.num_rows(), std::move(columns));
}

class PreparedSql final : public Prepared {
 public:
  const data::Schema& output() const override { return output_; }

  Statement statement_;
  data::Schema output_;
  std::shared_ptr<arrow::Schema> arrow_, import_;
  size_t prefix_ = 0;  // bytes before the user's SQL in the prepared text
  bool has_uuid_ = false;
};

// Whether arrays of one type can be read as the other: names, nullability and metadata of
// nested fields do not matter.
bool SameLayout(const arrow::DataType& a, const arrow::DataType& b) {
  if (&a == &b) return true;
  if (a.id() != b.id() || a.num_fields() != b.num_fields()) return false;
  if (a.num_fields() == 0) return a.Equals(b);
  for (int i = 0; i < a.num_fields(); ++i) {
    if (!SameLayout(*a.field(i)->type(), *b.field(i)->type())) return false;
  }
  return true;
}

std::string TrimStatement(std::string_view sql) {
  while (!sql.empty() &&
         (sql.back() == ';' || std::isspace(static_cast<unsigned char>(sql.back()))))
    sql.remove_suffix(1);
  return std::string(sql);
}

class SessionImpl final : public Session {
 public:
  ~SessionImpl() override {
    serialize_ = {};
    deserialize_ = {};
    if (arrow_options_ != nullptr) duckdb_destroy_arrow_options(&arrow_options_);
    if (connection_ != nullptr) duckdb_disconnect(&connection_);
    if (database_ != nullptr) duckdb_close(&database_);
  }

  Status Start(const InstanceOptions& options) {
    spill_.emplace(options.temp_dir);
    WEIR_TRY(OpenDatabase(options));
    if (duckdb_connect(database_, &connection_) != DuckDBSuccess)
      return Internal("DuckDB gave no connection");
    scans_.emplace(connection_);
    for (const char* setting :
         {"SET errors_as_json = true", "SET TimeZone = 'UTC'",
          "SET Calendar = 'gregorian'", "SET default_null_order = 'NULLS_LAST'",
          "SET default_order = 'ASC'", "SET default_collation = ''",
          "SET ieee_floating_point_ops = true", "SET integer_division = false",
          "SET preserve_insertion_order = true",
          "SET scalar_subquery_error_on_multiple_rows = true",
          "SET old_implicit_casting = false", "SET allow_community_extensions = false",
          // It makes a row of no rows: SELECT x FROM empty QUALIFY row_number() OVER
          // (ORDER BY x) = 1 gives NULL (DuckDB 1.5.5).
          // The other takes what is computed twice out of TRY, where it fails the query:
          // SELECT TRY(CAST(x AS INTEGER)), TRY(CAST(x AS INTEGER) + 1).
          "SET disabled_optimizers = 'top_n_window_elimination,common_subexpressions'",
          // After the database is open, so that DuckDB excepts its own temp_directory.
          "SET enable_external_access = false"}) {
      WEIR_TRY(RunPlain(setting));
    }
    duckdb_connection_get_arrow_options(connection_, &arrow_options_);
    WEIR_TRY(scans_->Register());
    serialize_ = WEIR_TRY(PrepareRaw("SELECT json_serialize_sql($1::VARCHAR)"));
    deserialize_ = WEIR_TRY(PrepareRaw("SELECT json_deserialize_sql($1::JSON)"));
    return {};
  }

  Status DeclareInput(std::string_view name, const data::Schema& schema) override {
    return Declare(name, schema, nullptr);
  }

  Status DeclareSource(std::string_view name, const data::Schema& schema,
                       SourceOpener opener) override {
    return Declare(name, schema, std::move(opener));
  }

  Status SetInput(std::string_view name, RowBatches batches) override {
    const auto found = relations_.find(name);
    if (found == relations_.end())
      return Invalid(fmt::format("{} is not a declared relation", name));
    Relation& relation = *found->second.relation;
    for (const auto& batch : batches) WEIR_TRY(CheckLayout(name, relation, *batch));
    relation.batches = std::move(batches);
    return {};
  }

  Result<std::unique_ptr<Prepared>> Prepare(std::string_view sql) override {
    WEIR_TRY(Lock());
    return std::unique_ptr<Prepared>(WEIR_TRY(PrepareSql(sql)));
  }

  Result<RowBatches> Run(Prepared& statement) override {
    return RunSql(static_cast<PreparedSql&>(statement));
  }

  Result<RowBatches> Query(std::string_view sql, data::Schema* output) override {
    WEIR_TRY(Lock());
    const auto prepared = WEIR_TRY(PrepareSql(sql));
    if (output != nullptr) *output = prepared->output_;
    return RunSql(*prepared);
  }

  Status QueryStreaming(
      std::string_view sql, const CancelToken& cancel,
      const std::function<Status(const data::Schema&)>& begin,
      const std::function<Result<bool>(std::shared_ptr<arrow::RecordBatch>)>& visit)
      override {
    WEIR_TRY(Lock());
    const auto prepared = WEIR_TRY(PrepareSql(sql));
    WEIR_TRY(begin(prepared->output_));
    scans_->SetCancel(&cancel);
    Status status = Stream(*prepared, cancel, visit);
    scans_->SetCancel(nullptr);
    duckdb_interrupt(connection_);  // what is left of a result nobody reads on is not
                                    // computed; the next statement clears it
    return status;
  }

  Result<data::Schema> Describe(std::string_view sql) override {
    return WEIR_TRY(PrepareSql(sql))->output_;
  }

  Result<std::string> ParseToJson(std::string_view select) override {
    std::string text = WEIR_TRY(CallText(serialize_, select));
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return Internal("DuckDB's parse tree is not JSON");
    if (!json.value("error", false)) return text;
    std::string message = json.value("error_message", "this is not a SELECT");
    if (json.contains("position")) {
      message += fmt::format(
          "{}{})", kPositionMark,
          std::strtoull(json["position"].get<std::string>().c_str(), nullptr, 10) + 1);
    }
    return Invalid(std::move(message));
  }

  Result<std::string> JsonToSql(std::string_view json) override {
    return CallText(deserialize_, json);
  }

  Status Execute(std::string_view sql) override {
    if (locked_)
      return Invalid("settings and macros come before the first statement of a session");
    return RunPlain(std::string(sql).c_str());
  }

 private:
  struct Declared {
    int64_t id;
    std::shared_ptr<Relation> relation;
  };

  Status OpenDatabase(const InstanceOptions& options) {
    duckdb_config config = nullptr;
    if (duckdb_create_config(&config) != DuckDBSuccess)
      return Internal("DuckDB gave no configuration");
    const std::pair<const char*, std::string> settings[] = {
        {"threads", std::to_string(options.threads)},
        {"memory_limit", std::to_string(options.memory_bytes_max) + "B"},
        {"temp_directory", spill_->path()},
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
    };
    Status status;
    for (const auto& [name, value] : settings) {
      if (duckdb_set_config(config, name, value.c_str()) != DuckDBSuccess) {
        status = Internal(fmt::format("DuckDB does not know the setting {}", name));
      }
    }
    char* message = nullptr;
    if (status.ok() &&
        duckdb_open_ext(nullptr, &database_, config, &message) != DuckDBSuccess) {
      status = Unavailable("DuckDB did not open: " + TakeText(message));
    }
    duckdb_destroy_config(&config);
    return status;
  }

  Status RunPlain(const char* sql) {
    QueryResult result;
    if (duckdb_query(connection_, sql, &result.result) != DuckDBSuccess) {
      return SqlError(duckdb_result_error(&result.result));
    }
    return {};
  }

  Status Lock() {
    if (locked_) return {};
    WEIR_TRY(RunPlain("SET lock_configuration = true"));
    locked_ = true;
    return {};
  }

  Status Declare(std::string_view name, const data::Schema& schema, SourceOpener opener) {
    if (schema.fields.empty())
      return Invalid(fmt::format("relation {} has no columns", name));
    auto relation = std::make_shared<Relation>();
    relation->schema = schema;
    relation->arrow = data::ToArrow(schema);
    relation->opener = std::move(opener);
    const int64_t id = scans_->Add(relation);
    const std::string schema_name =
        QuoteName(name.find('.') == name.npos ? "main" : name.substr(0, name.find('.')));
    std::string columns;
    for (const data::Field& field : schema.fields)
      columns += (columns.empty() ? "" : ", ") + QuoteName(field.name);
    WEIR_TRY(RunPlain(("CREATE SCHEMA IF NOT EXISTS " + schema_name).c_str()));
    WEIR_TRY(
        RunPlain(fmt::format("CREATE OR REPLACE VIEW {} AS SELECT {} FROM weir_scan({})",
                             QuoteTable(name), columns, id)
                     .c_str()));
    const auto old = relations_.find(name);
    if (old != relations_.end()) {
      scans_->Remove(old->second.id);
      old->second = {id, std::move(relation)};
    } else {
      relations_.emplace(std::string(name), Declared{id, std::move(relation)});
    }
    return {};
  }

  static Status CheckLayout(std::string_view name, const Relation& relation,
                            const arrow::RecordBatch& batch) {
    const arrow::Schema& given = *batch.schema();
    if (given.num_fields() != relation.arrow->num_fields()) {
      return Invalid(fmt::format("{}: a batch of {} columns, declared are {}", name,
                                 given.num_fields(), relation.arrow->num_fields()));
    }
    for (int i = 0; i < given.num_fields(); ++i) {
      if (SameLayout(*given.field(i)->type(), *relation.arrow->field(i)->type()))
        continue;
      return Invalid(fmt::format("{}: column {} is {}, declared is {}", name,
                                 given.field(i)->name(),
                                 given.field(i)->type()->ToString(),
                                 relation.arrow->field(i)->type()->ToString()));
    }
    return {};
  }

  Result<Statement> PrepareRaw(const std::string& sql, size_t prefix = 0) {
    Statement statement;
    if (duckdb_prepare(connection_, sql.c_str(), statement.out()) != DuckDBSuccess) {
      return SqlError(duckdb_prepare_error(statement.get()), prefix);
    }
    return statement;
  }

  // Where a column's type is not one of ours, the statement is wrapped so that DuckDB
  // casts it (docs/types.md).
  Result<std::unique_ptr<PreparedSql>> PrepareSql(std::string_view sql) {
    const std::string text = TrimStatement(sql);
    auto prepared = std::make_unique<PreparedSql>();
    prepared->statement_ = WEIR_TRY(PrepareRaw(text));
    std::string select, aliases;
    bool needs_cast = false;
    const duckdb_prepared_statement raw = prepared->statement_.get();
    for (idx_t i = 0; i < duckdb_prepared_statement_column_count(raw); ++i) {
      const std::string name =
          TakeText(const_cast<char*>(duckdb_prepared_statement_column_name(raw, i)));
      const LogicalType type(duckdb_prepared_statement_column_logical_type(raw, i));
      OutputType out = WEIR_TRY(FromDuck(type.get(), name));
      if (HasNestedUuid(out.type)) {
        return Invalid(
            fmt::format("column {} has a UUID inside; cast that to VARCHAR", name));
      }
      const char* comma = i == 0 ? "" : ", ";
      aliases += fmt::format("{}c{}", comma, i);
      // A UUID leaves DuckDB as its 16 bytes.
      const std::string to =
          out.type.kind == data::Kind::kUuid ? "BLOB" : TypeInSql(out.type);
      select += out.needs_cast ? fmt::format("{}CAST(c{} AS {}) AS {}", comma, i, to,
                                             QuoteName(name))
                               : fmt::format("{}c{} AS {}", comma, i, QuoteName(name));
      needs_cast |= out.needs_cast;
      prepared->output_.fields.push_back({name, std::move(out.type)});
    }
    if (needs_cast &&
        duckdb_prepared_statement_type(raw) == DUCKDB_STATEMENT_TYPE_SELECT) {
      const std::string head = fmt::format("SELECT {} FROM (", select);
      auto wrapped = PrepareRaw(
          fmt::format("{}{}\n) AS weir_result({})", head, text, aliases), head.size());
      prepared->prefix_ = head.size();
      prepared->statement_ = WEIR_TRY(std::move(wrapped));
    }
    prepared->arrow_ = data::ToArrow(prepared->output_);
    prepared->import_ = ImportSchema(prepared->output_, &prepared->has_uuid_);
    return prepared;
  }

  Result<RowBatches> RunSql(PreparedSql& prepared) {
    QueryResult result;
    if (duckdb_execute_prepared(prepared.statement_.get(), &result.result) !=
        DuckDBSuccess) {
      return RunError(result, prepared);
    }
    RowBatches batches;
    while (duckdb_data_chunk chunk = duckdb_fetch_chunk(result.result)) {
      auto batch = Import(prepared, chunk);
      duckdb_destroy_data_chunk(&chunk);
      batches.push_back(WEIR_TRY(std::move(batch)));
    }
    return batches;
  }

  Status Stream(
      PreparedSql& prepared, const CancelToken& cancel,
      const std::function<Result<bool>(std::shared_ptr<arrow::RecordBatch>)>& visit) {
    Owned<duckdb_pending_result, duckdb_destroy_pending> pending;
    const bool started = duckdb_pending_prepared_streaming(
                             prepared.statement_.get(), pending.out()) == DuckDBSuccess;
    while (started) {
      WEIR_TRY(cancel.Check());
      const duckdb_pending_state state = duckdb_pending_execute_task(pending.get());
      if (state == DUCKDB_PENDING_ERROR || duckdb_pending_execution_is_finished(state))
        break;
    }
    QueryResult result;
    if (!started ||
        duckdb_execute_pending(pending.get(), &result.result) != DuckDBSuccess) {
      if (auto error = scans_->TakeError()) return *std::move(error);
      return SqlError(started ? duckdb_result_error(&result.result)
                              : duckdb_pending_error(pending.get()),
                      prepared.prefix_);
    }
    while (duckdb_data_chunk chunk = duckdb_fetch_chunk(result.result)) {
      auto batch = Import(prepared, chunk);
      duckdb_destroy_data_chunk(&chunk);
      WEIR_TRY(cancel.Check());
      if (!WEIR_TRY(visit(WEIR_TRY(std::move(batch))))) return {};
    }
    // A streaming result reports its errors only when there are no more chunks.
    const char* message = duckdb_result_error(&result.result);
    if (message != nullptr && *message != '\0') return RunError(result, prepared);
    return {};
  }

  // The relation's own error counts, if one is behind DuckDB's.
  Error RunError(QueryResult& result, const PreparedSql& prepared) {
    if (auto error = scans_->TakeError()) return *std::move(error);
    return SqlError(duckdb_result_error(&result.result), prepared.prefix_);
  }

  Result<std::shared_ptr<arrow::RecordBatch>> Import(const PreparedSql& prepared,
                                                     duckdb_data_chunk chunk) {
    ArrowArray exported;
    if (duckdb_error_data error =
            duckdb_data_chunk_to_arrow(arrow_options_, chunk, &exported)) {
      const bool failed = duckdb_error_data_has_error(error);
      const Error out = failed ? SqlError(duckdb_error_data_message(error)) : Error();
      duckdb_destroy_error_data(&error);
      if (failed) return out;
    }
    auto batch = WEIR_ARROW(arrow::ImportRecordBatch(&exported, prepared.import_));
    if (prepared.has_uuid_) return FixUuids(*batch, prepared.arrow_);
    return batch;
  }

  Result<std::string> CallText(Statement& statement, std::string_view argument) {
    duckdb_clear_bindings(statement.get());
    if (duckdb_bind_varchar_length(statement.get(), 1, argument.data(),
                                   argument.size()) != DuckDBSuccess) {
      return Internal("DuckDB did not take the text");
    }
    QueryResult result;
    if (duckdb_execute_prepared(statement.get(), &result.result) != DuckDBSuccess) {
      return SqlError(duckdb_result_error(&result.result));
    }
    return TakeText(duckdb_value_varchar(&result.result, 0, 0));
  }

  std::optional<SpillFolder> spill_;
  duckdb_database database_ = nullptr;
  duckdb_connection connection_ = nullptr;
  duckdb_arrow_options arrow_options_ = nullptr;
  std::optional<Scans> scans_;
  std::map<std::string, Declared, std::less<>> relations_;
  Statement serialize_, deserialize_;
  bool locked_ = false;
};

}  // namespace

std::string QuoteTable(std::string_view name) {
  const size_t dot = name.find('.');
  return dot == name.npos
             ? QuoteName(name)
             : QuoteName(name.substr(0, dot)) + "." + QuoteName(name.substr(dot + 1));
}

std::optional<size_t> ErrorOffset(const Error& error) {
  const size_t mark = error.message.rfind(kPositionMark);
  if (mark == error.message.npos) return std::nullopt;
  return std::strtoull(error.message.c_str() + mark + kPositionMark.size(), nullptr, 10) -
         1;
}

Result<std::unique_ptr<Session>> Session::Open(InstanceOptions options) {
  auto session = std::make_unique<SessionImpl>();
  WEIR_TRY(session->Start(options));
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace weir::duck
