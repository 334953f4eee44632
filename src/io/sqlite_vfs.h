// SQLite on our files: simulated power cuts reach its bytes, and other programs may open
// the same database with SQLite's own VFS, since the byte ranges locked are SQLite's.
#pragma once

#include <string>

#include "io/io.h"

namespace weir::io {

// The name to pass to sqlite3_open_v2. One VFS per Io: a second call returns the same
// name and asks for one more UnregisterSqliteVfs. Safe for concurrent use. `io` must
// outlive every database opened by it.
//
// Rollback journals only (no WAL). A COMMIT that returned SQLITE_OK with synchronous=FULL
// survives a power cut: the folder is synced after the journal's removal, which SQLite by
// itself asks for with EXTRA only. Temporary databases are kept in memory. After a failed
// sync the connection must be closed and reopened.
std::string RegisterSqliteVfs(Io& io);
void UnregisterSqliteVfs(Io& io);

// Why the last call of this thread into a VFS failed ("write /d/catalog.db: No space left
// on device"), which SQLite's own message does not say. Empty if none has; asking clears
// it.
std::string TakeSqliteIoError();

}  // namespace weir::io
