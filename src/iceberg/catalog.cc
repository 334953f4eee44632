#include "iceberg/catalog.h"

#include <sqlite3.h>

#include "io/sqlite_vfs.h"

namespace weir::iceberg {
namespace {

constexpr int kBusyMillis = 10'000;

constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS iceberg_tables (
  catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
  metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
  PRIMARY KEY (catalog_name, table_namespace, table_name));
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
  catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
  property_value VARCHAR(1000),
  PRIMARY KEY (catalog_name, namespace, property_key));
)";

struct CloseDatabase {
  io::Io* io;
  void operator()(sqlite3* database) const {
    sqlite3_close_v2(database);
    io::UnregisterSqliteVfs(*io);
  }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Error ErrorOf(sqlite3* database, int code) {
  std::string message =
      std::string("catalog: ") +
      (database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code));
  if (const std::string cause = io::TakeSqliteIoError(); !cause.empty())
    message += " (" + cause + ")";
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return Unavailable(message);
    case SQLITE_CONSTRAINT:
      return Conflict(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Corrupt(message);
    case SQLITE_CANTOPEN:
      return NotFound(message);
    default:
      return Invalid(message);
  }
}

struct NameParts {
  std::string space, table;
};
Result<NameParts> Split(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) {
    return Invalid("a table is named namespace.table: " + std::string(name));
  }
  return NameParts{std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

void Bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
  if (const auto* v = std::get_if<int64_t>(&value)) {
    sqlite3_bind_int64(statement, index, *v);
  } else if (const auto* v = std::get_if<double>(&value)) {
    sqlite3_bind_double(statement, index, *v);
  } else if (const auto* v = std::get_if<std::string>(&value)) {
    sqlite3_bind_text(statement, index, v->data(), static_cast<int>(v->size()),
                      SQLITE_TRANSIENT);
  } else {
    sqlite3_bind_null(statement, index);
  }
}

SqlValue Column(sqlite3_stmt* statement, int index) {
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, index);
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, index);
    case SQLITE_NULL:
      return {};
    default:
      break;
  }
  const void* bytes = sqlite3_column_blob(statement, index);
  return std::string(static_cast<const char*>(bytes),
                     static_cast<size_t>(sqlite3_column_bytes(statement, index)));
}

std::string TextOf(const SqlValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? "" : *text;
}

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n;") == std::string_view::npos;
}

class SqliteCatalog final : public Catalog {
 public:
  SqliteCatalog(Database database, std::string name)
      : database_(std::move(database)), name_(std::move(name)) {}

  Status Prepare(bool read_only) {
    sqlite3_extended_result_codes(database_.get(), 1);
    sqlite3_busy_timeout(database_.get(), kBusyMillis);
    WEIR_TRY(Sql("PRAGMA temp_store=MEMORY"));
    if (read_only) {
      const auto tables = WEIR_TRY(Sql(
          "SELECT 1 FROM sqlite_master WHERE type='table' AND name='iceberg_tables'"));
      if (tables.empty())
        return NotFound("catalog: there are no Iceberg tables in this file");
      return {};
    }
    WEIR_TRY(Sql("PRAGMA journal_mode=DELETE"));
    WEIR_TRY(Sql("PRAGMA synchronous=FULL"));
    return CreateTables();
  }

  Result<std::vector<TableRef>> List() override {
    std::vector<TableRef> out;
    for (const SqlRow& row : WEIR_TRY(Sql("SELECT table_namespace || '.' || table_name, "
                                          "metadata_location FROM iceberg_tables "
                                          "WHERE catalog_name = ? AND (iceberg_type = "
                                          "'TABLE' OR iceberg_type IS NULL) "
                                          "ORDER BY table_namespace, table_name",
                                          {name_}))) {
      out.push_back({TextOf(row[0]), TextOf(row[1])});
    }
    return out;
  }

  Result<std::optional<TableRef>> Find(std::string_view table) override {
    const NameParts parts = WEIR_TRY(Split(table));
    const auto rows = WEIR_TRY(
        Sql("SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND "
            "table_namespace = ? "
            "AND table_name = ? AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)",
            {name_, parts.space, parts.table}));
    if (rows.empty()) return std::optional<TableRef>();
    return std::optional(TableRef{std::string(table), TextOf(rows[0][0])});
  }

  Status Transact(const std::function<Status()>& body) override {
    if (in_transaction_) return Internal("catalog: a transaction inside a transaction");
    WEIR_TRY(Sql("BEGIN IMMEDIATE"));
    in_transaction_ = true;
    const Status done = body();
    in_transaction_ = false;
    if (!done.ok()) {
      Rollback();
      return done;
    }
    const int code = sqlite3_exec(database_.get(), "COMMIT", nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return {};
    const Error error = ErrorOf(database_.get(), code);
    // Busy means that a reader kept us from writing the database at all.
    const bool untouched = (code & 0xff) == SQLITE_BUSY;
    Rollback();
    return Error{untouched ? Code::kUnavailable : Code::kUnknownOutcome, error.message};
  }

  Status Swap(const Staged& staged) override {
    if (!in_transaction_) return Internal("catalog: a swap outside a transaction");
    const NameParts parts = WEIR_TRY(Split(staged.table));
    if (staged.base_location.empty()) return Insert(staged, parts);
    WEIR_TRY(
        Sql("UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location "
            "= ? WHERE catalog_name = ? "
            "AND table_namespace = ? AND table_name = ? AND metadata_location = ? "
            "AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)",
            {staged.metadata_location, staged.base_location, name_, parts.space,
             parts.table, staged.base_location}));
    if (changes() != 1) return Conflict("another writer committed to " + staged.table);
    return {};
  }

  Status Drop(std::string_view table) override {
    const NameParts parts = WEIR_TRY(Split(table));
    WEIR_TRY(
        Sql("DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? "
            "AND table_name = ?",
            {name_, parts.space, parts.table}));
    if (changes() != 1) return NotFound("no such table: " + std::string(table));
    return {};
  }

  Result<std::vector<SqlRow>> Sql(std::string_view text,
                                  const std::vector<SqlValue>& parameters = {}) override {
    std::vector<SqlRow> rows;
    while (!IsBlank(text)) {
      sqlite3_stmt* prepared = nullptr;
      const char* tail = nullptr;
      const int code = sqlite3_prepare_v2(
          database_.get(), text.data(), static_cast<int>(text.size()), &prepared, &tail);
      if (code != SQLITE_OK) return ErrorOf(database_.get(), code);
      const Statement statement(prepared);
      text.remove_prefix(static_cast<size_t>(tail - text.data()));
      if (statement) WEIR_TRY(Run(statement.get(), parameters, &rows));
    }
    return rows;
  }

  int64_t changes() const override { return sqlite3_changes64(database_.get()); }

 private:
  Status Run(sqlite3_stmt* statement, const std::vector<SqlValue>& parameters,
             std::vector<SqlRow>* rows) {
    const int wanted = sqlite3_bind_parameter_count(statement);
    if (wanted != 0 && static_cast<size_t>(wanted) != parameters.size()) {
      return Invalid(
          fmt::format("catalog: {} parameters for {} places", parameters.size(), wanted));
    }
    for (int i = 0; i < wanted; ++i)
      Bind(statement, i + 1, parameters[static_cast<size_t>(i)]);
    int code = sqlite3_step(statement);
    for (; code == SQLITE_ROW; code = sqlite3_step(statement)) {
      SqlRow& row = rows->emplace_back();
      for (int i = 0; i < sqlite3_column_count(statement); ++i)
        row.push_back(Column(statement, i));
    }
    if (code != SQLITE_DONE) return ErrorOf(database_.get(), code);
    return {};
  }

  void Rollback() {
    // Some errors roll back by themselves; ROLLBACK then has nothing to do.
    if (sqlite3_get_autocommit(database_.get()) == 0)
      sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }

  // Only writes when something is missing, so that opening does not disturb other
  // programs.
  Status CreateTables() {
    const auto columns =
        WEIR_TRY(Sql("SELECT name FROM pragma_table_info('iceberg_tables')"));
    const auto spaces =
        WEIR_TRY(Sql("SELECT 1 FROM sqlite_master WHERE type='table' AND "
                     "name='iceberg_namespace_properties'"));
    const bool has_type = std::find(columns.begin(), columns.end(),
                                    SqlRow{std::string("iceberg_type")}) != columns.end();
    if (has_type && !spaces.empty()) return {};
    return Transact([&]() -> Status {
      WEIR_TRY(Sql(kTables));
      // A catalog of the older layout (V0) has no views and no column to tell them apart.
      const auto found =
          WEIR_TRY(Sql("SELECT 1 FROM pragma_table_info('iceberg_tables') WHERE name = "
                       "'iceberg_type'"));
      if (found.empty())
        WEIR_TRY(Sql("ALTER TABLE iceberg_tables ADD COLUMN iceberg_type VARCHAR(5)"));
      return {};
    });
  }

  Status Insert(const Staged& staged, const NameParts& parts) {
    WEIR_TRY(
        Sql("INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, "
            "metadata_location, "
            "previous_metadata_location, iceberg_type) VALUES (?, ?, ?, ?, NULL, "
            "'TABLE') ON CONFLICT DO NOTHING",
            {name_, parts.space, parts.table, staged.metadata_location}));
    if (changes() != 1) return Conflict("the table exists already: " + staged.table);
    WEIR_TRY(
        Sql("INSERT INTO iceberg_namespace_properties VALUES (?, ?, 'exists', 'true') ON "
            "CONFLICT DO NOTHING",
            {name_, parts.space}));
    return {};
  }

  const Database database_;
  const std::string name_;
  bool in_transaction_ = false;
};

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::Open(io::Io& io, const std::string& path,
                                               std::string name, bool read_only) {
  sqlite3* opened = nullptr;
  const int flags =
      read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const std::string vfs = io::RegisterSqliteVfs(io);
  const int code =
      sqlite3_open_v2(path.c_str(), &opened, flags | SQLITE_OPEN_NOMUTEX, vfs.c_str());
  Database database(opened, CloseDatabase{&io});
  if (code != SQLITE_OK) return ErrorOf(opened, code).Within(path);
  auto catalog = std::make_unique<SqliteCatalog>(std::move(database), std::move(name));
  const Status prepared = catalog->Prepare(read_only);
  if (!prepared.ok()) return Error(prepared.error()).Within(path);
  return std::unique_ptr<Catalog>(std::move(catalog));
}

}  // namespace weir::iceberg
