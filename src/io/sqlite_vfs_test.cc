#include "io/sqlite_vfs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdio>

#include "io/sim_io.h"
#include "io/temp_folder.h"

namespace weir::io {
namespace {

using testing::HasSubstr;

// A connection over an Io; Run returns the first column of every row, separated by
// blanks, or the error in brackets.
class Database {
 public:
  Database(Io& io, const std::string& path) : io_(io) {
    const std::string vfs = RegisterSqliteVfs(io);
    opened_ = sqlite3_open_v2(path.c_str(), &db_,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs.c_str());
  }
  ~Database() {
    sqlite3_close_v2(db_);
    UnregisterSqliteVfs(io_);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  std::string Run(const std::string& sql) {
    std::string rows;
    const auto add = [](void* out, int, char** values, char**) {
      std::string& text = *static_cast<std::string*>(out);
      text += (text.empty() ? "" : " ") +
              std::string(values[0] != nullptr ? values[0] : "NULL");
      return 0;
    };
    if (opened_ != SQLITE_OK) return "[cannot open]";
    if (sqlite3_exec(db_, sql.c_str(), add, &rows, nullptr) == SQLITE_OK) return rows;
    return fmt::format("[{}]", sqlite3_errmsg(db_));
  }
  bool Does(const std::string& sql) {
    return opened_ == SQLITE_OK && !Run(sql).starts_with('[');
  }

 private:
  Io& io_;
  sqlite3* db_ = nullptr;
  int opened_;
};

class SqlitePosixTest : public testing::Test {
 protected:
  // Starts Python with `db` connected by SQLite's own VFS.
  std::FILE* Python(const std::string& script) {
    const std::string file = Join(dir_, "script.py");
    (void)io_->Remove(file);
    const std::string head = fmt::format(
        "import os, sqlite3, time\n"
        "db = sqlite3.connect('{0}/t.db', timeout=0, isolation_level=None)\n"
        "def wait():\n"
        "  print('ready', flush=True)\n"
        "  while not os.path.exists('{0}/go'): time.sleep(0.01)\n"
        "def run(sql):\n"
        "  try: print(*[r[0] for r in db.execute(sql)], flush=True)\n"
        "  except sqlite3.Error as e: print(e, flush=True)\n",
        dir_);
    EXPECT_TRUE(io_->WriteNew(file, head + script).ok());
    return popen(("python3 " + file).c_str(), "r");
  }
  static std::string Line(std::FILE* pipe) {
    char line[1000] = "";
    if (fgets(line, sizeof(line), pipe) == nullptr) return "(end)";
    return std::string(line, std::strcspn(line, "\n"));
  }
  std::string PythonSays(const std::string& sql) {
    std::FILE* python = Python("run(\"" + sql + "\")\n");
    const std::string line = Line(python);
    pclose(python);
    return line;
  }
  void LetPythonGo(std::FILE* python) {
    ASSERT_TRUE(io_->WriteNew(Join(dir_, "go"), "").ok());
    while (Line(python) != "(end)") continue;
    pclose(python);
  }

  const TempFolder folder_;
  const std::string dir_ = folder_.path(), path_ = Join(dir_, "t.db");
  const std::unique_ptr<Io> io_ = NewPosixIo();
};

TEST_F(SqlitePosixTest, WhatIsWrittenIsReadByOthersAndBack) {
  {
    Database db(*io_, path_);
    EXPECT_EQ(db.Run("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)"), "");
    EXPECT_EQ(db.Run("SELECT x FROM t"), "1 2");
  }
  EXPECT_EQ(PythonSays("INSERT INTO t VALUES (3) RETURNING x"), "3");
  EXPECT_EQ(Database(*io_, path_).Run("SELECT x FROM t"), "1 2 3");
  EXPECT_EQ(PythonSays("PRAGMA integrity_check"), "ok");
}

TEST_F(SqlitePosixTest, AWriterElsewhereKeepsOurWriterOutAndLetsReadersIn) {
  Database db(*io_, path_);
  ASSERT_TRUE(db.Does("CREATE TABLE t(x); INSERT INTO t VALUES (1)"));
  std::FILE* python = Python(
      "run('BEGIN IMMEDIATE')\nrun('INSERT INTO t VALUES (2)')\nwait()\nrun('COMMIT')\n");
  while (Line(python) != "ready") ASSERT_FALSE(std::feof(python));
  EXPECT_EQ(db.Run("BEGIN IMMEDIATE"), "[database is locked]");
  EXPECT_EQ(db.Run("SELECT x FROM t"), "1");
  LetPythonGo(python);
  EXPECT_EQ(db.Run("BEGIN IMMEDIATE; SELECT x FROM t; COMMIT"), "1 2");
}

TEST_F(SqlitePosixTest, OurWriterKeepsOthersOutAndLetsReadersIn) {
  Database db(*io_, path_);
  ASSERT_TRUE(
      db.Does("CREATE TABLE t(x); INSERT INTO t VALUES (1); BEGIN IMMEDIATE; INSERT INTO "
              "t VALUES (2)"));
  EXPECT_EQ(PythonSays("INSERT INTO t VALUES (3)"), "database is locked");
  EXPECT_EQ(PythonSays("SELECT x FROM t"), "1");
  ASSERT_TRUE(db.Does("COMMIT; BEGIN EXCLUSIVE"));
  EXPECT_EQ(PythonSays("SELECT x FROM t"), "database is locked");
  ASSERT_TRUE(db.Does("COMMIT"));
  EXPECT_EQ(PythonSays("INSERT INTO t VALUES (3) RETURNING x"), "3");
}

TEST_F(SqlitePosixTest, AReaderElsewhereDelaysOurCommitWhichThenSucceeds) {
  Database db(*io_, path_);
  ASSERT_TRUE(db.Does("CREATE TABLE t(x); INSERT INTO t VALUES (1)"));
  std::FILE* python =
      Python("run('BEGIN')\nrun('SELECT x FROM t')\nwait()\nrun('COMMIT')\n");
  while (Line(python) != "ready") ASSERT_FALSE(std::feof(python));
  ASSERT_TRUE(db.Does("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)"));
  EXPECT_EQ(db.Run("COMMIT"), "[database is locked]");
  EXPECT_EQ(PythonSays("SELECT x FROM t"), "database is locked")
      << "a waiting writer lets no new reader in";
  LetPythonGo(python);
  EXPECT_TRUE(db.Does("COMMIT"));
  EXPECT_EQ(PythonSays("SELECT count(*) FROM t"), "2");
}

TEST_F(SqlitePosixTest, TwoConnectionsOfOneProcessLockEachOtherOut) {
  Database one(*io_, path_), two(*io_, path_);
  ASSERT_TRUE(one.Does("CREATE TABLE t(x); BEGIN IMMEDIATE"));
  EXPECT_EQ(two.Run("BEGIN IMMEDIATE"), "[database is locked]");
  ASSERT_TRUE(one.Does("COMMIT"));
  EXPECT_TRUE(two.Does("BEGIN IMMEDIATE"));
}

TEST_F(SqlitePosixTest, OthersRollBackATransactionWeDiedIn) {
  Database db(*io_, Join(dir_, "ours.db"));
  ASSERT_TRUE(db.Does(
      "CREATE TABLE t(x); INSERT INTO t VALUES (1); PRAGMA cache_size = 1; BEGIN;"
      "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
      "INSERT INTO t SELECT i FROM n; UPDATE t SET x = -1"));
  // What lies on the disk now is what a kill would leave: pages spilled into the file,
  // and the journal.
  ASSERT_TRUE(io_->WriteNew(path_, *io_->ReadAll(Join(dir_, "ours.db"))).ok());
  ASSERT_TRUE(
      io_->WriteNew(path_ + "-journal", *io_->ReadAll(Join(dir_, "ours.db-journal")))
          .ok());
  ASSERT_THAT(*io_->ReadAll(path_), testing::SizeIs(testing::Gt(8192u)));
  EXPECT_EQ(PythonSays("SELECT x FROM t"), "1");
}

TEST_F(SqlitePosixTest, AReadOnlyDatabaseCanBeRead) {
  ASSERT_TRUE(Database(*io_, path_).Does("CREATE TABLE t(x); INSERT INTO t VALUES (1)"));
  sqlite3* db = nullptr;
  const std::string vfs = RegisterSqliteVfs(*io_);
  ASSERT_EQ(sqlite3_open_v2(path_.c_str(), &db, SQLITE_OPEN_READONLY, vfs.c_str()),
            SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, "SELECT * FROM t", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, "INSERT INTO t VALUES (2)", nullptr, nullptr, nullptr),
            SQLITE_READONLY);
  sqlite3_close(db);
  UnregisterSqliteVfs(*io_);
}

TEST(SqliteVfsTest, OneNamePerIoUntilTheLastUserIsGone) {
  SimIo one, two;
  const std::string name = RegisterSqliteVfs(one);
  EXPECT_EQ(RegisterSqliteVfs(one), name);
  EXPECT_NE(RegisterSqliteVfs(two), name);
  UnregisterSqliteVfs(one);
  EXPECT_NE(sqlite3_vfs_find(name.c_str()), nullptr);
  UnregisterSqliteVfs(one);
  EXPECT_EQ(sqlite3_vfs_find(name.c_str()), nullptr);
  EXPECT_NE(RegisterSqliteVfs(one), name);
  UnregisterSqliteVfs(one);
  UnregisterSqliteVfs(two);
}

TEST(SqliteVfsTest, WalIsRefusedAndSortingNeedsNoFiles) {
  SimIo io;
  Database db(io, "t.db");
  EXPECT_EQ(db.Run("PRAGMA journal_mode = WAL"), "delete");
  EXPECT_EQ(
      db.Run("PRAGMA cache_size = 1; PRAGMA temp_store = FILE; CREATE TEMP TABLE n AS"
             " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
             "20000)"
             " SELECT i, hex(randomblob(50)) AS h FROM n; SELECT count(*) FROM (SELECT h "
             "FROM n ORDER BY h)"),
      "20000");
  EXPECT_THAT(*io.List("/"), testing::ElementsAre("t.db"));
}

TEST(SqliteVfsTest, AFullDiskIsToldAndLeavesTheDatabaseUsable) {
  SimIo io;
  Database db(io, "t.db");
  ASSERT_TRUE(db.Does("CREATE TABLE t(x); INSERT INTO t VALUES (1)"));
  io.SetFaults({.disk_bytes_max = 20'000});
  EXPECT_EQ(db.Run("INSERT INTO t VALUES (zeroblob(100000))"),
            "[database or disk is full]");
  EXPECT_THAT(TakeSqliteIoError(), HasSubstr("no space left"));
  EXPECT_EQ(TakeSqliteIoError(), "");
  EXPECT_EQ(db.Run("SELECT x FROM t; PRAGMA integrity_check"), "1 ok");
  io.SetFaults({});
  EXPECT_TRUE(db.Does("INSERT INTO t VALUES (zeroblob(100000))"));
}

// Transaction i adds i, changes a counter, and rewrites some pages of ballast, so that a
// half-applied one would show. Returns how many COMMITs returned OK.
constexpr int kTransactions = 4;
int RunTransactions(Database& db) {
  if (!db.Does("PRAGMA cache_size = 2; PRAGMA synchronous = FULL;"
               "CREATE TABLE IF NOT EXISTS t(i INTEGER PRIMARY KEY, ballast);")) {
    return 0;
  }
  int committed = 0;
  for (int i = 1; i <= kTransactions; ++i) {
    const bool did =
        db.Does("BEGIN IMMEDIATE") &&
        db.Does(fmt::format("INSERT INTO t VALUES ({0}, zeroblob({0} * 3000));"
                            "UPDATE t SET ballast = zeroblob(length(ballast) + 100)",
                            i)) &&
        db.Does("COMMIT");
    if (!did) return committed;
    committed = i;
  }
  return committed;
}

// How many transactions the database holds; -1 when it is damaged or holds a part of one.
int TransactionsIn(Io& io) {
  Database db(io, "t.db");
  if (db.Run("PRAGMA integrity_check") != "ok") return -1;
  const std::string tables = db.Run("SELECT count(*) FROM sqlite_schema");
  if (tables == "0") return 0;
  const std::string wrong = db.Run(
      "SELECT count(*) FROM t, (SELECT count(*) AS n FROM t)"
      " WHERE i > n OR length(ballast) <> i * 3000 + 100 * (n - i + 1)");
  if (wrong != "0") return -1;
  return std::stoi(db.Run("SELECT count(*) FROM t"));
}

TEST(SqliteCrashTest, CommittedTransactionsSurviveEveryCut) {
  for (uint64_t cut = 0;; ++cut) {
    SimIo io({.cut_power_after = cut});
    int committed;
    {
      Database db(io, "t.db");
      committed = RunTransactions(db);
    }
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const AfterCut mode = seed == 0   ? AfterCut::kDropUnsynced
                            : seed == 1 ? AfterCut::kKeepAll
                                        : AfterCut::kRandom;
      const auto disk = io.Survivor(seed, mode);
      const int there = TransactionsIn(*disk);
      ASSERT_TRUE(there == committed || there == committed + 1)
          << "cut after operation " << cut << " (" << io.last_operation() << "), seed "
          << seed << ": " << committed << " were committed, " << there << " are there";
    }
    if (!io.power_is_off()) {
      EXPECT_EQ(committed, kTransactions);
      EXPECT_GT(cut, 50u);
      break;
    }
  }
}

TEST(SqliteCrashTest, ACutDuringRecoveryIsRecoveredFromToo) {
  int recoveries_cut = 0;
  for (uint64_t cut = 0;; ++cut) {
    SimIo io({.cut_power_after = cut});
    int committed;
    {
      Database db(io, "t.db");
      committed = RunTransactions(db);
    }
    for (uint64_t second = 1;; ++second) {
      const auto disk = io.Survivor(cut, AfterCut::kRandom);
      disk->SetFaults({.cut_power_after = second});
      (void)TransactionsIn(*disk);
      const bool was_cut = disk->power_is_off();
      recoveries_cut += was_cut;
      disk->PowerOn(second, AfterCut::kRandom);
      const int there = TransactionsIn(*disk);
      ASSERT_TRUE(there == committed || there == committed + 1)
          << "cuts after " << cut << " and " << second << ": " << committed
          << " were committed, " << there << " are there";
      if (!was_cut) break;
    }
    if (!io.power_is_off()) break;
  }
  EXPECT_GT(recoveries_cut, 50);
}

TEST(SqliteCrashTest, AFailedSyncNeverLosesACommittedTransaction) {
  for (uint64_t sync = 0;; ++sync) {
    SimIo io({.fail_sync_after = sync, .seed = sync});
    int committed;
    {
      Database db(io, "t.db");
      committed = RunTransactions(db);
    }
    const auto disk = io.Survivor(sync, AfterCut::kRandom);
    const int there = TransactionsIn(*disk);
    ASSERT_TRUE(there == committed || there == committed + 1)
        << "sync " << sync << ": " << committed << " were committed, " << there
        << " are there";
    if (committed == kTransactions) break;
  }
}

}  // namespace
}  // namespace weir::io
