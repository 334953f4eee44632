// The SQL catalog (`iceberg_tables`, JDBC/PyIceberg compatible, V1) in SQLite over our
// io, and the `weir_*` tables beside it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "iceberg/table.h"
#include "io/io.h"

namespace weir::iceberg {

using SqlValue = std::variant<std::monostate, int64_t, double, std::string>;
using SqlRow = std::vector<SqlValue>;

struct TableRef {
  std::string name;  // "silver.trips": namespace, dot, table
                     // ("bronze.ride_events$rejected" has its $ in the table)
  std::string metadata_location;
};

// catalog.db: rollback-journal mode, synchronous=FULL, busy timeout, through io's SQLite
// VFS. PyIceberg and Spark open the same file, so transactions are short. Used by one
// thread; open another Catalog for another thread.
class Catalog {
 public:
  virtual ~Catalog() = default;
  // Creates the file and its tables when missing. `name` is the catalog_name of its rows
  // ("weir"). kCorrupt: not a database. With read_only nothing is created or changed;
  // kNotFound: there is no catalog yet.
  static Result<std::unique_ptr<Catalog>> Open(io::Io& io, const std::string& path,
                                               std::string name, bool read_only);

  // All tables as of one read transaction: one cut.
  virtual Result<std::vector<TableRef>> List() = 0;
  virtual Result<std::optional<TableRef>> Find(std::string_view table) = 0;

  // Runs `body` inside BEGIN IMMEDIATE … COMMIT; any error rolls back. An error of COMMIT
  // itself is kUnknownOutcome: look before retrying (through a newly opened catalog).
  // kUnavailable: another program held the file too long; nothing happened.
  virtual Status Transact(const std::function<Status()>& body) = 0;
  // Compare-and-swap of the table's row inside Transact: kConflict when its location is
  // no longer staged.base_location (empty: must not exist).
  virtual Status Swap(const Staged& staged) = 0;
  virtual Status Drop(std::string_view table) = 0;

  // For the weir_* tables: owner, epochs, readers, ledger. `?` parameters.
  virtual Result<std::vector<SqlRow>> Sql(
      std::string_view statement, const std::vector<SqlValue>& parameters = {}) = 0;
  virtual int64_t changes() const = 0;  // rows touched by the last statement
};

}  // namespace weir::iceberg
